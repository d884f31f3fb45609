//! A walk over all items in steps. Items may change between two steps. A step, like every call with a
//! `now_s`, may begin with a step of the sweep.

use super::Store;
use super::record::Item;

/// A position in a walk. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// The cursor as a number, for a caller that keeps it between two steps.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The cursor of such a number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl Store {
    /// Passes the live items of one small table, some hundreds at most, to `visit`. Returns the next
    /// cursor, or None at the end of the walk. An item that exists during the whole walk is visited
    /// exactly once, even if its record moves or its table is split.
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
