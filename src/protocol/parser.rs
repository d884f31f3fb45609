//! Framing: finds one request in the bytes read so far, and in which dialect it speaks.
//!
//! Owns the resume point: it remembers where it stopped, so no line end is looked for twice however
//! the input is cut, and no value byte is looked at at all; only the line of a store whose value was
//! cut is read again when that is whole. Knows the shape of lines, words and values, but no command
//! (see [`super::simple`] and [`super::classic`]), no socket and no store.

use memchr::memchr;

use super::classic::Verb;
use super::command::{Dump, StoreLine, Unfinished};
use super::line::{self, DataEnd, Line};
use super::{
    Command, Dialect, EndReason, Form, KEY_BYTES_MAX, LINE_BYTES_MAX, LONG_LINE_BYTES_MAX, Reply,
    Retrieval, classic, item_bytes, simple,
};
use crate::config::DialectMode;

/// The first byte of every request in memcached's binary protocol, which is not spoken here.
const BINARY_MAGIC: u8 = 0x80;

/// What [`Parser::parse`] found. `used` counts the bytes that are spent once this is dealt with.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields of each variant say their meaning by their types")]
pub enum Parsed<'a> {
    /// A whole request, to be answered in this form.
    Command { command: Command<'a>, form: Form, used: usize },
    /// Something that is no request; an answer takes this form.
    Invalid { fault: Fault, form: Form, used: usize },
    /// All but `used` bytes must stay, and more must come.
    Incomplete { used: usize },
}

impl<'a> Parsed<'a> {
    /// The key of a command that has one, or its first, as long as it is written as it is.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        match self {
            Self::Command { command, .. } => command.key(),
            Self::Invalid { .. } | Self::Incomplete { .. } => None,
        }
    }
}

/// What to do about bytes that are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Say so and go on behind them.
    Answer(Reply),
    /// They belong to something that was refused before: go on behind them.
    Skipped,
    /// The conversation cannot go on, for this reason.
    HangUp(EndReason),
}

/// Where the next byte of input belongs. Invariant: all bytes that a state counts as read, `bytes` to
/// skip and a value's aside, were in the input when it was set, and the caller gives them again.
#[derive(Clone, Copy, Debug)]
enum State {
    /// To the first line of the conversation.
    Start,
    /// To a line; no LF among the first `scanned` bytes.
    Line { scanned: usize },
    /// To the value of a store whose line takes the first `line_bytes` bytes.
    Value { line_bytes: usize, value_bytes: usize, end: DataEnd },
    /// To a retrieval of which `key_bytes` bytes of keys are unanswered yet.
    Keys { retrieval: Retrieval, form: Form, key_bytes: usize, end_bytes: usize },
    /// To the LF of the line that began a walk over all items, which goes on.
    Dump { dump: Dump, form: Form },
    /// Nowhere: `bytes` more are skipped, and then a terminator.
    Skip { bytes: usize, end: DataEnd },
}

/// The resumable parser of one connection.
#[derive(Debug)]
pub struct Parser {
    mode: DialectMode,
    item_bytes_max: usize,
    /// Nobody has shown yet that he may be served.
    is_closed: bool,
    state: State,
}

impl Parser {
    /// A parser at the start of a conversation. Values of items above `item_bytes_max` (see
    /// [`item_bytes`]) are skipped instead of waited for. While `is_closed`, nothing is understood
    /// but a user and a password.
    #[must_use]
    pub const fn new(mode: DialectMode, item_bytes_max: usize, is_closed: bool) -> Self {
        Self { mode, item_bytes_max, is_closed, state: State::Start }
    }

    /// Every command is understood from now on.
    pub const fn open(&mut self) {
        self.is_closed = false;
    }

