//! Why a connection waits. Found from its state on request, so that a turn does not have to note it.

use super::clock::Moment;
use super::connection::Connection;
use crate::engine::server_stats::WaitStats;
use crate::session::Stop;
use crate::trace::Wait;

impl Connection {
    /// What the connection waits for.
    pub(super) fn wait(&self) -> Wait {
        if self.lingering_since_ms().is_some() {
            Wait::Close
        } else if self.queued {
            Wait::Turn
        } else if self.share.wants() {
            Wait::Memory
        } else if self.needs_room {
            Wait::SendBuffer
        } else if !self.output.is_empty() {
            Wait::Reader
        } else if matches!(self.stop, Stop::Watches(_)) {
            Wait::Events
        } else {
            Wait::Input
        }
    }

    /// What it waits for, since when, and what it holds meanwhile.
    pub(super) fn wait_stats(&self, moment: Moment) -> WaitStats {
        WaitStats {
            wait: self.wait(),
            since_ms: moment.uptime_ms.saturating_sub(self.active_ms),
            unsent_bytes: self.output.unsent().len(),
            buffer_bytes: self.share.charged(),
            wanted_bytes: self.share.wanted(),
        }
    }
}
