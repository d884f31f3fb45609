//! Overwriting a record where it stands: how far the new one may reach, and what is left over.
//!
//! Whatever fits is written in place, and what the new record leaves of the old one is dead space
//! that the next, longer one may take again, together with whatever else is dead behind it. So a
//! key whose values vary in size moves only while it has not had its largest one. By half writes
//! of 16 to 1,000 bytes, Zipf 1.0 (`replay`'s `overwrites`, of 64 MiB):
//!
//! ```text
//!                                                     misses, of LRU's   bytes moved per stored
//! in place where that wastes an eighth at most                   1.113                     4.05
//! in place wherever it fits                                      1.081                     2.82
//! the same, and over dead space behind the record                1.072                     1.86
//! ```
//! Knows no map and no policy.

use super::{DEAD, Record, Store};

/// Dead records behind a live one that a longer one is written over. With 1 of them 2.30 bytes are
/// moved for each one stored, with 16 as many as with 4.
const DEAD_RECORDS_MAX: u32 = 4;

impl Store {
    /// Bytes from the start of `old` on that belong to nobody else, if that is enough for `bytes`;
    /// otherwise fewer than `bytes`.
    pub(super) fn reach_of(&self, old: &Record, bytes: usize) -> usize {
        let log = &self.logs[self.log_of(old.at) as usize];
        let mut reach = old.bytes();
        for _ in 0..DEAD_RECORDS_MAX {
            let at = old.at + reach;
            if reach >= bytes || at == log.place(log.head) || at == log.end() {
                break;
            }
            let next = Record::read(&self.arena, at);
            if !next.is_dead() || next.ends_lap() {
                break;
            }
            reach += next.bytes();
        }
        reach
    }

    /// Accounts for a record of `bytes` that was written over `old` and the dead space behind it,
    /// `reach` bytes in all. What is left is dead.
    pub(super) fn settle(&mut self, old: &Record, bytes: usize, reach: usize) {
        let (taken, left) = (reach - old.bytes(), reach - bytes);
        if left > 0 {
            self.write_filler(old.at + bytes, left, DEAD);
        }
        let place = self.log_of(old.at);
        let log = &mut self.logs[place as usize];
        if left > taken {
            log.bury((left - taken) as u64);
        } else {
            log.dead -= (taken - left) as u64;
        }
    }
}
