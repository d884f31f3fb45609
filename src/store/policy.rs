//! The policy: which log a record goes to, and what is evicted when memory is full.
//!
//! Two queues in the manner of S3-FIFO (Yang et al., SOSP 2023). Main is filled first. From then on a
//! new record enters probation, unless it is large or main has enough dead bytes. At probation's tail a
//! record is promoted to main if it was read, and else evicted. The ghost keeps the key of an evicted
//! record; if the key is stored again soon, its record enters main at once. At main's tail a record
//! that was read is reinserted at the head, once for each of up to three reads. So records that are
//! never read again, such as those of a scan, do not evict records that are read often; and a read
//! updates the record's header instead of a list.
//!
//! Dead and expired memory is reclaimed before live records are evicted, within these bounds:
//! * A dead or expired record at a tail is reclaimed when the tail passes it.
//! * The sweep (see `sweep`) finds expired records elsewhere and marks them dead.
//! * While a twentieth of a log is dead, live records at its tail are compacted instead of evicted,
//!   that is reinserted with or without reads. Compaction copies up to [`COMPACTION_FACTOR`] bytes for
//!   each byte stored, and no record above [`COPIED_BYTES_MAX`]. An unread record at probation's tail
//!   is promoted if main has room for it, perhaps after compaction.
//!
//! The policy was chosen from models (`cargo bench --bench replay -- --model
//! one-log,two-logs,s3-fifo-10,s3-fifo-5 --reference lru`; benches/replay/model.rs has the table, and
//! the variants that did not help). Two changes to S3-FIFO with a probation of a tenth improved the
//! median: a smaller probation and ghost, and more reads needed to reinsert a large record. Misses of
//! the store itself, relative to those without either change (`-m 64`, `cargo bench --bench replay --
//! --model store --reference lru`):
//!
//! ```text
//! probation, ghost    zipf 0.9  1.0   1.2   one-hit  loop  scans  10m   8h    2d   mixed  overwrites
//! 1/20, 1/256          0.887  0.898  0.994  1.003  0.324  1.008  1.000  1.000  1.023  0.980  0.940
//! 1/13, 1/256          0.898  0.908  0.981  1.004  0.339  0.999  1.000  1.000  1.000  0.968  0.953
//! 1/13, 1/192          0.912  0.920  0.970  1.001  0.340  0.982  1.000  1.000  0.987  0.967  0.943
//! ```
//! All rows are with [`REINSERTED_TENTHS`]. A smaller probation evicts too early what is read again
//! after days. A smaller ghost is better only with Zipf 0.9 and 1.0. It is worse where a scan, or keys
//! that are not used again, evict others from probation.
//!
//! A third change did not help: keeping records out of main that expire before main's next lap. In a
//! model with lifetimes of ten minutes, eight hours and two days mixed (`twitter-mixed`) it had 0.980
//! of LRU's misses, and 0.969 without it.
//!
//! The bytes that a store evicts and copies are in proportion to those that it writes. Room for a large
//! value is made in steps of [`LARGE_BYTES`], and other clients have their turn between two steps.

use super::log::Log;
use super::record::Record;
use super::{RECORD_WORK_BYTES, Store};
use crate::trace;

