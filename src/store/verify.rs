//! The store as a whole: all its items one small table after the other, and all its invariants,
//! checked the slow way. Nothing here changes an item.

use super::{Item, Record, Store, TABLE_SHIFT, place_of};

/// How far a walk over all items has come. A default one is at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Where it goes on, among all hashes' bits that can say a table, the first bit highest. In this
    /// order a table that is split lies beside the new one, so that both are behind the walk, or
    /// both before it.
    at: u64,
}

impl Cursor {
    /// As a number, for those who keep it between two steps.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.at
    }

    /// Out of such a number.
    #[must_use]
    pub const fn from_number(at: u64) -> Self {
        Self { at }
    }
}

impl Store {
    /// Shows `visit` the live items of one small table, some hundreds at most, and returns where
    /// the walk goes on, or None at its end. An item that is there all the time is shown exactly
    /// once, however it moves between two steps: its table stays the same.
    pub fn walk(
        &mut self,
        cursor: Cursor,
        now_s: u32,
        mut visit: impl FnMut(&[u8], Item<'_>),
    ) -> Option<Cursor> {
        self.flush_if_due(now_s);
        let table = self.table_of(cursor.at.reverse_bits() << TABLE_SHIFT);
        for &address in &self.tables[table] {
            let record = Record::read(&self.arena, place_of(address));
            if self.is_live(&record, now_s) {
                visit(record.key(&self.arena), record.item(&self.arena));
            }
        }
        // It is told by one bit less if its other half is still with it.
        let half = table | (self.table_mask + 1) >> 1;
        let whole = table == half || half < self.tables.len();
        let bits = (self.table_mask >> usize::from(!whole)).count_ones();
        let step = 1u64.checked_shl(u64::BITS - bits)?;
        cursor.at.checked_add(step).map(|at| Cursor { at })
    }

    /// Walks everything the slow way and checks every invariant. For tests.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn verify(&self) {
        let mut live = 0;
        for log in &self.logs {
            let (mut dead, mut filler) = (0, 0);
            let mut position = log.tail;
            while position < log.head {
                let record = Record::read(&self.arena, log.place(position));
                let bytes = record.bytes() as u64;
                assert!(position % log.size() + bytes <= log.size(), "no record spans two laps");
                if record.ends_lap() {
                    filler += bytes;
                } else if record.is_dead() {
                    dead += bytes;
                } else {
                    let key = self.key(record.key(&self.arena));
                    let found = self.find(key).map(|found| found.at);
                    assert_eq!(found, Some(record.at), "a live record is what its key leads to");
                    live += 1;
                }
                position += bytes;
            }
            assert_eq!(position, log.head, "the last record ends at the head");
            assert!(log.used() <= log.size(), "a log holds no more than its size");
            assert_eq!((dead, filler), (log.dead, log.filler), "dead bytes add up");
        }
        assert_eq!(live, self.items, "the items are the live records");
        let sized: u64 = self.sizes().map(|(_, items)| items).sum();
        assert!(sized == 0 || sized == live as u64, "every item has been sized");
        let mapped: usize = self.tables.iter().map(|table| table.len()).sum();
        assert_eq!(mapped, self.items, "the map leads to nothing else");
        let tables = self.tables.iter().map(|table| table.allocation_size()).sum::<usize>();
        assert_eq!(tables + size_of_val(&*self.tables), self.map_bytes, "map bytes add up");
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (items, logs, counters) = (self.items, &self.logs, &self.counters);
        f.debug_struct("Store")
            .field("items", &items)
            .field("logs", logs)
            .field("counters", counters)
            .finish_non_exhaustive()
    }
}
