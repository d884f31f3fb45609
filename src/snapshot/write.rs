//! Writes the items of an engine as blocks.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, ErrorKind, Write};

use super::block::{BLOCK_BYTES, HEADER_BYTES, Header};
use crate::engine::{Engine, Now, SaveCursor};

/// A snapshot that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Its items.
    pub items: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes all live items to `to`. `note` is called after each block with the bytes written so far.
///
/// # Errors
/// When a write fails, or there is no memory for one block.
pub fn write(
    engine: &mut Engine,
    now: Now,
    to: &mut impl Write,
    mut note: impl FnMut(u64),
) -> io::Result<Written> {
    let state = engine.begin_save(now);
    // std has a seed of its random numbers from the operating system.
    let id = RandomState::new().hash_one(0);
    let mut block = new_block()?;
    let mut cursor = SaveCursor::default();
    let mut written = Written::default();
    for index in 0.. {
        let part = engine.save(&mut cursor, &state, &mut block[HEADER_BYTES..]);
        // The bytes at the end are those of an earlier block.
        block[HEADER_BYTES + part.bytes..].fill(0);
        let is_last = cursor.is_at_end();
        let header = Header {
            id,
            index,
            bytes: part.bytes,
            first_record: part.first_record,
            records: part.records,
            items_before: written.items,
            is_last,
            state,
        };
        header.write(&mut block);
        let bytes = if is_last { HEADER_BYTES + part.bytes } else { BLOCK_BYTES };
        to.write_all(&block[..bytes])?;
        written.items += u64::from(part.records);
        written.bytes += bytes as u64;
        note(written.bytes);
        if is_last {
            break;
        }
    }
    Ok(written)
}

/// Memory for one block.
pub(super) fn new_block() -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    block.try_reserve_exact(BLOCK_BYTES).map_err(|_| ErrorKind::OutOfMemory)?;
    block.resize(BLOCK_BYTES, 0);
    Ok(block)
}
