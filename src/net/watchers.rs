//! Watchers: the connections that are sent the log of events (`watch`), and how it is sent to them.
//!
//! After each turn of a connection the lines of its events are copied into the output of each watcher
//! that asked for their kind. A watcher may hold `-o watcher_logbuf_size` bytes of them, if the memory
//! account has so many for it. Lines above that are not kept. They are counted, and a line `skipped=N`
//! in the watcher's output gives their number where they are missing. So a watcher that does not read
//! delays no other connection. What it sends is read and dropped.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use slab::Slab;

use super::account::Account;
use super::buffer::BufferPool;
use super::connection::Connection;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::event_log::EVENT_BYTES_MAX;
use crate::protocol::WatchKinds;

/// Bytes that the time before a line, its end, and a line with the number of skipped lines may take.
const EXTRA_BYTES_MAX: usize = 96;

/// A connection that watches.
struct Watcher {
    key: usize,
    kinds: WatchKinds,
    /// Lines that it was not sent since the last one that it was.
    skipped: u64,
}

/// All of them.
pub(super) struct Watchers {
    all: Vec<Watcher>,
    /// What a watcher holds at most.
    bytes_max: usize,
    /// The lines for one watcher; empty between two calls.
    text: String,
}

impl Watchers {
    pub(super) fn new(config: &Config) -> Self {
        Self { all: Vec::new(), bytes_max: config.watcher_bytes_max, text: String::new() }
    }

    /// Adds a connection, unless it watches already.
    pub(super) fn add(&mut self, key: usize, kinds: WatchKinds, engine: &mut Engine) {
        if !self.all.iter().any(|watcher| watcher.key == key) {
            self.all.push(Watcher { key, kinds, skipped: 0 });
            let missing = self.bytes_max.saturating_sub(self.text.capacity());
            // Without memory for them, lines are skipped.
            let _ = self.text.try_reserve_exact(missing);
            self.publish(engine);
        }
    }

    /// Forgets a connection that is closed.
    pub(super) fn remove(&mut self, key: usize, engine: &mut Engine) {
        let before = self.all.len();
        self.all.retain(|watcher| watcher.key != key);
        if self.all.len() != before {
            self.publish(engine);
        }
    }

    /// Sets in the engine what is watched.
    fn publish(&mut self, engine: &mut Engine) {
        let kinds = self.all.iter().map(|watcher| watcher.kinds);
        engine.set_watchers(self.all.len(), kinds.fold(WatchKinds::default(), WatchKinds::with));
        if self.all.is_empty() {
            self.text = String::new();
        }
    }

    /// Copies the events that have been logged to the watchers' outputs, and clears the log. Calls
    /// `queue` for each connection that has something to send.
    pub(super) fn deliver(
        &mut self,
        engine: &mut Engine,
        connections: &mut Slab<Connection>,
        account: &mut Account,
        pool: &mut BufferPool,
        now_ms: u64,
        mut queue: impl FnMut(usize, &mut Connection),
    ) {
        engine.log_evictions();
        if engine.events.is_empty() {
            return;
        }
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The microseconds have no leading zeros in memcached.
        let time = (unix.as_secs(), unix.subsec_micros());
        for watcher in &mut self.all {
            let Some(connection) = connections.get_mut(watcher.key) else { continue };
            let room = connection.event_room(self.bytes_max, account).min(self.text.capacity());
            let (sent, skipped) = watcher.select(engine, time, room, &mut self.text);
            engine.counters.log_watcher_sent += sent;
            engine.counters.log_watcher_skipped += skipped;
            if sent > 0 {
                let text = self.text.as_bytes();
                match connection.append_events(text, account, pool, now_ms) {
                    Ok(()) => queue(watcher.key, connection),
                    // There is no memory.
                    Err(_) => watcher.skipped += sent,
                }
            }
        }
        let (written, dropped) = engine.events.counts();
        engine.counters.log_worker_written += written;
        engine.counters.log_worker_dropped += dropped;
        engine.events.clear();
    }
}

impl Watcher {
    /// Writes the lines of its kinds into `text`, as far as `room` bytes take them. Returns how many
    /// lines were written, and how many were skipped.
    fn select(
        &mut self,
        engine: &Engine,
        (seconds, micros): (u64, u32),
        room: usize,
        text: &mut String,
    ) -> (u64, u64) {
        text.clear();
        let mut sent = 0;
        let mut skipped = engine.events.lost(self.kinds);
        self.skipped += skipped;
        for (kind, line) in engine.events.lines() {
            if !kind.intersects(self.kinds) {
                continue;
            }
            if text.len() + line.len() + EXTRA_BYTES_MAX > room {
                self.skipped += 1;
                skipped += 1;
                continue;
            }
            // Writing into memory does not fail.
            if self.skipped > 0 {
                let _ = writeln!(text, "skipped={}", self.skipped);
                self.skipped = 0;
            }
            let _ = writeln!(text, "ts={seconds}.{micros} {line}");
            sent += 1;
        }
        (sent, skipped)
    }
}

const _: () = assert!(EVENT_BYTES_MAX + EXTRA_BYTES_MAX < super::ALLOWANCE_BYTES);
