//! The answers of one line: what they mean, and how they are spelled.
//!
//! Owns their texts; which newline ends them is [`super::reply`]'s.

use super::VERSION_LINE;

/// An answer of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The value is kept.
    Stored,
    /// The condition of a store does not hold.
    NotStored,
    /// The item has another cas id.
    Exists,
    /// The key is gone.
    Deleted,
    /// There is no such key.
    NotFound,
    /// The item expires at another time now.
    Touched,
    /// It has been done.
    Ok,
    /// The counters begin again.
    Reset,
    /// Everything before it has been answered.
    Noop,
    /// There is nothing that `me` could show.
    Missing,
    /// No such command.
    Error,
    /// A command whose line is wrong.
    BadLine,
    /// A `delete` whose line is wrong.
    BadDelete,
    /// A value without its terminator.
    BadChunk,
    /// A time that is no number.
    BadExptime,
    /// `incr` or `decr` by what is no number.
    BadDelta,
    /// `incr` or `decr` of what is no number.
    NotNumber,
    /// A meta command with too many words.
    TooManyFlags,
    /// A meta command that has a flag twice.
    DuplicateFlag,
    /// A meta command with a flag that does not exist.
    BadFlag,
    /// A flag's argument that is no number.
    BadToken,
    /// The same, of `J`.
    BadInitial,
    /// The same, of `D`.
    BadMetaDelta,
    /// A key that is not base64 though it says so.
    BadKey,
    /// An `O` that is too long to be given back.
    OpaqueTooLong,
    /// `ms` with an `M` that does not exist.
    BadStoreMode,
    /// `ma` with an `M` that does not exist.
    BadCountMode,
    /// `ma` with anything wrong about its flags.
    BadCountFlag,
    /// A value over the item limit.
    TooLarge,
    /// There is no room, and nothing may be evicted.
    OutOfMemory,
    /// The same, for a number that became longer.
    NoRoomForNumber,
    /// The same, for a number that had to be made.
    NoRoomForNewNumber,
    /// `-F` forbids it.
    FlushForbidden,
    /// `-X` forbids it.
    DetailForbidden,
    /// `-X` forbids it.
    CachedumpForbidden,
    /// `-X` forbids it.
    MetadumpForbidden,
    /// `-X` forbids it.
    MgdumpForbidden,
    /// `stats detail` and no word that is known.
    DetailUsage,
    /// `stats cachedump` without its two numbers.
    BadCachedump,
    /// `stats cachedump` of a class that memcached could not have.
    BadSlabClass,
    /// `lru_crawler` of a class that there cannot be.
    BadClass,
    /// `lru_crawler sleep` for too long.
    BadSleep,
    /// It runs already, as it were.
    CannotStartCrawler,
    /// Only `-A` allows it.
    ShutdownForbidden,
    /// `shutdown` in a way that does not exist.
    BadShutdown,
    /// With `-Y`: anything but a user and a password.
    Unauthenticated,
    /// A user and a password that are too long.
    AuthTooLong,
    /// A user and a password without their terminator.
    AuthBadEnd,
    /// No space between the two.
    AuthBadFormat,
    /// Not a user, or not the password.
    AuthFailed,
    /// What this server is.
    Version,
}

impl Reply {
    /// The line, without its terminator.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Stored => "STORED",
            Self::NotStored => "NOT_STORED",
            Self::Exists => "EXISTS",
            Self::Deleted => "DELETED",
            Self::NotFound => "NOT_FOUND",
            Self::Touched => "TOUCHED",
            Self::Ok => "OK",
            Self::Reset => "RESET",
            Self::Noop => "MN",
            Self::Missing => "EN",
            Self::Error => "ERROR",
            Self::BadLine => "CLIENT_ERROR bad command line format",
            Self::BadDelete => {
                "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"
            }
            Self::BadChunk => "CLIENT_ERROR bad data chunk",
            Self::BadExptime => "CLIENT_ERROR invalid exptime argument",
            Self::BadDelta => "CLIENT_ERROR invalid numeric delta argument",
            Self::NotNumber => "CLIENT_ERROR cannot increment or decrement non-numeric value",
            Self::TooManyFlags => "CLIENT_ERROR options flags are too long",
            Self::DuplicateFlag => "CLIENT_ERROR duplicate flag",
            Self::BadFlag => "CLIENT_ERROR invalid flag",
            Self::BadToken => "CLIENT_ERROR bad token in command line format",
            Self::BadInitial => "CLIENT_ERROR invalid numeric initial value",
            Self::BadMetaDelta => "CLIENT_ERROR invalid numeric delta value",
            Self::BadKey => "CLIENT_ERROR error decoding key",
            Self::OpaqueTooLong => "CLIENT_ERROR opaque token too long",
            Self::BadStoreMode => "CLIENT_ERROR invalid mode for ms M token",
            Self::BadCountMode => "CLIENT_ERROR invalid mode for ma M token",
            Self::BadCountFlag => "CLIENT_ERROR invalid or duplicate flag",
            Self::TooLarge => "SERVER_ERROR object too large for cache",
            Self::OutOfMemory => "SERVER_ERROR out of memory storing object",
            Self::NoRoomForNumber => "SERVER_ERROR out of memory",
            Self::NoRoomForNewNumber => "SERVER_ERROR Out of memory allocating new item",
            Self::FlushForbidden => "CLIENT_ERROR flush_all not allowed",
            Self::DetailForbidden => "CLIENT_ERROR stats detail not allowed",
            Self::CachedumpForbidden => "CLIENT_ERROR stats cachedump not allowed",
            Self::MetadumpForbidden => "ERROR metadump not allowed",
            Self::MgdumpForbidden => "ERROR key dump not allowed",
            Self::DetailUsage => "CLIENT_ERROR usage: stats detail on|off|dump",
            Self::BadCachedump => "CLIENT_ERROR bad command line",
            Self::BadSlabClass => "CLIENT_ERROR Illegal slab id",
            Self::BadClass => "BADCLASS invalid class id",
            Self::BadSleep => "CLIENT_ERROR sleep must be one second or less",
            Self::CannotStartCrawler => "ERROR failed to start lru crawler thread",
            Self::ShutdownForbidden => "SERVER_ERROR: shutdown not enabled",
            Self::BadShutdown => "CLIENT_ERROR invalid shutdown mode",
            Self::Unauthenticated => "CLIENT_ERROR unauthenticated",
            Self::AuthTooLong => "CLIENT_ERROR auth token too long",
            Self::AuthBadEnd => "CLIENT_ERROR bad command line termination",
            Self::AuthBadFormat => "CLIENT_ERROR bad authentication token format",
            Self::AuthFailed => "CLIENT_ERROR authentication failure",
            Self::Version => VERSION_LINE,
        }
    }
}
