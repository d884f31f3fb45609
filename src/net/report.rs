//! The report on SIGUSR2: a log line for each connection, which says what it waits for.
//!
//! A turn logs at most [`REPORT_LINES_PER_TURN`] lines, so that a hundred thousand connections delay no
//! client by more than the time of these. A connection that opens or closes meanwhile may be missing.

use std::fmt;

use log::info;
use slab::Slab;

use super::REPORT_LINES_PER_TURN;
use super::account::Account;
use super::clock::Moment;
use super::connection::Connection;
use crate::engine::server_stats::WaitStats;
use crate::trace::Wait;

/// A report, or none.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The first key in the slab that the report has not reached; none while there is no report.
    next_key: Option<usize>,
}

impl Report {
    /// The report has lines left.
    pub(super) const fn is_unfinished(&self) -> bool {
        self.next_key.is_some()
    }

    /// Begins a report. One that is not finished begins anew.
    pub(super) fn begin(&mut self, connections: &Slab<Connection>, account: &Account) {
        let (charged, limit) = account.bytes();
        info!(
            target: "miocached",
            "SIGUSR2: {} connections, {} of them wait for memory; {charged} of {limit} bytes of buffers \
             are in use",
            connections.len(),
            account.waiting(),
        );
        self.next_key = Some(0);
    }

    /// Logs the next lines.
    pub(super) fn go_on(&mut self, connections: &Slab<Connection>, moment: Moment) {
        let Some(first) = self.next_key else { return };
        let end = connections.capacity().min(first + REPORT_LINES_PER_TURN);
        for key in first..end {
            if let Some(connection) = connections.get(key) {
                let (descriptor, (address, _)) =
                    (connection.socket.descriptor(), connection.socket.names());
                let wait = Sentence(connection.wait_stats(moment));
                info!(target: "miocached", "#{key} (descriptor {descriptor}, {address}) {wait}");
            }
        }
        self.next_key = (end < connections.capacity()).then_some(end);
        if self.next_key.is_none() {
            info!(target: "miocached", "SIGUSR2: end of the report");
        }
    }
}

/// A connection's state, as the end of a sentence that begins with its name.
struct Sentence(WaitStats);

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WaitStats { wait, since_ms, unsent_bytes, buffer_bytes, wanted_bytes } = self.0;
        let (s, ms) = (since_ms / 1000, since_ms % 1000);
        write!(f, "{}; not moved for {s}.{ms:03} s, {unsent_bytes} bytes unsent, ", wait.text())?;
        write!(f, "{buffer_bytes} bytes of buffers")?;
        if wait == Wait::Memory { write!(f, ", {wanted_bytes} wanted") } else { Ok(()) }
    }
}
