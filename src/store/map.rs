//! The map's upkeep: tables of addresses that come, go and change.
//!
//! One large table would stall everybody while it grows (8 million items: 1.8 s at once). So there
//! are many small ones, each growing alone, and for every [`TABLE_ITEMS`] items there comes one
//! more, in the manner of linear hashing (Litwin, 1980): the next in turn is split by one more bit
//! of the hash. So no operation touches more than [`REHASHED_MAX`] records, and the tables'
//! headers stay in the processor's cache. (With as many tables from the start as the smallest
//! records would need, a get among 100 thousand items of `-m 1024` took 112 ns instead of 71.)
//! Lookup stands in `store/mod.rs`. Knows no policy and no time.

use hashbrown::HashTable;

use super::record::RECORD_BYTES_MIN;
use super::{Record, Store, UNIT_BYTES, place_of};

/// No operation computes the hashes of more records than this.
pub const REHASHED_MAX: usize = 512;
/// Items for each table, on average. The next one to be split has up to twice as many, and by chance
/// more (262 while 8 million went in). With 192 items, a byte less for each at worst, six times as
/// many stores of a growing cache took longer than 50 microseconds: 1.1 instead of 0.2 %.
const TABLE_ITEMS: usize = 96;
/// A table with so many slots in thirty-two taken is larger when it is laid out anew (it is full
/// at 28, so at least a fourteenth of its slots is won when it is not). Tiny ones always are.
const TAKEN_MAX: usize = 26;
const TINY_SLOTS: usize = 16;

/// The most tables that there can be with this much memory.
pub(super) const fn tables_max(memory_bytes: usize) -> usize {
    memory_bytes / RECORD_BYTES_MIN / TABLE_ITEMS + 1
}

impl Store {
    /// Notes the address of a record whose key is in no table.
    pub(super) fn insert(&mut self, hash: u64, at: usize) {
        let at_table = self.table_of(hash);
        let table = &self.tables[at_table];
        let mut rehashed = 0;
        if table.len() == table.capacity() {
            rehashed = self.make_slot(at_table);
        }
        put(&mut self.tables[at_table], hash, address(at));
        self.items += 1;
        self.sizes.came(Record::read(&self.arena, at).bytes());
        if rehashed == 0 && self.items > self.tables.len() * TABLE_ITEMS {
            rehashed = self.split();
        }
        self.counters.rehashed += rehashed as u64;
        self.counters.rehashed_at_once_max = self.counters.rehashed_at_once_max.max(rehashed);
    }

    /// Gives a full table another slot. Returns how many records were touched.
    ///
    /// A slot that was left may count as taken until its table is laid out anew, which hashbrown
    /// takes for a reason to double: after enough comings and goings every table would have twice
    /// its size. So a table that is not really full is laid out in the memory that it has.
    fn make_slot(&mut self, at_table: usize) -> usize {
        let waiting = self.empty_table(at_table);
        let rehashed = waiting.len();
        let table = &mut self.tables[at_table];
        let slots = table.num_buckets();
        if slots <= TINY_SLOTS || rehashed > slots / 32 * TAKEN_MAX {
            self.map_bytes -= table.allocation_size();
            *table = HashTable::with_capacity(rehashed + 1);
            self.map_bytes += table.allocation_size();
        }
        for &(hash, address) in &waiting {
            put(table, hash, address);
        }
        self.scratch = waiting;
        rehashed
    }

    /// Divides the items of the next table in turn between it and a new one. Returns how many
    /// records were touched.
    fn split(&mut self) -> usize {
        let new = self.tables.len();
        self.table_mask = (new + 1).next_power_of_two() - 1;
        let old = new & self.table_mask >> 1;
        let waiting = self.empty_table(old);
        self.tables.push(HashTable::new());
        let move_on = waiting.iter().filter(|&&(hash, _)| self.table_of(hash) == new).count();
        self.map_bytes -= self.tables[old].allocation_size();
        for (table, items) in [(old, waiting.len() - move_on), (new, move_on)] {
            self.tables[table] = HashTable::with_capacity(items);
            self.map_bytes += self.tables[table].allocation_size();
        }
        self.map_bytes += size_of::<HashTable<u32>>();
        for &(hash, address) in &waiting {
            let table = self.table_of(hash);
            put(&mut self.tables[table], hash, address);
        }
        let rehashed = waiting.len();
        self.scratch = waiting;
        rehashed
    }

    /// Takes all addresses out of a table, with their hashes.
    fn empty_table(&mut self, at_table: usize) -> Vec<(u64, u32)> {
        let mut taken = std::mem::take(&mut self.scratch);
        taken.clear();
        let mut table = std::mem::take(&mut self.tables[at_table]);
        for address in table.drain() {
            let record = Record::read(&self.arena, place_of(address));
            taken.push((self.hash_of(&record), address));
        }
        self.tables[at_table] = table;
        taken
    }

    /// Forgets a record's address.
    pub(super) fn erase(&mut self, hash: u64, at: usize) {
        let at_table = self.table_of(hash);
        let entry = self.tables[at_table].find_entry(hash, |&known| known == address(at));
        assert!(entry.map(|entry| entry.remove()).is_ok(), "every live record is in the map");
        self.items -= 1;
        self.sizes.left(Record::read(&self.arena, at).bytes());
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

/// Puts an address into a table that has a slot for it.
fn put(table: &mut HashTable<u32>, hash: u64, address: u32) {
    table.insert_unique(hash, address, |_| unreachable!("a table grows in make_slot only"));
}

/// The address of a place in the arena.
fn address(at: usize) -> u32 {
    u32::try_from(at / UNIT_BYTES).expect("the arena is not larger than MEMORY_BYTES_CEILING")
}
