//! The arena: one mapping that holds every record, and the addresses by which the map finds them.
//!
//! It is mapped once at the start; the kernel allocates each page when it is first touched. The arena
//! knows no log and no policy. `record` defines the layout at an offset.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use super::record::{HEADER_BYTES, Record};
use crate::config::MEMORY_BYTES_CEILING;
use crate::trace;

/// The kernel does not grant the memory that was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Log2 of the unit of addresses, up to [`FINE_BYTES_MAX`] of memory: records start at multiples of it.
///
/// An address is a `u32` that counts units. Units of 4 bytes address 16 GiB, units of 8 bytes 32 GiB.
/// Rounding costs a record 1.5 bytes on average with the former, 3.5 with the latter.
const FINE_SHIFT: u32 = 2;
const COARSE_SHIFT: u32 = 3;
const FINE_BYTES_MAX: u64 = 16 << 30;

const _: () = assert!(FINE_BYTES_MAX <= (u32::MAX as u64 + 1) << FINE_SHIFT);
const _: () = assert!(MEMORY_BYTES_CEILING <= (u32::MAX as u64 + 1) << COARSE_SHIFT);

/// See the module.
pub(super) struct Arena {
    /// The records, followed by the length of one header. Skipped space has a shorter header than a
    /// record; even at the end of the arena it can be read as a record's.
    bytes: MmapMut,
    /// Log2 of the unit of addresses. All offsets are multiples of the unit.
    shift: u32,
    /// The unit less 1.
    rest: usize,
}

impl Arena {
    /// Maps `memory_bytes` of zeros for records. Fails if the kernel does not grant these and
    /// `other_bytes` more, which the caller allocates next.
    pub(super) fn map(memory_bytes: usize, other_bytes: usize) -> Result<Self, OutOfMemory> {
        let bytes = memory_bytes.checked_add(HEADER_BYTES).ok_or(OutOfMemory)?;
        // Reserves all of it once and frees it again, to report an error: the `vec!` that the caller
        // allocates would abort the process.
        let all = bytes.checked_add(other_bytes).ok_or(OutOfMemory)?;
        Vec::<u8>::new().try_reserve_exact(all).map_err(|_| OutOfMemory)?;
        let mapping = MmapMut::map_anon(bytes).map_err(|_| OutOfMemory)?;
        let fine = memory_bytes as u64 <= FINE_BYTES_MAX;
        let shift = if fine { FINE_SHIFT } else { COARSE_SHIFT };
        Ok(Self { bytes: mapping, shift, rest: (1 << shift) - 1 })
    }

    /// `bytes`, rounded up to where the next record may start.
    pub(super) const fn round_up(&self, bytes: usize) -> usize {
        (bytes + self.rest) & !self.rest
    }

    /// The offset of an address, in bytes from the start of the arena.
    pub(super) const fn offset(&self, address: u32) -> usize {
        (address as usize) << self.shift
    }

    /// The address of the record at `offset`.
    pub(super) fn address(&self, offset: usize) -> u32 {
        u32::try_from(offset >> self.shift).expect("every offset of the arena has an address")
    }

    /// The record or skipped space at `offset`. Inlined, so that a caller loads only the fields that it
    /// uses.
    #[inline(always)]
    pub(super) fn record(&self, offset: usize) -> Record {
        Record::read(&self.bytes, offset)
    }

    /// Bytes that a record or skipped space takes, rounded up to the next unit.
    pub(super) fn bytes_of(&self, record: &Record) -> usize {
        self.round_up(record.bytes())
    }

    /// Copies the `bytes` at `from` to `to`. The two may overlap.
    pub(super) fn copy(&mut self, from: usize, bytes: usize, to: usize) {
        self.bytes.copy_within(from..from + bytes, to);
    }

    /// Advises the kernel to use pages of 2 MiB, before any page is touched. With pages of 4 KiB, a TLB
    /// miss costs as much as loading the record. There are two drawbacks: the first byte written to a
    /// huge page allocates all of it, and a kernel without free huge pages may compact its memory
    /// while we wait. Where the kernel refuses, nothing changes but a warning.
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
