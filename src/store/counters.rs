//! The store's numbers: sums over the items, and counts of events so far.

use super::Store;
use super::log::Log;
use super::record::{NEVER, Record, idle_s};

/// Limit of records that a search for the oldest item reads, because dead records may come first.
const OLDEST_RECORDS_MAX: u32 = 256;

/// Counts of events since the store was built or the counters were reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Live items that were evicted.
    pub evictions: u64,
    /// Evicted items that were never read.
    pub evicted_unfetched: u64,
    /// Evicted items that had an expiry time.
    pub evicted_with_time: u64,
    /// Seconds between the last access to the last evicted item and its eviction.
    pub evicted_idle_s: u32,
    /// Expired or flushed items that were removed at a log's tail or by the sweep.
    pub reclaimed: u64,
    /// Reclaimed items that were never read.
    pub expired_unfetched: u64,
    /// Reclaimed items that the sweep found.
    pub swept: u64,
    /// Records that the sweep has read.
    pub swept_past: u64,
    /// Expired items that were found by a lookup or a write of their key, or because the key's table
    /// was full.
    pub expired_found: u64,
    /// The same for flushed items, expired or not.
    pub flushed_found: u64,
    /// Bytes of all records written because a value was stored.
    pub stored_bytes: u64,
    /// Bytes of all records copied to another offset.
    pub moved_bytes: u64,
    /// Bytes of live records that compaction kept instead of evicting them.
    pub compacted_bytes: u64,
    /// Records whose hash was computed again because their table was rebuilt or split.
    pub rehashed: u64,
    /// Largest number of records rehashed in one operation.
    pub rehashed_at_once_max: usize,
    /// Largest share of dead bytes in a log, in thousandths, when a live item at its tail was evicted.
    pub dead_per_mille_at_eviction_max: u64,
}

impl StoreCounters {
    /// Write amplification: bytes written for each byte stored, which is 1 plus the bytes moved.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        1.0 + self.moved_bytes as f64 / self.stored_bytes.max(1) as f64
    }

    /// Counts a live record that is evicted.
    pub(super) fn count_evicted(&mut self, record: &Record, now_s: u32) {
        self.evictions += 1;
        self.evicted_unfetched += u64::from(!record.is_fetched());
        self.evicted_with_time += u64::from(record.expires_at_s != NEVER);
        self.evicted_idle_s = idle_s(record.accessed_s, now_s);
    }

    /// Counts an expired or flushed record that is removed without a lookup.
    pub(super) fn count_reclaimed(&mut self, record: &Record) {
        self.reclaimed += 1;
        self.expired_unfetched += u64::from(!record.is_fetched());
    }
}

impl Store {
    /// Number of items, including expired and flushed ones that have not been found yet.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.map.len()
    }

    /// There is no item.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Seconds since the last access to the oldest item: the first one from main's tail on, or else
    /// from probation's. None if neither has one among its oldest records.
    #[must_use]
    pub fn oldest_idle_s(&self, now_s: u32) -> Option<u32> {
        let [probation, main] = &self.logs;
        let oldest = |log: &Log| log.oldest_live(OLDEST_RECORDS_MAX, &self.arena);
        oldest(main).or_else(|| oldest(probation)).map(|record| idle_s(record.accessed_s, now_s))
    }

    /// Bytes of all items' records.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.logs[0].live_bytes() + self.logs[1].live_bytes()
    }

    /// Used bytes of both logs, and how many of these are dead.
    #[must_use]
    pub const fn log_bytes(&self) -> (u64, u64) {
        let [probation, main] = &self.logs;
        (probation.used_bytes() + main.used_bytes(), probation.dead_bytes() + main.dead_bytes())
    }

    /// Bytes of both logs that may be written before anything is evicted.
    #[must_use]
    pub const fn free_bytes(&self) -> u64 {
        self.logs[0].free_bytes() + self.logs[1].free_bytes()
    }

    /// Work done so far: bytes copied within the store, plus 64 for each record that maintenance reads.
    /// The sum only grows. A turn of the event loop is limited by its increase.
    #[must_use]
    pub const fn work_bytes(&self) -> u64 {
        self.work_bytes
    }

    /// Asks for huge pages for the records. To be called while the store is empty.
    pub fn advise_huge_pages(&self) {
        self.arena.advise_huge_pages();
    }

    /// Starts counting items by size. To be called while the store is empty.
    pub fn track_sizes(&mut self) {
        self.sizes.track();
    }

    /// Histogram of record sizes: the upper bound of each class in bytes and its number of items, in
    /// ascending order. Empty if sizes are not tracked.
    pub fn sizes(&self) -> impl Iterator<Item = (usize, u64)> {
        self.sizes.counts()
    }

    /// Bytes of the map's tables.
    #[must_use]
    pub const fn map_bytes(&self) -> usize {
        self.map.bytes()
    }

    /// Number of flushed prefixes that the sweep has not finished with.
    #[must_use]
    pub fn flushed_prefixes(&self) -> usize {
        self.flushed_prefixes.len()
    }

    /// The counts of events so far.
    #[must_use]
    pub const fn counters(&self) -> &StoreCounters {
        &self.counters
    }

    /// Sets the counts of events to 0. Sums over the items do not change.
    pub fn reset_counters(&mut self) {
        self.counters = StoreCounters::default();
    }
}
