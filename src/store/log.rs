//! A circular log over a part of the arena: records are appended at the head and removed at the tail.
//!
//! ```text
//!         +------------------+----------------------+---------------------------+
//!         | newer records    | free                 | older records             |
//!         +------------------+----------------------+---------------------------+
//!       start              head                    tail                        end
//! ```
//! Head and tail are positions that only grow, so an empty log differs from a full one, and each lap
//! from the next. The offset in the arena is the start plus the position modulo the size, which is found
//! without a division: every record is in the head's lap or in the one before. A record
//! never spans the end of a lap: if it does not fit before that end, the rest of the lap is skipped. A
//! flush is a position, too: all records below it are flushed. Knows no key, no map and no policy.

use super::arena::Arena;
use super::record::{self, Kind, Record};

/// Limit of dead records after a live one that its longer successor may overwrite. With 1, 4.5 bytes
/// are moved for each byte stored, with 4 2.3, with 16 2.0 (`replay`'s `overwrites`, see `set`).
const DEAD_RECORDS_MAX: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Log {
    /// Offset of its first byte in the arena. This and the size are multiples of the arena's unit.
    start: usize,
    size: u64,
    /// Bytes that it may hold, without those skipped at the end of a lap. Invariant: at most `size`, and
    /// less only if live records may be evicted.
    limit: u64,
    /// Position of the oldest record. Invariant: `tail <= head <= tail + size`.
    tail: u64,
    /// Position of the next record.
    head: u64,
    /// Position at which the head's lap began, a multiple of the size. Invariant:
    /// `lap_start <= head < lap_start + size`, unless the size is 0.
    lap_start: u64,
    /// All records below this position were flushed.
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
            limit: (end - start) as u64,
            tail: 0,
            head: 0,
            lap_start: 0,
            flushed_to: 0,
            dead_bytes: 0,
            lap_end_bytes: 0,
        }
    }

    /// Bytes of its place in the arena.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that it may hold.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Limits what it may hold from now on to `bytes`, or to what it holds, if that is more.
    pub(super) fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes.max(self.used_bytes()).min(self.size);
    }

    /// Bytes between tail and head.
    pub(super) const fn used_bytes(&self) -> u64 {
        self.head - self.tail
    }

    /// The position of the next record.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    pub(super) const fn dead_bytes(&self) -> u64 {
        self.dead_bytes
    }

    /// Bytes of records that are in the map.
    pub(super) const fn live_bytes(&self) -> u64 {
        self.used_bytes() - self.dead_bytes - self.lap_end_bytes
    }

    /// Bytes that may be written at the head.
    pub(super) const fn free_bytes(&self) -> u64 {
        self.limit.saturating_sub(self.used_bytes())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Is `offset` of the arena within this log?
    pub(super) const fn contains(&self, offset: usize) -> bool {
        self.start <= offset && offset < self.end()
    }

    #[allow(clippy::cast_possible_truncation, reason = "it came from a usize")]
    const fn end(&self) -> usize {
        self.start + self.size as usize
    }

    /// The offset of a position from the tail to the head.
    #[allow(clippy::cast_possible_truncation, reason = "below the size, which came from a usize")]
    const fn offset(&self, position: u64) -> usize {
        let is_in_lap = position >= self.lap_start;
        let lap_start = if is_in_lap { self.lap_start } else { self.lap_start - self.size };
        self.start + (position - lap_start) as usize
    }

    /// Bytes from the head to the end of its lap.
    const fn lap_rest(&self) -> u64 {
        self.lap_start + self.size - self.head
    }

    /// Moves the head, by at most a lap.
    const fn move_head(&mut self, bytes: u64) {
        self.head += bytes;
        if self.head >= self.lap_start + self.size {
            self.lap_start += self.size;
        }
    }

    /// Bytes by which the head moves for a record of `bytes`, including what is skipped at the end of a
    /// lap.
    pub(super) const fn stride(&self, bytes: u64) -> u64 {
        let lap_rest = self.lap_rest();
        if bytes <= lap_rest { bytes } else { lap_rest + bytes }
    }

    /// Can a record of `bytes` be appended so that `reserved_bytes` stay free? An empty log has room
    /// for every record, even if less stays free.
    pub(super) fn has_room(&self, bytes: u64, reserved_bytes: u64) -> bool {
        self.free_bytes() >= (self.stride(bytes) + reserved_bytes).min(self.limit)
    }

    /// Moves the head past the next `bytes`, which are for a record, and returns their offset.
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
            self.move_head(skipped);
        }
        let offset = self.offset(self.head);
        self.move_head(bytes);
        assert!(self.used_bytes() <= self.size, "the head has overtaken the tail");
        offset
    }

    /// Turns the free bytes into one or two holes, so that head and tail have the same offset. A record
    /// at the tail can then be reinserted at its own offset, without a copy. Returns the offsets of the
    /// holes.
    #[allow(clippy::cast_possible_truncation, reason = "below the size, which came from a usize")]
    pub(super) fn close_gap(&mut self, arena: &mut Arena) -> [Option<usize>; 2] {
        let mut holes = [None, None];
        let mut gap = self.free_bytes();
        for slot in &mut holes {
            if gap == 0 {
                break;
            }
            let hole = gap.min(self.lap_rest());
            let offset = self.offset(self.head);
            record::write_skipped(arena, offset, hole as usize, Kind::Hole);
            self.dead_bytes += hole;
            self.move_head(hole);
            gap -= hole;
            *slot = Some(offset);
        }
        holes
    }

    /// Makes the record at `offset` the oldest one, and the records between the tail and it the newest.
    /// Nothing is copied: a full log may begin at any of its records. The free bytes become holes,
    /// whose offsets are returned.
    ///
    /// # Panics
    /// When the log holds flushed records: their new positions would make them live again. The caller
    /// has checked it for prefixes that were flushed.
    pub(super) fn rotate_to(&mut self, offset: usize, arena: &mut Arena) -> [Option<usize>; 2] {
        assert!(!self.holds_flushed(), "flushed records do not get a later position");
        let passed = self.position(offset) - self.tail;
        let holes = self.close_gap(arena);
        self.tail += passed;
        self.move_head(passed);
        holes
    }

    /// Does the record at `offset` lie between tail and head? For tests.
    pub(super) fn holds(&self, offset: usize) -> bool {
        let position = self.position(offset);
        self.contains(offset) && self.tail <= position && position < self.head
    }

    /// The record or skipped space at the tail. None if the log is empty.
    pub(super) fn tail_record(&self, arena: &Arena) -> Option<Record> {
        (!self.is_empty()).then(|| arena.record(self.offset(self.tail)))
    }

    /// The record or skipped space at so many bytes after the tail. None at the head.
    pub(super) fn record_after_tail(&self, bytes: u64, arena: &Arena) -> Option<Record> {
        let position = self.tail + bytes;
        (position < self.head).then(|| arena.record(self.offset(position)))
    }

    /// Moves the tail past its record and so frees the record's bytes. Returns their number.
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

    /// Marks a record dead, after it was removed from the map.
    pub(super) fn mark_dead(&mut self, record: &Record, arena: &mut Arena) {
        record.write_dead(arena);
        self.dead_bytes += arena.bytes_of(record) as u64;
    }

    /// Bytes of a live record and of the dead space directly after it. Stops as soon as there are
    /// `bytes` of them; fewer mean that a record of `bytes` does not fit there.
    pub(super) fn extent(&self, old: &Record, bytes: usize, arena: &Arena) -> usize {
        let mut extent = arena.bytes_of(old);
        for _ in 0..DEAD_RECORDS_MAX {
            let offset = old.offset + extent;
            if extent >= bytes || offset == self.end() || offset == self.offset(self.head) {
                break;
            }
            let next = arena.record(offset);
            if !next.is_dead() {
                break;
            }
            extent += arena.bytes_of(&next);
        }
        extent
    }

    /// Updates the sums after a record of `bytes` was written over one of `old_bytes` and the dead
    /// space after it, which had `extent` bytes together. The rest of these becomes a hole.
    pub(super) fn overwritten(
        &mut self,
        offset: usize,
        (old_bytes, bytes, extent): (usize, usize, usize),
        arena: &mut Arena,
    ) {
        let (taken, rest) = (extent - old_bytes, extent - bytes);
        if rest > 0 {
            record::write_skipped(arena, offset + bytes, rest, Kind::Hole);
        }
        self.dead_bytes = self.dead_bytes - taken as u64 + rest as u64;
    }

    /// Flushes all records that have been written so far.
    pub(super) const fn flush(&mut self) {
        self.flushed_to = self.head;
    }

    /// Some flushed records have not been reclaimed yet.
    pub(super) const fn holds_flushed(&self) -> bool {
        self.flushed_to > self.tail
    }

    /// Some records below this position have not been reclaimed yet.
    pub(super) const fn holds_below(&self, position: u64) -> bool {
        position > self.tail
    }

    /// Was the record at `offset` written before the last flush?
    pub(super) const fn is_flushed(&self, offset: usize) -> bool {
        self.holds_flushed() && self.position(offset) < self.flushed_to
    }

    /// The position of the record at `offset`: in the head's lap if that is before the head, else in the
    /// previous lap.
    pub(super) const fn position(&self, offset: usize) -> u64 {
        let position = self.lap_start + (offset - self.start) as u64;
        if position < self.head { position } else { position - self.size }
    }

    /// Passes all records that are in the map to `visit`. For tests.
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

    /// Walks from tail to head, and checks the sums and the offsets of the records. For tests.
    ///
    /// # Panics
    /// When an invariant does not hold.
    pub(super) fn verify(&self, arena: &Arena, mut visit_live: impl FnMut(&Record)) {
        let (mut dead_bytes, mut lap_end_bytes) = (0, 0);
        let mut position = self.tail;
        while position < self.head {
            let record = arena.record(self.offset(position));
            let bytes = arena.bytes_of(&record) as u64;
            assert!(bytes > 0, "every record has a length");
            assert!(position % self.size + bytes <= self.size, "no record spans two laps");
            assert_eq!(self.position(record.offset), position, "the offset gives the position");
            match record.kind() {
                Kind::Live => visit_live(&record),
                Kind::Dead | Kind::Hole => dead_bytes += bytes,
                Kind::LapEnd => lap_end_bytes += bytes,
            }
            position += bytes;
        }
        assert_eq!(position, self.head, "the last record ends at the head");
        let in_lap = self.head.checked_rem(self.size).unwrap_or_default();
        assert_eq!(self.lap_start + in_lap, self.head, "the head is in the lap");
        assert!(self.used_bytes() <= self.size, "a log holds no more than its size");
        // A reinserted record may have skipped the end of a lap.
        assert!(
            self.used_bytes() - self.lap_end_bytes <= self.limit,
            "a log holds no more than its limit"
        );
        assert!(self.limit <= self.size, "a log's limit is at most its size");
        assert_eq!(dead_bytes, self.dead_bytes, "dead bytes add up");
        assert_eq!(lap_end_bytes, self.lap_end_bytes, "bytes at the end of a lap add up");
        assert!(self.flushed_to <= self.head, "nothing is flushed before it is written");
    }
}
