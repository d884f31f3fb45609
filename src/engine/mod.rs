//! The engine: what a command means. Commands in, store operations and replies out.
//!
//! Owns the one [`Store`] that all connections change, the cas ids, and the counters. Knows no socket
//! and no clock: the time is part of the [`Turn`] handed down. This file dispatches commands, and
//! executes retrievals and the commands that take a few lines. The others:
//!
//! * `storing`: stores of every kind, with their conditions; `arithmetic`: `incr`, `decr` and `ma`
//! * `meta`: the meta commands; `meta_reply`: the flags that they return
//! * `binary`: the requests of the binary protocol
//! * `stats`: figures, out of [`counters`] and a snapshot of what the network knows
//!   ([`server_stats`]); `settings` and `prefixes` are parts of it, `figures` writes them;
//!   [`store_stats`]: the store's figures for others than `stats`
//! * [`hot_keys`]: the keys that are fetched most
//! * `dump`: the list of keys, by a walk over the store; `percent`: keys as it shows them
//! * `snapshot`: what a snapshot has beside the items, and what their times mean in another process
//! * `watch`: which events are logged for `watch`; [`event_log`]: the log
//! * [`auth`]: users and passwords; `now`: what times mean; `turn`: what is handed down

mod arithmetic;
pub mod auth;
mod binary;
mod cas_ids;
pub mod counters;
mod dump;
pub mod event_log;
mod figures;
pub mod hot_keys;
mod meta;
mod meta_reply;
mod now;
mod percent;
mod prefixes;
pub mod server_stats;
mod settings;
mod snapshot;
mod stats;
pub mod store_stats;
mod storing;
mod turn;
mod watch;

use crate::config::{Config, MIB};
use crate::protocol::command::{Command, DebugCommand, Retrieval, StoreLine, Unfinished};
use crate::protocol::{Keys, Reply, ReplyWriter, Room, WatchKinds, Words};
pub use crate::store::{HashedKey, PREFETCH_BATCH, SaveCursor};
use crate::store::{ItemAddress, OutOfMemory, PREFIX_BYTES_MAX, PrefixFlush, Store};
use crate::trace;
use auth::Credentials;
use cas_ids::CasIds;
use counters::Counters;
use event_log::EventLog;
use hot_keys::{HotKeys, Sampler};
pub use now::Now;
use prefixes::Prefixes;
pub use server_stats::{ServerStats, StatsScope};
pub use snapshot::{LoadedItems, LoadedPart, SavedState};
pub use store_stats::StoreStats;
pub use turn::Turn;

/// Batches of keys that one retrieval looks up before other connections have their turn: about 1 ms
/// if each key waits for memory. A line of 1 MiB can hold half a million keys.
const BATCHES_PER_TURN: usize = 16_384 / PREFETCH_BATCH;

/// The outcome of a command.
#[derive(Debug)]
pub enum Executed<'a> {
    /// It has been executed and answered.
    Done,
    /// It has no effect yet and no answer: the request starts over once the output has drained and
    /// other connections have had their turn. The store may have made part of the room it needs.
    Retry,
    /// Part of it is answered. This is left to do once the output has drained and other connections
    /// have had their turn.
    Resume(Unfinished<'a>),
    /// It is answered, but for the value that [`Engine::left_out`] returns, and for the part that is left
    /// to do after it.
    LeftOut(Option<Unfinished<'a>>),
    /// Nothing has changed: the request starts over as soon as [`Turn::server`] covers this much.
    NeedsServerStats(StatsScope),
    /// The client has authenticated.
    Authenticated,
    /// The client ends the conversation.
    Quit,
    /// From now on the client is sent the events of these kinds, and its input is dropped.
    Watches(WatchKinds),
    /// The client ends the server.
    Shutdown,
}

/// A large value that was left out of the output.
#[derive(Clone, Copy, Debug)]
pub struct LeftOut<'e> {
    /// The value, in the store.
    pub value: &'e [u8],
    /// Where it belongs in the output.
    pub at: usize,
}

