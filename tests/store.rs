//! The store against a simple model that allows evictions: random operations with a moving clock, in so
//! little memory that laps and evictions happen all the time.
#![allow(clippy::cast_possible_truncation, reason = "small numbers, chosen here")]

mod model;

use std::collections::{HashMap, HashSet};

use miocached::store::{
    Attributes, Cursor, LARGE_BYTES, Marks, NEVER, PREFETCH_BATCH, PrefixFlush, Restored,
    SaveCursor, SavedBytes, Side, Store, StoreCounters, Stored, saved_item,
};
use model::Model;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

#[derive(Clone, Debug)]
enum Op {
    /// Bytes of value, in thousandths of the largest that fits.
    Set {
        key: u16,
        per_mille: u16,
        flags: u32,
        ttl_s: u32,
    },
    Get {
        key: u16,
    },
    Peek {
        key: u16,
    },
    Delete {
        key: u16,
    },
    Touch {
        key: u16,
        ttl_s: u32,
    },
    Mark {
        key: u16,
        marks: (bool, bool),
    },
    Extend {
        key: u16,
        more_bytes: u16,
        before: bool,
    },
    Replace {
        key: u16,
    },
    Flush {
        in_s: u32,
    },
    FlushPrefix {
        prefix: u16,
    },
    Pass {
        by_s: u32,
    },
    Walk,
    /// Save the items, and go on with a new store that has restored them.
    Restart,
}

/// The policy's conditions for evictions, checked from outside after each call that may evict. A live
/// item is evicted only when
/// * less than [`DEAD_SHARE`] of main is dead, or compaction has copied [`COMPACTION_FACTOR`] bytes for
///   each byte stored, and
/// * what expired or was flushed has held its memory for no longer than one lap of the sweep, which
///   looks at one record at least whenever room is needed.
#[derive(Default)]
struct Evictions {
    /// Counters after the last call.
    seen: StoreCounters,
    /// Bytes that compaction may still copy, at least.
    budget: i64,
    /// Calls that evicted.
    calls: u64,
    /// Keys of expired and flushed records that hold memory, and `calls` when each was first seen.
    held_since: HashMap<Vec<u8>, u64>,
    items_max: usize,
}

/// One in so many bytes of a log may stay dead.
const DEAD_SHARE: u64 = 20;
const COMPACTION_FACTOR: u64 = 12;

impl Evictions {
    /// Records which items hold memory before a call.
    fn before(&mut self, store: &Store, now_s: u32) {
        self.items_max = self.items_max.max(store.len());
        let calls = self.calls;
        let mut held_since = HashMap::new();
        store.visit_expired(now_s, |key| {
            let since = self.held_since.get(key).copied().unwrap_or(calls);
            held_since.insert(key.to_vec(), since);
        });
        self.held_since = held_since;
    }

    /// Checks a call that returned `stored` and made `replaced_bytes` dead at its end.
    fn after(&mut self, store: &Store, stored: Option<Stored>, replaced_bytes: u64, now_s: u32) {
        let (counters, seen) = (*store.counters(), self.seen);
        self.seen = counters;
        let evicts = counters.evictions > seen.evictions;
        let compacted_bytes = counters.compacted_bytes - seen.compacted_bytes;
        if !evicts && compacted_bytes == 0 {
            return;
        }
        let stored_bytes = match stored {
            Some(Stored::NeedsStep) => LARGE_BYTES,
            _ => counters.stored_bytes - seen.stored_bytes,
        };
        let granted = self.budget + (COMPACTION_FACTOR * stored_bytes) as i64;
        self.budget = granted.min(LARGE_BYTES as i64) - compacted_bytes as i64;
        if !evicts {
            return;
        }
        self.calls += 1;
        let (main_bytes, dead_bytes) = store.main_bytes();
        let dead_bytes = dead_bytes.saturating_sub(replaced_bytes);
        assert!(
            dead_bytes < main_bytes.div_ceil(DEAD_SHARE) || self.budget <= 0,
            "{} live items were evicted for {stored_bytes} bytes, with {dead_bytes} of main's \
             {main_bytes} bytes dead, and {} more might have been copied",
            counters.evictions - seen.evictions,
            self.budget
        );
        // A table without a record counts as one, and what a step does not use up waits for the next.
        let lap = 2 * self.items_max as u64 + 64;
        store.visit_expired(now_s, |key| {
            let held = self.held_since.get(key).map_or(0, |since| self.calls - since);
            assert!(
                held <= lap,
                "{} has expired and holds its memory, while {held} calls evicted live items; a lap \
                 is {lap} records",
                key.escape_ascii()
            );
        });
    }
}

