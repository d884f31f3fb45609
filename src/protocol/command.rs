//! The requests of both dialects and of the binary protocol, as values that borrow from the input.
//!
//! Commands of one family share a variant with a mode: a new member adds an arm, not a copy. Knows
//! nothing of how a request is spelled or executed.

use std::fmt;

use super::binary_request::{BinaryAction, BinaryRequest};
use super::dialect::Dialect;
pub use super::kind::{Detail, Direction, StatsTopic, StoreMode};
use super::meta_request::{MetaKey, MetaRequest};
use super::reply::Reply;
use super::token::{Keys, Words};
use super::verb::Verb;
use super::watch_kinds::WatchKinds;
use crate::trace::Key;

/// One whole request. Keys and values are slices of the connection's input.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    /// Fetch every key, in order.
    Retrieve {
        /// What is shown of each item, and whether its expiry changes.
        retrieval: Retrieval,
        /// The keys, which have been checked.
        keys: Keys<'a>,
    },
    /// Store a value.
    Store {
        /// The condition, and where the bytes go.
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
    /// A store whose item would be over the item limit. Its value is not waited for.
    TooLarge {
        /// The store, without its value.
        store: StoreLine<'a>,
    },
    /// A store whose value is not followed by its terminator. Nothing is stored.
    BadChunk {
        /// The store, without its value.
        store: StoreLine<'a>,
    },
    /// Add to the number that a value is, or subtract from it.
    Arithmetic {
        /// Which of the two.
        direction: Direction,
        /// The key.
        key: &'a [u8],
        /// How much.
        delta: u64,
    },
    /// Change when an item expires.
    Touch {
        /// The key.
        key: &'a [u8],
        /// As in `Store`.
        exptime: i32,
    },
    /// Delete an item.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// `mg`
    MetaGet(MetaRequest<'a>),
    /// `ms`
    MetaSet {
        /// Key and flags, of which `M` is the condition (see [`StoreMode::of_meta`]).
        meta: MetaRequest<'a>,
        /// The value.
        value: &'a [u8],
    },
    /// `md`
    MetaDelete(MetaRequest<'a>),
    /// `ma`
    MetaArithmetic {
        /// Key and flags.
        meta: MetaRequest<'a>,
        /// Up or down.
        direction: Direction,
    },
    /// `me`
    MetaDebug {
        /// The key.
        key: MetaKey<'a>,
    },
    /// `mn`
    MetaNoop,
    /// Invalidate all items, now or later.
    FlushAll {
        /// As in `Store`, but 0 and below mean now. `None` if it is not a number.
        delay: Option<i32>,
    },
    /// Invalidate all items whose key begins with this prefix and the delimiter.
    FlushPrefix {
        /// The prefix, with or without the delimiter after it.
        prefix: &'a [u8],
    },
    /// Show figures.
    Stats(StatsTopic),
    /// Show keys.
    Dump(Dump),
    /// Set the log level.
    Verbosity(u8),
    /// Change the memory for items.
    MemoryLimit {
        /// The new limit, in MiB.
        mib: u32,
    },
    /// Show events of these kinds as they happen.
    Watch {
        /// `None` if one of the words is no kind.
        kinds: Option<WatchKinds>,
    },
    /// End the server.
    Shutdown {
        /// The line is well-formed.
        understood: bool,
    },
    /// Authenticate with a `user password`.
    Authenticate {
        /// Both, as they came.
        token: &'a [u8],
    },
    /// For tests alone, in builds with debug assertions.
    Debug(DebugCommand),
    /// Any request of the binary protocol.
    Binary(BinaryRequest<'a>),
    /// Show the version.
    Version,
    /// End the conversation.
    Quit,
}

/// What is left of a request that can be answered in parts. Only these can be resumed: any other
/// starts over.
#[derive(Clone, Copy, Debug)]
pub enum Unfinished<'a> {
    /// The keys that have not been answered.
    Retrieve {
        /// As in [`Command::Retrieve`].
        retrieval: Retrieval,
        /// The end of the request's keys.
        keys: Words<'a>,
    },
    /// A walk, with its next step in it.
    Dump(Dump),
}

/// The line of a store.
#[derive(Clone, Copy, Debug)]
pub enum StoreLine<'a> {
    /// Of one of the classic or simple commands.
    Plain(StoreMode, &'a [u8]),
    /// Of an `ms`.
    Meta(MetaRequest<'a>),
}

/// What a retrieval shows, and whether it changes when the items expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrieval {
    /// `gets` and `gats` show the cas id, `get` and `gat` do not.
    pub with_cas: bool,
    /// The exptime that `gat` and `gats` set.
    pub touch: Option<i32>,
}

/// A walk over all items, of which every step shows some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dump {
    /// How items are shown.
    pub format: DumpFormat,
    /// Where the walk goes on, as the store counts; `None` before its first step.
    pub cursor: Option<u64>,
    /// Items that may still be shown.
    pub left: u32,
    /// What is wrong with the line. Answered only where dumps are allowed.
    pub error: Option<Reply>,
}

/// How items are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpFormat {
    /// All that is known of each: `lru_crawler metadump`.
    Metadump,
    /// As commands that fetch them: `lru_crawler mgdump`.
    Mgdump,
    /// Key, size and time: `stats cachedump`.
    Cachedump,
}

