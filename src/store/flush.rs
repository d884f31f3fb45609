//! Expiry and flush: which records are no longer live.
//!
//! Both are exact at every lookup. A flush is a position in each log: what was written before it is
//! gone, and what is written or moved later is after it. So it costs nothing, however much there is,
//! and has nothing to do with the clock: any number of flushes in a second is as exact as one.

use super::Store;
use super::log::Log;
use super::record::{NEVER, Record};
use crate::trace;

impl Store {
    /// Flushes everything: now, or in the first call at or past the second `at_s`. A flush that is
    /// still to come is replaced, as memcached does.
    pub fn flush(&mut self, at_s: u32, now_s: u32) {
        self.tick(now_s);
        self.flush_at_s = Some(at_s);
        self.flush_if_due(now_s);
    }

    /// Carries out a flush whose time has come.
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

    /// Neither past its time nor flushed?
    pub(super) fn is_live(&self, record: &Record, now_s: u32) -> bool {
        (record.expires_at_s == NEVER || record.expires_at_s > now_s)
            && !self.is_flushed(record.offset)
    }

    /// Was the record at `offset` written before the last flush?
    pub(super) fn is_flushed(&self, offset: usize) -> bool {
        self.logs[self.queue_of(offset) as usize].is_flushed(offset)
    }

    /// Forgets a record that a lookup found to be expired or flushed.
    pub(super) fn forget_expired(&mut self, hash: u64, record: &Record) {
        if self.is_flushed(record.offset) {
            self.counters.flushed_found += 1;
        } else {
            self.counters.expired_found += 1;
            trace::expired(record.key(&self.arena));
        }
        self.forget(hash, record);
    }
}
