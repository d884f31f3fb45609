//! How a server that stops takes leave of a client who is still talking.
//!
//! Hanging up while the kernel holds bytes that nobody has read is a reset, and a reset takes back
//! answers that are on their way. So this side says that it is done, and what the client goes on to
//! send is read and dropped until the client is done, too, or the time for stopping is over.

use std::io::{ErrorKind, Read as _};

use super::connection::{Connection, Next};

impl Connection {
    /// No more is read from the client; what has been read is answered.
    pub(super) const fn stop_reading(&mut self) {
        self.at_end = true;
        self.readable = false;
    }

    /// What becomes of a connection that would be closed now. Others stay as they are.
    pub(super) fn take_leave(&mut self, next: Next, space: &mut [u8]) -> Next {
        if !matches!(next, Next::Close(_)) {
            return next;
        }
        match self.socket.read(space) {
            Ok(1..) => {
                if !self.has_taken_leave {
                    self.has_taken_leave = true;
                    // Where this fails there is nobody left, which the next read tells.
                    let _ = self.socket.finish();
                }
                Next::Again
            }
            // Whoever was silent need not be waited for.
            Err(error) if error.kind() == ErrorKind::WouldBlock && self.has_taken_leave => {
                Next::Wait
            }
            Ok(0) | Err(_) => next,
        }
    }
}
