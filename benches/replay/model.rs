//! Caches that exist on paper only: which keys a design would hold, without a server around it.
//!
//! A design is compared with others, and with real servers, by the workloads of this bench before
//! it is built. To add one: implement [`Model`], and name it in [`Design`]. A model counts
//! the bytes of its records against the limit, as `-m` does, and nothing else: map and buffers are
//! beside it. Knows no server and no workload.
//!
//! What was tried on S3-FIFO with a probation of a tenth and a ghost of as many keys as items. Misses
//! in parts of LRU's (`-m 16`, one seed): the median over the eleven workloads that do not fit.
//!
//! ```text
//!                                           median  zipf 0.9  scans  twitter-8h  overwrites
//! as it is                                   0.852     0.848  0.721       1.116       1.046
//! probation 3 %, ghost of half               0.825     0.804  0.733       1.191       1.029
//! probation 5 %, ghost of half (s3-fifo-5)   0.828     0.810  0.732       1.164       1.031
//!   and sized (s3-fifo-5-sized)              0.802     0.774  0.702       1.163       1.030
//! probation 7.5 %, ghost of half             0.832     0.816  0.736       1.142       1.053
//! probation 5 %, 7.5 %, 15 %: median         0.840, 0.847, 0.867
//! ghost of half, of twice: median            0.834, 0.917
//! header of 20, 16 bytes: median             0.849, 0.844
//! ```
//! Without effect: reads that do not count in the newest 10, 25, 50 % of probation (0.854, 0.850,
//! 0.851: Clock2Q+'s window), two reads to enter main (0.850), or two for records above 1000 bytes
//! (0.848), sizes weighed where main is entered (0.848), a counter kept there (0.853). Worse: a
//! counter of at most 2 or 1 (0.860, 0.888), halved at each second chance (0.860), second chances for
//! one byte per byte stored (0.873).

use std::collections::HashMap;

use clap::ValueEnum;

use super::memcached::Memcached;
use super::queues::Queues;
use super::real::Real;

/// Of a record's header. Key and value follow, and the whole is rounded up to [`ALIGNMENT_BYTES`].
const HEADER_BYTES: u64 = 24;
const ALIGNMENT_BYTES: u64 = 8;

/// What a design does with requests. `now_s` never goes back.
pub(crate) trait Model {
    /// Whether there is a live item under `key`; if so, it has been read.
    fn get(&mut self, key: u64, now_s: u32) -> bool;
    /// Keeps an item. False when there can be no room for it; then the old one is gone all the same.
    fn set(&mut self, key: u64, size: Size, expires_at_s: Option<u32>, now_s: u32) -> bool;
    /// Bytes of all records, dead ones included as long as they take room.
    fn bytes(&self) -> u64;
    /// What it has done so far, where that is counted.
    fn work(&self) -> Work {
        Work::default()
    }
}

/// Bytes of records, by what was done with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Written by clients.
    pub(crate) stored_bytes: u64,
    /// Written again, in compaction or as second chances.
    pub(crate) moved_bytes: u64,
    /// Looked at in search of what has expired.
    pub(crate) scanned_bytes: u64,
}

/// The lengths that decide how much room an item takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
}

impl Size {
    /// Bytes of the record in the log.
    pub(crate) fn record_bytes(self) -> u64 {
        let bytes = HEADER_BYTES + u64::from(self.key_bytes) + u64::from(self.value_bytes);
        bytes.next_multiple_of(ALIGNMENT_BYTES)
    }
}

/// The designs that there are models of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Design {
    /// One list, the least recently used item is evicted first; what most caches promise
    Lru,
    /// memcached 1.6.45: segmented LRU in slab classes, with a crawler
    #[value(name = "memcached-model")]
    Memcached,
    /// One log with 2-bit counters
    OneLog,
    /// Probation of a tenth and main, without memory of what left
    TwoLogs,
    /// The same with a ghost: S3-FIFO
    #[value(name = "s3-fifo-10")]
    S3Fifo10,
    /// S3-FIFO with a twentieth for probation, and a ghost of half as many keys as items
    #[value(name = "s3-fifo-5")]
    S3Fifo5,
    /// The same, where large records need more reads to be written again
    #[value(name = "s3-fifo-5-sized")]
    S3Fifo5Sized,
    /// S3-FIFO with a tenth, and a hand that looks for what has expired
    #[value(name = "s3-fifo-10-hand")]
    S3Fifo10Hand,
    /// S3-FIFO with a quarter for probation
    #[value(name = "s3-fifo-25")]
    S3Fifo25,
    /// The store itself, without a server around it
    Store,
}

