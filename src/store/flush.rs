//! Expiry and flush: which records are no longer live.
//!
//! Every lookup checks both. A flush is a position in each log: records below it are flushed, and
//! records written later have higher positions. So a flush takes constant time, and several flushes
//! within one second are all exact. Both need a `now_s` that does not decrease. (`debugtime` can turn the
//! clock back, in debug builds: flushed items are then shown again until it catches up.) The flush of a
//! prefix is a position, too: see `flushed_prefixes`.

use super::Store;
use super::log::Log;
use super::policy::Queue;
use super::record::{NEVER, Record};
use crate::trace;

/// Records that the sweep reads at once for the flush of a prefix, while too many are flushed already. In
/// the accounts of a turn they are 256 KiB that were copied.
const RECORDS_PER_STEP: usize = 4096;

/// The result of the flush of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixFlush {
    /// No item with this prefix is left.
    Done,
    /// Too many prefixes were flushed since the last lap of the sweep. A part of the next lap was made,
    /// and nothing is flushed yet. The caller repeats the call, after other clients have had their turn.
    NeedsStep,
    /// There is no memory to note the flush in. Nothing is flushed.
    OutOfMemory,
}

impl Store {
    /// Sets the byte that ends a prefix. To be called while the store is empty.
    pub const fn set_prefix_delimiter(&mut self, delimiter: u8) {
        self.flushed_prefixes.set_delimiter(delimiter);
    }

    /// Flushes all items whose key has `prefix` before its first delimiter. Takes constant time, unless
    /// thousands of other prefixes have been flushed since the last lap of the sweep.
    pub fn flush_prefix(&mut self, prefix: &[u8], now_s: u32) -> PrefixFlush {
        self.tick(now_s);
        let mut records = 0;
        while self.flushed_prefixes.is_full_for(prefix) {
            if records >= RECORDS_PER_STEP {
                return PrefixFlush::NeedsStep;
            }
            records += self.sweep_table(now_s).max(1);
        }
        if self.map.len() == 0 {
            return PrefixFlush::Done;
        }
        let heads = [self.logs[0].head(), self.logs[1].head()];
        let is_between_laps = self.sweep.is_between_laps();
        if self.flushed_prefixes.add(prefix, heads, is_between_laps).is_err() {
            return PrefixFlush::OutOfMemory;
        }
        self.sweep.note_prefix_flush();
        self.note_death();
        PrefixFlush::Done
    }

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
            self.flushed_prefixes.clear();
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

    /// Was the record at `offset` written before all items, or those with its key's prefix, were flushed?
    pub(super) fn is_flushed(&self, offset: usize) -> bool {
        self.logs[self.queue_of(offset) as usize].is_flushed(offset)
            || (!self.flushed_prefixes.is_empty() && self.is_flushed_by_prefix(offset))
    }

    /// Not inlined, and without the record as an argument: its fields would have to go through memory in
    /// every lookup.
    #[cold]
    #[inline(never)]
    fn is_flushed_by_prefix(&self, offset: usize) -> bool {
        let queue = self.queue_of(offset) as usize;
        let log = &self.logs[queue];
        self.flushed_prefixes.is_flushed(&self.arena.record(offset), (queue, log), &self.arena)
    }

    /// May a log hold flushed records that have not been reclaimed yet?
    pub(super) fn may_hold_flushed(&self, queue: Queue) -> bool {
        let log = &self.logs[queue as usize];
        log.holds_flushed() || log.holds_below(self.flushed_prefixes.flushed_to(queue as usize))
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
