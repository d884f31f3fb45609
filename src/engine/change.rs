//! Stores of every kind, classic and meta: their conditions, and what becomes of the old value.
//!
//! Knows conditions and cas ids, and leaves to the store where the bytes go and who leaves for them.

use super::{Engine, Executed, HashedKey, Now};
use crate::protocol::command::{Command, StoreLine};
use crate::protocol::{KEY_BYTES_MAX, Reply, ReplyWriter, StoreMode, item_bytes};
use crate::store::{Attributes, Marks, Side, Stored};
use crate::trace;

/// A store, whoever asks for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) mode: StoreMode,
    pub(super) key: HashedKey<'a>,
    /// The key came as base64.
    pub(super) key_encoded: bool,
    pub(super) value: &'a [u8],
    pub(super) flags: u32,
    pub(super) expires_at_s: u32,
    /// The cas id that the value has to have which is to be extended.
    pub(super) compare: Option<u64>,
    /// The cas id that the item is to get.
    pub(super) next_cas: Option<u64>,
    /// With a cas id older than the item's it is stored all the same, marked as stale.
    pub(super) may_be_stale: bool,
    /// What is to be extended and is not there is made.
    pub(super) vivifies: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored {
        cas: u64,
        value_bytes: usize,
    },
    NotStored,
    Exists,
    NotFound,
    NoRoom,
    /// Some of its room has been made: ask again, after others.
    NeedsStep,
}

/// What matters of an item that is to be replaced.
struct Old {
    attributes: Attributes,
    value_bytes: usize,
}

