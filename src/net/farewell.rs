//! How the server takes leave of a client who may still be talking.
//!
//! Hanging up while the kernel holds bytes that nobody has read is a reset, and a reset takes back
//! answers that are on their way. So this side says that it is done, and what the client goes on to
//! send is read and dropped, one buffer a turn: until the client is done, too, or has sent
//! [`FAREWELL_BYTES_MAX`], or [`overdue`](super::overdue) finds that it has had its time. Nobody waits
//! for a client who has said `quit` and nothing behind it; a line at which the server hangs up counts as
//! said behind the end, for more of the like mostly follows.

use std::io::{ErrorKind, Read as _};

use super::FAREWELL_BYTES_MAX;
use super::connection::{Connection, Next, Why};
use crate::session::Stop;

/// How far the leave of a client has come who talks on behind the end.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    /// When it was told that this side is done, in milliseconds of uptime. Its last answers go first.
    told_ms: Option<u64>,
    /// What it has sent since.
    dropped_bytes: usize,
}

impl Connection {
    /// No more is read from the client; what has been read is answered.
    pub(super) const fn stop_reading(&mut self) {
        self.at_end = true;
        self.readable = false;
    }

    /// The conversation is over. What was read behind its end is no use, and is not kept.
    pub(super) fn drop_unread(&mut self) {
        if self.input.start < self.input.filled {
            self.farewell = Some(Box::default());
        }
        self.input.start = self.input.filled;
        self.promised = 0;
    }

    /// Since when it has been told that this side is done.
    pub(super) fn leaving_since_ms(&self) -> Option<u64> {
        self.farewell.as_ref()?.told_ms
    }

    /// What becomes of a connection whose turn has ended like this. Only one that would be closed is
    /// concerned: by a server that stops, or because this side has ended the conversation. One that
    /// the client has ended has nothing unread, and one that is doomed has had its time.
    pub(super) fn take_leave(
        &mut self,
        next: Next,
        stopping: bool,
        space: &mut [u8],
        now_ms: u64,
    ) -> Next {
        let ended = match &next {
            Next::Close(Why::Said(_)) => matches!(self.stop, Stop::Ended(_)),
            Next::Close(Why::Failed(_)) => false,
            Next::Again | Next::Wait | Next::NeedsServerStats(_) | Next::Shutdown => return next,
        };
        if self.doomed.is_some() || !(stopping || ended) {
            return next;
        }
        let bytes = match self.socket.read(space) {
            Ok(bytes @ 1..) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.farewell.is_some() => 0,
            Ok(0) | Err(_) => return next,
        };
        let farewell = self.farewell.get_or_insert_default();
        if farewell.told_ms.is_none() {
            farewell.told_ms = Some(now_ms);
            // Where this fails there is nobody left, which the next read tells.
            let _ = self.socket.finish();
        }
        farewell.dropped_bytes += bytes;
        if farewell.dropped_bytes > FAREWELL_BYTES_MAX && !stopping {
            return next;
        }
        if bytes > 0 { Next::Again } else { Next::Wait }
    }
}
