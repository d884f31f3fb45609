//! The policy: where a record goes, and who leaves when memory is full.
//!
//! Two queues in the manner of S3-FIFO (Yang et al., SOSP 2023). Main is filled first; from then on a
//! new record enters probation. When it reaches that log's tail it is passed on to main if anybody
//! has read it, and else leaves; the ghost then remembers it, and should it come back soon it enters
//! main at once. At the tail of main a record that was read since is written again at the head, once
//! for each of up to three reads. So what is read once, such as a scan, passes by without pushing
//! out what is read often; and a read changes two bits instead of a list.
//!
//! Chosen from models, by their misses in parts of LRU's (`cargo bench --bench replay -- --model
//! one-log,two-logs,s3-fifo-10,s3-fifo-25,store --reference lru`, `-m 64`, the median over all eleven
//! workloads that do not fit, and some of them):
//!
//! ```text
//!                             median  zipf 0.9  zipf 1.2  scans  twitter-2d  overwrites
//! one log, 2-bit counters      0.991     0.922     0.925  0.962       0.991       1.083
//! two logs, no ghost           0.998     0.777     1.017  0.834       1.263       1.035
//! S3-FIFO, probation 10 %      0.877     0.850     0.877  0.717       1.025       1.051
//! S3-FIFO, probation 25 %      0.906     0.890     0.906  0.770       1.001       1.080
//! this store, as it is         0.886     0.840     0.886  0.762       1.027       1.061
//! ```
//!
//! Not done, because it moves no figure: keeping records out of main whose lives end before main's
//! next lap. (With lives of ten minutes, eight hours and two days mixed, `twitter-mixed`, 0.980 of
//! LRU's misses with it and 0.969 without.)
//!
//! All work is in proportion to the bytes that a store brings. Room for a value above
//! [`LARGE_BYTES`] is made in steps of that size, between which others have their turn. Knows no
//! hash table and no layout of records.

use super::log::Place;
use super::{COUNTER_MAX, FETCHED, MARKS_AT, NEVER, Record, Store, Stored};

/// Records above this go to main at once, and room is made in steps of this size: 64 KiB of the
/// smallest records are some 2,000, which can be made to leave in a third of a millisecond.
pub const LARGE_BYTES: u64 = 64 << 10;
/// Bytes of records that may be spared for each byte stored. What one store leaves of that is kept
/// for the next ones, up to [`LARGE_BYTES`]; after that records leave, read or not.
///
/// In the mean fewer are spared (0.1 to 0.6 bytes for each one stored, 1.0 in a loop), but they come
/// in bursts. Misses in parts of LRU's: by Zipf 0.9 0.854 with this, 0.872 with a factor of 8 and
/// nothing kept, and 0.854 again with nothing bounded; in a loop 0.385, 0.395 and 0.428. With only
/// 4 KiB kept they are 0.878 by Zipf 0.9. The longest store that spares 64 KiB takes 0.22 ms (see
/// `tests/longest.rs`).
const CHANCES_FACTOR: u64 = 2;
/// Records passed by in one go because of dead bytes, and bytes of them that are moved.
///
/// Large records are moved as well, up to that size, although a small store may be the one that does
/// it: compaction would otherwise throw out what nobody had to leave for. (Half writes of 1 KB to
/// 400 KB, Zipf 1.0: with those above 64 KiB thrown out half the memory stays empty, and the misses
/// are 1.97 of LRU's instead of 1.07.) A MiB is copied in some 0.1 ms.
const COMPACTED_RECORDS_MAX: u32 = 1024;
const COMPACTED_BYTES_MAX: u64 = 1 << 20;
/// Where nothing is evicted: records passed by in search of dead ones, for one store.
const SEARCHED_RECORDS_MAX: u32 = 256;
/// A large value that was not asked for again during as many steps of others has been given up: its
/// client has left. There are no more clients than a thousand by default.
const UNSEEN_STEPS_MAX: u32 = 1024;

/// A large value that room is made for. Others do not take that room meanwhile: without it, small
/// stores would use up each step's room before the next one, for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Of its key.
    hash: u64,
    bytes: u64,
    /// Steps that others have made since its own last one.
    unseen_steps: u32,
}

/// What may be spared at a tail.
struct Chances {
    /// Bytes, in all.
    bytes: u64,
    /// Bytes of one record.
    record_bytes_max: u64,
}

impl Store {
    /// The log that a record goes to, in place of a live one or as a new one.
    pub(super) fn place_for(&mut self, hash: u64, bytes: u64, live: Option<&Record>) -> Place {
        if !self.evicts || bytes > self.large_bytes() {
            return Place::Main;
        }
        let place = match live {
            Some(old) => self.log_of(old.at),
            None if self.is_filling(bytes) || self.ghost.recall(hash, self.items) => Place::Main,
            None => Place::Probation,
        };
        // Nobody leaves before memory is full.
        let [probation, main] = &self.logs;
        if !main.has_room(bytes, 0) && probation.has_room(bytes, 0) {
            Place::Probation
        } else {
            place
        }
    }