/// The meaning of every command, over one store.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    /// The time of the request that is being executed. Set by [`Engine::execute`] alone.
    now: Now,
    config: Config,
    cas_ids: CasIds,
    /// What has happened. The network counts here, too.
    pub counters: Counters,
    /// The events for `watch`. The network logs connections here, sends the lines, and clears it.
    pub events: EventLog,
    /// The store's counts of expired and flushed items that lookups have found, before the last one.
    /// For [`Self::events`].
    misses_seen: (u64, u64),
    prefixes: Prefixes,
    hot_keys: Sampler,
    credentials: Credentials,
    /// The item whose value was left out last, and where the value belongs in the output.
    left_out: Option<(ItemAddress, usize)>,
    /// Bytes of stored values that commands copied or parsed, beside those that clients sent or fetched.
    copied_bytes: u64,
    /// `debugtime`, in builds with debug assertions: how far the clock was moved, and where it was
    /// paused.
    clock_moved_s: i64,
    clock_paused: Option<Now>,
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
        store.set_prefix_delimiter(config.prefix_delimiter);
        if config.sizes_tracked {
            store.track_sizes();
        }
        Ok(Self {
            store,
            now: Now { uptime_s: Now::FIRST_S, unix_s: 0 },
            config: config.clone(),
            cas_ids: CasIds::new(config.cas_enabled),
            counters: Counters::default(),
            events: EventLog::new(config),
            misses_seen: (0, 0),
            prefixes: Prefixes::new(config),
            hot_keys: Sampler::new(config.hot_keys && config.dump_enabled),
            credentials: Credentials::default(),
            left_out: None,
            copied_bytes: 0,
            clock_moved_s: 0,
            clock_paused: None,
        })
    }

    /// The users and passwords that are accepted from now on: see [`auth`].
    pub fn set_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
    }

    /// Hashes the key of a command, for [`Engine::execute`].
    #[must_use]
    pub fn hashed_key<'k>(&self, bytes: &'k [u8]) -> HashedKey<'k> {
        self.store.hashed_key(bytes)
    }

    /// Loads the memory that commands with these keys will need. See `store/prefetch.rs`.
    #[inline]
    pub fn prefetch<'k: 'w, 'w>(&self, keys: impl Iterator<Item = &'w mut HashedKey<'k>>) {
        self.store.prefetch(keys);
    }

    /// Bytes copied so far within the store: an `append` of one byte copies its whole item, and a store
    /// may move other items to make room. The sum only grows. A session ends its turn when the sum has
    /// grown by a limit.
    #[must_use]
    pub const fn copied_bytes(&self) -> u64 {
        self.copied_bytes + self.store.work_bytes()
    }

    /// The value that the last command left out of its answer.
    ///
    /// # Panics
    /// When none was left out.
    #[must_use]
    pub fn left_out(&self) -> LeftOut<'_> {
        let (address, at) = self.left_out.expect("a command has left out a value");
        LeftOut { value: self.store.value_at(address), at }
    }

    /// The keys that are fetched most. None if they are not counted, or if clients may not list keys.
    #[must_use]
    pub fn hot_keys(&self) -> Option<&HotKeys> {
        self.hot_keys.hot_keys()
    }

    /// Executes one command and writes its answer. `key` is its first key; an empty one if it has none, or has
    /// it in base64.
    pub fn execute<'a>(
        &mut self,
        command: &Command<'a>,
        key: HashedKey<'a>,
        turn: &Turn<'_>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        self.now = if cfg!(debug_assertions) { self.debug_time(turn.now) } else { turn.now };
        match *command {
            Command::Retrieve { retrieval, keys } => {
                return self.retrieve(retrieval, keys, key, reply);
            }
            Command::Store { .. } => return self.store_plain(command, key, reply),
            Command::TooLarge { ref store } => self.refuse_too_large(store, reply),
            Command::BadChunk { ref store } => self.refuse_bad_chunk(store, reply),
            Command::Arithmetic { direction, delta, .. } => {
                return self.arithmetic_plain(key, direction, delta, reply);
            }
            Command::Touch { exptime, .. } => self.touch(key, exptime, reply),
            Command::Delete { .. } => self.delete(key, reply),
            Command::MetaGet(ref meta) => return self.meta_get(meta, key, reply),
            Command::MetaSet { .. } => return self.meta_set(command, key, reply),
            Command::MetaDelete(ref meta) => {
                return self.meta_delete(meta, key, reply);
            }
            Command::MetaArithmetic { ref meta, direction } => {
                return self.meta_arithmetic(meta, direction, key, reply);
            }
            Command::MetaDebug { ref key } => self.meta_debug(key, reply),
            Command::MetaNoop => reply.line(Reply::Noop),
            Command::FlushAll { delay } => self.flush_all(delay, reply),
            Command::FlushPrefix { prefix } => return self.flush_prefix(prefix, reply),
            Command::Stats(topic) => return self.stats(topic, turn.server, reply),
            Command::Dump(dump) => return self.dump(dump, reply),
            Command::Verbosity(level) => {
                trace::set_verbosity(level);
                self.config.verbosity = level;
                reply.line(Reply::Ok);
            }
            Command::MemoryLimit { mib } => self.limit_memory(mib, reply),
            Command::Watch { kinds } => return self.watch(kinds, reply),
            Command::Shutdown { understood } => return self.shut_down(understood, reply),
            Command::Authenticate { token } => return self.authenticate(token, reply),
            Command::Debug(command) => {
                self.debug(command);
                reply.line(Reply::Ok);
            }
            Command::Binary(ref request) => {
                return self.binary(request, key, turn.server, reply);
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
        keys: Keys<'a>,
        first: HashedKey<'a>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        let resume = |keys, why| {
            trace::stalled(why);
            Executed::Resume(Unfinished::Retrieve { retrieval, keys })
        };
        // The first key by itself: most retrievals have no other.
        match self.fetch(first, retrieval, reply) {
            Room::Whole => {}
            Room::WithoutValue => return without_value(retrieval, keys.after_first(), reply),
            Room::Nothing => return resume(keys.all(), "the output is full"),
        }
        let mut keys = keys.after_first();
        let mut batches = 0;
        while !keys.is_empty() {
            if batches == BATCHES_PER_TURN {
                return resume(keys, "it has looked up as many keys as a turn may");
            }
            batches += 1;
            let mut rest = keys;
            let mut batch = [HashedKey::EMPTY; PREFETCH_BATCH];
            let mut count = 0;
            for (slot, bytes) in batch.iter_mut().zip(keys.by_ref()) {
                *slot = self.store.hashed_key(bytes);
                count += 1;
            }
            self.store.prefetch(batch[..count].iter_mut());
            for (index, key) in batch[..count].iter().enumerate() {
                match self.fetch(*key, retrieval, reply) {
                    Room::Whole => {}
                    Room::WithoutValue => {
                        rest.by_ref().take(index + 1).for_each(drop);
                        return without_value(retrieval, rest, reply);
                    }
                    Room::Nothing => {
                        rest.by_ref().take(index).for_each(drop);
                        return resume(rest, "the output is full");
                    }
                }
            }
        }
        reply.end();
        Executed::Done
    }

    /// Writes one key's hit, as far as there is room, or nothing for a miss.
    fn fetch(
        &mut self,
        key: HashedKey<'_>,
        retrieval: Retrieval,
        reply: &mut ReplyWriter<'_>,
    ) -> Room {
        let (mut room, mut value_bytes) = (Room::Whole, 0);
        let hit = if let Some(mut found) = self.store.item_mut(key, self.now.uptime_s) {
            found.count_fetch();
            let item = found.item();
            value_bytes = item.value.len();
            let cas = retrieval.with_cas.then_some(item.attributes.cas);
            room = reply.value(key.bytes(), item.attributes.flags, item.value, cas);
            match room {
                Room::Whole => {}
                Room::WithoutValue => self.left_out = Some((found.address(), reply.left_out_at())),
                Room::Nothing => return room,
            }
            trace::hit(key.bytes(), value_bytes);
            if let Some(exptime) = retrieval.touch {
                found.set_expiry(self.now.deadline_s(exptime));
            }
            true
        } else {
            trace::miss(key.bytes());
            false
        };
        self.log_fetch(key, hit, value_bytes);
        self.prefixes.count_get(key.bytes(), hit);
        self.hot_keys.count(key, self.now);
        match (retrieval.touch, hit) {
            (None, true) => self.counters.get_hits += 1,
            (None, false) => self.counters.get_misses += 1,
            (Some(_), true) => self.counters.touch_hits += 1,
            (Some(_), false) => self.counters.touch_misses += 1,
        }
        room
    }

    fn touch(&mut self, key: HashedKey<'_>, exptime: i32, reply: &mut ReplyWriter<'_>) {
        self.log_lookup(key);
        let Some(mut item) = self.store.item_mut(key, self.now.uptime_s) else {
            self.counters.touch_misses += 1;
            trace::miss(key.bytes());
            return reply.line(Reply::NotFound);
        };
        item.count_fetch();
        item.set_expiry(self.now.deadline_s(exptime));
        self.counters.touch_hits += 1;
        reply.line(Reply::Touched);
    }

    fn delete(&mut self, key: HashedKey<'_>, reply: &mut ReplyWriter<'_>) {
        self.prefixes.count_delete(key.bytes());
        let value_bytes = self.log_lookup(key);
        if self.store.delete(key, self.now.uptime_s) {
            self.counters.delete_hits += 1;
            trace::deleted(key.bytes());
            self.events.deleted(key.bytes(), "delete", value_bytes.unwrap_or(0));
            reply.line(Reply::Deleted);
        } else {
            self.counters.delete_misses += 1;
            trace::miss(key.bytes());
            reply.line(Reply::NotFound);
        }
    }

    /// A store whose value has no terminator. The item stays as it is, and memcached counts the
    /// command all the same.
    fn refuse_bad_chunk(&mut self, store: &StoreLine<'_>, reply: &mut ReplyWriter<'_>) {
        self.counters.cmd_set += 1;
        if let StoreLine::Plain(_, key) = store {
            self.prefixes.count_set(key);
        }
        reply.line(Reply::BadChunk);
    }

    fn flush_all(&mut self, delay: Option<i32>, reply: &mut ReplyWriter<'_>) {
        self.counters.cmd_flush += 1;
        match delay {
            _ if !self.config.flush_enabled => reply.line(Reply::FlushForbidden),
            None => reply.line(Reply::BadExptime),
            Some(delay) => {
                self.flush(delay);
                reply.line(Reply::Ok);
            }
        }
    }

    /// Invalidates all items, now or later.
    fn flush(&mut self, delay: i32) {
        let at_s = if delay > 0 { self.now.deadline_s(delay) } else { self.now.uptime_s };
        // As memcached: a time that has passed flushes everything, whenever it was stored; only one
        // before the server's own start flushes nothing.
        if at_s >= Now::FIRST_S {
            self.store.flush(at_s, self.now.uptime_s);
        }
    }

    /// Invalidates all items of a prefix, which may be written with the delimiter after it.
    fn flush_prefix(&mut self, prefix: &[u8], reply: &mut ReplyWriter<'_>) -> Executed<'static> {
        let delimiter = self.config.prefix_delimiter;
        let prefix = prefix.strip_suffix(&[delimiter]).unwrap_or(prefix);
        if !self.config.flush_enabled {
            reply.line(Reply::PrefixFlushForbidden);
        } else if prefix.contains(&delimiter) {
            reply.line(Reply::BadPrefix);
        } else if prefix.len() > PREFIX_BYTES_MAX {
            reply.line(Reply::BadLine);
        } else {
            match self.store.flush_prefix(prefix, self.now.uptime_s) {
                PrefixFlush::NeedsStep => return Executed::Retry,
                PrefixFlush::OutOfMemory => reply.line(Reply::NoRoomForNumber),
                PrefixFlush::Done => {
                    self.counters.cmd_flush_prefix += 1;
                    reply.line(Reply::Ok);
                }
            }
        }
        Executed::Done
    }

    /// The limit applies from now on. What the items hold above it is evicted step by step.
    fn limit_memory(&mut self, mib: u32, reply: &mut ReplyWriter<'_>) {
        let bytes = (mib as usize).saturating_mul(MIB);
        if self.store.limit_memory(bytes) {
            self.config.memory_bytes_max = bytes;
            reply.line(Reply::Ok);
        } else {
            reply.line(Reply::MemlimitRefused);
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

    fn debug(&mut self, command: DebugCommand) {
        match command {
            DebugCommand::MoveTime(by_s) => {
                self.clock_moved_s = self.clock_moved_s.saturating_add(by_s);
                if let Some(paused) = self.clock_paused {
                    self.clock_paused = Some(paused.later(by_s));
                }
            }
            DebugCommand::PauseTime => self.clock_paused = Some(self.now),
            DebugCommand::ResumeTime => self.clock_paused = None,
            DebugCommand::Verify => self.verify(),
        }
    }

    /// What `debugtime` has made of the time.
    fn debug_time(&self, now: Now) -> Now {
        self.clock_paused.unwrap_or_else(|| now.later(self.clock_moved_s))
    }

    /// Checks every invariant of the store the slow way. For tests.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn verify(&self) {
        self.store.verify();
    }
}

/// Ends a retrieval's answer after a value that was left out, or has it resumed where more keys follow.
#[cold]
fn without_value<'a>(
    retrieval: Retrieval,
    keys: Words<'a>,
    reply: &mut ReplyWriter<'_>,
) -> Executed<'a> {
    if keys.is_empty() {
        reply.end();
        return Executed::LeftOut(None);
    }
    Executed::LeftOut(Some(Unfinished::Retrieve { retrieval, keys }))
}
