//! Stores of every kind, classic and meta: their conditions, and what becomes of the old value.
//!
//! Knows conditions and cas ids. Where the bytes go, and what is evicted for them, is the store's.

use super::event_log::Lookup;
use super::watch::STORES;
use super::{Engine, Executed, HashedKey};
use crate::protocol::command::{Command, StoreLine};
use crate::protocol::meta_request::KeySpace;
use crate::protocol::{Reply, ReplyWriter, StoreMode, item_bytes};
use crate::store::{Attributes, Marks, NEVER, Side, Stored};
use crate::trace;

/// A store by any of the commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreRequest<'a> {
    pub(super) mode: StoreMode,
    pub(super) key: HashedKey<'a>,
    /// The key came as base64.
    pub(super) key_encoded: bool,
    pub(super) value: &'a [u8],
    pub(super) flags: u32,
    pub(super) expires_at_s: u32,
    /// The cas id that the item must have, for an `append` or `prepend`.
    pub(super) compare: Option<u64>,
    /// The cas id that the item gets, instead of the next one.
    pub(super) next_cas: Option<u64>,
    /// With a cas id older than the item's, it is stored nevertheless and marked as stale.
    pub(super) may_be_stale: bool,
    /// An `append` or `prepend` creates a missing item.
    pub(super) vivifies: bool,
}

impl<'a> StoreRequest<'a> {
    /// An unconditional store of an empty value that never expires.
    pub(super) const fn set(key: HashedKey<'a>) -> Self {
        Self {
            mode: StoreMode::Set,
            key,
            key_encoded: false,
            value: b"",
            flags: 0,
            expires_at_s: NEVER,
            compare: None,
            next_cas: None,
            may_be_stale: false,
            vivifies: false,
        }
    }
}

/// The outcome of a store.
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
    /// Part of its room has been made: the request has to be retried.
    NeedsStep,
}

/// The command of a store, as `watch` shows it.
pub(super) const fn name(mode: StoreMode) -> &'static str {
    match mode {
        StoreMode::Set => "set",
        StoreMode::Add => "add",
        StoreMode::Replace => "replace",
        StoreMode::Append => "append",
        StoreMode::Prepend => "prepend",
        StoreMode::Cas(_) => "cas",
    }
}