/// The real store and the model, side by side.
struct Pair {
    store: Store,
    model: Model,
    evictions: Evictions,
    /// Evictions of the stores before the last restart.
    evicted: u64,
    evicts: bool,
    memory_bytes: usize,
    value_bytes_max: usize,
    now_s: u32,
    /// Values stored so far; makes each one different, and is its cas.
    stored: u64,
}

/// Every third key has one of so many prefixes; of these keys, every second one has a second colon.
const PREFIXES: u16 = 4;

/// Keys of all lengths: most are short, some longer than 255 bytes.
fn name(key: u16) -> Vec<u8> {
    let name = match key % 6 {
        0 => format!("{:x}:{key:x}", key / 6 % PREFIXES),
        3 => format!("{:x}:{:x}:{key:x}", key / 6 % PREFIXES, key % PREFIXES),
        _ => format!("{key:x}"),
    };
    let mut name = name.into_bytes();
    let bytes = match key % 16 {
        0 => 250,
        1 => 254,
        2 => 255,
        3 => 300,
        few => few as usize,
    };
    name.resize(bytes.max(name.len()), b'.');
    name
}

impl Pair {
    fn new(memory_bytes: usize, evicts: bool) -> Self {
        Self {
            store: Self::store(memory_bytes, evicts),
            model: Model::default(),
            evictions: Evictions::default(),
            evicted: 0,
            evicts,
            memory_bytes,
            value_bytes_max: (memory_bytes * 2 / 5).saturating_sub(350),
            now_s: 2,
            stored: 0,
        }
    }

    fn store(memory_bytes: usize, evicts: bool) -> Store {
        let mut store = Store::new(memory_bytes, evicts).unwrap();
        store.track_sizes();
        store
    }

    /// A cas id that no value had before. Some are so large that they need a longer record.
    fn cas(&self) -> u64 {
        if self.stored.is_multiple_of(5) { u64::MAX - self.stored } else { self.stored }
    }

    fn deadline_s(&self, ttl_s: u32) -> u32 {
        if ttl_s == 0 { NEVER } else { self.now_s + ttl_s }
    }

    fn set(&mut self, key: u16, value_bytes: usize, flags: u32, ttl_s: u32) {
        self.stored += 1;
        let key = name(key);
        let mut value = self.stored.to_le_bytes().repeat(value_bytes / 8 + 1);
        value.truncate(value_bytes);
        let attributes = Attributes {
            flags,
            expires_at_s: self.deadline_s(ttl_s),
            cas: self.cas(),
            marks: Marks { key_encoded: flags % 3 == 1, ..Marks::default() },
        };
        let mut steps = 0;
        let stored = loop {
            self.evictions.before(&self.store, self.now_s);
            let stored =
                self.store.set(self.store.hashed_key(&key), &value, &attributes, self.now_s);
            self.evictions.after(&self.store, Some(stored), 0, self.now_s);
            match stored {
                Stored::NeedsStep => steps += 1,
                done @ (Stored::Kept | Stored::NoRoom) => break done,
            }
            assert!(steps < 100, "room is made in the end");
        };
        if stored == Stored::NoRoom {
            assert!(!self.evicts, "there is always room for a value that fits");
            // A record must not span the end of a lap, so as much as the largest may be lost there.
            let needed = (key.len() + value_bytes + 40 + self.value_bytes_max + 350) as u64;
            let live = self.store.bytes();
            assert!(live + needed > self.memory_bytes as u64, "{live} live, {needed} needed");
            return;
        }
        self.model.set(&key, value, attributes);
        let item = self
            .store
            .peek(self.store.hashed_key(&key), self.now_s)
            .expect("what was just stored is there");
        self.model.check(&key, &item);
    }

