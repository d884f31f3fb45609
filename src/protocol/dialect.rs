//! The two dialects: which one a line is in, and how long it may be.

use std::fmt;

use super::limits::{LINE_BYTES_MAX, LONG_LINE_BYTES_MAX};
use super::token::{Words, command_word};
use super::verb::Verb;
use crate::config::DialectMode;

/// The two languages. [`dialect_of`] finds the one a line is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `set <key> <bytes>` and `get <key>...`, every line ended by LF.
    Simple,
    /// memcached's text protocol, every line ended by CRLF.
    Classic,
}

/// Its name in the log.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simple => "simple",
            Self::Classic => "classic",
        })
    }
}

/// The dialect of one `line` without its LF. In [`DialectMode::Auto`] a line that ends in CRLF is
/// classic. One that ends in a bare LF is simple if it is `get`, or `set` with fewer than four
/// arguments, or no command of memcached's at all.
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

/// The longest that this line may be, its LF not counted.
pub(super) fn line_bytes_max(dialect: Dialect, line: &[u8]) -> usize {
    let is_long = match dialect {
        Dialect::Simple => true,
        Dialect::Classic => Verb::of(command_word(line)).is_some_and(Verb::is_retrieval),
    };
    if is_long { LONG_LINE_BYTES_MAX } else { LINE_BYTES_MAX }
}

/// The longest that a line with this `start` may become, its LF not counted.
pub(super) fn line_bytes_possible(mode: DialectMode, start: &[u8]) -> usize {
    match mode {
        DialectMode::Simple => LONG_LINE_BYTES_MAX,
        DialectMode::Classic => line_bytes_max(Dialect::Classic, start),
        // It may still turn out to be of either dialect, unless its command is classic alone.
        DialectMode::Auto => match command_word(start) {
            b"set" => LONG_LINE_BYTES_MAX,
            word if Verb::of(word).is_some() => line_bytes_max(Dialect::Classic, start),
            _ => LONG_LINE_BYTES_MAX,
        },
    }
}
