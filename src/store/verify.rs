//! All invariants of the store, checked the slow way: each type's own, and those between them.

use super::policy::Queue;
use super::{NEVER, Store};

impl Store {
    /// Walks everything and checks every invariant. For tests.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn verify(&self) {
        let mut live = 0;
        for log in &self.logs {
            log.verify(&self.arena, |record| {
                let key = self.map.hashed_key(record.key(&self.arena));
                let found = self.map.find(key, &self.arena).map(|found| found.offset);
                assert_eq!(found, Some(record.offset), "a live record is what its key leads to");
                let expires_at_s = record.expires_at_s;
                assert!(
                    expires_at_s == NEVER || expires_at_s >= self.sweep.earliest_s(),
                    "nothing expires before the sweep looks for it"
                );
                live += 1;
            });
        }
        self.map.verify();
        self.verify_holes();
        assert_eq!(live, self.map.len(), "the map leads to the live records and to nothing else");
        let sized: u64 = self.sizes().map(|(_, items)| items).sum();
        assert!(sized == 0 || sized == live as u64, "every item has been sized");
    }

    /// Shows `visit` the keys of all expired and flushed records that the map leads to. For tests.
    pub fn visit_expired(&self, now_s: u32, mut visit: impl FnMut(&[u8])) {
        for log in &self.logs {
            log.visit_live(&self.arena, |record| {
                if !self.is_live(record, now_s) {
                    visit(record.key(&self.arena));
                }
            });
        }
    }

    /// Bytes of main's log, and those of them that are dead. For tests.
    #[must_use]
    pub const fn main_bytes(&self) -> (u64, u64) {
        let main = &self.logs[Queue::Main as usize];
        (main.size(), main.dead_bytes())
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