    /// Applies an operation to both, and checks everything. What some keys led to before the operation
    /// must not mislead after it.
    fn apply(&mut self, op: &Op) {
        let first = self.stored as u16 % 29;
        let names: Vec<_> = (first..).take(PREFETCH_BATCH).map(name).collect();
        let mut ahead: Vec<_> = names.iter().map(|name| self.store.hashed_key(name)).collect();
        self.store.prefetch(ahead.iter_mut());
        self.apply_only(op);
        // Another store has other hashes.
        if !matches!(op, Op::Restart) {
            ahead.into_iter().for_each(|key| self.store.verify_key(key));
        }
        self.store.verify();
    }

    fn apply_only(&mut self, op: &Op) {
        let now_s = self.now_s;
        self.model.pass(now_s);
        match *op {
            Op::Set { key, per_mille, flags, ttl_s } => {
                // The cube makes most values small and some as large as possible.
                let share = (f64::from(per_mille) / 1000.0).powi(3);
                self.set(key, (share * self.value_bytes_max as f64) as usize, flags, ttl_s);
            }
            Op::Get { key } => {
                let key = name(key);
                match self.store.get(self.store.hashed_key(&key), now_s) {
                    Some(item) => {
                        self.model.check(&key, &item);
                        self.model.item(&key).unwrap().fetched = true;
                    }
                    None => self.model.miss(&key),
                }
            }
            Op::Peek { key } => match self.store.peek(self.store.hashed_key(&name(key)), now_s) {
                Some(item) => self.model.check(&name(key), &item),
                None => self.model.miss(&name(key)),
            },
            Op::Delete { key } => {
                let key = name(key);
                if self.store.delete(self.store.hashed_key(&key), now_s) {
                    assert!(self.model.item(&key).is_some(), "what is gone is not deleted");
                    self.model.remove(&key);
                } else {
                    self.model.miss(&key);
                }
            }
            Op::Touch { key, ttl_s } => {
                let (key, deadline_s) = (name(key), self.deadline_s(ttl_s));
                if let Some(mut item) = self.store.item_mut(self.store.hashed_key(&key), now_s) {
                    item.set_expiry(deadline_s);
                    let kept = self.model.item(&key).expect("what is gone is not touched");
                    kept.attributes.expires_at_s = deadline_s;
                } else {
                    self.model.miss(&key);
                }
            }
            Op::Mark { key, marks: (stale, win_sent) } => self.mark(key, stale, win_sent),
            Op::Extend { key, more_bytes, before } => self.extend(key, more_bytes, before),
            Op::Replace { key } => self.replace(key),
            Op::Flush { in_s } => {
                self.store.flush(now_s + in_s, now_s);
                self.model.flush(now_s + in_s, now_s);
            }
            Op::FlushPrefix { prefix } => {
                let prefix = format!("{prefix:x}").into_bytes();
                assert_eq!(self.store.flush_prefix(&prefix, now_s), PrefixFlush::Done);
                self.model.flush_prefix(&prefix);
            }
            Op::Pass { by_s } => self.now_s += by_s,
            Op::Walk => drop(self.walk()),
            Op::Restart => self.restart(),
        }
        let counters = self.store.counters();
        assert!(self.model.vanished <= counters.evictions, "only evicted items vanish");
        assert!(self.evicts || counters.evictions == 0, "nothing is evicted where nothing may be");
    }

