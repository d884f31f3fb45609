//! A record: one item in the arena. Only this file knows its layout.
//!
//! ```text
//!   0                 4     5       6             12           16           20
//!  +------+----------+-----+-------+-------------+------------+------------+
//!  | kind | value    | key | marks | cas         | expires at | accessed   |
//!  | 2 b  | 30 bits  | 8 b | 8 b   | 48 bits     | 32 bits    | 32 bits    |
//!  +------+----------+-----+-------+-------------+------------+------------+
//!  [key bytes, 32 bits, if 255 and more] [flags, 32 bits, if not 0] [cas, 64 bits, if 2^48 and more]
//!  key value, and up to 3 (7 above 16 GiB of memory) unused bytes
//! ```
//! Optional fields keep the header at 20 bytes. The server's own cas ids count stores and fit in 48
//! bits for 2 years of 4 million stores a second. An item with a larger id, which a client can choose
//! by a meta command's `E`, takes 8 bytes more. Flags take 4 bytes only where they are not 0.
//!
//! The kind says whether the record is in the map. Skipped space has a header of 4 bytes: its kind, and
//! in place of the value's length its own length in units of 4 bytes. Knows no log and no policy.

/// Bytes before a record's key, without optional fields.
pub(super) const HEADER_BYTES: usize = 20;
/// Bytes of the smallest record, which has a key of one byte and an empty value.
pub(super) const RECORD_BYTES_MIN: usize = HEADER_BYTES + 1;
/// The `expires_at_s` of an item that does not expire.
pub const NEVER: u32 = 0;

/// The header's length of a key whose length is in an optional field.
const LONG_KEY: u8 = u8::MAX;
const KEY_BYTES_OFFSET: usize = 4;
const MARKS_OFFSET: usize = 5;
const CAS_OFFSET: usize = 6;
const EXPIRES_OFFSET: usize = 12;
const ACCESSED_OFFSET: usize = 16;
/// Bytes of the optional fields.
const LONG_KEY_BYTES: usize = 4;
const FLAGS_BYTES: usize = 4;
const CAS_BYTES: usize = 8;
/// The largest cas id that fits in the header.
const SHORT_CAS_MAX: u64 = (1 << 48) - 1;
/// Unit of the length of skipped space.
const SKIPPED_UNIT_BYTES: usize = 4;

/// The lowest two bits of a record's marks, and their largest value. They are a saturating count of
/// accesses. A write that replaces the item counts, too. The eviction policy lowers the count.
const COUNTER_MAX: u8 = 3;
/// The item was read since it was stored.
pub(super) const FETCHED: u8 = 1 << 2;
const STALE: u8 = 1 << 3;
const WIN_SENT: u8 = 1 << 4;
const KEY_ENCODED: u8 = 1 << 5;
/// Flags follow the header.
const WITH_FLAGS: u8 = 1 << 6;
/// The whole cas id follows the header.
const WITH_LONG_CAS: u8 = 1 << 7;

const KIND_SHIFT: u32 = 30;
/// In a snapshot's record: the bit of the header's fourth byte that is set if the record was in
/// probation. It is the lower bit of the kind, which is 0 in live records.
const IN_PROBATION: u8 = 1 << 6;
const IN_PROBATION_OFFSET: usize = 3;
/// Bytes that show the length of any record.
pub(super) const LENGTH_BYTES: usize = HEADER_BYTES + LONG_KEY_BYTES;
const LENGTH_MAX: u32 = (1 << KIND_SHIFT) - 1;

/// An item's metadata: all that is stored with its key and value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The client's own number.
    pub flags: u32,
    /// The first second in which the item has expired, or [`NEVER`].
    pub expires_at_s: u32,
    /// The cas id, which changes with every change of the value.
    pub cas: u64,
    /// The marks of meta commands.
    pub marks: Marks,
}

/// An item's state that meta commands set and report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The value is out of date, but still served.
    pub stale: bool,
    /// One client has been asked to store a new value (the `W` flag was sent).
    pub win_sent: bool,
    /// The key was sent as base64, and is returned as base64.
    pub key_encoded: bool,
}

/// A live item, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'s> {
    /// The value.
    pub value: &'s [u8],
    /// The item's metadata.
    pub attributes: Attributes,
    /// The item was read since it was stored.
    pub fetched: bool,
    /// The second of the last access or store. [`Self::idle_s`] knows how to read it.
    pub accessed_s: u32,
}

impl Item<'_> {
    /// Seconds since the last access or store.
    #[must_use]
    pub const fn idle_s(&self, now_s: u32) -> u32 {
        idle_s(self.accessed_s, now_s)
    }
}

