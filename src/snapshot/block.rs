//! A block of a snapshot: a header and a part of the stream of records.
//!
//! ```text
//!   0          8         12       16     24      28       32       36        40
//!  +----------+---------+--------+------+-------+--------+--------+---------+--------------+
//!  | magic    | version | crc-32 | id   | index | bytes  | first  | records | items before |
//!  +----------+---------+--------+------+-------+--------+--------+---------+--------------+
//!  | uptime | flush at | unix time | last cas id | items | is last | unused |   little-endian
//!  +--------+----------+-----------+-------------+-------+---------+--------+
//!   48       52         56          64            72      80        84       88
//! ```
//! The checksum is of all bytes after it to the end of the records. The id is a random number of the
//! snapshot, so that no block of another one is taken for one of this. "Bytes" are those of records after
//! the header, "first" is where among them the first record begins (the bytes before it belong to one
//! that began in the block before). The rest is the state of the engine (see
//! [`crate::engine::SavedState`]), the same in all blocks.

use crate::engine::{Now, SavedState};

/// Bytes of every block but the last one. With 1 MiB a damaged byte costs a thousandth of a GiB, and a
/// header of 88 bytes costs nothing.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of a block's header.
pub(super) const HEADER_BYTES: usize = 88;
/// The version of the format, and of the layout of records in `store/record.rs`.
const VERSION: u32 = 1;
/// The first bytes of every block, and so of the file.
const MAGIC: [u8; 8] = *b"miocache";
/// The place of the checksum, which covers all bytes after it.
const CHECKSUM_OFFSET: usize = 12;
const CHECKED_OFFSET: usize = 16;
/// "First" of a block in which no record begins.
const NO_RECORD: u32 = u32::MAX;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u64,
    pub(super) index: u32,
    /// Bytes of records after the header.
    pub(super) bytes: usize,
    /// Where the first record begins among them.
    pub(super) first_record: Option<usize>,
    /// Records that begin in this block.
    pub(super) records: u32,
    /// Records that begin in earlier blocks.
    pub(super) items_before: u64,
    pub(super) is_last: bool,
    pub(super) state: SavedState,
}

/// Why a block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBlock {
    /// Its format may have this version.
    OtherVersion(u32),
    Damaged,
}

/// Whether a file that begins with `bytes`, eight of them if it is so long, is a snapshot or was one: one
/// wrong byte is damage, more are another file.
pub(super) fn is_snapshot(bytes: &[u8]) -> bool {
    let differing = MAGIC.iter().zip(bytes).filter(|(known, found)| known != found).count();
    differing <= usize::from(bytes.len() >= MAGIC.len())
}

impl Header {
    /// Writes the header of a block whose records are in place, and its checksum.
    pub(super) fn write(&self, block: &mut [u8]) {
        let first_record = self.first_record.map_or(NO_RECORD, small);
        let state = &self.state;
        let fields: [&[u8]; 16] = [
            &MAGIC,
            &VERSION.to_le_bytes(),
            &[0; 4],
            &self.id.to_le_bytes(),
            &self.index.to_le_bytes(),
            &small(self.bytes).to_le_bytes(),
            &first_record.to_le_bytes(),
            &self.records.to_le_bytes(),
            &self.items_before.to_le_bytes(),
            &state.now.uptime_s.to_le_bytes(),
            &state.flush_at_s.to_le_bytes(),
            &state.now.unix_s.to_le_bytes(),
            &state.last_cas.to_le_bytes(),
            &state.items_max.to_le_bytes(),
            &u32::from(self.is_last).to_le_bytes(),
            &[0; 4],
        ];
        let mut end = 0;
        for field in fields {
            block[end..end + field.len()].copy_from_slice(field);
            end += field.len();
        }
        debug_assert_eq!(end, HEADER_BYTES, "the fields are the header");
        seal(&mut block[..HEADER_BYTES + self.bytes]);
    }

    /// Reads the header of the block with this index, and checks its checksum and its numbers. `block`
    /// may be shorter than it should be, and longer than its records.
    pub(super) fn read(block: &[u8], index: u32) -> Result<Self, BadBlock> {
        let header: &[u8; HEADER_BYTES] = block.first_chunk().ok_or(BadBlock::Damaged)?;
        if header[..MAGIC.len()] != MAGIC {
            return Err(BadBlock::Damaged);
        }
        let version = u32_at(header, 8);
        if version != VERSION {
            return Err(BadBlock::OtherVersion(version));
        }
        let bytes = u32_at(header, 28) as usize;
        let sealed = block.get(..HEADER_BYTES + bytes).ok_or(BadBlock::Damaged)?;
        if crc32fast::hash(&sealed[CHECKED_OFFSET..]) != u32_at(header, CHECKSUM_OFFSET) {
            return Err(BadBlock::Damaged);
        }
        let first_record = match u32_at(header, 32) {
            NO_RECORD => None,
            first => Some(first as usize),
        };
        if u32_at(header, 24) != index || first_record.is_some_and(|first| first > bytes) {
            return Err(BadBlock::Damaged);
        }
        Ok(Self {
            id: u64_at(header, 16),
            index,
            bytes,
            first_record,
            records: u32_at(header, 36),
            items_before: u64_at(header, 40),
            is_last: u32_at(header, 80) != 0,
            state: SavedState {
                now: Now { uptime_s: u32_at(header, 48), unix_s: u64_at(header, 56).cast_signed() },
                flush_at_s: u32_at(header, 52),
                last_cas: u64_at(header, 64),
                items_max: u64_at(header, 72),
            },
        })
    }
}

/// Writes the checksum of a block: of a new one, or in tests of one that was changed.
///
/// # Panics
/// When the block is shorter than a header.
pub fn seal(block: &mut [u8]) {
    let checksum = crc32fast::hash(&block[CHECKED_OFFSET..]);
    block[CHECKSUM_OFFSET..CHECKED_OFFSET].copy_from_slice(&checksum.to_le_bytes());
}

/// A length within a block.
fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a block is small")
}

fn u32_at(header: &[u8; HEADER_BYTES], offset: usize) -> u32 {
    u32::from_le_bytes(*header[offset..].first_chunk().expect("the header has it"))
}

fn u64_at(header: &[u8; HEADER_BYTES], offset: usize) -> u64 {
    u64::from_le_bytes(*header[offset..].first_chunk().expect("the header has it"))
}
