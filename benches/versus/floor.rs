//! The floor: a server that does nothing but what any server of this kind must.
//!
//! It polls, reads once per event, finds line ends, and writes a canned answer of the right length
//! with one call of the system. What it costs is the kernel's, and cannot be saved by any store or
//! parser. It knows all keys' and values' lengths beforehand, keeps nothing, and forgives nothing.
//!
//! The bench runs itself in this role: `--serve-floor` and what [`arguments`] says.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::keyspace::{Dialect, KEY_BYTES, Keyspace, LARGE_PREFIX, SMALL_PREFIX, Wire};
use super::socket::Socket;
use crate::rig::failure::{Doing, Failure};
use crate::rig::server::Endpoint;

/// The argument that makes the bench a floor.
pub(crate) const ROLE: &str = "--serve-floor";
const LISTENER: Token = Token(usize::MAX);
const INPUT_BYTES: usize = 64 << 10;
/// The first byte in which the two prefixes differ, counted from the line's start: both commands
/// have three letters.
const PREFIX_MARK_AT: usize = 4 + 7;

/// The command line of a floor that answers for these value sizes.
pub(crate) fn arguments(endpoint: &Endpoint, small: usize, large: usize) -> [String; 4] {
    let address = match endpoint {
        Endpoint::Tcp(address) => format!("tcp={address}"),
        Endpoint::Unix(path) => format!("unix={}", path.display()),
    };
    [ROLE.to_string(), address, small.to_string(), large.to_string()]
}

/// Serves until killed.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Failure> {
    let [address, small, large] = arguments else {
        return Err(Failure(format!("{ROLE} takes an address and two sizes")));
    };
    let sizes = [small, large].map(|size| size.parse::<usize>());
    let [Ok(small), Ok(large)] = sizes else {
        return Err(Failure(format!("{ROLE}: sizes are numbers")));
    };
    let mut listener = Listener::bind(address)?;
    let poll = Poll::new().doing(|| "making an event queue".into())?;
    listener.register(&poll).doing(|| "watching the listener".into())?;
    let mut floor = Floor {
        poll,
        peers: Slab::new(),
        canned: Canned::all(small, large),
        input: vec![0; INPUT_BYTES],
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.doing(|| "waiting for events".into())?,
        }
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&mut listener).doing(|| "accepting".into())?;
            } else if let Err(Gone) = floor.drive(event.token().0) {
                floor.peers.remove(event.token().0);
            }
        }
    }
}

/// A peer that closed, or did what no generator does.
struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

struct Floor {
    poll: Poll,
    peers: Slab<Peer>,
    canned: [Canned; 4],
    input: Vec<u8>,
}

impl Floor {
    fn accept(&mut self, listener: &mut Listener) -> io::Result<()> {
        while let Some(socket) = listener.accept()? {
            let entry = self.peers.vacant_entry();
            let token = Token(entry.key());
            let peer = entry.insert(Peer::new(socket));
            self.poll.registry().register(&mut peer.socket, token, Interest::READABLE)?;
        }
        Ok(())
    }

    fn drive(&mut self, number: usize) -> Result<(), Gone> {
        let Some(peer) = self.peers.get_mut(number) else {
            return Ok(());
        };
        loop {
            if !peer.flush(&self.canned)? {
                if !peer.watches_writable {
                    peer.watches_writable = true;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().reregister(&mut peer.socket, Token(number), both)?;
                }
                return Ok(());
            }
            let Some(size) = peer.socket.read(&mut self.input)? else {
                return Ok(());
            };
            if size == 0 {
                return Err(Gone);
            }
            peer.take(&self.input[..size], &self.canned)?;
            if size < self.input.len() {
                peer.flush(&self.canned)?;
                if peer.is_flushed() {
                    return Ok(());
                }
            }
        }
    }
}

/// The answers for one keyspace in one dialect.
struct Canned {
    hit: Vec<u8>,
    end: &'static [u8],
    stored: &'static [u8],
    /// Value and line end behind the line of a `set`.
    data_bytes: usize,
    /// Whether a hit is written from here instead of being copied into the peer's output.
    streams: bool,
}

