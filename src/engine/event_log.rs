//! The lines that `watch` shows: what happens to items and connections, one line for each event.
//!
//! The engine and the network add lines while at least one connection watches their kind. After each
//! turn of a connection the network sends the lines to the watchers and clears the log
//! (`net/watchers.rs`). It also puts the time before each line. The lines of one turn are limited; those
//! above the limit are counted, and their number is shown to the watchers. The lines are memcached's.

use std::fmt::{self, Display, Write as _};

use super::percent::Percent;
use crate::config::Config;
use crate::protocol::{KEY_BYTES_MAX, WatchKinds};
use crate::store::EvictedItem;

/// Connections that may watch at the same time, as in memcached.
pub const WATCHERS_MAX: usize = 20;
/// Bytes that a line may take: a key of which each byte is escaped, and some 200 bytes of names and
/// numbers.
pub const EVENT_BYTES_MAX: usize = 3 * KEY_BYTES_MAX + 256;
/// Bytes that most lines have at least; of shorter ones there may be too many for the log.
const EVENT_BYTES_MIN: usize = 48;
/// All kinds of events that have lines, for the counts of lines that were lost.
const KINDS: [WatchKinds; 5] = [
    WatchKinds::FETCHERS,
    WatchKinds::MUTATIONS,
    WatchKinds::EVICTIONS,
    WatchKinds::CONNEVENTS,
    WatchKinds::DELETIONS,
];

/// See the module.
#[derive(Debug)]
pub struct EventLog {
    /// The kinds that any connection watches.
    kinds: WatchKinds,
    watchers: usize,
    /// The lines since the log was cleared. Its memory is allocated when the first connection watches,
    /// and does not grow.
    text: String,
    /// Kind and end of each line in `text`. The same holds for its memory.
    lines: Vec<(WatchKinds, usize)>,
    bytes_max: usize,
    /// Lines that did not fit, by kind.
    lost: [u64; KINDS.len()],
    /// The number of the last line, since the start.
    gid: u64,
    /// The descriptor of the connection whose requests are executed. The network sets it before each
    /// turn of a connection.
    pub descriptor: i32,
}

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// An item with a value of so many bytes.
    Found(usize),
    NotFound,
    Expired,
    Flushed,
}

/// A connection in a line of the log.
#[derive(Clone, Copy)]
pub struct Peer<'a> {
    /// Its address, such as `127.0.0.1` or `unix`.
    pub address: &'a dyn Display,
    /// Its port; 0 for a Unix socket.
    pub port: u16,
    /// `tcp` or `local`.
    pub transport: &'static str,
    /// Our descriptor of it.
    pub descriptor: i32,
}

