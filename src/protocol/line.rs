//! What a grammar returns for one line: the interface between the grammars and the framer.

use super::command::Command;
use super::dialect::Dialect;
use super::end_reason::EndReason;
use super::limits::WORDS_MAX;
use super::reply::{Reply, ReplyMode};
use super::token::Words;

/// The meaning of one line.
pub(super) enum Line<'a> {
    /// A whole request.
    Command { command: Command<'a>, mode: ReplyMode },
    /// A store without its value: `value_bytes` and a terminator follow the line.
    Value { command: Command<'a>, mode: ReplyMode, value_bytes: usize, end: DataEnd },
    /// An error. The `value` after the line is to be skipped.
    Refused { reply: Reply, mode: ReplyMode, value: Option<(usize, DataEnd)> },
    /// The conversation ends.
    HangUp(EndReason),
}

impl Line<'_> {
    /// An error without a value after it.
    pub(super) const fn refused(reply: Reply, mode: ReplyMode) -> Self {
        Self::Refused { reply, mode, value: None }
    }
}

/// The reply mode of a classic command; `words` are those after its first `seen`. `noreply` counts if
/// it is the last of the words that memcached looks at.
pub(super) fn reply_mode_after(words: Words<'_>, seen: usize) -> ReplyMode {
    let last = words.take(WORDS_MAX - seen).last();
    ReplyMode { dialect: Dialect::Classic, noreply: last == Some(b"noreply") }
}

/// The terminator that a value needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataEnd {
    /// LF alone: the simple dialect.
    Lf,
    /// CRLF alone, as memcached.
    CrLf,
    /// Either: after a classic line that ended in a bare LF, as lines typed by hand and some tools'
    /// lines do.
    Either,
}

impl DataEnd {
    /// Bytes of the longest terminator.
    pub(super) const BYTES_MAX: usize = 2;

    /// Compares the bytes after a value: returns how many of them to take, and whether they are the
    /// terminator. `None` until enough of them have come.
    pub(super) fn check(self, after: &[u8]) -> Option<(usize, bool)> {
        match (self, after) {
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
