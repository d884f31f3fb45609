//! Records: how they are written, filled up and marked dead. How they are read stands beside the
//! lookup in `store/mod.rs`, with a picture. Knows no map and no policy.

use super::log::Place;
use super::{
    ACCESSED_AT, CAS_AT, COUNTER_MAX, DEAD, EXPIRES_AT, FILLER, HEADER_BYTES, LONG_KEY, MARKS_AT,
    Meta, Record, Store, UNIT_BYTES, WITH_FLAGS,
};

/// Bytes of the smallest record, one with a key of one byte and no value.
pub(super) const RECORD_BYTES_MIN: usize = bytes(1, 0, 0);
/// Bytes of a filler's header; no filler is smaller.
const FILLER_BYTES_MIN: usize = UNIT_BYTES;

/// Bytes that a record takes.
pub(super) const fn bytes(key_bytes: usize, value_bytes: usize, flags: u32) -> usize {
    let long_key = if key_bytes >= LONG_KEY as usize { 4 } else { 0 };
    let flags = if flags == 0 { 0 } else { 4 };
    (HEADER_BYTES + long_key + flags + key_bytes + value_bytes).next_multiple_of(UNIT_BYTES)
}

/// Where more is put, of a value that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As `append` does.
    Behind,
    /// As `prepend` does.
    Before,
}

impl Record {
    /// Bytes that it takes, or that the filler does.
    pub(super) const fn bytes(&self) -> usize {
        if self.marks & FILLER != 0 {
            return FILLER_BYTES_MIN + self.value_bytes;
        }
        let end = self.key_at() + self.key_bytes + self.value_bytes;
        (end - self.at).next_multiple_of(UNIT_BYTES)
    }

    /// Nothing points here any more, or never did.
    pub(super) const fn is_dead(&self) -> bool {
        self.marks & (DEAD | FILLER) != 0
    }

    /// It is the filler at the end of a lap.
    pub(super) const fn ends_lap(&self) -> bool {
        self.marks & (DEAD | FILLER) == FILLER
    }

    /// How often it was wanted since it was last spared.
    pub(super) const fn counter(&self) -> u8 {
        self.marks & COUNTER_MAX
    }

    /// The same after it was wanted once more.
    pub(super) const fn counter_if_wanted(&self) -> u8 {
        if self.counter() < COUNTER_MAX { self.counter() + 1 } else { COUNTER_MAX }
    }
}

impl Store {
    /// Writes a record where there is room for it.
    pub(super) fn write_record(
        &mut self,
        at: usize,
        (key, value): (&[u8], &[u8]),
        meta: Meta,
        counter: u8,
        now_s: u32,
    ) {
        let short = u8::try_from(key.len()).unwrap_or(LONG_KEY);
        let with_flags = if meta.flags == 0 { 0 } else { WITH_FLAGS };
        let header = &mut self.arena[at..at + HEADER_BYTES];
        header[..4].copy_from_slice(&length(value.len()).to_le_bytes());
        header[4..8].copy_from_slice(&[short, counter | with_flags, 0, 0]);
        header[EXPIRES_AT..ACCESSED_AT].copy_from_slice(&meta.expires_at_s.to_le_bytes());
        header[CAS_AT..].copy_from_slice(&meta.cas.to_le_bytes());
        self.set_accessed(at, now_s);
        let mut rest = &mut self.arena[at + HEADER_BYTES..];
        let mut put = |bytes: &[u8]| {
            let (here, behind) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            here.copy_from_slice(bytes);
            rest = behind;
        };
        if short == LONG_KEY {
            put(&length(key.len()).to_le_bytes());
        }
        if meta.flags != 0 {
            put(&meta.flags.to_le_bytes());
        }
        put(key);
        put(value);
    }

    /// Writes a record whose value is that of `old` and `more`, where there is room for it.
    pub(super) fn write_extended(
        &mut self,
        at: usize,
        old: &Record,
        more: &[u8],
        side: Side,
        cas: u64,
        now_s: u32,
    ) {
        let value_at = old.key_at() + old.key_bytes;
        let moved = value_at - old.at;
        self.arena.copy_within(old.at..value_at, at);
        let value_bytes = length(old.value_bytes + more.len());
        self.arena[at..at + 4].copy_from_slice(&value_bytes.to_le_bytes());
        self.arena[at + MARKS_AT] &= COUNTER_MAX | WITH_FLAGS;
        self.write_cas(at, cas);
        self.set_accessed(at, now_s);
        let (old_to, more_to) = match side {
            Side::Behind => (at + moved, at + moved + old.value_bytes),
            Side::Before => (at + moved + more.len(), at + moved),
        };
        self.arena.copy_within(value_at..value_at + old.value_bytes, old_to);
        self.arena[more_to..more_to + more.len()].copy_from_slice(more);
    }

    /// Writes another cas id into a record's header.
    pub(super) fn write_cas(&mut self, at: usize, cas: u64) {
        self.arena[at + CAS_AT..at + HEADER_BYTES].copy_from_slice(&cas.to_le_bytes());
    }

    /// Makes `bytes` of the arena something to skip: dead space, or the end of a lap.
    pub(super) fn write_filler(&mut self, at: usize, bytes: usize, marks: u8) {
        let header = &mut self.arena[at..at + FILLER_BYTES_MIN];
        header[..4].copy_from_slice(&length(bytes - FILLER_BYTES_MIN).to_le_bytes());
        header[4..].copy_from_slice(&[0, FILLER | marks, 0, 0]);
    }

    /// Where `bytes` more are written at a log's head, once there is room for them.
    #[allow(clippy::cast_possible_truncation, reason = "lengths within the arena fit into usize")]
    pub(super) fn claim(&mut self, place: Place, bytes: u64) -> usize {
        let log = &self.logs[place as usize];
        let (head, rest) = (log.place(log.head), log.lap_rest());
        let filler = if bytes > rest { rest } else { 0 };
        if filler > 0 {
            self.write_filler(head, filler as usize, 0);
        }
        let log = &mut self.logs[place as usize];
        log.filler += filler;
        let at = log.place(log.head + filler);
        log.head += filler + bytes;
        assert!(log.used() <= log.size(), "the head has overtaken the tail");
        at
    }

    /// Marks a record dead, so that the tail need not look it up.
    pub(super) fn bury(&mut self, record: &Record) {
        self.arena[record.at + MARKS_AT] |= DEAD;
        let place = self.log_of(record.at);
        self.logs[place as usize].bury(record.bytes() as u64);
    }

    /// The log that a place in the arena belongs to.
    pub(super) const fn log_of(&self, at: usize) -> Place {
        if at < self.logs[0].end() { Place::Probation } else { Place::Main }
    }
}

/// A length as a header holds it. Items are far smaller (see `protocol::VALUE_BYTES_MAX`).
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("no part of a record is longer than its 32 bits can say")
}
