//! A handle on one live item: found once, then read and changed in place.
//!
//! What needs another length goes through [`Store::set`] and [`Store::extend`] instead.

use super::record::{FETCHED, Item, Marks, Record};
use super::{HashedKey, Store};

/// See the module.
#[derive(Debug)]
pub struct ItemMut<'s> {
    store: &'s mut Store,
    record: Record,
    now_s: u32,
}

impl Store {
    /// A handle on the live item under `key`. Finding it is not an access.
    pub fn item_mut(&mut self, key: HashedKey<'_>, now_s: u32) -> Option<ItemMut<'_>> {
        let record = self.find_live(key, now_s)?;
        Some(ItemMut { store: self, record, now_s })
    }
}

impl ItemMut<'_> {
    /// The item as it is.
    #[must_use]
    pub fn item(&self) -> Item<'_> {
        self.record.item(&self.store.arena)
    }

    /// Counts as a read: what follows from that shows in [`Item::fetched`] and [`Item::accessed_s`].
    pub fn count_fetch(&mut self) {
        self.record.count_access(FETCHED, self.now_s, &mut self.store.arena);
    }

    /// Counts as an access that fetched nothing.
    pub fn count_access(&mut self) {
        self.record.count_access(0, self.now_s, &mut self.store.arena);
    }

    /// Sets the first second in which the item has expired, or `NEVER`.
    pub fn set_expiry(&mut self, expires_at_s: u32) {
        self.record.set_expiry(expires_at_s, &mut self.store.arena);
        self.store.sweep.note_expiry(expires_at_s);
    }

    /// Sets what meta commands remember.
    pub fn set_marks(&mut self, marks: Marks) {
        self.record.set_marks(marks, &mut self.store.arena);
    }

    /// Sets the cas id. False, and nothing has happened, when the item was stored with one below 2^48
    /// and this one is not: then the record has no room for it.
    #[must_use]
    pub fn set_cas(&mut self, cas: u64) -> bool {
        self.record.set_cas(cas, &mut self.store.arena)
    }

    /// Writes `start` over the beginning of the value and `padding` over the rest of it.
    ///
    /// # Panics
    /// When the value is shorter than `start`.
    pub fn overwrite_value(&mut self, start: &[u8], padding: u8) {
        self.record.overwrite_value(start, padding, &mut self.store.arena);
    }
}
