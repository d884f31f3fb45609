//! One event, as far as a connection acts on it. Apart from mio's type, so that tests can make one.

use mio::event::Event;

/// What one event reports of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer's FIN has arrived.
    pub(super) read_closed: bool,
    pub(super) write_closed: bool,
    /// The connection has failed: a reset, for example.
    pub(super) failed: bool,
    /// Urgent data has arrived.
    pub(super) urgent: bool,
}

impl From<&Event> for Reported {
    fn from(event: &Event) -> Self {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let urgent = event.is_priority();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let urgent = false;
        Self {
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            write_closed: event.is_write_closed(),
            failed: event.is_error(),
            urgent,
        }
    }
}