/// Records above this go to main at once, and their room is made in steps of this size. 64 KiB hold
/// some 2,700 of the smallest records, which are evicted in a third of a millisecond.
pub const LARGE_BYTES: u64 = 64 << 10;
/// Probation takes one in so many bytes of the memory (see the module's table).
const PROBATION_SHARE: usize = 13;
/// For each of its reads, a record at main's tail may have so many tenths of the mean size of live
/// records. A larger record is not reinserted: it needs more reads for the room that it takes.
const REINSERTED_TENTHS: u64 = 14;
/// For each byte stored, so many bytes of records that were read may be reinserted or promoted. The
/// unused rest carries over to the next stores, up to [`LARGE_BYTES`]. When it is used up, records are
/// evicted even if they were read.
///
/// The mean need is lower, but it comes in bursts. Misses relative to LRU's (`replay --model store
/// --reference lru`): with Zipf 0.9 0.755, 0.754 without a bound, 0.791 with 4 KiB carried over; in a
/// loop 0.129, and 0.124 without a bound. `tests/worst_case_latency.rs` measures how long a store may
/// take that reinserts 64 KiB.
const REINSERTION_FACTOR: u64 = 2;
/// A log is compacted while at least one in so many of its bytes is dead.
///
/// Dead bytes are wasted memory, and reclaiming them means copying the live records between them. With
/// half writes, values of 16 to 1,000 bytes and Zipf 1.0 (`cargo bench --bench replay -- --model store
/// --reference lru --only overwrites`), a tenth has 1.04 of LRU's misses and a twentieth 1.00. Of
/// sessions that fill seven tenths of the memory and expire, a model loses 8 % with a tenth and none
/// with a twentieth. Where most requests are reads there are hardly any dead records.
const DEAD_SHARE: u64 = 20;
/// Bytes that compaction may copy for each byte stored. The unused rest carries over, up to
/// [`LARGE_BYTES`]. If the dead twentieth were evenly spread, 19 would be needed, but most dead records
/// are near the tail. With 4, overwrites have 1.08 of LRU's misses instead of 1.00.
const COMPACTION_FACTOR: u64 = 12;
/// Compaction evicts records above this; copying one of this size takes 0.1 ms. A record may be larger
/// than the rest of the budget, which then is negative until later stores have added enough. (When
/// this was chosen, with half writes, values of 1 KB to 400 KB and Zipf 1.0, a limit of 64 KiB left
/// half the memory empty, and had 1.97 of LRU's misses instead of 1.07.)
const COPIED_BYTES_MAX: u64 = 1 << 20;
/// With evictions disabled: records that one step of a search for dead bytes passes.
const SEARCHED_RECORDS_MAX: u32 = 1024;
/// With evictions disabled: number of dead records whose offsets are kept, the latest ones.
const HOLES_MAX: usize = 64;
/// The room of a large value is given up if its store was not repeated during so many steps of other
/// stores, or for so many seconds: its client has disconnected. By default there are at most 1,024
/// clients.
const UNSEEN_STEPS_MAX: u32 = 1024;
const UNSEEN_S_MAX: u32 = 10;

/// The result of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The value is stored.
    Kept,
    /// Part of the room has been made, and the value is not stored yet. The caller repeats the call,
    /// after other clients have had their turn.
    NeedsStep,
    /// There is no room, and nothing may be evicted for it. The value is not stored.
    NoRoom,
}

/// The two queues of the policy. Each is a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// New records that are not large.
    Probation = 0,
    /// Records that are large, were read in probation, or whose key the ghost has. Until main has been
    /// full, all new records.
    Main = 1,
}

/// The policy's state between two stores.
#[derive(Debug)]
pub(super) struct PolicyState {
    /// Main has once had no room for a new record. Until then new records go to main.
    has_been_full: bool,
    /// Bytes of records that may still be reinserted for the bytes stored so far.
    reinsertion_budget: u64,
    /// The same for compaction. Negative after a record that was larger than the budget.
    compaction_budget: i64,
    /// The large value that room is being made for.
    reservation: Option<Reservation>,
    search: Search,
}

/// Room in main that is being made for a large value. Other stores may not use it. Otherwise they could
/// use up the room of each step before the next one, and the value would never be stored.
#[derive(Clone, Copy, Debug)]
struct Reservation {
    /// The hash of the value's key.
    hash: u64,
    bytes: u64,
    /// Steps of other large stores since the value's own last step.
    unseen_steps: u32,
    /// The second of the value's own last step.
    seen_s: u32,
}

/// With evictions disabled: the state of the search for dead bytes that a new record can use.
#[derive(Debug, Default)]
struct Search {
    /// Offsets of the latest dead records and holes. The list is cleared when the tail passes a record,
    /// or when a record is written over dead space.
    holes: Vec<usize>,
    /// Bytes that the tail still has to pass until the search has covered the log. None between laps.
    lap_rest_bytes: Option<u64>,
    /// A record died, or the tail jumped, since the lap began, so the lap may have missed room. Then
    /// there is a second lap.
    lap_is_stale: bool,
    is_second_lap: bool,
    /// A search has covered the log without finding room for so many bytes. Until another record dies
    /// there is no room for as many or more.
    refused_bytes: Option<u64>,
}

