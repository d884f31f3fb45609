//! The store: what is kept, where, and for how long.
//!
//! Knows no protocol, no socket and no clock: `now_s` is an argument, in whole seconds on a scale
//! of the caller's that never goes back and never is 0. All memory is laid out at the start; this
//! file finds a record in it, from a key to a value, and the others change it:
//!
//! * `arena`: the memory of all records; `record`: how a record is written; `log`: where the next one goes, and where the oldest is
//! * `change`: how items come, change and go at a client's wish; `in_place`: over an older one
//! * `map`: from hashes to records, without ever growing by much at once
//! * `ahead`: memory that several lookups need, waited for once
//! * `policy`: which records stay when memory is full; `ghost`: those that left too early
//! * `expiry`: when a record is over, and `flush_all`; `counters`, `sizes`: what is kept, in numbers
//! * `verify`: all items one after the other, and all of it checked the slow way
//!
//! ```text
//!  one arena          probation log (a tenth)    main log
//!                    +--------------------------+------------------------------------------------+
//!                    | head>            <tail   |      <tail                            head>    |
//!                    +--------------------------+------------------------------------------------+
//!  new records are   written at the head, and room is made at the tail, where the oldest are. In a
//!  log positions     only grow; the place in the arena is the position modulo the log's size.
//!
//!  one record         0            4          5      6       8           12          16
//!  (8-byte aligned)  +------------+----------+------+-------+-----------+-----------+-----+
//!                    | value bytes| key bytes| marks| marks | expires at| accessed  | cas |
//!                    +------------+----------+------+-------+-----------+-----------+-----+
//!                    [key bytes, if 255 and more] [flags, if not 0] key value, up to 7 unused
//!
//!  one map            hash: 7 bits tag | .. | bits from 20 on: which table | .. | low bits: slot
//!                    +---------+---------+---------+- -   some hundred addresses in each, as u32
//!                    | table 0 | table 1 | table 2 |      counted in units of 8 bytes; one more
//!                    +---------+---------+---------+- -   table for every 96 items
//! ```
//! Nothing is allocated per item, so nothing fragments. A `get` touches one table and one record
//! and moves neither: a counter of two bits in the record remembers that it was wanted.

mod ahead;
mod arena;
mod change;
mod counters;
mod expiry;
mod ghost;
mod in_place;
mod log;
mod map;
mod policy;
mod record;
mod sizes;
mod verify;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use hashbrown::HashTable;
use memmap2::MmapMut;

use crate::config::MEMORY_BYTES_CEILING;
pub use ahead::KEYS_AHEAD;
pub use arena::OutOfMemory;
pub use change::{Amendment, Stored};
pub use counters::Counters;
use ghost::Ghost;
use log::{Log, Place};
pub use map::REHASHED_MAX;
pub use policy::LARGE_BYTES;
use policy::Waiting;
pub use record::Side;
use sizes::Sizes;
pub use verify::Cursor;

/// An `expires_at_s` that never comes.
pub const NEVER: u32 = 0;

/// What addresses count, and what records are aligned to.
const UNIT_BYTES: usize = 8;
/// Bytes in front of every record's key.
const HEADER_BYTES: usize = 24;
/// A length of key that says: the true one stands behind the header.
const LONG_KEY: u8 = u8::MAX;
/// Where in a header things stand that change while the record stays.
const MARKS_AT: usize = 5;
const KEY_ENCODED_AT: usize = 6;
const EXPIRES_AT: usize = 8;
const ACCESSED_AT: usize = 12;
const CAS_AT: usize = 16;

/// The bits of a record's marks. The counter stands in the lowest two: how often the record was
/// wanted since it was last spared, as far as that.
const COUNTER_MAX: u8 = 3;
/// It was read since it was stored.
const FETCHED: u8 = 1 << 2;
/// A client said that it is stale.
const STALE: u8 = 1 << 3;
/// A client has been told to bring a new value.
const WIN_SENT: u8 = 1 << 4;
/// Flags stand behind the header.
const WITH_FLAGS: u8 = 1 << 5;
/// Nothing points here any more.
const DEAD: u8 = 1 << 6;
/// Not a record but space to skip: 8 bytes, and as many as the length of the value says.
const FILLER: u8 = 1 << 7;

const _: () = assert!(MEMORY_BYTES_CEILING <= (u32::MAX as u64 + 1) * UNIT_BYTES as u64);

/// Bits of the hash above which it says the table. hashbrown takes the slot from the lowest bits
/// (tables have at most 1,024) and its tag from the top seven; a table chosen by either would
/// leave the filter without effect (measured: 8 compared keys a miss instead of 0.06).
const TABLE_SHIFT: u32 = 20;

/// A key and its hash: worked out once per request, however much is done under the key.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    bytes: &'k [u8],
    hash: u64,
}

