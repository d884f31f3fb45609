//! The model of the store: a std `HashMap` that keeps everything, so simple that it is obviously right.
//! When the real store turns out to have evicted an item, the model removes and counts it.

use std::collections::{HashMap, HashSet};

use miocached::store::{Attributes, Item, NEVER};

/// One item.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) value: Vec<u8>,
    pub(crate) attributes: Attributes,
    pub(crate) fetched: bool,
}

/// All live items.
#[derive(Default)]
pub(crate) struct Model {
    items: HashMap<Vec<u8>, Kept>,
    /// The second of a delayed flush.
    flush_at_s: Option<u32>,
    /// Number of live items that the real store had evicted.
    pub(crate) vanished: u64,
}

impl Model {
    /// Removes all expired items.
    pub(crate) fn pass(&mut self, now_s: u32) {
        if self.flush_at_s.is_some_and(|at_s| at_s <= now_s) {
            self.flush_at_s = None;
            self.items.clear();
        }
        self.items.retain(|_, kept| {
            let at_s = kept.attributes.expires_at_s;
            at_s == NEVER || at_s > now_s
        });
    }

    pub(crate) fn flush(&mut self, at_s: u32, now_s: u32) {
        self.flush_at_s = Some(at_s);
        self.pass(now_s);
    }

    /// Removes the items whose key has this prefix before its first colon.
    pub(crate) fn flush_prefix(&mut self, prefix: &[u8]) {
        self.items.retain(|key, _| {
            let mut parts = key.splitn(2, |&byte| byte == b':');
            parts.next() != Some(prefix) || parts.next().is_none()
        });
    }

    pub(crate) fn set(&mut self, key: &[u8], value: Vec<u8>, attributes: Attributes) {
        let kept = Kept { value, attributes, fetched: false };
        self.items.insert(key.to_vec(), kept);
    }

    pub(crate) fn item(&mut self, key: &[u8]) -> Option<&mut Kept> {
        self.items.get_mut(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// A client has deleted the key.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.items.remove(key);
    }

    /// The real store does not have `key`, so it may have evicted it.
    pub(crate) fn miss(&mut self, key: &[u8]) {
        self.vanished += u64::from(self.items.remove(key).is_some());
    }

    /// A new real store has only the items under these keys: all others had been evicted from the last.
    pub(crate) fn evicted_but(&mut self, keys: &HashSet<Vec<u8>>) {
        self.items.retain(|key, _| keys.contains(key));
        self.vanished = 0;
    }

    /// The real store has this item, so the model must have it, too.
    pub(crate) fn check(&self, key: &[u8], item: &Item<'_>) {
        let kept = self.items.get(key).unwrap_or_else(|| {
            panic!("{} is served, but it is expired or flushed", key.escape_ascii());
        });
        assert!(kept.value == item.value, "{}: a wrong value", key.escape_ascii());
        let found = (item.attributes, item.fetched);
        assert_eq!(found, (kept.attributes, kept.fetched), "{}", key.escape_ascii());
    }
}