/// The same of a store that was refused.
fn store_name(store: &StoreLine<'_>) -> &'static str {
    match store {
        StoreLine::Plain(mode, _) => name(*mode),
        StoreLine::Meta(meta) => name(StoreMode::of_meta(meta.mode()).unwrap_or(StoreMode::Set)),
    }
}

/// What is needed of an item that is to be replaced.
struct Old {
    attributes: Attributes,
    value_bytes: usize,
}

impl Engine {
    /// Any store of the simple and the classic dialect.
    pub(super) fn store_plain<'a>(
        &mut self,
        command: &Command<'a>,
        key: HashedKey<'a>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        let Command::Store { mode, flags, exptime, value, .. } = *command else {
            unreachable!("it is called for stores only");
        };
        let request = StoreRequest {
            mode,
            key,
            key_encoded: false,
            value,
            flags,
            expires_at_s: self.now.deadline_s(exptime),
            compare: None,
            next_cas: None,
            may_be_stale: false,
            vivifies: false,
        };
        let answer = match self.execute_store(&request) {
            Outcome::NeedsStep => return Executed::Retry,
            Outcome::Stored { .. } => Reply::Stored,
            Outcome::NotStored => Reply::NotStored,
            Outcome::Exists => Reply::Exists,
            Outcome::NotFound => Reply::NotFound,
            Outcome::NoRoom => {
                if mode == StoreMode::Set {
                    // As with a value that is too large.
                    self.store.delete(key, self.now.uptime_s);
                }
                Reply::OutOfMemory
            }
        };
        self.prefixes.count_set(key.bytes());
        reply.line(answer);
        Executed::Done
    }

    /// A store over the item limit. It deletes the old item, because the client wanted that replaced;
    /// classic stores with a condition leave it, as memcached's do.
    pub(super) fn refuse_too_large(&mut self, store: &StoreLine<'_>, reply: &mut ReplyWriter<'_>) {
        let mut space = KeySpace::default();
        let (key, unlinks) = match store {
            StoreLine::Plain(mode, key) => {
                self.prefixes.count_set(key);
                (*key, *mode == StoreMode::Set)
            }
            StoreLine::Meta(meta) => (meta.key.decode(&mut space), true),
        };
        self.drop_too_large(key, store_name(store), unlinks);
        reply.line(Reply::TooLarge);
    }

    /// Counts a store over the item limit by the command of this name, and deletes the item that it would
    /// have replaced.
    pub(super) fn drop_too_large(&mut self, key: &[u8], name: &str, unlinks: bool) {
        let key = self.store.hashed_key(key);
        self.log_store(key, ("too_large", name), (NEVER, 0));
        if unlinks {
            self.log_lookup(key);
            self.store.delete(key, self.now.uptime_s);
        }
        self.counters.store_too_large += 1;
    }

    /// Executes a store, if its condition holds.
    pub(super) fn execute_store(&mut self, request: &StoreRequest<'_>) -> Outcome {
        if self.events.watches(STORES) {
            return self.execute_watched_store(request);
        }
        self.execute_store_unlogged(request)
    }

    /// The same, without a line in the log of events.
    #[inline(always)]
    fn execute_store_unlogged(&mut self, request: &StoreRequest<'_>) -> Outcome {
        let outcome = match request.mode {
            StoreMode::Set => self.put(request, None),
            StoreMode::Add => match self.store.item_mut(request.key, self.now.uptime_s) {
                None => self.put(request, None),
                Some(mut item) => {
                    item.count_access();
                    Outcome::NotStored
                }
            },
            StoreMode::Replace => match self.old(request.key) {
                None => Outcome::NotStored,
                Some(_) => self.put(request, None),
            },
            StoreMode::Append => self.extend(request, Side::After),
            StoreMode::Prepend => self.extend(request, Side::Before),
            StoreMode::Cas(expected) => self.compare_and_set(request, expected),
        };
        match outcome {
            Outcome::NeedsStep => {}
            Outcome::Stored { .. } => {
                trace::stored(request.key.bytes(), request.value.len());
                self.counters.total_items += 1;
                self.counters.cmd_set += 1;
            }
            Outcome::NotStored | Outcome::Exists | Outcome::NotFound => self.counters.cmd_set += 1,
            Outcome::NoRoom => self.counters.store_no_memory += 1,
        }
        outcome
    }

    /// Executes a store whose events are watched, and logs it.
    #[cold]
    fn execute_watched_store(&mut self, request: &StoreRequest<'_>) -> Outcome {
        let before = self.look_up(request.key);
        let outcome = self.execute_store_unlogged(request);
        let (status, stored_bytes) = match outcome {
            // The request will be repeated, and is logged then.
            Outcome::NeedsStep => return outcome,
            Outcome::Stored { value_bytes, .. } => ("stored", value_bytes),
            Outcome::NotStored => ("not_stored", request.value.len()),
            Outcome::Exists => ("exists", request.value.len()),
            Outcome::NotFound => ("not_found", request.value.len()),
            Outcome::NoRoom => ("no_memory", 0),
        };
        self.log_evictions();
        self.events.looked_up(request.key.bytes(), before);
        let expires_at_s = match request.mode {
            // An item that is extended keeps its expiry.
            StoreMode::Append | StoreMode::Prepend if matches!(before, Lookup::Found(_)) => {
                let item = self.store.peek(request.key, self.now.uptime_s);
                item.map_or(request.expires_at_s, |item| item.attributes.expires_at_s)
            }
            StoreMode::Set
            | StoreMode::Add
            | StoreMode::Replace
            | StoreMode::Append
            | StoreMode::Prepend
            | StoreMode::Cas(_) => request.expires_at_s,
        };
        self.log_store(request.key, (status, name(request.mode)), (expires_at_s, stored_bytes));
        outcome
    }

    fn compare_and_set(&mut self, request: &StoreRequest<'_>, expected: u64) -> Outcome {
        let Some(old) = self.old(request.key) else {
            self.counters.cas_misses += 1;
            return Outcome::NotFound;
        };
        let matches = expected != 0 && expected == old.attributes.cas;
        let is_stale = request.may_be_stale && expected != 0 && expected < old.attributes.cas;
        if !matches && !is_stale {
            self.counters.cas_badval += 1;
            return Outcome::Exists;
        }
        let outcome = self.put(request, is_stale.then_some(&old.attributes));
        if matches!(outcome, Outcome::Stored { .. }) {
            self.counters.cas_hits += 1;
        }
        outcome
    }

    /// Stores the value unconditionally. If the item that it replaces is `newer`, the value is marked as
    /// stale and keeps that item's expiry.
    pub(super) fn put(
        &mut self,
        request: &StoreRequest<'_>,
        newer: Option<&Attributes>,
    ) -> Outcome {
        let cas = self.cas_for(request);
        let attributes = Attributes {
            flags: request.flags,
            expires_at_s: newer.map_or(request.expires_at_s, |newer| newer.expires_at_s),
            cas,
            marks: Marks {
                stale: newer.is_some(),
                win_sent: newer.is_some_and(|newer| newer.marks.win_sent),
                key_encoded: request.key_encoded,
            },
        };
        match self.store.set(request.key, request.value, &attributes, self.now.uptime_s) {
            Stored::Kept => Outcome::Stored { cas, value_bytes: request.value.len() },
            Stored::NeedsStep => self.needs_step(request),
            Stored::NoRoom => Outcome::NoRoom,
        }
    }

    fn extend(&mut self, request: &StoreRequest<'_>, side: Side) -> Outcome {
        let Some(old) = self.old(request.key) else {
            return if request.vivifies { self.put(request, None) } else { Outcome::NotStored };
        };
        let expected = request.compare.filter(|&cas| cas != 0 && self.config.cas_enabled);
        if expected.is_some_and(|expected| expected != old.attributes.cas) {
            return Outcome::Exists;
        }
        self.copied_bytes += old.value_bytes as u64;
        // Both are below the item limit, which is at most 1 GiB.
        let value_bytes = old.value_bytes + request.value.len();
        let bytes = item_bytes(request.key.bytes().len(), old.attributes.flags, value_bytes);
        if bytes > self.config.item_bytes_max {
            return Outcome::NotStored;
        }
        let cas = self.cas_for(request);
        let more = (request.value, side);
        let marks = Marks { key_encoded: request.key_encoded, ..Marks::default() };
        let attributes = Attributes { cas, marks, ..old.attributes };
        match self.store.extend(request.key, more, &attributes, self.now.uptime_s) {
            Some(Stored::Kept) => Outcome::Stored { cas, value_bytes },
            Some(Stored::NeedsStep) => self.needs_step(request),
            Some(Stored::NoRoom) | None => Outcome::NotStored,
        }
    }

    fn cas_for(&mut self, request: &StoreRequest<'_>) -> u64 {
        self.cas_ids.given_or_next(request.next_cas)
    }

    /// Gives back the cas id that was taken for a store which has to be retried.
    const fn needs_step(&mut self, request: &StoreRequest<'_>) -> Outcome {
        if request.next_cas.is_none() {
            self.cas_ids.give_back();
        }
        Outcome::NeedsStep
    }

    fn old(&mut self, key: HashedKey<'_>) -> Option<Old> {
        let item = self.store.peek(key, self.now.uptime_s)?;
        Some(Old { attributes: item.attributes, value_bytes: item.value.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::REHASHED_MAX;

    #[test]
    fn no_store_of_a_growing_cache_rehashes_many_records() {
        let mut engine = Engine::new(&Config::default()).expect("there is memory");
        for number in 0..20_000 {
            let key = format!("key-{number}");
            let key = engine.store.hashed_key(key.as_bytes());
            let stored = engine.store.set(key, b"value", &Attributes::default(), 10);
            assert_eq!(stored, Stored::Kept);
        }
        let most = engine.store.counters().rehashed_at_once_max;
        assert!(most <= REHASHED_MAX, "one store rehashes {most} records, and all clients wait");
    }
}
