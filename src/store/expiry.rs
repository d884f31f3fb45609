//! When records are over: by their time, or by a flush.
//!
//! Both are exact at every lookup, and nobody walks about to find them: a record that is over gives
//! its memory back when it is looked up or reached by a tail. A flush is one number. Everything
//! last accessed at or before `flushed_through_s` is gone, and every access from then on is written
//! as later than that, even within the same second; so access times may run ahead of the clock by
//! as many seconds as there were flushes in one.

use super::{Record, Store};

impl Store {
    /// Everything is gone: now, or from the first call at or past the second `at_s`. One that is
    /// still to come is forgotten, as memcached does.
    pub fn flush(&mut self, at_s: u32, now_s: u32) {
        self.flush_if_due(now_s);
        self.flush_at_s = Some(at_s);
        self.flush_if_due(now_s);
    }

    /// Everything is gone that was last accessed before the second `at_s`, which is over. A flush that
    /// is still to come is forgotten.
    pub fn flush_before(&mut self, at_s: u32) {
        self.flush_at_s = None;
        self.flushed_through_s = self.flushed_through_s.max(at_s.saturating_sub(1));
    }

    /// Forgets a record that was found to be over.
    pub(super) fn bury_expired(&mut self, hash: u64, record: &Record) {
        let counters = &mut self.counters;
        if record.accessed_s <= self.flushed_through_s {
            counters.flushed_found += 1;
        } else {
            counters.expired_found += 1;
        }
        self.forget(hash, record);
    }

    /// Forgets a record.
    pub(super) fn forget(&mut self, hash: u64, record: &Record) {
        self.erase(hash, record.at);
        self.bury(record);
    }
}
