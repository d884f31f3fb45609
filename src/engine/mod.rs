//! The engine: what a command means. Commands in, store operations and replies out.
//!
//! Owns the one [`Store`] that all connections change, the counter behind cas ids, and what is
//! counted. Knows no socket and no clock: [`Now`] is an argument. This file sends each command where
//! it is carried out, and fetches:
//!
//! * `change`: stores of every kind, with their conditions; `count`: numbers, up and down
//! * `meta`: the meta commands; `flags`: what they give back
//! * `stats`: figures, out of [`counters`] and what the network tells in [`vitals`]; `settings` and
//!   `prefixes` are parts of it
//! * `dump`: keys, by walking over the store
//! * [`auth`]: who may be served; `now`: what times mean

pub mod auth;
mod change;
mod count;
pub mod counters;
mod dump;
mod flags;
mod meta;
mod now;
mod prefixes;
mod settings;
mod stats;
pub mod vitals;

use crate::config::Config;
use crate::protocol::command::{Command, Debugging, Retrieval};
use crate::protocol::parser::Words;
use crate::protocol::{Reply, ReplyWriter};
use crate::store::{Amendment, OutOfMemory, Store};
pub use crate::store::{KEYS_AHEAD, Key};
use crate::trace;
use auth::Credentials;
use counters::Counters;
pub use now::Now;
use prefixes::Prefixes;
use vitals::Vitals;

/// The first cas id that is given out, as by memcached 1.6.45.
const FIRST_CAS: u64 = 2;

/// What became of a command.
#[derive(Debug)]
pub enum Executed<'a> {
    /// It has been executed and answered.
    Done,
    /// This is left to do: the output has to drain first, or it takes more steps, between which
    /// others have their turn.
    Stalled(Command<'a>),
    /// The client has shown that it may be served.
    Admitted,
    /// The client wants to leave.
    Quit,
}

