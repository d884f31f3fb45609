//! What a dialect makes of one line: the small language between the grammars and the framing.
//!
//! Knows how long a line may be and what stands behind a store's value, and nothing of how lines are
//! spelled (see [`super::simple`] and [`super::classic`]) or found (see [`super::parser`]).

use super::classic::Verb;
use super::parser::command_word;
use super::{Command, Dialect, EndReason, Form, LINE_BYTES_MAX, LONG_LINE_BYTES_MAX, Reply};
use crate::config::DialectMode;

/// What a dialect makes of one line.
pub(super) enum Line<'a> {
    /// A request that is whole.
    Command { command: Command<'a>, form: Form },
    /// A store without its value, of which so many bytes and a terminator follow the line.
    Value { command: Command<'a>, form: Form, value_bytes: usize, end: DataEnd },
    /// An error; `value` is what stands behind the line and is to be skipped.
    Refused { reply: Reply, form: Form, value: Option<(usize, DataEnd)> },
    /// The end of the conversation.
    HangUp(EndReason),
}

impl Line<'_> {
    /// An error with nothing behind it.
    pub(super) const fn refused(reply: Reply, form: Form) -> Self {
        Self::Refused { reply, form, value: None }
    }
}

/// What ends a line, and therefore the value behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataEnd {
    /// LF and nothing else: the simple dialect.
    Lf,
    /// CRLF and nothing else: a classic line that ended so.
    CrLf,
    /// Either: a classic line that ended in a bare LF, as hand-typed ones and some tools do.
    Either,
}

impl DataEnd {
    /// Bytes of the shortest terminator that satisfies this.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Lf | Self::Either => 1,
            Self::CrLf => 2,
        }
    }

    /// Looks at what stands behind a value: how many bytes to take, and whether they are right.
    /// `None` until enough of them are there.
    pub(super) fn check(self, behind: &[u8]) -> Option<(usize, bool)> {
        match (self, behind) {
            (_, []) => None,
            (Self::Lf, [first, ..]) => Some((1, *first == b'\n')),
            (Self::Either, [b'\n', ..]) => Some((1, true)),
            (Self::CrLf | Self::Either, [_]) => None,
            (Self::CrLf | Self::Either, [first, second, ..]) => {
                Some((2, [*first, *second] == *b"\r\n"))
            }
        }
    }
}

/// The longest that this line may be, its LF not counted.
pub(super) fn bytes_max(dialect: Dialect, line: &[u8]) -> usize {
    match dialect {
        Dialect::Classic if !Verb::is_retrieval(command_word(line)) => LINE_BYTES_MAX,
        Dialect::Simple | Dialect::Classic => LONG_LINE_BYTES_MAX,
    }
}

/// The longest that a line may become, its LF not counted, which has begun with `start` and has not
/// ended.
pub(super) fn bytes_possible(mode: DialectMode, start: &[u8]) -> usize {
    match mode {
        DialectMode::Simple => LONG_LINE_BYTES_MAX,
        DialectMode::Classic => bytes_max(Dialect::Classic, start),
        // It may still turn out to be of either dialect, unless its command is classic alone.
        DialectMode::Auto => match command_word(start) {
            b"set" => LONG_LINE_BYTES_MAX,
            word if Verb::of(word).is_some() => bytes_max(Dialect::Classic, start),
            _ => LONG_LINE_BYTES_MAX,
        },
    }
}
