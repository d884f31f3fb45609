//! Lingering close: the FIN first, then reading on, so that no reset destroys answers in flight.
//!
//! `close()` with unread bytes in the kernel sends a reset, and a reset may destroy answers that the
//! client has not read yet. So the server sends its FIN, then reads and drops what the client still
//! sends, one buffer a turn: until the client closes its end, or has sent [`LINGER_BYTES_MAX`], or
//! [`LINGER_MS`] have passed (see [`super::timeouts`]). A connection lingers only if bytes after the
//! end have arrived already, so a `quit` with nothing after it closes at once. A line at which the
//! server hangs up counts as such bytes, because more usually follow it.

use std::io::{ErrorKind, Read as _};
use std::mem;

use super::LINGER_BYTES_MAX;
use super::connection::{Connection, Next, Why};
use crate::session::Stop;
use crate::trace;

impl Connection {
    /// Stops reading from the client. What has been read is still answered.
    pub(super) fn stop_reading(&mut self) {
        self.at_end = true;
        self.readiness.readable = false;
        if mem::take(&mut self.unread_in_kernel) {
            // The session has seen bytes that are only in the kernel's buffer, and must not see fewer
            // than before. So the request is dropped.
            self.input.clear();
        }
    }

    /// Drops what was read after the end of the conversation. If there is something, the connection
    /// will linger.
    pub(super) fn drop_unread(&mut self) {
        if !self.input.unread().is_empty() {
            self.linger = Some(Box::default());
        }
        self.input.clear();
    }

    /// When the FIN was sent, if the connection lingers.
    pub(super) fn lingering_since_ms(&self) -> Option<u64> {
        self.linger.as_ref()?.since_ms
    }

    /// Turns the close of a connection into a lingering close where that is needed. It is needed only if
    /// this side closes, because the conversation has ended or the server stops. If the client has
    /// closed its end, nothing is unread; if a deadline has passed, the client has had its time.
    pub(super) fn linger(
        &mut self,
        next: Next,
        stopping: bool,
        space: &mut [u8],
        now_ms: u64,
    ) -> Next {
        let ended = match &next {
            Next::Close(Why::Reason(_)) => matches!(self.stop, Stop::Ended(_)),
            Next::Close(Why::Failed(_)) => false,
            Next::Wait
            | Next::Again
            | Next::Watch(_)
            | Next::NeedsServerStats(_)
            | Next::Shutdown => return next,
        };
        if self.close_reason.is_some() || !(stopping || ended) {
            return next;
        }
        let bytes = match self.socket.read(space) {
            Ok(bytes @ 1..) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.linger.is_some() => 0,
            Ok(0) | Err(_) => return next,
        };
        let linger = self.linger.get_or_insert_default();
        if linger.since_ms.is_none() {
            linger.since_ms = Some(now_ms);
            trace::lingers(self.share.key());
            // If this fails, the client has gone, and the next read reports it.
            let _ = self.socket.shut_down_writing();
        }
        linger.dropped_bytes += bytes;
        if linger.dropped_bytes > LINGER_BYTES_MAX && !stopping {
            return next;
        }
        if bytes > 0 { Next::Again } else { Next::Wait }
    }
}
