//! The policy: where a record goes, and who leaves when memory is full.
//!
//! Two queues in the manner of S3-FIFO (Yang et al., SOSP 2023). A new record enters probation. When
//! it reaches that log's tail it is passed on to main if anybody has read it, and else leaves; the
//! ghost then remembers it, and should it come back soon it enters main at once. At the tail of main
//! a record that was read since is written again at the head, once for each of up to three reads.
//! So what is read once, such as a scan, passes by without pushing out what is read often; and a
//! read changes two bits instead of a list.
//!
//! All work is in proportion to the bytes that a store brings. Room for a value above
//! [`LARGE_BYTES`] is made in steps of that size, between which others have their turn. Knows no
//! hash table and no layout of records.

use super::log::Place;
use super::record;
use super::{ACCESSED_AT, COUNTER_MAX, DEAD, EXPIRES_AT, MARKS_AT};
use super::{FETCHED, Marks, Meta, Record, STALE, Store, Stored, WIN_SENT};

/// Records above this go to main at once, and room is made in steps of this size: 64 KiB of the
/// smallest records are some 2,000, which can be made to leave in a third of a millisecond.
pub const LARGE_BYTES: u64 = 64 << 10;
/// Bytes of records that may be spared for each byte stored, up to [`LARGE_BYTES`] in all. After
/// that they leave, read or not.
const CHANCES_FACTOR: u64 = 8;
/// In place of a larger record only if the rest is at most the eighth part of it.
const IN_PLACE_WASTE: usize = 8;
/// Records passed by in one go because of dead bytes, and bytes of them that are moved.
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
    /// Keeps a copy of `value` under `key`, in place of what was there.
    pub fn set(&mut self, key: &[u8], value: &[u8], meta: Meta, now_s: u32) -> Stored {
        self.flush_if_due(now_s);
        let hash = self.hash(key);
        let bytes = record::bytes(key.len(), value.len(), meta.flags) as u64;
        let mut old = self.find(hash, key);
        let live = old.filter(|old| self.is_live(old, now_s));
        if let Some(old) = live
            && let Some(waste) =
                old.bytes().checked_sub(record::bytes(key.len(), value.len(), meta.flags))
            && waste * IN_PLACE_WASTE <= old.bytes()
        {
            self.overwrite(&old, waste, (key, value), meta, now_s);
            self.compact(now_s);
            return Stored::Kept;
        }
        let is_large = bytes > self.large_bytes();
        if is_large || !self.evicts {
            match self.make_large_room(hash, bytes, now_s) {
                Stored::Kept => {}
                not_yet @ (Stored::NeedsStep | Stored::NoRoom) => return not_yet,
            }
            // It may have moved, and it may have left.
            old = self.find(hash, key);
        }
        let place = match live {
            _ if is_large || !self.evicts => Place::Main,
            Some(old) => self.log_of(old.at),
            None if self.ghost.recall(hash, self.items) => Place::Main,
            None => Place::Probation,
        };
        match old {
            Some(old) if live.is_none() => self.bury_expired(hash, &old),
            Some(old) => self.forget(hash, &old),
            None => {}
        }
        if !is_large && self.evicts {
            let mut chances = Chances {
                bytes: (bytes * CHANCES_FACTOR).min(LARGE_BYTES),
                record_bytes_max: LARGE_BYTES,
            };
            self.make_room(place, bytes, &mut chances, now_s);
        }
        let at = self.claim(place, bytes);
        let counter = live.map_or(0, |old| old.counter());
        self.write_record(at, (key, value), meta, counter, now_s);
        self.insert(hash, at);
        self.counters.stored_bytes += bytes;
        self.compact(now_s);
        Stored::Kept
    }

    /// Forgets `key`. False when there was no live item under it.
    pub fn delete(&mut self, key: &[u8], now_s: u32) -> bool {
        self.flush_if_due(now_s);
        let hash = self.hash(key);
        let Some(record) = self.find(hash, key) else {
            return false;
        };
        let is_live = self.is_live(&record, now_s);
        if is_live {
            self.forget(hash, &record);
        } else {
            self.bury_expired(hash, &record);
        }
        self.compact(now_s);
        is_live
    }

    /// Changes when the live item under `key` expires, and counts as an access to it. False when
    /// there is none.
    pub fn touch(&mut self, key: &[u8], expires_at_s: u32, now_s: u32) -> bool {
        let Some(at) = self.wanted(key, now_s) else {
            return false;
        };
        self.arena[at + EXPIRES_AT..at + ACCESSED_AT].copy_from_slice(&expires_at_s.to_le_bytes());
        true
    }

    /// Changes what meta commands remember at the live item under `key`, unnoticed. False when
    /// there is none.
    pub fn mark(&mut self, key: &[u8], marks: Marks, now_s: u32) -> bool {
        self.flush_if_due(now_s);
        let Some(record) = self.find(self.hash(key), key) else {
            return false;
        };
        let stale = if marks.stale { STALE } else { 0 };
        let win_sent = if marks.win_sent { WIN_SENT } else { 0 };
        self.arena[record.at + MARKS_AT] = record.marks & !(STALE | WIN_SENT) | stale | win_sent;
        self.is_live(&record, now_s)
    }

    /// Where the live record under `key` is, after an access to it.
    fn wanted(&mut self, key: &[u8], now_s: u32) -> Option<usize> {
        self.get(key, now_s)?;
        self.find(self.hash(key), key).map(|record| record.at)
    }

    /// Writes a record over an older one, whose last `waste` bytes die.
    fn overwrite(
        &mut self,
        old: &Record,
        waste: usize,
        item: (&[u8], &[u8]),
        meta: Meta,
        now_s: u32,
    ) {
        self.write_record(old.at, item, meta, old.counter(), now_s);
        let bytes = old.bytes() - waste;
        self.counters.stored_bytes += bytes as u64;
        if waste > 0 {
            self.write_filler(old.at + bytes, waste, DEAD);
            let place = self.log_of(old.at);
            self.logs[place as usize].bury(waste as u64);
        }
    }

    /// Records above this many bytes do not go through probation: there is little room in it, and
    /// passing them on to main would be work out of proportion to the store that does it.
    fn large_bytes(&self) -> u64 {
        LARGE_BYTES.min(self.logs[Place::Probation as usize].size() / 2)
    }

    /// Sees to it that `bytes` can be written at a log's head.
    fn make_room(&mut self, place: Place, bytes: u64, chances: &mut Chances, now_s: u32) {
        let log = &self.logs[place as usize];
        let set_aside = match self.waiting {
            Some(waiting) if place == Place::Main => waiting.bytes.min(log.free()),
            _ => 0,
        };
        loop {
            let log = &self.logs[place as usize];
            if log.free() >= (log.stride(bytes) + set_aside).min(log.size()) {
                return;
            }
            self.move_tail(place, chances, now_s);
        }
    }

    /// The same for a record that may take more than one step, or not be kept at all.
    fn make_large_room(&mut self, hash: u64, bytes: u64, now_s: u32) -> Stored {
        let main = Place::Main as usize;
        if bytes > self.logs[main].size() / 2 {
            return Stored::NoRoom;
        }
        if !self.evicts {
            for _ in 0..SEARCHED_RECORDS_MAX {
                let log = &self.logs[main];
                if log.free() >= log.stride(bytes) || log.is_empty() {
                    break;
                }
                self.spare_tail(Place::Main, now_s);
            }
            let log = &self.logs[main];
            return if log.free() >= log.stride(bytes) { Stored::Kept } else { Stored::NoRoom };
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
        if place == Place::Main {
            self.has_been_full = true;
        }
        let Some((record, hash)) = self.reach(place, now_s) else {
            return;
        };
        let bytes = record.bytes() as u64;
        let chance = chances.bytes > 0 && bytes <= chances.record_bytes_max;
        if place == Place::Probation && !self.has_been_full {
            // Nothing leaves yet. When main turns out to be full, this is decided again.
            let main = &self.logs[Place::Main as usize];
            if main.free() >= main.stride(bytes) {
                self.pass_on(hash, &record);
            } else {
                self.has_been_full = true;
            }
            return;
        }
        if record.counter() == 0 || !chance {
            return self.evict(place, hash, &record);
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
    fn evict(&mut self, place: Place, hash: u64, record: &Record) {
        let log = &mut self.logs[place as usize];
        let counters = &mut self.counters;
        let dead_per_mille = log.dead * 1000 / log.size();
        counters.dead_per_mille_at_eviction_max =
            counters.dead_per_mille_at_eviction_max.max(dead_per_mille);
        counters.evictions += 1;
        counters.evicted_unfetched += u64::from(record.marks & FETCHED == 0);
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
    fn compact(&mut self, now_s: u32) {
        for place in [Place::Probation, Place::Main] {
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
                self.evict(place, hash, &record);
            }
            Some((record, hash)) => self.rewrite(place, hash, &record),
            None => {}
        }
        self.logs[place as usize].tail - tail
    }
}
