//! The arena: where the memory of all records comes from. Knows no record.

use memmap2::MmapMut;

/// There is not so much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Zeros that the kernel makes when they are first touched, where it can in pages of 2 MiB: with the
/// usual ones of 4 KiB, finding out where a page is costs as much as fetching the record in it. Only
/// if there are `ghost_bytes` of memory beside them.
pub(super) fn map(bytes: usize, ghost_bytes: usize) -> Result<MmapMut, OutOfMemory> {
    // Only asked for and given back: the ghost's `vec!` gets such zeros, too, but would abort where
    // there is no memory. Together with the arena's, because glibc no longer returns a buffer to
    // the kernel that is smaller than any block of up to 32 MiB which it was ever given back.
    Vec::<u8>::new().try_reserve_exact(bytes + ghost_bytes).map_err(|_| OutOfMemory)?;
    let arena = MmapMut::map_anon(bytes).map_err(|_| OutOfMemory)?;
    #[cfg(target_os = "linux")]
    // Only a wish: a kernel that has no such pages serves it with what it has.
    let _ = arena.advise(memmap2::Advice::HugePage);
    Ok(arena)
}
