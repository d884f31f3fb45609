//! The server's settings as plain data: defaults, bounds, and the relations between limits.
//!
//! Every layer may read them. The command line sets them (`src/args/`, a part of the program, not of
//! this library). [`crate::protocol`] has the limits of the protocol, [`crate::net`] the amounts of
//! work per turn of the event loop.

pub mod file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One mebibyte, in bytes.
pub const MIB: usize = 1 << 20;

/// Largest memory for items, in bytes. The store's addresses can refer to no more.
pub const MEMORY_BYTES_CEILING: u64 = 32 << 30;
/// Largest share of the memory for items that one item may take, in percent. The store's main log has
/// nine tenths of the memory and must have room for two such items: an item that does not fit before
/// the end of the log is written at its start, and up to an item's length stays unused at the end.
const ITEM_SHARE_PERCENT: usize = 40;
/// Smallest item limit, in bytes (memcached's, too).
pub const ITEM_BYTES_MIN: usize = 1024;
/// Largest item limit, in bytes (memcached's, too).
pub const ITEM_BYTES_CEILING: usize = 1 << 30;
/// Smallest limit of all buffers together, in bytes.
pub const BUFFER_BYTES_MIN: usize = MIB;

/// How the dialect of a line is chosen. [`crate::protocol::dialect_of`] applies it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DialectMode {
    /// Each line is read in the dialect that its ending and its command indicate.
    #[default]
    Auto,
    /// Every line is read in the simple dialect.
    Simple,
    /// Every line is read in the classic dialect, memcached's.
    Classic,
}

/// The protocol that clients speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The binary protocol where the first byte of a connection is that of a frame, else text.
    #[default]
    Auto,
    /// Text, in one of the dialects.
    Ascii,
    /// The binary protocol.
    Binary,
}

/// A Unix socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Path of the socket file.
    pub path: PathBuf,
    /// Permission bits of the socket file, as memcached's `-a` (default 0o700).
    pub mode: u32,
}

