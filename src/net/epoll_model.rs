//! A model of the kernel, for tests: connected sockets with bounded buffers, and edge-triggered epoll.
//!
//! What a server may rely on, and what it may not. Linux behaves like this, except for sizes and times
//! (`fs/eventpoll.c`, `net/ipv4/tcp.c`):
//!
//! * A read takes what there is, as far as it fits. It is shorter than the space only if it has emptied
//!   the buffer, or stopped before urgent data. A write is short only if it has filled the buffer.
//! * Epoll has a list of ready sockets. A socket is put into it by an *edge*: bytes, urgent data, the
//!   FIN or a reset has arrived; the buffer of a writer that was refused has become a third empty; or the
//!   interest is registered while it is satisfied. A poll takes the socket out, and reports what is true
//!   of it at that moment. So several edges become one event, and what is left over by the server is
//!   never reported again.
//! * A socket that is closed with unread bytes sends a reset, which destroys answers in flight.
//! * Any call may be interrupted by a signal, and the client goes on while the server is in its turn.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::rc::Rc;

use mio::Interest;

use super::reported::Reported;

/// A connection: two streams of bytes, and what epoll knows of the server's end.
#[derive(Debug)]
pub(super) struct Pair {
    /// Bytes that have arrived, and that the server has not read.
    pub(super) arrived: VecDeque<u8>,
    /// Limit of those bytes.
    arrived_max: usize,
    /// Bytes before the urgent byte, which is not among them. A read stops there.
    urgent_after: Option<usize>,
    /// The client has sent its FIN, or a reset.
    pub(super) client_fin: bool,
    pub(super) client_reset: bool,
    /// Bytes that the server has written, and that the client has not read.
    answered: VecDeque<u8>,
    /// Limit of those bytes.
    answered_max: usize,
    /// A write was refused or cut, and no edge has reported room since.
    no_space: bool,
    /// The server has shut down its side, or closed its descriptor.
    server_fin: bool,
    pub(super) server_closed: bool,
    write_interest: bool,
    /// The socket is in epoll's list.
    pub(super) edge: bool,
    /// The server's next call returns EINTR.
    pub(super) interrupted: bool,
    /// What the client does right after the server's next read or write, before its turn ends.
    pub(super) meanwhile: Option<Meanwhile>,
    /// Bytes that have arrived in this way since the server's last read began.
    late: usize,
    /// Bytes that the client has sent.
    pub(super) sent: usize,
    /// The answers that the client has read.
    pub(super) got: Vec<u8>,
}

/// See [`Pair::meanwhile`].
#[derive(Debug)]
pub(super) enum Meanwhile {
    Sends(Vec<u8>),
    Receives(usize),
}

impl Pair {
    /// A connection whose buffers take so many bytes in each direction.
    pub(super) fn new(arrived_max: usize, answered_max: usize) -> Self {
        Self {
            arrived: VecDeque::new(),
            arrived_max,
            urgent_after: None,
            client_fin: false,
            client_reset: false,
            answered: VecDeque::new(),
            answered_max,
            no_space: false,
            server_fin: false,
            server_closed: false,
            write_interest: false,
            edge: false,
            interrupted: false,
            meanwhile: None,
            late: 0,
            sent: 0,
            got: Vec::new(),
        }
    }

    // The client.

    /// Sends as many of the bytes as the buffer takes. Those that arrive after a close are lost.
    pub(super) fn send(&mut self, bytes: &[u8]) -> usize {
        let sent = bytes.len().min(self.arrived_max - self.arrived.len());
        self.sent += sent;
        if !self.server_closed && sent > 0 {
            self.arrived.extend(&bytes[..sent]);
            self.edge = true;
        }
        sent
    }

    /// Sends a byte of urgent data. The mark before the last one is lost.
    pub(super) fn send_urgent(&mut self) {
        self.urgent_after = Some(self.arrived.len());
        self.edge = true;
    }

    pub(super) fn send_fin(&mut self) {
        (self.client_fin, self.edge) = (true, true);
    }

    /// Closes abruptly. Answers in flight are lost.
    pub(super) fn send_reset(&mut self) {
        (self.client_fin, self.client_reset, self.edge) = (true, true, true);
        self.answered.clear();
    }

    /// Reads up to so many bytes of answers.
    pub(super) fn receive(&mut self, bytes_max: usize) -> usize {
        let bytes = bytes_max.min(self.answered.len());
        self.got.extend(self.answered.drain(..bytes));
        if self.no_space && self.is_writable() {
            self.no_space = false;
            self.edge |= self.write_interest;
        }
        bytes
    }

