//! The sweep: finds expired and flushed records before a lookup or a tail does, in bounded steps.
//!
//! It takes the map's tables one after the other, in laps, and turns each expired record into dead
//! bytes of its log, which compaction then reclaims. It knows a lower bound of when the next record
//! expires, so it does nothing while none can have. A step belongs to the call that makes it:
//! * the first call of a second looks at [`RECORDS_PER_SECOND`] records, so that `curr_items` and
//!   `bytes` come true with any traffic;
//! * in a large store the next calls look at [`RECORDS_PER_STEP`] each, while that finds something, up to
//!   one table in [`LAP_S`] a second: however many items expire, the counts come true in a minute;
//! * a store that needs room goes on for as long as that finds something to reclaim.
//!
//! Nothing runs while there is no traffic.

use super::record::NEVER;
use super::{RECORD_WORK_BYTES, Store};

/// The first call of a second leaves what expired within so many seconds to lookups, which count what
/// they find (`get_expired`, `get_flushed`), as memcached's crawler mostly does.
const GRACE_S: u32 = 2;
/// Records looked at in the first call of a second. Where most of them have expired this takes 0.14 to
/// 0.42 ms among 100 thousand items, and 1.2 ms among 10 million, each of which waits for memory. With a
/// call a second 20,000 expired items are found after three.
const RECORDS_PER_SECOND: usize = 8192;
/// Records looked at in each call after that, while more is due in this second: 0.08 ms among 10 million
/// that have expired, 0.22 ms at most, and 25 ms in each second of the lap. A turn counts them as work,
/// so a pipeline of calls makes no longer turn than others do.
const RECORDS_PER_STEP: usize = 512;
/// Seconds in which all tables are swept, while what is found is worth it and there are calls enough.
/// Without that 10 million expired items would count for 20 minutes, in memcached for one or so.
const LAP_S: usize = 60;
/// A store that needs room looks at one record, and at one more for so many bytes of it; at so many
/// times as many while at least one record in [`YIELD_SHARE`] was expired in the last table: then
/// what is expired is found as fast as it is needed.
const BYTES_PER_RECORD: u64 = 1024;
const FASTER: usize = 16;
const YIELD_SHARE: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Sweep {
    /// The next table.
    table: usize,
    /// No record expires before this second; `u32::MAX` when none does.
    earliest_s: u32,
    /// The same for the records that this lap has seen, or that were written in it.
    lap_earliest_s: u32,
    /// The second of the last flush.
    flushed_s: u32,
    /// The second of the last call.
    second_s: u32,
    /// The second in which no further step is due, or 0 where one is.
    done_s: u32,
    /// Tables that are due in this second.
    tables_due: usize,
    /// At least one record in [`YIELD_SHARE`] of the last table had expired.
    pays: bool,
    /// Records that stores may yet look at.
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
            pays: true,
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

    /// Notes that everything so far was flushed, perhaps while something is left of an earlier flush:
    /// then the earlier second counts, so that flushes in quick succession do not keep putting it off.
    pub(super) fn note_flush(&mut self, now_s: u32, holds_flushed: bool) {
        if !holds_flushed {
            self.flushed_s = now_s;
        }
        self.pays = true;
        self.note_expiry(self.flushed_s);
    }

    /// No record expires before this second. For tests.
    pub(super) const fn earliest_s(&self) -> u32 {
        self.earliest_s
    }

    /// May some record have expired by `at_s`?
    const fn may_find(&self, at_s: u32) -> bool {
        self.earliest_s <= at_s
    }

    /// Is more likely to be found?
    pub(super) const fn is_fruitful(&self, now_s: u32) -> bool {
        self.may_find(now_s) && self.pays
    }

    /// The next table is the first one again.
    fn end_lap(&mut self) {
        self.table = 0;
        self.earliest_s = self.lap_earliest_s;
        self.lap_earliest_s = u32::MAX;
    }
}

impl Store {
    /// Does what is due in a second: a flush whose time has come, and steps of the sweep. Every
    /// operation with a `now_s` begins with this.
    #[inline]
    pub fn tick(&mut self, now_s: u32) {
        if now_s != self.sweep.done_s {
            self.do_due(now_s);
        }
    }

    #[cold]
    fn do_due(&mut self, now_s: u32) {
        let records_max = if now_s == self.sweep.second_s {
            RECORDS_PER_STEP
        } else {
            self.begin_second(now_s);
            RECORDS_PER_SECOND
        };
        let (mut records, by_s) = (0, now_s.saturating_sub(GRACE_S));
        while self.sweep.may_find(by_s) && records < records_max {
            // A table may be empty, and there may be many of them.
            records += self.sweep_table(by_s).max(1);
            self.sweep.tables_due = self.sweep.tables_due.saturating_sub(1);
        }
        let goes_on = self.sweep.tables_due > 0 && self.sweep.is_fruitful(by_s);
        self.sweep.done_s = if goes_on { 0 } else { now_s };
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
        self.sweep.quota += if self.sweep.pays { records * FASTER } else { records };
        while self.sweep.may_find(now_s)
            && self.sweep.quota >= self.map.table_len(self.sweep.table).max(1)
        {
            self.sweep.quota -= self.sweep_table(now_s).max(1);
        }
        if !self.sweep.may_find(now_s) {
            self.sweep.quota = 0;
        }
    }

    /// Sweeps the next table for what had expired or was flushed by the second `by_s`. Returns how
    /// many records were in it.
    fn sweep_table(&mut self, by_s: u32) -> usize {
        let (mut records, mut expired, mut earliest_s) = (0, 0, u32::MAX);
        let Self { map, arena, logs, sweep, counters, sizes, .. } = self;
        map.retain(sweep.table, |address| {
            records += 1;
            let record = arena.record(arena.offset(address));
            let log = &mut logs[usize::from(!logs[0].contains(record.offset))];
            let expires_at_s =
                if record.expires_at_s == NEVER { u32::MAX } else { record.expires_at_s };
            let is_flushed = log.is_flushed(record.offset);
            let gone_s = if is_flushed { sweep.flushed_s.min(expires_at_s) } else { expires_at_s };
            if gone_s > by_s {
                earliest_s = earliest_s.min(gone_s);
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
            sweep.pays = expired * YIELD_SHARE >= records;
        }
        sweep.note_expiry(earliest_s);
        sweep.table += 1;
        if sweep.table >= map.tables() {
            sweep.end_lap();
        }
        if expired > 0 {
            self.note_death();
        }
        self.counters.swept_past += records as u64;
        self.work_bytes += records as u64 * RECORD_WORK_BYTES;
        records
    }
}
