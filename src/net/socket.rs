//! A client's socket: TCP or Unix, and the system calls on it.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr as UnixAddr;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};

#[cfg(test)]
use super::epoll_model::ModelSocket;
use crate::engine::event_log::Peer as EventPeer;

/// Readiness that is always of interest. Write interest is registered only while something waits to be
/// written: on a Unix socket every read by the peer raises a write edge, and interest in all of them
/// caused 17 to 36 % more wake-ups. Urgent data is of interest because a read stops before it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const READS: Interest = Interest::READABLE.add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) const READS: Interest = Interest::READABLE;

/// A client's socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// A socket of the model of the kernel.
    #[cfg(test)]
    Model(ModelSocket),
}

/// Where a client comes from, for the log.
pub(super) enum Peer {
    Tcp(SocketAddr),
    Unix,
}

impl Peer {
    /// Its port; 0 for a Unix socket.
    pub(super) const fn port(&self) -> u16 {
        match self {
            Self::Tcp(address) => address.port(),
            Self::Unix => 0,
        }
    }
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

/// The path of a Unix socket, or its abstract name after an `@`. Empty if it has neither.
pub(super) fn unix_name(address: &UnixAddr) -> String {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_name() {
        return format!("@{}", name.escape_ascii());
    }
    address.as_pathname().map_or_else(String::new, |path| path.display().to_string())
}

/// Whether the socket has this readiness now: one `poll(2)` that does not wait.
pub(super) fn is_ready(socket: BorrowedFd<'_>, readiness: PollFlags) -> bool {
    let mut asked = [PollFd::new(socket, readiness)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

impl Socket {
    /// A socket that a TCP listener has accepted. `TCP_NODELAY`: answers are written whole, so Nagle's
    /// algorithm would only delay them. `SO_KEEPALIVE` detects peers that vanished without a FIN. If
    /// the kernel refuses an option, the client is served without it.
    pub(super) fn tcp(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
        Self::Tcp(stream)
    }

    /// The descriptor's number.
    pub(super) fn descriptor(&self) -> i32 {
        #[cfg(test)]
        if let Self::Model(_) = self {
            return 0;
        }
        self.as_fd().as_raw_fd()
    }

    /// Shuts down this side, so that the peer reads the end of input. Over TCP this sends the FIN.
    pub(super) fn shut_down_writing(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(test)]
            Self::Model(socket) => socket.shut_down_writing(),
        }
    }

    /// Copies received bytes into `space` and leaves them in the kernel's buffer.
    pub(super) fn peek(&self, space: &mut [u8]) -> io::Result<usize> {
        #[cfg(test)]
        if let Self::Model(socket) = self {
            return retry(|| socket.peek(space));
        }
        let descriptor = self.descriptor();
        retry(|| Ok(recv(descriptor, space, MsgFlags::MSG_PEEK)?))
    }

    /// The send buffer has room for some kilobytes. Linux reports that when a third of it is free (TCP;
    /// at least 15 KiB by default), or three quarters of it (Unix sockets).
    pub(super) fn has_room(&self) -> bool {
        #[cfg(test)]
        if let Self::Model(socket) = self {
            return socket.has_room();
        }
        is_ready(self.as_fd(), PollFlags::POLLOUT)
    }

    /// Passes the peer to `visit`, as the log of events shows it.
    pub(super) fn as_peer(&self, visit: impl FnOnce(EventPeer<'_>)) {
        let descriptor = self.descriptor();
        match self {
            Self::Tcp(stream) => match stream.peer_addr() {
                Ok(peer) => {
                    let (address, port) = (peer.ip(), peer.port());
                    visit(EventPeer { address: &address, port, transport: "tcp", descriptor });
                }
                // It has reset the connection.
                Err(_) => {
                    visit(EventPeer { address: &"unknown", port: 0, transport: "tcp", descriptor });
                }
            },
            Self::Unix(_) => {
                visit(EventPeer { address: &"unix", port: 0, transport: "local", descriptor });
            }
            #[cfg(test)]
            Self::Model(_) => {}
        }
    }

    /// The addresses of the peer and of the listener, as `stats conns` shows them. A Unix socket's
    /// peer has none of its own.
    pub(super) fn names(&self) -> (String, String) {
        match self {
            Self::Tcp(stream) => {
                (address_name(stream.peer_addr()), address_name(stream.local_addr()))
            }
            Self::Unix(stream) => {
                let name = stream.local_addr().map(|address| unix_name(&address));
                let name = format!("unix:{}", name.unwrap_or_default());
                (name.clone(), name)
            }
            #[cfg(test)]
            Self::Model(_) => ("model".into(), "model".into()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            #[cfg(test)]
            Self::Model(_) => unreachable!("a model has no descriptor"),
        }
    }
}

/// Repeats a system call that a signal has interrupted (EINTR).
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
            #[cfg(test)]
            Self::Model(socket) => retry(|| socket.read(space)),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => retry(|| stream.write(bytes)),
            Self::Unix(stream) => retry(|| stream.write(bytes)),
            #[cfg(test)]
            Self::Model(socket) => retry(|| socket.write(bytes)),
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => retry(|| stream.write_vectored(pieces)),
            Self::Unix(stream) => retry(|| stream.write_vectored(pieces)),
            #[cfg(test)]
            Self::Model(socket) => retry(|| socket.write_vectored(pieces)),
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
            #[cfg(test)]
            Self::Model(socket) => {
                socket.register(interest);
                Ok(())
            }
        }
    }

    fn reregister(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(to, token, interest),
            Self::Unix(stream) => stream.reregister(to, token, interest),
            #[cfg(test)]
            Self::Model(socket) => {
                socket.register(interest);
                Ok(())
            }
        }
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(from),
            Self::Unix(stream) => stream.deregister(from),
            #[cfg(test)]
            Self::Model(_) => Ok(()),
        }
    }
}