/// Commands of builds with debug assertions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugCommand {
    /// Move the clock by so many seconds.
    MoveTime(i64),
    /// Stop the clock.
    PauseTime,
    /// Let the clock run again.
    ResumeTime,
    /// Check every invariant of the store.
    Verify,
}

impl<'a> Command<'a> {
    /// Gives a store its value. Commands without a value do not change.
    pub(super) const fn set_value(&mut self, bytes: &'a [u8]) {
        if let Self::Store { value, .. }
        | Self::MetaSet { value, .. }
        | Self::Authenticate { token: value } = self
        {
            *value = bytes;
        }
    }

    /// A store without its value. `None` for every other command.
    pub(super) const fn store_line(&self) -> Option<StoreLine<'a>> {
        if let Self::Store { mode, key, .. } = *self {
            Some(StoreLine::Plain(mode, key))
        } else if let Self::MetaSet { meta, .. } = *self {
            Some(StoreLine::Meta(meta))
        } else {
            None
        }
    }

    /// Its first key, as it is written, and whether that is base64.
    #[inline(always)]
    fn first_key(&self) -> Option<MetaKey<'a>> {
        let plain = |written| MetaKey { written, encoded: false };
        match *self {
            Self::Retrieve { keys, .. } => Some(plain(keys.first())),
            Self::Store { key, .. }
            | Self::Arithmetic { key, .. }
            | Self::Touch { key, .. }
            | Self::Delete { key }
            | Self::TooLarge { store: StoreLine::Plain(_, key) }
            | Self::BadChunk { store: StoreLine::Plain(_, key) } => Some(plain(key)),
            Self::MetaGet(meta)
            | Self::MetaSet { meta, .. }
            | Self::MetaDelete(meta)
            | Self::MetaArithmetic { meta, .. }
            | Self::TooLarge { store: StoreLine::Meta(meta) }
            | Self::BadChunk { store: StoreLine::Meta(meta) } => Some(meta.key),
            Self::MetaDebug { key } => Some(key),
            Self::Binary(request) => request.key().map(plain),
            Self::MetaNoop
            | Self::FlushAll { .. }
            | Self::Stats(_)
            | Self::Dump(_)
            | Self::Verbosity(_)
            | Self::FlushPrefix { .. }
            | Self::MemoryLimit { .. }
            | Self::Watch { .. }
            | Self::Shutdown { .. }
            | Self::Authenticate { .. }
            | Self::Debug(_)
            | Self::Version
            | Self::Quit => None,
        }
    }

    /// Its first key, unless that is written in base64: such a key is not prefetched.
    pub(super) fn key(&self) -> Option<&'a [u8]> {
        self.first_key().filter(|key| !key.encoded).map(|key| key.written)
    }

    /// The language of a request that came in this `dialect` or in no dialect, for the log.
    #[must_use]
    pub fn language<'d>(&self, dialect: &'d Dialect) -> &'d dyn fmt::Display {
        if let Self::Binary(_) = self { &"binary" } else { dialect }
    }

    /// The word that it begins with, or the name of its opcode.
    fn word(&self) -> &'static [u8] {
        let verb = match *self {
            Self::Retrieve { retrieval: Retrieval { with_cas, touch }, .. } => {
                match (with_cas, touch) {
                    (false, None) => Verb::Get,
                    (true, None) => Verb::Gets,
                    (false, Some(_)) => Verb::Gat,
                    (true, Some(_)) => Verb::Gats,
                }
            }
            Self::Store { mode, .. }
            | Self::TooLarge { store: StoreLine::Plain(mode, _) }
            | Self::BadChunk { store: StoreLine::Plain(mode, _) } => match mode {
                StoreMode::Set => Verb::Set,
                StoreMode::Add => Verb::Add,
                StoreMode::Replace => Verb::Replace,
                StoreMode::Append => Verb::Append,
                StoreMode::Prepend => Verb::Prepend,
                StoreMode::Cas(_) => Verb::Cas,
            },
            Self::Arithmetic { direction: Direction::Up, .. } => Verb::Incr,
            Self::Arithmetic { direction: Direction::Down, .. } => Verb::Decr,
            Self::Touch { .. } => Verb::Touch,
            Self::Delete { .. } => Verb::Delete,
            Self::MetaGet(_) => Verb::MetaGet,
            Self::MetaSet { .. }
            | Self::TooLarge { store: StoreLine::Meta(_) }
            | Self::BadChunk { store: StoreLine::Meta(_) } => Verb::MetaSet,
            Self::MetaDelete(_) => Verb::MetaDelete,
            Self::MetaArithmetic { .. } => Verb::MetaArithmetic,
            Self::MetaDebug { .. } => Verb::MetaDebug,
            Self::MetaNoop => Verb::MetaNoop,
            Self::FlushAll { .. } => Verb::FlushAll,
            Self::FlushPrefix { .. } => Verb::FlushPrefix,
            Self::Stats(_) | Self::Dump(Dump { format: DumpFormat::Cachedump, .. }) => Verb::Stats,
            Self::Dump(Dump { format: DumpFormat::Metadump | DumpFormat::Mgdump, .. }) => {
                Verb::LruCrawler
            }
            Self::Verbosity(_) => Verb::Verbosity,
            Self::MemoryLimit { .. } => Verb::CacheMemlimit,
            Self::Watch { .. } => Verb::Watch,
            Self::Shutdown { .. } => Verb::Shutdown,
            Self::Authenticate { .. } => Verb::Set,
            Self::Debug(DebugCommand::Verify) => Verb::DebugVerify,
            Self::Debug(_) => Verb::DebugTime,
            Self::Binary(request) => return request.name().as_bytes(),
            Self::Version => Verb::Version,
            Self::Quit => Verb::Quit,
        };
        verb.word()
    }
}

/// As `-vv` shows a request: its word, and its first key or prefix. Never shows a password.
impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.word().escape_ascii())?;
        if let Some(key) = self.first_key() {
            write!(f, " \"{}\"", Key(key.written))?;
        }
        if let Self::Retrieve { keys, .. } = *self
            && let more @ 1.. = keys.after_first().count()
        {
            write!(f, " and {more} more")?;
        }
        if let Self::FlushPrefix { prefix } = *self {
            write!(f, " \"{}\"", Key(prefix))?;
        }
        if let Self::Store { value, .. } | Self::MetaSet { value, .. } = *self {
            write!(f, ", {} bytes", value.len())?;
        }
        if let Self::TooLarge { .. } = self {
            write!(f, ", too large")?;
        }
        if let Self::Binary(request) = self {
            match request.action() {
                Some(BinaryAction::Store { value, .. }) => {
                    write!(f, ", {} bytes", value.len())?;
                }
                Some(BinaryAction::TooLarge { .. }) => write!(f, ", too large")?,
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}