/// The bytes of live records that may be copied at a tail instead of evicted.
struct Budget {
    /// Of records that were read.
    reinsertion: u64,
    /// Of all records, while the log has enough dead bytes.
    compaction: i64,
    /// Limit of a record that is reinserted because it was read.
    record_bytes_max: u64,
}

impl PolicyState {
    pub(super) fn new() -> Self {
        Self {
            has_been_full: false,
            reinsertion_budget: 0,
            compaction_budget: 0,
            reservation: None,
            search: Search::default(),
        }
    }
}

/// Both logs of a store, one after the other. With evictions disabled probation has no use, and its
/// size is 0.
pub(super) const fn lay_out(memory_bytes: usize, unit_bytes: usize, evicts: bool) -> [Log; 2] {
    let share = if evicts { memory_bytes / PROBATION_SHARE } else { 0 };
    let start = share / unit_bytes * unit_bytes;
    [Log::new(0, start), Log::new(start, memory_bytes / unit_bytes * unit_bytes)]
}

impl Store {
    /// The queue whose log has this offset.
    pub(super) fn queue_of(&self, offset: usize) -> Queue {
        if self.logs[Queue::Probation as usize].contains(offset) {
            Queue::Probation
        } else {
            Queue::Main
        }
    }

    /// The queue for a record: that of the live record which it replaces, or the one for new records.
    pub(super) fn queue_for(&mut self, hash: u64, bytes: u64, live: Option<&Record>) -> Queue {
        if !self.evicts || bytes > self.large_bytes() {
            return Queue::Main;
        }
        let queue = match live {
            Some(old) => self.queue_of(old.offset),
            // While main has enough dead bytes, compaction makes room in it without evictions.
            None if self.is_filling(bytes)
                || self.is_fragmented(Queue::Main)
                || self.ghost.recall(hash, self.map.len()) =>
            {
                Queue::Main
            }
            None => Queue::Probation,
        };
        // No live record is evicted from main while probation has room.
        let [probation, main] = &self.logs;
        if !main.has_room(bytes, 0) && probation.has_room(bytes, 0) {
            Queue::Probation
        } else {
            queue
        }
    }

    /// Records above this many bytes do not go through probation: it is small, and promoting them to
    /// main would be too much work for the store that causes it.
    pub(super) fn large_bytes(&self) -> u64 {
        LARGE_BYTES.min(self.logs[Queue::Probation as usize].limit() / 2)
    }

    /// Does main still take all new records? Until it has been full once, it does. If they went through
    /// probation, as later, both logs would have the same records in the end, but most records would be
    /// written twice (measured: 0.84 bytes moved for each byte stored).
    fn is_filling(&mut self, bytes: u64) -> bool {
        let main = &self.logs[Queue::Main as usize];
        self.policy.has_been_full |= !main.has_room(bytes, 0);
        !self.policy.has_been_full
    }

    /// Makes room for a record of `bytes` that is not large at a log's head.
    #[inline]
    pub(super) fn make_small_room(&mut self, queue: Queue, bytes: u64, now_s: u32) {
        if self.logs[queue as usize].has_room(bytes, self.reserved_bytes(queue)) {
            return;
        }
        self.sweep_for_room(bytes, now_s);
        let mut budget = self.take_budget(bytes);
        self.make_room(queue, bytes, &mut budget, now_s);
        self.policy.reinsertion_budget = budget.reinsertion;
        self.policy.compaction_budget = budget.compaction;
    }

    /// The budget of a store of so many bytes, including what earlier stores did not use.
    fn take_budget(&mut self, bytes: u64) -> Budget {
        let policy = &mut self.policy;
        let compaction = i64::try_from(bytes * COMPACTION_FACTOR).unwrap_or(i64::MAX);
        Budget {
            reinsertion: (policy.reinsertion_budget + bytes * REINSERTION_FACTOR).min(LARGE_BYTES),
            compaction: (policy.compaction_budget + compaction).min(LARGE_BYTES as i64),
            record_bytes_max: LARGE_BYTES,
        }
    }

