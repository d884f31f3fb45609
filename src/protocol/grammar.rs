//! Which grammar a conversation's lines are parsed with.

use super::classic;
use super::dialect::{Dialect, dialect_of, line_bytes_max, line_bytes_possible};
use super::end_reason::EndReason;
use super::limits::LINE_BYTES_MAX;
use super::line::{DataEnd, Line};
use super::simple;
use crate::config::DialectMode;

/// Which grammar a conversation's lines are parsed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// Every command, in the dialects that this mode allows.
    Commands(DialectMode),
    /// A user and a password, and nothing else.
    Authentication,
}

impl Grammar {
    /// What one whole line means, its LF taken off.
    pub(super) fn parse_line(self, line: &[u8]) -> Line<'_> {
        let Self::Commands(mode) = self else {
            if line.len() > LINE_BYTES_MAX {
                return Line::HangUp(EndReason::LineTooLong);
            }
            return classic::parse_auth_line(line);
        };
        let dialect = dialect_of(mode, line);
        if line.len() > LINE_BYTES_MAX && line.len() > line_bytes_max(dialect, line) {
            return Line::HangUp(EndReason::LineTooLong);
        }
        match dialect {
            Dialect::Simple => simple::parse_line(line),
            // This mode is exact, and memcached wants CRLF after a value however its line ended.
            Dialect::Classic if mode == DialectMode::Classic => {
                classic::parse_line(line, DataEnd::CrLf)
            }
            Dialect::Classic => classic::parse_line(line, DataEnd::Either),
        }
    }

    /// Lines of a plain form (see [`super::plain`]) are classic.
    pub(super) const fn has_plain_forms(self) -> bool {
        matches!(self, Self::Commands(DialectMode::Auto | DialectMode::Classic))
    }

    /// The longest that a line with this `start` may become, its LF not counted.
    pub(super) fn line_bytes_possible(self, start: &[u8]) -> usize {
        match self {
            Self::Commands(mode) => line_bytes_possible(mode, start),
            Self::Authentication => LINE_BYTES_MAX,
        }
    }
}
