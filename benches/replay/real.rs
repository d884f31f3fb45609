//! The store itself among the designs on paper: what is measured is what is shipped, without a
//! server, a socket and the pace of a clock.
//!
//! A change of the store is so compared with what it was before in a minute instead of fifteen. What
//! a process needs beside the records does not show here. Knows no workload.

use std::fmt::Write as _;

use miocached::store::{Attributes, NEVER, Store, Stored};

use super::model::{Model, Size, Work};

/// A key's number, in hexadecimal. What the real key has more is given to the value, so that the
/// record has its size.
const KEY_BYTES: usize = 12;

/// Looking at a record in search of what has expired loads one cache line.
const LOOKED_AT_BYTES: u64 = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Real {
    store: Store,
    key: String,
    value: Vec<u8>,
}

impl Real {
    pub(crate) fn new(memory_bytes_max: u64) -> Self {
        let memory_bytes = usize::try_from(memory_bytes_max).expect("so much can be addressed");
        let store = Store::new(memory_bytes, true).expect("there is so much memory");
        Self { store, key: String::new(), value: Vec::new() }
    }

    fn spell(&mut self, key: u64) {
        self.key.clear();
        let _ = write!(self.key, "{key:0width$x}", width = KEY_BYTES);
    }
}

impl Model for Real {
    fn get(&mut self, key: u64, now_s: u32) -> bool {
        self.spell(key);
        self.store.get(self.store.hashed_key(self.key.as_bytes()), now_s).is_some()
    }

    fn set(&mut self, key: u64, size: Size, expires_at_s: Option<u32>, now_s: u32) -> bool {
        self.spell(key);
        let bytes = size.key_bytes as usize + size.value_bytes as usize;
        let value_bytes = bytes.saturating_sub(self.key.len());
        if self.value.len() < value_bytes {
            self.value.resize(value_bytes, b'v');
        }
        let value = &self.value[..value_bytes];
        let expires_at_s = expires_at_s.unwrap_or(NEVER);
        let attributes = Attributes { expires_at_s, cas: 1, ..Attributes::default() };
        loop {
            match self.store.set(
                self.store.hashed_key(self.key.as_bytes()),
                value,
                &attributes,
                now_s,
            ) {
                Stored::Kept => return true,
                Stored::NeedsStep => {}
                Stored::NoRoom => {
                    self.store.delete(self.store.hashed_key(self.key.as_bytes()), now_s);
                    return false;
                }
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.store.log_bytes().0
    }

    fn work(&self) -> Work {
        let counters = self.store.counters();
        Work {
            stored_bytes: counters.stored_bytes,
            moved_bytes: counters.moved_bytes,
            scanned_bytes: counters.swept_past * LOOKED_AT_BYTES,
        }
    }
}