    /// Records above this many bytes do not go through probation: there is little room in it, and
    /// passing them on to main would be work out of proportion to the store that does it.
    pub(super) fn large_bytes(&self) -> u64 {
        LARGE_BYTES.min(self.logs[Place::Probation as usize].size() / 2)
    }

    /// Does main still take everything? Until it has been full once nothing is known about who
    /// will be wanted. Going through probation, as later, would end with the same records in both
    /// logs, but each written twice (measured: 0.84 bytes moved for each one stored).
    fn is_filling(&mut self, bytes: u64) -> bool {
        let main = &self.logs[Place::Main as usize];
        self.has_been_full |= !main.has_room(bytes, 0);
        !self.has_been_full
    }

    /// Sees to it that a record of `bytes` that is not large can be written at a log's head.
    pub(super) fn make_small_room(&mut self, place: Place, bytes: u64, now_s: u32) {
        let saved = (self.chances_bytes + bytes * CHANCES_FACTOR).min(LARGE_BYTES);
        let mut chances = Chances { bytes: saved, record_bytes_max: LARGE_BYTES };
        self.make_room(place, bytes, &mut chances, now_s);
        self.chances_bytes = chances.bytes;
    }

    fn make_room(&mut self, place: Place, bytes: u64, chances: &mut Chances, now_s: u32) {
        let set_aside = self.set_aside(place);
        while !self.logs[place as usize].has_room(bytes, set_aside) {
            self.move_tail(place, chances, now_s);
        }
    }

    /// Free bytes of a log that are not for everybody.
    fn set_aside(&self, place: Place) -> u64 {
        match self.waiting {
            Some(waiting) if place == Place::Main => {
                waiting.bytes.min(self.logs[place as usize].free())
            }
            _ => 0,
        }
    }

    /// The same for a large record, which may take more than one step, or not be kept at all.
    pub(super) fn make_large_room(&mut self, hash: u64, bytes: u64, now_s: u32) -> Stored {
        let main = Place::Main as usize;
        if bytes > self.logs[main].size() / 2 {
            return Stored::NoRoom;
        }
        if !self.evicts {
            for _ in 0..SEARCHED_RECORDS_MAX {
                if self.logs[main].has_room(bytes, 0) {
                    return Stored::Kept;
                }
                self.spare_tail(Place::Main, now_s);
            }
            return Stored::NoRoom;
        }
        let others = match &mut self.waiting {
            Some(waiting) if waiting.hash == hash => {
                (waiting.bytes, waiting.unseen_steps) = (bytes, 0);
                0
            }
            Some(waiting) if waiting.unseen_steps < UNSEEN_STEPS_MAX => {
                waiting.unseen_steps += 1;
                waiting.bytes
            }
            _ => 0,
        };
        let log = &self.logs[main];
        let needed = (log.stride(bytes) + others).min(log.size());
        if log.free() < needed {
            if others == 0 {
                self.waiting = Some(Waiting { hash, bytes, unseen_steps: 0 });
            }
            let enough = (log.free() + LARGE_BYTES).min(needed);
            let mut chances =
                Chances { bytes: LARGE_BYTES, record_bytes_max: LARGE_BYTES.max(bytes) };
            while self.logs[main].free() < enough {
                self.move_tail(Place::Main, &mut chances, now_s);
            }
            return Stored::NeedsStep;
        }
        if others == 0 {
            self.waiting = None;
        }
        Stored::Kept
    }

    /// Moves a log's tail on by one record, which leaves, or is spared as far as there are chances.
    fn move_tail(&mut self, place: Place, chances: &mut Chances, now_s: u32) {
        let Some((record, hash)) = self.reach(place, now_s) else {
            return;
        };
        let bytes = record.bytes() as u64;
        let chance = chances.bytes > 0 && bytes <= chances.record_bytes_max;
        if place == Place::Probation && self.main_takes(bytes, now_s) {
            return self.pass_on(hash, &record);
        }
        if record.counter() == 0 || !chance {
            return self.evict(place, hash, &record, now_s);
        }
        chances.bytes = chances.bytes.saturating_sub(bytes);
        match place {
            Place::Probation => {
                self.make_room(Place::Main, bytes, chances, now_s);
                self.pass_on(hash, &record);
            }
            Place::Main => {
                self.arena[record.at + MARKS_AT] -= 1;
                self.rewrite(place, hash, &record);
            }
        }
    }

