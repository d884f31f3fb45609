//! Checks of all invariants of the store: those of each type, and those between types.

use super::policy::Queue;
use super::{HashedKey, NEVER, Store};

impl Store {
    /// Walks both logs and the map and checks every invariant. For tests.
    ///
    /// # Panics
    /// When an invariant does not hold.
    pub fn verify(&self) {
        let mut live = 0;
        for log in &self.logs {
            log.verify(&self.arena, |record| {
                let key = self.map.hashed_key(record.key(&self.arena));
                let found = self.map.find(key, &self.arena).map(|found| found.offset);
                assert_eq!(found, Some(record.offset), "the map has a live record's key");
                let expires_at_s = record.expires_at_s;
                assert!(
                    expires_at_s == NEVER || expires_at_s >= self.sweep.earliest_s(),
                    "no record expires before the sweep's lower bound"
                );
                assert!(
                    !log.is_flushed(record.offset) || self.sweep.may_find(self.sweep.flushed_s()),
                    "no record was flushed before the sweep's lower bound"
                );
                live += 1;
            });
        }
        assert!(
            self.flushed_prefixes.is_empty() || self.sweep.waits_for_prefixes(),
            "flushed prefixes are swept"
        );
        self.map.verify();
        self.verify_holes();
        assert_eq!(live, self.map.len(), "the map has the live records and no others");
        let sized: u64 = self.sizes().map(|(_, items)| items).sum();
        assert!(sized == 0 || sized == live as u64, "every item is in the histogram of sizes");
    }

    /// Checks that a key which was prefetched some calls ago leads to the same record as a new one. For
    /// tests.
    ///
    /// # Panics
    /// When it does not.
    pub fn verify_key(&self, key: HashedKey<'_>) {
        let offset = |key| self.map.find(key, &self.arena).map(|record| record.offset);
        let new = self.hashed_key(key.bytes());
        assert_eq!(offset(key), offset(new), "a prefetched key leads to the record under it");
    }

    /// Passes to `visit` the keys of all expired and flushed records that are in the map. For tests.
    pub fn visit_expired(&self, now_s: u32, mut visit: impl FnMut(&[u8])) {
        for log in &self.logs {
            log.visit_live(&self.arena, |record| {
                if !self.is_live_by_itself(record, now_s) {
                    visit(record.key(&self.arena));
                }
            });
        }
    }

    /// Bytes of main's log, and how many of them are dead. For tests.
    #[must_use]
    pub const fn main_bytes(&self) -> (u64, u64) {
        let main = &self.logs[Queue::Main as usize];
        (main.limit(), main.dead_bytes())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("items", &self.map.len())
            .field("logs", &self.logs)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
