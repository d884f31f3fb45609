//! The policy: which log a record goes to, and what is evicted when memory is full.
//!
//! Two queues in the manner of S3-FIFO (Yang et al., SOSP 2023). Main is filled first; from then on a
//! new record enters probation, unless it is large or main has dead bytes to give. When it reaches that
//! log's tail it is promoted to main if it was read, and else evicted; the ghost then remembers its
//! key, and should that come back soon it enters main at once. At the tail of main a record that was
//! read since is reinserted at the head, once for each of up to three reads. So what is read once, such
//! as a scan, passes by without evicting what is read often; and a read changes two bits instead of a
//! list.
//!
//! Dead and expired memory comes before anything live, within these bounds:
//! * what is dead or expired at a tail is reclaimed when the tail passes;
//! * expired records elsewhere are found by the sweep (see `sweep`) and become dead bytes;
//! * while a twentieth of a log is dead, what is live at its tail is compacted, that is reinserted
//!   whatever its reads, instead of evicted, for up to [`COMPACTION_FACTOR`] bytes copied for each
//!   byte stored; records above [`COPIED_BYTES_MAX`] are evicted all the same. What is unread at
//!   probation's tail is promoted as long as main can be compacted.
//!
//! Chosen from models (`cargo bench --bench replay -- --model one-log,two-logs,s3-fifo-10,s3-fifo-5
//! --reference lru`; the table and what did not help stand in benches/replay/model.rs). Two changes to
//! S3-FIFO with a probation of a tenth moved the median: a smaller probation and ghost, and reinserting
//! a large record only if it was read more often. Misses of the store itself, in parts of what it had
//! with neither (`-m 64`, `cargo bench --bench replay -- --model store --reference lru`):
//!
//! ```text
//! probation, ghost    zipf 0.9  1.0   1.2   one-hit  loop  scans  10m   8h    2d   mixed  overwrites
//! 1/20, 1/256          0.887  0.898  0.994  1.003  0.324  1.008  1.000  1.000  1.023  0.980  0.940
//! 1/13, 1/256          0.898  0.908  0.981  1.004  0.339  0.999  1.000  1.000  1.000  0.968  0.953
//! 1/13, 1/192          0.912  0.920  0.970  1.001  0.340  0.982  1.000  1.000  0.987  0.967  0.943
//! ```
//! All with [`REINSERTED_TENTHS`]. A smaller probation evicts too early what comes back after days. A
//! smaller ghost is better by Zipf 0.9 and 1.0 alone, and worse where keys that never come back, or a
//! scan, push others out of probation.
//!
//! Not done, because it moves no figure: keeping records out of main that expire before main's
//! next lap. (In a model, with lives of ten minutes, eight hours and two days mixed, `twitter-mixed`,
//! 0.980 of LRU's misses with it and 0.969 without.)
//!
//! What a store evicts and copies is in proportion to its bytes. Room for a value above
//! [`LARGE_BYTES`] is made in steps of that size, between which other clients have their turn.

use super::log::Log;
use super::record::Record;
use super::{RECORD_WORK_BYTES, Store};
use crate::trace;