    /// Finds the request at the start of `unread`. The caller drops `used` bytes and, until it
    /// does, gives the same bytes again with more behind them.
    pub fn parse<'a>(&mut self, unread: &'a [u8]) -> Parsed<'a> {
        match self.state {
            State::Start
                if self.mode != DialectMode::Simple && unread.first() == Some(&BINARY_MAGIC) =>
            {
                hang_up(EndReason::Binary)
            }
            State::Start => self.find_line(unread, 0),
            State::Line { scanned } => self.find_line(unread, scanned),
            State::Value { line_bytes, value_bytes, end } => {
                self.wait_for_value(unread, line_bytes, value_bytes, end)
            }
            State::Keys { retrieval, form, key_bytes, end_bytes } => {
                self.state = State::Line { scanned: 0 };
                let keys = Words::new(&unread[..key_bytes]);
                let command = Command::Retrieve { retrieval, keys };
                Parsed::Command { command, form, used: key_bytes + end_bytes }
            }
            State::Dump { dump, form } => {
                self.state = State::Line { scanned: 0 };
                Parsed::Command { command: Command::Dump(dump), form, used: 1 }
            }
            State::Skip { bytes, end } => self.skip(unread, bytes, end),
        }
    }

    /// What stands behind a command that was parsed just now can be parsed before it is executed.
    #[must_use]
    pub const fn may_go_on(&self) -> bool {
        !self.is_closed && matches!(self.state, State::Line { scanned: 0 })
    }

    /// Of what was parsed, the last request or all behind it has not been executed: the caller gives
    /// it again.
    pub const fn rewind(&mut self) {
        self.state = State::Line { scanned: 0 };
    }

    /// Bytes that the request at the start of the input takes in all, as far as is known yet: no
    /// more than this need be held at once.
    #[must_use]
    pub const fn bytes_wanted(&self) -> usize {
        match self.state {
            State::Start | State::Line { .. } => LONG_LINE_BYTES_MAX + 1,
            State::Value { line_bytes, value_bytes, .. } => {
                line_bytes + value_bytes + DataEnd::CrLf.bytes()
            }
            State::Keys { key_bytes, end_bytes, .. } => key_bytes + end_bytes,
            State::Dump { .. } => 1,
            State::Skip { .. } => DataEnd::CrLf.bytes(),
        }
    }

    /// What comes next belongs to a value, be it one that has been refused already.
    #[must_use]
    pub const fn is_in_value(&self) -> bool {
        matches!(self.state, State::Value { .. } | State::Skip { .. })
    }

    /// Keeps what is left of a request that could not be answered in one go. Returns how many of the
    /// `request`'s bytes must stay in the input for that.
    pub fn hold(&mut self, rest: Unfinished<'_>, form: Form, request: &[u8]) -> usize {
        match rest {
            Unfinished::Retrieve { retrieval, keys } => {
                let key_bytes = keys.rest().len();
                let with_cr = form.dialect == Dialect::Classic && request.ends_with(b"\r\n");
                let end_bytes = 1 + usize::from(with_cr);
                self.state = State::Keys { retrieval, form, key_bytes, end_bytes };
                key_bytes + end_bytes
            }
            Unfinished::Dump(dump) => {
                self.state = State::Dump { dump, form };
                1
            }
        }
    }

    fn find_line<'a>(&mut self, unread: &'a [u8], scanned: usize) -> Parsed<'a> {
        let Some(found) = memchr(b'\n', &unread[scanned..]) else {
            if !unread.is_empty() {
                self.state = State::Line { scanned: unread.len() };
            }
            let bytes_possible = if self.is_closed {
                LINE_BYTES_MAX
            } else {
                line::bytes_possible(self.mode, unread)
            };
            if unread.len() > bytes_possible {
                return hang_up(EndReason::LineTooLong);
            }
            return Parsed::Incomplete { used: 0 };
        };
        self.state = State::Line { scanned: 0 };
        let line_bytes = scanned + found + 1;
        match self.parse_line(&unread[..line_bytes - 1]) {
            Line::Command { command, form } => Parsed::Command { command, form, used: line_bytes },
            Line::Value { command, form, value_bytes, end } => {
                self.announce(unread, (command, form), line_bytes, value_bytes, end)
            }
            Line::Refused { reply, form, value } => {
                if let Some((bytes, end)) = value {
                    self.state = State::Skip { bytes, end };
                }
                Parsed::Invalid { fault: Fault::Answer(reply), form, used: line_bytes }
            }
            Line::HangUp(why) => hang_up(why),
        }
    }

    /// What one whole line says, its LF taken off.
    fn parse_line<'a>(&self, line: &'a [u8]) -> Line<'a> {
        let dialect = if self.is_closed { Dialect::Classic } else { dialect_of(self.mode, line) };
        if line.len() > LINE_BYTES_MAX
            && (self.is_closed || line.len() > line::bytes_max(dialect, line))
        {
            return Line::HangUp(EndReason::LineTooLong);
        }
        match (dialect, line) {
            _ if self.is_closed => classic::parse_auth_line(line),
            (Dialect::Simple, line) => simple::parse_line(line),
            (Dialect::Classic, [line @ .., b'\r']) => classic::parse_line(line, DataEnd::CrLf),
            (Dialect::Classic, line) => classic::parse_line(line, DataEnd::Either),
        }
    }

    /// A store's line has been read: its value is waited for, or skipped when it is too large.
    fn announce<'a>(
        &mut self,
        unread: &'a [u8],
        (mut command, form): (Command<'a>, Form),
        line_bytes: usize,
        value_bytes: usize,
        end: DataEnd,
    ) -> Parsed<'a> {
        if let Some((store, bytes)) = store_of(&command, value_bytes)
            && bytes > self.item_bytes_max
        {
            self.state = State::Skip { bytes: value_bytes, end };
            let command = Command::TooLarge { store };
            return Parsed::Command { command, form, used: line_bytes };
        }
        let value_end = line_bytes + value_bytes;
        let Some((end_bytes, good)) = end.check(unread.get(value_end..).unwrap_or_default()) else {
            self.state = State::Value { line_bytes, value_bytes, end };
            return Parsed::Incomplete { used: 0 };
        };
        self.state = State::Line { scanned: 0 };
        let used = value_end + end_bytes;
        if !good {
            let reply = if self.is_closed { Reply::AuthBadEnd } else { Reply::BadChunk };
            return Parsed::Invalid { fault: Fault::Answer(reply), form, used };
        }
        command.bring(&unread[line_bytes..value_end]);
        Parsed::Command { command, form, used }
    }

    /// Goes on when the value of a store is whole.
    fn wait_for_value<'a>(
        &mut self,
        unread: &'a [u8],
        line_bytes: usize,
        value_bytes: usize,
        end: DataEnd,
    ) -> Parsed<'a> {
        let behind = unread.get(line_bytes + value_bytes..).unwrap_or_default();
        match end.check(behind) {
            None => Parsed::Incomplete { used: 0 },
            Some(_) => self.find_line(unread, line_bytes - 1),
        }
    }

    /// Drops the value behind a refused line, whatever it holds.
    fn skip<'a>(&mut self, unread: &'a [u8], bytes: usize, end: DataEnd) -> Parsed<'a> {
        let here = bytes.min(unread.len());
        let Some((end_bytes, _)) = end.check(&unread[here..]) else {
            self.state = State::Skip { bytes: bytes - here, end };
            return Parsed::Incomplete { used: here };
        };
        self.state = State::Line { scanned: 0 };
        let form = Form { dialect: Dialect::Classic, noreply: true };
        Parsed::Invalid { fault: Fault::Skipped, form, used: here + end_bytes }
    }
}