    fn mark(&mut self, key: u16, stale: bool, win_sent: bool) {
        let now_s = self.now_s;
        let (key, cas) = (name(key), if stale { u64::MAX } else { u64::from(key) });
        let marks = Marks { stale, win_sent, key_encoded: stale };
        if let Some(mut item) = self.store.item_mut(self.store.hashed_key(&key), now_s) {
            let had_cas = item.item().attributes.cas;
            item.set_marks(marks);
            let has_room = item.set_cas(cas);
            if win_sent {
                item.count_access();
            }
            let kept = self.model.item(&key).expect("what is gone is not marked");
            assert!(has_room || had_cas >> 48 == 0 && cas >> 48 != 0, "there was room before");
            kept.attributes.marks = marks;
            kept.attributes.cas = if has_room { cas } else { had_cas };
        } else {
            self.model.miss(&key);
        }
    }

    fn extend(&mut self, key: u16, more_bytes: u16, before: bool) {
        self.stored += 1;
        let (key, cas) = (name(key), self.cas());
        let old = self.store.peek(self.store.hashed_key(&key), self.now_s);
        let old_bytes = old.map_or(0, |item| item.value.len());
        let old = old.map_or_else(Attributes::default, |item| item.attributes);
        let marks = Marks { key_encoded: old.marks.key_encoded, ..Marks::default() };
        let attributes = Attributes { cas, marks, ..old };
        let more = vec![cas as u8; usize::from(more_bytes)];
        if old_bytes + more.len() > self.value_bytes_max {
            return;
        }
        let side = if before { Side::Before } else { Side::After };
        let mut steps = 0;
        let replaced_bytes = (key.len() + old_bytes + 40) as u64;
        let extended = loop {
            self.evictions.before(&self.store, self.now_s);
            let hashed_key = self.store.hashed_key(&key);
            let extended = self.store.extend(hashed_key, (&more, side), &attributes, self.now_s);
            self.evictions.after(&self.store, extended, replaced_bytes, self.now_s);
            match extended {
                Some(Stored::NeedsStep) => steps += 1,
                done => break done,
            }
            assert!(steps < 100, "room is made in the end");
        };
        match extended {
            None => self.model.miss(&key),
            Some(Stored::Kept) => {
                let kept = self.model.item(&key).expect("what is gone is not extended");
                let at = if before { 0 } else { kept.value.len() };
                kept.value.splice(at..at, more);
                (kept.attributes, kept.fetched) = (attributes, false);
                let item = self
                    .store
                    .peek(self.store.hashed_key(&key), self.now_s)
                    .expect("it has just been extended");
                self.model.check(&key, &item);
            }
            Some(_) => assert!(!self.evicts, "there is always room for a value that fits"),
        }
    }

    fn replace(&mut self, key: u16) {
        self.stored += 1;
        let (key, cas) = (name(key), self.stored);
        let Some(mut item) = self.store.item_mut(self.store.hashed_key(&key), self.now_s) else {
            return self.model.miss(&key);
        };
        let mut value = vec![cas as u8; item.item().value.len()];
        let new = &value.clone()[..value.len() / 2];
        assert!(item.set_cas(cas));
        item.overwrite_value(new, b' ');
        value[new.len()..].fill(b' ');
        let kept = self.model.item(&key).expect("what is gone is not replaced");
        (kept.value, kept.attributes.cas) = (value, cas);
    }

    /// As much memory as before has room for all items, wherever the ends of laps are.
    fn restart(&mut self) {
        let now_s = self.now_s;
        self.store.tick(now_s);
        let before = self.walk();
        let (mut saved, mut cursor) = (Vec::new(), SaveCursor::default());
        let mut part = vec![0; 24 + self.stored as usize % 1000];
        while !cursor.is_at_end() {
            let written = self.store.save(&mut cursor, now_s, &mut part);
            saved.extend_from_slice(&part[..written.bytes]);
        }
        let mut store = Self::store(self.memory_bytes, self.evicts);
        store.prepare_to_restore(self.store.len() as u64, saved.len() as u64);
        if let Some(at_s) = self.store.flush_at_s() {
            store.flush(at_s, now_s);
        }
        let mut rest = &saved[..];
        while !rest.is_empty() {
            let SavedBytes::Item(item, bytes) = saved_item(rest) else { panic!("it is an item") };
            let key = store.hashed_key(item.key);
            assert_eq!(store.restore(&item, key, now_s), Restored::Kept);
            rest = &rest[bytes..];
        }
        self.evicted += self.store.counters().evictions;
        (self.store, self.evictions) = (store, Evictions::default());
        assert_eq!(self.store.counters().evictions, 0);
        assert_eq!(self.walk(), before, "all items are restored, and no others");
        self.model.evicted_but(&before);
    }

