//! The arena: one mapping that holds every record, and the addresses by which the map finds them.
//!
//! Laid out once at the start; the kernel makes a page when it is first touched. Knows no log and no
//! policy; what stands at an offset is `record`'s.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use super::record::{HEADER_BYTES, Record};
use crate::config::MEMORY_BYTES_CEILING;
use crate::trace;

/// The memory that was asked for cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Records start at multiples of this many bytes, up to [`FINE_BYTES_MAX`] of memory.
///
/// An address is a `u32` that counts these units, so 4 bytes reach 16 GiB. With 8 bytes, which reach
/// 32 GiB, a record loses 3.5 bytes to rounding on average instead of 1.5.
const FINE_SHIFT: u32 = 2;
const COARSE_SHIFT: u32 = 3;
const FINE_BYTES_MAX: u64 = 16 << 30;

const _: () = assert!(FINE_BYTES_MAX <= (u32::MAX as u64 + 1) << FINE_SHIFT);
const _: () = assert!(MEMORY_BYTES_CEILING <= (u32::MAX as u64 + 1) << COARSE_SHIFT);

/// See the module.
pub(super) struct Arena {
    /// The records, followed by as many bytes as a header has, so that the header of skipped
    /// space, which may be shorter than a record's, can be read as if it were one.
    bytes: MmapMut,
    /// Log2 of what offsets are a multiple of.
    shift: u32,
}

impl Arena {
    /// Zeros for `memory_bytes` of records. Fails where the kernel does not grant that much and
    /// `beside_bytes` more.
    pub(super) fn map(memory_bytes: usize, beside_bytes: usize) -> Result<Self, OutOfMemory> {
        let bytes = memory_bytes.checked_add(HEADER_BYTES).ok_or(OutOfMemory)?;
        // Asked for and given back: a `vec!` of the same size would abort where there is no memory.
        let all = bytes.checked_add(beside_bytes).ok_or(OutOfMemory)?;
        Vec::<u8>::new().try_reserve_exact(all).map_err(|_| OutOfMemory)?;
        let mapping = MmapMut::map_anon(bytes).map_err(|_| OutOfMemory)?;
        let fine = memory_bytes as u64 <= FINE_BYTES_MAX;
        Ok(Self { bytes: mapping, shift: if fine { FINE_SHIFT } else { COARSE_SHIFT } })
    }

    /// `bytes`, rounded up to where the next record may start.
    pub(super) const fn round_up(&self, bytes: usize) -> usize {
        let rest = (1 << self.shift) - 1;
        (bytes + rest) & !rest
    }

    /// Where in the arena an address points, in bytes.
    pub(super) const fn offset(&self, address: u32) -> usize {
        (address as usize) << self.shift
    }

    /// The address of the record at `offset`.
    pub(super) fn address(&self, offset: usize) -> u32 {
        u32::try_from(offset >> self.shift).expect("the arena is as small as addresses can reach")
    }

    /// What stands at `offset`. Inlined, so that a caller loads only the fields that it uses.
    #[inline(always)]
    pub(super) fn record(&self, offset: usize) -> Record {
        Record::read(&self.bytes, offset)
    }

    /// Bytes that a record, or space to skip, takes.
    pub(super) fn bytes_of(&self, record: &Record) -> usize {
        self.round_up(record.bytes())
    }

    /// Copies the `bytes` at `from` to `to`. The two may overlap.
    pub(super) fn copy(&mut self, from: usize, bytes: usize, to: usize) {
        self.bytes.copy_within(from..from + bytes, to);
    }

    /// Asks for pages of 2 MiB, before any is touched: with the usual ones of 4 KiB, finding out where
    /// a page is costs as much as fetching the record in it. In return the last page of each log is
    /// there as a whole from its first byte on, and a kernel that has none left may tidy up its memory
    /// while we wait. Only a wish: where there are no such pages, nothing changes.
    pub(super) fn advise_huge_pages(&self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = self.bytes.advise(memmap2::Advice::HugePage) {
            trace::no_huge_pages(&error);
        }
        #[cfg(not(target_os = "linux"))]
        trace::no_huge_pages(&"not on this system");
    }
}

impl Deref for Arena {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Arena {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}
