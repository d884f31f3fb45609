//! Why a conversation ends from this side.

use std::fmt;

/// Why a conversation ends from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client sent `quit`.
    Quit,
    /// The client sent `shutdown`, which ends the server, too.
    Shutdown,
    /// The client breaks the rules of the binary protocol.
    BadFrame,
    /// The client speaks HTTP.
    Http,
    /// A line is longer than it may be.
    LineTooLong,
    /// With `-Y`: the first line is no authentication.
    Unauthenticated,
}

impl EndReason {
    /// As the log says it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Quit => "the client sent quit",
            Self::Shutdown => "the client sent shutdown",
            Self::BadFrame => "the client breaks the binary protocol",
            Self::Http => "the client speaks HTTP",
            Self::LineTooLong => "a line is too long",
            Self::Unauthenticated => "the client did not authenticate",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
