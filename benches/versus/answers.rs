//! Reading answers by their known lengths, and checking them.
//!
//! The length of every answer is known when its request is sent, so nothing is searched: each part
//! is stepped over, and the bytes around it must be the right ones. One answer in 64 is compared
//! byte by byte. Knows no socket and no clock; bytes may be cut anywhere.

use std::collections::VecDeque;

use super::keyspace::{Wire, counter_with};
use super::ring::Ring;
use crate::rig::failure::Failure;

/// One request in this many has its answer compared in full.
const CHECK_EVERY: u64 = 64;
/// An answer that is no value and longer than this is not from a memcached.
const LINE_BYTES_MAX: usize = 4096;
/// The answer to a `delete`, `touch` or `incr` that found nothing.
const NOT_FOUND: &[u8] = b"NOT_FOUND\r\n";

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The items of `keys` consecutive places in the ring, from `place` on.
    Get {
        place: usize,
        keys: u32,
    },
    Set,
    /// A set that follows a miss; part of the operation that missed.
    Refill,
    Delete,
    Touch,
    /// Of the counter with this number.
    Increment {
        index: u32,
    },
}

impl Asked {
    /// The line that ends the answer; none for `incr`, whose answer is a number.
    fn last_line(self, wire: &Wire) -> Option<&'static [u8]> {
        match self {
            Self::Get { .. } => Some(wire.end),
            Self::Set | Self::Refill => Some(wire.stored),
            Self::Delete => Some(b"DELETED\r\n"),
            Self::Touch => Some(b"TOUCHED\r\n"),
            Self::Increment { .. } => None,
        }
    }

    /// Where in the ring a get's keys begin, and how many they are.
    fn places(self) -> (usize, u32) {
        if let Self::Get { place, keys } = self { (place, keys) } else { (0, 0) }
    }

    /// Keys asked for, deleted or stored of its own accord.
    fn operations(self) -> u32 {
        match self {
            Self::Get { keys, .. } => keys,
            Self::Refill => 0,
            Self::Set | Self::Delete | Self::Touch | Self::Increment { .. } => 1,
        }
    }
}

/// A request whose answer has not come in full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) asked: Asked,
    /// Nanoseconds from the start of the run to the moment its latency counts from.
    pub(crate) since_ns: u64,
}

/// What answers came, and what was wrong with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    /// Keys asked for, stored, deleted, touched or incremented: the operations of the report. A set
    /// that follows a miss belongs to the operation that missed.
    pub(crate) operations: u64,
    /// Keys asked for, found or not.
    pub(crate) lookups: u64,
    pub(crate) misses: u64,
    /// Sets that followed misses; neither requests nor operations of their own.
    pub(crate) refills: u64,
    /// Sets refused for want of memory: not stored, and no wrong answer either.
    pub(crate) refused: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Answers compared in full.
    pub(crate) checked: u64,
}

impl Tally {
    /// Adds another tally to this one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.operations += other.operations;
        self.lookups += other.lookups;
        self.misses += other.misses;
        self.refills += other.refills;
        self.refused += other.refused;
        self.errors += other.errors;
        self.checked += other.checked;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }

    fn error(&mut self, what: String) {
        self.errors += 1;
        self.first_error.get_or_insert(what);
    }
}

/// Whether answers have meaningful contents; the floor's have only the right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    Checked,
    Canned,
}

/// The answers still due on one connection, and how far the first of them has been read.
#[derive(Default)]
pub(crate) struct Answers {
    pending: VecDeque<Pending>,
    /// Hits of the first pending request that have been read in full.
    hits: u32,
    /// Keys of it that turned out to be missing, as far as noticed before its end.
    skipped: u32,
    /// Bytes read of the hit in progress; 0 between hits.
    hit_at: usize,
    /// Whether the hit in progress is compared in full.
    checking: bool,
    /// The beginning of a line that was cut.
    line: Vec<u8>,
}

impl Answers {
    /// Expects one more answer, after all others.
    pub(crate) fn expect(&mut self, pending: Pending) {
        self.pending.push_back(pending);
    }

    /// Answers that have not come in full.
    pub(crate) fn due(&self) -> usize {
        self.pending.len()
    }

    /// Takes the next bytes of the connection, and hands each completed request to `done`, with the
    /// number of its keys that were missing.
    ///
    /// Fails when the bytes cannot be an answer to what was asked; the connection is then lost.
    pub(crate) fn advance(
        &mut self,
        mut bytes: &[u8],
        known: (&Wire, &Ring, Contents),
        tally: &mut Tally,
        mut done: impl FnMut(&Pending, u32),
    ) -> Result<(), Failure> {
        while let Some(&first) = bytes.first() {
            let Some(&pending) = self.pending.front() else {
                return Err(unexpected("more bytes than were asked for", bytes));
            };
            let (place, keys) = pending.asked.places();
            let starts_hit = self.line.is_empty() && first == b'V' && self.hits < keys;
            if self.hit_at > 0 || starts_hit {
                let size = self.advance_hit(bytes, (place, keys), known, tally)?;
                bytes = &bytes[size..];
                if self.hit_at > 0 || !known.0.hit_ends_get() {
                    continue;
                }
            } else {
                let Some(size) = self.advance_line(bytes, pending.asked, known, tally)? else {
                    return Ok(());
                };
                bytes = &bytes[size..];
            }
            let missing = keys - self.hits;
            tally.requests += u64::from(pending.asked != Asked::Refill);
            tally.operations += u64::from(pending.asked.operations());
            tally.lookups += u64::from(keys);
            tally.misses += u64::from(missing);
            (self.hits, self.skipped) = (0, 0);
            self.pending.pop_front();
            done(&pending, missing);
        }
        Ok(())
    }

