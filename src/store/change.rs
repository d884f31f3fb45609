//! What clients change: store, extend, amend and forget, each in one operation of bounded work.
//!
//! Knows how a record comes and goes, and leaves to `policy` where it goes and who leaves for it.

use super::record::Side;
use super::{
    ACCESSED_AT, EXPIRES_AT, KEY_ENCODED_AT, Key, MARKS_AT, Marks, Meta, Record, STALE, Store,
    WIN_SENT, record,
};

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

/// What [`Store::amend`] changes of an item: whatever is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amendment {
    /// As in [`Meta`].
    pub expires_at_s: Option<u32>,
    /// As in [`Meta`].
    pub cas: Option<u64>,
    /// All of them.
    pub marks: Option<Marks>,
    /// It counts as an access, though nothing is read.
    pub wanted: bool,
}

impl Store {
    /// Keeps a copy of `value` under `key`, in place of what was there.
    pub fn set(&mut self, key: Key<'_>, value: &[u8], meta: Meta, now_s: u32) -> Stored {
        self.flush_if_due(now_s);
        let bytes = record::bytes(key.bytes.len(), value.len(), meta.flags);
        let mut old = self.find(key);
        let live = old.filter(|old| self.is_live(old, now_s));
        if let Some(old) = live {
            let reach = self.reach_of(&old, bytes);
            if reach >= bytes {
                self.sizes.left(old.bytes());
                self.sizes.came(bytes);
                self.write_record(old.at, (key.bytes, value), meta, old.counter_if_wanted(), now_s);
                self.settle(&old, bytes, reach);
                self.counters.stored_bytes += bytes as u64;
                self.compact(now_s);
                return Stored::Kept;
            }
        }
        let bytes = bytes as u64;
        let is_large = bytes > self.large_bytes();
        if is_large || !self.evicts {
            match self.make_large_room(key.hash, bytes, now_s) {
                Stored::Kept => {}
                not_yet @ (Stored::NeedsStep | Stored::NoRoom) => return not_yet,
            }
            // It may have moved, and it may have left.
            old = self.find(key);
        }
        let place = self.place_for(key.hash, bytes, live.as_ref());
        match old {
            Some(old) if live.is_none() => self.bury_expired(key.hash, &old),
            Some(old) => self.forget(key.hash, &old),
            None => {}
        }
        if !is_large && self.evicts {
            self.make_small_room(place, bytes, now_s);
        }
        let at = self.claim(place, bytes);
        // Who writes a key wants it, as one who reads it does: `replay`'s overwrites have 1.067 of
        // LRU's misses with that, 1.110 without.
        let counter = live.map_or(0, |old| old.counter_if_wanted());
        self.write_record(at, (key.bytes, value), meta, counter, now_s);
        self.insert(key.hash, at);
        self.counters.stored_bytes += bytes;
        self.compact(now_s);
        Stored::Kept
    }

    /// Forgets `key`. False when there was no live item under it.
    pub fn delete(&mut self, key: Key<'_>, now_s: u32) -> bool {
        self.flush_if_due(now_s);
        let live = self.find_live(key, now_s);
        if let Some(record) = &live {
            self.forget(key.hash, record);
        }
        self.compact(now_s);
        live.is_some()
    }

    /// Puts `more` behind or before the value of the live item under `key`, which keeps its flags and
    /// its time. None when there is no such item, or when it was among those that left for the
    /// longer one: so no copy of its value is held anywhere while room is made.
    pub fn extend(
        &mut self,
        key: Key<'_>,
        more: &[u8],
        side: Side,
        cas: u64,
        now_s: u32,
    ) -> Option<Stored> {
        let old = self.find_live(key, now_s)?;
        let flags = old.item(&self.arena).meta.flags;
        let bytes = record::bytes(key.bytes.len(), old.value_bytes + more.len(), flags) as u64;
        let is_large = bytes > self.large_bytes();
        if is_large || !self.evicts {
            match self.make_large_room(key.hash, bytes, now_s) {
                Stored::Kept => {}
                not_yet @ (Stored::NeedsStep | Stored::NoRoom) => return Some(not_yet),
            }
        }
        let place = self.place_for(key.hash, bytes, Some(&self.find(key)?));
        if !is_large && self.evicts {
            self.make_small_room(place, bytes, now_s);
        }
        let old = self.find(key)?;
        let at = self.claim(place, bytes);
        self.write_extended(at, &old, more, side, cas, now_s);
        self.forget(key.hash, &old);
        self.insert(key.hash, at);
        self.counters.stored_bytes += bytes;
        self.compact(now_s);
        Some(Stored::Kept)
    }

    /// Writes `value` over the start of the live item's value under `key`, and `padding` over the
    /// rest of it; all else that is remembered of it stays. False when there is no such item.
    ///
    /// # Panics
    /// When the item's value is shorter.
    pub fn replace_value(
        &mut self,
        key: Key<'_>,
        value: &[u8],
        padding: u8,
        cas: u64,
        now_s: u32,
    ) -> bool {
        let Some(record) = self.find_live(key, now_s) else {
            return false;
        };
        let value_at = record.key_at() + record.key_bytes;
        let old = &mut self.arena[value_at..value_at + record.value_bytes];
        let (start, rest) = old.split_at_mut(value.len());
        start.copy_from_slice(value);
        rest.fill(padding);
        self.write_cas(record.at, cas);
        self.count_access(&record, 0, now_s);
        true
    }

    /// Changes what is remembered of the live item under `key`, unnoticed. False when there is none.
    pub fn amend(&mut self, key: Key<'_>, amendment: Amendment, now_s: u32) -> bool {
        let Some(record) = self.find_live(key, now_s) else {
            return false;
        };
        let at = record.at;
        if let Some(at_s) = amendment.expires_at_s {
            self.arena[at + EXPIRES_AT..at + ACCESSED_AT].copy_from_slice(&at_s.to_le_bytes());
        }
        if let Some(cas) = amendment.cas {
            self.write_cas(at, cas);
        }
        if let Some(marks) = amendment.marks {
            let stale = if marks.stale { STALE } else { 0 };
            let win_sent = if marks.win_sent { WIN_SENT } else { 0 };
            self.arena[at + MARKS_AT] = record.marks & !(STALE | WIN_SENT) | stale | win_sent;
            self.arena[at + KEY_ENCODED_AT] = u8::from(marks.key_encoded);
        }
        if amendment.wanted {
            self.count_access(&Record::read(&self.arena, at), 0, now_s);
        }
        true
    }
}
