//! One listening socket, TCP or Unix. Creates, replaces and removes the file of a Unix socket, unless the
//! socket is inherited.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;

use mio::net::{TcpListener, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, getsockopt, listen,
    setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, umask};

use super::socket::{Peer, Socket, address_name, is_ready, unix_name};
use crate::config::UnixSocket;

/// A listening socket.
pub(super) struct Listener {
    kind: Kind,
    /// Clients may be waiting in the backlog. Each edge is reported once, so this is cleared only when
    /// the kernel has reported that no client waits.
    pub(super) ready: bool,
}

enum Kind {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        name: String,
        /// None for an inherited socket, whose file belongs to the process that has created it.
        _file: Option<SocketFile>,
    },
}

impl Listener {
    /// A socket that is bound to a TCP address. [`Self::listen`] makes it listen.
    pub(super) fn tcp(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(family, SockType::Stream, flags, None)?;
        // Connections of an earlier server in TIME_WAIT would otherwise make bind fail.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        if address.is_ipv6() {
            // An IPv6 wildcard would otherwise take the IPv4 port, too, and binding that would fail.
            setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        }
        bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
        Ok(Self { kind: Kind::Tcp(TcpListener::from_std(fd.into())), ready: false })
    }

    /// Listens, with this length of the kernel's queue.
    pub(super) fn listen(&self, backlog: i32) -> io::Result<()> {
        Ok(listen(self, as_backlog(backlog))?)
    }

    /// Listens on a Unix socket. A socket file on which no process listens is replaced. One on which a
    /// process listens, or a file that is no socket, is an error.
    pub(super) fn unix(socket: &UnixSocket, backlog: i32) -> io::Result<Self> {
        let path = &socket.path;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(ErrorKind::AlreadyExists, "it exists and is no socket"));
            }
            // mio connects without blocking. "Would block" means that a process listens and its
            // backlog is full: it may be stopped.
            Ok(_) => match UnixStream::connect(path) {
                Ok(_) => return Err(ErrorKind::AddrInUse.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::AddrInUse.into());
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    fs::remove_file(path)?;
                }
                Err(error) => return Err(error),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // The mode is set by umask. With a chmod after bind, others could connect in between.
        let mode = Mode::from_bits_truncate(nix::libc::mode_t::try_from(socket.mode).unwrap_or(0));
        let before = umask(Mode::all() & !mode);
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound?;
        // mio has called listen with a backlog of its own. A second listen changes it.
        listen(&listener, as_backlog(backlog))?;
        let made = fs::symlink_metadata(path)?;
        let file = SocketFile { path: path.clone(), made: (made.dev(), made.ino()) };
        let (name, _file) = (path.display().to_string(), Some(file));
        Ok(Self { kind: Kind::Unix { listener, name, _file }, ready: false })
    }

    /// A TCP socket that another process has opened.
    pub(super) fn inherited_tcp(listener: StdTcpListener) -> io::Result<Self> {
        check_listens(&listener)?;
        listener.set_nonblocking(true)?;
        Ok(Self { kind: Kind::Tcp(TcpListener::from_std(listener)), ready: false })
    }

    /// A Unix socket that another process has opened. Its file is left alone.
    pub(super) fn inherited_unix(listener: StdUnixListener) -> io::Result<Self> {
        check_listens(&listener)?;
        listener.set_nonblocking(true)?;
        let name = unix_name(&listener.local_addr()?);
        let listener = UnixListener::from_std(listener);
        Ok(Self { kind: Kind::Unix { listener, name, _file: None }, ready: false })
    }

    /// Accepts one client, whose socket is set up and ready to be registered.
    pub(super) fn accept(&self) -> io::Result<(Socket, Peer)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Socket::tcp(stream), Peer::Tcp(peer)))
            }
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }

    /// A client waits in the backlog. `accept` cannot tell when descriptors have run out: it then fails
    /// with that error, whether a client waits or not.
    pub(super) fn has_client(&self) -> bool {
        is_ready(self.as_fd(), PollFlags::POLLIN)
    }

    /// The TCP address, with the port that the kernel picked where none was asked for.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix { .. } => None,
        }
    }

    /// The path of a Unix socket, or its abstract name.
    pub(super) fn unix_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Tcp(_) => None,
            Kind::Unix { name, .. } => Some(name),
        }
    }

    /// The descriptor's number.
    pub(super) fn descriptor(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }

    /// The address as `stats conns` shows it.
    pub(super) fn name(&self) -> String {
        match &self.kind {
            Kind::Tcp(listener) => address_name(listener.local_addr()),
            Kind::Unix { name, .. } => format!("unix:{name}"),
        }
    }

    /// Asks for events under `token`.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.kind {
            Kind::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Kind::Unix { listener, .. } => registry.register(listener, token, Interest::READABLE),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Tcp(listener) => listener.as_fd(),
            Kind::Unix { listener, .. } => listener.as_fd(),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(error) => write!(f, "an unknown address ({error})"),
            },
            Kind::Unix { name, .. } => f.write_str(name),
        }
    }
}

/// Only listeners can be served. systemd passes connections instead if `Accept=yes` is set.
fn check_listens(socket: &impl AsFd) -> io::Result<()> {
    if getsockopt(socket, sockopt::AcceptConn)? {
        Ok(())
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "it does not listen"))
    }
}

/// nix refuses a negative backlog and one above SOMAXCONN. Those become the largest backlog.
fn as_backlog(backlog: i32) -> Backlog {
    let most = Backlog::new(-1).unwrap_or(Backlog::MAXCONN);
    Backlog::new(backlog).unwrap_or(most)
}

/// The file of a Unix socket, which is removed with its listener.
struct SocketFile {
    path: PathBuf,
    /// Device and inode. They differ if another process has replaced the file since.
    made: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if found.is_ok_and(|found| found == self.made) {
            // The next start reports a file that could not be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use nix::sys::socket::getsockopt;

    use super::*;

    #[test]
    fn accepted_sockets_send_without_delay_and_detect_dead_peers() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::tcp(any).expect("it is bound");
        listener.listen(10).expect("it listens");
        let address = listener.address().expect("it has one");
        let _client = TcpStream::connect(address).expect("the backlog has room");
        let (socket, _) = listener.accept().expect("a client waits");
        let Socket::Tcp(stream) = socket else { panic!("it is a TCP socket") };
        let no_delay = getsockopt(&stream, sockopt::TcpNoDelay).expect("it has the option");
        assert!(
            no_delay,
            "TCP_NODELAY is off: a small answer waits for the ACK of the one before it"
        );
        assert_eq!(getsockopt(&stream, sockopt::KeepAlive), Ok(true));
    }
}
