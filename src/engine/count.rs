//! Numbers that are counted up and down: `incr`, `decr`, and what `ma` does beneath its flags.

use super::{Engine, Executed, HashedKey, Now};
use crate::protocol::command::Direction;
use crate::protocol::token::{self, DIGITS_MAX, digits_of};
use crate::protocol::{Reply, ReplyWriter, item_bytes};
use crate::store::{Attributes, Marks, Side, Stored};

/// What became of a number.
pub(super) enum Counted {
    /// It is this now, and the item expires then.
    Number { number: u64, cas: u64, expires_at_s: u32 },
    /// There is none.
    Missing,
    /// The item has another cas id than it had to have.
    Exists,
    /// The value is no number.
    NotNumber,
    /// It became longer, and there is no room.
    NoRoom,
    /// Some of the room for it has been made: ask again, after others.
    NeedsStep,
}

impl Engine {
    /// `incr` and `decr`.
    pub(super) fn count_plain(
        &mut self,
        key: HashedKey<'_>,
        direction: Direction,
        delta: u64,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        match self.count(key, direction, delta, (None, None), now) {
            Counted::NeedsStep => return Executed::Retry,
            Counted::Number { number, .. } => reply.count(number),
            Counted::Missing => {
                self.count_miss(direction);
                reply.line(Reply::NotFound);
            }
            Counted::NotNumber => reply.line(Reply::NotNumber),
            Counted::NoRoom | Counted::Exists => reply.line(Reply::NoRoomForNumber),
        }
        Executed::Done
    }

    /// Counts the number under `key` up or down, if the item has the cas id `compare`. It gets the cas
    /// id `next_cas`, or the next one.
    pub(super) fn count(
        &mut self,
        key: HashedKey<'_>,
        direction: Direction,
        delta: u64,
        (compare, next_cas): (Option<u64>, Option<u64>),
        now: Now,
    ) -> Counted {
        let Some(mut found) = self.store.item_mut(key, now.uptime_s) else {
            return Counted::Missing;
        };
        let item = found.item();
        let (old, value_bytes) = (item.attributes, item.value.len());
        if compare.is_some_and(|expected| expected != 0 && expected != old.cas) {
            return Counted::Exists;
        }
        self.copied_bytes += value_bytes as u64;
        // memcached keeps what is larger in chunks, and takes no number out of those.
        let is_chunked =
            item_bytes(key.bytes().len(), old.flags, value_bytes) > self.config.item_bytes_max / 2;
        let Some(number) = token::loose_u64(item.value).filter(|_| !is_chunked) else {
            return Counted::NotNumber;
        };
        // As memcached: up wraps, down stops at 0.
        let number = match direction {
            Direction::Up => number.wrapping_add(delta),
            Direction::Down => number.saturating_sub(delta),
        };
        let mut space = [0; DIGITS_MAX];
        let digits = digits_of(number, &mut space);
        let cas = self.cas_ids.given_or_next(next_cas);
        let fits = digits.len() <= value_bytes;
        if fits && found.set_cas(cas) {
            found.overwrite_value(digits, b' ');
            found.count_access();
        } else if fits {
            match self.make_room_for_cas(key, cas, &old, now) {
                Stored::Kept => {}
                Stored::NeedsStep => return self.number_needs_step(next_cas),
                Stored::NoRoom => return Counted::NoRoom,
            }
            if let Some(mut longer) = self.store.item_mut(key, now.uptime_s) {
                longer.overwrite_value(digits, b' ');
                longer.count_access();
            }
        } else {
            let marks = Marks { key_encoded: old.marks.key_encoded, ..Marks::default() };
            let attributes = Attributes { cas, marks, ..old };
            match self.store.set(key, digits, &attributes, now.uptime_s) {
                Stored::Kept => self.counters.total_items += 1,
                Stored::NeedsStep => return self.number_needs_step(next_cas),
                Stored::NoRoom => return Counted::NoRoom,
            }
        }
        match direction {
            Direction::Up => self.counters.incr_hits += 1,
            Direction::Down => self.counters.decr_hits += 1,
        }
        Counted::Number { number, cas, expires_at_s: old.expires_at_s }
    }

    /// A cas id that was taken for a number which has to be asked for again is given back.
    const fn number_needs_step(&mut self, next_cas: Option<u64>) -> Counted {
        if next_cas.is_none() {
            self.cas_ids.give_back();
        }
        Counted::NeedsStep
    }

    /// Writes an item anew, with a client's own cas id that its record has no room for.
    pub(super) fn make_room_for_cas(
        &mut self,
        key: HashedKey<'_>,
        cas: u64,
        old: &Attributes,
        now: Now,
    ) -> Stored {
        let attributes = Attributes { cas, ..*old };
        let extended = self.store.extend(key, (b"", Side::After), &attributes, now.uptime_s);
        // It may have been evicted meanwhile: then there is nothing to change any more.
        extended.unwrap_or(Stored::Kept)
    }

    /// There was no number to count up or down.
    pub(super) const fn count_miss(&mut self, direction: Direction) {
        match direction {
            Direction::Up => self.counters.incr_misses += 1,
            Direction::Down => self.counters.decr_misses += 1,
        }
    }
}
