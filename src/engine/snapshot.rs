//! Snapshots: what an engine knows beside its items, and what its times mean in another process.
//!
//! Times of items count seconds of uptime, and the uptime ends with the process. A snapshot has the time
//! on both clocks. By the wall clock the next process knows how long ago that was: items lose so much of
//! their lives, and those that have expired meanwhile are left out. If the wall clock has gone back, no
//! time counts as passed: no item has longer to live than in the snapshot. All times are whole seconds,
//! so an item may expire up to a second sooner, or two later, than without the restart.
//!
//! Knows no file: `crate::snapshot` has the blocks, the checksums and the file.

use super::{Engine, Now};
use crate::protocol::item_bytes;
use crate::store::{
    Attributes, HashedKey, NEVER, PREFETCH_BATCH, Restored, SaveCursor, SavedBytes, SavedItem,
    SavedPart, saved_item,
};

/// What a snapshot has beside the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// The time of the snapshot.
    pub now: Now,
    /// The last cas id of the server's own.
    pub last_cas: u64,
    /// The second of uptime in which a delayed flush is due, or [`NEVER`].
    pub flush_at_s: u32,
    /// Number of items, including expired and flushed ones, which are not saved.
    pub items_max: u64,
}

/// What has become of the items of a snapshot. The sum is the number of items that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadedItems {
    /// They were restored. With less memory than before, some of them have been evicted since.
    pub restored: u64,
    /// They have expired or were flushed between the snapshot and now.
    pub expired: u64,
    /// They are above the item limit.
    pub too_large: u64,
    /// There was no room for them, and nothing may be evicted (`-M`).
    pub no_room: u64,
    /// Their bytes are those of no item.
    pub invalid: u64,
}

/// How much of the bytes of a snapshot was read, and what is missing for the next item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedPart {
    /// Bytes that were read: whole items.
    pub bytes: usize,
    /// The bytes of the next item, which is incomplete.
    pub incomplete: Option<usize>,
}

/// The difference between the clocks of the process that was saved and of this one.
#[derive(Clone, Copy, Debug)]
struct Shift {
    saved_s: u32,
    now_s: u32,
    /// Seconds from the snapshot to now, by the wall clock.
    passed_s: i64,
}

impl Shift {
    fn new(saved: Now, now: Now) -> Self {
        let passed_s = now.unix_s.saturating_sub(saved.unix_s).max(0);
        Self { saved_s: saved.uptime_s, now_s: now.uptime_s, passed_s }
    }

    /// A second to come. None if it has passed.
    fn future_s(self, at_s: u32) -> Option<u32> {
        let left_s = i64::from(at_s) - i64::from(self.saved_s);
        let left_s = left_s.saturating_sub(self.passed_s);
        let at_s = i64::from(self.now_s).saturating_add(left_s);
        (left_s > 0).then(|| u32::try_from(at_s).unwrap_or(u32::MAX))
    }

    /// A second that has passed. It may be before second 0 of this process, and then wraps around.
    fn past_s(self, at_s: u32) -> u32 {
        let idle_s = i64::from(self.saved_s.wrapping_sub(at_s).cast_signed()).max(0);
        let idle_s = idle_s.saturating_add(self.passed_s).min(i32::MAX.into());
        self.now_s.wrapping_sub(u32::try_from(idle_s).unwrap_or(0))
    }
}

impl Engine {
    /// Begins a snapshot. Nothing may change until its end.
    pub fn begin_save(&mut self, now: Now) -> SavedState {
        let now = if cfg!(debug_assertions) { self.debug_time(now) } else { now };
        // A delayed flush that is due is carried out.
        self.store.tick(now.uptime_s);
        SavedState {
            now,
            last_cas: self.cas_ids.last(),
            flush_at_s: self.store.flush_at_s().unwrap_or(NEVER),
            items_max: self.store.len() as u64,
        }
    }

