//! The requests of the binary protocol, as values that borrow from the input.
//!
//! They are apart from the text protocol's: a key may hold any byte, so a list of keys cannot be
//! [`Words`](super::Words); every request has a cas id; and an answer needs the [`FrameTag`]. Knows
//! nothing of where a frame ends (see `binary`) or what it does (see `engine/binary.rs`).
//!
//! ```text
//! 0     1       2..4        4              5       8..12        12..16  16..24
//! 0x80  opcode  key length  extras length  unused  body length  opaque  cas id
//! ```
//! After this header come the extras, the key and the value, which together are the body. All numbers
//! are big-endian. A request is kept as it came, in 32 bytes: decoded, it would make every command
//! longer.

use super::kind::{Detail, Direction, StatsTopic, StoreMode};

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 24;
/// The exptime of `increment` and `decrement` that says not to create the item.
const NOT_CREATED: u32 = u32::MAX;

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
    pub(super) header: &'a [u8; HEADER_BYTES],
    /// Extras and key, and the value of a store, unless that is too large.
    pub(super) body: &'a [u8],
    /// A store whose item would be over the item limit.
    pub(super) is_too_large: bool,
}

impl<'a> BinaryRequest<'a> {
    pub(super) const fn key_bytes(&self) -> usize {
        u16::from_be_bytes([self.header[2], self.header[3]]) as usize
    }

    pub(super) const fn extras_bytes(&self) -> usize {
        self.header[4] as usize
    }

    pub(super) const fn body_bytes(&self) -> usize {
        let [_, _, _, _, _, _, _, _, b0, b1, b2, b3, ..] = *self.header;
        u32::from_be_bytes([b0, b1, b2, b3]) as usize
    }

    /// What its opcode says, if memcached knows it.
    pub(super) fn opcode(&self) -> Option<Opcode> {
        OPCODES.get(usize::from(self.header[1])).copied().flatten()
    }

    /// The extras, the key, and the value as far as it is there.
    pub(super) fn parts(&self) -> (&'a [u8], &'a [u8], &'a [u8]) {
        let (extras, body) = self.body.split_at_checked(self.extras_bytes()).unwrap_or_default();
        let (key, value) = body.split_at_checked(self.key_bytes()).unwrap_or_default();
        (extras, key, value)
    }

    /// For its answer.
    #[must_use]
    pub fn tag(&self) -> FrameTag {
        let [_, opcode, _, _, _, _, _, _, _, _, _, _, o0, o1, o2, o3, ..] = *self.header;
        let quiet = self.opcode().is_some_and(|known| known.quiet);
        FrameTag { opcode, quiet, opaque: [o0, o1, o2, o3] }
    }

