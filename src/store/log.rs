//! A circular log: where in the arena the next record goes, and where the oldest one is.
//!
//! Positions only grow, so empty and full, laps and the end of a lap cannot be confused; the place
//! in the arena is the position modulo the size. A record never spans the end of a lap: what is too
//! short there becomes a filler. Knows no record's content and no key.

use super::UNIT_BYTES;

/// How much of the memory new records pass through before they are kept for longer: one in ten.
const PROBATION_SHARE: usize = 10;
/// Bytes that the tail moves on for each byte that dies, once a log has too many dead ones.
///
/// Between the start of that and the tail's return to the same record, which finds all that was
/// dead at the start, a twelfth of the log can die; with the tenth at which it starts that is under
/// a fifth. So at the very worst, with hardly anything dead but what dies now, twelve bytes are moved
/// for each one that dies.
const COMPACTION_FACTOR: u64 = 12;
/// The share of dead bytes at which that starts: one in ten.
///
/// Dead bytes are memory in which nothing is found, and to win them back is to copy what lives
/// between them. By half writes of 16 to 1,000 bytes, Zipf 1.0 (`cargo bench --bench replay --
/// --model store --reference lru --only overwrites`), from so many dead bytes on:
///
/// ```text
///                         never   a fifth   a tenth   a twentieth
/// misses, of LRU's        1.273     1.180     1.067         0.997
/// bytes moved per stored   0.16      0.67      1.87          4.32
/// ```
/// memcached has some 1.15 of LRU's misses there, so a fifth would be no gain. Where reads prevail
/// nothing dies to speak of, and no share makes a difference of a hundredth.
const DEAD_SHARE: u64 = 10;

/// The two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// For records that are new.
    Probation = 0,
    /// For those that were wanted again.
    Main = 1,
}

/// One log's positions and the sums over its records.
#[derive(Debug)]
pub(super) struct Log {
    /// Where in the arena it starts. Both are multiples of [`UNIT_BYTES`].
    start: usize,
    size: u64,
    /// Where the oldest record starts. Invariant: `tail <= head <= tail + size`.
    pub(super) tail: u64,
    /// Where the next one goes.
    pub(super) head: u64,
    /// Bytes of dead records.
    pub(super) dead: u64,
    /// Bytes of fillers at the end of a lap.
    pub(super) filler: u64,
    /// Bytes that the tail has yet to move on because of those that died.
    pub(super) owed: u64,
    /// No dead byte is few enough to be left alone.
    thorough: bool,
}

impl Log {
    /// Both logs, one behind the other. Where nothing is evicted there is nothing to find out
    /// about new records either, so the first log has no room then.
    pub(super) fn lay_out(memory_bytes: usize, evicts: bool) -> [Self; 2] {
        let share = if evicts { memory_bytes / PROBATION_SHARE } else { 0 };
        let start = share / UNIT_BYTES * UNIT_BYTES;
        let end = memory_bytes / UNIT_BYTES * UNIT_BYTES;
        let log = |start: usize, end: usize| Self {
            start,
            size: (end - start) as u64,
            tail: 0,
            head: 0,
            dead: 0,
            filler: 0,
            owed: 0,
            thorough: !evicts,
        };
        [log(0, start), log(start, end)]
    }

    /// Bytes that it can hold.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Bytes between tail and head.
    pub(super) const fn used(&self) -> u64 {
        self.head - self.tail
    }

    /// Bytes of records that are not dead.
    pub(super) const fn live(&self) -> u64 {
        self.used() - self.dead - self.filler
    }

    /// Bytes that may be written at the head.
    pub(super) const fn free(&self) -> u64 {
        self.size - self.used()
    }

    /// Nothing is kept in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Where in the arena it ends.
    #[allow(clippy::cast_possible_truncation, reason = "it came from a usize")]
    pub(super) const fn end(&self) -> usize {
        self.start + self.size as usize
    }

    /// Where in the arena a position is.
    #[allow(clippy::cast_possible_truncation, reason = "below the size, which came from a usize")]
    pub(super) const fn place(&self, position: u64) -> usize {
        self.start + (position % self.size) as usize
    }

    /// Bytes from the head to the end of its lap.
    pub(super) const fn lap_rest(&self) -> u64 {
        self.size - self.head % self.size
    }

    /// How far the head moves for a record of `bytes`: over what is too short for it, as well.
    pub(super) const fn stride(&self, bytes: u64) -> u64 {
        let rest = self.lap_rest();
        if bytes <= rest { bytes } else { rest + bytes }
    }

    /// May a record of `bytes` be written, with so many bytes left free? An empty log has no more to
    /// give than its size.
    pub(super) fn has_room(&self, bytes: u64, left: u64) -> bool {
        self.free() >= (self.stride(bytes) + left).min(self.size)
    }

    /// Takes note of bytes that died.
    pub(super) const fn bury(&mut self, bytes: u64) {
        self.dead += bytes;
        self.owed += COMPACTION_FACTOR * bytes;
    }

    /// Must its tail move on because of dead bytes?
    pub(super) const fn is_owed(&mut self) -> bool {
        if self.owed > 0 && !self.thorough && self.dead < self.size / DEAD_SHARE {
            self.owed = 0;
        }
        self.owed > 0
    }
}
