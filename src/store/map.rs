//! The map: an index from keys to records, shared by all sessions.
//!
//! ```text
//!  hash of a key:   7 bits tag | .. | bits from 20 on: which table | .. | low bits: which slot
//!  +---------+---------+---------+- -    about a hundred addresses in each, u32; one more table
//!  | table 0 | table 1 | table 2 |       for every 96 records
//!  +---------+---------+---------+- -
//! ```
//! The map is linear hashing (Litwin, 1980) over many small tables. Each table grows alone. For every
//! [`TABLE_ITEMS`] records one table is added: the next table in turn is split by one more bit of the
//! hash. No insertion rehashes more than [`REHASHED_MAX`] records, and the tables' headers stay in the
//! processor's cache. Knows no log, no policy and no time.
//!
//! One `HashMap` would stall all clients when it grows (1.8 s for 8 million items), and hold each key a
//! second time. As many tables from the start as the smallest records may need would have headers that
//! do not stay in the cache (a get among 100 thousand items of `-m 1024` took 112 ns instead of 71 when
//! this was chosen).

use hashbrown::HashTable;

use super::arena::{Arena, OutOfMemory};
use super::hash::Seed;
use super::record::{RECORD_BYTES_MIN, Record};

/// Limit of records that one insertion rehashes.
pub const REHASHED_MAX: usize = 512;
/// Records of each table, on average. The next table to be split has up to twice as many, and by chance
/// more (262 while 8 million were inserted). 192 would save at most a byte for each record, but 1.1 %
/// of the stores of a growing cache took longer than 50 microseconds with it, instead of 0.2 %, when
/// this was chosen.
const TABLE_ITEMS: usize = 96;
/// Limit of records in a table, so that the cost of rebuilding it is bounded for all keys. In a full
/// table a record has to be removed for each new one. By chance no table gets near the limit. But a
/// client that may list keys learns from their order which ones share a table, and without the limit
/// could fill one with 1,792 records.
const TABLE_ITEMS_MAX: usize = 448;
const _: () = assert!(TABLE_ITEMS_MAX <= REHASHED_MAX);
/// When a table is rebuilt, it keeps its memory if its records take at most so many of each 32 slots.
/// It is full at 28 of 32, so at least a fourteenth of its capacity is free then. A table with more
/// records, or with at most [`TINY_SLOTS`], gets new memory for one record more than it holds, which is
/// not always larger.
const TAKEN_MAX: usize = 26;
const TINY_SLOTS: usize = 16;
/// The bits of the hash from this one on choose the table. hashbrown takes the slot from the lowest
/// bits (tables have at most 512 slots) and its tag from the top seven. If either chose the table, too,
/// it would be much the same for all records of a table: a miss then compares 8 keys instead of 0.06.
const TABLE_SHIFT: u32 = 20;

/// A key and its hash, which is computed once per request.
#[derive(Clone, Copy, Debug)]
pub struct HashedKey<'k> {
    bytes: &'k [u8],
    hash: u64,
    /// The address of a record that probably has this key. It was in the map in the epoch beside it.
    likely_address: u32,
    /// 0 if there is no such address.
    epoch: u64,
}

impl<'k> HashedKey<'k> {
    /// No key: for places that have not been filled.
    pub const EMPTY: Self = Self { bytes: &[], hash: 0, likely_address: 0, epoch: 0 };

    /// The key itself.
    #[must_use]
    pub const fn bytes(self) -> &'k [u8] {
        self.bytes
    }

    /// Its hash, which differs from process to process.
    #[must_use]
    pub const fn hash(self) -> u64 {
        self.hash
    }
}

/// See the module.
pub(super) struct Map {
    /// Invariant: a table holds the addresses of exactly those live records whose key's hash selects
    /// this table (see [`Self::table_of`]). The vector is never reallocated.
    tables: Vec<HashTable<u32>>,
    /// The number of tables, rounded up to a power of two, less 1.
    mask: usize,
    /// The seed of all hashes. It is random in each process, so no client can choose keys that share a
    /// table, unless it may list keys and learns from their order. [`TABLE_ITEMS_MAX`] bounds that.
    seed: Seed,
    /// Number of addresses in all tables.
    len: usize,
    /// Changes, from 1 on, whenever an address is removed or replaced. While it is the same, every
    /// address that was in the map still is that of a live record.
    epoch: u64,
    /// Bytes of all tables.
    bytes: usize,
    /// Memory for a table's hashes and addresses while the table is rebuilt or split.
    scratch: Vec<(u64, u32)>,
}