/// Seconds from the access at `accessed_s` to `now_s`. An item of a snapshot may have been accessed
/// before second 0 of this process; then `accessed_s` has wrapped around.
pub(super) const fn idle_s(accessed_s: u32, now_s: u32) -> u32 {
    let idle_s = now_s.wrapping_sub(accessed_s);
    if idle_s.cast_signed() > 0 { idle_s } else { 0 }
}

/// The kinds of records and skipped space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record that is in the map.
    Live = 0,
    /// A record that was removed from the map.
    Dead = 1,
    /// Space without a record, which is reclaimed as a dead record is.
    Hole = 2,
    /// Space at the end of a lap that was too short for the next record.
    LapEnd = 3,
}

/// A record's offset and its decoded header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Offset of its first byte in the arena.
    pub(super) offset: usize,
    /// The first four bytes: the [`Kind`] and a length.
    first: u32,
    marks: u8,
    key_bytes: usize,
    key_offset: usize,
    pub(super) expires_at_s: u32,
    pub(super) accessed_s: u32,
    /// The header's 48 bits of the cas id.
    cas: u64,
}

/// What bytes that are not trusted begin with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Untrusted {
    /// A whole record.
    Record(Record),
    /// The beginning of a record that has so many bytes.
    Incomplete(usize),
    /// No record, or not enough of it to know its length: a snapshot divides no header.
    Invalid,
}

/// The side of a value to which `extend` adds bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// After the value, for `append`.
    After,
    /// Before the value, for `prepend`.
    Before,
}

/// Bytes of a record, not rounded up to the arena's unit.
pub(super) const fn bytes(key_bytes: usize, value_bytes: usize, flags: u32, cas: u64) -> usize {
    let long_key = if key_bytes >= LONG_KEY as usize { LONG_KEY_BYTES } else { 0 };
    HEADER_BYTES + long_key + marked_bytes(optional_marks(flags, cas)) + key_bytes + value_bytes
}

/// The marks of the optional fields that an item with these flags and this cas id needs.
const fn optional_marks(flags: u32, cas: u64) -> u8 {
    let with_flags = if flags == 0 { 0 } else { WITH_FLAGS };
    let with_long_cas = if cas > SHORT_CAS_MAX { WITH_LONG_CAS } else { 0 };
    with_flags | with_long_cas
}

/// Bytes of the optional fields that a record with these marks has.
const fn marked_bytes(marks: u8) -> usize {
    (marks / WITH_FLAGS) as usize * FLAGS_BYTES
}

const _: () = assert!(marked_bytes(WITH_FLAGS) == FLAGS_BYTES);
const _: () = assert!(marked_bytes(WITH_LONG_CAS) == CAS_BYTES);
const _: () = assert!(marked_bytes(WITH_FLAGS - 1) == 0);

impl Record {
    /// Reads the header at `offset`. Inlined, so that a caller loads only the fields that it uses.
    #[inline(always)]
    pub(super) fn read(arena: &[u8], offset: usize) -> Self {
        let header: &[u8; HEADER_BYTES] =
            arena[offset..].first_chunk().expect("every record has a header");
        let first = u32_at(header, 0);
        let second = u64_at(header, KEY_BYTES_OFFSET);
        let marks = header[MARKS_OFFSET];
        let fields_offset = offset + HEADER_BYTES;
        let (key_bytes, long_key) = match header[KEY_BYTES_OFFSET] {
            LONG_KEY => (u32_at(arena, fields_offset) as usize, LONG_KEY_BYTES),
            bytes => (usize::from(bytes), 0),
        };
        Self {
            offset,
            first,
            marks,
            key_bytes,
            key_offset: fields_offset + long_key + marked_bytes(marks),
            expires_at_s: u32_at(header, EXPIRES_OFFSET),
            accessed_s: u32_at(header, ACCESSED_OFFSET),
            cas: second >> 16,
        }
    }

    /// Reads a record of a snapshot at the start of `bytes`. No number in it is trusted.
    pub(super) fn read_untrusted(bytes: &[u8]) -> Untrusted {
        let is_long = bytes.get(KEY_BYTES_OFFSET) == Some(&LONG_KEY);
        if bytes.len() < if is_long { LENGTH_BYTES } else { HEADER_BYTES } {
            return Untrusted::Invalid;
        }
        let record = Self::read(bytes, 0);
        let is_skipped = matches!(record.kind(), Kind::Hole | Kind::LapEnd);
        if is_skipped || record.key_bytes == 0 || record.key_bytes > LENGTH_MAX as usize {
            return Untrusted::Invalid;
        }
        let needed = record.bytes();
        if needed > bytes.len() { Untrusted::Incomplete(needed) } else { Untrusted::Record(record) }
    }

