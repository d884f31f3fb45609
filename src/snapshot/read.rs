//! Reads blocks into an engine: all that is good, and counts what is not.

use std::fmt;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::block::{BLOCK_BYTES, BadBlock, HEADER_BYTES, Header};
use super::write::new_block;
use crate::config::MEMORY_BYTES_CEILING;
use crate::engine::{Engine, LoadedItems, LoadedPart, Now};

/// Blocks of the largest snapshot: the largest memory for items, and a tenth for headers and ends of
/// blocks. A longer file is not read further.
const BLOCKS_MAX: u64 = (MEMORY_BYTES_CEILING + MEMORY_BYTES_CEILING / 10) / BLOCK_BYTES as u64;

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What has become of the items.
    pub items: LoadedItems,
    /// Restored items that were evicted again, because there is less memory than before.
    pub evicted: u64,
    /// Items that could not be read, as far as their number is known.
    pub lost: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Blocks that could not be read.
    pub bad_blocks: u64,
    /// All blocks.
    pub blocks: u64,
    /// The end is missing.
    pub is_cut: bool,
    /// The version of the format in a bad block. None if any block could be read.
    pub other_version: Option<u32>,
    /// Reading was stopped before the end.
    pub is_stopped: bool,
}

/// Restores the items of a snapshot of `bytes` bytes into an empty engine. `goes_on` is called before
/// each block with the bytes read so far, and ends the reading if it returns false.
///
/// # Errors
/// When there is no memory for one block. A block that cannot be read is counted, and is no error.
pub fn read(
    engine: &mut Engine,
    now: Now,
    from: &mut (impl Read + Seek),
    bytes: u64,
    mut goes_on: impl FnMut(u64) -> bool,
) -> io::Result<Loaded> {
    let mut block = new_block()?;
    let blocks = bytes.div_ceil(BLOCK_BYTES as u64).min(BLOCKS_MAX);
    let loaded = Loaded { bytes, blocks, is_cut: true, ..Loaded::default() };
    let mut reader =
        Reader { engine, now, loaded, id: None, items: 0, divided: Divided::default() };
    for index in 0..u32::try_from(blocks).unwrap_or(u32::MAX) {
        let start = u64::from(index) * BLOCK_BYTES as u64;
        if !goes_on(start) {
            reader.loaded.is_stopped = true;
            break;
        }
        let filled = fill(from, start, &mut block).unwrap_or(0);
        match Header::read(&block[..filled], index) {
            Ok(header) if reader.id.is_none_or(|id| id == header.id) => {
                reader.take(&header, &block[HEADER_BYTES..][..header.bytes]);
            }
            Ok(_) => reader.loaded.bad_blocks += 1,
            Err(bad) => reader.skip(bad),
        }
    }
    Ok(reader.finish())
}

/// Reads the block at `start`. Returns its bytes, which may be fewer at the end of the file.
fn fill(from: &mut (impl Read + Seek), start: u64, block: &mut [u8]) -> io::Result<usize> {
    from.seek(SeekFrom::Start(start))?;
    let mut filled = 0;
    while filled < block.len() {
        match from.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

struct Reader<'e> {
    engine: &'e mut Engine,
    now: Now,
    loaded: Loaded,
    /// The id of the snapshot, from its first good block.
    id: Option<u64>,
    /// Items of the snapshot, as far as is known.
    items: u64,
    divided: Divided,
}

/// A record that continues in the next block.
#[derive(Default)]
struct Divided {
    /// The bytes that have been read.
    bytes: Vec<u8>,
    /// All bytes of the record. 0 if there is none.
    needed: usize,
    /// The block that has the next of them.
    index: u32,
}

impl Reader<'_> {
    fn skip(&mut self, bad: BadBlock) {
        self.loaded.bad_blocks += 1;
        if let BadBlock::OtherVersion(version) = bad {
            self.loaded.other_version.get_or_insert(version);
        }
    }

    /// Restores the items of a good block.
    fn take(&mut self, header: &Header, records: &[u8]) {
        if self.id.is_none() {
            self.id = Some(header.id);
            self.engine.begin_load(&header.state, self.loaded.bytes, self.now);
        }
        let items = header.items_before.saturating_add(header.records.into());
        self.items = self.items.max(items);
        self.loaded.is_cut &= !header.is_last;
        let (end, begun) = records.split_at(header.first_record.unwrap_or(records.len()));
        self.join(header, end);
        let LoadedPart { bytes, incomplete } = self.load(header, begun);
        if let Some(needed) = incomplete {
            self.begin_divided(needed, header.index + 1, &begun[bytes..]);
        }
    }

    /// Adds `piece` to the record that was divided, and restores it if it is complete.
    fn join(&mut self, header: &Header, piece: &[u8]) {
        let Divided { mut bytes, needed, index } = std::mem::take(&mut self.divided);
        let is_next = index == header.index && bytes.len() + piece.len() <= needed;
        if needed == 0 || !is_next {
            return;
        }
        bytes.extend_from_slice(piece);
        if bytes.len() == needed {
            self.load(header, &bytes);
        } else if header.first_record.is_none() {
            self.divided = Divided { bytes, needed, index: index + 1 };
        }
    }

    fn load(&mut self, header: &Header, bytes: &[u8]) -> LoadedPart {
        self.engine.load(bytes, &header.state, self.now, &mut self.loaded.items)
    }

    fn begin_divided(&mut self, needed: usize, index: u32, piece: &[u8]) {
        let mut bytes = Vec::new();
        if !self.engine.may_load(needed) {
            self.loaded.items.too_large += 1;
        } else if bytes.try_reserve_exact(needed).is_ok() {
            bytes.extend_from_slice(piece);
            self.divided = Divided { bytes, needed, index };
        }
    }

    fn finish(mut self) -> Loaded {
        self.engine.end_load();
        let LoadedItems { restored, expired, too_large, no_room, invalid: _ } = self.loaded.items;
        self.loaded.lost = self.items.saturating_sub(restored + expired + too_large + no_room);
        self.loaded.evicted = restored.saturating_sub(self.engine.items() as u64);
        if self.id.is_some() {
            self.loaded.other_version = None;
        }
        if self.loaded.is_stopped {
            (self.loaded.lost, self.loaded.is_cut) = (0, false);
        }
        self.loaded
    }
}

impl Loaded {
    /// Something in the snapshot is lost: neither expired, nor without room.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        self.lost > 0 || self.bad_blocks > 0 || self.is_cut
    }
}

/// The end of a log line, such as `10 items; 2 have expired`.
impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.other_version {
            return write!(f, "no items: its format has version {version}");
        }
        let LoadedItems { restored, expired, too_large, no_room, invalid: _ } = self.items;
        write!(f, "{} items", restored - self.evicted)?;
        for (count, what) in [
            (expired, "have expired"),
            (too_large, "are above -I"),
            (self.evicted + no_room, "do not fit into -m"),
            (self.lost, "are lost"),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        if self.bad_blocks > 0 {
            write!(f, "; {} of {} blocks are damaged", self.bad_blocks, self.blocks)?;
        }
        if self.is_cut {
            write!(f, "; the end is missing")?;
        }
        Ok(())
    }
}