    /// Walks over the items, and returns their keys.
    fn walk(&mut self) -> HashSet<Vec<u8>> {
        let (mut cursor, mut seen) = (Some(Cursor::default()), HashSet::new());
        while let Some(here) = cursor {
            cursor = self.store.walk(here, self.now_s, |key, item| {
                self.model.check(key, &item);
                assert!(seen.insert(key.to_vec()), "an item is shown once");
            });
        }
        assert!(seen.len() <= self.model.len());
        seen
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = || prop_oneof![3 => 0..12u16, 2 => 0..400u16];
    let ttl_s = || prop_oneof![3 => Just(0u32), 2 => 1..20u32];
    prop_oneof![
        12 => (key(), 0..=1000u16, prop_oneof![Just(0), any::<u32>()], ttl_s())
            .prop_map(|(key, per_mille, flags, ttl_s)| Op::Set { key, per_mille, flags, ttl_s }),
        8 => key().prop_map(|key| Op::Get { key }),
        1 => key().prop_map(|key| Op::Peek { key }),
        2 => key().prop_map(|key| Op::Delete { key }),
        1 => (key(), ttl_s()).prop_map(|(key, ttl_s)| Op::Touch { key, ttl_s }),
        1 => (key(), any::<(bool, bool)>()).prop_map(|(key, marks)| Op::Mark { key, marks }),
        3 => (key(), 0..2_000u16, any::<bool>())
            .prop_map(|(key, more_bytes, before)| Op::Extend { key, more_bytes, before }),
        1 => key().prop_map(|key| Op::Replace { key }),
        1 => prop_oneof![2 => Just(0u32), 1 => 0..10u32].prop_map(|in_s| Op::Flush { in_s }),
        2 => (0..PREFIXES).prop_map(|prefix| Op::FlushPrefix { prefix }),
        2 => (0..4u32).prop_map(|by_s| Op::Pass { by_s }),
        1 => Just(Op::Walk),
        1 => Just(Op::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/store.proptest-regressions",
        ))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_found_is_right(
        memory_bytes in 2_000..20_000usize,
        evicts in prop_oneof![4 => Just(true), 1 => Just(false)],
        ops in vec(op(), 0..200),
    ) {
        let mut pair = Pair::new(memory_bytes, evicts);
        for op in &ops {
            pair.apply(op);
        }
    }
}

/// xorshift64*: fast, and the same numbers for the same seed everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn op(&mut self, keys: u64) -> Op {
        // The product of two makes small keys frequent.
        let key = (self.below(keys) * self.below(keys) / keys) as u16;
        // No expiry, seconds, at most an hour, at most a day.
        let ttl_s = match self.below(8) {
            0..4 => 0,
            4 | 5 => 1 + self.below(20),
            6 => 1 + self.below(3_600),
            _ => 1 + self.below(86_400),
        } as u32;
        match self.below(100) {
            0..30 => {
                let flags = if self.below(2) == 0 { 0 } else { 7 };
                Op::Set { key, per_mille: self.below(1001) as u16, flags, ttl_s }
            }
            30..80 => Op::Get { key },
            80..85 => Op::Delete { key },
            85..88 => Op::Touch { key, ttl_s },
            88..90 => Op::Mark { key, marks: (self.below(2) == 0, self.below(2) == 0) },
            90 => Op::Peek { key },
            91..94 => {
                let (more_bytes, before) = (self.below(900) as u16, self.below(2) == 0);
                Op::Extend { key, more_bytes, before }
            }
            94 => Op::Replace { key },
            95..98 => {
                let hours = if self.below(2_000) == 0 { 3_600 * self.below(30) } else { 0 };
                Op::Pass { by_s: (hours + self.below(8) / 7) as u32 }
            }
            98 if self.below(4) == 0 => Op::Restart,
            98 => Op::Walk,
            99 if self.below(2) == 0 => Op::FlushPrefix { prefix: self.below(5) as u16 },
            _ => Op::Flush { in_s: self.below(40) as u32 },
        }
    }
}