    /// Whether a record of a snapshot was in probation.
    pub(super) const fn was_in_probation(&self) -> bool {
        self.is_dead()
    }

    /// Whether this is a live record, a dead one or skipped space.
    pub(super) const fn kind(&self) -> Kind {
        match self.first >> KIND_SHIFT {
            0 => Kind::Live,
            1 => Kind::Dead,
            2 => Kind::Hole,
            _ => Kind::LapEnd,
        }
    }

    /// Bytes of the record or skipped space, not rounded up.
    pub(super) const fn bytes(&self) -> usize {
        match self.kind() {
            Kind::Live | Kind::Dead => self.value_offset() + self.value_bytes() - self.offset,
            Kind::Hole | Kind::LapEnd => self.length() * SKIPPED_UNIT_BYTES,
        }
    }

    const fn length(&self) -> usize {
        (self.first & LENGTH_MAX) as usize
    }

    /// Bytes of a record's value.
    pub(super) const fn value_bytes(&self) -> usize {
        self.length()
    }

    /// Its bytes count as dead bytes of the log.
    pub(super) const fn is_dead(&self) -> bool {
        matches!(self.kind(), Kind::Dead | Kind::Hole)
    }

    /// It is in the map, though it may have expired or been flushed.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.kind(), Kind::Live)
    }

    /// The item was read since it was stored.
    pub(super) const fn is_fetched(&self) -> bool {
        self.marks & FETCHED != 0
    }

    /// The count of accesses, and [`FETCHED`] if it was read.
    pub(super) const fn access(&self) -> u8 {
        self.marks & (COUNTER_MAX | FETCHED)
    }

    /// The saturating count of accesses, see [`COUNTER_MAX`].
    pub(super) const fn counter(&self) -> u8 {
        self.marks & COUNTER_MAX
    }

    /// The count after one more access.
    pub(super) const fn counter_after_access(&self) -> u8 {
        if self.counter() < COUNTER_MAX { self.counter() + 1 } else { COUNTER_MAX }
    }

    const fn value_offset(&self) -> usize {
        self.key_offset + self.key_bytes
    }

    pub(super) fn key<'s>(&self, arena: &'s [u8]) -> &'s [u8] {
        &arena[self.key_offset..][..self.key_bytes]
    }

    /// Is this its key?
    #[inline(always)]
    pub(super) fn has_key(&self, key: &[u8], arena: &[u8]) -> bool {
        self.key_bytes == key.len() && is_equal(&arena[self.key_offset..][..key.len()], key)
    }

    /// Bytes of key and value, which are contiguous.
    pub(super) const fn content_bytes(&self) -> usize {
        self.key_bytes + self.value_bytes()
    }

    #[inline(always)]
    pub(super) fn item<'s>(&self, arena: &'s [u8]) -> Item<'s> {
        Item {
            value: &arena[self.value_offset()..][..self.value_bytes()],
            attributes: self.attributes(arena),
            fetched: self.is_fetched(),
            accessed_s: self.accessed_s,
        }
    }

    #[inline(always)]
    pub(super) fn attributes(&self, arena: &[u8]) -> Attributes {
        let mut optional = self.key_offset;
        let mut cas = self.cas;
        if self.marks & WITH_LONG_CAS != 0 {
            optional -= CAS_BYTES;
            cas = u64_at(arena, optional);
        }
        let flags =
            if self.marks & WITH_FLAGS == 0 { 0 } else { u32_at(arena, optional - FLAGS_BYTES) };
        Attributes {
            flags,
            expires_at_s: self.expires_at_s,
            cas,
            marks: Marks {
                stale: self.marks & STALE != 0,
                win_sent: self.marks & WIN_SENT != 0,
                key_encoded: self.marks & KEY_ENCODED != 0,
            },
        }
    }

    /// Writes the kind [`Kind::Dead`].
    pub(super) fn write_dead(&self, arena: &mut [u8]) {
        write_first(arena, self.offset, Kind::Dead, self.value_bytes());
    }

    /// Writes the count of accesses.
    pub(super) fn set_counter(&self, counter: u8, arena: &mut [u8]) {
        arena[self.offset + MARKS_OFFSET] = self.marks & !COUNTER_MAX | counter;
    }

    /// Writes the marks of meta commands, and keeps the other bits.
    pub(super) fn set_marks(&mut self, marks: Marks, arena: &mut [u8]) {
        self.marks = self.marks & !(STALE | WIN_SENT | KEY_ENCODED) | marks_of(marks);
        arena[self.offset + MARKS_OFFSET] = self.marks;
    }

    /// Writes the second of an access, adds 1 to the count, and sets the bits of `added_marks`:
    /// `FETCHED` or none.
    #[inline]
    pub(super) fn count_access(&mut self, added_marks: u8, now_s: u32, arena: &mut [u8]) {
        self.marks = (self.marks & !COUNTER_MAX | self.counter_after_access()) | added_marks;
        self.accessed_s = now_s;
        let header: &mut [u8; HEADER_BYTES] =
            arena[self.offset..].first_chunk_mut().expect("every record has a header");
        header[MARKS_OFFSET] = self.marks;
        header[ACCESSED_OFFSET..].copy_from_slice(&now_s.to_le_bytes());
    }

    pub(super) fn set_expiry(&mut self, expires_at_s: u32, arena: &mut [u8]) {
        self.expires_at_s = expires_at_s;
        let offset = self.offset + EXPIRES_OFFSET;
        arena[offset..offset + 4].copy_from_slice(&expires_at_s.to_le_bytes());
    }

    /// Writes another cas id. Returns false if the record has no room for it.
    pub(super) fn set_cas(&mut self, cas: u64, arena: &mut [u8]) -> bool {
        if self.marks & WITH_LONG_CAS != 0 {
            let offset = self.key_offset - CAS_BYTES;
            arena[offset..offset + CAS_BYTES].copy_from_slice(&cas.to_le_bytes());
            return true;
        }
        if cas > SHORT_CAS_MAX {
            return false;
        }
        self.cas = cas;
        let offset = self.offset + CAS_OFFSET;
        arena[offset..offset + 6].copy_from_slice(&cas.to_le_bytes()[..6]);
        true
    }

    /// Writes `start` over the beginning of the value and `padding` over the rest.
    ///
    /// # Panics
    /// When the value is shorter than `start`.
    pub(super) fn overwrite_value(&self, start: &[u8], padding: u8, arena: &mut [u8]) {
        let value = &mut arena[self.value_offset()..][..self.value_bytes()];
        let (first, rest) = value.split_at_mut(start.len());
        first.copy_from_slice(start);
        rest.fill(padding);
    }
}

