//! Counters since the start or the last `stats reset`, under memcached's names.
//!
//! The network counts here, too, so that one reset is enough. The store has counters of its own
//! ([`crate::store::StoreCounters`]).

/// Buckets of [`Durations`], one for each power of two of microseconds.
pub const DURATION_BUCKETS: usize = 24;

/// A histogram of durations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durations {
    /// The bucket `i` counts those below `2^i` microseconds; the last one also counts longer ones.
    pub buckets: [u64; DURATION_BUCKETS],
    /// Their number.
    pub count: u64,
    /// Their sum, in nanoseconds.
    pub sum_ns: u64,
    /// The longest one, in nanoseconds.
    pub longest_ns: u64,
}

impl Durations {
    /// Adds a duration `count` times.
    pub const fn add(&mut self, ns: u64, count: u64) {
        // 0 is below 2^0, 1 below 2^1, 2 and 3 below 2^2.
        let power = (u64::BITS - (ns / 1000).leading_zeros()) as usize;
        let bucket = if power < DURATION_BUCKETS { power } else { DURATION_BUCKETS - 1 };
        self.buckets[bucket] += count;
        self.count += count;
        self.sum_ns = self.sum_ns.saturating_add(ns.saturating_mul(count));
        if ns > self.longest_ns {
            self.longest_ns = ns;
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "they are named as in memcached's protocol, which explains them")]
pub struct Counters {
    pub get_hits: u64,
    pub get_misses: u64,
    pub touch_hits: u64,
    pub touch_misses: u64,
    /// Stores with a value, whether their condition held or not, and whether the value was terminated.
    pub cmd_set: u64,
    pub cmd_flush: u64,
    /// Prefixes that were flushed. Not one of memcached's counters.
    pub cmd_flush_prefix: u64,
    pub cmd_meta: u64,
    pub delete_hits: u64,
    pub delete_misses: u64,
    pub incr_hits: u64,
    pub incr_misses: u64,
    pub decr_hits: u64,
    pub decr_misses: u64,
    pub cas_hits: u64,
    pub cas_misses: u64,
    pub cas_badval: u64,
    pub store_too_large: u64,
    pub store_no_memory: u64,
    pub auth_cmds: u64,
    pub auth_errors: u64,
    /// Items that were stored.
    pub total_items: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub total_connections: u64,
    pub rejected_connections: u64,
    pub listen_disabled_num: u64,
    pub time_in_listen_disabled_us: u64,
    /// Turns that ended at the limit of requests (`-R`) with more in the input.
    pub conn_yields: u64,
    pub idle_kicks: u64,
    /// Lines of events that were sent to watchers, and that watchers did not get.
    pub log_watcher_sent: u64,
    pub log_watcher_skipped: u64,
    /// Lines of events that were logged, and for which the log had no room.
    pub log_worker_written: u64,
    pub log_worker_dropped: u64,
    /// Requests that have been executed.
    pub requests: u64,
    /// Turns of the event loop.
    pub turns: Durations,
    /// With `--metrics`: requests, from the start of the loop's turn, which is when the poll reported
    /// them, to the write of their answers.
    pub request_times: Durations,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_bucket_of_their_power_of_two() {
        let mut durations = Durations::default();
        for (ns, count) in [(999, 1), (1000, 2), (1999, 3), (2000, 4), (3999, 5), (u64::MAX, 6)] {
            durations.add(ns, count);
        }
        assert_eq!(durations.buckets[..3], [1, 5, 9]);
        assert_eq!(durations.buckets[DURATION_BUCKETS - 1], 6);
        assert_eq!((durations.count, durations.sum_ns), (21, u64::MAX));
        assert_eq!(durations.longest_ns, u64::MAX);
    }
}
