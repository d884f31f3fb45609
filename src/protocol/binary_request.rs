//! The requests of the binary protocol, as values that borrow from the input.
//!
//! They are apart from the text protocol's: a key may hold any byte, so a list of keys cannot be
//! [`Words`](super::Words); every request has a cas id; and an answer needs the [`FrameTag`]. Knows
//! nothing of how a frame is laid out (see `binary`) or what it does (see `engine/binary.rs`).

use super::kind::{Detail, Direction, StatsTopic, StoreMode};

/// What an answer repeats of its request, and whether there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTag {
    /// The opcode, as it came.
    pub opcode: u8,
    /// Success is not answered, nor is a miss of a retrieval. Hits and errors are.
    pub quiet: bool,
    /// The client's own bytes.
    pub opaque: [u8; 4],
}

/// One request of the binary protocol.
#[derive(Clone, Copy, Debug)]
pub struct BinaryRequest<'a> {
    /// For its answer.
    pub tag: FrameTag,
    /// Its name in the log.
    pub name: &'static str,
    /// The cas id that the item must have; 0 for any.
    pub cas: u64,
    /// The key; empty where a command has none.
    pub key: &'a [u8],
    /// What it asks for.
    pub action: BinaryAction<'a>,
}

/// What a request of the binary protocol asks for. Times are as in [`super::Command`].
#[derive(Clone, Copy, Debug)]
pub enum BinaryAction<'a> {
    /// Fetch an item, or change when it expires, or both.
    Fetch {
        /// The exptime to be set.
        touch: Option<i32>,
        /// The answer repeats the key.
        with_key: bool,
        /// The answer has the value. That of `touch` has the flags alone.
        with_value: bool,
    },
    /// Store a value. The cas id is that of the request, so the mode is never [`StoreMode::Cas`].
    Store {
        /// The condition, and where the bytes go.
        mode: StoreMode,
        /// The client's flags.
        flags: u32,
        /// When it expires.
        exptime: i32,
        /// The value.
        value: &'a [u8],
    },
    /// A store whose item would be over the item limit. Its value is skipped.
    TooLarge {
        /// The condition, and where the bytes would have gone.
        mode: StoreMode,
    },
    /// Add to the number that a value is, or subtract from it.
    Arithmetic {
        /// Which of the two.
        direction: Direction,
        /// How much.
        delta: u64,
        /// The number that a missing item is created with.
        initial: u64,
        /// When that item expires. `None`: a missing item is not created.
        create: Option<i32>,
    },
    /// Delete an item.
    Delete,
    /// Invalidate all items, now (0) or later.
    FlushAll {
        /// When.
        delay: i32,
    },
    /// Show figures. `None` for a topic that does not exist.
    Stats(Option<StatsTopic>),
    /// Answer, and do nothing.
    Noop,
    /// Show the version.
    Version,
    /// End the conversation.
    Quit,
}

/// The figures that the key of a `stat` names. As memcached: of three topics the first letters are
/// enough.
pub(super) fn topic_of(key: &[u8]) -> Option<StatsTopic> {
    Some(match key {
        b"" => StatsTopic::Server,
        b"items" => StatsTopic::Items,
        b"slabs" => StatsTopic::Slabs,
        b"sizes" => StatsTopic::Sizes,
        b"conns" => StatsTopic::Conns,
        b"loop" => StatsTopic::Loop,
        b"store" => StatsTopic::Store,
        _ if key.starts_with(b"reset") => StatsTopic::Reset,
        _ if key.starts_with(b"settings") => StatsTopic::Settings,
        _ => StatsTopic::Detail(match key.strip_prefix(b"detail")? {
            word if word.starts_with(b" dump") => Detail::Dump,
            word if word.starts_with(b" on") => Detail::On,
            word if word.starts_with(b" off") => Detail::Off,
            _ => Detail::Unknown,
        }),
    })
}