    /// Steps over what there is of a hit, and returns its size in `bytes`.
    fn advance_hit(
        &mut self,
        bytes: &[u8],
        (place, keys): (usize, u32),
        (wire, ring, contents): (&Wire, &Ring, Contents),
        tally: &mut Tally,
    ) -> Result<usize, Failure> {
        if self.hit_at == 0 {
            let nth = tally.operations + u64::from(self.hits);
            self.checking = contents == Contents::Checked && nth.is_multiple_of(CHECK_EVERY);
            // A single key cannot be confused with another.
            if keys > 1 {
                self.skip_missing(bytes, place, keys, wire, ring);
            }
        }
        let index = ring.at(place + (self.hits + self.skipped) as usize);
        let hit_bytes = wire.hit_bytes(index);
        let part = &bytes[..bytes.len().min(hit_bytes - self.hit_at)];
        if self.checking && !wire.hit_holds(index, self.hit_at, part) {
            tally.error(format!("wrong content: {}", unexpected("in a hit", part)));
            self.checking = false;
        }
        self.hit_at += part.len();
        if self.hit_at == hit_bytes {
            let line_end = wire.line_end();
            if part.len() >= line_end.len() && !part.ends_with(line_end) {
                return Err(unexpected("a value of another length", part));
            }
            tally.checked += u64::from(self.checking);
            self.hit_at = 0;
            self.hits += 1;
        }
        Ok(part.len())
    }

    /// Only a hit that is compared in full needs to know its key, and only after a miss is that
    /// not the next one in order.
    fn skip_missing(&mut self, hit: &[u8], place: usize, keys: u32, wire: &Wire, ring: &Ring) {
        let mut candidate = self.hits + self.skipped;
        while self.checking && candidate < keys {
            match wire.is_hit_for(ring.at(place + candidate as usize), hit) {
                Some(true) => {
                    self.skipped = candidate - self.hits;
                    return;
                }
                Some(false) => candidate += 1,
                None => self.checking = false,
            }
        }
    }

    /// Steps over one line and returns its size in `bytes`; none if the line is not complete.
    fn advance_line(
        &mut self,
        bytes: &[u8],
        asked: Asked,
        (wire, _, contents): (&Wire, &Ring, Contents),
        tally: &mut Tally,
    ) -> Result<Option<usize>, Failure> {
        let expected = asked.last_line(wire);
        if let Some(expected) = expected
            && self.line.is_empty()
            && bytes.starts_with(expected)
        {
            return Ok(Some(expected.len()));
        }
        let size = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        self.line.extend_from_slice(&bytes[..size]);
        if self.line.len() > LINE_BYTES_MAX || is_hit(&self.line) {
            return Err(unexpected("no answer to what was asked", &self.line));
        }
        if !self.line.ends_with(b"\n") {
            return Ok(None);
        }
        if Some(self.line.as_slice()) != expected {
            self.judge_line(asked, contents, tally);
        }
        self.line.clear();
        Ok(Some(size))
    }

    /// Whether a line that is not always the same is right: a number, or that nothing was found.
    fn judge_line(&self, asked: Asked, contents: Contents, tally: &mut Tally) {
        let stores = matches!(asked, Asked::Set | Asked::Refill);
        if stores && self.line.starts_with(b"SERVER_ERROR out of memory") {
            tally.refused += 1;
            return;
        }
        let finds = matches!(asked, Asked::Delete | Asked::Touch | Asked::Increment { .. });
        if finds && self.line == NOT_FOUND {
            tally.misses += 1;
            return;
        }
        if let Asked::Increment { index } = asked {
            let counter = self.line.strip_suffix(b"\r\n").and_then(counter_with);
            if contents == Contents::Canned || counter == Some(index) {
                tally.checked += u64::from(contents == Contents::Checked);
                return;
            }
        }
        tally.error(String::from_utf8_lossy(&self.line).trim_end().to_string());
    }
}

/// Whether a line announces a value, which nothing then says how to step over.
fn is_hit(line: &[u8]) -> bool {
    line.starts_with(b"VALUE ") || line.starts_with(b"VA ")
}

fn unexpected(what: &str, bytes: &[u8]) -> Failure {
    let beginning = &bytes[..bytes.len().min(60)];
    Failure(format!("{what}: \"{}\"", beginning.escape_ascii()))
}