impl<'k> Key<'k> {
    /// The key itself.
    #[must_use]
    pub const fn bytes(self) -> &'k [u8] {
        self.bytes
    }
}

/// What a client says of an item beside its key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The client's own number.
    pub flags: u32,
    /// The first second in which the item is gone, or [`NEVER`].
    pub expires_at_s: u32,
    /// Changes with every change of the value.
    pub cas: u64,
}

/// What meta commands remember at an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The value is out of date, and served all the same.
    pub stale: bool,
    /// One client has been told to bring a new value.
    pub win_sent: bool,
    /// The key is not text: it came in an encoding and is shown in it.
    pub key_encoded: bool,
}

/// A live item, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'s> {
    /// The value.
    pub value: &'s [u8],
    /// What the client said of it.
    pub meta: Meta,
    /// What meta commands remember.
    pub marks: Marks,
    /// It has been read before.
    pub fetched: bool,
    /// When it was read or stored last, before this. May be ahead of now (see `expiry`).
    pub accessed_s: u32,
}

/// All items of a server.
pub struct Store {
    /// All records. Invariant: every byte between a log's tail and head belongs to a record or a
    /// filler that starts there; every record that is not dead is in the map, once.
    arena: MmapMut,
    /// See [`Place`].
    logs: [Log; 2],
    /// Invariant: a table holds the addresses of exactly those records that are not dead and whose
    /// key's hash says this table (see `table_of`). Never reallocated.
    tables: Vec<HashTable<u32>>,
    /// The number of tables, rounded up to a power of two, less 1.
    table_mask: usize,
    /// The seed of all hashes, another one in each process, so that nobody can choose keys that
    /// share a table. std's SipHash costs some 15 ns for a key of 36 bytes; a faster one would give
    /// up that promise for less than a hundredth of what a request costs.
    seed: RandomState,
    /// Whatever was last accessed at or before this second is gone.
    flushed_through_s: u32,
    /// A flush to come.
    flush_at_s: Option<u32>,
    ghost: Ghost,
    /// Live items may be made to leave.
    evicts: bool,
    /// Main has been full once. Until then nothing leaves.
    has_been_full: bool,
    /// Bytes that may yet be spared for what was stored so far.
    chances_bytes: u64,
    /// The large value that room is being made for.
    waiting: Option<Waiting>,
    /// Number of all records that are not dead.
    items: usize,
    /// Bytes of all tables.
    map_bytes: usize,
    /// Where a table's hashes and addresses wait while it is laid out anew.
    scratch: Vec<(u64, u32)>,
    counters: Counters,
    sizes: Sizes,
}

/// Where a record is and what its header says.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// Where in the arena it starts.
    at: usize,
    marks: u8,
    key_encoded: bool,
    key_bytes: usize,
    value_bytes: usize,
    expires_at_s: u32,
    accessed_s: u32,
    cas: u64,
}

impl Store {
    /// An empty store whose records take at most `memory_bytes`. With `evicts` false none of them
    /// has to leave for another one. This is the one place where the map is built.
    ///
    /// # Errors
    /// When there is not so much memory.
    pub fn new(memory_bytes: usize, evicts: bool) -> Result<Self, OutOfMemory> {
        let ghost_bytes = if evicts { memory_bytes / ghost::MEMORY_PER_GHOST } else { 0 };
        let logs = Log::lay_out(memory_bytes - ghost_bytes, evicts);
        // So that the header of the last filler, which is shorter than a record's, can be read.
        let arena_bytes = logs[Place::Main as usize].end() + HEADER_BYTES;
        let arena = arena::map(arena_bytes, ghost_bytes)?;
        let mut tables = Vec::new();
        tables.try_reserve_exact(map::tables_max(memory_bytes)).map_err(|_| OutOfMemory)?;
        tables.push(HashTable::new());
        Ok(Self {
            arena,
            logs,
            map_bytes: size_of_val(&*tables),
            tables,
            table_mask: 0,
            seed: RandomState::new(),
            flushed_through_s: 0,
            flush_at_s: None,
            ghost: Ghost::new(ghost_bytes),
            evicts,
            has_been_full: false,
            chances_bytes: 0,
            waiting: None,
            items: 0,
            scratch: Vec::new(),
            counters: Counters::default(),
            sizes: Sizes::default(),
        })
    }