    /// Its name in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.opcode().map_or("unknown", |known| known.name)
    }

    /// The cas id that the item must have; 0 for any.
    #[must_use]
    pub const fn cas(&self) -> u64 {
        let [.., c0, c1, c2, c3, c4, c5, c6, c7] = *self.header;
        u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7])
    }

    /// The key of an item. `None` where the command has none, or a topic in its place.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        let (_, key, _) = self.parts();
        let is_stat = matches!(self.opcode(), Some(Opcode { verb: Verb::Stat, .. }));
        Some(key).filter(|key| !is_stat && !key.is_empty())
    }

    /// What it asks for. `None` if its parts are not those of the command.
    #[must_use]
    pub fn action(&self) -> Option<BinaryAction<'a>> {
        let (extras, key, value) = self.parts();
        let value_bytes = self.body_bytes().checked_sub(self.extras_bytes() + self.key_bytes())?;
        let action = match (self.opcode()?.verb, extras, key, value_bytes) {
            (Verb::Get(with_key), [], [_, ..], 0) => {
                BinaryAction::Fetch { touch: None, with_key, with_value: true }
            }
            (Verb::GetAndTouch(with_key), &[e0, e1, e2, e3], [_, ..], _) => {
                let touch = Some(exptime([e0, e1, e2, e3]));
                BinaryAction::Fetch { touch, with_key, with_value: true }
            }
            (Verb::Touch, &[e0, e1, e2, e3], [_, ..], _) => {
                let touch = Some(exptime([e0, e1, e2, e3]));
                BinaryAction::Fetch { touch, with_key: false, with_value: false }
            }
            (Verb::Store(mode), [_, _, _, _, _, _, _, _], [_, ..], _)
            | (Verb::Extend(mode), [], [_, ..], _)
                if self.is_too_large =>
            {
                BinaryAction::TooLarge { mode }
            }
            (Verb::Store(mode), &[f0, f1, f2, f3, e0, e1, e2, e3], [_, ..], _) => {
                let flags = u32::from_be_bytes([f0, f1, f2, f3]);
                BinaryAction::Store { mode, flags, exptime: exptime([e0, e1, e2, e3]), value }
            }
            (Verb::Extend(mode), [], [_, ..], _) => {
                BinaryAction::Store { mode, flags: 0, exptime: 0, value }
            }
            (Verb::Delete, [], [_, ..], 0) => BinaryAction::Delete,
            (Verb::Arithmetic(direction), extras, [_, ..], 0) => {
                arithmetic(direction, extras.try_into().ok()?)
            }
            (Verb::Flush, [], [], 0) => BinaryAction::FlushAll { delay: 0 },
            (Verb::Flush, &[e0, e1, e2, e3], [], 0) => {
                let delay = i32::try_from(u32::from_be_bytes([e0, e1, e2, e3]));
                BinaryAction::FlushAll { delay: delay.unwrap_or(i32::MAX) }
            }
            (Verb::Stat, [], topic, _) => BinaryAction::Stats(topic_of(topic)),
            (Verb::Noop, [], [], 0) => BinaryAction::Noop,
            (Verb::Version, [], [], 0) => BinaryAction::Version,
            (Verb::Quit, [], [], 0) => BinaryAction::Quit,
            _ => return None,
        };
        Some(action)
    }
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
fn topic_of(key: &[u8]) -> Option<StatsTopic> {
    if let named @ Some(_) = StatsTopic::named(key) {
        return named;
    }
    Some(match key {
        b"" => StatsTopic::Server,
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

const fn arithmetic(direction: Direction, extras: &[u8; 20]) -> BinaryAction<'static> {
    let &[d0, d1, d2, d3, d4, d5, d6, d7, i0, i1, i2, i3, i4, i5, i6, i7, e0, e1, e2, e3] = extras;
    let create = match u32::from_be_bytes([e0, e1, e2, e3]) {
        NOT_CREATED => None,
        _ => Some(exptime([e0, e1, e2, e3])),
    };
    BinaryAction::Arithmetic {
        direction,
        delta: u64::from_be_bytes([d0, d1, d2, d3, d4, d5, d6, d7]),
        initial: u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
        create,
    }
}

/// An exptime, which has no sign in this protocol: what would be one is a time after 2038, and counts
/// as never.
const fn exptime(bytes: [u8; 4]) -> i32 {
    let exptime = i32::from_be_bytes(bytes);
    if exptime < 0 { 0 } else { exptime }
}

/// What an opcode says.
#[derive(Clone, Copy)]
pub(super) struct Opcode {
    name: &'static str,
    pub(super) verb: Verb,
    quiet: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Verb {
    /// With the key in its answer or without.
    Get(bool),
    /// As `Get`.
    GetAndTouch(bool),
    Touch,
    Store(StoreMode),
    /// `append` and `prepend`, which have no extras.
    Extend(StoreMode),
    Delete,
    Arithmetic(Direction),
    Quit,
    Flush,
    Noop,
    Version,
    Stat,
    /// Lists the mechanisms of SASL, of which there is none.
    SaslList,
    /// Authenticates by SASL.
    Sasl,
}

const fn loud(name: &'static str, verb: Verb) -> Option<Opcode> {
    Some(Opcode { name, verb, quiet: false })
}

const fn quiet(name: &'static str, verb: Verb) -> Option<Opcode> {
    Some(Opcode { name, verb, quiet: true })
}

/// By opcode. memcached does not have 0x1b, `verbosity`.
const OPCODES: [Option<Opcode>; 0x25] = [
    loud("get", Verb::Get(false)),
    loud("set", Verb::Store(StoreMode::Set)),
    loud("add", Verb::Store(StoreMode::Add)),
    loud("replace", Verb::Store(StoreMode::Replace)),
    loud("delete", Verb::Delete),
    loud("increment", Verb::Arithmetic(Direction::Up)),
    loud("decrement", Verb::Arithmetic(Direction::Down)),
    loud("quit", Verb::Quit),
    loud("flush", Verb::Flush),
    quiet("getq", Verb::Get(false)),
    loud("noop", Verb::Noop),
    loud("version", Verb::Version),
    loud("getk", Verb::Get(true)),
    quiet("getkq", Verb::Get(true)),
    loud("append", Verb::Extend(StoreMode::Append)),
    loud("prepend", Verb::Extend(StoreMode::Prepend)),
    loud("stat", Verb::Stat),
    quiet("setq", Verb::Store(StoreMode::Set)),
    quiet("addq", Verb::Store(StoreMode::Add)),
    quiet("replaceq", Verb::Store(StoreMode::Replace)),
    quiet("deleteq", Verb::Delete),
    quiet("incrementq", Verb::Arithmetic(Direction::Up)),
    quiet("decrementq", Verb::Arithmetic(Direction::Down)),
    quiet("quitq", Verb::Quit),
    quiet("flushq", Verb::Flush),
    quiet("appendq", Verb::Extend(StoreMode::Append)),
    quiet("prependq", Verb::Extend(StoreMode::Prepend)),
    None,
    loud("touch", Verb::Touch),
    loud("gat", Verb::GetAndTouch(false)),
    quiet("gatq", Verb::GetAndTouch(false)),
    None,
    loud("sasl_list_mechs", Verb::SaslList),
    loud("sasl_auth", Verb::Sasl),
    loud("sasl_step", Verb::Sasl),
    loud("gatk", Verb::GetAndTouch(true)),
    quiet("gatkq", Verb::GetAndTouch(true)),
];