/// Records above this go to main at once, and room is made in steps of this size: 64 KiB of the
/// smallest records are some 2,700, which are evicted in a third of a millisecond.
pub const LARGE_BYTES: u64 = 64 << 10;
/// New records pass through one in so many bytes of the memory before they are kept for longer (see
/// the module's table).
const PROBATION_SHARE: usize = 13;
/// A record at main's tail is reinserted for its reads if it is at most so many tenths of the mean live
/// record for each read: large records have to be read more often for the room that they take.
const REINSERTED_TENTHS: u64 = 14;
/// Bytes of records that may be reinserted or promoted for each byte stored, because they were read.
/// The unused rest carries over to the next stores, up to [`LARGE_BYTES`]; after that records are
/// evicted, read or not.
///
/// In the mean fewer are needed, but they come in bursts. Misses in parts of LRU's (`replay --model
/// store --reference lru`): by Zipf 0.9 0.755 with this, 0.754 with nothing bounded, 0.791 with 4 KiB
/// carried over; in a loop 0.129, and 0.124 with nothing bounded. How long a store may take that
/// reinserts 64 KiB: see `tests/worst_case_latency.rs`.
const REINSERTION_FACTOR: u64 = 2;
/// The share of dead bytes of a log from which on it is compacted: one in twenty.
///
/// Dead bytes are memory in which nothing is found, and to reclaim them is to copy the live records
/// between them. By half writes of 16 to 1,000 bytes, Zipf 1.0 (`cargo bench --bench replay --
/// --model store --reference lru --only overwrites`), a tenth has 1.04 of LRU's misses and a twentieth
/// 1.00. Of sessions that fill seven tenths of the memory and expire, a model loses 8 % with a tenth
/// and none with a twentieth. Where reads prevail there are hardly any dead records.
const DEAD_SHARE: u64 = 20;
/// Bytes that compaction may copy for each byte stored. With a twentieth dead, evenly spread, 19 would
/// be needed, but what is dead lies where records are old. With 4 overwrites have 1.08 of LRU's misses
/// instead of 1.00. The unused rest carries over, up to [`LARGE_BYTES`].
const COMPACTION_FACTOR: u64 = 12;
/// Compaction copies no record above this, which takes 0.1 ms, but evicts it. A record may be larger
/// than what is kept of the factor; the stores that follow pay for it. (When this was chosen, by
/// half writes of 1 KB to 400 KB, Zipf 1.0: with records above 64 KiB evicted half the memory stays
/// empty, and the misses are 1.97 of LRU's instead of 1.07.)
const COPIED_BYTES_MAX: u64 = 1 << 20;
/// Where nothing is evicted: records that one step of a search for dead bytes passes.
const SEARCHED_RECORDS_MAX: u32 = 1024;
/// Where nothing is evicted: dead records that are remembered, the latest of them.
const HOLES_MAX: usize = 64;
/// A large value whose store was not repeated during as many steps of others, or for as many seconds,
/// was given up: its client has disconnected. There are no more clients than a thousand by default.
const UNSEEN_STEPS_MAX: u32 = 1024;
const UNSEEN_S_MAX: u32 = 10;

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is kept.
    Kept,
    /// Some of its room has been made, and nothing else has happened: ask again, after others.
    NeedsStep,
    /// There is no room, and none may be made. Nothing has happened.
    NoRoom,
}

/// The two logs, by what they are to the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// For records that are new.
    Probation = 0,
    /// For those that were read on probation.
    Main = 1,
}

/// What the policy remembers between two stores.
#[derive(Debug)]
pub(super) struct PolicyState {
    /// Main has been full once. Until then nothing is evicted.
    has_been_full: bool,
    /// Bytes that may yet be reinserted, and compacted, for what was stored so far. Compaction may be
    /// overdrawn by one record.
    reinsertion_budget: u64,
    compaction_budget: i64,
    /// The large value that room is being made for.
    reservation: Option<Reservation>,
    search: Search,
}

/// Room in main that is being made for a large value. Other stores do not take it meanwhile: they
/// would use up each step's room before the next one, for ever.
#[derive(Clone, Copy, Debug)]
struct Reservation {
    /// Of its key.
    hash: u64,
    bytes: u64,
    /// Steps that others have made since its own last one, which was in this second.
    unseen_steps: u32,
    seen_s: u32,
}

/// Where nothing is evicted: what is known of dead bytes that a new record can have.
#[derive(Debug, Default)]
struct Search {
    /// Offsets of records that died last. Valid until the tail passes one of them, or a live record is
    /// written over one.
    holes: Vec<usize>,
    /// Bytes that the tail has yet to pass until it has been everywhere.
    lap_left_bytes: Option<u64>,
    /// Something died, or the tail jumped, since the lap began: it may have missed room. Then there is
    /// a second lap.
    lap_is_stale: bool,
    is_second_lap: bool,
    /// The tail has been everywhere, and there was no room for as many bytes. Until something dies
    /// there is none for more, either.
    fruitless_bytes: Option<u64>,
}

