//! `flush_prefix`, in larger stores than a model can check: its cost, and how memory is reclaimed after
//! it. `tests/store.rs` has it among other random operations, `tests/scripts` its answers.

use miocached::config::MIB;
use miocached::store::{Attributes, NEVER, PrefixFlush, Store, Stored};

const START_S: u32 = 10;

fn set(store: &mut Store, key: &str, now_s: u32) -> Stored {
    let attributes = Attributes { expires_at_s: NEVER, cas: 1, ..Attributes::default() };
    store.set(store.hashed_key(key.as_bytes()), &[b'v'; 100], &attributes, now_s)
}

fn is_there(store: &mut Store, key: &str, now_s: u32) -> bool {
    store.peek(store.hashed_key(key.as_bytes()), now_s).is_some()
}

/// A flush reads no record. The sweep finds the flushed ones in the next seconds, counts them as
/// reclaimed, and then keeps nothing of the prefix.
#[test]
fn flushed_items_are_swept() {
    const ITEMS: usize = 40_000;
    const PREFIXES: usize = 10;
    let mut store = Store::new(16 * MIB, true).unwrap();
    for number in 0..ITEMS {
        set(&mut store, &format!("{}:{number}", number % PREFIXES), START_S);
    }
    store.tick(START_S + 1);
    let (work_bytes, bytes) = (store.work_bytes(), store.bytes());
    assert_eq!(store.flush_prefix(b"3", START_S + 1), PrefixFlush::Done);
    assert_eq!(store.work_bytes(), work_bytes, "no record was read");
    assert_eq!((store.len(), store.flushed_prefixes()), (ITEMS, 1));
    assert!(!is_there(&mut store, "3:3", START_S + 1));
    assert_eq!(store.counters().flushed_found, 1);
    // Another one when the sweep has read a part of the tables.
    let mut now_s = START_S + 2;
    store.tick(now_s);
    assert!(store.counters().swept > 0);
    assert_eq!(store.flush_prefix(b"4", now_s), PrefixFlush::Done);
    while store.flushed_prefixes() > 0 {
        now_s += 1;
        store.tick(now_s);
        // Two laps of 8,192 records a second, but for the rest of a table.
        assert!(now_s < START_S + 15, "{} items are left", store.len());
    }
    assert_eq!(store.len(), ITEMS - 2 * ITEMS / PREFIXES);
    assert_eq!(store.counters().reclaimed, 2 * (ITEMS / PREFIXES) as u64 - 1);
    assert!(store.bytes() < bytes * 82 / 100);
    // Now it costs nothing again.
    let read = store.counters().swept_past;
    store.tick(now_s + 1);
    assert_eq!(store.counters().swept_past, read);
    assert!((0..ITEMS).all(|number| {
        is_there(&mut store, &format!("{}:{number}", number % PREFIXES), now_s)
            == !matches!(number % PREFIXES, 3 | 4)
    }));
    store.verify();
}

/// With many calls in each second, the sweep takes two minutes at most, however many records there are and
/// however few of them are flushed.
#[test]
fn with_traffic_a_prefix_is_dropped_within_two_minutes() {
    const ITEMS: usize = 2_000_000;
    let mut store = Store::new(128 * MIB, true).unwrap();
    for number in 0..ITEMS {
        let key = format!("x:{number}");
        let attributes = Attributes { expires_at_s: NEVER, cas: 1, ..Attributes::default() };
        store.set(store.hashed_key(key.as_bytes()), b"", &attributes, START_S);
    }
    assert_eq!(store.flush_prefix(b"y", START_S), PrefixFlush::Done);
    let mut now_s = START_S;
    while store.flushed_prefixes() > 0 {
        now_s += 1;
        // A step for each call, after the one of the second.
        (0..100).for_each(|_| store.tick(now_s));
        assert!(now_s <= START_S + 122, "it goes on for longer");
    }
    assert_eq!(store.len(), ITEMS);
}

