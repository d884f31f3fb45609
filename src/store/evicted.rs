//! A log of evicted items, for a caller that shows them. It is off until it is asked for.

use super::Store;
use super::arena::Arena;
use super::record::{NEVER, Record};

/// Limit of the keys in the log, in bytes. Evictions above it are only counted.
const KEY_BYTES_MAX: usize = 64 << 10;
/// Limit of the items in the log.
const ITEMS_MAX: usize = 4096;
/// A longer key is cut off.
const SHOWN_KEY_BYTES_MAX: usize = 250;

/// An item that was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvictedItem<'k> {
    /// Its key, or the beginning of a long one.
    pub key: &'k [u8],
    /// It was read since it was stored.
    pub fetched: bool,
    /// Seconds until it would have expired; None for never.
    pub ttl_s: Option<u32>,
    /// Seconds since it was last read or written.
    pub idle_s: u32,
    /// Bytes of its value.
    pub value_bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct EvictedLog {
    is_on: bool,
    /// The keys, one after the other. Its memory is allocated when the log is switched on, and does not
    /// grow.
    keys: Vec<u8>,
    /// The end of each key, and what is known of its item beside the key. The same holds for its memory.
    items: Vec<(usize, EvictedItem<'static>)>,
    lost: u64,
}

impl EvictedLog {
    /// Notes an item that is being evicted.
    #[inline]
    pub(super) fn note(&mut self, record: &Record, arena: &Arena, now_s: u32) {
        if self.is_on {
            self.add(record, arena, now_s);
        }
    }

    #[cold]
    fn add(&mut self, record: &Record, arena: &Arena, now_s: u32) {
        let key = record.key(arena);
        let key = &key[..key.len().min(SHOWN_KEY_BYTES_MAX)];
        let is_full = self.items.len() == self.items.capacity();
        if is_full || self.keys.len() + key.len() > self.keys.capacity() {
            self.lost += 1;
            return;
        }
        self.keys.extend_from_slice(key);
        let item = record.item(arena);
        let expires_at_s = item.attributes.expires_at_s;
        let item = EvictedItem {
            key: &[],
            fetched: item.fetched,
            ttl_s: (expires_at_s != NEVER).then(|| expires_at_s.saturating_sub(now_s)),
            idle_s: item.idle_s(now_s),
            value_bytes: item.value.len(),
        };
        self.items.push((self.keys.len(), item));
    }
}

impl Store {
    /// Switches the log of evicted items on or off. If there is no memory for it, items are lost.
    pub fn log_evicted(&mut self, is_on: bool) {
        if is_on == self.evicted.is_on {
            return;
        }
        self.evicted = EvictedLog { is_on, ..EvictedLog::default() };
        if is_on {
            let _ = self.evicted.keys.try_reserve_exact(KEY_BYTES_MAX);
            let _ = self.evicted.items.try_reserve_exact(ITEMS_MAX);
        }
    }

    /// Passes the items that were evicted since the last call to `visit`. Returns the number of those
    /// for which the log had no room.
    pub fn take_evicted(&mut self, mut visit: impl FnMut(EvictedItem<'_>)) -> u64 {
        let EvictedLog { keys, items, lost, .. } = &mut self.evicted;
        let mut start = 0;
        for (end, item) in items.drain(..) {
            visit(EvictedItem { key: &keys[start..end], ..item });
            start = end;
        }
        keys.clear();
        std::mem::take(lost)
    }
}