    fn make_room(&mut self, queue: Queue, bytes: u64, budget: &mut Budget, now_s: u32) {
        let reserved_bytes = self.reserved_bytes(queue);
        while !self.logs[queue as usize].has_room(bytes, reserved_bytes) {
            self.move_tail(queue, budget, now_s);
        }
    }

    /// Free bytes of a log that are reserved for a large value.
    fn reserved_bytes(&self, queue: Queue) -> u64 {
        match self.policy.reservation {
            Some(reservation) if queue == Queue::Main => {
                reservation.bytes.min(self.logs[queue as usize].free_bytes())
            }
            _ => 0,
        }
    }

    /// Makes room for a large record in main, in one step of several. Returns `Kept` once there is
    /// room.
    pub(super) fn make_large_room(&mut self, hash: u64, bytes: u64, now_s: u32) -> Stored {
        let main = Queue::Main as usize;
        if bytes > self.logs[main].limit() / 2 {
            return Stored::NoRoom;
        }
        if !self.evicts {
            return self.search_room(bytes, now_s);
        }
        let others_bytes = match &mut self.policy.reservation {
            Some(own) if own.hash == hash => {
                (own.bytes, own.unseen_steps, own.seen_s) = (bytes, 0, now_s);
                0
            }
            Some(other) if other.unseen_steps < UNSEEN_STEPS_MAX => {
                other.unseen_steps += 1;
                other.bytes
            }
            _ => 0,
        };
        let log = &self.logs[main];
        let needed = (log.stride(bytes) + others_bytes).min(log.limit());
        if log.free_bytes() >= needed {
            if others_bytes == 0 {
                self.policy.reservation = None;
            }
            return Stored::Kept;
        }
        if others_bytes == 0 {
            self.policy.reservation =
                Some(Reservation { hash, bytes, unseen_steps: 0, seen_s: now_s });
        }
        let enough = (log.free_bytes() + LARGE_BYTES).min(needed);
        self.sweep_for_room(LARGE_BYTES, now_s);
        let record_bytes_max = LARGE_BYTES.max(bytes).min(COPIED_BYTES_MAX);
        let mut budget = Budget { record_bytes_max, ..self.take_budget(LARGE_BYTES) };
        while self.logs[main].free_bytes() < enough {
            self.move_tail(Queue::Main, &mut budget, now_s);
        }
        self.policy.compaction_budget = budget.compaction;
        Stored::NeedsStep
    }

    /// Evicts at a log's tail, until it holds at most `bytes`. What was read is kept as for a store of so
    /// many bytes as are to be freed.
    pub(super) fn evict_to(&mut self, queue: Queue, bytes: u64, now_s: u32) {
        let freed = self.logs[queue as usize].used_bytes() - bytes;
        let mut budget = self.take_budget(freed);
        while self.logs[queue as usize].used_bytes() > bytes {
            self.move_tail(queue, &mut budget, now_s);
        }
        self.policy.reinsertion_budget = budget.reinsertion;
        self.policy.compaction_budget = budget.compaction;
    }

    /// Moves a log's tail past one record. A live one is promoted, reinserted or evicted.
    fn move_tail(&mut self, queue: Queue, budget: &mut Budget, now_s: u32) {
        let Some((record, hash)) = self.live_tail(queue, now_s) else {
            return;
        };
        let bytes = self.arena.bytes_of(&record) as u64;
        if queue == Queue::Probation && self.main_takes(bytes, budget, now_s) {
            return self.promote(hash, &record);
        }
        if self.may_compact(queue, bytes, budget) {
            return self.reinsert(queue, hash, &record);
        }
        let may_keep = budget.reinsertion > 0
            && bytes <= budget.record_bytes_max
            && (queue == Queue::Probation || self.is_read_enough(&record, bytes));
        if record.counter() == 0 || !may_keep {
            return self.evict(queue, hash, &record, now_s);
        }
        budget.reinsertion = budget.reinsertion.saturating_sub(bytes);
        match queue {
            Queue::Probation => {
                self.make_room(Queue::Main, bytes, budget, now_s);
                self.promote(hash, &record);
            }
            Queue::Main => {
                record.set_counter(record.counter() - 1, &mut self.arena);
                self.reinsert(queue, hash, &record);
            }
        }
    }

