//! A lower limit of memory, while the server runs (`cache_memlimit`).
//!
//! The logs keep their places in the arena, and may hold fewer bytes than these have. What they hold
//! above the new limit is evicted at their tails, in steps of [`LARGE_BYTES`]; each call with a `now_s`
//! makes one step, and the turn of a connection is bounded by the records that were passed, as for
//! every eviction. A log that is limited still writes through all of its place, lap after lap, and a
//! lower limit gives no memory back to the kernel: that would take `madvise`, which only unsafe code
//! may call for pages that are in use.

use super::Store;
use super::log::Log;
use super::policy::{LARGE_BYTES, Queue};

/// The limits that were set last. The logs follow in steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// What the arena was mapped for.
    memory_bytes_max: usize,
    /// Bytes that probation and main may hold. None if they may hold all that they were laid out for.
    logs: Option<[u64; 2]>,
}

impl Limits {
    pub(super) const fn new(memory_bytes: usize) -> Self {
        Self { memory_bytes_max: memory_bytes, logs: None }
    }
}

impl Store {
    /// Limits the memory for items to `memory_bytes`. Returns false if that is more than the store was
    /// made for, or if no live record may be evicted.
    pub fn limit_memory(&mut self, memory_bytes: usize) -> bool {
        let all = self.limits.memory_bytes_max;
        if memory_bytes > all || (memory_bytes < all && !self.evicts) {
            return false;
        }
        // Each log keeps its share.
        let share = |log: &Log| {
            let bytes = u128::from(log.size()) * memory_bytes as u128 / all as u128;
            u64::try_from(bytes).expect("it is at most the size of the log")
        };
        self.limits.logs = Some([share(&self.logs[0]), share(&self.logs[1])]);
        self.sweep.note_work();
        true
    }

    /// Makes one step towards the limits. Returns whether another one is due.
    pub(super) fn approach_limits(&mut self, now_s: u32) -> bool {
        let Some(limits) = self.limits.logs else {
            return false;
        };
        self.drop_reservation();
        let mut is_above = false;
        for queue in [Queue::Probation, Queue::Main] {
            let limit = limits[queue as usize];
            let held = self.logs[queue as usize].used_bytes();
            if held > limit {
                self.evict_to(queue, limit.max(held.saturating_sub(LARGE_BYTES)), now_s);
            }
            let log = &mut self.logs[queue as usize];
            log.set_limit(limit);
            is_above |= log.used_bytes() > limit;
        }
        if !is_above {
            self.limits.logs = None;
        }
        is_above
    }
}
