//! Writes: set, extend and delete, each one operation of bounded work.
//!
//! A record that fits in the old one's place overwrites it. The unused rest becomes a hole. The next,
//! longer value of the key may overwrite that hole and the dead records after it. So a key whose values
//! vary in size moves only until its record has once been large enough. With half writes, values of 16
//! to 1,000 bytes and Zipf 1.0 (`cargo bench --bench replay -- --model store --reference lru --only
//! overwrites`, 64 MiB):
//!
//! ```text
//!                                                     misses / LRU's   bytes moved per byte stored
//! in place if that wastes at most an eighth                    1.081                          6.69
//! in place wherever it fits                                    1.034                          5.56
//! the same, and over dead space after the record               0.995                          2.33
//! ```
//! This file inserts and removes records; `policy` chooses the log and what is evicted.

use super::policy::{Queue, Stored};
use super::record::{self, Attributes, Record, Side};
use super::{HashedKey, RECORD_WORK_BYTES, Store};

impl Store {
    /// Stores a copy of `value` under `key`, in place of the previous item.
    pub fn set(
        &mut self,
        key: HashedKey<'_>,
        value: &[u8],
        attributes: &Attributes,
        now_s: u32,
    ) -> Stored {
        self.tick(now_s);
        let Attributes { flags, cas, .. } = *attributes;
        let bytes = self.arena.round_up(record::bytes(key.bytes().len(), value.len(), flags, cas));
        let old = self.map.find(key, &self.arena);
        let is_live = old.is_some_and(|old| self.is_live(&old, now_s));
        if let Some(old) = old
            && is_live
            && (self.arena.bytes_of(&old) == bytes || self.make_fit(&old, bytes))
        {
            record::write_over(&mut self.arena, &old, (key.bytes(), value), attributes, now_s);
            self.sweep.note_expiry(attributes.expires_at_s);
            self.counters.stored_bytes += bytes as u64;
            return Stored::Kept;
        }
        self.set_elsewhere((key, value), bytes as u64, attributes, (old, is_live), now_s)
    }

    /// Makes the space of a live record as large as another one of `bytes` under its key needs, and no
    /// larger. Returns false if it cannot be so large.
    fn make_fit(&mut self, old: &Record, bytes: usize) -> bool {
        let queue = self.queue_of(old.offset);
        let old_bytes = self.arena.bytes_of(old);
        let extent = self.logs[queue as usize].extent(old, bytes, &self.arena);
        if extent < bytes {
            return false;
        }
        self.sizes.remove(old_bytes);
        self.sizes.add(bytes);
        let lengths = (old_bytes, bytes, extent);
        self.logs[queue as usize].overwritten(old.offset, lengths, &mut self.arena);
        if !self.evicts {
            self.note_overwrite(extent > old_bytes, extent > bytes);
        }
        true
    }

