//! Designs of circular logs, on paper: one or two queues whose records get second chances.
//!
//! What all have in common: a read only raises a counter of at most 3; a record that reaches the
//! tail of main with a counter above 0 is written again at the head, for one less, and else evicted.
//! With a probation queue new records pass through that one first, and go on to main when they were
//! read there; a ghost remembers those that probation evicted, and takes them to main at once when they
//! come back soon. While main has room everything goes there (else 1.05 to 1.12 of LRU's misses where
//! lives end before memory is full, instead of 1.00). An overwrite counts as a read, too. One that is no
//! longer than the record is written in its place, and the rest is dead; a longer one makes the old
//! record dead. Dead bytes take room until a tail passes them; from a tenth on, the tail is moved to
//! reclaim them.
//!
//! Without a hand, expired records are found by lookups and at the tails alone. With one, a hand in
//! each queue walks over the records, four bytes for each byte stored, and marks expired ones dead.
//! While more than a twentieth of a queue is dead, nothing live is evicted: new records enter main,
//! and a live record at a tail is written again, for at most two bytes per byte stored. Misses with
//! live items in half of the memory, and, as variants, in 70 % (memcached misses none, but 0.109 of
//! `sessions-mixed` at 70 %):
//!
//! ```text
//! bytes walked per byte stored    0      1      2      4      8
//! sessions                    1.000  0.134  0.022  0.000      -
//! sessions-mixed              1.000  0.039  0.000  0.000  0.000
//! sessions-mixed at 70 %      1.000  0.319  0.020  0.007  0.006
//!   moved per byte stored      0.00   0.40   0.72   0.90   1.06
//! moved at most                 0.5      1      2      8
//! sessions-mixed at 70 %      0.092  0.032  0.000  0.000
//! ```
//! Variants at 70 %. The least expiry of each 1/256 of a queue, so that the hand skips what cannot have
//! expired: no misses, 2.5 bytes walked, none without expiry times. New records through probation
//! all the same: 0.056. A tenth dead instead of a twentieth: 0.083 of `sessions`. A hand of half a
//! byte, faster while it finds something: it crosses live records too slowly (0.10 of `sessions`).
//!
//! Knows no workload.

use std::collections::{HashMap, VecDeque};

use super::model::{Model, Size, Work};

const COUNTER_MAX: u8 = 3;
/// The share of dead bytes from which on the tail moves for them.
const DEAD_SHARE: u64 = 10;
/// A record in main is written again if this share of its bytes, in percent, is at most its counter
/// by the mean record's bytes.
const SIZED_PERCENT: u64 = 70;
/// With a hand: the share of dead bytes in main from which on they are taken before anything live.
const DEAD_FIRST_SHARE: u64 = 20;
/// Bytes that the hands walk over by byte stored.
const WALKED_BY_STORED: u64 = 4;
/// Bytes that may be written again for dead ones, by byte stored.
const MOVED_BY_STORED: u64 = 2;
/// So many of these may be saved.
const SAVED_BYTES_MAX: u64 = 1 << 20;

const PROBATION: usize = 0;
const MAIN: usize = 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct Queues {
    queues: [Queue; 2],
    items: HashMap<u64, Item>,
    ghost: Option<Ghost>,
    has_been_full: bool,
    /// A record's number, different from that of a later one of the same key.
    written: u64,
    hand: Option<Hand>,
    /// A large record needs more reads to be written again.
    sized: bool,
    work: Work,
}

/// What may still be done for what the hands find.
#[derive(Debug, Default)]
struct Hand {
    /// Bytes to write again.
    move_bytes: u64,
}

#[derive(Debug, Default)]
struct Queue {
    bytes_max: u64,
    /// Of all records, dead ones included.
    bytes: u64,
    dead_bytes: u64,
    records: VecDeque<Record>,
    /// Records that have been taken out at the tail; where the hand is, counted like these.
    passed: u64,
    hand: u64,
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
    /// Of the number of items: so many keys are remembered.
    percent: usize,
    left: u64,
    keys: HashMap<u64, u64>,
    order: VecDeque<(u64, u64)>,
}

