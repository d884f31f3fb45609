//! A circular log: its piece of the arena, where the next record goes, and where the oldest one is.
//!
//! ```text
//!         +------------------+----------------------+---------------------------+
//!         | newer records    | free                 | older records             |
//!         +------------------+----------------------+---------------------------+
//!       start              head                    tail                        end
//! ```
//! Head and tail are positions that only grow, so empty and full, laps and the end of a lap cannot be
//! confused; the offset in the arena is the start plus the position modulo the size. A record never
//! spans the end of a lap: what is too short there is skipped. A flush is a position, too: everything
//! that was written before it is gone. Knows no key, no map and no policy.

use super::arena::Arena;
use super::record::{self, Kind, Record};

/// Dead records after a live one that a longer one is written over. With 1 of them 4.5 bytes are moved
/// for each one stored, with 4 2.3, with 16 2.0 (`replay`'s `overwrites`, see `set`).
const DEAD_RECORDS_MAX: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Log {
    /// Where in the arena it starts. This and the size are such as records may start at.
    start: usize,
    size: u64,
    /// Position of the oldest record. Invariant: `tail <= head <= tail + size`.
    tail: u64,
    /// Position of the next one.
    head: u64,
    /// Everything below this position was flushed.
    flushed_to: u64,
    /// Bytes of dead records and holes between tail and head.
    dead_bytes: u64,
    /// Bytes skipped at the end of a lap, between tail and head.
    lap_end_bytes: u64,
}

