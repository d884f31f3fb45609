//! The engine: what a command means. Commands in, store operations and replies out.
//!
//! Owns the one [`Store`] that all connections change, the cas ids, and what is counted. Knows no
//! socket and no clock: the time is part of the [`Turn`] handed down. This file sends each command
//! where it is carried out, and fetches:
//!
//! * `change`: stores of every kind, with their conditions; `count`: numbers, up and down
//! * `meta`: the meta commands; `flags`: what they give back
//! * `stats`: figures, out of [`counters`] and a snapshot of what the network knows
//!   ([`server_stats`]); `settings` and `prefixes` are parts of it
//! * `dump`: keys, by walking over the store
//! * [`auth`]: who may be served; `now`: what times mean

pub mod auth;
mod cas_ids;
mod change;
mod count;
pub mod counters;
mod dump;
mod flags;
mod meta;
mod now;
mod prefixes;
pub mod server_stats;
mod settings;
mod stats;
mod turn;

use crate::config::Config;
use crate::protocol::command::{Command, Debugging, Retrieval, Unfinished};
use crate::protocol::parser::Words;
use crate::protocol::{Reply, ReplyWriter};
pub use crate::store::{HashedKey, PREFETCH_BATCH};
use crate::store::{OutOfMemory, Store};
use crate::trace;
use auth::Credentials;
use cas_ids::CasIds;
use counters::Counters;
pub use now::Now;
use prefixes::Prefixes;
pub use server_stats::{ServerStats, StatsScope};
pub use turn::Turn;

/// What became of a command.
#[derive(Debug)]
pub enum Executed<'a> {
    /// It has been executed and answered.
    Done,
    /// Nothing has changed and nothing is answered: the request starts over once the output has
    /// drained and others have had their turn.
    Retry,
    /// Part of it is answered. This is left to do once the output has drained and others have had
    /// their turn.
    Resume(Unfinished<'a>),
    /// Nothing has changed: the request starts over as soon as [`Turn::server`] covers this much.
    NeedsServerStats(StatsScope),
    /// The client has authenticated.
    Authenticated,
    /// The client ends the conversation.
    Quit,
    /// The client ends the server.
    Shutdown,
}

/// The meaning of every command, over one store.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    config: Config,
    cas_ids: CasIds,
    /// What has happened. The network counts here, too.
    pub counters: Counters,
    prefixes: Prefixes,
    credentials: Credentials,
    /// Bytes of kept values that commands went through without bringing or fetching them.
    copied_bytes: u64,
    /// In builds with debug assertions: by how much the clock was moved, and where it stands still.
    clock_moved_s: i64,
    clock_stands: Option<Now>,
}

impl Engine {
    /// An engine over an empty store of the size that `config` says.
    ///
    /// # Errors
    /// When there is not so much memory.
    pub fn new(config: &Config) -> Result<Self, OutOfMemory> {
        let mut store = Store::new(config.memory_bytes_max, config.evicts)?;
        if config.huge_pages {
            store.advise_huge_pages();
        }
        if config.sizes_tracked {
            store.track_sizes();
        }
        Ok(Self {
            store,
            config: config.clone(),
            cas_ids: CasIds::new(config.cas_enabled),
            counters: Counters::default(),
            prefixes: Prefixes::new(config),
            credentials: Credentials::default(),
            copied_bytes: 0,
            clock_moved_s: 0,
            clock_stands: None,
        })
    }

