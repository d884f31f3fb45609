//! The plain store: a std `HashMap` that keeps all it is given, so naive that it is plainly right.
//! What the real store has made room with is taken out of it when that shows, and counted.

use std::collections::HashMap;

use miocached::store::{Item, Marks, Meta, NEVER};

/// What a key leads to.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) value: Vec<u8>,
    pub(crate) meta: Meta,
    pub(crate) marks: Marks,
    pub(crate) fetched: bool,
}

/// All items that were ever stored and are not over.
#[derive(Default)]
pub(crate) struct Model {
    items: HashMap<Vec<u8>, Kept>,
    /// When everything is to go.
    flush_at_s: Option<u32>,
    /// Live items that the real store had no more.
    pub(crate) vanished: u64,
}

impl Model {
    /// Everything that is over by now goes.
    pub(crate) fn pass(&mut self, now_s: u32) {
        if self.flush_at_s.is_some_and(|at_s| at_s <= now_s) {
            self.flush_at_s = None;
            self.items.clear();
        }
        self.items
            .retain(|_, kept| kept.meta.expires_at_s == NEVER || kept.meta.expires_at_s > now_s);
    }

    pub(crate) fn flush(&mut self, at_s: u32, now_s: u32) {
        self.flush_at_s = Some(at_s);
        self.pass(now_s);
    }

    pub(crate) fn set(&mut self, key: &[u8], value: Vec<u8>, meta: Meta) {
        let kept = Kept { value, meta, marks: Marks::default(), fetched: false };
        self.items.insert(key.to_vec(), kept);
    }

    pub(crate) fn item(&mut self, key: &[u8]) -> Option<&mut Kept> {
        self.items.get_mut(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// The key is gone because a client said so.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.items.remove(key);
    }

    /// The real store does not have `key` any more. It may have had to leave.
    pub(crate) fn miss(&mut self, key: &[u8]) {
        self.vanished += u64::from(self.items.remove(key).is_some());
    }

    /// The real store says that this is there: it must be.
    pub(crate) fn check(&self, key: &[u8], item: &Item<'_>) {
        let kept = self.items.get(key).unwrap_or_else(|| {
            panic!("{} is served, but it is over", key.escape_ascii());
        });
        assert!(kept.value == item.value, "{}: a wrong value", key.escape_ascii());
        let told = (item.meta, item.marks, item.fetched);
        assert_eq!(told, (kept.meta, kept.marks, kept.fetched), "{}", key.escape_ascii());
    }
}
