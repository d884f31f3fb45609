//! Numbers that are counted up and down: `incr`, `decr`, and what `ma` does beneath its flags.

use super::{Engine, Key, Now};
use crate::protocol::command::Direction;
use crate::protocol::token::{self, DIGITS_MAX, digits_of};
use crate::protocol::{Reply, ReplyWriter, item_bytes};
use crate::store::{Amendment, Marks, Meta, Stored};

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
}

impl Engine {
    /// `incr` and `decr`.
    pub(super) fn count_plain(
        &mut self,
        key: Key<'_>,
        direction: Direction,
        delta: u64,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) {
        match self.count(key, direction, delta, None, now) {
            Counted::Number { number, .. } => reply.count(number),
            Counted::Missing => {
                self.count_miss(direction);
                reply.line(Reply::NotFound);
            }
            Counted::NotNumber => reply.line(Reply::NotNumber),
            Counted::NoRoom | Counted::Exists => reply.line(Reply::NoRoomForNumber),
        }
    }

    /// Counts the number under `key` up or down, if the item has the cas id `compare`.
    pub(super) fn count(
        &mut self,
        key: Key<'_>,
        direction: Direction,
        delta: u64,
        compare: Option<u64>,
        now: Now,
    ) -> Counted {
        let Some(item) = self.store.peek(key, now.uptime_s) else {
            return Counted::Missing;
        };
        if compare.is_some_and(|expected| expected != 0 && expected != item.meta.cas) {
            return Counted::Exists;
        }
        let (meta, marks, value_bytes) = (item.meta, item.marks, item.value.len());
        self.labour_bytes += value_bytes;
        // memcached keeps what is larger in chunks, and takes no number out of those.
        let is_chunked =
            item_bytes(key.bytes().len(), meta.flags, value_bytes) > self.config.item_bytes_max / 2;
        let Some(old) = token::loose_u64(item.value).filter(|_| !is_chunked) else {
            return Counted::NotNumber;
        };
        // As memcached: up wraps, down stops at 0.
        let number = match direction {
            Direction::Up => old.wrapping_add(delta),
            Direction::Down => old.saturating_sub(delta),
        };
        let mut space = [0; DIGITS_MAX];
        let digits = digits_of(number, &mut space);
        let cas = self.next_cas();
        if digits.len() <= value_bytes {
            self.store.replace_value(key, digits, b' ', cas, now.uptime_s);
        } else {
            let meta = Meta { cas, ..meta };
            if self.store.set(key, digits, meta, now.uptime_s) != Stored::Kept {
                return Counted::NoRoom;
            }
            self.counters.total_items += 1;
            if marks.key_encoded {
                let marks = Some(Marks { key_encoded: true, ..Marks::default() });
                let amendment = Amendment { marks, ..Amendment::default() };
                self.store.amend(key, amendment, now.uptime_s);
            }
        }
        match direction {
            Direction::Up => self.counters.incr_hits += 1,
            Direction::Down => self.counters.decr_hits += 1,
        }
        Counted::Number { number, cas, expires_at_s: meta.expires_at_s }
    }

    /// There was no number to count up or down.
    pub(super) const fn count_miss(&mut self, direction: Direction) {
        match direction {
            Direction::Up => self.counters.incr_misses += 1,
            Direction::Down => self.counters.decr_misses += 1,
        }
    }
}