    /// Was a record in main read often enough for its size?
    fn is_read_enough(&self, record: &Record, bytes: u64) -> bool {
        let live_bytes: u64 = self.logs.iter().map(Log::live_bytes).sum();
        let reads = u64::from(record.counter());
        10 * bytes * self.map.len() as u64 <= REINSERTED_TENTHS * reads * live_bytes
    }

    /// Does a log have enough dead bytes to be compacted?
    fn is_fragmented(&self, queue: Queue) -> bool {
        let log = &self.logs[queue as usize];
        log.dead_bytes() >= log.limit() / DEAD_SHARE && log.dead_bytes() > 0
    }

    /// May a live record be copied to reclaim the dead bytes of its log? If so, it is charged to the
    /// budget.
    fn may_compact(&mut self, queue: Queue, bytes: u64, budget: &mut Budget) -> bool {
        let may = self.is_fragmented(queue) && budget.compaction > 0 && bytes <= COPIED_BYTES_MAX;
        if may {
            self.counters.compacted_bytes += bytes;
            budget.compaction -= i64::try_from(bytes).unwrap_or(i64::MAX);
        }
        may
    }

    /// Can main take `bytes` without evicting? Makes room by reclaiming dead and expired records at its
    /// tail, and by compaction as far as the budget allows.
    fn main_takes(&mut self, bytes: u64, budget: &mut Budget, now_s: u32) -> bool {
        let reserved_bytes = self.reserved_bytes(Queue::Main);
        while !self.logs[Queue::Main as usize].has_room(bytes, reserved_bytes) {
            if let Some((record, hash)) = self.live_tail(Queue::Main, now_s) {
                let tail_bytes = self.arena.bytes_of(&record) as u64;
                if !self.may_compact(Queue::Main, tail_bytes, budget) {
                    return false;
                }
                self.reinsert(Queue::Main, hash, &record);
            }
        }
        true
    }

    /// The live record at a log's tail, with its hash. Reclaims a record that is not live, and returns
    /// None.
    fn live_tail(&mut self, queue: Queue, now_s: u32) -> Option<(Record, u64)> {
        let log = &self.logs[queue as usize];
        let record = log.tail_record(&self.arena);
        let record = record.expect("an empty log has room for every record that may enter it");
        self.work_bytes += RECORD_WORK_BYTES;
        if !record.is_live() {
            self.pop(queue, &record);
            return None;
        }
        let hash = self.map.hash(record.key(&self.arena));
        if self.is_live(&record, now_s) {
            return Some((record, hash));
        }
        self.counters.count_reclaimed(&record);
        self.unmap(hash, &record);
        self.pop(queue, &record);
        None
    }

    fn pop(&mut self, queue: Queue, record: &Record) -> u64 {
        self.policy.search.holes.clear();
        self.logs[queue as usize].pop(record, &self.arena)
    }

    /// Evicts the live record at a log's tail.
    fn evict(&mut self, queue: Queue, hash: u64, record: &Record, now_s: u32) {
        let log = &self.logs[queue as usize];
        let dead_per_mille = log.dead_bytes() * 1000 / log.limit();
        let counters = &mut self.counters;
        counters.dead_per_mille_at_eviction_max =
            counters.dead_per_mille_at_eviction_max.max(dead_per_mille);
        counters.count_evicted(record, now_s);
        trace::evicted(record.key(&self.arena), record.value_bytes());
        self.evicted.note(record, &self.arena, now_s);
        self.unmap(hash, record);
        self.pop(queue, record);
        if queue == Queue::Probation {
            self.ghost.add(hash);
        }
    }

    /// Makes a slot in the map for a new key. Returns false if the key's table is full and evictions
    /// are disabled. Inlined for the usual case, a table that is not full.
    #[inline(always)]
    pub(super) fn make_slot(&mut self, hash: u64, now_s: u32) -> bool {
        match self.map.obstacle(hash) {
            Some(address) => self.remove_obstacle(address, now_s),
            None => true,
        }
    }