    /// Stores a value that does not fit in the place of `old`, the record under its key, if any. Not
    /// inlined, because its variables would take the registers of a store in place.
    #[inline(never)]
    fn set_elsewhere(
        &mut self,
        (key, value): (HashedKey<'_>, &[u8]),
        bytes: u64,
        attributes: &Attributes,
        (mut old, is_live): (Option<Record>, bool),
        now_s: u32,
    ) -> Stored {
        let live = old.filter(|_| is_live);
        if old.is_none() && !self.make_slot(key.hash(), now_s) {
            return Stored::NoRoom;
        }
        let is_large = bytes > self.large_bytes();
        if is_large || !self.evicts {
            match self.make_large_room(key.hash(), bytes, now_s) {
                Stored::Kept => {}
                not_yet @ (Stored::NeedsStep | Stored::NoRoom) => return not_yet,
            }
            // The old record may have been moved or evicted meanwhile.
            old = self.map.find(key, &self.arena);
        }
        let queue = self.queue_for(key.hash(), bytes, live.as_ref());
        match old {
            Some(old) if !is_live => self.remove_expired(key.hash(), &old),
            Some(old) => self.remove_record(key.hash(), &old),
            None => {}
        }
        if !is_large && self.evicts {
            self.make_small_room(queue, bytes, now_s);
        }
        let offset = self.append(queue, bytes);
        // A write counts as an access, like a read: `replay`'s overwrites have 1.00 of LRU's misses
        // with this, 1.06 without.
        let counter = live.map_or(0, |old| old.counter_after_access());
        let content = (key.bytes(), value);
        record::write(&mut self.arena, offset, content, attributes, counter, now_s);
        self.insert(key.hash(), offset, bytes);
        self.sweep.note_expiry(attributes.expires_at_s);
        Stored::Kept
    }

    /// Deletes the item under `key`. Returns false if there is no live one.
    pub fn delete(&mut self, key: HashedKey<'_>, now_s: u32) -> bool {
        let Some(record) = self.find_live(key, now_s) else {
            return false;
        };
        self.remove_record(key.hash(), &record);
        true
    }

    /// Adds `more` to the value of the live item under `key`, and sets its attributes. Returns None if
    /// there is no such item, or if making room evicted it: its value is not copied until there is
    /// room.
    pub fn extend(
        &mut self,
        key: HashedKey<'_>,
        (more, side): (&[u8], Side),
        attributes: &Attributes,
        now_s: u32,
    ) -> Option<Stored> {
        let old = self.find_live(key, now_s)?;
        let Attributes { flags, cas, .. } = *attributes;
        let bytes = record::bytes(key.bytes().len(), old.value_bytes() + more.len(), flags, cas);
        let bytes = self.arena.round_up(bytes) as u64;
        let is_large = bytes > self.large_bytes();
        if is_large || !self.evicts {
            match self.make_large_room(key.hash(), bytes, now_s) {
                Stored::Kept => {}
                not_yet @ (Stored::NeedsStep | Stored::NoRoom) => return Some(not_yet),
            }
        }
        let old = self.map.find(key, &self.arena)?;
        let queue = self.queue_for(key.hash(), bytes, Some(&old));
        if !is_large && self.evicts {
            self.make_small_room(queue, bytes, now_s);
        }
        let old = self.map.find(key, &self.arena)?;
        let offset = self.append(queue, bytes);
        record::write_extended(&mut self.arena, offset, &old, (more, side), attributes, now_s);
        self.remove_record(key.hash(), &old);
        self.insert(key.hash(), offset, bytes);
        self.sweep.note_expiry(attributes.expires_at_s);
        Some(Stored::Kept)
    }

    pub(super) fn append(&mut self, queue: Queue, bytes: u64) -> usize {
        self.logs[queue as usize].append(bytes, &mut self.arena)
    }

    /// Inserts a newly written record into the map, and counts it.
    #[allow(clippy::cast_possible_truncation, reason = "no record is larger than the memory")]
    pub(super) fn insert(&mut self, hash: u64, offset: usize, bytes: u64) {
        let rehashed = self.map.insert(hash, self.arena.address(offset), &self.arena);
        self.counters.rehashed += rehashed as u64;
        self.counters.rehashed_at_once_max = self.counters.rehashed_at_once_max.max(rehashed);
        self.work_bytes += rehashed as u64 * RECORD_WORK_BYTES;
        self.counters.stored_bytes += bytes;
        self.sizes.add(bytes as usize);
    }

    /// Removes a record from the map.
    pub(super) fn unmap(&mut self, hash: u64, record: &Record) {
        self.map.remove(hash, self.arena.address(record.offset));
        self.sizes.remove(self.arena.bytes_of(record));
    }

    /// Removes a record from the map and marks it dead.
    pub(super) fn remove_record(&mut self, hash: u64, record: &Record) {
        self.unmap(hash, record);
        let queue = self.queue_of(record.offset);
        self.logs[queue as usize].mark_dead(record, &mut self.arena);
        if !self.evicts {
            self.note_death();
            self.note_hole(record);
        }
    }
}