impl Engine {
    /// Any store of the simple and the classic dialect.
    pub(super) fn store_plain<'a>(
        &mut self,
        command: &Command<'a>,
        known: Option<HashedKey<'a>>,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        let Command::Store { mode, key, flags, exptime, value } = *command else {
            unreachable!("it is called for stores only");
        };
        let key = self.key(key, known);
        let change = Change {
            mode,
            key,
            key_encoded: false,
            value,
            flags,
            expires_at_s: now.deadline_s(exptime),
            compare: None,
            next_cas: None,
            may_be_stale: false,
            vivifies: false,
        };
        let answer = match self.change(&change, now) {
            Outcome::NeedsStep => return Executed::Retry,
            Outcome::Stored { .. } => Reply::Stored,
            Outcome::NotStored => Reply::NotStored,
            Outcome::Exists => Reply::Exists,
            Outcome::NotFound => Reply::NotFound,
            Outcome::NoRoom => {
                if mode == StoreMode::Set {
                    // As with a value that is too large.
                    self.store.delete(key, now.uptime_s);
                }
                Reply::OutOfMemory
            }
        };
        self.prefixes.count_set(key.bytes());
        reply.line(answer);
        Executed::Done
    }

    /// A store over the item limit: the client wanted the old value replaced, so it must not be
    /// served any more. Classic stores with a condition leave it, as memcached's do.
    pub(super) fn refuse_too_large(
        &mut self,
        store: &StoreLine<'_>,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) {
        let mut space = [0; KEY_BYTES_MAX];
        let (key, unlinks) = match store {
            StoreLine::Plain(mode, key) => {
                self.prefixes.count_set(key);
                (*key, *mode == StoreMode::Set)
            }
            StoreLine::Meta(meta) => (meta.key.decode(&mut space), true),
        };
        if unlinks {
            self.store.delete(self.store.hashed_key(key), now.uptime_s);
        }
        self.counters.store_too_large += 1;
        reply.line(Reply::TooLarge);
    }

    /// Carries out a store, if its condition holds.
    pub(super) fn change(&mut self, change: &Change<'_>, now: Now) -> Outcome {
        let outcome = match change.mode {
            StoreMode::Set => self.put(change, None, now),
            StoreMode::Add => match self.store.item_mut(change.key, now.uptime_s) {
                None => self.put(change, None, now),
                Some(mut item) => {
                    item.count_access();
                    Outcome::NotStored
                }
            },
            StoreMode::Replace => match self.old(change.key, now) {
                None => Outcome::NotStored,
                Some(_) => self.put(change, None, now),
            },
            StoreMode::Append => self.extend(change, Side::After, now),
            StoreMode::Prepend => self.extend(change, Side::Before, now),
            StoreMode::Cas(expected) => self.compare_and_set(change, expected, now),
        };
        match outcome {
            Outcome::NeedsStep => {}
            Outcome::Stored { .. } => {
                trace::stored(change.key.bytes(), change.value.len());
                self.counters.total_items += 1;
                self.counters.cmd_set += 1;
            }
            Outcome::NotStored | Outcome::Exists | Outcome::NotFound => self.counters.cmd_set += 1,
            Outcome::NoRoom => self.counters.store_no_memory += 1,
        }
        outcome
    }

    fn compare_and_set(&mut self, change: &Change<'_>, expected: u64, now: Now) -> Outcome {
        let Some(old) = self.old(change.key, now) else {
            self.counters.cas_misses += 1;
            return Outcome::NotFound;
        };
        let matches = expected != 0 && expected == old.attributes.cas;
        let is_stale = change.may_be_stale && expected != 0 && expected < old.attributes.cas;
        if !matches && !is_stale {
            self.counters.cas_badval += 1;
            return Outcome::Exists;
        }
        let outcome = self.put(change, is_stale.then_some(&old.attributes), now);
        if matches!(outcome, Outcome::Stored { .. }) {
            self.counters.cas_hits += 1;
        }
        outcome
    }

    /// Keeps the value, whatever there was. Where it comes too late for `newer`, it is stale, and gets
    /// the time of that.
    fn put(&mut self, change: &Change<'_>, newer: Option<&Attributes>, now: Now) -> Outcome {
        let cas = self.cas_for(change);
        let attributes = Attributes {
            flags: change.flags,
            expires_at_s: newer.map_or(change.expires_at_s, |newer| newer.expires_at_s),
            cas,
            marks: Marks {
                stale: newer.is_some(),
                win_sent: newer.is_some_and(|newer| newer.marks.win_sent),
                key_encoded: change.key_encoded,
            },
        };
        match self.store.set(change.key, change.value, &attributes, now.uptime_s) {
            Stored::Kept => Outcome::Stored { cas, value_bytes: change.value.len() },
            Stored::NeedsStep => self.not_yet(change),
            Stored::NoRoom => Outcome::NoRoom,
        }
    }

    fn extend(&mut self, change: &Change<'_>, side: Side, now: Now) -> Outcome {
        let Some(old) = self.old(change.key, now) else {
            return if change.vivifies { self.put(change, None, now) } else { Outcome::NotStored };
        };
        let expected = change.compare.filter(|&cas| cas != 0 && self.config.cas_enabled);
        if expected.is_some_and(|expected| expected != old.attributes.cas) {
            return Outcome::Exists;
        }
        self.copied_bytes += old.value_bytes as u64;
        // Both are below the item limit, which is at most 1 GiB.
        let value_bytes = old.value_bytes + change.value.len();
        let bytes = item_bytes(change.key.bytes().len(), old.attributes.flags, value_bytes);
        if bytes > self.config.item_bytes_max {
            return Outcome::NotStored;
        }
        let cas = self.cas_for(change);
        let more = (change.value, side);
        let marks = Marks { key_encoded: change.key_encoded, ..Marks::default() };
        let attributes = Attributes { cas, marks, ..old.attributes };
        match self.store.extend(change.key, more, &attributes, now.uptime_s) {
            Some(Stored::Kept) => Outcome::Stored { cas, value_bytes },
            Some(Stored::NeedsStep) => self.not_yet(change),
            Some(Stored::NoRoom) | None => Outcome::NotStored,
        }
    }

    fn cas_for(&mut self, change: &Change<'_>) -> u64 {
        self.cas_ids.given_or_next(change.next_cas)
    }

    /// A cas id that was taken for a store which has to be asked for again is given back.
    const fn not_yet(&mut self, change: &Change<'_>) -> Outcome {
        if change.next_cas.is_none() {
            self.cas_ids.give_back();
        }
        Outcome::NeedsStep
    }

    fn old(&mut self, key: HashedKey<'_>, now: Now) -> Option<Old> {
        let item = self.store.peek(key, now.uptime_s)?;
        Some(Old { attributes: item.attributes, value_bytes: item.value.len() })
    }
}