impl Log {
    /// An empty log over the arena's bytes from `start` to `end`.
    pub(super) const fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            size: (end - start) as u64,
            tail: 0,
            head: 0,
            flushed_to: 0,
            dead_bytes: 0,
            lap_end_bytes: 0,
        }
    }

    /// Bytes that it can hold.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Bytes between tail and head.
    pub(super) const fn used_bytes(&self) -> u64 {
        self.head - self.tail
    }

    pub(super) const fn dead_bytes(&self) -> u64 {
        self.dead_bytes
    }

    /// Bytes of records that the map leads to.
    pub(super) const fn live_bytes(&self) -> u64 {
        self.used_bytes() - self.dead_bytes - self.lap_end_bytes
    }

    /// Bytes that may be written at the head.
    pub(super) const fn free_bytes(&self) -> u64 {
        self.size - self.used_bytes()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Is the record at `offset` of the arena one of its own?
    pub(super) const fn contains(&self, offset: usize) -> bool {
        self.start <= offset && offset < self.end()
    }

    #[allow(clippy::cast_possible_truncation, reason = "it came from a usize")]
    const fn end(&self) -> usize {
        self.start + self.size as usize
    }

    #[allow(clippy::cast_possible_truncation, reason = "below the size, which came from a usize")]
    const fn offset(&self, position: u64) -> usize {
        self.start + (position % self.size) as usize
    }

    /// Bytes by which the head moves for a record of `bytes`: what it skips at the end of a lap, too.
    pub(super) const fn stride(&self, bytes: u64) -> u64 {
        let lap_rest = self.size - self.head % self.size;
        if bytes <= lap_rest { bytes } else { lap_rest + bytes }
    }

    /// May a record of `bytes` be written, with so many bytes left free? An empty log has no more to
    /// give than its size.
    pub(super) fn has_room(&self, bytes: u64, left_bytes: u64) -> bool {
        self.free_bytes() >= (self.stride(bytes) + left_bytes).min(self.size)
    }

    /// Takes the next `bytes` at the head for a record, and returns their offset.
    ///
    /// # Panics
    /// When there is no room for it (see [`Self::has_room`]).
    #[allow(clippy::cast_possible_truncation, reason = "below the size, which came from a usize")]
    pub(super) fn append(&mut self, bytes: u64, arena: &mut Arena) -> usize {
        let skipped = self.stride(bytes) - bytes;
        if skipped > 0 {
            let offset = self.offset(self.head);
            record::write_skipped(arena, offset, skipped as usize, Kind::LapEnd);
            self.lap_end_bytes += skipped;
        }
        let offset = self.offset(self.head + skipped);
        self.head += skipped + bytes;
        assert!(self.used_bytes() <= self.size, "the head has overtaken the tail");
        offset
    }

    /// Makes holes of the free bytes, one or two: head and tail meet, and a record at the tail can be
    /// reinserted where it is, without being copied. Returns where the holes are.
    #[allow(clippy::cast_possible_truncation, reason = "below the size, which came from a usize")]
    pub(super) fn close_gap(&mut self, arena: &mut Arena) -> [Option<usize>; 2] {
        let mut holes = [None, None];
        let mut gap = self.free_bytes();
        for place in &mut holes {
            if gap == 0 {
                break;
            }
            let hole = gap.min(self.size - self.head % self.size);
            let offset = self.offset(self.head);
            record::write_skipped(arena, offset, hole as usize, Kind::Hole);
            self.dead_bytes += hole;
            self.head += hole;
            gap -= hole;
            *place = Some(offset);
        }
        holes
    }

    /// Makes the record at `offset` the oldest one, and everything between the tail and it the newest.
    /// Nothing is copied: a full log may begin at any of its records. Returns the holes that the free
    /// bytes have become.
    ///
    /// # Panics
    /// When flushed records are here, which could no longer be told apart by their positions.
    pub(super) fn rotate_to(&mut self, offset: usize, arena: &mut Arena) -> [Option<usize>; 2] {
        assert!(!self.holds_flushed(), "flushed records do not get a later position");
        let passed = self.position(offset) - self.tail;
        let holes = self.close_gap(arena);
        self.tail += passed;
        self.head += passed;
        holes
    }

    /// Does the record at `offset` lie between tail and head? For tests.
    pub(super) fn holds(&self, offset: usize) -> bool {
        let position = self.position(offset);
        self.contains(offset) && self.tail <= position && position < self.head
    }

    /// What stands at the tail, or None where nothing is kept.
    pub(super) fn tail_record(&self, arena: &Arena) -> Option<Record> {
        (!self.is_empty()).then(|| arena.record(self.offset(self.tail)))
    }

    /// Moves the tail past its record, whose bytes are free from now on. Returns their number.
    pub(super) fn pop(&mut self, record: &Record, arena: &Arena) -> u64 {
        debug_assert_eq!(record.offset, self.offset(self.tail), "not the record at the tail");
        let bytes = arena.bytes_of(record) as u64;
        self.tail += bytes;
        match record.kind() {
            Kind::Live => {}
            Kind::Dead | Kind::Hole => self.dead_bytes -= bytes,
            Kind::LapEnd => self.lap_end_bytes -= bytes,
        }
        bytes
    }

    /// The oldest live record, if it is among the first `records_max`.
    pub(super) fn oldest_live(&self, records_max: u32, arena: &Arena) -> Option<Record> {
        let mut position = self.tail;
        for _ in 0..records_max {
            if position == self.head {
                return None;
            }
            let record = arena.record(self.offset(position));
            if record.is_live() {
                return Some(record);
            }
            position += arena.bytes_of(&record) as u64;
        }
        None
    }

    /// Notes that nothing leads to a record any more.
    pub(super) fn mark_dead(&mut self, record: &Record, arena: &mut Arena) {
        record.write_dead(arena);
        self.dead_bytes += arena.bytes_of(record) as u64;
    }

    /// Bytes from the start of a live record on that hold it or nothing, if that is enough for
    /// `bytes`; otherwise fewer than `bytes`.
    pub(super) fn reach(&self, old: &Record, bytes: usize, arena: &Arena) -> usize {
        let mut reach = arena.bytes_of(old);
        for _ in 0..DEAD_RECORDS_MAX {
            let offset = old.offset + reach;
            if reach >= bytes || offset == self.end() || offset == self.offset(self.head) {
                break;
            }
            let next = arena.record(offset);
            if !next.is_dead() {
                break;
            }
            reach += arena.bytes_of(&next);
        }
        reach
    }

    /// Accounts for a record of `bytes` that was written over one of `old_bytes` and the dead space
    /// after it, `reach` bytes in all from `offset` on. What is left becomes a hole.
    pub(super) fn overwritten(
        &mut self,
        offset: usize,
        (old_bytes, bytes, reach): (usize, usize, usize),
        arena: &mut Arena,
    ) {
        let (taken, left) = (reach - old_bytes, reach - bytes);
        if left > 0 {
            record::write_skipped(arena, offset + bytes, left, Kind::Hole);
        }
        self.dead_bytes = self.dead_bytes - taken as u64 + left as u64;
    }

    /// Flushes everything that has been written so far.
    pub(super) const fn flush(&mut self) {
        self.flushed_to = self.head;
    }

    /// Some records that were flushed are still here.
    pub(super) const fn holds_flushed(&self) -> bool {
        self.flushed_to > self.tail
    }

    /// Was the record at `offset` written before the last flush?
    pub(super) const fn is_flushed(&self, offset: usize) -> bool {
        self.holds_flushed() && self.position(offset) < self.flushed_to
    }

    /// The position of the record at `offset`: in the head's lap as far as the head has come, else in
    /// the one before.
    const fn position(&self, offset: usize) -> u64 {
        let (from_start, head_from_start) = ((offset - self.start) as u64, self.head % self.size);
        let lap_start = self.head - head_from_start;
        if from_start < head_from_start {
            lap_start + from_start
        } else {
            lap_start + from_start - self.size
        }
    }

    /// Shows `visit` all records that the map leads to. For tests.
    pub(super) fn visit_live(&self, arena: &Arena, mut visit: impl FnMut(&Record)) {
        let mut position = self.tail;
        while position < self.head {
            let record = arena.record(self.offset(position));
            if record.is_live() {
                visit(&record);
            }
            position += arena.bytes_of(&record) as u64;
        }
    }

    /// Walks from tail to head, and checks the sums and the places of the records. For tests.
    ///
    /// # Panics
    /// When something does not hold.
    pub(super) fn verify(&self, arena: &Arena, mut visit_live: impl FnMut(&Record)) {
        let (mut dead_bytes, mut lap_end_bytes) = (0, 0);
        let mut position = self.tail;
        while position < self.head {
            let record = arena.record(self.offset(position));
            let bytes = arena.bytes_of(&record) as u64;
            assert!(bytes > 0, "the walk goes on");
            assert!(position % self.size + bytes <= self.size, "no record spans two laps");
            assert_eq!(self.position(record.offset), position, "offsets lead back to positions");
            match record.kind() {
                Kind::Live => visit_live(&record),
                Kind::Dead | Kind::Hole => dead_bytes += bytes,
                Kind::LapEnd => lap_end_bytes += bytes,
            }
            position += bytes;
        }
        assert_eq!(position, self.head, "the last record ends at the head");
        assert!(self.used_bytes() <= self.size, "a log holds no more than its size");
        assert_eq!(dead_bytes, self.dead_bytes, "dead bytes add up");
        assert_eq!(lap_end_bytes, self.lap_end_bytes, "bytes at the end of a lap add up");
        assert!(self.flushed_to <= self.head, "nothing is flushed before it is written");
    }
}
