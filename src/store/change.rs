//! What clients change: store, forget, touch and mark, each in one operation of bounded work.
//!
//! Knows how a record comes and goes, and leaves to `policy` where it goes and who leaves for it.

use super::policy::Chances;
use super::{
    ACCESSED_AT, DEAD, EXPIRES_AT, MARKS_AT, Marks, Meta, Record, STALE, Store, Stored, WIN_SENT,
    record,
};

/// In place of a larger record only if the rest is at most the eighth part of it.
const IN_PLACE_WASTE: usize = 8;

impl Store {
    /// Keeps a copy of `value` under `key`, in place of what was there.
    pub fn set(&mut self, key: &[u8], value: &[u8], meta: Meta, now_s: u32) -> Stored {
        self.flush_if_due(now_s);
        let hash = self.hash(key);
        let bytes = record::bytes(key.len(), value.len(), meta.flags);
        let mut old = self.find(hash, key);
        let live = old.filter(|old| self.is_live(old, now_s));
        if let Some(old) = live
            && let Some(waste) = old.bytes().checked_sub(bytes)
            && waste * IN_PLACE_WASTE <= old.bytes()
        {
            self.overwrite(&old, waste, (key, value), meta, now_s);
            self.compact(now_s);
            return Stored::Kept;
        }
        let bytes = bytes as u64;
        let is_large = bytes > self.large_bytes();
        if is_large || !self.evicts {
            match self.make_large_room(hash, bytes, now_s) {
                Stored::Kept => {}
                not_yet @ (Stored::NeedsStep | Stored::NoRoom) => return not_yet,
            }
            // It may have moved, and it may have left.
            old = self.find(hash, key);
        }
        let place = self.place_for(hash, bytes, live.as_ref());
        match old {
            Some(old) if live.is_none() => self.bury_expired(hash, &old),
            Some(old) => self.forget(hash, &old),
            None => {}
        }
        if !is_large && self.evicts {
            self.make_room(place, bytes, &mut Chances::of(bytes), now_s);
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
}
