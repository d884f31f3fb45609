//! The sweep: finds expired and flushed records before a lookup or a tail does, in bounded steps.
//!
//! It visits the map's tables one after the other, in laps, and marks each expired record dead, so that
//! compaction can reclaim its bytes. A lower bound of the next expiry keeps it from searching while no
//! record can have expired. Each step is part of a call of the store:
//! * The first call of a second reads about [`RECORDS_PER_SECOND`] records, so that `curr_items` and
//!   `bytes` become exact with any traffic.
//! * In a large store the next calls read about [`RECORDS_PER_STEP`] records each while enough of them
//!   have expired, up to one in [`LAP_S`] of the tables a second. So the counts become exact within a
//!   minute, however many items expire. Flushed prefixes are waited for in the same way: until they are
//!   dropped, every lookup of an older record checks its prefix.
//! * A store that needs room reads records in proportion to its bytes, and more of them while enough
//!   have expired.
//!
//! There is no background thread: nothing runs while there is no traffic.

use super::record::NEVER;
use super::{RECORD_WORK_BYTES, Store};

/// A step in the first or a later call of a second skips records that expired less than so many seconds
/// ago. A lookup that finds one counts it in `get_expired` or `get_flushed`, as mostly in memcached.
const GRACE_S: u32 = 2;
/// Records read in the first call of a second. With one call a second, 20,000 expired items are found
/// after three calls. If most of the records have expired, the call takes 0.14 to 0.42 ms among 100
/// thousand items, and 1.2 ms among 10 million, where each record is a cache miss.
const RECORDS_PER_SECOND: usize = 8192;
/// Records read in each later call of a second in which more tables are due. Among 10 million expired
/// items a call takes 0.08 ms, at most 0.22 ms, and all calls of a second 25 ms. The records count as
/// work, so a pipeline of such calls has no longer turns than others.
const RECORDS_PER_STEP: usize = 512;
/// Seconds in which all tables are swept, while enough records have expired and there are enough calls.
/// Without these steps 10 million expired items would be counted for 20 minutes; in memcached it is
/// about one.
const LAP_S: usize = 60;
/// A store that needs room may read one record, and one more for so many of its bytes.
const BYTES_PER_RECORD: u64 = 1024;
/// It may read so many times as many records while the last table had enough expired ones: then
/// the sweep finds them as fast as their room is needed.
const FAST_FACTOR: usize = 16;
/// A second before all others, in which flushes of prefixes count as expiries.
const PAST_S: u32 = 1;
/// A table has enough expired records if one in so many had expired.
const YIELD_SHARE: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Sweep {
    /// The index of the next table.
    table: usize,
    /// Lower bound: no record expires before this second. `u32::MAX` if no record expires.
    earliest_s: u32,
    /// The same for records that were read or written in this lap.
    lap_earliest_s: u32,
    /// The second of the last flush, or of an earlier one whose records have not all been reclaimed.
    flushed_s: u32,
    /// The last second in which a call made the step of [`RECORDS_PER_SECOND`].
    second_s: u32,
    /// The second in which no further step is due, or 0 if a step is due.
    done_s: u32,
    /// Tables that are still due in this second.
    tables_due: usize,
    /// The last table had enough expired records, see [`YIELD_SHARE`].
    had_enough_expired: bool,
    /// Records that stores which need room may still read.
    quota: usize,
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Self {
            table: 0,
            earliest_s: u32::MAX,
            lap_earliest_s: u32::MAX,
            flushed_s: 0,
            second_s: 0,
            done_s: 0,
            tables_due: 0,
            had_enough_expired: true,
            quota: 0,
        }
    }

    /// Notes that a record expires at `at_s`.
    #[inline]
    pub(super) fn note_expiry(&mut self, at_s: u32) {
        if at_s != NEVER {
            self.earliest_s = self.earliest_s.min(at_s);
            self.lap_earliest_s = self.lap_earliest_s.min(at_s);
        }
    }

    /// Notes that all records were flushed. If records of an earlier flush have not been reclaimed yet,
    /// the second of that flush is kept, so that frequent flushes do not defer the sweep again and
    /// again.
    pub(super) fn note_flush(&mut self, now_s: u32, holds_flushed: bool) {
        if !holds_flushed {
            self.flushed_s = now_s;
        }
        self.had_enough_expired = true;
        self.note_expiry(self.flushed_s);
    }

    /// Notes that records of a prefix were flushed.
    pub(super) const fn note_prefix_flush(&mut self) {
        self.had_enough_expired = true;
        self.wait_for_prefixes();
    }

    /// Lowers the bound of this lap below every second: as long as a prefix is kept, lookups check for it,
    /// and the sweep goes on.
    const fn wait_for_prefixes(&mut self) {
        self.earliest_s = PAST_S;
    }

    /// The next table is the first one.
    pub(super) const fn is_between_laps(&self) -> bool {
        self.table == 0
    }

    /// The lower bound is that of flushed prefixes.
    pub(super) const fn waits_for_prefixes(&self) -> bool {
        self.may_find(PAST_S)
    }

    /// Notes that the next call has work to do.
    pub(super) const fn note_work(&mut self) {
        self.done_s = 0;
    }

    /// The lower bound of all expiries. For tests.
    pub(super) const fn earliest_s(&self) -> u32 {
        self.earliest_s
    }

    /// The second in which the flushed records were flushed, or an earlier one. For tests.
    pub(super) const fn flushed_s(&self) -> u32 {
        self.flushed_s
    }

    /// Can any record have expired, or have been flushed, by the second `at_s`?
    pub(super) const fn may_find(&self, at_s: u32) -> bool {
        self.earliest_s <= at_s
    }

    /// Is the next step likely to find expired records?
    pub(super) const fn is_likely_to_find(&self, now_s: u32) -> bool {
        self.may_find(now_s) && self.had_enough_expired
    }

    /// Starts the next lap at the first table.
    fn end_lap(&mut self) {
        self.table = 0;
        self.earliest_s = self.lap_earliest_s;
        self.lap_earliest_s = u32::MAX;
    }
}