/// Writes a live record at `offset`. `access` is its count of accesses, and [`FETCHED`] if it was read.
/// Inlined into the store of a new item, though a snapshot writes records, too.
#[inline(always)]
pub(super) fn write(
    arena: &mut [u8],
    offset: usize,
    (key, value): (&[u8], &[u8]),
    attributes: &Attributes,
    access: u8,
    now_s: u32,
) {
    let lengths = (key.len(), value.len());
    let key_offset = write_header(arena, offset, lengths, attributes, access, now_s);
    let content = &mut arena[key_offset..][..key.len() + value.len()];
    let (key_slot, value_slot) = content.split_at_mut(key.len());
    key_slot.copy_from_slice(key);
    value_slot.copy_from_slice(value);
}

/// Marks the record of a snapshot that begins at the start of `saved` as one of probation.
pub(super) fn mark_in_probation(saved: &mut [u8]) {
    saved[IN_PROBATION_OFFSET] |= IN_PROBATION;
}

/// Writes a live record over `old`, which has the same key. There is room for it.
#[inline]
pub(super) fn write_over(
    arena: &mut [u8],
    old: &Record,
    (key, value): (&[u8], &[u8]),
    attributes: &Attributes,
    now_s: u32,
) {
    let lengths = (key.len(), value.len());
    let counter = old.counter_after_access();
    let key_offset = write_header(arena, old.offset, lengths, attributes, counter, now_s);
    let content = &mut arena[key_offset..][..key.len() + value.len()];
    let (key_slot, value_slot) = content.split_at_mut(key.len());
    // The key stays where it is, unless a field before it has come or gone.
    if key_offset != old.key_offset {
        key_slot.copy_from_slice(key);
    }
    value_slot.copy_from_slice(value);
}

