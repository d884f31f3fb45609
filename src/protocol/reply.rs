//! The answers that are one line: one table of their texts.
//!
//! Which newline ends them, and whether they are written at all, is the request's [`ReplyMode`].

use super::dialect::Dialect;

// The table of texts takes literals alone.
macro_rules! version_line {
    () => {
        "VERSION 1.6.45"
    };
}

/// What `version` answers: the number of the memcached whose protocols these are, from which clients
/// and tools conclude what a server can do. Nothing follows it, because clients parse it in ways that
/// no suffix suits: node's memcached takes the last three numbers of the line; Perl's `version`, .NET's
/// `Version` (Enyim) and dalli-elasticache refuse a suffix; a second word, as Ubuntu's memcached once
/// had, broke several. This server's own version is in `stats`.
pub const VERSION_LINE: &str = version_line!();

/// How a request wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyMode {
    /// Whose newline ends each line.
    pub dialect: Dialect,
    /// One-line answers are left out, errors included; values are written all the same.
    pub noreply: bool,
}

impl ReplyMode {
    /// A classic request whose answer `noreply` cannot suppress.
    pub const CLASSIC: Self = Self { dialect: Dialect::Classic, noreply: false };
    /// A request of the simple dialect, which has no `noreply`.
    pub const SIMPLE: Self = Self { dialect: Dialect::Simple, noreply: false };
}

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident = $text:expr,)+) => {
        /// An answer of one line. The texts are memcached's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the text says what it means")]
        pub enum Reply { $($(#[$doc])* $name,)+ }

        impl Reply {
            /// The line, without its terminator.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The line with the terminator of this dialect.
            pub(super) const fn line(self, dialect: Dialect) -> &'static str {
                match dialect {
                    Dialect::Classic => match self { $(Self::$name => concat!($text, "\r\n"),)+ },
                    Dialect::Simple => match self { $(Self::$name => concat!($text, "\n"),)+ },
                }
            }
        }
    };
}

replies! {
    Stored = "STORED",
    NotStored = "NOT_STORED",
    Exists = "EXISTS",
    Deleted = "DELETED",
    NotFound = "NOT_FOUND",
    Touched = "TOUCHED",
    Ok = "OK",
    Reset = "RESET",
    /// Of `mn`.
    Noop = "MN",
    /// Of `me`, and at the end of a list of keys.
    Missing = "EN",
    Version = version_line!(),

    /// There is no such command.
    Error = "ERROR",
    BadLine = "CLIENT_ERROR bad command line format",
    BadDelete = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]",
    /// A value without its terminator.
    BadChunk = "CLIENT_ERROR bad data chunk",
    BadExptime = "CLIENT_ERROR invalid exptime argument",
    BadDelta = "CLIENT_ERROR invalid numeric delta argument",
    NotNumber = "CLIENT_ERROR cannot increment or decrement non-numeric value",

    TooManyFlags = "CLIENT_ERROR options flags are too long",
    DuplicateFlag = "CLIENT_ERROR duplicate flag",
    BadFlag = "CLIENT_ERROR invalid flag",
    BadToken = "CLIENT_ERROR bad token in command line format",
    BadInitial = "CLIENT_ERROR invalid numeric initial value",
    BadMetaDelta = "CLIENT_ERROR invalid numeric delta value",
    BadKey = "CLIENT_ERROR error decoding key",
    OpaqueTooLong = "CLIENT_ERROR opaque token too long",
    BadStoreMode = "CLIENT_ERROR invalid mode for ms M token",
    BadArithmeticMode = "CLIENT_ERROR invalid mode for ma M token",
    /// Of `ma`, which has one text for everything.
    BadArithmeticFlag = "CLIENT_ERROR invalid or duplicate flag",

    TooLarge = "SERVER_ERROR object too large for cache",
    OutOfMemory = "SERVER_ERROR out of memory storing object",
    /// Of an `incr`, and where there is no memory for what a command has to note.
    NoRoomForNumber = "SERVER_ERROR out of memory",
    NoRoomForNewNumber = "SERVER_ERROR Out of memory allocating new item",

    FlushForbidden = "CLIENT_ERROR flush_all not allowed",
    PrefixFlushForbidden = "CLIENT_ERROR flush_prefix not allowed",
    BadPrefix = "CLIENT_ERROR a prefix ends before the first delimiter",
    DetailForbidden = "CLIENT_ERROR stats detail not allowed",
    HotKeysForbidden = "CLIENT_ERROR stats hotkeys not allowed",
    CachedumpForbidden = "CLIENT_ERROR stats cachedump not allowed",
    MetadumpForbidden = "ERROR metadump not allowed",
    MgdumpForbidden = "ERROR key dump not allowed",
    DetailUsage = "CLIENT_ERROR usage: stats detail on|off|dump",
    BadCachedump = "CLIENT_ERROR bad command line",
    BadSlabClass = "CLIENT_ERROR Illegal slab id",
    BadClass = "BADCLASS invalid class id",
    BadSleep = "CLIENT_ERROR sleep must be one second or less",
    CannotStartCrawler = "ERROR failed to start lru crawler thread",
    NoReassign = "CLIENT_ERROR slab reassignment disabled",
    BadAutomoveWindow = "CLIENT_ERROR automove window too low or too high",
    LruPercentTooHigh = "ERROR hot and warm pcts must not exceed 80",
    LruFactorTooLow = "ERROR hot/warm age factors must be greater than 0",
    MemlimitTooSmall = "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m",
    MemlimitInBytes = "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes",
    MemlimitRefused = "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust",
    WatchForbidden = "CLIENT_ERROR watch commands not allowed",
    TooManyWatchers = "WATCHER_TOO_MANY log watcher limit reached",
    ShutdownForbidden = "SERVER_ERROR: shutdown not enabled",
    BadShutdown = "CLIENT_ERROR invalid shutdown mode",

    Unauthenticated = "CLIENT_ERROR unauthenticated",
    AuthTooLong = "CLIENT_ERROR auth token too long",
    AuthBadEnd = "CLIENT_ERROR bad command line termination",
    AuthBadFormat = "CLIENT_ERROR bad authentication token format",
    AuthFailed = "CLIENT_ERROR authentication failure",
}
