//! A client's socket: TCP or Unix, and the system calls on it.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};

/// Readiness that is always of interest. Write interest comes and goes: on Unix sockets every read
/// by the peer raises a write edge, 17 to 36 % more wake-ups if it were always there. Urgent data
/// is of interest because a read stops in front of it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const READS: Interest = Interest::READABLE.add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) const READS: Interest = Interest::READABLE;

/// A client's socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Where a client comes from, for the log.
pub(super) enum Peer {
    Tcp(SocketAddr),
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("a Unix socket"),
        }
    }
}

/// An address as `stats conns` shows it.
pub(super) fn address_name(address: io::Result<SocketAddr>) -> String {
    match address {
        Ok(address @ SocketAddr::V4(_)) => format!("tcp:{address}"),
        Ok(address @ SocketAddr::V6(_)) => format!("tcp6:{address}"),
        Err(_) => "<closed>".into(),
    }
}

/// Whether the kernel reports this readiness now. One system call, which never waits.
pub(super) fn is_ready(socket: BorrowedFd<'_>, readiness: PollFlags) -> bool {
    let mut asked = [PollFd::new(socket, readiness)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

impl Socket {
    /// A socket that a TCP listener has accepted. Answers are written whole, so there is nothing for
    /// Nagle's algorithm to collect. Keepalive finds peers that vanished without a FIN. A kernel that
    /// refuses either is no reason to refuse the client.
    pub(super) fn tcp(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
        Self::Tcp(stream)
    }

    /// The descriptor's number.
    pub(super) fn descriptor(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }

    /// Sends the peer a FIN: nothing more comes from this side.
    pub(super) fn shut_down_writing(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Copies what the kernel has received into `space` and leaves it with the kernel.
    pub(super) fn peek(&self, space: &mut [u8]) -> io::Result<usize> {
        let descriptor = self.descriptor();
        retry(|| Ok(recv(descriptor, space, MsgFlags::MSG_PEEK)?))
    }

    /// The kernel would take some kilobytes: a third of the send buffer is free (TCP), which is at
    /// least 15 KiB by Linux's defaults, or three quarters of it (Unix sockets).
    pub(super) fn has_room(&self) -> bool {
        is_ready(self.as_fd(), PollFlags::POLLOUT)
    }

    /// The addresses of the peer and of the listener, as `stats conns` shows them. A Unix socket's
    /// peer has none of its own.
    pub(super) fn names(&self) -> (String, String) {
        match self {
            Self::Tcp(stream) => {
                (address_name(stream.peer_addr()), address_name(stream.local_addr()))
            }
            Self::Unix(stream) => {
                let address = stream.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                let name = path.map_or("unix:".into(), |path| format!("unix:{}", path.display()));
                (name.clone(), name)
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// A signal that arrives during a system call is no reason to give up the call.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => retry(|| stream.read(space)),
            Self::Unix(stream) => retry(|| stream.read(space)),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => retry(|| stream.write(bytes)),
            Self::Unix(stream) => retry(|| stream.write(bytes)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Socket {
    fn register(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(to, token, interest),
            Self::Unix(stream) => stream.register(to, token, interest),
        }
    }

    fn reregister(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(to, token, interest),
            Self::Unix(stream) => stream.reregister(to, token, interest),
        }
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(from),
            Self::Unix(stream) => stream.deregister(from),
        }
    }
}
