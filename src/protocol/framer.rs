//! Framing: finds where one request ends in the bytes read so far.
//!
//! Parsing is pure. [`Framer::parse`] takes a [`State`] and the unread bytes, and returns what it
//! found, how many bytes that takes, and the next state. The caller keeps the next state if and only
//! if it drops the bytes. So a request that has to start over is simply not committed, and any number
//! of requests can be parsed ahead of the one that is executed.
//!
//! A state remembers how far the input has been searched, so no line end is searched for twice however
//! the input is cut. No byte of a value is looked at. A store whose value was cut has its line parsed
//! once more when the value is whole. The framer knows the shape of lines and values; of commands it
//! knows only how large an item a store would make.

use memchr::memchr;

use super::binary::{self, Frame, Refusal};
use super::command::Command;
use super::end_reason::EndReason;
use super::grammar::Grammar;
use super::limits::{FRAME_HEAD_BYTES_MAX, LONG_LINE_BYTES_MAX, item_bytes};
use super::line::{DataEnd, Line};
use super::meta_request::KeySpace;
use super::plain;
use super::reply::{Reply, ReplyMode};
use crate::config::Protocol;

/// What stands at the start of the input.
#[derive(Debug)]
pub enum Parsed<'a> {
    /// A whole request, to be answered in this mode.
    Command {
        /// The request.
        command: Command<'a>,
        /// How it wants to be answered.
        mode: ReplyMode,
    },
    /// A bad request.
    Error {
        /// The answer.
        reply: Reply,
        /// How it wants to be answered.
        mode: ReplyMode,
    },
    /// A bad request of the binary protocol.
    BadFrame(Refusal),
    /// The value of a request that was refused before. It gets no answer.
    Skipped,
    /// The conversation cannot go on.
    HangUp(EndReason),
    /// Part of a request. More must be read.
    Incomplete,
}

/// What [`Framer::parse`] returns.
#[derive(Debug)]
pub struct Step<'a> {
    /// What was found.
    pub parsed: Parsed<'a>,
    /// Bytes that it takes. [`Parsed::Incomplete`] takes some when they belong to a skipped value.
    pub used: usize,
    /// The state after those bytes.
    pub next: State,
}

impl<'a> Step<'a> {
    /// The first key of a command, if it is worth prefetching.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        match &self.parsed {
            Parsed::Command { command, .. } => command.key(),
            Parsed::Error { .. }
            | Parsed::BadFrame(_)
            | Parsed::Skipped
            | Parsed::HangUp(_)
            | Parsed::Incomplete => None,
        }
    }
}

/// Where the next byte of the input belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(Position);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// To the first request of the conversation: a line or a frame.
    Start,
    /// To a line; there is no LF among its first `scanned` bytes.
    Line { scanned: u32 },
    /// To the value of a store whose line takes the first `line_bytes` bytes of the input.
    Value { line_bytes: u32, value_bytes: u32, end: DataEnd },
    /// To a refused value: `bytes` more are skipped, and then a terminator.
    Skip { bytes: u32, end: DataEnd },
    /// To a frame, as does every byte after it: the protocol is the binary one.
    Frame(FramePosition),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FramePosition {
    /// To the header, extras or key.
    Head,
    /// To the value of a store whose frame takes `bytes` in all.
    Value { bytes: u32 },
    /// To a value that is skipped: so many bytes, and then a frame.
    Skip { bytes: u32 },
}

impl State {
    /// Before the first byte of a conversation, which decides about its protocol.
    pub const START: Self = Self(Position::Start);
    /// Before a line.
    const LINE: Self = Self(Position::Line { scanned: 0 });
    /// Before a frame.
    const FRAME: Self = Self(Position::Frame(FramePosition::Head));

    /// Before the first byte of a conversation in this protocol.
    #[must_use]
    pub const fn before(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Auto => Self::START,
            Protocol::Ascii => Self::LINE,
            Protocol::Binary => Self::FRAME,
        }
    }

    /// Bytes of the request at the start of the input, or the most that it can have. A buffer for it
    /// need not be longer.
    #[must_use]
    pub const fn bytes_wanted(self) -> usize {
        match self.0 {
            Position::Start | Position::Line { .. } => LONG_LINE_BYTES_MAX + 1,
            Position::Value { line_bytes, value_bytes, .. } => {
                line_bytes as usize + value_bytes as usize + DataEnd::BYTES_MAX
            }
            Position::Skip { .. } => DataEnd::BYTES_MAX,
            Position::Frame(FramePosition::Head) => FRAME_HEAD_BYTES_MAX,
            Position::Frame(FramePosition::Value { bytes }) => bytes as usize,
            // What is skipped is used as it comes.
            Position::Frame(FramePosition::Skip { .. }) => 1,
        }
    }

    /// The next byte belongs to a value, be it one that has been refused already.
    #[must_use]
    pub const fn is_in_value(self) -> bool {
        match self.0 {
            Position::Value { .. }
            | Position::Skip { .. }
            | Position::Frame(FramePosition::Value { .. } | FramePosition::Skip { .. }) => true,
            Position::Start | Position::Line { .. } | Position::Frame(FramePosition::Head) => false,
        }
    }
}

