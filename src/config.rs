//! What the operator may choose, as plain data, with the defaults and the relations between limits.
//!
//! Every layer may read these values. This file knows nothing of the command line that fills them
//! in (see `args.rs` beside `main.rs`) and nothing of what the layers do with them. Facts of the
//! wire stand in [`crate::protocol`]; amounts of work per turn stand in [`crate::net`].

pub mod file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One mebibyte, in bytes.
pub const MIB: usize = 1 << 20;

/// Most memory for items that can be asked for, in bytes: as far as the store's addresses reach.
pub const MEMORY_BYTES_CEILING: u64 = 32 << 30;
/// Largest part of the memory that one item may take, in hundredths. The store's main log is nine
/// tenths of it and must have room for two, because one that does not fit in front of the end of a
/// lap leaves that part unused.
const ITEM_SHARE_PERCENT: usize = 40;
/// Smallest item limit that can be asked for, in bytes (memcached refuses less, too).
pub const ITEM_BYTES_MIN: usize = 1024;
/// Largest item limit that can be asked for, in bytes (memcached refuses more, too).
pub const ITEM_BYTES_CEILING: usize = 1 << 30;
/// Smallest buffer budget that can be asked for, in bytes.
pub const BUFFER_BYTES_MIN: usize = MIB;

/// Which dialect a line is read in. [`crate::protocol::dialect_of`] applies it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DialectMode {
    /// The ending of each line tells.
    #[default]
    Auto,
    /// Every line is the simple dialect's.
    Simple,
    /// Every line is memcached's.
    Classic,
}

/// A Unix socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where the socket file is made.
    pub path: PathBuf,
    /// Permission bits of the socket file, as memcached's `-a` (default 0o700).
    pub mode: u32,
}

/// All that can be chosen about a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP addresses to listen on; port 0 lets the kernel pick a free one.
    pub tcp: Vec<SocketAddr>,
    /// Unix sockets to listen on.
    pub unix: Vec<UnixSocket>,
    /// Memory for items, in bytes.
    pub memory_bytes_max: usize,
    /// Largest item (key, value and memcached's own overhead, see [`crate::protocol::item_bytes`]).
    pub item_bytes_max: usize,
    /// Live items leave when memory is full. Otherwise what is new is refused then.
    pub evicts: bool,
    /// Client connections that may be open at the same time.
    pub connections_max: usize,
    /// Bytes that the read and write buffers of all connections may hold together.
    pub buffer_bytes_max: usize,
    /// The kernel is asked for the memory for items in huge pages (`-L`).
    pub huge_pages: bool,
    /// How the dialect of a line is found.
    pub dialect: DialectMode,
    /// `stats settings` says that the text protocol is the only one, and not that it is negotiated
    /// (`-B ascii`). No other is spoken either way.
    pub ascii_only: bool,
    /// Items have cas ids (`-C` turns them off).
    pub cas_enabled: bool,
    /// Clients may flush (`-F` forbids it).
    pub flush_enabled: bool,
    /// Clients may list keys (`-X` forbids it).
    pub dump_enabled: bool,
    /// Clients may stop the server (`-A` allows it).
    pub shutdown_enabled: bool,
    /// `stats sizes` is kept (`-o track_sizes`).
    pub sizes_tracked: bool,
    /// `stats detail` counts by key prefix from the start (`-D`).
    pub detail_enabled: bool,
    /// What ends a key's prefix for `stats detail`.
    pub prefix_delimiter: u8,
    /// Requests that one connection may have executed in one turn (`-R`), where there is a limit.
    pub requests_per_turn: Option<usize>,
    /// Clients beyond the connection limit are told so and turned away, instead of being left to
    /// wait unaccepted (`-o maxconns_fast`).
    pub turns_away: bool,
    /// For so long after the last event the server looks for the next one without sleeping.
    pub busy_poll: Duration,
    /// Seconds without a request after which a connection is closed; 0 for never.
    pub idle_timeout_s: u32,
    /// Connections that the kernel may hold for us before we accept them.
    pub backlog: i32,
    /// A file of `user:password` lines: nobody is served who has not shown one of them (`-Y`).
    pub auth_file: Option<PathBuf>,
    /// How often `-v` was given.
    pub verbosity: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tcp: Vec::new(),
            unix: Vec::new(),
            memory_bytes_max: 64 * MIB,
            item_bytes_max: MIB,
            evicts: true,
            connections_max: 1024,
            buffer_bytes_max: 64 * MIB,
            huge_pages: false,
            dialect: DialectMode::Auto,
            ascii_only: false,
            cas_enabled: true,
            flush_enabled: true,
            dump_enabled: true,
            shutdown_enabled: false,
            sizes_tracked: false,
            detail_enabled: false,
            prefix_delimiter: b':',
            requests_per_turn: None,
            turns_away: true,
            busy_poll: Duration::ZERO,
            idle_timeout_s: 0,
            backlog: 1024,
            auth_file: None,
            verbosity: 0,
        }
    }
}

impl Config {
    /// Largest item limit that this memory has room for, in bytes.
    #[must_use]
    pub const fn item_bytes_possible(memory_bytes_max: usize) -> usize {
        memory_bytes_max / 100 * ITEM_SHARE_PERCENT
    }

    /// Lowers the item limit to what the memory has room for. Returns what it was, if it was more.
    pub fn lower_item_limit(&mut self) -> Option<usize> {
        let possible = Self::item_bytes_possible(self.memory_bytes_max);
        let asked = self.item_bytes_max;
        self.item_bytes_max = asked.min(possible);
        (asked > possible).then_some(asked)
    }

    /// Checks the relations between limits. The error is one line for the operator.
    ///
    /// # Errors
    /// What cannot be served as asked, and why.
    pub fn check(&self) -> Result<(), String> {
        if self.connections_max == 0 {
            return Err("the connection limit must be at least 1".into());
        }
        if self.memory_bytes_max == 0 {
            return Err("the memory limit must be at least 1 MiB".into());
        }
        if self.memory_bytes_max as u64 > MEMORY_BYTES_CEILING {
            return Err("the memory limit must be at most 32 GiB".into());
        }
        if self.item_bytes_max < ITEM_BYTES_MIN {
            return Err(format!("the item size limit must be at least {ITEM_BYTES_MIN} bytes"));
        }
        if self.item_bytes_max > ITEM_BYTES_CEILING {
            return Err("the item size limit must be at most 1 GiB".into());
        }
        if self.item_bytes_max > self.memory_bytes_max / 2 {
            return Err("the item size limit must be at most half of the memory limit".into());
        }
        if self.buffer_bytes_max < BUFFER_BYTES_MIN {
            return Err("the buffer limit must be at least 1 MiB".into());
        }
        Ok(())
    }
}