/// What may be done with live records at a tail, instead of evicting them.
struct Budget {
    reinsertion: u64,
    compaction: i64,
    /// Larger records are not reinserted.
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

/// Both logs of a store, one after the other. Where nothing is evicted there is nothing to find out
/// about new records either, so probation has no room then.
pub(super) const fn lay_out(memory_bytes: usize, unit_bytes: usize, evicts: bool) -> [Log; 2] {
    let share = if evicts { memory_bytes / PROBATION_SHARE } else { 0 };
    let start = share / unit_bytes * unit_bytes;
    [Log::new(0, start), Log::new(start, memory_bytes / unit_bytes * unit_bytes)]
}

impl Store {
    /// The queue whose log a record's offset lies in.
    pub(super) fn queue_of(&self, offset: usize) -> Queue {
        if self.logs[Queue::Probation as usize].contains(offset) {
            Queue::Probation
        } else {
            Queue::Main
        }
    }

    /// The queue that a record goes to, in place of a live one or as a new one.
    pub(super) fn queue_for(&mut self, hash: u64, bytes: u64, live: Option<&Record>) -> Queue {
        if !self.evicts || bytes > self.large_bytes() {
            return Queue::Main;
        }
        let queue = match live {
            Some(old) => self.queue_of(old.offset),
            // While main has dead bytes to give, nothing live is evicted for what goes there.
            None if self.is_filling(bytes)
                || self.is_fragmented(Queue::Main)
                || self.ghost.recall(hash, self.map.len()) =>
            {
                Queue::Main
            }
            None => Queue::Probation,
        };
        // Nothing is evicted before memory is full.
        let [probation, main] = &self.logs;
        if !main.has_room(bytes, 0) && probation.has_room(bytes, 0) {
            Queue::Probation
        } else {
            queue
        }
    }

    /// Records above this many bytes do not go through probation: there is little room in it, and
    /// promoting them to main would be work out of proportion to the store that does it.
    pub(super) fn large_bytes(&self) -> u64 {
        LARGE_BYTES.min(self.logs[Queue::Probation as usize].size() / 2)
    }

    /// Does main still take everything? Until it has been full once nothing is known about what
    /// will be read. Going through probation, as later, would end with the same records in both
    /// logs, but each written twice (measured: 0.84 bytes moved for each one stored).
    fn is_filling(&mut self, bytes: u64) -> bool {
        let main = &self.logs[Queue::Main as usize];
        self.policy.has_been_full |= !main.has_room(bytes, 0);
        !self.policy.has_been_full
    }

    /// Sees to it that a record of `bytes` that is not large can be written at a log's head.
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

    /// What may be copied for a store of so many bytes.
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

    /// Free bytes of a log that are not for every store.
    fn reserved_bytes(&self, queue: Queue) -> u64 {
        match self.policy.reservation {
            Some(reservation) if queue == Queue::Main => {
                reservation.bytes.min(self.logs[queue as usize].free_bytes())
            }
            _ => 0,
        }
    }

