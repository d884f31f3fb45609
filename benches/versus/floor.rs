//! The floor: a server that does nothing but what any server of this kind must.
//!
//! It polls, reads once per event, finds line ends, and writes a canned answer of the right length
//! with one call of the system. What it costs is the kernel's, and cannot be saved by any store or
//! parser. It knows all keys' and values' lengths beforehand, or takes a value's from the last digits
//! of its key; it keeps nothing, and forgives nothing.
//!
//! The bench runs itself in this role: `--serve-floor` and what [`arguments`] says.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use mio::net::{TcpListener, UnixListener};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::keyspace::{
    Dialect, FIRST_COUNT, KEY_BYTES, Keyspace, LARGE_PREFIX, PREFIX_BYTES, SMALL_PREFIX, Wire,
    class_of,
};
use super::sizes::{DIGIT_BYTES, Lifetimes, Values};
use super::socket::Socket;
use crate::rig::failure::{Doing, Failure};
use crate::rig::server::Endpoint;

/// The argument that makes the bench a floor.
pub(crate) const ROLE: &str = "--serve-floor";
const LISTENER: Token = Token(usize::MAX);
const INPUT_BYTES: usize = 64 << 10;
/// The first byte in which the prefixes differ, counted from the key's start.
const PREFIX_MARK_AT: usize = 7;
/// What stands on the command line for sizes that follow from the key.
const TWITTER: &str = "twitter";

/// The command line of a floor that answers for these values; counters need none.
pub(crate) fn arguments(endpoint: &Endpoint, small: Values, large: Values) -> [String; 4] {
    let name = |values| match values {
        Values::Fixed(size) => size.to_string(),
        Values::Twitter => TWITTER.to_string(),
        Values::Counters => DIGIT_BYTES.to_string(),
    };
    let address = match endpoint {
        Endpoint::Tcp(address) => format!("tcp={address}"),
        Endpoint::Unix(path) => format!("unix={}", path.display()),
    };
    [ROLE.to_string(), address, name(small), name(large)]
}

