//! `watch`: which events of commands are logged, and as what (see [`super::event_log`]).
//!
//! While no connection watches, a command takes one branch more: with what is kept for it, some 16
//! instructions of a fetch. While a connection watches lookups or stores,
//! an item may be looked up a second time for its line. Such a lookup does not count as an access.

use super::event_log::{Lookup, WATCHERS_MAX};
use super::{Engine, Executed, HashedKey};
use crate::protocol::{Reply, ReplyWriter, WatchKinds};
use crate::store::NEVER;

/// The events of a lookup, and of a store.
const LOOKUPS: WatchKinds = WatchKinds::FETCHERS;
pub(super) const STORES: WatchKinds = WatchKinds::FETCHERS.with(WatchKinds::MUTATIONS);

impl Engine {
    /// Answers `watch`. From then on the connection is sent the events of these kinds.
    pub(super) fn watch(
        &self,
        kinds: Option<WatchKinds>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        let refusal = match kinds {
            _ if !self.config.watch_enabled => Reply::WatchForbidden,
            None => Reply::Error,
            Some(_) if self.events.watchers() >= WATCHERS_MAX => Reply::TooManyWatchers,
            Some(kinds) => {
                reply.line(Reply::Ok);
                return Executed::Watches(kinds);
            }
        };
        reply.line(refusal);
        Executed::Done
    }

    /// Sets how many connections watch, and the kinds that any of them watches.
    pub fn set_watchers(&mut self, watchers: usize, kinds: WatchKinds) {
        self.note_misses();
        self.events.set_watchers(watchers, kinds);
        self.store.log_evicted(kinds.intersects(WatchKinds::EVICTIONS));
    }

    /// Logs the items that were evicted since the last call.
    pub fn log_evictions(&mut self) {
        if self.events.watches(WatchKinds::EVICTIONS) {
            let events = &mut self.events;
            let lost = self.store.take_evicted(|item| events.evicted(&item));
            events.lose_evictions(lost);
        }
    }

    /// Logs the lookup of a key by a command that has just missed it, or found a value of so many bytes.
    #[inline]
    pub(super) fn log_fetch(&mut self, key: HashedKey<'_>, hit: bool, value_bytes: usize) {
        if self.events.watches(LOOKUPS) {
            self.log_watched_fetch(key, hit, value_bytes);
        }
    }

    #[cold]
    #[inline(never)]
    fn log_watched_fetch(&mut self, key: HashedKey<'_>, hit: bool, value_bytes: usize) {
        let lookup = if hit { Lookup::Found(value_bytes) } else { self.miss() };
        self.note_misses();
        self.events.looked_up(key.bytes(), lookup);
    }

    /// Looks a key up for a command whose events are watched, before it is executed. An expired item is
    /// removed, as the command itself would do.
    pub(super) fn look_up(&mut self, key: HashedKey<'_>) -> Lookup {
        self.note_misses();
        let found = self.store.peek(key, self.now.uptime_s).map(|item| item.value.len());
        let lookup = found.map_or_else(|| self.miss(), Lookup::Found);
        self.note_misses();
        lookup
    }

    /// Looks a key up, and logs that, if lookups or deletions are watched. Returns the bytes of its value.
    #[inline]
    pub(super) fn log_lookup(&mut self, key: HashedKey<'_>) -> Option<usize> {
        if self.events.watches(LOOKUPS.with(WatchKinds::DELETIONS)) {
            self.log_watched_lookup(key)
        } else {
            None
        }
    }

    #[cold]
    #[inline(never)]
    fn log_watched_lookup(&mut self, key: HashedKey<'_>) -> Option<usize> {
        let lookup = self.look_up(key);
        self.events.looked_up(key.bytes(), lookup);
        match lookup {
            Lookup::Found(bytes) => Some(bytes),
            Lookup::NotFound | Lookup::Expired | Lookup::Flushed => None,
        }
    }

    /// Why the last lookup has missed: the store counts expired and flushed items that it finds. Every
    /// call that may have found others, or has reset the counts, is followed by [`Self::note_misses`].
    fn miss(&self) -> Lookup {
        let (store, (expired, flushed)) = (self.store.counters(), self.misses_seen);
        if store.flushed_found != flushed {
            Lookup::Flushed
        } else if store.expired_found != expired {
            Lookup::Expired
        } else {
            Lookup::NotFound
        }
    }

    pub(super) fn note_misses(&mut self) {
        let store = self.store.counters();
        self.misses_seen = (store.expired_found, store.flushed_found);
    }

    /// Logs a store, if stores are watched.
    pub(super) fn log_store(
        &mut self,
        key: HashedKey<'_>,
        what: (&str, &str),
        (expires_at_s, bytes): (u32, usize),
    ) {
        // To make a slot for a new key, the store may have removed another item that had expired.
        self.note_misses();
        if self.events.watches(WatchKinds::MUTATIONS) {
            let ttl_s = match expires_at_s {
                NEVER => 0,
                at_s => at_s.saturating_sub(self.now.uptime_s),
            };
            self.log_evictions();
            self.events.stored(key.bytes(), what, (ttl_s, bytes));
        }
    }
}