/// All settings of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP addresses to listen on; port 0 lets the kernel pick a free one.
    pub tcp: Vec<SocketAddr>,
    /// Unix sockets to listen on.
    pub unix: Vec<UnixSocket>,
    /// TCP address of the metrics and their page (`--metrics`).
    pub metrics: Option<SocketAddr>,
    /// Memory for items, in bytes.
    pub memory_bytes_max: usize,
    /// Largest item (key, value and memcached's own overhead, see [`crate::protocol::item_bytes`]).
    pub item_bytes_max: usize,
    /// Live items are evicted when memory is full. Otherwise new items are refused (`-M`).
    pub evicts: bool,
    /// Limit of open client connections.
    pub connections_max: usize,
    /// Limit of bytes in the read and write buffers of all connections together.
    pub buffer_bytes_max: usize,
    /// The server asks for huge pages for the memory for items (`-L`).
    pub huge_pages: bool,
    /// How the dialect of a line is chosen.
    pub dialect: DialectMode,
    /// The protocol that clients may speak (`-B`). See [`Config::protocol_spoken`].
    pub protocol: Protocol,
    /// Items have cas ids (`-C` turns them off).
    pub cas_enabled: bool,
    /// Clients may flush (`-F` forbids it).
    pub flush_enabled: bool,
    /// Clients may list keys (`-X` forbids it).
    pub dump_enabled: bool,
    /// Clients may watch the events of others (`-W` forbids it).
    pub watch_enabled: bool,
    /// Limit of the unsent events of one watcher, in bytes (`-o watcher_logbuf_size`).
    pub watcher_bytes_max: usize,
    /// Clients may stop the server (`-A` allows it).
    pub shutdown_enabled: bool,
    /// `stats sizes` is kept (`-o track_sizes`).
    pub sizes_tracked: bool,
    /// `stats detail` counts by key prefix from the start (`-D`).
    pub detail_enabled: bool,
    /// The byte that ends a key's prefix for `stats detail` and `flush_prefix`.
    pub prefix_delimiter: u8,
    /// The keys that are fetched most are found, for `stats hotkeys`.
    pub hot_keys: bool,
    /// Limit of requests of one connection that are executed in one turn (`-R`).
    pub requests_per_turn: Option<usize>,
    /// At the connection limit, a new client gets an error and is closed (`-o maxconns_fast`).
    /// Otherwise it waits in the listen backlog.
    pub reject_at_limit: bool,
    /// Time after the last event during which the server polls for the next one without sleeping.
    pub busy_poll: Duration,
    /// Seconds without a request after which a connection is closed; 0 for never.
    pub idle_timeout_s: u32,
    /// Length of the kernel's queue of connections that are not accepted yet.
    pub backlog: i32,
    /// A file of `user:password` lines. Each client must authenticate with one of them first (`-Y`).
    pub auth_file: Option<PathBuf>,
    /// The file that the steps of the event loop are written to (`--trace-file`).
    pub trace_file: Option<PathBuf>,
    /// The file that keeps the items over a restart (`--snapshot`).
    pub snapshot: Option<PathBuf>,
    /// How often `-v` was given.
    pub verbosity: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tcp: Vec::new(),
            unix: Vec::new(),
            metrics: None,
            memory_bytes_max: 64 * MIB,
            item_bytes_max: MIB,
            evicts: true,
            connections_max: 1024,
            buffer_bytes_max: 64 * MIB,
            huge_pages: false,
            dialect: DialectMode::Auto,
            protocol: Protocol::Auto,
            cas_enabled: true,
            flush_enabled: true,
            dump_enabled: true,
            watch_enabled: true,
            watcher_bytes_max: 256 << 10,
            shutdown_enabled: false,
            sizes_tracked: false,
            detail_enabled: false,
            prefix_delimiter: b':',
            hot_keys: false,
            requests_per_turn: None,
            reject_at_limit: true,
            busy_poll: Duration::ZERO,
            idle_timeout_s: 0,
            backlog: 1024,
            auth_file: None,
            trace_file: None,
            snapshot: None,
            verbosity: 0,
        }
    }
}

impl Config {
    /// The protocol that clients speak. Clients cannot authenticate in the binary protocol, and in the
    /// simple dialect its first byte is a byte of a line like any other: there it is not negotiated.
    #[must_use]
    pub const fn protocol_spoken(&self) -> Protocol {
        let is_simple = matches!(self.dialect, DialectMode::Simple);
        match self.protocol {
            Protocol::Binary if self.auth_file.is_none() => Protocol::Binary,
            Protocol::Auto if self.auth_file.is_none() && !is_simple => Protocol::Auto,
            Protocol::Binary | Protocol::Auto | Protocol::Ascii => Protocol::Ascii,
        }
    }

    /// Largest item that this memory can hold, in bytes.
    #[must_use]
    pub const fn item_bytes_possible(memory_bytes_max: usize) -> usize {
        memory_bytes_max / 100 * ITEM_SHARE_PERCENT
    }

    /// Lowers the item limit to the largest item that the memory can hold. Returns the requested limit
    /// if it was larger.
    pub fn lower_item_limit(&mut self) -> Option<usize> {
        let possible = Self::item_bytes_possible(self.memory_bytes_max);
        let requested = self.item_bytes_max;
        self.item_bytes_max = requested.min(possible);
        (requested > possible).then_some(requested)
    }

    /// Checks the relations between limits. The error is one line for the operator.
    ///
    /// # Errors
    /// The limit that is out of bounds, and the bound.
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
        if self.auth_file.is_some() && self.protocol == Protocol::Binary {
            return Err("clients cannot authenticate with -Y in the binary protocol".into());
        }
        if self.trace_file.is_some() && self.trace_file == self.snapshot {
            return Err("--trace-file and --snapshot must not be one file".into());
        }
        if self.buffer_bytes_max < BUFFER_BYTES_MIN {
            return Err("the buffer limit must be at least 1 MiB".into());
        }
        Ok(())
    }
}