impl Ghost {
    fn remember(&mut self, key: u64, items: usize) {
        self.left += 1;
        self.keys.insert(key, self.left);
        self.order.push_back((key, self.left));
        while self.order.len() > items * self.percent / 100 {
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
    /// With this share of the memory, in percent, for probation, and a ghost that remembers as many
    /// keys as this share of the items, in percent; none at 0.
    pub(crate) fn new(memory_bytes_max: u64, probation_percent: u64, ghost_percent: usize) -> Self {
        let probation = memory_bytes_max * probation_percent / 100;
        let queue = |bytes_max| Queue { bytes_max, ..Queue::default() };
        Self {
            queues: [queue(probation), queue(memory_bytes_max - probation)],
            items: HashMap::new(),
            ghost: (ghost_percent > 0)
                .then(|| Ghost { percent: ghost_percent, ..Ghost::default() }),
            has_been_full: false,
            written: 0,
            hand: None,
            sized: false,
            work: Work::default(),
        }
    }

    /// The same, with second chances by reads per byte.
    pub(crate) fn sized(self) -> Self {
        Self { sized: true, ..self }
    }

    /// The same, and a hand that looks for what has expired.
    pub(crate) fn with_hand(self) -> Self {
        Self { hand: Some(Hand::default()), ..self }
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
        let main_takes_it = recalled || !self.has_been_full || !fits || self.has_dead(MAIN);
        if main_takes_it { MAIN } else { PROBATION }
    }

    /// Are there so many dead bytes that nothing live has to go?
    fn has_dead(&self, queue: usize) -> bool {
        let queue = &self.queues[queue];
        self.hand.is_some() && queue.dead_bytes * DEAD_FIRST_SHARE > queue.bytes_max
    }

    /// The queue that keeps a live record at a tail, because dead bytes are left to be taken.
    fn keeper(&mut self, queue: usize, bytes: u64) -> Option<usize> {
        let keeper = [MAIN, queue].into_iter().find(|queue| self.has_dead(*queue))?;
        let left = &mut self.hand.as_mut()?.move_bytes;
        let paid = *left > 0;
        *left = left.saturating_sub(bytes);
        paid.then_some(keeper)
    }

    fn append(&mut self, key: u64, item: Item) {
        self.written += 1;
        let queue = &mut self.queues[item.queue];
        queue.bytes += item.bytes;
        queue.records.push_back(Record { key, written: self.written, bytes: item.bytes });
        let item = Item { written: self.written, record_bytes: item.bytes, ..item };
        self.items.insert(key, item);
    }

    /// Writes a record that was at a tail.
    fn append_again(&mut self, key: u64, item: Item) {
        self.work.moved_bytes += item.bytes;
        self.append(key, item);
    }

    /// Forgets an item, whose record stays as a dead one.
    fn mark_dead(&mut self, key: u64) -> Option<Item> {
        let item = self.items.remove(&key)?;
        self.queues[item.queue].dead_bytes += item.bytes;
        Some(item)
    }

    fn make_room(&mut self, queue: usize, bytes: u64, now_s: u32) {
        while self.queues[queue].bytes + bytes > self.queues[queue].bytes_max {
            let Some((key, item)) = self.pass_tail(queue, now_s) else { continue };
            let main = &self.queues[MAIN];
            let main_has_room = main.bytes + item.bytes <= main.bytes_max;
            let counter = item.counter;
            match queue {
                PROBATION if main_has_room => {}
                PROBATION if counter > 0 => self.make_room(MAIN, item.bytes, now_s),
                MAIN if self.is_wanted(&item) => {
                    self.append_again(key, Item { counter: counter - 1, ..item });
                    continue;
                }
                _ => match self.keeper(queue, item.bytes) {
                    Some(MAIN) if queue == PROBATION => self.make_room(MAIN, item.bytes, now_s),
                    Some(_) => {
                        self.append_again(key, item);
                        continue;
                    }
                    None => {
                        self.forget(queue, key);
                        continue;
                    }
                },
            }
            self.append_again(key, Item { queue: MAIN, counter: 0, ..item });
        }
    }

    /// Is a record at main's tail to be written again because of its reads?
    fn is_wanted(&self, item: &Item) -> bool {
        if !self.sized || item.counter == 0 {
            return item.counter > 0;
        }
        let dead_bytes: u64 = self.queues.iter().map(|queue| queue.dead_bytes).sum();
        let live_bytes = self.bytes() - dead_bytes;
        let mean_bytes = live_bytes / (self.items.len() as u64).max(1);
        item.bytes * SIZED_PERCENT <= u64::from(item.counter) * mean_bytes * 100
    }

    /// An item was evicted.
    fn forget(&mut self, queue: usize, key: u64) {
        let items = self.items.len();
        if let Some(ghost) = self.ghost.as_mut().filter(|_| queue == PROBATION) {
            ghost.remember(key, items);
        }
    }

    /// Moves the hands on for bytes that are stored. What they find expired is dead from then on.
    fn walk(&mut self, stored_bytes: u64, now_s: u32) {
        let Some(hand) = &mut self.hand else { return };
        let move_bytes = hand.move_bytes + stored_bytes * MOVED_BY_STORED;
        hand.move_bytes = move_bytes.min(SAVED_BYTES_MAX);
        let memory_bytes = self.queues.iter().map(|queue| queue.bytes_max).sum::<u64>();
        for queue in [PROBATION, MAIN] {
            let share = stored_bytes * WALKED_BY_STORED * self.queues[queue].bytes_max;
            let mut left = share / memory_bytes;
            while left > 0 {
                let Some(bytes) = self.step(queue, now_s) else { break };
                self.work.scanned_bytes += bytes;
                left = left.saturating_sub(bytes);
            }
        }
    }

    /// Moves a hand on by one record. Returns its bytes.
    fn step(&mut self, queue: usize, now_s: u32) -> Option<u64> {
        let log = &mut self.queues[queue];
        let end = log.passed + log.records.len() as u64;
        if !(log.passed..end).contains(&log.hand) {
            log.hand = log.passed;
        }
        let record = *log.records.get(whole(log.hand - log.passed))?;
        log.hand += 1;
        let item = self.items.get(&record.key).filter(|item| item.written == record.written);
        if item.is_some_and(|item| !item.is_live(now_s)) {
            self.mark_dead(record.key);
        }
        Some(record.bytes)
    }

    /// Takes the record at a queue's tail out, with its item if it is a live one.
    fn pass_tail(&mut self, queue: usize, now_s: u32) -> Option<(u64, Item)> {
        let tail = &mut self.queues[queue];
        let record = tail.records.pop_front().expect("a full queue has a record");
        tail.bytes -= record.bytes;
        tail.passed += 1;
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
            while self.queues[queue].dead_bytes * DEAD_SHARE > self.queues[queue].bytes_max
                && self.hand.as_ref().is_none_or(|hand| hand.move_bytes > 0)
            {
                if let Some((key, item)) = self.pass_tail(queue, now_s) {
                    if let Some(hand) = &mut self.hand {
                        hand.move_bytes = hand.move_bytes.saturating_sub(item.bytes);
                    }
                    self.append_again(key, item);
                }
            }
        }
    }
}

/// An index, which is below a length.
fn whole(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
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
            self.mark_dead(key);
            return false;
        }
        item.counter = COUNTER_MAX.min(item.counter + 1);
        true
    }

    fn set(&mut self, key: u64, size: Size, expires_at_s: Option<u32>, now_s: u32) -> bool {
        let bytes = size.record_bytes();
        self.work.stored_bytes += bytes;
        self.walk(bytes, now_s);
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
        let old = self.mark_dead(key).filter(|item| item.is_live(now_s));
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

    fn work(&self) -> Work {
        self.work
    }
}
