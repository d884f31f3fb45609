//! The map: from keys to records. All sessions change this one, which is built in one place.
//!
//! ```text
//!  hash of a key:   7 bits tag | .. | bits from 20 on: which table | .. | low bits: which slot
//!  +---------+---------+---------+- -    about a hundred addresses in each, u32; one more table
//!  | table 0 | table 1 | table 2 |       for every 96 records
//!  +---------+---------+---------+- -
//! ```
//! Why not one `HashMap`: growing one stalls all clients (8 million items: 1.8 s at once), and it would
//! hold each key a second time. So there are many small tables, each of which grows alone, and for
//! every [`TABLE_ITEMS`] records there comes one more, in the manner of linear hashing (Litwin, 1980):
//! the next in turn is split by one more bit of the hash. No operation touches more than
//! [`REHASHED_MAX`] records, and the tables' headers stay in the processor's cache. (With as many
//! tables from the start as the smallest records would need, a get among 100 thousand items of
//! `-m 1024` took 112 ns instead of 71 when this was chosen.) Knows no log, no policy and no time.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use hashbrown::HashTable;

use super::arena::{Arena, OutOfMemory};
use super::record::{RECORD_BYTES_MIN, Record};

/// No operation computes the hashes of more records than this.
pub const REHASHED_MAX: usize = 512;
/// Records for each table, on average. The next one to be split has up to twice as many, and by chance
/// more (262 while 8 million went in). With 192 records, a byte less for each at worst, six times as
/// many stores of a growing cache took longer than 50 microseconds when this was chosen: 1.1 instead of
/// 0.2 %.
const TABLE_ITEMS: usize = 96;
/// A table never holds more records than this, so that laying it out anew is bounded whatever the keys
/// are. By chance none comes near. A client that may list keys learns from their order which ones
/// share a table, and could fill one with 1,792 records; with this one of them is evicted instead.
const TABLE_ITEMS_MAX: usize = 448;
const _: () = assert!(TABLE_ITEMS_MAX <= REHASHED_MAX);
/// A table with so many slots in thirty-two taken is larger when it is laid out anew (it is full
/// at 28, so at least a fourteenth of its slots is free again when it is not). Tiny ones always are.
const TAKEN_MAX: usize = 26;
const TINY_SLOTS: usize = 16;
/// Bits of the hash from here on choose the table. hashbrown takes the slot from the lowest bits
/// (tables have at most 512) and its tag from the top seven; a table chosen by either would
/// leave the filter without effect (measured: 8 compared keys a miss instead of 0.06).
const TABLE_SHIFT: u32 = 20;

/// A key and its hash: computed once per request, however much is done under the key.
#[derive(Clone, Copy, Debug)]
pub struct HashedKey<'k> {
    bytes: &'k [u8],
    hash: u64,
}

impl<'k> HashedKey<'k> {
    /// The key itself.
    #[must_use]
    pub const fn bytes(self) -> &'k [u8] {
        self.bytes
    }

    pub(super) const fn hash(self) -> u64 {
        self.hash
    }
}