    /// Whom to serve, where not everybody is served: see [`auth`].
    pub fn set_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
    }

    /// Has the memory loaded that commands with these keys will need, and writes each hashed key into
    /// its slot, for [`Engine::execute`]. See `store/prefetch.rs`.
    pub fn prefetch<'k: 'w, 'w>(
        &self,
        wanted: impl Iterator<Item = (&'w mut Option<HashedKey<'k>>, &'k [u8])>,
    ) {
        self.store.prefetch(wanted);
    }

    /// Bytes copied so far that no client sent or fetched: an `append` of one byte copies all of its
    /// item, and a store may have others moved. It only grows; a turn is bounded by its difference.
    #[must_use]
    pub const fn copied_bytes(&self) -> u64 {
        self.copied_bytes + self.store.work_bytes()
    }

    /// Executes one command and writes its answer. `known` is its first key, if that was
    /// prefetched.
    pub fn execute<'a>(
        &mut self,
        command: &Command<'a>,
        known: Option<HashedKey<'a>>,
        turn: &Turn<'_>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        let now = if cfg!(debug_assertions) { self.moved(turn.now) } else { turn.now };
        match *command {
            Command::Retrieve { retrieval, keys } => {
                return self.retrieve(retrieval, keys, known, now, reply);
            }
            Command::Store { .. } => return self.store_plain(command, known, now, reply),
            Command::TooLarge { ref store } => self.refuse_too_large(store, now, reply),
            Command::Count { direction, key, delta } => {
                return self.count_plain(self.key(key, known), direction, delta, now, reply);
            }
            Command::Touch { key, exptime } => {
                self.touch(self.key(key, known), exptime, now, reply)
            }
            Command::Delete { key } => self.delete(self.key(key, known), now, reply),
            Command::MetaGet(ref meta) => {
                return self.meta_get(meta, known, now, reply);
            }
            Command::MetaSet { .. } => return self.meta_set(command, known, now, reply),
            Command::MetaDelete(ref meta) => {
                return self.meta_delete(meta, known, now, reply);
            }
            Command::MetaCount { ref meta, direction } => {
                return self.meta_count(meta, direction, known, now, reply);
            }
            Command::MetaDebug(ref meta) => self.meta_debug(meta, now, reply),
            Command::MetaNoop => reply.line(Reply::Noop),
            Command::FlushAll { delay } => self.flush_all(delay, now, reply),
            Command::Stats(topic) => return self.stats(topic, now, turn.server, reply),
            Command::Dump(dump) => return self.dump(dump, now, reply),
            Command::Verbosity(level) => {
                trace::set_verbosity(level);
                self.config.verbosity = level;
                reply.line(Reply::Ok);
            }
            Command::Shutdown { understood } => return self.shut_down(understood, reply),
            Command::Authenticate { token } => return self.authenticate(token, reply),
            Command::Debug(debugging) => {
                self.debug(debugging, now);
                reply.line(Reply::Ok);
            }
            Command::Version => reply.line(Reply::Version),
            Command::Quit => return Executed::Quit,
        }
        Executed::Done
    }

    /// Fetches every key, in order.
    fn retrieve<'a>(
        &mut self,
        retrieval: Retrieval,
        mut keys: Words<'a>,
        known: Option<HashedKey<'a>>,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        let stalled = |keys| {
            trace::stalled("the output is full");
            Executed::Resume(Unfinished::Retrieve { retrieval, keys })
        };
        // By itself: most retrievals have no other key.
        let all = keys;
        if let Some(first) = keys.next()
            && !self.fetch(self.key(first, known), retrieval, now, reply)
        {
            return stalled(all);
        }
        while !keys.is_empty() {
            let mut rest = keys;
            let mut ahead = [None; PREFETCH_BATCH];
            self.store.prefetch(ahead.iter_mut().zip(keys.by_ref()));
            for (at, key) in ahead.iter().flatten().enumerate() {
                if !self.fetch(*key, retrieval, now, reply) {
                    rest.by_ref().take(at).for_each(drop);
                    return stalled(rest);
                }
            }
        }
        reply.end();
        Executed::Done
    }

    /// Writes one key's hit, or nothing for a miss. False when it has to wait for room.
    fn fetch(
        &mut self,
        key: HashedKey<'_>,
        retrieval: Retrieval,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> bool {
        let hit = if let Some(mut found) = self.store.item_mut(key, now.uptime_s) {
            found.count_fetch();
            let item = found.item();
            let cas = retrieval.with_cas.then_some(item.attributes.cas);
            if !reply.value(key.bytes(), item.attributes.flags, item.value, cas) {
                return false;
            }
            trace::hit(key.bytes(), item.value.len());
            if let Some(exptime) = retrieval.touch {
                found.set_expiry(now.deadline_s(exptime));
            }
            true
        } else {
            trace::miss(key.bytes());
            false
        };
        self.prefixes.count_get(key.bytes(), hit);
        match (retrieval.touch, hit) {
            (None, true) => self.counters.get_hits += 1,
            (None, false) => self.counters.get_misses += 1,
            (Some(_), true) => self.counters.touch_hits += 1,
            (Some(_), false) => self.counters.touch_misses += 1,
        }
        true
    }

    /// A command's key, out of its bytes, or the `known` one, whose hash need not be worked out again.
    fn key<'k>(&self, bytes: &'k [u8], known: Option<HashedKey<'k>>) -> HashedKey<'k> {
        debug_assert!(known.is_none_or(|key| key.bytes() == bytes), "another command's key");
        known.unwrap_or_else(|| self.store.hashed_key(bytes))
    }

    fn touch(&mut self, key: HashedKey<'_>, exptime: i32, now: Now, reply: &mut ReplyWriter<'_>) {
        let Some(mut item) = self.store.item_mut(key, now.uptime_s) else {
            self.counters.touch_misses += 1;
            trace::miss(key.bytes());
            return reply.line(Reply::NotFound);
        };
        item.count_fetch();
        item.set_expiry(now.deadline_s(exptime));
        self.counters.touch_hits += 1;
        reply.line(Reply::Touched);
    }

    fn delete(&mut self, key: HashedKey<'_>, now: Now, reply: &mut ReplyWriter<'_>) {
        self.prefixes.count_delete(key.bytes());
        if self.store.delete(key, now.uptime_s) {
            self.counters.delete_hits += 1;
            trace::deleted(key.bytes());
            reply.line(Reply::Deleted);
        } else {
            self.counters.delete_misses += 1;
            trace::miss(key.bytes());
            reply.line(Reply::NotFound);
        }
    }

    fn flush_all(&mut self, delay: Option<i32>, now: Now, reply: &mut ReplyWriter<'_>) {
        self.counters.cmd_flush += 1;
        match delay {
            _ if !self.config.flush_enabled => reply.line(Reply::FlushForbidden),
            None => reply.line(Reply::BadExptime),
            Some(delay) => {
                let at_s = if delay > 0 { now.deadline_s(delay) } else { now.uptime_s };
                // As memcached: a time that is past flushes all that is there, whenever it was
                // stored; only one before the server's own start flushes nothing.
                if at_s >= Now::FIRST_S {
                    self.store.flush(at_s, now.uptime_s);
                }
                reply.line(Reply::Ok);
            }
        }
    }

    fn shut_down(&mut self, understood: bool, reply: &mut ReplyWriter<'_>) -> Executed<'static> {
        if !self.config.shutdown_enabled {
            reply.line(Reply::ShutdownForbidden);
        } else if !understood {
            reply.line(Reply::BadShutdown);
        } else {
            return Executed::Shutdown;
        }
        Executed::Done
    }

    fn authenticate(&mut self, token: &[u8], reply: &mut ReplyWriter<'_>) -> Executed<'static> {
        let Some(space) = token.iter().position(|&byte| byte == b' ') else {
            reply.line(Reply::AuthBadFormat);
            return Executed::Done;
        };
        self.counters.auth_cmds += 1;
        if self.credentials.allow(&token[..space], &token[space + 1..]) {
            reply.line(Reply::Stored);
            return Executed::Authenticated;
        }
        self.counters.auth_errors += 1;
        reply.line(Reply::AuthFailed);
        Executed::Done
    }

    fn debug(&mut self, debugging: Debugging, now: Now) {
        match debugging {
            Debugging::Time(by_s) => {
                self.clock_moved_s = self.clock_moved_s.saturating_add(by_s);
                if let Some(stands) = self.clock_stands {
                    self.clock_stands = Some(stands.later(by_s));
                }
            }
            Debugging::TimeStops(true) => self.clock_stands = Some(now),
            Debugging::TimeStops(false) => self.clock_stands = None,
            Debugging::Verify => self.verify(),
        }
    }

    /// What `debugtime` has made of the time.
    fn moved(&self, now: Now) -> Now {
        self.clock_stands.unwrap_or_else(|| now.later(self.clock_moved_s))
    }

    /// Checks every invariant of the store the slow way. For tests.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn verify(&self) {
        self.store.verify();
    }
}
