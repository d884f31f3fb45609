//! The map's upkeep: tables of addresses that come, go and change.
//!
//! One large table would stall everybody while it grows (8 million items: 1.8 s at once). So there
//! are many tables of a few hundred addresses, each growing alone, and so many that even the
//! smallest records give none of them more than [`REHASHED_MAX`]. Lookup stands in `store/mod.rs`.
//! Knows no policy and no time.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _};

use super::record::RECORD_BYTES_MIN;
use super::{Record, Store, UNIT_BYTES, place_of};

/// No operation computes the hashes of more records than this.
pub const REHASHED_MAX: usize = 512;
/// Addresses in a table, on average, when memory is full of the smallest records. Single tables
/// lie around the average by chance, and six standard deviations above 384 are 502.
const TABLE_ITEMS_MAX: usize = 384;

/// The number of tables for this much memory.
pub(super) const fn tables(memory_bytes: usize) -> usize {
    (memory_bytes / RECORD_BYTES_MIN).div_ceil(TABLE_ITEMS_MAX).next_power_of_two()
}

impl Store {
    /// Notes the address of a record whose key is in no table.
    pub(super) fn insert(&mut self, hash: u64, at: usize) {
        let at_table = self.table_of(hash);
        let table = &mut self.tables[at_table];
        let seed = &self.seed;
        let rehashed = Cell::new(0u32);
        let arena = &*self.arena;
        let rehash = |&address: &u32| {
            rehashed.set(rehashed.get() + 1);
            let mut hasher = seed.build_hasher();
            hasher.write(Record::read(arena, place_of(address)).key(arena));
            hasher.finish()
        };
        self.items += 1;
        if table.len() < table.capacity() {
            table.insert_unique(hash, address(at), rehash);
            return;
        }
        // A slot that was left counts as taken until its table is laid out anew, which hashbrown
        // takes for a reason to double: after enough comings and goings every table would have
        // twice its size. So a table with some room left is laid out in the memory that it has.
        let buckets = table.num_buckets();
        if buckets > 16 && table.len() <= (buckets / 32 * 26).min(REHASHED_MAX) {
            self.scratch.extend(table.drain());
            for address in self.scratch.drain(..) {
                table.insert_unique(rehash(&address), address, rehash);
            }
        }
        let bytes_before = table.allocation_size();
        table.insert_unique(hash, address(at), rehash);
        self.map_bytes = self.map_bytes + table.allocation_size() - bytes_before;
        let counters = &mut self.counters;
        counters.rehashed += u64::from(rehashed.get());
        counters.rehashed_at_once_max = counters.rehashed_at_once_max.max(rehashed.get());
    }

    /// Forgets a record's address.
    pub(super) fn erase(&mut self, hash: u64, at: usize) {
        let at_table = self.table_of(hash);
        let entry = self.tables[at_table].find_entry(hash, |&known| known == address(at));
        assert!(entry.map(|entry| entry.remove()).is_ok(), "every live record is in the map");
        self.items -= 1;
    }

    /// Notes that a record has moved.
    pub(super) fn readdress(&mut self, hash: u64, from: usize, to: usize) {
        let at_table = self.table_of(hash);
        let known = self.tables[at_table].find_mut(hash, |&known| known == address(from));
        *known.expect("every live record is in the map") = address(to);
    }

    /// The hash of a record's key.
    pub(super) fn hash_of(&self, record: &Record) -> u64 {
        self.hash(record.key(&self.arena))
    }
}

/// The address of a place in the arena.
fn address(at: usize) -> u32 {
    u32::try_from(at / UNIT_BYTES).expect("the arena is not larger than MEMORY_BYTES_CEILING")
}
