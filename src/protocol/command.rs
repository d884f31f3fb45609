//! The requests of both dialects, as values that borrow from the input.
//!
//! Families share one variant with a mode, so that a new member of a family adds an arm and not a
//! copy. Knows nothing of how a request is spelled or executed.

use std::fmt;

use super::Dialect;
use super::parser::Words;
use crate::trace::Key;

/// One whole request. Keys and values are slices of the connection's input.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    /// Fetch every key, in order.
    Retrieve {
        /// What is shown of each item.
        retrieval: Retrieval,
        /// The keys; each one has been checked.
        keys: Words<'a>,
    },
    /// Store a value.
    Store {
        /// Under which condition, and where the bytes go.
        mode: StoreMode,
        /// The key.
        key: &'a [u8],
        /// The client's flags; 0 in the simple dialect.
        flags: u32,
        /// Seconds as the client gave them: 0 is never, negative is expired, see `engine::Now`.
        exptime: i32,
        /// The value.
        value: &'a [u8],
    },
    /// A store whose value was over the item limit and is being thrown away.
    TooLarge {
        /// As in `Store`.
        mode: StoreMode,
        /// As in `Store`.
        key: &'a [u8],
    },
    /// Forget a key.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Tell the version.
    Version,
    /// End the conversation.
    Quit,
}

/// What a retrieval shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrieval {
    /// `gets` shows the cas id, `get` does not.
    pub with_cas: bool,
}

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// Unconditionally.
    Set,
}

/// How a request wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// In which dialect.
    pub dialect: Dialect,
    /// With no line at all, errors included; values are given all the same.
    pub noreply: bool,
}

/// As `-vv` shows a request: its first key stands for all.
impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Retrieve { retrieval, mut keys } => {
                let name = if retrieval.with_cas { "gets" } else { "get" };
                let first = keys.next().unwrap_or_default();
                write!(f, "{name} \"{}\"", Key(first))?;
                match keys.count() {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::Store { mode: StoreMode::Set, key, value, .. } => {
                write!(f, "set \"{}\", {} bytes", Key(key), value.len())
            }
            Self::TooLarge { mode: StoreMode::Set, key } => {
                write!(f, "set \"{}\", too large", Key(key))
            }
            Self::Delete { key } => write!(f, "delete \"{}\"", Key(key)),
            Self::Version => f.write_str("version"),
            Self::Quit => f.write_str("quit"),
        }
    }
}
