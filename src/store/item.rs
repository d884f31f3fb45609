//! A handle on one live item: one lookup, then reads and changes in place.
//!
//! [`Store::set`] and [`Store::extend`] make changes that need another length.

use super::record::{FETCHED, Item, Marks, Record};
use super::{HashedKey, Store};

/// See the module.
#[derive(Debug)]
pub struct ItemMut<'s> {
    store: &'s mut Store,
    record: Record,
    now_s: u32,
}

/// Where an item is in the memory. It holds until the next call that may change the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemAddress(u32);

impl Store {
    /// A handle on the live item under `key`. The lookup does not count as an access.
    #[inline]
    pub fn item_mut(&mut self, key: HashedKey<'_>, now_s: u32) -> Option<ItemMut<'_>> {
        let record = self.find_live(key, now_s)?;
        Some(ItemMut { store: self, record, now_s })
    }

    /// The value of the item at an address that was returned since the store changed last.
    #[must_use]
    pub fn value_at(&self, address: ItemAddress) -> &[u8] {
        self.arena.record(self.arena.offset(address.0)).item(&self.arena).value
    }
}

impl ItemMut<'_> {
    /// The item in its present state.
    #[must_use]
    #[inline]
    pub fn item(&self) -> Item<'_> {
        self.record.item(&self.store.arena)
    }

    /// Where the item is, for [`Store::value_at`].
    #[must_use]
    pub fn address(&self) -> ItemAddress {
        ItemAddress(self.store.arena.address(self.record.offset))
    }

    /// Counts a read, which sets [`Item::fetched`] and [`Item::accessed_s`].
    #[inline]
    pub fn count_fetch(&mut self) {
        self.record.count_access(FETCHED, self.now_s, &mut self.store.arena);
    }

    /// Counts an access that did not return the item: [`Item::fetched`] does not change.
    pub fn count_access(&mut self) {
        self.record.count_access(0, self.now_s, &mut self.store.arena);
    }

    /// Sets the first second in which the item has expired, or `NEVER`.
    pub fn set_expiry(&mut self, expires_at_s: u32) {
        self.record.set_expiry(expires_at_s, &mut self.store.arena);
        self.store.sweep.note_expiry(expires_at_s);
    }

    /// Sets the marks of meta commands.
    pub fn set_marks(&mut self, marks: Marks) {
        self.record.set_marks(marks, &mut self.store.arena);
    }

    /// Sets the cas id. Returns false and changes nothing if the item was stored with an id below 2^48
    /// and the new one is larger: the record has no room for it.
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