    /// The same for a large record, which may take more than one step, or not be kept at all.
    pub(super) fn make_large_room(&mut self, hash: u64, bytes: u64, now_s: u32) -> Stored {
        let main = Queue::Main as usize;
        if bytes > self.logs[main].size() / 2 {
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
        let needed = (log.stride(bytes) + others_bytes).min(log.size());
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

    /// Moves a log's tail on by one record. A live one is promoted, reinserted or evicted.
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
        let may_stay = budget.reinsertion > 0
            && bytes <= budget.record_bytes_max
            && (queue == Queue::Probation || self.is_worth_its_room(&record, bytes));
        if record.counter() == 0 || !may_stay {
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
    fn is_worth_its_room(&self, record: &Record, bytes: u64) -> bool {
        let live_bytes: u64 = self.logs.iter().map(Log::live_bytes).sum();
        let reads = u64::from(record.counter());
        10 * bytes * self.map.len() as u64 <= REINSERTED_TENTHS * reads * live_bytes
    }

    /// Does a log have so many dead bytes that it is compacted?
    fn is_fragmented(&self, queue: Queue) -> bool {
        let log = &self.logs[queue as usize];
        log.dead_bytes() >= log.size() / DEAD_SHARE && log.dead_bytes() > 0
    }

    /// May a live record be copied to reclaim the dead bytes of its log? If so, the budget pays for it.
    fn may_compact(&mut self, queue: Queue, bytes: u64, budget: &mut Budget) -> bool {
        let may = self.is_fragmented(queue) && budget.compaction > 0 && bytes <= COPIED_BYTES_MAX;
        if may {
            self.counters.compacted_bytes += bytes;
            budget.compaction -= i64::try_from(bytes).unwrap_or(i64::MAX);
        }
        may
    }

    /// Can main take `bytes` without evicting? What is dead or expired at its tail makes room, and
    /// what else is dead in it, as far as it may be compacted.
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

    /// The live record at a log's tail, with its hash. None when what was there has been reclaimed.
    fn live_tail(&mut self, queue: Queue, now_s: u32) -> Option<(Record, u64)> {
        let log = &self.logs[queue as usize];
        let record = log.tail_record(&self.arena);
        let record = record.expect("an empty log has room for everything that may enter it");
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
        let dead_per_mille = log.dead_bytes() * 1000 / log.size();
        let counters = &mut self.counters;
        counters.dead_per_mille_at_eviction_max =
            counters.dead_per_mille_at_eviction_max.max(dead_per_mille);
        counters.count_evicted(record, now_s);
        trace::evicted(record.key(&self.arena), record.value_bytes());
        self.unmap(hash, record);
        self.pop(queue, record);
        if queue == Queue::Probation {
            self.ghost.remember(hash);
        }
    }

    /// Sees to it that the map has a slot for a new key. False when it has none and nothing may be
    /// evicted.
    pub(super) fn make_slot(&mut self, hash: u64, now_s: u32) -> bool {
        let Some(address) = self.map.obstacle(hash) else {
            return true;
        };
        let record = self.arena.record(self.arena.offset(address));
        let hash = self.map.hash(record.key(&self.arena));
        if !self.is_live(&record, now_s) {
            self.forget_expired(hash, &record);
        } else if self.evicts {
            self.counters.count_evicted(&record, now_s);
            trace::evicted(record.key(&self.arena), record.value_bytes());
            self.forget(hash, &record);
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

    /// Moves the record at a log's tail to the same log's head. There is always room for it: up to
    /// its own end all is free, and space skipped before it would end where that lap ends, before it.
    fn reinsert(&mut self, queue: Queue, hash: u64, record: &Record) {
        let bytes = self.pop(queue, record);
        self.copy_to_head(queue, hash, record, bytes);
    }

    #[allow(clippy::cast_possible_truncation, reason = "no record is larger than the memory")]
    fn copy_to_head(&mut self, queue: Queue, hash: u64, record: &Record, bytes: u64) {
        let to = self.logs[queue as usize].append(bytes, &mut self.arena);
        // In a log without a free byte the head is where the tail is.
        if to == record.offset {
            return;
        }
        self.arena.copy(record.offset, bytes as usize, to);
        self.map.relocate(hash, self.arena.address(record.offset), self.arena.address(to));
        self.counters.moved_bytes += bytes;
        self.work_bytes += bytes;
    }

    /// One step of the search for room where nothing is evicted. It ends when the tail has been
    /// everywhere; what is dead or expired has then been reclaimed, and what is live stands together.
    fn search_room(&mut self, bytes: u64, now_s: u32) -> Stored {
        let main = Queue::Main as usize;
        if self.logs[main].has_room(bytes, 0) || self.reuse_hole(bytes) {
            return Stored::Kept;
        }
        self.sweep_for_room(bytes.min(LARGE_BYTES), now_s);
        let log = &self.logs[main];
        let is_refused = self.policy.search.fruitless_bytes.is_some_and(|least| bytes >= least);
        let too_few_dead = log.free_bytes() + log.dead_bytes() < bytes && !log.holds_flushed();
        if is_refused || too_few_dead {
            // What is likely to have expired may yet make room.
            self.policy.search.lap_left_bytes = None;
            let waits = self.sweep.is_fruitful(now_s);
            return if waits { Stored::NeedsStep } else { Stored::NoRoom };
        }
        let (search, mut copied_bytes) = (&mut self.policy.search, 0);
        let mut left_bytes = search.lap_left_bytes.unwrap_or_else(|| {
            search.lap_is_stale = false;
            log.used_bytes()
        });
        for _ in 0..SEARCHED_RECORDS_MAX {
            if self.logs[main].has_room(bytes, 0) {
                let search = &mut self.policy.search;
                (search.lap_left_bytes, search.is_second_lap) = (None, false);
                return Stored::Kept;
            }
            if left_bytes == 0 {
                return self.end_lap(bytes);
            }
            if copied_bytes >= COPIED_BYTES_MAX {
                break;
            }
            let (passed, copied) = self.search_past_tail(now_s);
            left_bytes = left_bytes.saturating_sub(passed);
            copied_bytes += copied;
        }
        self.policy.search.lap_left_bytes = Some(left_bytes);
        Stored::NeedsStep
    }

    /// The tail has been everywhere, and there is no room for `bytes`.
    fn end_lap(&mut self, bytes: u64) -> Stored {
        let search = &mut self.policy.search;
        search.lap_left_bytes = None;
        if search.lap_is_stale && !search.is_second_lap {
            search.is_second_lap = true;
            return Stored::NeedsStep;
        }
        search.is_second_lap = false;
        if !search.lap_is_stale {
            search.fruitless_bytes = Some(bytes);
        }
        Stored::NoRoom
    }

    /// Moves main's tail on by one record, which stays if it is live. Returns the bytes that were
    /// passed, and those of them that were copied.
    fn search_past_tail(&mut self, now_s: u32) -> (u64, u64) {
        let main = Queue::Main as usize;
        let Some(tail) = self.logs[main].tail_record(&self.arena) else {
            return (self.logs[main].size(), 0);
        };
        let bytes = self.arena.bytes_of(&tail) as u64;
        if let Some((record, hash)) = self.live_tail(Queue::Main, now_s) {
            // In a log without a free byte it is reinserted where it is.
            let gap = bytes > COPIED_BYTES_MAX;
            let holes = if gap { self.logs[main].close_gap(&mut self.arena) } else { [None, None] };
            self.reinsert(Queue::Main, hash, &record);
            self.policy.search.holes.extend(holes.into_iter().flatten());
            return (bytes, if gap { 0 } else { bytes });
        }
        (bytes, 0)
    }

    /// Makes the tail one of the records that died last and that is large enough, if there is one.
    fn reuse_hole(&mut self, bytes: u64) -> bool {
        let log = &mut self.logs[Queue::Main as usize];
        let fits = |&offset: &usize| {
            let hole = self.arena.record(offset);
            self.arena.bytes_of(&hole) as u64 >= bytes
        };
        let Some(at) = self.policy.search.holes.iter().rposition(fits) else {
            return false;
        };
        if log.holds_flushed() {
            return false;
        }
        let search = &mut self.policy.search;
        let offset = search.holes.swap_remove(at);
        search.lap_is_stale = true;
        let gap = log.rotate_to(offset, &mut self.arena);
        search.holes.extend(gap.into_iter().flatten());
        let hole = self.arena.record(offset);
        // The others are where they were: nothing has moved, and the tail has passed this one only.
        log.pop(&hole, &self.arena);
        log.has_room(bytes, 0)
    }

    /// Where nothing is evicted: notes that a record has died.
    pub(super) fn note_hole(&mut self, record: &Record) {
        let search = &mut self.policy.search;
        if search.holes.len() >= HOLES_MAX {
            search.holes.remove(0);
        }
        search.holes.push(record.offset);
    }

    /// Where nothing is evicted: notes that there may be room again.
    pub(super) const fn note_death(&mut self) {
        self.policy.search.fruitless_bytes = None;
        self.policy.search.lap_is_stale = true;
    }

    /// Gives up the room of a large value whose client does not come back.
    pub(super) fn drop_old_reservation(&mut self, now_s: u32) {
        let given_up =
            |reservation: &Reservation| now_s.saturating_sub(reservation.seen_s) > UNSEEN_S_MAX;
        if self.policy.reservation.as_ref().is_some_and(given_up) {
            self.policy.reservation = None;
        }
    }

    /// Checks what is remembered of dead records. For tests.
    ///
    /// # Panics
    /// When one is none.
    pub(super) fn verify_holes(&self) {
        for &offset in &self.policy.search.holes {
            assert!(self.arena.record(offset).is_dead(), "a hole is dead");
            assert!(self.logs[Queue::Main as usize].holds(offset), "a hole is in the log");
        }
    }

    /// Where nothing is evicted: notes what an overwrite in place did to the dead space after it.
    pub(super) fn note_overwrite(&mut self, took_dead_space: bool, left_dead_space: bool) {
        if took_dead_space {
            self.policy.search.holes.clear();
        }
        if left_dead_space {
            self.note_death();
        }
    }
}
