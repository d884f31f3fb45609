//! The store in numbers: sums over what is kept, and what has happened so far.

use super::Store;
use super::log::Log;
use super::record::{NEVER, Record};

/// Records that are looked at in search of the oldest item: dead ones may be older.
const OLDEST_RECORDS_MAX: u32 = 256;

/// What has happened in a store since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Live items that were evicted.
    pub evictions: u64,
    /// Those of them that were never read.
    pub evicted_unfetched: u64,
    /// Those of them that would have expired some time.
    pub evicted_with_time: u64,
    /// Seconds since the last access to the last of them.
    pub evicted_idle_s: u32,
    /// Expired or flushed items whose memory was reclaimed at a log's tail or by the sweep.
    pub reclaimed: u64,
    /// Those of them that were never read.
    pub expired_unfetched: u64,
    /// Those of the reclaimed that the sweep found.
    pub swept: u64,
    /// Records that the sweep looked at.
    pub swept_past: u64,
    /// Items found to be expired by a lookup or a write of their key.
    pub expired_found: u64,
    /// The same for those that were flushed, whatever their time.
    pub flushed_found: u64,
    /// Bytes of all records written because a value was stored.
    pub stored_bytes: u64,
    /// Bytes of all records copied to another place. With `stored_bytes`: the write amplification.
    pub moved_bytes: u64,
    /// Bytes of live records that compaction kept instead of evicting them.
    pub compacted_bytes: u64,
    /// Records whose hash was computed again because their table was laid out anew.
    pub rehashed: u64,
    /// The most of them in one operation.
    pub rehashed_at_once_max: usize,
    /// Largest share of dead bytes, in thousandths of a log, at which a live item was evicted.
    pub dead_per_mille_at_eviction_max: u64,
}

impl StoreCounters {
    /// Bytes written for each one that a client stored: 1 and what was copied.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        1.0 + self.moved_bytes as f64 / self.stored_bytes.max(1) as f64
    }

    /// Counts a live record that is evicted.
    pub(super) fn count_evicted(&mut self, record: &Record, now_s: u32) {
        self.evictions += 1;
        self.evicted_unfetched += u64::from(!record.is_fetched());
        self.evicted_with_time += u64::from(record.expires_at_s != NEVER);
        self.evicted_idle_s = now_s.saturating_sub(record.accessed_s);
    }

    /// Counts an expired or flushed record whose memory is reclaimed without a lookup.
    pub(super) fn count_reclaimed(&mut self, record: &Record) {
        self.reclaimed += 1;
        self.expired_unfetched += u64::from(!record.is_fetched());
    }
}

impl Store {
    /// Items kept, those included that are expired and not yet found.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.map.len()
    }

    /// Nothing is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the item was accessed last that has been kept longest. None when there is none, or none
    /// among the oldest records.
    #[must_use]
    pub fn oldest_accessed_s(&self) -> Option<u32> {
        let [probation, main] = &self.logs;
        let oldest = |log: &Log| log.oldest_live(OLDEST_RECORDS_MAX, &self.arena);
        oldest(main).or_else(|| oldest(probation)).map(|record| record.accessed_s)
    }

    /// Bytes of all items kept, as records.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.logs[0].live_bytes() + self.logs[1].live_bytes()
    }

    /// Bytes of the logs that are in use, and those of them that are dead.
    #[must_use]
    pub const fn log_bytes(&self) -> (u64, u64) {
        let [probation, main] = &self.logs;
        (probation.used_bytes() + main.used_bytes(), probation.dead_bytes() + main.dead_bytes())
    }

    /// Bytes copied within the store so far, and as many for each record looked at as a load brings
    /// into the processor's caches. It only grows: a turn is bounded by its difference.
    #[must_use]
    pub const fn work_bytes(&self) -> u64 {
        self.work_bytes
    }

    /// Has the memory for records in huge pages, where there are any. For a store that is still empty.
    pub fn advise_huge_pages(&self) {
        self.arena.advise_huge_pages();
    }

    /// Counts items by size from now on. For a store that is still empty.
    pub fn track_sizes(&mut self) {
        self.sizes.track();
    }

    /// Upper bounds of records' sizes in bytes, each with the number of its items, the smallest
    /// first. Nothing where sizes are not tracked.
    pub fn sizes(&self) -> impl Iterator<Item = (usize, u64)> {
        self.sizes.counts()
    }

    /// Bytes that the map takes beside the records.
    #[must_use]
    pub const fn map_bytes(&self) -> usize {
        self.map.bytes()
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> &StoreCounters {
        &self.counters
    }

    /// Counts from 0 again what has happened. What is kept is counted as before.
    pub fn reset_counters(&mut self) {
        self.counters = StoreCounters::default();
    }
}
