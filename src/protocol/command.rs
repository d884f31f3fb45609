//! The requests of both dialects, as values that borrow from the input.
//!
//! Families share one variant with a mode, so that a new member of a family adds an arm and not a
//! copy. Knows nothing of how a request is spelled or executed.

use std::fmt;

use super::meta::Meta;
use super::parser::Words;
use super::{Dialect, Reply};
use crate::trace::Key;

/// One whole request. Keys and values are slices of the connection's input.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    /// Fetch every key, in order.
    Retrieve {
        /// What is shown of each item, and what becomes of it.
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
        /// The store, without its value.
        store: StoreLine<'a>,
    },
    /// Add to the number that a value is, or take away from it.
    Count {
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
    /// Forget a key.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// `mg`.
    MetaGet(Meta<'a>),
    /// `ms`.
    MetaSet {
        /// Key and flags.
        meta: Meta<'a>,
        /// Under which condition, and where the bytes go.
        mode: StoreMode,
        /// The value.
        value: &'a [u8],
    },
    /// `md`.
    MetaDelete(Meta<'a>),
    /// `ma`.
    MetaCount {
        /// Key and flags.
        meta: Meta<'a>,
        /// Up or down.
        direction: Direction,
    },
    /// `me`.
    MetaDebug(Meta<'a>),
    /// `mn`.
    MetaNoop,
    /// Forget everything, now or then.
    FlushAll {
        /// As in `Store`, but 0 and below are now; None for what is no number.
        delay: Option<i32>,
    },
    /// Tell figures.
    Stats(Stats),
    /// Tell keys.
    Dump(Dump),
    /// Log so much from now on.
    Verbosity(u8),
    /// End the server.
    Shutdown {
        /// The word behind the command is right.
        understood: bool,
    },
    /// Show that one may be served, by a `user password`.
    Authenticate {
        /// Both, as they came.
        token: &'a [u8],
    },
    /// For tests alone, in builds with debug assertions.
    Debug(Debugging),
    /// Tell the version.
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
    Meta(Meta<'a>),
}

/// What a retrieval shows, and whether it changes when the items expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrieval {
    /// `gets` and `gats` show the cas id, `get` and `gat` do not.
    pub with_cas: bool,
    /// The exptime that `gat` and `gats` bring.
    pub touch: Option<i32>,
}

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// Unconditionally.
    Set,
    /// Where there is nothing.
    Add,
    /// Where there is something.
    Replace,
    /// Behind what there is.
    Append,
    /// Before what there is.
    Prepend,
    /// Where there is what has this cas id.
    Cas(u64),
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `incr`
    Up,
    /// `decr`
    Down,
}

/// Which figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    /// Of the server as a whole.
    Server,
    /// What the operator chose.
    Settings,
    /// Of memcached's item classes; here there is one.
    Items,
    /// Of memcached's slab classes; here there is one.
    Slabs,
    /// How many items there are of each size.
    Sizes,
    /// Of every connection.
    Conns,
    /// Of the event loop.
    Loop,
    /// Of the store.
    Store,
    /// All counters begin again.
    Reset,
    /// Of each prefix of keys: whether they are counted, or what was.
    Detail(Detail),
}

/// What `stats detail` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Count.
    On,
    /// Do not count.
    Off,
    /// Tell.
    Dump,
    /// Nothing that is known.
    Unknown,
}

/// A walk over all items, of which every step shows some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dump {
    /// What is shown.
    pub format: DumpFormat,
    /// Where the walk goes on, as the store counts; None before its first step.
    pub at: Option<u64>,
    /// Items that may still be shown.
    pub left: u32,
    /// What is wrong with the line. It is told where dumps are allowed at all.
    pub wrong: Option<Reply>,
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
pub enum Debugging {
    /// The clock goes on by so many seconds, or back.
    Time(i64),
    /// The clock stands still, or goes on again.
    TimeStops(bool),
    /// The store is checked, all of it.
    Verify,
}

/// How a request wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// In which dialect.
    pub dialect: Dialect,
    /// With no line at all, errors included; values are given all the same.
    pub noreply: bool,
}

impl<'a> Command<'a> {
    /// Gives this store its value; whatever brings none stays as it is.
    pub(super) const fn bring(&mut self, bytes: &'a [u8]) {
        if let Self::Store { value, .. }
        | Self::MetaSet { value, .. }
        | Self::Authenticate { token: value } = self
        {
            *value = bytes;
        }
    }

