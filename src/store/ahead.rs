//! Looking ahead: memory that the next keys need, fetched together instead of one after the other.
//!
//! Among a million items every lookup waits for memory three times, one wait after the other: for
//! the slot in a table, for the record's header, and for what stands behind it. For different keys
//! these waits can overlap, if nothing else is done in between: the processor begins the next load
//! while the last one is still under way. Changes nothing; knows no time.

use std::hint::black_box;

use super::{Key, Record, Store, place_of};

/// Keys that are looked ahead for at once: about as many loads as a core has under way. With 24 and
/// 32, pipelined gets over a million items take as long (222, 228 and 221 ns each), sets and a
/// multiget's keys longer (266, 274 and 289; 183, 191 and 188).
pub const KEYS_AHEAD: usize = 16;
/// What a load brings into the processor's caches.
const CACHE_LINE_BYTES: usize = 64;
/// Of a longer record the rest is found by the processor itself, which guesses what comes next.
const RECORD_BYTES_AHEAD: usize = 512;

impl Store {
    /// Loads into the processor's caches what a lookup of the first [`KEYS_AHEAD`] of `wanted` needs,
    /// and puts the key of each where it says.
    pub fn look_ahead<'k: 'w, 'w>(
        &self,
        wanted: impl Iterator<Item = (&'w mut Option<Key<'k>>, &'k [u8])>,
    ) {
        let (mut hashes, mut places) = ([0; KEYS_AHEAD], [0; KEYS_AHEAD]);
        let mut known = 0;
        for (hash, (slot, bytes)) in hashes.iter_mut().zip(wanted) {
            let key = self.key(bytes);
            *hash = key.hash;
            *slot = Some(key);
            known += 1;
        }
        for (place, &hash) in places.iter_mut().zip(&hashes[..known]) {
            // Whichever record comes first: nearly always it is the one that is looked for.
            let address = self.tables[self.table_of(hash)].find(hash, |_| true);
            *place = address.map_or(0, |&address| place_of(address));
        }
        let mut sum = 0;
        for &place in &places[..known] {
            sum ^= self.arena[place];
        }
        for &place in &places[..known] {
            let record = Record::read(&self.arena, place);
            let bytes = (record.key_bytes + record.value_bytes).min(RECORD_BYTES_AHEAD);
            for at in (place..=place + bytes).step_by(CACHE_LINE_BYTES) {
                sum ^= self.arena[at];
            }
        }
        // Loads whose result nobody used would not be made.
        black_box(sum);
    }
}