    /// The live item under `key`, which counts as wanted from now on.
    pub fn get(&mut self, key: Key<'_>, now_s: u32) -> Option<Item<'_>> {
        let record = self.find_live(key, now_s)?;
        self.count_access(&record, FETCHED, now_s);
        Some(record.item(&self.arena))
    }

    /// Remembers that a record was wanted, and sets `marks` at it.
    fn count_access(&mut self, record: &Record, marks: u8, now_s: u32) {
        let counter = u8::from(record.marks & COUNTER_MAX < COUNTER_MAX);
        self.arena[record.at + MARKS_AT] = (record.marks + counter) | marks;
        self.set_accessed(record.at, now_s);
    }

    /// The live item under `key`, unnoticed.
    pub fn peek(&mut self, key: Key<'_>, now_s: u32) -> Option<Item<'_>> {
        let record = self.find_live(key, now_s)?;
        Some(record.item(&self.arena))
    }

    /// The live record under `key`. One that is over is forgotten.
    fn find_live(&mut self, key: Key<'_>, now_s: u32) -> Option<Record> {
        self.flush_if_due(now_s);
        let record = self.find(key)?;
        if self.is_live(&record, now_s) {
            return Some(record);
        }
        self.bury_expired(key.hash, &record);
        None
    }

    /// Carries out a flush whose time has come (see `expiry`).
    fn flush_if_due(&mut self, now_s: u32) {
        if self.flush_at_s.is_some_and(|at_s| at_s <= now_s) {
            self.flush_at_s = None;
            self.flushed_through_s = now_s.max(self.flushed_through_s.saturating_add(1));
        }
    }

    /// What all that is done under a key asks for.
    #[must_use]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.hash(bytes) }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    /// The table that a hash says: with as many bits as the number of tables takes, or one less
    /// where that table does not exist yet.
    #[allow(clippy::cast_possible_truncation, reason = "the mask leaves 23 bits at most")]
    const fn table_of(&self, hash: u64) -> usize {
        let table = (hash >> TABLE_SHIFT) as usize & self.table_mask;
        if table < self.tables.len() { table } else { table & self.table_mask >> 1 }
    }

    /// The record under `key`, live or not.
    fn find(&self, key: Key<'_>) -> Option<Record> {
        let arena = &*self.arena;
        let mut found = None;
        self.tables[self.table_of(key.hash)].find(key.hash, |&address| {
            let record = Record::read(arena, place_of(address));
            let same = record.key(arena) == key.bytes;
            found = same.then_some(record);
            same
        })?;
        found
    }

    /// Neither past its time nor last accessed before a flush?
    const fn is_live(&self, record: &Record, now_s: u32) -> bool {
        (record.expires_at_s == NEVER || record.expires_at_s > now_s)
            && record.accessed_s > self.flushed_through_s
    }

    /// Writes the time of an access, which is above every flush so far.
    fn set_accessed(&mut self, at: usize, now_s: u32) {
        let accessed_s = now_s.max(self.flushed_through_s.saturating_add(1));
        self.arena[at + ACCESSED_AT..at + CAS_AT].copy_from_slice(&accessed_s.to_le_bytes());
    }
}

impl Record {
    /// What stands at a place. Inlined, so that whoever looks ahead loads what it asks for and no more.
    #[inline(always)]
    fn read(arena: &[u8], at: usize) -> Self {
        let header: &[u8; HEADER_BYTES] = arena[at..].first_chunk().expect("a record has a header");
        let marks = header[MARKS_AT];
        let key_bytes = match header[4] {
            LONG_KEY => number(&arena[at + HEADER_BYTES..]) as usize,
            bytes => usize::from(bytes),
        };
        Self {
            at,
            marks,
            key_encoded: header[KEY_ENCODED_AT] != 0,
            key_bytes,
            value_bytes: number(header) as usize,
            expires_at_s: number(&header[EXPIRES_AT..]),
            accessed_s: number(&header[ACCESSED_AT..]),
            cas: u64::from(number(&header[CAS_AT..])) | u64::from(number(&header[20..])) << 32,
        }
    }

    /// Where the key starts.
    const fn key_at(&self) -> usize {
        let long_key = if self.key_bytes >= LONG_KEY as usize { 4 } else { 0 };
        let flags = if self.marks & WITH_FLAGS == 0 { 0 } else { 4 };
        self.at + HEADER_BYTES + long_key + flags
    }

    fn key<'s>(&self, arena: &'s [u8]) -> &'s [u8] {
        &arena[self.key_at()..][..self.key_bytes]
    }

    fn item<'s>(&self, arena: &'s [u8]) -> Item<'s> {
        let key_at = self.key_at();
        let flags = if self.marks & WITH_FLAGS == 0 { 0 } else { number(&arena[key_at - 4..]) };
        Item {
            value: &arena[key_at + self.key_bytes..][..self.value_bytes],
            meta: Meta { flags, expires_at_s: self.expires_at_s, cas: self.cas },
            marks: Marks {
                stale: self.marks & STALE != 0,
                win_sent: self.marks & WIN_SENT != 0,
                key_encoded: self.key_encoded,
            },
            fetched: self.marks & FETCHED != 0,
            accessed_s: self.accessed_s,
        }
    }
}

/// Where in the arena an address points.
const fn place_of(address: u32) -> usize {
    address as usize * UNIT_BYTES
}

/// The number at the start of `bytes`.
fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
