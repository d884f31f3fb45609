//! Prefetching: the memory that the next keys need is loaded together instead of one after the other.
//!
//! Among a million items every lookup waits for memory three times, one wait after the other: for
//! the slot in a table, for the record's header, and for what follows it. For different keys
//! these waits can overlap, if nothing else is done in between: the processor begins the next load
//! while the last one is still under way. Changes nothing; knows no time.

use std::hint::black_box;

use super::{HashedKey, Store};

/// Keys that are prefetched at once: about as many loads as a core has under way. When this was chosen,
/// with a header of 24 bytes, pipelined gets over a million items took as long with 24 and 32 (222,
/// 228 and 221 ns each), sets and a multiget's keys longer (266, 274 and 289; 183, 191 and 188).
pub const PREFETCH_BATCH: usize = 16;
/// What a load brings into the processor's caches.
const CACHE_LINE_BYTES: usize = 64;
/// Of a longer record the rest is loaded by the hardware prefetcher.
const RECORD_BYTES_MAX: usize = 512;

impl Store {
    /// Loads into the processor's caches what a lookup of the first [`PREFETCH_BATCH`] of `wanted`
    /// needs, and writes the hashed key of each into its slot.
    pub fn prefetch<'k: 'w, 'w>(
        &self,
        wanted: impl Iterator<Item = (&'w mut Option<HashedKey<'k>>, &'k [u8])>,
    ) {
        let (mut hashes, mut offsets) = ([0; PREFETCH_BATCH], [0; PREFETCH_BATCH]);
        let mut count = 0;
        for (hash, (slot, bytes)) in hashes.iter_mut().zip(wanted) {
            let key = self.hashed_key(bytes);
            *hash = key.hash();
            *slot = Some(key);
            count += 1;
        }
        for (offset, &hash) in offsets.iter_mut().zip(&hashes[..count]) {
            // Nearly always it is the record that is looked for.
            let address = self.map.likely_address(hash);
            *offset = address.map_or(0, |address| self.arena.offset(address));
        }
        let mut sum = 0;
        for &offset in &offsets[..count] {
            sum ^= self.arena[offset];
        }
        for &offset in &offsets[..count] {
            let record = self.arena.record(offset);
            let bytes = record.content_bytes().min(RECORD_BYTES_MAX);
            for at in (offset..=offset + bytes).step_by(CACHE_LINE_BYTES) {
                sum ^= self.arena[at];
            }
        }
        // Loads whose result is never used would not be made.
        black_box(sum);
    }
}
