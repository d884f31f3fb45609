//! Prefetching: loads the memory for the lookups of several keys, so that their cache misses overlap.
//!
//! Among a million items every lookup has three cache misses, one after the other: the slot in a
//! table, the record's header, and the rest of the record. The misses of different keys overlap if
//! their loads directly follow each other: the processor begins the next load while the last one is
//! still in progress. Changes nothing in the store; knows no time.

use std::hint::black_box;

use super::record::HEADER_BYTES;
use super::{HashedKey, Store};

/// Keys that are prefetched at once: about as many loads as a core can have in progress. When this was
/// chosen, with a header of 24 bytes, a pipelined get among a million items took 222 ns with 16, 228
/// with 24 and 221 with 32, a set 266, 274 and 289, a key of a multiget 183, 191 and 188.
pub const PREFETCH_BATCH: usize = 16;
/// Bytes that one load brings into the processor's caches.
const CACHE_LINE_BYTES: usize = 64;
/// Limit of bytes prefetched of a record's key and value. The hardware prefetcher loads the rest of a longer one.
const CONTENT_BYTES_MAX: usize = 512;

impl Store {
    /// Loads into the processor's caches the memory that lookups of the first [`PREFETCH_BATCH`] of
    /// `keys` will read, and notes in each key where its record probably is.
    #[inline]
    pub fn prefetch<'k: 'w, 'w>(&self, keys: impl Iterator<Item = &'w mut HashedKey<'k>>) {
        let mut offsets = [0; PREFETCH_BATCH];
        let mut count = 0;
        for key in keys.take(PREFETCH_BATCH) {
            if let Some(address) = self.map.note_likely_address(key) {
                offsets[count] = self.arena.offset(address);
                count += 1;
            }
        }
        let mut sum = 0;
        for &offset in &offsets[..count] {
            sum ^= self.arena[offset];
        }
        for &offset in &offsets[..count] {
            let record = self.arena.record(offset);
            let bytes = HEADER_BYTES + record.content_bytes().min(CONTENT_BYTES_MAX);
            let record = &self.arena[offset..][..bytes];
            // The first line is loaded already.
            let mut at = CACHE_LINE_BYTES;
            while let Some(byte) = record.get(at) {
                sum ^= byte;
                at += CACHE_LINE_BYTES;
            }
            sum ^= record[bytes - 1];
        }
        // The compiler would remove loads whose result is never used.
        black_box(sum);
    }

    /// Loads the memory in which new records under these keys are inserted into the map. With batches
    /// of [`PREFETCH_BATCH`] keys a snapshot of 3.8 million items was read in 1.9 s instead of 2.7.
    pub fn prefetch_slots<'k: 'w, 'w>(&self, keys: impl Iterator<Item = &'w mut HashedKey<'k>>) {
        for key in keys {
            self.map.note_likely_address(key);
        }
    }
}