    /// Has main room that nobody has to leave for? What is over at its tail gives it: otherwise main
    /// would keep what a flush has taken for as long as nobody is passed on to it.
    fn main_takes(&mut self, bytes: u64, now_s: u32) -> bool {
        let set_aside = self.set_aside(Place::Main);
        while !self.logs[Place::Main as usize].has_room(bytes, set_aside) {
            if self.reach(Place::Main, now_s).is_some() {
                return false;
            }
        }
        true
    }

    /// The live record at a log's tail, with its hash. None when what was there has been reclaimed.
    fn reach(&mut self, place: Place, now_s: u32) -> Option<(Record, u64)> {
        let log = &mut self.logs[place as usize];
        assert!(!log.is_empty(), "an empty log has room for everything that may enter it");
        let record = Record::read(&self.arena, log.place(log.tail));
        let bytes = record.bytes() as u64;
        if record.is_dead() {
            log.tail += bytes;
            let sum = if record.ends_lap() { &mut log.filler } else { &mut log.dead };
            *sum -= bytes;
            return None;
        }
        let hash = self.hash_of(&record);
        if self.is_live(&record, now_s) {
            return Some((record, hash));
        }
        self.counters.reclaimed += 1;
        self.counters.expired_unfetched += u64::from(record.marks & FETCHED == 0);
        self.erase(hash, record.at);
        self.logs[place as usize].tail += bytes;
        None
    }

    /// Makes the live record at a log's tail leave.
    fn evict(&mut self, place: Place, hash: u64, record: &Record, now_s: u32) {
        let log = &mut self.logs[place as usize];
        let counters = &mut self.counters;
        let dead_per_mille = log.dead * 1000 / log.size();
        counters.dead_per_mille_at_eviction_max =
            counters.dead_per_mille_at_eviction_max.max(dead_per_mille);
        counters.evictions += 1;
        counters.evicted_unfetched += u64::from(record.marks & FETCHED == 0);
        counters.evicted_with_time += u64::from(record.expires_at_s != NEVER);
        counters.evicted_idle_s = now_s.saturating_sub(record.accessed_s);
        log.tail += record.bytes() as u64;
        self.erase(hash, record.at);
        if place == Place::Probation {
            self.ghost.remember(hash);
        }
    }

    /// Moves the record at the tail of probation to the head of main, which has room for it.
    fn pass_on(&mut self, hash: u64, record: &Record) {
        self.logs[Place::Probation as usize].tail += record.bytes() as u64;
        self.arena[record.at + MARKS_AT] &= !COUNTER_MAX;
        self.copy_to_head(Place::Main, hash, record);
    }

    /// Moves the record at a log's tail to the same log's head. There is always room for it: up to
    /// its own end all is free, and a filler before it would end where that lap ends, before it.
    fn rewrite(&mut self, place: Place, hash: u64, record: &Record) {
        self.logs[place as usize].tail += record.bytes() as u64;
        self.copy_to_head(place, hash, record);
    }

    fn copy_to_head(&mut self, place: Place, hash: u64, record: &Record) {
        let bytes = record.bytes();
        let to = self.claim(place, bytes as u64);
        self.arena.copy_within(record.at..record.at + bytes, to);
        self.readdress(hash, record.at, to);
        self.counters.moved_bytes += bytes as u64;
    }

    /// Pays for the bytes that died: moves tails on, so that the dead ones are reclaimed and the
    /// live ones stand closer together.
    pub(super) fn compact(&mut self, now_s: u32) {
        for place in [Place::Probation, Place::Main] {
            if self.logs[place as usize].is_owed() {
                self.pay(place, now_s);
            }
        }
    }

    fn pay(&mut self, place: Place, now_s: u32) {
        let mut records = COMPACTED_RECORDS_MAX;
        let mut bytes = COMPACTED_BYTES_MAX;
        while self.logs[place as usize].is_owed() && records > 0 && bytes > 0 {
            let passed = self.spare_tail(place, now_s);
            records -= 1;
            bytes = bytes.saturating_sub(passed);
            let log = &mut self.logs[place as usize];
            log.owed = log.owed.saturating_sub(passed);
        }
    }

    /// Moves a log's tail on by one record, which stays if it is live. Returns its size.
    fn spare_tail(&mut self, place: Place, now_s: u32) -> u64 {
        let log = &mut self.logs[place as usize];
        if log.is_empty() {
            log.owed = 0;
            return 0;
        }
        let tail = log.tail;
        match self.reach(place, now_s) {
            Some((record, hash)) if self.evicts && record.bytes() as u64 > COMPACTED_BYTES_MAX => {
                self.evict(place, hash, &record, now_s);
            }
            Some((record, hash)) => self.rewrite(place, hash, &record),
            None => {}
        }
        self.logs[place as usize].tail - tail
    }
}