impl EventLog {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            kinds: WatchKinds::default(),
            watchers: 0,
            text: String::new(),
            lines: Vec::new(),
            bytes_max: config.watcher_bytes_max,
            lost: [0; KINDS.len()],
            gid: 0,
            descriptor: -1,
        }
    }

    /// Sets how many connections watch, and the kinds that any of them watches. Without watchers the
    /// log takes no memory. If there is none for it, lines are lost.
    pub(super) fn set_watchers(&mut self, watchers: usize, kinds: WatchKinds) {
        (self.watchers, self.kinds) = (watchers, kinds);
        if watchers == 0 {
            self.clear();
            (self.text, self.lines) = (String::new(), Vec::new());
        } else if self.text.capacity() == 0 {
            let bytes = self.bytes_max.max(EVENT_BYTES_MAX);
            let _ = self.text.try_reserve_exact(bytes);
            let _ = self.lines.try_reserve_exact(bytes / EVENT_BYTES_MIN);
        }
    }

    /// Number of connections that watch.
    #[must_use]
    pub const fn watchers(&self) -> usize {
        self.watchers
    }

    /// Does any connection watch one of these kinds?
    #[must_use]
    #[inline]
    pub const fn watches(&self, kinds: WatchKinds) -> bool {
        self.kinds.intersects(kinds)
    }

    /// Does any connection watch anything?
    #[must_use]
    #[inline]
    pub const fn is_on(&self) -> bool {
        self.watchers > 0
    }

    /// There is nothing to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.lost == [0; KINDS.len()]
    }

    /// The lines, without time and without line end, each with its kind.
    pub fn lines(&self) -> impl Iterator<Item = (WatchKinds, &str)> {
        let mut start = 0;
        self.lines.iter().map(move |&(kind, end)| {
            let line = &self.text[start..end];
            start = end;
            (kind, line)
        })
    }

    /// Numbers of the lines, and of those that did not fit.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.lines.len() as u64, self.lost.iter().sum())
    }

    /// Number of lines of these kinds that did not fit.
    #[must_use]
    pub fn lost(&self, kinds: WatchKinds) -> u64 {
        let lost = KINDS.iter().zip(&self.lost).filter(|(kind, _)| kind.intersects(kinds));
        lost.map(|(_, lost)| lost).sum()
    }

    /// Forgets the lines, after they were sent.
    pub fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.lost = [0; KINDS.len()];
    }

    /// A connection was opened.
    pub fn connected(&mut self, peer: Peer<'_>) {
        self.add(WatchKinds::CONNEVENTS, &format_args!("type=conn_new {peer}"));
    }

    /// A connection is closed, for a reason in memcached's words.
    pub fn disconnected(&mut self, peer: Peer<'_>, reason: &str) {
        let Peer { address, port, transport, descriptor } = peer;
        self.add(
            WatchKinds::CONNEVENTS,
            &format_args!(
                "type=conn_close rip={address} rport={port} transport={transport} reason={reason} \
                 cfd={descriptor}"
            ),
        );
    }

    /// A key was looked up.
    pub(super) fn looked_up(&mut self, key: &[u8], lookup: Lookup) {
        let (status, class, bytes) = match lookup {
            Lookup::Found(bytes) => ("found", 1, bytes),
            Lookup::NotFound => ("not_found", 0, 0),
            Lookup::Expired => ("expired", 0, 0),
            Lookup::Flushed => ("flushed", 0, 0),
        };
        let (key, cfd) = (shown(key), self.descriptor);
        self.add(
            WatchKinds::FETCHERS,
            &format_args!(
                "type=item_get key={key} status={status} clsid={class} cfd={cfd} size={bytes}"
            ),
        );
    }

    /// A store was executed or refused.
    pub(super) fn stored(
        &mut self,
        key: &[u8],
        (status, command): (&str, &str),
        (ttl_s, bytes): (u32, usize),
    ) {
        let (key, cfd) = (shown(key), self.descriptor);
        self.add(
            WatchKinds::MUTATIONS,
            &format_args!(
                "type=item_store key={key} status={status} cmd={command} ttl={ttl_s} clsid=1 \
                 cfd={cfd} size={bytes}"
            ),
        );
    }

    /// An item was deleted.
    pub(super) fn deleted(&mut self, key: &[u8], command: &str, bytes: usize) {
        let key = shown(key);
        self.add(
            WatchKinds::DELETIONS,
            &format_args!("type=deleted key={key} cmd={command} clsid=1 size={bytes}"),
        );
    }

    /// An item was evicted.
    pub(super) fn evicted(&mut self, item: &EvictedItem<'_>) {
        let EvictedItem { key, fetched, ttl_s, idle_s, value_bytes } = *item;
        let (key, fetch) = (shown(key), if fetched { "yes" } else { "no" });
        let ttl = ttl_s.map_or(-1, i64::from);
        self.add(
            WatchKinds::EVICTIONS,
            &format_args!(
                "type=eviction key={key} fetch={fetch} ttl={ttl} la={idle_s} clsid=1 \
                 size={value_bytes}"
            ),
        );
    }

    /// Counts evictions that were not logged.
    pub(super) fn lose_evictions(&mut self, lost: u64) {
        self.lose(WatchKinds::EVICTIONS, lost);
    }

    fn lose(&mut self, kind: WatchKinds, lines: u64) {
        let index = KINDS.iter().position(|known| *known == kind);
        self.lost[index.expect("each kind that has lines is in the table")] += lines;
    }

    /// Adds one line, if its kind is watched.
    fn add(&mut self, kind: WatchKinds, line: &fmt::Arguments<'_>) {
        if !self.watches(kind) {
            return;
        }
        self.gid += 1;
        let (lines, bytes) = (self.lines.len() + 1, self.text.len() + EVENT_BYTES_MAX);
        if bytes > self.text.capacity() || lines > self.lines.capacity() {
            return self.lose(kind, 1);
        }
        // Writing into memory does not fail.
        let _ = write!(self.text, "gid={} {line}", self.gid);
        self.lines.push((kind, self.text.len()));
    }
}

impl Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, transport, descriptor } = self;
        write!(f, "rip={address} rport={port} transport={transport} cfd={descriptor}")
    }
}

/// A key as it is shown. A longer key is the simple dialect's alone; its end is left out.
fn shown(key: &[u8]) -> Percent<'_> {
    Percent(&key[..key.len().min(KEY_BYTES_MAX)])
}