/// Writes a live record at `offset` with the key and value of `old`, and with `more` added to the
/// value.
pub(super) fn write_extended(
    arena: &mut [u8],
    offset: usize,
    old: &Record,
    (more, side): (&[u8], Side),
    attributes: &Attributes,
    now_s: u32,
) {
    let lengths = (old.key_bytes, old.value_bytes() + more.len());
    let key_offset = write_header(arena, offset, lengths, attributes, old.counter(), now_s);
    let value_offset = key_offset + old.key_bytes;
    let (old_to, more_to) = match side {
        Side::After => (value_offset, value_offset + old.value_bytes()),
        Side::Before => (value_offset + more.len(), value_offset),
    };
    arena.copy_within(old.key_offset..old.value_offset(), key_offset);
    arena.copy_within(old.value_offset()..old.value_offset() + old.value_bytes(), old_to);
    arena[more_to..more_to + more.len()].copy_from_slice(more);
}

/// Writes the header and the optional fields. Returns the offset of the key.
#[inline(always)]
fn write_header(
    arena: &mut [u8],
    offset: usize,
    (key_bytes, value_bytes): (usize, usize),
    attributes: &Attributes,
    access: u8,
    now_s: u32,
) -> usize {
    let Attributes { flags, expires_at_s, cas, marks } = *attributes;
    let short_key = u8::try_from(key_bytes).unwrap_or(LONG_KEY);
    let optional = optional_marks(flags, cas);
    let marks = access | marks_of(marks) | optional;
    let second = u64::from(short_key) | u64::from(marks) << 8 | cas << 16;
    // As an array, so that its length is checked once.
    let header: &mut [u8; HEADER_BYTES] =
        arena[offset..].first_chunk_mut().expect("there is room for a header");
    header[..KEY_BYTES_OFFSET].copy_from_slice(&first(Kind::Live, value_bytes).to_le_bytes());
    header[KEY_BYTES_OFFSET..EXPIRES_OFFSET].copy_from_slice(&second.to_le_bytes());
    header[EXPIRES_OFFSET..ACCESSED_OFFSET].copy_from_slice(&expires_at_s.to_le_bytes());
    header[ACCESSED_OFFSET..].copy_from_slice(&now_s.to_le_bytes());
    let end = offset + HEADER_BYTES;
    if short_key == LONG_KEY || optional != 0 {
        write_optional(arena, end, key_bytes, flags, cas)
    } else {
        end
    }
}

/// Writes the optional fields from `end` on. Returns their end.
fn write_optional(
    arena: &mut [u8],
    mut end: usize,
    key_bytes: usize,
    flags: u32,
    cas: u64,
) -> usize {
    if key_bytes >= LONG_KEY as usize {
        arena[end..end + 4].copy_from_slice(&length(key_bytes).to_le_bytes());
        end += 4;
    }
    if flags != 0 {
        arena[end..end + 4].copy_from_slice(&flags.to_le_bytes());
        end += 4;
    }
    if cas > SHORT_CAS_MAX {
        arena[end..end + 8].copy_from_slice(&cas.to_le_bytes());
        end += 8;
    }
    end
}

/// Writes the header of skipped space of this kind.
pub(super) fn write_skipped(arena: &mut [u8], offset: usize, bytes: usize, kind: Kind) {
    write_first(arena, offset, kind, bytes / SKIPPED_UNIT_BYTES);
}

fn write_first(arena: &mut [u8], offset: usize, kind: Kind, length: usize) {
    arena[offset..offset + 4].copy_from_slice(&first(kind, length).to_le_bytes());
}

/// The first four bytes of a record or skipped space.
fn first(kind: Kind, length: usize) -> u32 {
    self::length(length) | (kind as u32) << KIND_SHIFT
}

const fn marks_of(marks: Marks) -> u8 {
    let stale = if marks.stale { STALE } else { 0 };
    let win_sent = if marks.win_sent { WIN_SENT } else { 0 };
    let key_encoded = if marks.key_encoded { KEY_ENCODED } else { 0 };
    stale | win_sent | key_encoded
}

/// Converts a length for a header. Items are at most 1 GiB, including their overhead.
fn length(bytes: usize) -> u32 {
    let length = u32::try_from(bytes).ok().filter(|&length| length <= LENGTH_MAX);
    length.expect("every length fits in 30 bits")
}

/// Are two slices of the same length equal? Compares keys of 16 bytes and more without a call, which would
/// cost as many instructions as the comparison.
#[inline(always)]
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let (Some(end), Some(other_end)) = (one.last_chunk::<16>(), other.last_chunk::<16>()) else {
        return one == other;
    };
    let mut chunks = one.as_chunks::<16>().0.iter().zip(other.as_chunks::<16>().0);
    end == other_end && chunks.all(|(chunk, other)| chunk == other)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(*bytes[offset..].first_chunk().expect("there are four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(*bytes[offset..].first_chunk().expect("there are eight bytes"))
}