impl Canned {
    /// Ordered as [`Peer::take`] counts: small classic, small simple, large classic, large simple.
    fn all(small: usize, large: usize) -> [Self; 4] {
        [
            (SMALL_PREFIX, small, Dialect::Classic),
            (SMALL_PREFIX, small, Dialect::Simple),
            (LARGE_PREFIX, large, Dialect::Classic),
            (LARGE_PREFIX, large, Dialect::Simple),
        ]
        .map(|(prefix, value_bytes, dialect)| {
            let wire = Wire::new(Keyspace { prefix, count: 1, value_bytes }, dialect);
            let streams = wire.streams();
            let mut hit = wire.canned_hit().to_vec();
            if streams {
                hit.extend_from_slice(wire.end);
            }
            let data_bytes = value_bytes + wire.line_end().len();
            Self { hit, end: wire.end, stored: wire.stored, data_bytes, streams }
        })
    }
}

struct Peer {
    socket: Socket,
    /// A line whose end has not come.
    line: Vec<u8>,
    /// Bytes of a value that are still to be skipped, and what to answer behind them.
    skip: usize,
    stored: &'static [u8],
    output: Vec<u8>,
    sent: usize,
    /// A large hit being written: which, and from where on. It comes behind `output`.
    streaming: Option<(usize, usize)>,
    watches_writable: bool,
}

impl Peer {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            line: Vec::new(),
            skip: 0,
            stored: b"",
            output: Vec::new(),
            sent: 0,
            streaming: None,
            watches_writable: false,
        }
    }

    fn take(&mut self, mut bytes: &[u8], canned: &[Canned; 4]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                if self.skip == 0 {
                    self.output.extend_from_slice(self.stored);
                }
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.line.extend_from_slice(bytes);
                return Ok(());
            };
            let (line, rest) = bytes.split_at(end + 1);
            bytes = rest;
            if self.line.is_empty() {
                self.answer(line, canned)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.answer(&whole, canned)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, line: &[u8], canned: &[Canned; 4]) -> Result<(), Gone> {
        let simple = !line.ends_with(b"\r\n");
        let large = line.get(PREFIX_MARK_AT) == LARGE_PREFIX.get(PREFIX_MARK_AT - 4);
        let which = 2 * usize::from(large) + usize::from(simple);
        let answers = &canned[which];
        match line.first() {
            Some(b'g') => {
                let keys = (line.len() - "get".len()) / (KEY_BYTES + 1);
                if !answers.streams {
                    for _ in 0..keys {
                        self.output.extend_from_slice(&answers.hit);
                    }
                    self.output.extend_from_slice(answers.end);
                } else if keys == 1 && self.streaming.is_none() {
                    self.streaming = Some((which, 0));
                } else {
                    return Err(Gone);
                }
            }
            Some(b's') => (self.skip, self.stored) = (answers.data_bytes, answers.stored),
            _ => self.output.extend_from_slice(b"VERSION floor\r\n"),
        }
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        self.output.is_empty() && self.streaming.is_none()
    }

    /// Writes what there is; false when the socket is full.
    fn flush(&mut self, canned: &[Canned; 4]) -> Result<bool, Gone> {
        while self.sent < self.output.len() {
            let Some(size) = self.socket.write(&self.output[self.sent..])? else {
                return Ok(false);
            };
            self.sent += size;
        }
        self.output.clear();
        self.sent = 0;
        while let Some((which, from)) = self.streaming {
            let hit = &canned[which].hit;
            let Some(size) = self.socket.write(&hit[from..])? else {
                return Ok(false);
            };
            self.streaming = (from + size < hit.len()).then_some((which, from + size));
        }
        Ok(true)
    }
}

/// Either kind of listener.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn bind(address: &str) -> Result<Self, Failure> {
        let doing = || format!("listening on {address}");
        if let Some(path) = address.strip_prefix("unix=") {
            return UnixListener::bind(PathBuf::from(path)).map(Self::Unix).doing(doing);
        }
        let address: SocketAddr = address.trim_start_matches("tcp=").parse().doing(doing)?;
        TcpListener::bind(address).map(Self::Tcp).doing(doing)
    }

    fn register(&mut self, poll: &Poll) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => poll.registry().register(listener, LISTENER, Interest::READABLE),
            Self::Unix(listener) => {
                poll.registry().register(listener, LISTENER, Interest::READABLE)
            }
        }
    }

    fn accept(&mut self) -> io::Result<Option<Socket>> {
        let accepted = match self {
            Self::Tcp(listener) => listener.accept().and_then(|(stream, _)| {
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }),
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
        };
        match accepted {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