impl Store {
    /// Does the work that is due in this second: a delayed flush, steps of the sweep, and a step towards
    /// a lower limit of memory. Every
    /// operation with a `now_s` calls this first.
    #[inline]
    pub fn tick(&mut self, now_s: u32) {
        if now_s != self.sweep.done_s {
            self.do_due_work(now_s);
        }
    }

    #[cold]
    fn do_due_work(&mut self, now_s: u32) {
        let records_max = if now_s == self.sweep.second_s {
            RECORDS_PER_STEP
        } else {
            self.begin_second(now_s);
            RECORDS_PER_SECOND
        };
        let (mut records, by_s) = (0, now_s.saturating_sub(GRACE_S));
        while self.sweep.may_find(by_s) && records < records_max {
            // An empty table counts as one record, because there may be many empty tables.
            records += self.sweep_table(by_s).max(1);
            self.sweep.tables_due = self.sweep.tables_due.saturating_sub(1);
        }
        let is_wanted = self.sweep.is_likely_to_find(by_s) || self.sweep.waits_for_prefixes();
        let goes_on = self.sweep.tables_due > 0 && is_wanted;
        let above_limit = self.approach_limits(now_s);
        self.sweep.done_s = if goes_on || above_limit { 0 } else { now_s };
    }

    fn begin_second(&mut self, now_s: u32) {
        self.sweep.second_s = now_s;
        self.sweep.tables_due = self.map.tables() / LAP_S;
        self.flush_if_due(now_s);
        self.drop_old_reservation(now_s);
    }

    /// Makes a step of the sweep for a store that needs room.
    pub(super) fn sweep_for_room(&mut self, bytes: u64, now_s: u32) {
        if !self.sweep.may_find(now_s) {
            return;
        }
        let records = 1 + (bytes / BYTES_PER_RECORD) as usize;
        self.sweep.quota +=
            if self.sweep.had_enough_expired { records * FAST_FACTOR } else { records };
        while self.sweep.may_find(now_s)
            && self.sweep.quota >= self.map.table_len(self.sweep.table).max(1)
        {
            self.sweep.quota -= self.sweep_table(now_s).max(1);
        }
        if !self.sweep.may_find(now_s) {
            self.sweep.quota = 0;
        }
    }

    /// Marks dead those records of the next table that had expired or were flushed by the second
    /// `by_s`. Returns the number of records that were in the table.
    pub(super) fn sweep_table(&mut self, by_s: u32) -> usize {
        let (mut records, mut expired, mut earliest_s) = (0, 0, u32::MAX);
        let Self { map, arena, logs, sweep, counters, sizes, flushed_prefixes, .. } = self;
        map.retain(sweep.table, |address| {
            records += 1;
            let record = arena.record(arena.offset(address));
            let queue = usize::from(!logs[0].contains(record.offset));
            let log = &mut logs[queue];
            let expires_at_s =
                if record.expires_at_s == NEVER { u32::MAX } else { record.expires_at_s };
            let ends_at_s = if !flushed_prefixes.is_empty()
                && flushed_prefixes.is_flushed(&record, (queue, log), arena)
            {
                0
            } else if log.is_flushed(record.offset) {
                sweep.flushed_s.min(expires_at_s)
            } else {
                expires_at_s
            };
            if ends_at_s > by_s {
                earliest_s = earliest_s.min(ends_at_s);
                return true;
            }
            expired += 1;
            counters.count_reclaimed(&record);
            counters.swept += 1;
            sizes.remove(arena.bytes_of(&record));
            log.mark_dead(&record, arena);
            false
        });
        if records > 0 {
            sweep.had_enough_expired = expired * YIELD_SHARE >= records;
        }
        sweep.note_expiry(earliest_s);
        sweep.table += 1;
        if sweep.table >= map.tables() {
            sweep.end_lap();
            flushed_prefixes.end_lap();
            if !flushed_prefixes.is_empty() {
                sweep.wait_for_prefixes();
            }
        }
        if expired > 0 {
            self.note_death();
        }
        self.counters.swept_past += records as u64;
        self.work_bytes += records as u64 * RECORD_WORK_BYTES;
        records
    }
}
