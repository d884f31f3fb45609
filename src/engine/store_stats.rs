//! Figures of the store as plain data, for the metrics.

use super::{Engine, Now};
use crate::store::StoreCounters;

/// A snapshot of the store.
#[derive(Clone, Copy, Debug)]
pub struct StoreStats {
    /// Seconds since the start.
    pub uptime_s: u32,
    /// The wall clock.
    pub unix_s: i64,
    /// Items, including those that have expired and have not been found yet.
    pub items: u64,
    /// Bytes of the items' records.
    pub live_bytes: u64,
    /// Bytes of records that have expired, were deleted or replaced, and of what was skipped at the end
    /// of a lap, until eviction or compaction frees them.
    pub dead_bytes: u64,
    /// Bytes that may be written before anything is evicted.
    pub free_bytes: u64,
    /// The memory for items: the three above, and the ghost of evicted keys.
    pub limit_bytes: u64,
    /// Bytes of the map's tables, which are not part of the memory for items.
    pub map_bytes: u64,
    /// Seconds since the last access to the oldest item.
    pub oldest_age_s: u32,
    /// Connections that may be open.
    pub connections_max: u64,
    /// Connections that watch events.
    pub watchers: u64,
    /// Counts of events.
    pub counters: StoreCounters,
}

impl Engine {
    /// The store's figures. The call does the work that is due in this second, as every request does,
    /// so expired items are found while there are no requests.
    pub fn store_stats(&mut self, now: Now) -> StoreStats {
        self.now = if cfg!(debug_assertions) { self.debug_time(now) } else { now };
        self.store.tick(self.now.uptime_s);
        let live_bytes = self.store.bytes();
        StoreStats {
            uptime_s: self.now.uptime_s - Now::FIRST_S,
            unix_s: self.now.unix_s,
            items: self.store.len() as u64,
            live_bytes,
            dead_bytes: self.store.log_bytes().0 - live_bytes,
            free_bytes: self.store.free_bytes(),
            limit_bytes: self.config.memory_bytes_max as u64,
            map_bytes: self.store.map_bytes() as u64,
            oldest_age_s: self.store.oldest_idle_s(self.now.uptime_s).unwrap_or_default(),
            connections_max: self.config.connections_max as u64,
            watchers: self.events.watchers() as u64,
            counters: *self.store.counters(),
        }
    }
}
