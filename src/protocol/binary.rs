//! The grammar of the binary protocol: where a frame ends, and whether it is one.
//!
//! A frame is as long as its header says, whatever it means. What is an error, and which errors end
//! the conversation, is as in memcached 1.6.45. Knows nothing of what stands before a frame in a stream
//! (see [`super::framer`]), or in its header (see [`super::binary_request`]).

use super::binary_reply::Status;
use super::binary_request::{BinaryAction, BinaryRequest, FrameTag, HEADER_BYTES, Verb};
use super::limits::{FRAME_BODY_BYTES_MAX, FRAME_HEAD_BYTES_MAX, KEY_BYTES_MAX, item_bytes};

/// The first byte of every request.
pub(super) const MAGIC: u8 = 0x80;

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

/// Parses the frame at the start of `unread`. A store whose item would be above `item_bytes_max` is
/// not waited for.
pub(super) fn parse_frame(unread: &[u8], item_bytes_max: usize) -> Frame<'_> {
    if unread.first().is_some_and(|&magic| magic != MAGIC) {
        return Frame::Broken;
    }
    let Some((header, after)) = unread.split_first_chunk::<HEADER_BYTES>() else {
        return Frame::HeadIncomplete;
    };
    let mut request = BinaryRequest { header, body: &[], is_too_large: false };
    let (key_bytes, body_bytes) = (request.key_bytes(), request.body_bytes());
    let head_bytes = HEADER_BYTES + request.extras_bytes() + key_bytes;
    if head_bytes > FRAME_HEAD_BYTES_MAX {
        return Frame::Broken;
    }
    let Some(body) = after.get(..head_bytes - HEADER_BYTES) else {
        return Frame::HeadIncomplete;
    };
    request.body = body;
    let tag = request.tag();
    let ends = |status| {
        let refusal = Refusal { tag, status, ends: true };
        Frame::Refused { refusal, used: head_bytes, skipped: 0 }
    };
    let Some(value_bytes) = body_bytes.checked_sub(body.len()) else {
        return ends(Status::UnknownCommand);
    };
    if body_bytes > FRAME_BODY_BYTES_MAX || key_bytes > KEY_BYTES_MAX {
        return ends(Status::Invalid);
    }
    let (extras, key, _) = request.parts();
    let is_unknown = match request.opcode().map(|known| known.verb) {
        None => true,
        // As a memcached that is not started with -S.
        Some(Verb::SaslList) => body_bytes == 0,
        Some(Verb::Sasl) => extras.is_empty() && !key.is_empty(),
        Some(_) => false,
    };
    if is_unknown {
        let refusal = Refusal { tag, status: Status::UnknownCommand, ends: false };
        return Frame::Refused { refusal, used: head_bytes, skipped: value_bytes };
    }
    match request.action() {
        None => ends(Status::Invalid),
        Some(BinaryAction::Store { flags, .. }) => {
            request.is_too_large = item_bytes(key_bytes, flags, value_bytes) > item_bytes_max;
            if request.is_too_large {
                return Frame::Whole { request, used: head_bytes, skipped: value_bytes };
            }
            let Some(body) = after.get(..body_bytes) else {
                return Frame::BodyIncomplete { bytes: HEADER_BYTES + body_bytes };
            };
            request.body = body;
            Frame::Whole { request, used: HEADER_BYTES + body_bytes, skipped: 0 }
        }
        Some(_) => Frame::Whole { request, used: head_bytes, skipped: value_bytes },
    }
}