    /// Writes the next items to `out`: see [`crate::store::Store::save`].
    pub fn save(&self, cursor: &mut SaveCursor, state: &SavedState, out: &mut [u8]) -> SavedPart {
        self.store.save(cursor, state.now.uptime_s, out)
    }

    /// Prepares an empty engine for the items of a snapshot with `bytes` bytes of items at most.
    pub fn begin_load(&mut self, state: &SavedState, bytes: u64, now: Now) {
        self.store.prepare_to_restore(state.items_max, bytes);
        self.cas_ids.go_on_after(state.last_cas);
        let shift = Shift::new(state.now, now);
        if let Some(at_s) = shift.future_s(state.flush_at_s).filter(|_| state.flush_at_s != NEVER) {
            self.store.flush(at_s, now.uptime_s);
        }
    }

    /// Restores the items that `bytes` begins with.
    pub fn load(
        &mut self,
        bytes: &[u8],
        state: &SavedState,
        now: Now,
        loaded: &mut LoadedItems,
    ) -> LoadedPart {
        let shift = Shift::new(state.now, now);
        let is_flushed = state.flush_at_s != NEVER && shift.future_s(state.flush_at_s).is_none();
        let mut part = LoadedPart { bytes: 0, incomplete: None };
        while part.bytes < bytes.len() && part.incomplete.is_none() {
            let mut batch = [None; PREFETCH_BATCH];
            for slot in &mut batch {
                match saved_item(&bytes[part.bytes..]) {
                    SavedBytes::Item(item, item_bytes) => {
                        part.bytes += item_bytes;
                        *slot = Some((item, self.store.hashed_key(item.key)));
                    }
                    SavedBytes::Incomplete(needed) => part.incomplete = Some(needed),
                    SavedBytes::Invalid if part.bytes < bytes.len() => {
                        loaded.invalid += 1;
                        part.bytes = bytes.len();
                    }
                    SavedBytes::Invalid => {}
                }
                if slot.is_none() {
                    break;
                }
            }
            self.store.prefetch_slots(batch.iter_mut().flatten().map(|(_, key)| key));
            for (item, key) in batch.into_iter().flatten() {
                let count = if is_flushed {
                    &mut loaded.expired
                } else {
                    self.load_item(item, key, shift, loaded)
                };
                *count += 1;
            }
        }
        part
    }

    /// Restores an item. Returns the count that it belongs to.
    fn load_item<'l>(
        &mut self,
        mut item: SavedItem<'_>,
        key: HashedKey<'_>,
        shift: Shift,
        loaded: &'l mut LoadedItems,
    ) -> &'l mut u64 {
        let Attributes { flags, expires_at_s, cas, .. } = item.attributes;
        if item_bytes(item.key.len(), flags, item.value.len()) > self.config.item_bytes_max {
            return &mut loaded.too_large;
        }
        if expires_at_s != NEVER {
            let Some(at_s) = shift.future_s(expires_at_s) else {
                return &mut loaded.expired;
            };
            item.attributes.expires_at_s = at_s;
        }
        item.accessed_s = shift.past_s(item.accessed_s);
        // 0: it was stored by a server with -C.
        let given = Some(cas).filter(|&cas| cas != 0);
        item.attributes.cas = self.cas_ids.given_or_next(given);
        match self.store.restore(&item, key, shift.now_s) {
            Restored::Kept => &mut loaded.restored,
            Restored::NoRoom => &mut loaded.no_room,
            Restored::Twice => &mut loaded.invalid,
        }
    }

    /// Could an item that takes so many bytes in a snapshot be within the item limit?
    #[must_use]
    pub const fn may_load(&self, saved_bytes: usize) -> bool {
        // A record is never longer than the bytes that count against the limit.
        saved_bytes <= self.config.item_bytes_max
    }

    /// Ends the loading of a snapshot: what it has evicted and copied is not counted.
    pub fn end_load(&mut self) {
        self.store.reset_counters();
        self.note_misses();
    }

    /// Number of items.
    #[must_use]
    pub const fn items(&self) -> usize {
        self.store.len()
    }
}