impl Map {
    /// An empty map for the records that fit into `memory_bytes`.
    pub(super) fn for_memory(memory_bytes: usize) -> Result<Self, OutOfMemory> {
        let tables_max = memory_bytes / RECORD_BYTES_MIN / TABLE_ITEMS + 1;
        let mut tables = Vec::new();
        tables.try_reserve_exact(tables_max).map_err(|_| OutOfMemory)?;
        tables.push(HashTable::new());
        Ok(Self {
            bytes: size_of_val(&*tables),
            tables,
            mask: 0,
            seed: Seed::random(),
            len: 0,
            epoch: 1,
            scratch: Vec::new(),
        })
    }

    /// Makes an empty map as large as insertions of so many records would make it, but at once: the
    /// tables that these split would rehash each record about three times.
    pub(super) fn prepare(&mut self, records: usize) {
        debug_assert_eq!(self.len, 0, "the map is empty");
        let tables = (records / TABLE_ITEMS + 1).min(self.tables.capacity());
        self.mask = tables.next_power_of_two() - 1;
        let half = self.mask.div_ceil(2);
        self.tables.clear();
        for table in 0..tables {
            // A table that is not split yet takes twice as many records.
            let is_whole = table >= half || table + half < tables;
            let items = if is_whole { TABLE_ITEMS } else { 2 * TABLE_ITEMS };
            self.tables.push(HashTable::with_capacity(items));
        }
        let allocated: usize = self.tables.iter().map(HashTable::allocation_size).sum();
        self.bytes = allocated + size_of_val(&*self.tables);
    }

