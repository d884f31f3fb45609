//! The arena: where the memory of all records comes from. Knows no record.

use memmap2::MmapMut;

use crate::trace;

/// There is not so much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Zeros that the kernel makes when they are first touched. Only if there are `ghost_bytes` of memory
/// beside them.
pub(super) fn map(bytes: usize, ghost_bytes: usize) -> Result<MmapMut, OutOfMemory> {
    // Only asked for and given back: the ghost's `vec!` gets such zeros, too, but would abort where
    // there is no memory. Together with the arena's: both have to be there.
    Vec::<u8>::new().try_reserve_exact(bytes + ghost_bytes).map_err(|_| OutOfMemory)?;
    MmapMut::map_anon(bytes).map_err(|_| OutOfMemory)
}

/// Asks for pages of 2 MiB, before any is touched: with the usual ones of 4 KiB, finding out where a
/// page is costs as much as fetching the record in it. In return the last page of each log is there as
/// a whole from its first byte on, and a kernel that has none left may tidy up its memory while we
/// wait. Only a wish: where there are no such pages, nothing changes.
pub(super) fn ask_for_huge_pages(arena: &MmapMut) {
    #[cfg(target_os = "linux")]
    if let Err(error) = arena.advise(memmap2::Advice::HugePage) {
        trace::no_huge_pages(&error);
    }
    #[cfg(not(target_os = "linux"))]
    trace::no_huge_pages(&"not on this system");
}