impl Design {
    /// An empty cache of this design.
    pub(crate) fn build(self, memory_bytes_max: u64) -> Box<dyn Model> {
        match self {
            Self::Lru => Box::new(Lru::new(memory_bytes_max)),
            Self::Memcached => Box::new(Memcached::new(memory_bytes_max)),
            Self::OneLog => Box::new(Queues::new(memory_bytes_max, 0, 0)),
            Self::TwoLogs => Box::new(Queues::new(memory_bytes_max, 10, 0)),
            Self::S3Fifo5 => Box::new(Queues::new(memory_bytes_max, 5, 50)),
            Self::S3Fifo5Sized => Box::new(Queues::new(memory_bytes_max, 5, 50).sized()),
            Self::S3Fifo10 => Box::new(Queues::new(memory_bytes_max, 10, 100)),
            Self::S3Fifo10Hand => Box::new(Queues::new(memory_bytes_max, 10, 100).with_hand()),
            Self::S3Fifo25 => Box::new(Queues::new(memory_bytes_max, 25, 100)),
            Self::Store => Box::new(Real::new(memory_bytes_max)),
        }
    }

    /// What its rows are called: as on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }
}

/// The end of a list.
const NONE: usize = usize::MAX;

/// Least recently used, exactly. Reads and writes both count as use.
#[derive(Debug)]
pub(crate) struct Lru {
    memory_bytes_max: u64,
    bytes: u64,
    places: HashMap<u64, usize>,
    nodes: Vec<Node>,
    /// Nodes that hold nothing.
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
}

#[derive(Debug)]
struct Node {
    key: u64,
    record_bytes: u64,
    expires_at_s: Option<u32>,
    newer: usize,
    older: usize,
}

impl Lru {
    pub(crate) fn new(memory_bytes_max: u64) -> Self {
        Self {
            memory_bytes_max,
            bytes: 0,
            places: HashMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }

    /// Takes a node out of the list. It keeps its place among the nodes.
    fn unlink(&mut self, place: usize) {
        let Node { newer, older, .. } = self.nodes[place];
        match self.nodes.get_mut(newer) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        match self.nodes.get_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, place: usize) {
        (self.nodes[place].newer, self.nodes[place].older) = (NONE, self.newest);
        match self.nodes.get_mut(self.newest) {
            Some(node) => node.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }

    fn remove(&mut self, place: usize) {
        self.unlink(place);
        self.bytes -= self.nodes[place].record_bytes;
        self.places.remove(&self.nodes[place].key);
        self.free.push(place);
    }
}

impl Model for Lru {
    fn get(&mut self, key: u64, now_s: u32) -> bool {
        let Some(&place) = self.places.get(&key) else { return false };
        if self.nodes[place].expires_at_s.is_some_and(|at_s| at_s <= now_s) {
            self.remove(place);
            return false;
        }
        self.unlink(place);
        self.link_newest(place);
        true
    }

    fn set(&mut self, key: u64, size: Size, expires_at_s: Option<u32>, _now_s: u32) -> bool {
        if let Some(&place) = self.places.get(&key) {
            self.remove(place);
        }
        let record_bytes = size.record_bytes();
        if record_bytes > self.memory_bytes_max {
            return false;
        }
        while self.bytes + record_bytes > self.memory_bytes_max {
            self.remove(self.oldest);
        }
        let node = Node { key, record_bytes, expires_at_s, newer: NONE, older: NONE };
        let place = match self.free.pop() {
            Some(place) => {
                self.nodes[place] = node;
                place
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        self.link_newest(place);
        self.places.insert(key, place);
        self.bytes += record_bytes;
        true
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
