//! Designs of circular logs, on paper: one or two queues whose records get second chances.
//!
//! What all have in common: a read only raises a counter of at most 3; a record that reaches the
//! tail of main with a counter above 0 is written again at the head, for one less, and else leaves.
//! With a probation queue new records pass through that one first, and go on to main when they were
//! read there; a ghost remembers those that left probation, and takes them to main at once when they
//! come back soon. While main has room everything goes there (else 1.05 to 1.12 of LRU's misses where
//! lives end before memory is full, instead of 1.00). An overwrite counts as wanted, too. One that is no
//! longer than the record stays in it, and what it leaves is dead; a longer one leaves a dead record
//! behind. Both take room until a tail comes by; from a tenth of dead bytes on, the tail is moved on
//! for them. Knows no workload.

use std::collections::{HashMap, VecDeque};

use super::model::{Model, Size};

const COUNTER_MAX: u8 = 3;
/// The share of dead bytes from which on the tail moves for them.
const DEAD_SHARE: u64 = 10;

const PROBATION: usize = 0;
const MAIN: usize = 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct Queues {
    queues: [Queue; 2],
    items: HashMap<u64, Item>,
    ghost: Option<Ghost>,
    has_been_full: bool,
    /// Tells a record from a later one of the same key.
    written: u64,
}

#[derive(Debug, Default)]
struct Queue {
    bytes_max: u64,
    /// Of all records, dead ones included.
    bytes: u64,
    dead_bytes: u64,
    records: VecDeque<Record>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    key: u64,
    written: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    /// Of its record; the record of an item is the one that has the same.
    written: u64,
    bytes: u64,
    /// Of the record; what is more than the item's is dead.
    record_bytes: u64,
    queue: usize,
    counter: u8,
    expires_at_s: Option<u32>,
}

/// Who left probation, and how many left since.
#[derive(Debug, Default)]
struct Ghost {
    left: u64,
    keys: HashMap<u64, u64>,
    order: VecDeque<(u64, u64)>,
}

impl Ghost {
    fn remember(&mut self, key: u64, items: usize) {
        self.left += 1;
        self.keys.insert(key, self.left);
        self.order.push_back((key, self.left));
        while self.order.len() > items {
            let Some((key, left)) = self.order.pop_front() else { return };
            if self.keys.get(&key) == Some(&left) {
                self.keys.remove(&key);
            }
        }
    }

    fn recall(&mut self, key: u64) -> bool {
        self.keys.remove(&key).is_some()
    }
}

impl Queues {
    /// With this share of the memory, in percent, for probation, and with or without a ghost.
    pub(crate) fn new(memory_bytes_max: u64, probation_percent: u64, ghost: bool) -> Self {
        let probation = memory_bytes_max * probation_percent / 100;
        let queue = |bytes_max| Queue { bytes_max, ..Queue::default() };
        Self {
            queues: [queue(probation), queue(memory_bytes_max - probation)],
            items: HashMap::new(),
            ghost: ghost.then(Ghost::default),
            has_been_full: false,
            written: 0,
        }
    }

    /// The queue that a record goes to which is new or replaces one in queue `old`.
    fn queue_for(&mut self, key: u64, bytes: u64, old: Option<usize>) -> usize {
        let main = &self.queues[MAIN];
        self.has_been_full |= main.bytes + bytes > main.bytes_max;
        if let Some(queue) = old {
            return queue;
        }
        let recalled = self.ghost.as_mut().is_some_and(|ghost| ghost.recall(key));
        let fits = bytes <= self.queues[PROBATION].bytes_max / 2;
        if recalled || !self.has_been_full || !fits { MAIN } else { PROBATION }
    }

    fn append(&mut self, key: u64, item: Item) {
        self.written += 1;
        let queue = &mut self.queues[item.queue];
        queue.bytes += item.bytes;
        queue.records.push_back(Record { key, written: self.written, bytes: item.bytes });
        let item = Item { written: self.written, record_bytes: item.bytes, ..item };
        self.items.insert(key, item);
    }

