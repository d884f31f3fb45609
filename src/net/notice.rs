//! Log lines that a client can cause: at most one a second of each kind, with a count of the others.
//!
//! Logging is I/O: a client that causes a log line with each request would slow the server down.

use std::fmt::Display;

use log::warn;

/// One kind of warning.
#[derive(Debug, Default)]
pub(super) struct Notice {
    /// No line before this time, in milliseconds of uptime.
    quiet_until_ms: u64,
    /// Events since the last line.
    suppressed: u64,
}

impl Notice {
    /// Logs the warning, or counts it if one was logged within the last second.
    pub(super) fn warn(&mut self, uptime_ms: u64, text: &dyn Display) {
        if uptime_ms < self.quiet_until_ms {
            self.suppressed += 1;
            return;
        }
        match self.suppressed {
            0 => warn!(target: "miocached", "{text}"),
            suppressed => {
                warn!(target: "miocached", "{text} (and {suppressed} times more since the last such line)")
            }
        }
        self.suppressed = 0;
        self.quiet_until_ms = uptime_ms + 1000;
    }
}
