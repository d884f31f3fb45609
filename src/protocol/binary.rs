//! The grammar of the binary protocol: what one frame means.
//!
//! ```text
//! 0     1       2..4        4              5       8..12        12..16  16..24
//! 0x80  opcode  key length  extras length  unused  body length  opaque  cas id
//! ```
//! After this header come the extras, the key and the value, which together are the body. All numbers
//! are big-endian. A frame is as long as its header says, whatever it means. What is an error, and
//! which errors end the conversation, is as in memcached 1.6.45. Knows nothing of what stands before a
//! frame in a stream (see [`super::framer`]).

use super::binary_reply::Status;
use super::binary_request::{BinaryAction, BinaryRequest, FrameTag, topic_of};
use super::kind::{Direction, StoreMode};
use super::limits::{FRAME_BODY_BYTES_MAX, FRAME_HEAD_BYTES_MAX, KEY_BYTES_MAX, item_bytes};

/// The first byte of every request.
pub(super) const MAGIC: u8 = 0x80;
/// Bytes of a header.
const HEADER_BYTES: usize = 24;
/// The exptime of `increment` and `decrement` that says not to create the item.
const NOT_CREATED: u32 = u32::MAX;

/// What stands at the start of the input.
pub(super) enum Frame<'a> {
    /// The first part of its header, extras and key.
    HeadIncomplete,
    /// A store whose value is incomplete. The whole frame has this many bytes.
    BodyIncomplete { bytes: usize },
    /// A request. It takes `used` bytes, and `skipped` more follow that mean nothing.
    Whole { request: BinaryRequest<'a>, used: usize, skipped: usize },
    /// An error, which takes bytes in the same way.
    Refused { refusal: Refusal, used: usize, skipped: usize },
    /// No frame, or one that is not waited for.
    Broken,
}

/// The answer to a bad frame.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// What the answer repeats of it.
    pub tag: FrameTag,
    /// The answer.
    pub status: Status,
    /// The conversation ends with it.
    pub ends: bool,
}

/// What an opcode says.
#[derive(Clone, Copy)]
struct Opcode {
    name: &'static str,
    verb: Verb,
    quiet: bool,
}

#[derive(Clone, Copy)]
enum Verb {
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

/// A header's fields that the meaning of a frame depends on, and its parts.
struct Parts<'a> {
    tag: FrameTag,
    cas: u64,
    extras: &'a [u8],
    key: &'a [u8],
    /// Bytes of header, extras and key.
    head_bytes: usize,
    value_bytes: usize,
}

/// Parses the frame at the start of `unread`. A store whose item would be above `item_bytes_max` is
/// not waited for.
pub(super) fn parse_frame(unread: &[u8], item_bytes_max: usize) -> Frame<'_> {
    if unread.first().is_some_and(|&magic| magic != MAGIC) {
        return Frame::Broken;
    }
    let Some(header) = unread.first_chunk::<HEADER_BYTES>() else {
        return Frame::HeadIncomplete;
    };
    let &[_, opcode, key_high, key_low, extras_bytes, _, _, _, rest @ ..] = header;
    let [body @ .., o0, o1, o2, o3, c0, c1, c2, c3, c4, c5, c6, c7] = rest;
    let key_bytes = usize::from(u16::from_be_bytes([key_high, key_low]));
    let extras_bytes = usize::from(extras_bytes);
    let body_bytes = u32::from_be_bytes(body) as usize;
    let key_start = HEADER_BYTES + extras_bytes;
    let head_bytes = key_start + key_bytes;
    if head_bytes > FRAME_HEAD_BYTES_MAX {
        return Frame::Broken;
    }
    let Some(key) = unread.get(key_start..head_bytes) else {
        return Frame::HeadIncomplete;
    };
    let known = OPCODES.get(usize::from(opcode)).copied().flatten();
    let tag = FrameTag {
        opcode,
        quiet: known.is_some_and(|known| known.quiet),
        opaque: [o0, o1, o2, o3],
    };
    let ends = |status| {
        let refusal = Refusal { tag, status, ends: true };
        Frame::Refused { refusal, used: head_bytes, skipped: 0 }
    };
    let Some(value_bytes) = body_bytes.checked_sub(extras_bytes + key_bytes) else {
        return ends(Status::UnknownCommand);
    };
    if body_bytes > FRAME_BODY_BYTES_MAX || key_bytes > KEY_BYTES_MAX {
        return ends(Status::Invalid);
    }
    let refused = |status| {
        let refusal = Refusal { tag, status, ends: false };
        Frame::Refused { refusal, used: head_bytes, skipped: value_bytes }
    };
    let Some(known) = known else {
        return refused(Status::UnknownCommand);
    };
    let cas = u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
    let extras = &unread[HEADER_BYTES..key_start];
    let parts = Parts { tag, cas, extras, key, head_bytes, value_bytes };
    match (known.verb, extras, key, value_bytes) {
        // As a memcached that is not started with -S.
        (Verb::SaslList, [], [], 0) | (Verb::Sasl, [], [_, ..], _) => {
            return refused(Status::UnknownCommand);
        }
        _ => {}
    }
    match parts.action(known.verb) {
        None => ends(Status::Invalid),
        Some(action @ BinaryAction::Store { .. }) => {
            parts.take_value(known, action, unread, item_bytes_max)
        }
        Some(action) => parts.whole(known, action),
    }
}

impl<'a> Parts<'a> {
    /// What the frame asks for. `None` if its parts are not those of the command.
    fn action(&self, verb: Verb) -> Option<BinaryAction<'a>> {
        let action = match (verb, self.extras, self.key, self.value_bytes) {
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
            (Verb::Store(mode), &[f0, f1, f2, f3, e0, e1, e2, e3], [_, ..], _) => {
                let flags = u32::from_be_bytes([f0, f1, f2, f3]);
                let exptime = exptime([e0, e1, e2, e3]);
                BinaryAction::Store { mode, flags, exptime, value: &[] }
            }
            (Verb::Extend(mode), [], [_, ..], _) => {
                BinaryAction::Store { mode, flags: 0, exptime: 0, value: &[] }
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

    /// A store: takes its value from the input, or waits for it, or skips it when it is too large.
    fn take_value(
        &self,
        known: Opcode,
        mut action: BinaryAction<'a>,
        unread: &'a [u8],
        item_bytes_max: usize,
    ) -> Frame<'a> {
        let BinaryAction::Store { mode, flags, ref mut value, .. } = action else {
            unreachable!("it is called for stores only");
        };
        if item_bytes(self.key.len(), flags, self.value_bytes) > item_bytes_max {
            return self.whole(known, BinaryAction::TooLarge { mode });
        }
        let bytes = self.head_bytes + self.value_bytes;
        let Some(whole) = unread.get(self.head_bytes..bytes) else {
            return Frame::BodyIncomplete { bytes };
        };
        *value = whole;
        Frame::Whole { request: self.request(known, action), used: bytes, skipped: 0 }
    }

    /// A frame whose value, where it has one, is skipped.
    fn whole(&self, known: Opcode, action: BinaryAction<'a>) -> Frame<'a> {
        let request = self.request(known, action);
        Frame::Whole { request, used: self.head_bytes, skipped: self.value_bytes }
    }

    fn request(&self, known: Opcode, action: BinaryAction<'a>) -> BinaryRequest<'a> {
        // The key of a stat is no item's.
        let key = if matches!(action, BinaryAction::Stats(_)) { &[] } else { self.key };
        BinaryRequest { tag: self.tag, name: known.name, cas: self.cas, key, action }
    }
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
