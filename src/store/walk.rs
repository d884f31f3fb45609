//! A walk over all items in steps, between which they may change. A step of the sweep may come first.

use super::Store;
use super::record::Item;

/// A position in a walk. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// As a number, for a caller that keeps it between two steps.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Out of such a number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
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
        self.tick(now_s);
        let (addresses, next) = self.map.walk(cursor.0);
        for address in addresses {
            let record = self.arena.record(self.arena.offset(address));
            if self.is_live(&record, now_s) {
                visit(record.key(&self.arena), record.item(&self.arena));
            }
        }
        next.map(Cursor)
    }
}