    /// Number of addresses in all tables.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all tables.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(super) fn hashed_key<'k>(&self, bytes: &'k [u8]) -> HashedKey<'k> {
        HashedKey { bytes, hash: self.hash(bytes), likely_address: 0, epoch: 0 }
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.seed.hash(key)
    }

    /// The index of a hash's table. It has as many bits as the mask, or one less if that table does not
    /// exist yet.
    #[allow(clippy::cast_possible_truncation, reason = "the mask leaves 24 bits at most")]
    const fn table_of(&self, hash: u64) -> usize {
        let table = (hash >> TABLE_SHIFT) as usize & self.mask;
        if table < self.tables.len() { table } else { table & self.mask >> 1 }
    }

    /// The record under `key`. Inlined, so that its fields need not go through memory.
    #[inline(always)]
    pub(super) fn find(&self, key: HashedKey<'_>, arena: &Arena) -> Option<Record> {
        if key.epoch == self.epoch {
            let likely = arena.record(arena.offset(key.likely_address));
            if likely.has_key(key.bytes, arena) {
                return Some(likely);
            }
        }
        self.find_address(key, arena).map(|address| arena.record(arena.offset(address)))
    }

    fn find_address(&self, key: HashedKey<'_>, arena: &Arena) -> Option<u32> {
        let is_under_key =
            |&address: &u32| arena.record(arena.offset(address)).has_key(key.bytes, arena);
        self.tables[self.table_of(key.hash)].find(key.hash, is_under_key).copied()
    }

    /// Notes in `key` the address of a record that has its hash's tag, and nearly always the key. Returns
    /// the address. No key is compared.
    pub(super) fn note_likely_address(&self, key: &mut HashedKey<'_>) -> Option<u32> {
        let address = self.tables[self.table_of(key.hash)].find(key.hash, |_| true).copied();
        if let Some(address) = address {
            (key.likely_address, key.epoch) = (address, self.epoch);
        }
        address
    }

    /// The address of a record that has to be removed before one with this hash can be inserted. None
    /// if the hash's table is not full.
    pub(super) fn obstacle(&self, hash: u64) -> Option<u32> {
        let table = &self.tables[self.table_of(hash)];
        if table.len() < TABLE_ITEMS_MAX { None } else { table.iter().next().copied() }
    }

    /// Inserts the address of a record whose key is in no table. Returns the number of rehashed
    /// records.
    pub(super) fn insert(&mut self, hash: u64, address: u32, arena: &Arena) -> usize {
        let table = self.table_of(hash);
        let mut rehashed = 0;
        if self.tables[table].len() == self.tables[table].capacity() {
            rehashed = self.rebuild(table, arena);
        }
        put(&mut self.tables[table], hash, address);
        self.len += 1;
        if rehashed == 0 && self.len > self.tables.len() * TABLE_ITEMS {
            rehashed = self.split(arena);
        }
        rehashed
    }

    /// Removes an address.
    ///
    /// # Panics
    /// When the address is not in the map.
    pub(super) fn remove(&mut self, hash: u64, address: u32) {
        let table = self.table_of(hash);
        let entry = self.tables[table].find_entry(hash, |&known| known == address);
        assert!(entry.map(|entry| entry.remove()).is_ok(), "every live record is in the map");
        self.len -= 1;
        self.epoch += 1;
    }

    /// Replaces the address of a record that has moved.
    ///
    /// # Panics
    /// When the address `from` is not in the map.
    pub(super) fn relocate(&mut self, hash: u64, from: u32, to: u32) {
        let table = self.table_of(hash);
        let known = self.tables[table].find_mut(hash, |&known| known == from);
        *known.expect("every live record is in the map") = to;
        self.epoch += 1;
    }

    /// Number of tables.
    pub(super) fn tables(&self) -> usize {
        self.tables.len()
    }

    /// Number of addresses in one table.
    pub(super) fn table_len(&self, table: usize) -> usize {
        self.tables[table].len()
    }

    /// Removes those addresses of one table for which `keeps` returns false.
    pub(super) fn retain(&mut self, table: usize, mut keeps: impl FnMut(u32) -> bool) {
        let table = &mut self.tables[table];
        let before = table.len();
        table.retain(|&mut address| keeps(address));
        self.len -= before - table.len();
        self.epoch += 1;
    }

    /// Rebuilds a table that has no free slot, so that it has one. Returns the number of rehashed
    /// records.
    ///
    /// In hashbrown a slot may count as taken after a removal, until its table is rebuilt. hashbrown
    /// would double a table that is more than half full instead: after enough insertions and removals
    /// most tables would be twice as large. So a table that is not really full keeps its memory here.
    fn rebuild(&mut self, table: usize, arena: &Arena) -> usize {
        let entries = self.drain_table(table, arena);
        let rehashed = entries.len();
        let table = &mut self.tables[table];
        let slots = table.num_buckets();
        if slots <= TINY_SLOTS || rehashed > slots / 32 * TAKEN_MAX {
            self.bytes -= table.allocation_size();
            *table = HashTable::with_capacity(rehashed + 1);
            self.bytes += table.allocation_size();
        }
        for &(hash, address) in &entries {
            put(table, hash, address);
        }
        self.scratch = entries;
        rehashed
    }

    /// Divides the records of the next table in turn between it and a new one. Returns the number of
    /// rehashed records.
    fn split(&mut self, arena: &Arena) -> usize {
        let new = self.tables.len();
        self.mask = (new + 1).next_power_of_two() - 1;
        let old = new & self.mask >> 1;
        let entries = self.drain_table(old, arena);
        self.tables.push(HashTable::new());
        let moving = entries.iter().filter(|&&(hash, _)| self.table_of(hash) == new).count();
        self.bytes -= self.tables[old].allocation_size();
        for (table, items) in [(old, entries.len() - moving), (new, moving)] {
            self.tables[table] = HashTable::with_capacity(items);
            self.bytes += self.tables[table].allocation_size();
        }
        self.bytes += size_of::<HashTable<u32>>();
        for &(hash, address) in &entries {
            let table = self.table_of(hash);
            put(&mut self.tables[table], hash, address);
        }
        let rehashed = entries.len();
        self.scratch = entries;
        rehashed
    }

    /// Removes all addresses from a table. Returns them with their hashes.
    fn drain_table(&mut self, table: usize, arena: &Arena) -> Vec<(u64, u32)> {
        let mut entries = std::mem::take(&mut self.scratch);
        entries.clear();
        let mut drained = std::mem::take(&mut self.tables[table]);
        for address in drained.drain() {
            let record = arena.record(arena.offset(address));
            entries.push((self.hash(record.key(arena)), address));
        }
        self.tables[table] = drained;
        entries
    }

    /// The addresses of the table at `cursor`, and the next cursor, or None at the end of the walk.
    ///
    /// A walk visits the tables in the order of their index with its bits reversed. In this order a
    /// table that is split and the new one are neighbours, so a walk has passed either both of them or
    /// neither.
    pub(super) fn walk(&self, cursor: u64) -> (impl Iterator<Item = u32>, Option<u64>) {
        let table = self.table_of(cursor.reverse_bits() << TABLE_SHIFT);
        // A table that is not split yet is selected by one bit fewer.
        let half = table | (self.mask + 1) >> 1;
        let whole = table == half || half < self.tables.len();
        let bits = (self.mask >> usize::from(!whole)).count_ones();
        let next = 1u64.checked_shl(u64::BITS - bits).and_then(|step| cursor.checked_add(step));
        (self.tables[table].iter().copied(), next)
    }

    /// Checks the sums. For tests.
    ///
    /// # Panics
    /// When a sum is wrong.
    pub(super) fn verify(&self) {
        let len: usize = self.tables.iter().map(HashTable::len).sum();
        assert_eq!(len, self.len, "addresses add up");
        let bytes = self.tables.iter().map(HashTable::allocation_size).sum::<usize>();
        assert_eq!(bytes + size_of_val(&*self.tables), self.bytes, "bytes of tables add up");
    }
}

/// Inserts an address into a table that has a free slot.
fn put(table: &mut HashTable<u32>, hash: u64, address: u32) {
    table.insert_unique(hash, address, |_| unreachable!("the table has a free slot"));
}