    /// Its first key, if it has any that is written as it is.
    pub(super) fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Retrieve { mut keys, .. } => keys.next(),
            Self::Store { key, .. }
            | Self::Count { key, .. }
            | Self::Touch { key, .. }
            | Self::Delete { key } => Some(key),
            Self::MetaGet(meta)
            | Self::MetaSet { meta, .. }
            | Self::MetaDelete(meta)
            | Self::MetaCount { meta, .. } => (!meta.key.encoded).then_some(meta.key.written),
            Self::TooLarge { .. }
            | Self::MetaDebug(_)
            | Self::MetaNoop
            | Self::FlushAll { .. }
            | Self::Stats(_)
            | Self::Dump(_)
            | Self::Verbosity(_)
            | Self::Shutdown { .. }
            | Self::Authenticate { .. }
            | Self::Debug(_)
            | Self::Version
            | Self::Quit => None,
        }
    }

    /// Its name, as it is written.
    const fn name(&self) -> &'static str {
        match self {
            Self::Retrieve { retrieval: Retrieval { with_cas, touch }, .. } => {
                match (with_cas, touch) {
                    (false, None) => "get",
                    (true, None) => "gets",
                    (false, Some(_)) => "gat",
                    (true, Some(_)) => "gats",
                }
            }
            Self::Store { mode, .. } | Self::TooLarge { store: StoreLine::Plain(mode, _) } => {
                match mode {
                    StoreMode::Set => "set",
                    StoreMode::Add => "add",
                    StoreMode::Replace => "replace",
                    StoreMode::Append => "append",
                    StoreMode::Prepend => "prepend",
                    StoreMode::Cas(_) => "cas",
                }
            }
            Self::Count { direction: Direction::Up, .. } => "incr",
            Self::Count { direction: Direction::Down, .. } => "decr",
            Self::Touch { .. } => "touch",
            Self::Delete { .. } => "delete",
            Self::MetaGet(_) => "mg",
            Self::MetaSet { .. } | Self::TooLarge { store: StoreLine::Meta(_) } => "ms",
            Self::MetaDelete(_) => "md",
            Self::MetaCount { .. } => "ma",
            Self::MetaDebug(_) => "me",
            Self::MetaNoop => "mn",
            Self::FlushAll { .. } => "flush_all",
            Self::Stats(_) => "stats",
            Self::Dump(Dump { format: DumpFormat::Metadump, .. }) => "lru_crawler metadump",
            Self::Dump(Dump { format: DumpFormat::Mgdump, .. }) => "lru_crawler mgdump",
            Self::Dump(Dump { format: DumpFormat::Cachedump, .. }) => "stats cachedump",
            Self::Verbosity(_) => "verbosity",
            Self::Shutdown { .. } => "shutdown",
            Self::Authenticate { .. } => "a user and a password",
            Self::Debug(_) => "a command for tests",
            Self::Version => "version",
            Self::Quit => "quit",
        }
    }
}

/// As `-vv` shows a request: its first key stands for all.
impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match *self {
            Self::Retrieve { mut keys, .. } => {
                write!(f, " \"{}\"", Key(keys.next().unwrap_or_default()))?;
                match keys.count() {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::Store { key, value, .. } => {
                write!(f, " \"{}\", {} bytes", Key(key), value.len())
            }
            Self::MetaSet { meta, value, .. } => {
                write!(f, " \"{}\", {} bytes", Key(meta.key.written), value.len())
            }
            Self::TooLarge { store: StoreLine::Plain(_, key) } => {
                write!(f, " \"{}\", too large", Key(key))
            }
            Self::TooLarge { store: StoreLine::Meta(meta) } => {
                write!(f, " \"{}\", too large", Key(meta.key.written))
            }
            Self::Count { key, .. } | Self::Touch { key, .. } | Self::Delete { key } => {
                write!(f, " \"{}\"", Key(key))
            }
            Self::MetaGet(meta)
            | Self::MetaDelete(meta)
            | Self::MetaCount { meta, .. }
            | Self::MetaDebug(meta) => write!(f, " \"{}\"", Key(meta.key.written)),
            Self::MetaNoop
            | Self::FlushAll { .. }
            | Self::Stats(_)
            | Self::Dump(_)
            | Self::Verbosity(_)
            | Self::Shutdown { .. }
            | Self::Authenticate { .. }
            | Self::Debug(_)
            | Self::Version
            | Self::Quit => Ok(()),
        }
    }
}
