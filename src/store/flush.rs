//! Expiry and flush: which records are no longer live.
//!
//! Every lookup checks both. A flush is a position in each log: records below it are flushed, and
//! records written later have higher positions. So a flush takes constant time, and several flushes
//! within one second are all exact. Both need a `now_s` that does not decrease. (`debugtime` can turn the
//! clock back, in debug builds: flushed items are then shown again until it catches up.)

use super::Store;
use super::log::Log;
use super::record::{NEVER, Record};
use crate::trace;

impl Store {
    /// Flushes all items: now, or in the first call in or after the second `at_s`. It replaces a
    /// delayed flush that is not due yet, as in memcached.
    pub fn flush(&mut self, at_s: u32, now_s: u32) {
        self.tick(now_s);
        self.flush_at_s = Some(at_s);
        self.flush_if_due(now_s);
    }

    /// Carries out a delayed flush that is due.
    pub(super) fn flush_if_due(&mut self, now_s: u32) {
        if self.flush_at_s.is_some_and(|at_s| at_s <= now_s) {
            self.flush_at_s = None;
            let holds_flushed = self.logs.iter().any(Log::holds_flushed);
            for log in &mut self.logs {
                log.flush();
            }
            self.sweep.note_flush(now_s, holds_flushed);
            self.note_death();
        }
    }

    /// Is the record neither expired nor flushed? Where no item has a TTL, the sweep's lower bound says at
    /// once that no record can be.
    #[inline]
    pub(super) fn is_live(&self, record: &Record, now_s: u32) -> bool {
        !self.sweep.may_find(now_s) || self.is_live_by_itself(record, now_s)
    }

    pub(super) fn is_live_by_itself(&self, record: &Record, now_s: u32) -> bool {
        (record.expires_at_s == NEVER || record.expires_at_s > now_s)
            && !self.is_flushed(record.offset)
    }

    /// Was the record at `offset` written before the last flush?
    pub(super) fn is_flushed(&self, offset: usize) -> bool {
        self.logs[self.queue_of(offset) as usize].is_flushed(offset)
    }

    /// Removes a record that was found to be expired or flushed.
    pub(super) fn remove_expired(&mut self, hash: u64, record: &Record) {
        if self.is_flushed(record.offset) {
            self.counters.flushed_found += 1;
        } else {
            self.counters.expired_found += 1;
            trace::expired(record.key(&self.arena));
        }
        self.remove_record(hash, record);
    }
}
