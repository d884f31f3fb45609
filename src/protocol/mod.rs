//! The protocol: bytes to values and values to bytes. Knows no socket, no store and no clock.
//!
//! From the top down; no file uses one above it (`tests/tidy.rs` checks that):
//!
//! * [`framer`]: where a request ends, and what happens when it is cut
//! * `grammar`: which grammar a line is parsed with
//! * `simple`, `classic`, `meta`, `admin`: the grammars. Each turns one line into a `line`
//! * `binary`: the grammar of the binary protocol, whose requests are frames instead of lines
//! * [`binary_reply`]: writes the answers to frames; [`writer`]: writes those to lines
//! * [`command`]: the requests; [`binary_request`]: those of the binary protocol; [`meta_request`]: the
//!   flags of a meta command; `kind`: the kinds of stores, arithmetic and figures
//! * [`reply`]: the table of one-line answers; [`dialect`]: which dialect a line is in; `verb`: the
//!   table of command words; `watch_kinds`: what `watch` asks for
//! * `token`: words; [`number`]: numbers as memcached reads them; [`base64`]: keys that are no text;
//!   [`limits`]: the limits of the wire

mod admin;
pub mod base64;
mod binary;
pub mod binary_reply;
pub mod binary_request;
mod classic;
pub mod command;
pub mod dialect;
mod end_reason;
pub mod framer;
mod grammar;
mod kind;
pub mod limits;
mod line;
mod meta;
pub mod meta_request;
pub mod number;
mod plain;
pub mod reply;
mod simple;
pub mod token;
mod verb;
mod watch_kinds;
pub mod writer;

pub use binary::Refusal;
pub use binary_reply::BinaryReply;
pub use binary_request::BinaryRequest;
pub use command::{Command, Retrieval};
pub use dialect::{Dialect, dialect_of};
pub use end_reason::EndReason;
pub use framer::{Framer, Parsed, State, Step};
pub use grammar::Grammar;
pub use kind::StoreMode;
pub use limits::{
    KEY_BYTES_MAX, LINE_BYTES_MAX, LONG_LINE_BYTES_MAX, VALUE_BYTES_MAX, WORDS_MAX, item_bytes,
};
pub use meta_request::MetaRequest;
pub use reply::{Reply, ReplyMode, VERSION_LINE};
pub use token::{Keys, Words};
pub use watch_kinds::WatchKinds;
pub use writer::{OutputLimit, ReplyWriter, Room};
