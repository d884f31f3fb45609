//! The store: items in memory, their lookup, expiry and eviction.
//!
//! ```text
//!   key --hash--> Map ------ address ------> Arena, which two Logs share
//!                 [t0][t1][t2]..            +--------------------+--------------------------------+
//!                 small tables of u32       | probation, 1/13    | main                           |
//!                                           +--------------------+--------------------------------+
//!   new records are appended at a log's head; room is made at its tail, at the oldest records
//! ```
//! Three types hold the data, each with its own invariants. Read them in this order:
//! * `record`: the memory layout of one item; `arena`: the memory
//! * `log`: a circular log: append at the head, pop at the tail, dead bytes between
//! * `map`: an index from keys to records that grows in small steps; `hash`: the hash of keys
//!
//! [`Store`] is the policy over them:
//! * this file: lookups; `item`: a handle that changes an item in place; `set`: stores, extensions and
//!   deletions; `prefetch`: loads the memory of several lookups at once
//! * `policy`: which log a record goes to, and what is evicted when memory is full; `ghost`: the keys
//!   that were evicted from probation
//! * `limit`: a lower limit of memory, while the server runs
//! * `flush`, `flushed_prefixes`, `sweep`: when items expire or are flushed, and how their memory is
//!   reclaimed
//! * `snapshot`: the live items as a stream of bytes, and back
//! * `evicted`: a log of evicted items; `counters`, `sizes`: sums; `walk`: all items in steps; `verify`:
//!   the invariants, for tests
//!
//! The store knows no protocol, no socket and no clock. The caller passes the time as `now_s`, in whole
//! seconds on a scale of its own that never is 0. The memory of records is mapped at the start, the
//! map's tables grow one at a time, and nothing is allocated per item, so memory does not fragment. A
//! `get` reads one table and one record and moves neither; a counter of two bits in the record counts
//! its reads. Every call with a `now_s` may also make a step of the sweep.

mod arena;
mod counters;
mod evicted;
mod flush;
mod flushed_prefixes;
mod ghost;
mod hash;
mod item;
mod limit;
mod log;
mod map;
mod policy;
mod prefetch;
mod record;
mod set;
mod sizes;
mod snapshot;
mod sweep;
mod verify;
mod walk;

use arena::Arena;
pub use arena::OutOfMemory;
pub use counters::StoreCounters;
pub use evicted::EvictedItem;
use evicted::EvictedLog;
pub use flush::PrefixFlush;
use flushed_prefixes::FlushedPrefixes;
pub use flushed_prefixes::PREFIX_BYTES_MAX;
use ghost::Ghost;
pub use item::{ItemAddress, ItemMut};
use limit::Limits;
use log::Log;
use map::Map;
pub use map::{HashedKey, REHASHED_MAX};
pub use policy::LARGE_BYTES;
use policy::PolicyState;
pub use policy::Stored;
pub use prefetch::PREFETCH_BATCH;
pub use record::{Attributes, Item, Marks, NEVER, Side};
use record::{FETCHED, Record};
use sizes::Sizes;
pub use snapshot::{Restored, SaveCursor, SavedBytes, SavedItem, SavedPart, saved_item};
use sweep::Sweep;
pub use walk::Cursor;

/// Cost of reading one record's header, in bytes of copying: one load of a cache line.
const RECORD_WORK_BYTES: u64 = 64;

/// All items of a server: one map, over records in two logs.
pub struct Store {
    /// Refers to every live record, and to nothing else.
    map: Map,
    /// All records.
    arena: Arena,
    /// Probation and main (see `policy::Queue`).
    logs: [Log; 2],
    /// What the logs may hold at most (see `limit`).
    limits: Limits,
    /// Keys that were evicted from probation.
    ghost: Ghost,
    /// Live items may be evicted. Otherwise new items are refused when memory is full.
    evicts: bool,
    policy: PolicyState,
    evicted: EvictedLog,
    /// A delayed flush is due in this second.
    flush_at_s: Option<u32>,
    flushed_prefixes: FlushedPrefixes,
    sweep: Sweep,
    counters: StoreCounters,
    sizes: Sizes,
    /// See [`Self::work_bytes`].
    work_bytes: u64,
}

impl Store {
    /// An empty store whose records take at most `memory_bytes`. With `evicts` false no live record
    /// is evicted for a new one.
    ///
    /// # Errors
    /// When the kernel does not grant the memory.
    pub fn new(memory_bytes: usize, evicts: bool) -> Result<Self, OutOfMemory> {
        let ghost_bytes = if evicts { memory_bytes / ghost::MEMORY_PER_GHOST } else { 0 };
        let record_bytes = memory_bytes - ghost_bytes;
        let arena = Arena::map(record_bytes, ghost_bytes)?;
        let map = Map::for_memory(memory_bytes)?;
        Ok(Self {
            map,
            limits: Limits::new(memory_bytes),
            logs: policy::lay_out(record_bytes, arena.round_up(1), evicts),
            arena,
            ghost: Ghost::new(ghost_bytes),
            evicts,
            policy: PolicyState::new(),
            evicted: EvictedLog::default(),
            flush_at_s: None,
            flushed_prefixes: FlushedPrefixes::new(),
            sweep: Sweep::new(),
            counters: StoreCounters::default(),
            sizes: Sizes::default(),
            work_bytes: 0,
        })
    }

    /// Hashes a key once, for all operations under it.
    #[must_use]
    pub fn hashed_key<'k>(&self, bytes: &'k [u8]) -> HashedKey<'k> {
        self.map.hashed_key(bytes)
    }

    /// The live item under `key`. The call counts as a read, which the returned item does not show yet.
    pub fn get(&mut self, key: HashedKey<'_>, now_s: u32) -> Option<Item<'_>> {
        let record = self.find_live(key, now_s)?;
        let mut accessed = record;
        accessed.count_access(FETCHED, now_s, &mut self.arena);
        Some(record.item(&self.arena))
    }

    /// The live item under `key`. It does not count as read.
    pub fn peek(&mut self, key: HashedKey<'_>, now_s: u32) -> Option<Item<'_>> {
        let record = self.find_live(key, now_s)?;
        Some(record.item(&self.arena))
    }

    /// The live record under `key`. An expired or flushed one is removed.
    #[inline(always)]
    fn find_live(&mut self, key: HashedKey<'_>, now_s: u32) -> Option<Record> {
        self.tick(now_s);
        let record = self.map.find(key, &self.arena)?;
        if self.is_live(&record, now_s) {
            return Some(record);
        }
        self.remove_expired(key.hash(), &record);
        None
    }
}
