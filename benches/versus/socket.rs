//! A nonblocking connection, TCP or Unix, as one type; for the load and for the floor.
//!
//! Owns the difference between the two kinds, and nothing else.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream as StdTcpStream;
use std::os::unix::net::UnixStream as StdUnixStream;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::rig::failure::{Doing, Failure};
use crate::rig::server::Endpoint;

/// A connected socket.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Connects and waits until that has happened: connecting is not what is measured.
    pub(crate) fn connect(endpoint: &Endpoint) -> Result<Self, Failure> {
        let doing = || format!("connecting to {endpoint}");
        match endpoint {
            Endpoint::Tcp(address) => {
                let stream = StdTcpStream::connect(address).doing(doing)?;
                stream.set_nodelay(true).doing(doing)?;
                stream.set_nonblocking(true).doing(doing)?;
                Ok(Self::Tcp(TcpStream::from_std(stream)))
            }
            Endpoint::Unix(path) => {
                let stream = StdUnixStream::connect(path).doing(doing)?;
                stream.set_nonblocking(true).doing(doing)?;
                Ok(Self::Unix(UnixStream::from_std(stream)))
            }
        }
    }

    /// Reads; `None` when there is nothing to read now.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        attempt(|| match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        })
    }

    /// Writes; `None` when there is no room now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        attempt(|| match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        })
    }

    /// Writes two pieces with one call of the system; `None` when there is no room now.
    pub(crate) fn write_two(&mut self, first: &[u8], second: &[u8]) -> io::Result<Option<usize>> {
        let pieces = [IoSlice::new(first), IoSlice::new(second)];
        attempt(|| match self {
            Self::Tcp(stream) => stream.write_vectored(&pieces),
            Self::Unix(stream) => stream.write_vectored(&pieces),
        })
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, what),
            Self::Unix(stream) => stream.register(registry, token, what),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, what),
            Self::Unix(stream) => stream.reregister(registry, token, what),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        }
    }
}

fn attempt(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(size) => return Ok(Some(size)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
