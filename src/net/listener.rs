//! Listeners: where clients knock, and the sockets that come of it.
//!
//! Owns the socket options and the life of a Unix socket's file. Knows no connection.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt,
};
use nix::sys::stat::{Mode, umask};

use crate::config::UnixSocket;

/// Where clients knock.
pub(super) struct Listener {
    door: Door,
    /// The kernel may have clients for us. Its edge does not come back by itself: this is forgotten
    /// only when accepting said "would block".
    pub(super) ready: bool,
}

enum Door {
    Tcp(TcpListener),
    Unix { listener: UnixListener, file: SocketFile },
}

impl Listener {
    /// Listens on a TCP address.
    pub(super) fn tcp(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(family, SockType::Stream, flags, None)?;
        // A restarted server need not wait for the last one's connections to be forgotten.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        if address.is_ipv6() {
            // An IPv6 address means itself and not IPv4 as well, so that both can be listened on.
            setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        }
        bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
        listen(&fd, as_backlog(backlog))?;
        let door = Door::Tcp(TcpListener::from_std(fd.into()));
        Ok(Self { door, ready: false })
    }

    /// Listens on a Unix socket. A file that a dead server left is replaced; one that somebody
    /// answers on, or that is no socket, is an error.
    pub(super) fn unix(socket: &UnixSocket, backlog: i32) -> io::Result<Self> {
        let path = &socket.path;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(ErrorKind::AlreadyExists, "it exists and is no socket"));
            }
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(ErrorKind::AddrInUse.into()),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    fs::remove_file(path)?;
                }
                Err(error) => return Err(error),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // By umask and not by chmod, so that there is no moment at which others could connect.
        let mode = Mode::from_bits_truncate(nix::libc::mode_t::try_from(socket.mode).unwrap_or(0));
        let before = umask(Mode::all() & !mode);
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound?;
        // The standard library has chosen a backlog of its own; asking again changes it.
        listen(&listener, as_backlog(backlog))?;
        let made = fs::symlink_metadata(path)?;
        let file = SocketFile { path: path.clone(), made: (made.dev(), made.ino()) };
        Ok(Self { door: Door::Unix { listener, file }, ready: false })
    }

    /// Takes one client, set up and ready to be registered.
    pub(super) fn accept(&self) -> io::Result<(Socket, Peer)> {
        match &self.door {
            Door::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // Answers are written whole, so there is nothing for Nagle to collect. Keepalive
                // finds peers that vanished without a word. Neither is worth losing a client.
                let _ = stream.set_nodelay(true);
                let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
                Ok((Socket::Tcp(stream), Peer::Tcp(peer)))
            }
            Door::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }

    /// The TCP address, with the port that the kernel picked where none was asked for.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.door {
            Door::Tcp(listener) => listener.local_addr().ok(),
            Door::Unix { .. } => None,
        }
    }

    /// Its descriptor's number.
    pub(super) fn descriptor(&self) -> i32 {
        match &self.door {
            Door::Tcp(listener) => listener.as_raw_fd(),
            Door::Unix { listener, .. } => listener.as_raw_fd(),
        }
    }

    /// Its address, as `stats conns` tells it.
    pub(super) fn name(&self) -> String {
        match &self.door {
            Door::Tcp(listener) => name_of(listener.local_addr()),
            Door::Unix { file, .. } => format!("unix:{}", file.path.display()),
        }
    }

    /// Asks for events under `token`.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.door {
            Door::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Door::Unix { listener, .. } => registry.register(listener, token, Interest::READABLE),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.door {
            Door::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(error) => write!(f, "an unknown address ({error})"),
            },
            Door::Unix { file, .. } => write!(f, "{}", file.path.display()),
        }
    }
}

/// More than nix lets pass, and anything below 0, is as many as the system has.
fn as_backlog(backlog: i32) -> Backlog {
    let most = Backlog::new(-1).unwrap_or(Backlog::MAXCONN);
    Backlog::new(backlog).unwrap_or(most)
}

/// The file of a Unix socket: it goes when the listener goes.
struct SocketFile {
    path: PathBuf,
    /// Device and inode, by which it is told from a file that somebody else has put there since.
    made: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if found.is_ok_and(|found| found == self.made) {
            // Nobody is left to be told that it could not be removed; the next start will say so.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Who knocked, for the log.
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

/// Readiness that is always of interest. Write interest comes and goes: on Unix sockets every read
/// of the peer's raises a write edge, 17 to 36 % more wake-ups if it were always there. Urgent data
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

/// An address, as `stats conns` tells it.
fn name_of(address: io::Result<SocketAddr>) -> String {
    match address {
        Ok(address @ SocketAddr::V4(_)) => format!("tcp:{address}"),
        Ok(address @ SocketAddr::V6(_)) => format!("tcp6:{address}"),
        Err(_) => "<closed>".into(),
    }
}

impl Socket {
    /// Its descriptor's number.
    pub(super) fn descriptor(&self) -> i32 {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// Tells the peer that nothing more comes.
    pub(super) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// The addresses of the peer and of the listener, as `stats conns` tells them. A Unix socket's
    /// peer has none of its own.
    pub(super) fn names(&self) -> (String, String) {
        match self {
            Self::Tcp(stream) => (name_of(stream.peer_addr()), name_of(stream.local_addr())),
            Self::Unix(stream) => {
                let address = stream.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                let name = path.map_or("unix:".into(), |path| format!("unix:{}", path.display()));
                (name.clone(), name)
            }
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
