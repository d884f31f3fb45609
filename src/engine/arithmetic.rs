//! Arithmetic on values that are numbers: `incr`, `decr`, and `ma` without its flags.

use super::{Engine, Executed, HashedKey};
use crate::protocol::command::Direction;
use crate::protocol::number::{self, DIGITS_MAX, digits_of};
use crate::protocol::{Reply, ReplyWriter, item_bytes};
use crate::store::{Attributes, Marks, Side, Stored};

/// Size of the largest item whose value is read as a number. memcached stores larger items in chunks,
/// whatever its item limit, and reads no number from those.
const CHUNK_BYTES_MAX: usize = 512 << 10;

/// The outcome of arithmetic.
pub(super) enum Computed {
    /// The new number, and what the answer needs of its item.
    Number { number: u64, cas: u64, expires_at_s: u32 },
    /// There is no item.
    Missing,
    /// The item has another cas id than the one it must have.
    Exists,
    /// The value is no number.
    NotNumber,
    /// The number became longer, and there is no room for it.
    NoRoom,
    /// Part of the room for it has been made: the request has to be retried.
    NeedsStep,
}

impl Engine {
    /// `incr` and `decr`.
    pub(super) fn arithmetic_plain(
        &mut self,
        key: HashedKey<'_>,
        direction: Direction,
        delta: u64,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        match self.compute(key, direction, delta, (None, None)) {
            Computed::NeedsStep => return Executed::Retry,
            Computed::Number { number, .. } => reply.number_line(number),
            Computed::Missing => {
                self.count_arithmetic_miss(direction);
                reply.line(Reply::NotFound);
            }
            Computed::NotNumber => reply.line(Reply::NotNumber),
            Computed::NoRoom | Computed::Exists => reply.line(Reply::NoRoomForNumber),
        }
        Executed::Done
    }

    /// Adds to the number under `key`, or subtracts from it, if the item has the cas id `compare`. The
    /// item gets the cas id `next_cas`, or the next one.
    pub(super) fn compute(
        &mut self,
        key: HashedKey<'_>,
        direction: Direction,
        delta: u64,
        (compare, next_cas): (Option<u64>, Option<u64>),
    ) -> Computed {
        self.log_lookup(key);
        let Some(mut found) = self.store.item_mut(key, self.now.uptime_s) else {
            return Computed::Missing;
        };
        let item = found.item();
        let (old, value_bytes) = (item.attributes, item.value.len());
        if compare.is_some_and(|expected| expected != 0 && expected != old.cas) {
            return Computed::Exists;
        }
        if item_bytes(key.bytes().len(), old.flags, value_bytes) > CHUNK_BYTES_MAX {
            return Computed::NotNumber;
        }
        self.copied_bytes += value_bytes as u64;
        let Some(number) = number::loose_u64(item.value) else {
            return Computed::NotNumber;
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
            match self.make_room_for_cas(key, cas, &old) {
                Stored::Kept => {}
                Stored::NeedsStep => return self.number_needs_step(next_cas),
                Stored::NoRoom => return Computed::NoRoom,
            }
            if let Some(mut longer) = self.store.item_mut(key, self.now.uptime_s) {
                longer.overwrite_value(digits, b' ');
                longer.count_access();
            }
        } else {
            let marks = Marks { key_encoded: old.marks.key_encoded, ..Marks::default() };
            let attributes = Attributes { cas, marks, ..old };
            match self.store.set(key, digits, &attributes, self.now.uptime_s) {
                Stored::Kept => self.counters.total_items += 1,
                Stored::NeedsStep => return self.number_needs_step(next_cas),
                Stored::NoRoom => return Computed::NoRoom,
            }
        }
        match direction {
            Direction::Up => self.counters.incr_hits += 1,
            Direction::Down => self.counters.decr_hits += 1,
        }
        Computed::Number { number, cas, expires_at_s: old.expires_at_s }
    }

    /// Gives back the cas id that was taken for a request which has to be retried.
    const fn number_needs_step(&mut self, next_cas: Option<u64>) -> Computed {
        if next_cas.is_none() {
            self.cas_ids.give_back();
        }
        Computed::NeedsStep
    }

    /// Rewrites an item with a client's own cas id, for which its record has no room.
    pub(super) fn make_room_for_cas(
        &mut self,
        key: HashedKey<'_>,
        cas: u64,
        old: &Attributes,
    ) -> Stored {
        let attributes = Attributes { cas, ..*old };
        let extended = self.store.extend(key, (b"", Side::After), &attributes, self.now.uptime_s);
        // It may have been evicted to make that room: then there is nothing to change any more.
        extended.unwrap_or(Stored::Kept)
    }

    /// Counts a miss of `incr` or `decr`.
    pub(super) const fn count_arithmetic_miss(&mut self, direction: Direction) {
        match direction {
            Direction::Up => self.counters.incr_misses += 1,
            Direction::Down => self.counters.decr_misses += 1,
        }
    }
}