/// The rules that a connection's input is framed by.
#[derive(Clone, Copy, Debug)]
pub struct Framer {
    /// What a line may say.
    pub grammar: Grammar,
    /// Values of items above this size (see [`item_bytes`]) are skipped instead of waited for.
    pub item_bytes_max: usize,
}

impl Framer {
    /// Finds the request at the start of `unread`. Until its bytes are dropped, the same bytes are
    /// given again, with more after them.
    #[must_use]
    #[inline(always)]
    pub fn parse<'a>(&self, state: &State, unread: &'a [u8]) -> Step<'a> {
        let is_line = matches!(state.0, Position::Line { scanned: 0 });
        if is_line && self.grammar.has_plain_forms() {
            // One return for each form, so that the compiler knows the command in it.
            if let Some((line, line_bytes)) = plain::get(unread) {
                return self.take_line(unread, line, line_bytes);
            }
            if let Some((line, line_bytes)) = plain::set(unread) {
                return self.take_line(unread, line, line_bytes);
            }
            if let Some((line, line_bytes)) = plain::meta_get(unread) {
                return self.take_line(unread, line, line_bytes);
            }
        }
        self.parse_at(state.0, unread)
    }

    /// Finds what is no plain line. Not inlined, so that plain lines take no instruction for it.
    #[inline(never)]
    fn parse_at<'a>(&self, position: Position, unread: &'a [u8]) -> Step<'a> {
        match position {
            Position::Line { scanned } => self.find_line(unread, scanned as usize),
            Position::Value { line_bytes, value_bytes, end } => {
                let after =
                    unread.get(line_bytes as usize + value_bytes as usize..).unwrap_or_default();
                match end.check(after) {
                    None => incomplete(0, State(position)),
                    Some(_) => self.find_line(unread, line_bytes as usize - 1),
                }
            }
            Position::Skip { bytes, end } => skip(unread, bytes as usize, end),
            Position::Start => match unread.first() {
                None => incomplete(0, State(position)),
                Some(&binary::MAGIC) => self.parse_frame(FramePosition::Head, unread),
                Some(_) => self.find_line(unread, 0),
            },
            Position::Frame(position) => self.parse_frame(position, unread),
        }
    }

    fn parse_frame<'a>(&self, position: FramePosition, unread: &'a [u8]) -> Step<'a> {
        match position {
            FramePosition::Value { bytes } if unread.len() < bytes as usize => {
                return incomplete(0, State(Position::Frame(position)));
            }
            FramePosition::Skip { bytes } => return skip_frame_value(unread, bytes as usize),
            FramePosition::Head | FramePosition::Value { .. } => {}
        }
        match binary::parse_frame(unread, self.item_bytes_max) {
            Frame::Whole { request, used, skipped } => {
                let (command, mode) = (Command::Binary(request), ReplyMode::CLASSIC);
                let parsed = Parsed::Command { command, mode };
                Step { parsed, used, next: after_frame(skipped) }
            }
            Frame::Refused { refusal, used, skipped } => {
                Step { parsed: Parsed::BadFrame(refusal), used, next: after_frame(skipped) }
            }
            Frame::HeadIncomplete => incomplete(0, State::FRAME),
            Frame::BodyIncomplete { bytes } => {
                let position = FramePosition::Value { bytes: short(bytes) };
                incomplete(0, State(Position::Frame(position)))
            }
            Frame::Broken => hang_up(EndReason::BadFrame),
        }
    }

    fn find_line<'a>(&self, unread: &'a [u8], scanned: usize) -> Step<'a> {
        let Some(found) = memchr(b'\n', &unread[scanned..]) else {
            if unread.len() > self.grammar.line_bytes_possible(unread) {
                return hang_up(EndReason::LineTooLong);
            }
            return incomplete(0, State(Position::Line { scanned: short(unread.len()) }));
        };
        let line_bytes = scanned + found + 1;
        let line = self.grammar.parse_line(&unread[..line_bytes - 1]);
        self.take_line(unread, line, line_bytes)
    }

    /// The first `line_bytes` of the input are this line.
    #[inline(always)]
    fn take_line<'a>(&self, unread: &'a [u8], line: Line<'a>, line_bytes: usize) -> Step<'a> {
        match line {
            Line::Command { command, mode } => {
                let parsed = Parsed::Command { command, mode };
                Step { parsed, used: line_bytes, next: State::LINE }
            }
            Line::Value { command, mode, value_bytes, end } => {
                self.take_value(unread, (command, mode), line_bytes, value_bytes, end)
            }
            Line::Refused { reply, mode, value } => {
                let next = value.map_or(State::LINE, |(bytes, end)| skipping(bytes, end));
                Step { parsed: Parsed::Error { reply, mode }, used: line_bytes, next }
            }
            Line::HangUp(reason) => hang_up(reason),
        }
    }

    /// The line of a store has been parsed: takes its value from the input, or waits for it, or skips
    /// it when it is too large.
    #[inline(always)]
    fn take_value<'a>(
        &self,
        unread: &'a [u8],
        (mut command, mode): (Command<'a>, ReplyMode),
        line_bytes: usize,
        value_bytes: usize,
        end: DataEnd,
    ) -> Step<'a> {
        if bytes_of_item(&command, value_bytes) > self.item_bytes_max
            && let Some(store) = command.store_line()
        {
            let parsed = Parsed::Command { command: Command::TooLarge { store }, mode };
            return Step { parsed, used: line_bytes, next: skipping(value_bytes, end) };
        }
        let value_end = line_bytes + value_bytes;
        let Some((end_bytes, good)) = end.check(unread.get(value_end..).unwrap_or_default()) else {
            return incomplete(
                0,
                State(Position::Value {
                    line_bytes: short(line_bytes),
                    value_bytes: short(value_bytes),
                    end,
                }),
            );
        };
        let used = value_end + end_bytes;
        if good {
            command.set_value(&unread[line_bytes..value_end]);
            return Step { parsed: Parsed::Command { command, mode }, used, next: State::LINE };
        }
        let parsed = match command.store_line() {
            Some(store) => Parsed::Command { command: Command::BadChunk { store }, mode },
            None => Parsed::Error { reply: Reply::AuthBadEnd, mode },
        };
        Step { parsed, used, next: State::LINE }
    }
}

