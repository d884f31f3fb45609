//! The protocol: bytes to values and values to bytes. Knows no socket, no store and no clock.
//!
//! * [`parser`]: where a request ends, in which dialect it is, and what happens when it is cut;
//!   `line` is what the grammars tell it
//! * [`simple`] and [`classic`]: the grammar of one line in each dialect; of the classic one, [`meta`]
//!   reads the meta commands and `admin` those that ask about the server or change it
//! * [`token`]: numbers as memcached reads them; [`base64`]: keys that are no text
//! * [`command`]: the requests; [`answer`]: the answers of one line; [`reply`]: the writer of all
//!
//! The limits of the wire stand here; the operator's stand in [`crate::config`].

mod admin;
pub mod answer;
pub mod base64;
pub mod classic;
pub mod command;
mod line;
pub mod meta;
pub mod parser;
pub mod reply;
pub mod simple;
pub mod token;

use std::fmt;

pub use answer::Reply;
pub use command::{Command, Form, Retrieval, StoreMode};
pub use meta::Meta;
pub use parser::{Fault, Parsed, Parser, dialect_of};
pub use reply::{ReplyWriter, Room};

/// Longest line, its LF not counted, of every classic command that names one key at most.
/// memcached closes a connection that has more than this waiting without a line end.
pub const LINE_BYTES_MAX: usize = 2048;
/// Longest line, its LF not counted, of a retrieval and of everything in the simple dialect.
pub const LONG_LINE_BYTES_MAX: usize = 1 << 20;
/// Longest key of the classic dialect. The simple dialect's keys are bound by line and item limits.
pub const KEY_BYTES_MAX: usize = 250;
/// Largest count of value bytes that a store may announce (`INT_MAX - 2`, as memcached).
pub const VALUE_BYTES_MAX: usize = 2_147_483_645;
/// Words of a classic line that are looked at, the command included (as memcached).
pub const WORDS_MAX: usize = 23;

/// The lengths that one request tells of, added up, fit into 32 bits: so no sum of them overflows
/// a `usize`, and only numbers that are no lengths need checked arithmetic.
const _: () = assert!(LONG_LINE_BYTES_MAX + VALUE_BYTES_MAX + 128 <= u32::MAX as usize);

/// What `version` answers. Clients and tools read the leading number to decide what a server can
/// do, so it is that of the memcached whose text protocol this is.
pub const VERSION_LINE: &str = concat!("VERSION 1.6.45-miocached-", env!("CARGO_PKG_VERSION"));

/// Why a conversation ends from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client sent `quit`.
    Quit,
    /// The client sent `shutdown`, which ends the server, too.
    Shutdown,
    /// The client speaks the binary protocol.
    Binary,
    /// The client speaks HTTP.
    Http,
    /// A line is longer than it may be.
    LineTooLong,
    /// The first line is no authentication.
    Unauthenticated,
}

impl EndReason {
    /// As the log says it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Quit => "it said quit",
            Self::Shutdown => "it said shutdown",
            Self::Binary => "it speaks the binary protocol",
            Self::Http => "it speaks HTTP",
            Self::LineTooLong => "its line is too long",
            Self::Unauthenticated => "it has not shown who it is",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The two languages. [`dialect_of`] tells which one a line is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `set <key> <bytes>` and `get <key>...`, every line ended by LF.
    Simple,
    /// memcached's text protocol, every line ended by CRLF.
    Classic,
}

/// Size of an item as memcached counts it against `-I`: header, cas, key with its NUL, the client
/// flags when there are any, and the value with its CRLF. Clients probe for this limit, so it is
/// part of the wire and not of any store.
#[must_use]
pub const fn item_bytes(key_bytes: usize, flags: u32, value_bytes: usize) -> usize {
    let flag_bytes = if flags == 0 { 0 } else { 4 };
    48 + 8 + key_bytes + 1 + flag_bytes + value_bytes + 2
}