/// Serves until killed.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Failure> {
    let [address, small, large] = arguments else {
        return Err(Failure(format!("{ROLE} takes an address and two sizes")));
    };
    let values = [small, large].map(|word| match word.parse() {
        Ok(size) => Some(Values::Fixed(size)),
        Err(_) => (word == TWITTER).then_some(Values::Twitter),
    });
    let [Some(small), Some(large)] = values else {
        return Err(Failure(format!("{ROLE}: sizes are numbers or {TWITTER}")));
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
    canned: Canned,
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

/// Everything that is ever answered.
struct Canned {
    /// Small classic, small simple, small meta, then the same for large.
    keyspaces: [CannedValues; 6],
    /// To an `incr`.
    count: Vec<u8>,
}

/// The answers for one keyspace in one dialect.
struct CannedValues {
    wire: Wire,
    /// By class: the value's size, and the beginning of a hit up to its digits. Where there is but
    /// one class, that is the whole hit, with what ends the answer where it is streamed.
    hits: Vec<(usize, Vec<u8>)>,
    /// Whether a hit is written from here instead of being copied into the peer's output.
    streams: bool,
}

impl Canned {
    fn all(small: Values, large: Values) -> Self {
        let keyspaces = [
            (SMALL_PREFIX, small, Dialect::Classic),
            (SMALL_PREFIX, small, Dialect::Simple),
            (SMALL_PREFIX, small, Dialect::Meta),
            (LARGE_PREFIX, large, Dialect::Classic),
            (LARGE_PREFIX, large, Dialect::Simple),
            (LARGE_PREFIX, large, Dialect::Meta),
        ]
        .map(|(prefix, values, dialect)| {
            let lifetimes = Lifetimes::Unlimited;
            CannedValues::new(Keyspace { prefix, count: 1, values, lifetimes }, dialect)
        });
        Self { keyspaces, count: format!("{FIRST_COUNT}\r\n").into_bytes() }
    }

    /// Which keyspace a key with this prefix is of, in a dialect.
    fn number(key: &[u8], dialect: Dialect) -> usize {
        let large = key.get(PREFIX_MARK_AT) == LARGE_PREFIX.get(PREFIX_MARK_AT);
        let dialect = match dialect {
            Dialect::Classic => 0,
            Dialect::Simple => 1,
            Dialect::Meta => 2,
        };
        3 * usize::from(large) + dialect
    }
}

impl CannedValues {
    fn new(keyspace: Keyspace, dialect: Dialect) -> Self {
        let wire = Wire::new(keyspace, dialect);
        let streams = wire.streams();
        let mut hits = Vec::new();
        for (class, size) in wire.class_sizes().enumerate() {
            let mut hit = Vec::new();
            wire.render_canned_hit(class, &mut hit);
            if wire.has_one_size() {
                hit.extend_from_slice(wire.streamed());
            }
            if streams && !wire.hit_ends_get() {
                hit.extend_from_slice(wire.end);
            }
            hits.push((size, hit));
        }
        Self { wire, hits, streams }
    }

    /// The class of a key, from its last digits.
    fn class(&self, key: &[u8]) -> Result<usize, Gone> {
        if self.hits.len() == 1 {
            return Ok(0);
        }
        let digits = key.get(PREFIX_BYTES..KEY_BYTES).ok_or(Gone)?;
        let digits = std::str::from_utf8(digits).map_err(|_| Gone)?;
        let scattered = u64::from_str_radix(digits, 16).map_err(|_| Gone)?;
        Ok(class_of(scattered, self.hits.len()))
    }

    fn push_hit(&self, class: usize, output: &mut Vec<u8>) {
        let (size, hit) = &self.hits[class];
        output.extend_from_slice(hit);
        if self.hits.len() > 1 {
            output.extend_from_slice(&self.wire.streamed()[..size - DIGIT_BYTES]);
            output.extend_from_slice(self.wire.line_end());
        }
    }
}

struct Peer {
    socket: Socket,
    /// A line whose end has not come.
    line: Vec<u8>,
    /// Bytes of a value that are still to be skipped, and what to answer after them.
    skip: usize,
    stored: &'static [u8],
    output: Vec<u8>,
    sent: usize,
    /// A large hit being written: of which keyspace, and from where on. It comes after `output`.
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

    fn take(&mut self, mut bytes: &[u8], canned: &Canned) -> Result<(), Gone> {
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

    fn answer(&mut self, line: &[u8], canned: &Canned) -> Result<(), Gone> {
        let key = memchr::memchr(b' ', line).map_or(&line[..0], |at| &line[at + 1..]);
        let dialect = match line {
            [b'm', ..] => Dialect::Meta,
            [.., b'\r', b'\n'] => Dialect::Classic,
            _ => Dialect::Simple,
        };
        match line {
            [b'g', ..] | [b'm', b'g', ..] => self.answer_get(key, dialect, canned)?,
            [b's', ..] | [b'm', b's', ..] => {
                let answers = &canned.keyspaces[Canned::number(key, dialect)];
                let (size, _) = answers.hits[answers.class(key)?];
                let wire = &answers.wire;
                (self.skip, self.stored) = (size + wire.line_end().len(), wire.stored);
            }
            [b'd', ..] => self.output.extend_from_slice(b"DELETED\r\n"),
            [b't', ..] => self.output.extend_from_slice(b"TOUCHED\r\n"),
            [b'i', ..] => self.output.extend_from_slice(&canned.count),
            [b'q', ..] => return Err(Gone),
            _ => self.output.extend_from_slice(b"VERSION floor\r\n"),
        }
        Ok(())
    }

    fn answer_get(&mut self, keys: &[u8], dialect: Dialect, canned: &Canned) -> Result<(), Gone> {
        let number = Canned::number(keys, dialect);
        let answers = &canned.keyspaces[number];
        let count = keys.len() / (KEY_BYTES + 1);
        if answers.streams {
            if count != 1 || self.streaming.is_some() {
                return Err(Gone);
            }
            self.streaming = Some((number, 0));
            return Ok(());
        }
        for nth in 0..count {
            let class = answers.class(&keys[nth * (KEY_BYTES + 1)..])?;
            answers.push_hit(class, &mut self.output);
        }
        if !answers.wire.hit_ends_get() {
            self.output.extend_from_slice(answers.wire.end);
        }
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        self.output.is_empty() && self.streaming.is_none()
    }

    /// Writes what there is; false when the socket is full.
    fn flush(&mut self, canned: &Canned) -> Result<bool, Gone> {
        while self.sent < self.output.len() {
            let Some(size) = self.socket.write(&self.output[self.sent..])? else {
                return Ok(false);
            };
            self.sent += size;
        }
        self.output.clear();
        self.sent = 0;
        while let Some((which, from)) = self.streaming {
            let (_, hit) = &canned.keyspaces[which].hits[0];
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