/// The rule of the two dialects, for one `line` without its LF: the simple dialect's are those that
/// end in a bare LF and are `get`, `set` with fewer than four arguments, or no command of
/// memcached's at all.
#[must_use]
pub fn dialect_of(mode: DialectMode, line: &[u8]) -> Dialect {
    let simple = match mode {
        DialectMode::Simple => true,
        DialectMode::Classic => false,
        DialectMode::Auto if line.ends_with(b"\r") => false,
        DialectMode::Auto => match command_word(line) {
            b"get" => true,
            b"set" => Words::new(line).skip(1).take(4).count() < 4,
            word => Verb::of(word).is_none(),
        },
    };
    if simple { Dialect::Simple } else { Dialect::Classic }
}

/// The command of a line: the bytes before the first space, so a line that starts with a space has
/// none. No command is longer than what is looked at here.
pub(super) fn command_word(line: &[u8]) -> &[u8] {
    let start = &line[..line.len().min(32)];
    let word_bytes = start.iter().position(|&byte| byte == b' ').unwrap_or(start.len());
    &start[..word_bytes]
}

/// What a store is and how large its item would be, if it is one that brings an item.
fn store_of<'a>(command: &Command<'a>, value_bytes: usize) -> Option<(StoreLine<'a>, usize)> {
    if let Command::Store { mode, key, flags, .. } = *command {
        let bytes = item_bytes(key.len(), flags, value_bytes);
        Some((StoreLine::Plain(mode, key), bytes))
    } else if let Command::MetaSet { meta, .. } = *command {
        let key_bytes = meta.key.decode(&mut [0; KEY_BYTES_MAX]).len();
        let bytes = item_bytes(key_bytes, meta.client_flags, value_bytes);
        Some((StoreLine::Meta(meta), bytes))
    } else {
        None
    }
}

const fn hang_up(why: EndReason) -> Parsed<'static> {
    let form = Form { dialect: Dialect::Classic, noreply: true };
    Parsed::Invalid { fault: Fault::HangUp(why), form, used: 0 }
}

/// The words of a line: runs of anything but spaces. The only tokenizer of both dialects.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// What has not been given yet.
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    /// The words of `line`.
    #[must_use]
    pub const fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    /// What has not been given yet, spaces included.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next word, where it should be a number: so few bytes are looked at one by one in less
    /// time than memchr takes to begin.
    pub fn next_number(&mut self) -> Option<&'a [u8]> {
        self.next_to(|word| word.iter().position(|&byte| byte == b' '))
    }

    fn next_to(&mut self, space: impl Fn(&[u8]) -> Option<usize>) -> Option<&'a [u8]> {
        let skipped = self.rest.iter().position(|&byte| byte != b' ')?;
        let word = &self.rest[skipped..];
        let (word, rest) = word.split_at(space(word).unwrap_or(word.len()));
        self.rest = rest;
        Some(word)
    }

    /// No word is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.iter().all(|&byte| byte == b' ')
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.next_to(|word| memchr(b' ', word))
    }
}