/// The meaning of every command, over one store.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    config: Config,
    /// The cas id given last; the next one is above it. Never given out as 0.
    last_cas: u64,
    /// What has happened. The network counts here, too.
    pub counters: Counters,
    /// What only the network knows.
    pub vitals: Vitals,
    prefixes: Prefixes,
    credentials: Credentials,
    /// Bytes of values that commands have gone through which brought or fetched none of them:
    /// a `append` of one byte copies all of its item. A conversation's turn is over when it has caused
    /// more of that than of anything else.
    pub labour_bytes: usize,
    /// A client has asked for the end of the server, which is for the network to bring about.
    pub shutdown_asked: bool,
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
            store.ask_for_huge_pages();
        }
        if config.sizes_tracked {
            store.track_sizes();
        }
        Ok(Self {
            store,
            config: config.clone(),
            last_cas: FIRST_CAS - 1,
            counters: Counters::default(),
            vitals: Vitals::default(),
            prefixes: Prefixes::new(config),
            credentials: Credentials::default(),
            labour_bytes: 0,
            shutdown_asked: false,
            clock_moved_s: 0,
            clock_stands: None,
        })
    }

    /// Whom to serve, where not everybody is served: see [`auth`].
    pub fn set_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
    }

    /// Has the memory loaded that commands with these keys will need, and puts each key where it says,
    /// for [`Engine::execute`]. See `store/ahead.rs`.
    pub fn look_ahead<'k: 'w, 'w>(
        &self,
        wanted: impl Iterator<Item = (&'w mut Option<Key<'k>>, &'k [u8])>,
    ) {
        self.store.look_ahead(wanted);
    }

    /// Executes one command and writes its answer. `known` is its first key, if it has been looked
    /// ahead for.
    pub fn execute<'a>(
        &mut self,
        command: &Command<'a>,
        known: Option<Key<'a>>,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        let now = if cfg!(debug_assertions) { self.moved(now) } else { now };
        match *command {
            Command::Retrieve { retrieval, keys } => {
                return self.retrieve(retrieval, keys, known, now, reply);
            }
            Command::Store { .. } => return self.store_plain(command, known, now, reply),
            Command::TooLarge { ref store } => self.refuse_too_large(store, now, reply),
            Command::Count { direction, key, delta } => {
                self.count_plain(self.key(key, known), direction, delta, now, reply);
            }
            Command::Touch { key, exptime } => {
                self.touch(self.key(key, known), exptime, now, reply)
            }
            Command::Delete { key } => self.delete(self.key(key, known), now, reply),
            Command::MetaGet(ref meta) => {
                if !self.meta_get(meta, known, now, reply) {
                    trace::stalled("the output is full");
                    return Executed::Stalled(*command);
                }
            }
            Command::MetaSet { .. } => return self.meta_set(command, known, now, reply),
            Command::MetaDelete(ref meta) => self.meta_delete(meta, known, now, reply),
            Command::MetaCount { ref meta, direction } => {
                self.meta_count(meta, direction, known, now, reply)
            }
            Command::MetaDebug(ref meta) => self.meta_debug(meta, now, reply),
            Command::MetaNoop => reply.line(Reply::Noop),
            Command::FlushAll { delay } => self.flush_all(delay, now, reply),
            Command::Stats(topic) => {
                if !self.tell(topic, now, reply) {
                    trace::stalled("the network is asked");
                    return Executed::Stalled(*command);
                }
            }
            Command::Dump(dump) => return self.dump(dump, now, reply),
            Command::Verbosity(level) => {
                trace::set_verbosity(level);
                self.config.verbosity = level;
                reply.line(Reply::Ok);
            }
            Command::Shutdown { understood } => return self.shut_down(understood, reply),
            Command::Authenticate { token } => return self.admit(token, reply),
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
        known: Option<Key<'a>>,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        let stalled = |keys| {
            trace::stalled("the output is full");
            Executed::Stalled(Command::Retrieve { retrieval, keys })
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
            let mut ahead = [None; KEYS_AHEAD];
            self.store.look_ahead(ahead.iter_mut().zip(keys.by_ref()));
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
        key: Key<'_>,
        retrieval: Retrieval,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> bool {
        let item = self.store.get(key, now.uptime_s);
        if let Some(item) = &item {
            let cas = retrieval.with_cas.then_some(item.meta.cas);
            if !reply.value(key.bytes(), item.meta.flags, item.value, cas) {
                return false;
            }
            trace::hit(key.bytes(), item.value.len());
        } else {
            trace::miss(key.bytes());
        }
        let hit = item.is_some();
        self.prefixes.count_get(key.bytes(), hit);
        match (retrieval.touch, hit) {
            (None, true) => self.counters.get_hits += 1,
            (None, false) => self.counters.get_misses += 1,
            (Some(exptime), true) => {
                self.counters.touch_hits += 1;
                let expires_at_s = Some(now.deadline_s(exptime));
                let amendment = Amendment { expires_at_s, ..Amendment::default() };
                self.store.amend(key, amendment, now.uptime_s);
            }
            (Some(_), false) => self.counters.touch_misses += 1,
        }
        true
    }

    /// A command's key, out of its bytes, or the `known` one, whose hash need not be worked out again.
    fn key<'k>(&self, bytes: &'k [u8], known: Option<Key<'k>>) -> Key<'k> {
        debug_assert!(known.is_none_or(|key| key.bytes() == bytes), "another command's key");
        known.unwrap_or_else(|| self.store.key(bytes))
    }

    fn touch(&mut self, key: Key<'_>, exptime: i32, now: Now, reply: &mut ReplyWriter<'_>) {
        if self.store.get(key, now.uptime_s).is_none() {
            self.counters.touch_misses += 1;
            trace::miss(key.bytes());
            return reply.line(Reply::NotFound);
        }
        self.counters.touch_hits += 1;
        let expires_at_s = Some(now.deadline_s(exptime));
        let amendment = Amendment { expires_at_s, ..Amendment::default() };
        self.store.amend(key, amendment, now.uptime_s);
        reply.line(Reply::Touched);
    }

    fn delete(&mut self, key: Key<'_>, now: Now, reply: &mut ReplyWriter<'_>) {
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
                if delay > 0 && at_s <= now.uptime_s {
                    // What has been asked for since that time stays.
                    self.store.flush_before(at_s);
                } else {
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
            self.shutdown_asked = true;
            return Executed::Quit;
        }
        Executed::Done
    }

    fn admit(&mut self, token: &[u8], reply: &mut ReplyWriter<'_>) -> Executed<'static> {
        let Some(space) = token.iter().position(|&byte| byte == b' ') else {
            reply.line(Reply::AuthBadFormat);
            return Executed::Done;
        };
        self.counters.auth_cmds += 1;
        if self.credentials.allow(&token[..space], &token[space + 1..]) {
            reply.line(Reply::Stored);
            return Executed::Admitted;
        }
        self.counters.auth_errors += 1;
        reply.line(Reply::AuthFailed);
        Executed::Done
    }

    /// The next cas id, or 0 where there are none.
    const fn next_cas(&mut self) -> u64 {
        if !self.config.cas_enabled {
            return 0;
        }
        // Counted one by one: what clients choose with `E` is not counted on from.
        self.last_cas += 1;
        self.last_cas
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
