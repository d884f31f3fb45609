//! Counters since the start or the last `stats reset`, under memcached's names.
//!
//! The network counts here, too, so that one reset is enough. The store has counters of its own
//! ([`crate::store::StoreCounters`]).

/// Buckets of the durations of turns, one for each power of two of microseconds; the last one also
/// counts longer turns.
pub const TURN_BUCKETS: usize = 24;

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
    /// The longest turn of the event loop, in microseconds.
    pub longest_turn_us: u64,
    /// Turns by their duration: the bucket `i` counts those below `2^i` microseconds.
    pub turns_by_duration: [u64; TURN_BUCKETS],
}
