//! The store: what is kept, where, and for how long.
//!
//! Knows no protocol, no socket and no clock: `now_s` is an argument, in whole seconds on a scale
//! of the caller's that never goes back and never is 0.
//!
//! For now the inside is a plain std `HashMap` that keeps all it is given: the memory limit is not
//! enforced yet. An expired item is a miss at once, but its memory comes back only when its key is
//! next written or deleted.

use std::collections::HashMap;

/// An `expires_at_s` that never comes.
pub const NEVER: u32 = 0;

/// What is kept of an item beside its key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The client's own number.
    pub flags: u32,
    /// The first second in which the item is gone, or [`NEVER`].
    pub expires_at_s: u32,
    /// Changes with every change of the value.
    pub cas: u64,
}

/// A live item, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'s> {
    /// The value.
    pub value: &'s [u8],
    /// Everything else.
    pub meta: Meta,
}

/// All items of a server.
#[derive(Debug)]
pub struct Store {
    map: HashMap<Box<[u8]>, Kept>,
    /// Invariant: the sum of all keys' and values' lengths.
    bytes: u64,
}

#[derive(Debug)]
struct Kept {
    meta: Meta,
    value: Box<[u8]>,
}

impl Kept {
    fn is_live(&self, now_s: u32) -> bool {
        self.meta.expires_at_s == NEVER || self.meta.expires_at_s > now_s
    }
}

impl Store {
    /// An empty store. This is the one place where the map is built.
    #[must_use]
    pub fn new() -> Self {
        Self { map: HashMap::new(), bytes: 0 }
    }

    /// The live item under `key`.
    pub fn get(&self, key: &[u8], now_s: u32) -> Option<Item<'_>> {
        let kept = self.map.get(key).filter(|kept| kept.is_live(now_s))?;
        Some(Item { value: &kept.value, meta: kept.meta })
    }

    /// Keeps a copy of `value` under `key`, in place of what was there.
    pub fn set(&mut self, key: &[u8], value: &[u8], meta: Meta) {
        self.bytes += value.len() as u64;
        if let Some(kept) = self.map.get_mut(key) {
            self.bytes -= kept.value.len() as u64;
            *kept = Kept { meta, value: value.into() };
        } else {
            self.bytes += key.len() as u64;
            self.map.insert(key.into(), Kept { meta, value: value.into() });
        }
    }

    /// Forgets `key`. False when there was no live item under it.
    pub fn delete(&mut self, key: &[u8], now_s: u32) -> bool {
        let Some(kept) = self.map.remove(key) else {
            return false;
        };
        self.bytes -= (key.len() + kept.value.len()) as u64;
        kept.is_live(now_s)
    }

    /// Items kept, those included that expired unseen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Bytes of all keys and values kept.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Walks everything the slow way and checks every invariant. For tests.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn verify(&self) {
        let walked = self.map.iter().map(|(key, kept)| (key.len() + kept.value.len()) as u64);
        assert_eq!(walked.sum::<u64>(), self.bytes, "bytes are the sum over all items");
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}
