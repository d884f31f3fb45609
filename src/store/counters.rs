//! The store in numbers: sums over what is kept, and what has happened so far.

use super::{Record, Store, arena};

/// What has happened in a store since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Live items that had to leave.
    pub evictions: u64,
    /// Those of them that nobody had read.
    pub evicted_unfetched: u64,
    /// Those of them that would have expired some time.
    pub evicted_with_time: u64,
    /// Seconds that the last of them had not been asked for.
    pub evicted_idle_s: u32,
    /// Those of the reclaimed that nobody had read.
    pub expired_unfetched: u64,
    /// Items that were over and whose memory a newer one took.
    pub reclaimed: u64,
    /// Items that were over by their time when somebody asked for them or wrote their key.
    pub expired_found: u64,
    /// The same for those that a flush had taken, whatever their time.
    pub flushed_found: u64,
    /// Bytes of all records written because a value was stored.
    pub stored_bytes: u64,
    /// Bytes of all records copied to another place. With `stored_bytes`: the write amplification.
    pub moved_bytes: u64,
    /// Records whose hash was computed again because their table was laid out anew.
    pub rehashed: u64,
    /// The most of them in one operation.
    pub rehashed_at_once_max: usize,
    /// Largest share of dead bytes, in thousandths of a log, at which a live item had to leave.
    pub dead_per_mille_at_eviction_max: u64,
}

impl Counters {
    /// Bytes written for each one that a client stored: 1 and what was copied.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        1.0 + self.moved_bytes as f64 / self.stored_bytes.max(1) as f64
    }
}

impl Store {
    /// Items kept, those included that are over and not yet found to be.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items
    }

    /// Nothing is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// When the item was last asked for that has been kept longest; None when there is none there.
    #[must_use]
    pub fn oldest_accessed_s(&self) -> Option<u32> {
        let [probation, main] = &self.logs;
        let log = if main.is_empty() { probation } else { main };
        let oldest = (!log.is_empty()).then(|| Record::read(&self.arena, log.place(log.tail)))?;
        (!oldest.is_dead()).then_some(oldest.accessed_s)
    }

    /// Bytes of all items kept, as records.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.logs[0].live() + self.logs[1].live()
    }

    /// Bytes of the logs that are in use, and those of them that are dead.
    #[must_use]
    pub const fn log_bytes(&self) -> (u64, u64) {
        let [probation, main] = &self.logs;
        (probation.used() + main.used(), probation.dead + main.dead)
    }

    /// Has the memory for records in huge pages, where there are any. For a store that is still empty.
    pub fn ask_for_huge_pages(&mut self) {
        arena::ask_for_huge_pages(&self.arena);
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
        self.map_bytes
    }

    /// What has happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts from 0 again what has happened. What is kept is counted as before.
    pub fn reset_counters(&mut self) {
        self.counters = Counters::default();
    }
}