/// See the module.
pub(super) struct Map {
    /// Invariant: a table holds the addresses of exactly those live records whose key's hash selects this
    /// table (see [`Self::table_of`]). Never reallocated.
    tables: Vec<HashTable<u32>>,
    /// The number of tables, rounded up to a power of two, less 1.
    mask: usize,
    /// The seed of all hashes, another one in each process, so that no client can compute keys that
    /// share a table. std's SipHash costs some 15 ns for a key of 36 bytes; a faster one would give
    /// up that promise for less than a hundredth of what a request costs.
    seed: RandomState,
    /// Number of all addresses.
    len: usize,
    /// Bytes of all tables.
    bytes: usize,
    /// Where a table's hashes and addresses wait while it is laid out anew.
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
            seed: RandomState::new(),
            len: 0,
            scratch: Vec::new(),
        })
    }

    /// Addresses in it.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all tables.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn hashed_key<'k>(&self, bytes: &'k [u8]) -> HashedKey<'k> {
        HashedKey { bytes, hash: self.hash(bytes) }
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    /// The index of a hash's table: with as many bits as the number of tables takes, or one less
    /// where that table does not exist yet.
    #[allow(clippy::cast_possible_truncation, reason = "the mask leaves 24 bits at most")]
    const fn table_of(&self, hash: u64) -> usize {
        let table = (hash >> TABLE_SHIFT) as usize & self.mask;
        if table < self.tables.len() { table } else { table & self.mask >> 1 }
    }

    /// The record under `key`.
    pub(super) fn find(&self, key: HashedKey<'_>, arena: &Arena) -> Option<Record> {
        let mut found = None;
        self.tables[self.table_of(key.hash)].find(key.hash, |&address| {
            let record = arena.record(arena.offset(address));
            let same = record.key(arena) == key.bytes;
            found = same.then_some(record);
            same
        })?;
        found
    }

    /// Where a record lies that is probably the one with this hash.
    pub(super) fn likely_address(&self, hash: u64) -> Option<u32> {
        self.tables[self.table_of(hash)].find(hash, |_| true).copied()
    }

    /// Where a table is full, the address of a record in it that has to be removed before one with this
    /// hash can be inserted.
    pub(super) fn obstacle(&self, hash: u64) -> Option<u32> {
        let table = &self.tables[self.table_of(hash)];
        if table.len() < TABLE_ITEMS_MAX { None } else { table.iter().next().copied() }
    }

    /// Notes the address of a record whose key is in no table. Returns how many records were re-hashed.
    pub(super) fn insert(&mut self, hash: u64, address: u32, arena: &Arena) -> usize {
        let table = self.table_of(hash);
        let mut rehashed = 0;
        if self.tables[table].len() == self.tables[table].capacity() {
            rehashed = self.make_slot(table, arena);
        }
        put(&mut self.tables[table], hash, address);
        self.len += 1;
        if rehashed == 0 && self.len > self.tables.len() * TABLE_ITEMS {
            rehashed = self.split(arena);
        }
        rehashed
    }

    /// Forgets an address.
    ///
    /// # Panics
    /// When it is not here.
    pub(super) fn remove(&mut self, hash: u64, address: u32) {
        let table = self.table_of(hash);
        let entry = self.tables[table].find_entry(hash, |&known| known == address);
        assert!(entry.map(|entry| entry.remove()).is_ok(), "every live record is in the map");
        self.len -= 1;
    }

    /// Notes that a record has moved.
    ///
    /// # Panics
    /// When it was not here.
    pub(super) fn relocate(&mut self, hash: u64, from: u32, to: u32) {
        let table = self.table_of(hash);
        let known = self.tables[table].find_mut(hash, |&known| known == from);
        *known.expect("every live record is in the map") = to;
    }

    /// Number of tables.
    pub(super) fn tables(&self) -> usize {
        self.tables.len()
    }

    /// Addresses in one of them.
    pub(super) fn table_len(&self, table: usize) -> usize {
        self.tables[table].len()
    }

    /// Forgets those addresses of one table for which `keeps` is false.
    pub(super) fn retain(&mut self, table: usize, mut keeps: impl FnMut(u32) -> bool) {
        let table = &mut self.tables[table];
        let before = table.len();
        table.retain(|&mut address| keeps(address));
        self.len -= before - table.len();
    }

    /// Gives a full table another slot. Returns how many records were re-hashed.
    ///
    /// A slot that was emptied may count as taken until its table is laid out anew, which hashbrown
    /// takes for a reason to double: after enough insertions and removals every table would have
    /// twice its size. So a table that is not really full is laid out in the memory that it has.
    fn make_slot(&mut self, table: usize, arena: &Arena) -> usize {
        let waiting = self.empty_table(table, arena);
        let rehashed = waiting.len();
        let table = &mut self.tables[table];
        let slots = table.num_buckets();
        if slots <= TINY_SLOTS || rehashed > slots / 32 * TAKEN_MAX {
            self.bytes -= table.allocation_size();
            *table = HashTable::with_capacity(rehashed + 1);
            self.bytes += table.allocation_size();
        }
        for &(hash, address) in &waiting {
            put(table, hash, address);
        }
        self.scratch = waiting;
        rehashed
    }

    /// Divides the records of the next table in turn between it and a new one. Returns how many
    /// were re-hashed.
    fn split(&mut self, arena: &Arena) -> usize {
        let new = self.tables.len();
        self.mask = (new + 1).next_power_of_two() - 1;
        let old = new & self.mask >> 1;
        let waiting = self.empty_table(old, arena);
        self.tables.push(HashTable::new());
        let moving = waiting.iter().filter(|&&(hash, _)| self.table_of(hash) == new).count();
        self.bytes -= self.tables[old].allocation_size();
        for (table, items) in [(old, waiting.len() - moving), (new, moving)] {
            self.tables[table] = HashTable::with_capacity(items);
            self.bytes += self.tables[table].allocation_size();
        }
        self.bytes += size_of::<HashTable<u32>>();
        for &(hash, address) in &waiting {
            let table = self.table_of(hash);
            put(&mut self.tables[table], hash, address);
        }
        let rehashed = waiting.len();
        self.scratch = waiting;
        rehashed
    }

    /// Takes all addresses out of a table, with their hashes.
    fn empty_table(&mut self, table: usize, arena: &Arena) -> Vec<(u64, u32)> {
        let mut taken = std::mem::take(&mut self.scratch);
        taken.clear();
        let mut emptied = std::mem::take(&mut self.tables[table]);
        for address in emptied.drain() {
            let record = arena.record(arena.offset(address));
            taken.push((self.hash(record.key(arena)), address));
        }
        self.tables[table] = emptied;
        taken
    }

    /// The addresses of one table, which a walk has come to, and where the walk goes on, or None at
    /// its end.
    ///
    /// A walk takes the tables in the order of the hash bits that choose one, the first bit highest.
    /// In this order a table that is split lies beside the new one, so that the walk has passed both,
    /// or neither.
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
    /// When one does not hold.
    pub(super) fn verify(&self) {
        let len: usize = self.tables.iter().map(HashTable::len).sum();
        assert_eq!(len, self.len, "addresses add up");
        let bytes = self.tables.iter().map(HashTable::allocation_size).sum::<usize>();
        assert_eq!(bytes + size_of_val(&*self.tables), self.bytes, "bytes of tables add up");
    }
}

/// Puts an address into a table that has a slot for it.
fn put(table: &mut HashTable<u32>, hash: u64, address: u32) {
    table.insert_unique(hash, address, |_| unreachable!("a table grows in make_slot only"));
}