/// Skips the value after a refused line, whatever it holds.
fn skip<'a>(unread: &'a [u8], bytes: usize, end: DataEnd) -> Step<'a> {
    let here = bytes.min(unread.len());
    match end.check(&unread[here..]) {
        None => incomplete(here, skipping(bytes - here, end)),
        Some((end_bytes, _)) => {
            Step { parsed: Parsed::Skipped, used: here + end_bytes, next: State::LINE }
        }
    }
}

/// Skips what is left of a frame.
fn skip_frame_value<'a>(unread: &'a [u8], bytes: usize) -> Step<'a> {
    let used = bytes.min(unread.len());
    let next = after_frame(bytes - used);
    let parsed = if used == bytes { Parsed::Skipped } else { Parsed::Incomplete };
    Step { parsed, used, next }
}

/// The state after a frame of whose value so many bytes are to be skipped.
const fn after_frame(skipped: usize) -> State {
    match skipped {
        0 => State::FRAME,
        bytes => State(Position::Frame(FramePosition::Skip { bytes: short(bytes) })),
    }
}

/// Size of the item that a store would make; 0 for a command that makes none.
#[inline(always)]
fn bytes_of_item(command: &Command<'_>, value_bytes: usize) -> usize {
    if let Command::Store { key, flags, .. } = *command {
        item_bytes(key.len(), flags, value_bytes)
    } else if let Command::MetaSet { meta, .. } = command {
        let key = meta.key;
        let key_bytes = match key.encoded {
            false => key.written.len(),
            true => key.decode(&mut KeySpace::default()).len(),
        };
        item_bytes(key_bytes, meta.client_flags(), value_bytes)
    } else {
        0
    }
}

const fn skipping(bytes: usize, end: DataEnd) -> State {
    State(Position::Skip { bytes: short(bytes), end })
}

/// A length for a [`State`], which is copied for each request.
#[allow(clippy::cast_possible_truncation, reason = "all lengths of a request fit into 32 bits")]
const fn short(bytes: usize) -> u32 {
    bytes as u32
}

const fn incomplete(used: usize, next: State) -> Step<'static> {
    Step { parsed: Parsed::Incomplete, used, next }
}

const fn hang_up(reason: EndReason) -> Step<'static> {
    Step { parsed: Parsed::HangUp(reason), used: 0, next: State::LINE }
}