    /// Removes the record at `address`, to make a slot. Returns false if it may not be removed.
    #[cold]
    fn remove_obstacle(&mut self, address: u32, now_s: u32) -> bool {
        let record = self.arena.record(self.arena.offset(address));
        let hash = self.map.hash(record.key(&self.arena));
        if !self.is_live(&record, now_s) {
            self.remove_expired(hash, &record);
        } else if self.evicts {
            self.counters.count_evicted(&record, now_s);
            trace::evicted(record.key(&self.arena), record.value_bytes());
            self.evicted.note(&record, &self.arena, now_s);
            self.remove_record(hash, &record);
        } else {
            return false;
        }
        true
    }

    /// Moves the record at the tail of probation to the head of main, which has room for it.
    fn promote(&mut self, hash: u64, record: &Record) {
        let bytes = self.pop(Queue::Probation, record);
        record.set_counter(0, &mut self.arena);
        self.copy_to_head(Queue::Main, hash, record, bytes);
    }

    /// Moves the record at a log's tail to the same log's head. There is always room: all bytes from
    /// the head to the record's own end are free, and if the copy skips the end of a lap, the record
    /// itself is after that end.
    fn reinsert(&mut self, queue: Queue, hash: u64, record: &Record) {
        let bytes = self.pop(queue, record);
        self.copy_to_head(queue, hash, record, bytes);
    }

    #[allow(clippy::cast_possible_truncation, reason = "no record is larger than the memory")]
    fn copy_to_head(&mut self, queue: Queue, hash: u64, record: &Record, bytes: u64) {
        let to = self.logs[queue as usize].append(bytes, &mut self.arena);
        // In a log without free bytes, head and tail have the same offset.
        if to == record.offset {
            return;
        }
        self.arena.copy(record.offset, bytes as usize, to);
        self.map.relocate(hash, self.arena.address(record.offset), self.arena.address(to));
        self.counters.moved_bytes += bytes;
        self.work_bytes += bytes;
    }

    /// With evictions disabled: one step of the search for room. The search ends when the tail has
    /// passed all records. Then all dead and expired records are reclaimed, and the live ones are
    /// contiguous.
    fn search_room(&mut self, bytes: u64, now_s: u32) -> Stored {
        let main = Queue::Main as usize;
        if self.logs[main].has_room(bytes, 0) || self.reuse_hole(bytes) {
            return Stored::Kept;
        }
        self.sweep_for_room(bytes.min(LARGE_BYTES), now_s);
        let log = &self.logs[main];
        let is_refused = self.policy.search.refused_bytes.is_some_and(|least| bytes >= least);
        let too_few_dead =
            log.free_bytes() + log.dead_bytes() < bytes && !self.may_hold_flushed(Queue::Main);
        if is_refused || too_few_dead {
            // The sweep may still find expired records and so make room.
            self.policy.search.lap_rest_bytes = None;
            let waits = self.sweep.is_likely_to_find(now_s);
            return if waits { Stored::NeedsStep } else { Stored::NoRoom };
        }
        let (search, mut copied_bytes) = (&mut self.policy.search, 0);
        let mut rest_bytes = search.lap_rest_bytes.unwrap_or_else(|| {
            search.lap_is_stale = false;
            log.used_bytes()
        });
        for _ in 0..SEARCHED_RECORDS_MAX {
            if self.logs[main].has_room(bytes, 0) {
                let search = &mut self.policy.search;
                (search.lap_rest_bytes, search.is_second_lap) = (None, false);
                return Stored::Kept;
            }
            if rest_bytes == 0 {
                return self.end_lap(bytes);
            }
            if copied_bytes >= COPIED_BYTES_MAX {
                break;
            }
            let (passed, copied) = self.search_past_tail(now_s);
            rest_bytes = rest_bytes.saturating_sub(passed);
            copied_bytes += copied;
        }
        self.policy.search.lap_rest_bytes = Some(rest_bytes);
        Stored::NeedsStep
    }

    /// Ends a lap of the search, which has found no room for `bytes`: a second lap begins if the first
    /// may have missed room, else the store is refused.
    fn end_lap(&mut self, bytes: u64) -> Stored {
        let search = &mut self.policy.search;
        search.lap_rest_bytes = None;
        if search.lap_is_stale && !search.is_second_lap {
            search.is_second_lap = true;
            return Stored::NeedsStep;
        }
        search.is_second_lap = false;
        if !search.lap_is_stale {
            search.refused_bytes = Some(bytes);
        }
        Stored::NoRoom
    }

