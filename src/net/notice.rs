//! Log lines that a client can cause: at most one a second of each kind, with a count of the rest.
//!
//! Logging is I/O. A client that makes the server log a line per request has made it slow.

use std::fmt::Display;

use log::warn;

/// One kind of event worth a warning.
#[derive(Debug, Default)]
pub struct Notice {
    /// No line before this moment, in milliseconds of uptime.
    quiet_until_ms: u64,
    /// Events since the last line.
    unsaid: u64,
}

impl Notice {
    /// Warns, unless it did so within the last second.
    pub fn warn(&mut self, uptime_ms: u64, text: &dyn Display) {
        if uptime_ms < self.quiet_until_ms {
            self.unsaid += 1;
            return;
        }
        match self.unsaid {
            0 => warn!(target: "miocached", "{text}"),
            unsaid => {
                warn!(target: "miocached", "{text} (and {unsaid} times more since the last such line)")
            }
        }
        self.unsaid = 0;
        self.quiet_until_ms = uptime_ms + 1000;
    }
}