fn long_run(operations: u64) {
    let per_size = operations / 8;
    for (memory_bytes, evicts) in
        [1_500, 4_096, 10_001, 65_536].into_iter().flat_map(|bytes| [(bytes, true), (bytes, false)])
    {
        let mut random = Random(memory_bytes as u64 + u64::from(evicts));
        let mut pair = Pair::new(memory_bytes, evicts);
        for _ in 0..per_size {
            pair.apply(&random.op(memory_bytes as u64 / 40));
        }
        let counters = pair.store.counters();
        println!("{memory_bytes} bytes, {} items: {counters:?}", pair.store.len());
        let evictions = pair.evicted + counters.evictions;
        assert!(!evicts || evictions > per_size / 100, "memory was full all the time");
    }
}

/// How the keys of a wave end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Expired,
    Flushed,
    Deleted,
}

/// Waves of new keys with values of about a hundred bytes, none of which is read. A given number of tenths
/// of them ends with their wave.
fn run_waves(end: End, tenths: u16, memory_bytes: usize, (waves, wave_keys): (u16, u16)) {
    let mut pair = Pair::new(memory_bytes, true);
    let per_mille = (1_000.0 * (110.0 / pair.value_bytes_max as f64).cbrt()) as u16;
    for wave in 0..waves {
        let keys = wave * wave_keys..(wave + 1) * wave_keys;
        for key in keys.clone() {
            let ttl_s = if end == End::Expired && key % 10 < tenths { 5 } else { 0 };
            pair.apply_only(&Op::Set { key, per_mille, flags: 0, ttl_s });
            if key % 32 == 0 {
                pair.store.verify();
            }
        }
        match end {
            // The first call of a second does not look for what expired within the last two.
            End::Expired => pair.apply(&Op::Pass { by_s: 6 }),
            End::Flushed => pair.apply(&Op::Flush { in_s: 0 }),
            End::Deleted => keys.filter(|key| key % 10 < tenths).for_each(|key| {
                pair.apply_only(&Op::Delete { key });
            }),
        }
    }
    let counters = pair.store.counters();
    println!("{end:?}, {tenths} in 10, {} items: {counters:?}", pair.store.len());
    assert!(counters.evictions > u64::from(waves * wave_keys / 4), "{counters:?}");
    assert!(end == End::Deleted || counters.swept > 20, "{counters:?}");
}

/// The memory of ended items is reused by the next wave, although neither a lookup, nor main's tail, nor
/// the first call of a second finds them.
#[test]
fn what_has_ended_does_not_wait_for_a_tail() {
    for (end, tenths) in [
        (End::Expired, 9),
        (End::Expired, 1),
        (End::Flushed, 10),
        (End::Deleted, 9),
        (End::Deleted, 1),
    ] {
        run_waves(end, tenths, 64 << 10, (8, 2_400));
    }
}

/// With so much memory that compaction uses up its saved budget. Then it copies as much as stores add.
#[test]
fn compaction_copies_as_much_as_its_budget_allows() {
    run_waves(End::Deleted, 1, 384 << 10, (2, 6_000));
}

#[test]
fn a_long_run_is_right_all_the_way() {
    long_run(100_000);
}

/// Minutes: `cargo test --release --test all -- --ignored store::`.
#[test]
#[ignore = "takes minutes"]
fn ten_million_operations_are_right_all_the_way() {
    long_run(10_000_000);
}