    /// Moves main's tail past one record, and reinserts it if it is live. Returns the bytes that were
    /// passed, and how many of them count as copied.
    fn search_past_tail(&mut self, now_s: u32) -> (u64, u64) {
        let main = Queue::Main as usize;
        let Some(tail) = self.logs[main].tail_record(&self.arena) else {
            return (self.logs[main].limit(), 0);
        };
        let bytes = self.arena.bytes_of(&tail) as u64;
        if let Some((record, hash)) = self.live_tail(Queue::Main, now_s) {
            // In a log without free bytes it is reinserted at its own offset.
            let gap = bytes > COPIED_BYTES_MAX;
            let holes = if gap { self.logs[main].close_gap(&mut self.arena) } else { [None, None] };
            self.reinsert(Queue::Main, hash, &record);
            self.policy.search.holes.extend(holes.into_iter().flatten());
            return (bytes, if gap { 0 } else { bytes });
        }
        (bytes, 0)
    }

    /// Moves the tail to one of the latest dead records that is large enough, and reclaims that record.
    /// Returns whether there is room for `bytes` then.
    fn reuse_hole(&mut self, bytes: u64) -> bool {
        if self.may_hold_flushed(Queue::Main) {
            return false;
        }
        let log = &mut self.logs[Queue::Main as usize];
        let fits = |&offset: &usize| {
            let hole = self.arena.record(offset);
            self.arena.bytes_of(&hole) as u64 >= bytes
        };
        let Some(index) = self.policy.search.holes.iter().rposition(fits) else {
            return false;
        };
        let search = &mut self.policy.search;
        let offset = search.holes.swap_remove(index);
        search.lap_is_stale = true;
        let gap = log.rotate_to(offset, &mut self.arena);
        search.holes.extend(gap.into_iter().flatten());
        let hole = self.arena.record(offset);
        // The other offsets stay valid: no record has moved, and the tail has passed only this one.
        log.pop(&hole, &self.arena);
        log.has_room(bytes, 0)
    }

    /// With evictions disabled: notes the offset of a record that has died.
    pub(super) fn note_hole(&mut self, record: &Record) {
        let search = &mut self.policy.search;
        if search.holes.len() >= HOLES_MAX {
            search.holes.remove(0);
        }
        search.holes.push(record.offset);
    }

    /// With evictions disabled: notes that there may be room again.
    pub(super) const fn note_death(&mut self) {
        self.policy.search.refused_bytes = None;
        self.policy.search.lap_is_stale = true;
    }

    /// Gives up the room of a large value whose store has not been repeated for too long.
    pub(super) fn drop_old_reservation(&mut self, now_s: u32) {
        let is_old =
            |reservation: &Reservation| now_s.saturating_sub(reservation.seen_s) > UNSEEN_S_MAX;
        if self.policy.reservation.as_ref().is_some_and(is_old) {
            self.policy.reservation = None;
        }
    }

    /// Gives up the room of a large value, because the limit of memory changes: the value may be too
    /// large for the new one. If it is not, its next step reserves room again.
    pub(super) const fn drop_reservation(&mut self) {
        self.policy.reservation = None;
    }

    /// Checks the list of dead records. For tests.
    ///
    /// # Panics
    /// When an offset is not that of dead space in main.
    pub(super) fn verify_holes(&self) {
        for &offset in &self.policy.search.holes {
            assert!(self.arena.record(offset).is_dead(), "a hole is dead");
            assert!(self.logs[Queue::Main as usize].holds(offset), "a hole is in the log");
        }
    }

    /// With evictions disabled: notes whether an overwrite in place used dead space after the record,
    /// and whether it made new dead space.
    pub(super) fn note_overwrite(&mut self, used_dead_space: bool, made_dead_space: bool) {
        if used_dead_space {
            self.policy.search.holes.clear();
        }
        if made_dead_space {
            self.note_death();
        }
    }
}