    /// Does what [`Pair::meanwhile`] holds for the end of this call.
    pub(super) fn catch_up(&mut self) {
        match self.meanwhile.take() {
            Some(Meanwhile::Sends(bytes)) => self.late += self.send(&bytes),
            Some(Meanwhile::Receives(bytes_max)) => {
                self.receive(bytes_max);
            }
            None => {}
        }
    }

    // Epoll.

    /// Takes the socket out of epoll's list, and reports its state. None if there is nothing to report.
    pub(super) fn poll(&mut self) -> Option<Reported> {
        if !mem::take(&mut self.edge) || self.server_closed {
            return None;
        }
        let reported = Reported {
            readable: !self.arrived.is_empty() || self.client_fin,
            writable: self.write_interest && self.is_writable(),
            read_closed: self.client_fin,
            write_closed: self.client_reset || self.client_fin && self.server_fin,
            failed: self.client_reset,
            urgent: self.urgent_after.is_some(),
        };
        let Reported { readable, writable, urgent, .. } = reported;
        (readable || writable || urgent).then_some(reported)
    }

    fn is_writable(&self) -> bool {
        3 * (self.answered_max - self.answered.len()) >= self.answered_max || self.client_reset
    }

    // The server's calls.

    fn read(&mut self, space: &mut [u8], removes: bool) -> io::Result<usize> {
        self.interrupt()?;
        self.late = 0;
        // A read that begins at the mark passes over it.
        let before_mark = self.urgent_after.filter(|&bytes| bytes > 0);
        let most = space.len().min(before_mark.unwrap_or(usize::MAX));
        let bytes = most.min(self.arrived.len());
        for (to, from) in space.iter_mut().zip(self.arrived.iter().take(bytes)) {
            *to = *from;
        }
        if removes {
            self.arrived.drain(..bytes);
            self.urgent_after = before_mark.map(|before| before - bytes);
        }
        self.catch_up();
        match bytes {
            0 if self.client_reset => Err(ErrorKind::ConnectionReset.into()),
            0 if !self.client_fin => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(bytes),
        }
    }

    fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.interrupt()?;
        if self.client_reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let before = self.answered.len();
        let all: usize = pieces.iter().map(|piece| piece.len()).sum();
        for piece in pieces {
            let room = self.answered_max - self.answered.len();
            self.answered.extend(&piece[..room.min(piece.len())]);
        }
        let written = self.answered.len() - before;
        self.no_space |= written < all;
        self.catch_up();
        if written == 0 && all > 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    fn interrupt(&mut self) -> io::Result<()> {
        if mem::take(&mut self.interrupted) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

/// The server's end of a connection.
#[derive(Debug)]
pub(super) struct ModelSocket(pub(super) Rc<RefCell<Pair>>);

impl ModelSocket {
    fn pair(&self) -> RefMut<'_, Pair> {
        self.0.borrow_mut()
    }

    pub(super) fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        self.pair().read(space, true)
    }

    pub(super) fn peek(&self, space: &mut [u8]) -> io::Result<usize> {
        self.pair().read(space, false)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    pub(super) fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.pair().write(pieces)
    }

    /// `poll(2)` for writing. As with epoll, a socket without room will report when it has some.
    pub(super) fn has_room(&self) -> bool {
        let mut pair = self.pair();
        pair.no_space |= !pair.is_writable();
        pair.is_writable()
    }

    pub(super) fn shut_down_writing(&self) -> io::Result<()> {
        let mut pair = self.pair();
        (pair.server_fin, pair.edge) = (true, true);
        Ok(())
    }

    /// `EPOLL_CTL_ADD` and `EPOLL_CTL_MOD`: what is true already is reported by the next poll.
    pub(super) fn register(&self, interest: Interest) {
        let mut pair = self.pair();
        pair.write_interest = interest.is_writable();
        pair.no_space |= !pair.is_writable();
        pair.edge = true;
    }
}

impl Drop for ModelSocket {
    fn drop(&mut self) {
        let mut pair = self.pair();
        (pair.server_fin, pair.server_closed) = (true, true);
        // Bytes that come between the last read and the close are a race that this server accepts, as it
        // accepts bytes that come after the close (see `linger`).
        if pair.arrived.len() > pair.late {
            pair.answered.clear();
        }
    }
}