/// More prefixes than are kept at once. Each is flushed in the end, in steps of bounded work.
#[test]
fn any_number_of_prefixes_is_flushed_in_bounded_steps() {
    const PREFIXES: usize = 9_000;
    /// Records of a step, and those of a table of the sweep.
    const STEP_BYTES_MAX: u64 = (4096 + 448) * 64;
    let mut store = Store::new(16 * MIB, true).unwrap();
    for number in 0..3 * PREFIXES {
        set(&mut store, &format!("{}:{number}", number % PREFIXES), START_S);
    }
    store.tick(START_S);
    let (mut steps, mut kept_max) = (0, 0);
    for prefix in 0..PREFIXES {
        loop {
            let before = store.work_bytes();
            let flushed = store.flush_prefix(prefix.to_string().as_bytes(), START_S);
            assert!(store.work_bytes() - before <= STEP_BYTES_MAX);
            match flushed {
                PrefixFlush::Done => break,
                PrefixFlush::NeedsStep => steps += 1,
                PrefixFlush::OutOfMemory => panic!("there is memory"),
            }
            let key = format!("{prefix}:{prefix}");
            assert!(is_there(&mut store, &key, START_S), "nothing is flushed before the last step");
        }
        kept_max = kept_max.max(store.flushed_prefixes());
        let key = format!("{prefix}:{}", prefix + PREFIXES);
        assert!(!is_there(&mut store, &key, START_S));
    }
    assert_eq!(kept_max, 3584);
    // Two laps, each of less than 27,000 records, twice.
    assert!((4..30).contains(&steps), "{steps} steps");
    // A prefix that is kept already needs no new place.
    while store.flushed_prefixes() < 3584 {
        let number = store.flushed_prefixes();
        set(&mut store, "x:x", START_S);
        assert_eq!(store.flush_prefix(format!("x{number}").as_bytes(), START_S), PrefixFlush::Done);
    }
    set(&mut store, "8999:1", START_S);
    assert_eq!(store.flush_prefix(b"8999", START_S), PrefixFlush::Done);
    assert!(!is_there(&mut store, "8999:1", START_S));
    store.verify();
}

/// With evictions disabled, stores find the room of flushed items, whether the sweep has found these or
/// not. No live item is lost.
#[test]
fn room_of_flushed_items_is_found_where_nothing_may_be_evicted() {
    let mut store = Store::new(MIB, false).unwrap();
    let mut stored = 0;
    while set(&mut store, &format!("{}:{stored}", stored % 2), START_S) == Stored::Kept {
        stored += 1;
    }
    for round in 1..4 {
        assert_eq!(store.flush_prefix(b"1", START_S), PrefixFlush::Done);
        let mut refilled = 0;
        loop {
            match set(&mut store, &format!("1:{round}:{refilled}"), START_S) {
                Stored::Kept => refilled += 1,
                Stored::NeedsStep => {}
                Stored::NoRoom => break,
            }
        }
        // The new keys are at most three bytes longer.
        assert!(refilled > stored / 2 * 95 / 100, "{refilled} of {stored} in round {round}");
        store.verify();
    }
    assert!((0..stored).step_by(2).all(|number| is_there(
        &mut store,
        &format!("0:{number}"),
        START_S
    )));
    assert_eq!(store.counters().evictions, 0);
}

/// Records that the policy moves stay what they are: live ones are found, flushed ones are not.
#[test]
fn moved_records_are_as_old_as_before() {
    const KEPT: u32 = 100;
    let mut store = Store::new(MIB, true).unwrap();
    let (mut number, mut found) = (0, 0);
    for now_s in START_S..START_S + 200 {
        for _ in 0..200 {
            set(&mut store, &format!("gone:{number}"), now_s);
            // Those that are kept are far from each other, so that there is a budget to reinsert each.
            let key = format!("kept:{}", number / 20);
            if number % 20 == 0 && number / 20 < KEPT {
                set(&mut store, &key, now_s);
            }
            number += 1;
        }
        assert_eq!(store.flush_prefix(b"gone", now_s), PrefixFlush::Done);
        assert!(!is_there(&mut store, &format!("gone:{}", number - 1), now_s));
        set(&mut store, "gone:new", now_s);
        assert!(is_there(&mut store, "gone:new", now_s));
        for kept in 0..KEPT {
            let key = format!("kept:{kept}");
            found += u32::from(store.get(store.hashed_key(key.as_bytes()), now_s).is_some());
        }
        store.verify();
    }
    // Those that are not found have been evicted, or not been stored yet.
    let counters = store.counters();
    assert!(found > 180 * KEPT, "{found} found, {counters:?}");
    assert!(counters.moved_bytes > 10_000, "{counters:?}");
}