    /// Forgets an item, whose record stays as a dead one.
    fn bury(&mut self, key: u64) -> Option<Item> {
        let item = self.items.remove(&key)?;
        self.queues[item.queue].dead_bytes += item.bytes;
        Some(item)
    }

    fn make_room(&mut self, queue: usize, bytes: u64, now_s: u32) {
        while self.queues[queue].bytes + bytes > self.queues[queue].bytes_max {
            let Some((key, item)) = self.pass_tail(queue, now_s) else { continue };
            let main = &self.queues[MAIN];
            let main_has_room = main.bytes + item.bytes <= main.bytes_max;
            match (queue, item.counter) {
                (PROBATION, _) if main_has_room => {
                    self.append(key, Item { queue: MAIN, counter: 0, ..item });
                }
                (_, 0) => {
                    let items = self.items.len();
                    if let Some(ghost) = self.ghost.as_mut().filter(|_| queue == PROBATION) {
                        ghost.remember(key, items);
                    }
                }
                (PROBATION, _) => {
                    self.make_room(MAIN, item.bytes, now_s);
                    self.append(key, Item { queue: MAIN, counter: 0, ..item });
                }
                (_, counter) => self.append(key, Item { counter: counter - 1, ..item }),
            }
        }
    }

    /// Takes the record at a queue's tail out, with its item if it is a live one.
    fn pass_tail(&mut self, queue: usize, now_s: u32) -> Option<(u64, Item)> {
        let tail = &mut self.queues[queue];
        let record = tail.records.pop_front().expect("a full queue has a record");
        tail.bytes -= record.bytes;
        let Some(item) = self.items.get(&record.key).filter(|item| item.written == record.written)
        else {
            self.queues[queue].dead_bytes -= record.bytes;
            return None;
        };
        let item = *item;
        self.items.remove(&record.key);
        self.queues[queue].dead_bytes -= item.record_bytes - item.bytes;
        item.is_live(now_s).then_some((record.key, item))
    }

    fn compact(&mut self, now_s: u32) {
        for queue in [PROBATION, MAIN] {
            while self.queues[queue].dead_bytes * DEAD_SHARE > self.queues[queue].bytes_max {
                if let Some((key, item)) = self.pass_tail(queue, now_s) {
                    self.append(key, item);
                }
            }
        }
    }
}

impl Item {
    fn is_live(&self, now_s: u32) -> bool {
        self.expires_at_s.is_none_or(|at_s| at_s > now_s)
    }
}

impl Model for Queues {
    fn get(&mut self, key: u64, now_s: u32) -> bool {
        let Some(item) = self.items.get_mut(&key) else { return false };
        if !item.is_live(now_s) {
            self.bury(key);
            return false;
        }
        item.counter = COUNTER_MAX.min(item.counter + 1);
        true
    }

    fn set(&mut self, key: u64, size: Size, expires_at_s: Option<u32>, now_s: u32) -> bool {
        let bytes = size.record_bytes();
        if let Some(item) = self.items.get_mut(&key).filter(|item| item.is_live(now_s)) {
            item.counter = COUNTER_MAX.min(item.counter + 1);
            if bytes <= item.record_bytes {
                let dead_bytes = &mut self.queues[item.queue].dead_bytes;
                *dead_bytes = *dead_bytes + item.bytes - bytes;
                (item.bytes, item.expires_at_s) = (bytes, expires_at_s);
                self.compact(now_s);
                return true;
            }
        }
        let old = self.bury(key).filter(|item| item.is_live(now_s));
        if bytes > self.queues[MAIN].bytes_max / 2 {
            return false;
        }
        let fits = |queue: &usize| bytes <= self.queues[*queue].bytes_max / 2;
        let place = old.map(|item| item.queue).filter(fits);
        let queue = self.queue_for(key, bytes, place);
        self.make_room(queue, bytes, now_s);
        let counter = old.map_or(0, |item| item.counter);
        let item = Item { written: 0, bytes, record_bytes: bytes, queue, counter, expires_at_s };
        self.append(key, item);
        self.compact(now_s);
        true
    }

    fn bytes(&self) -> u64 {
        self.queues.iter().map(|queue| queue.bytes).sum()
    }
}
