//! The edge cases of a store of circular logs, each on purpose, and the bounds of its work and memory.
//! Random operations are in `tests/store.rs`.
#![allow(clippy::cast_possible_truncation, reason = "small numbers, chosen here")]

use std::collections::HashMap;

use miocached::config::{Config, MIB};
use miocached::engine::{Engine, Now};
use miocached::protocol::OutputLimit;
use miocached::session::{Session, Stop};
use miocached::store::{Attributes, Cursor, LARGE_BYTES, REHASHED_MAX, Side, Store, Stored};

const NOW_S: u32 = 10;

fn key(number: u64) -> Vec<u8> {
    format!("key:{number:020}").into_bytes()
}

fn meta(cas: u64) -> Attributes {
    Attributes { cas, ..Attributes::default() }
}

/// Stores a value that differs from all others, in as many steps as it needs. Returns their number.
fn put(store: &mut Store, number: u64, value_bytes: usize) -> u32 {
    let value = vec![number as u8; value_bytes];
    for steps in 0..10_000 {
        match store.set(store.hashed_key(&key(number)), &value, &meta(number), NOW_S) {
            Stored::Kept => return steps,
            Stored::NeedsStep => {}
            Stored::NoRoom => panic!("no room for {value_bytes} bytes"),
        }
    }
    panic!("no end of steps for {value_bytes} bytes");
}

fn has(store: &mut Store, number: u64, value_bytes: usize) -> bool {
    let found = store.peek(store.hashed_key(&key(number)), NOW_S);
    found.is_some_and(|item| item.value == vec![number as u8; value_bytes])
}

/// Every record is overwritten, at the tail of a log or elsewhere, read or not, by values of several
/// sizes. Afterwards the new value is found and the sums are right.
#[test]
fn every_record_of_both_logs_may_be_overwritten() {
    for (read, grown) in [(false, 40), (true, 40), (false, 200), (true, 200), (true, 900)] {
        for behind in 0..120 {
            let mut store = Store::new(6_000, true).unwrap();
            for number in 0..200 {
                put(&mut store, number, 32);
            }
            let number = 199 - behind;
            if read {
                // The records at the tail are then reinserted, too.
                for number in 0..200 {
                    store.get(store.hashed_key(&key(number)), NOW_S);
                }
            }
            for bytes in [grown, grown + 100, 32, grown] {
                put(&mut store, number, bytes);
                store.verify();
                assert!(has(&mut store, number, bytes), "{behind} from the head, {bytes} bytes");
            }
        }
    }
}

/// Every record is extended, by a little or by so much that it moves. Afterwards it has both parts, or
/// it was evicted to make room.
#[test]
fn every_record_of_both_logs_may_be_extended() {
    let mut left = 0;
    for (read, more_bytes) in [(false, 1), (true, 7), (false, 100), (true, 300), (true, 900)] {
        for behind in 0..120 {
            let mut store = Store::new(6_000, true).unwrap();
            for number in 0..200 {
                put(&mut store, number, 32);
            }
            if read {
                for number in 0..200 {
                    store.get(store.hashed_key(&key(number)), NOW_S);
                }
            }
            let number = 199 - behind;
            for side in [Side::After, Side::Before] {
                let old = store
                    .peek(store.hashed_key(&key(number)), NOW_S)
                    .map(|item| item.value.to_vec());
                let more = vec![b'+'; more_bytes];
                let longer = meta(7);
                let mut extend =
                    || store.extend(store.hashed_key(&key(number)), (&more, side), &longer, NOW_S);
                let mut steps = std::iter::repeat_with(&mut extend).take(100);
                let extended = steps.find(|step| *step != Some(Stored::NeedsStep));
                let extended = extended.expect("room is made in the end");
                store.verify();
                let item = store
                    .peek(store.hashed_key(&key(number)), NOW_S)
                    .map(|item| item.value.to_vec());
                let expected = old.map(|old| match side {
                    Side::After => [old, more].concat(),
                    Side::Before => [more, old].concat(),
                });
                match extended {
                    Some(Stored::Kept) => assert_eq!(item, expected, "{behind} from the head"),
                    Some(other) => panic!("{behind} behind: {other:?}"),
                    None => left += u32::from(item.is_none() && expected.is_some()),
                }
            }
        }
    }
    assert!(left > 0, "none of them was evicted, so the test shows nothing");
}

/// A later flush within the same second flushes items that were stored after the earlier one.
#[test]
fn three_hundred_flushes_in_one_second() {
    let mut store = Store::new(100_000, true).unwrap();
    for round in 0..300 {
        put(&mut store, 1, 10);
        put(&mut store, 2 + round, 10);
        store.flush(NOW_S, NOW_S);
        assert!(!has(&mut store, 1, 10), "round {round}: flushed");
        put(&mut store, 1, 10);
        assert!(
            store.get(store.hashed_key(&key(1)), NOW_S).is_some(),
            "round {round}: stored behind the flush"
        );
        store.verify();
    }
    // A read does not protect an item from the next flush.
    store.flush(NOW_S, NOW_S);
    assert!(!has(&mut store, 1, 10));
}

#[test]
fn every_length_meets_every_end_of_a_lap() {
    for memory_bytes in (3_000..3_200).step_by(8) {
        let mut store = Store::new(memory_bytes, true).unwrap();
        for number in 0..400 {
            let bytes = (number * 7 % 150) as usize;
            put(&mut store, number, bytes);
            assert!(has(&mut store, number, bytes));
            store.verify();
        }
    }
}

#[test]
fn the_largest_record_that_fits_fits() {
    for memory_bytes in [4_096, 100_000, MIB, 3 * MIB + 8] {
        let mut store = Store::new(memory_bytes, true).unwrap();
        // memcached's size of an item is larger than the record here.
        let largest = Config::item_bytes_possible(memory_bytes) - 48 - 8 - 24 - 1 - 2;
        for number in 0..20 {
            put(&mut store, number, largest);
            store.verify();
            assert!(has(&mut store, number, largest));
            put(&mut store, 100 + number, 16);
            store.verify();
        }
        let value = vec![0; memory_bytes / 2];
        assert_eq!(store.set(store.hashed_key(&key(19)), &value, &meta(1), NOW_S), Stored::NoRoom);
        assert!(has(&mut store, 19, largest), "a refused store has changed nothing");
    }
}

/// Room for a large value is made in steps of bounded work, while other values are stored all the time.
#[test]
fn room_for_a_large_value_is_made_in_steps() {
    let mut store = Store::new(8 * MIB, true).unwrap();
    for number in 0..200_000 {
        put(&mut store, number, 8);
    }
    let value = vec![7; MIB];
    let mut steps = 0;
    let mut other = 1_000_000;
    loop {
        let evictions = store.counters().evictions;
        if store.set(store.hashed_key(b"large"), &value, &meta(1), NOW_S) == Stored::Kept {
            break;
        }
        steps += 1;
        assert!(store.counters().evictions - evictions <= LARGE_BYTES / 52 + 1);
        // Overwrites in main and new records, which need more room than one step makes.
        for _ in 0..1000 {
            other += 1;
            put(&mut store, other, 8);
            put(&mut store, 150_000 + other % 30_000, 64);
        }
        assert!(steps < 40, "the store does not complete");
    }
    assert!(steps >= 10, "{steps} steps are few for a MiB");
    assert!(store.peek(store.hashed_key(b"large"), NOW_S).is_some_and(|item| item.value == value));
    store.verify();
}

#[test]
fn a_large_value_that_was_given_up_delays_no_other() {
    let mut store = Store::new(8 * MIB, true).unwrap();
    for number in 0..200_000 {
        put(&mut store, number, 8);
    }
    let value = vec![7; 3 * MIB];
    assert_eq!(
        store.set(store.hashed_key(b"given up"), &value, &meta(1), NOW_S),
        Stored::NeedsStep
    );
    for number in 0..20 {
        put(&mut store, number, 500_000);
        store.verify();
        assert!(has(&mut store, number, 500_000));
    }
}

/// The same through the session: it stalls, others have their turn, and it goes on where it stopped.
#[test]
fn a_stalled_store_is_answered_later() {
    let config = Config { memory_bytes_max: 8 * MIB, ..Config::default() };
    let mut engine = Engine::new(&config).unwrap();
    let (mut small, mut large) = (Session::new(&config), Session::new(&config));
    let now = Now { uptime_s: NOW_S, unix_s: 0 };
    let mut talk = |session: &mut Session, input: &[u8]| {
        let mut output = Vec::new();
        let mut room = OutputLimit::UNBOUNDED;
        let (spent, stop) = session.advance(input, &mut output, &mut room, &mut engine, now.into());
        (spent, stop, String::from_utf8(output).unwrap())
    };
    for number in 0..100_000 {
        let request = format!("set k{number} 0 0 40 noreply\r\n{number:040}\r\n");
        assert_eq!(talk(&mut small, request.as_bytes()).1, Stop::NeedsInput);
    }
    let value = "v".repeat(MIB - 100);
    let request = format!("get no\r\nset large 0 0 {}\r\n{value}\r\nget no\r\n", value.len());
    let (mut spent, mut stalls, mut answers) = (0, 0, String::new());
    loop {
        let (used, stop, answer) = talk(&mut large, &request.as_bytes()[spent..]);
        spent += used;
        answers += &answer;
        if stop == Stop::NeedsInput {
            break;
        }
        assert_eq!(stop, Stop::NeedsFlush);
        if spent == request.len() - 8 {
            // Such a large request ends the turn.
            continue;
        }
        stalls += 1;
        assert_eq!(spent, 8, "the store stays whole in the input");
        let (_, _, answer) = talk(&mut small, b"get k99999\r\n");
        assert!(answer.starts_with("VALUE k99999 0 40\r\n"), "others are served meanwhile");
    }
    assert_eq!((spent, answers.as_str()), (request.len(), "END\r\nSTORED\r\nEND\r\n"));
    assert!((10..40).contains(&stalls), "{stalls} stalls");
    let (_, _, answer) = talk(&mut small, b"get large\r\n");
    assert!(answer.contains(&value));
}

#[test]
fn without_eviction_a_full_store_refuses_until_items_are_deleted() {
    let mut store = Store::new(100_000, false).unwrap();
    let mut kept = 0;
    while store.set(store.hashed_key(&key(kept)), &[1; 40], &meta(1), NOW_S) == Stored::Kept {
        kept += 1;
    }
    assert!(kept > 1000, "{kept}");
    for number in (0..kept).step_by(10) {
        assert!(store.delete(store.hashed_key(&key(number)), NOW_S));
    }
    let mut again = 0;
    for number in 0..kept / 10 {
        let stored = store.set(store.hashed_key(&key(kept + number)), &[1; 40], &meta(1), NOW_S);
        again += u64::from(stored == Stored::Kept);
        store.verify();
    }
    assert!(again > kept / 10 * 9 / 10, "{again} of {}", kept / 10);
    for number in (0..kept).filter(|number| number % 10 != 0) {
        assert!(
            store.peek(store.hashed_key(&key(number)), NOW_S).is_some(),
            "{number} was evicted"
        );
    }
    assert_eq!(store.counters().evictions, 0);
}

/// Expired records are reclaimed before live ones are evicted.
#[test]
fn expired_records_are_reclaimed_first() {
    let mut store = Store::new(100_000, true).unwrap();
    for number in 0..900 {
        let meta = Attributes { expires_at_s: NOW_S + 1, ..meta(1) };
        assert_eq!(store.set(store.hashed_key(&key(number)), &[1; 40], &meta, NOW_S), Stored::Kept);
    }
    for number in 900..1700 {
        assert_eq!(
            store.set(store.hashed_key(&key(number)), &[1; 40], &meta(1), NOW_S + 1),
            Stored::Kept
        );
    }
    let counters = store.counters();
    assert_eq!((counters.evictions, counters.expired_unfetched), (0, counters.reclaimed));
    assert!(counters.reclaimed > 500, "{counters:?}");
    store.verify();
}

#[test]
fn events_are_counted_and_counters_can_be_reset() {
    let mut store = Store::new(100_000, true).unwrap();
    let expires = |store: &mut Store, number| {
        let meta = Attributes { expires_at_s: NOW_S + 1, ..meta(1) };
        assert_eq!(store.set(store.hashed_key(&key(number)), &[1; 40], &meta, NOW_S), Stored::Kept);
    };
    (0..4).for_each(|number| expires(&mut store, number));
    put(&mut store, 4, 40);
    assert!(store.get(store.hashed_key(&key(0)), NOW_S).is_some());
    // Found expired by get, peek, set and delete: each item is counted once.
    assert!(store.get(store.hashed_key(&key(0)), NOW_S + 1).is_none());
    assert!(store.get(store.hashed_key(&key(0)), NOW_S + 1).is_none());
    assert!(store.peek(store.hashed_key(&key(1)), NOW_S + 1).is_none());
    assert_eq!(store.set(store.hashed_key(&key(2)), &[1; 40], &meta(1), NOW_S + 1), Stored::Kept);
    assert!(!store.delete(store.hashed_key(&key(3)), NOW_S + 1));
    let counters = *store.counters();
    assert_eq!((counters.expired_found, counters.flushed_found), (4, 0));
    // No record was reclaimed for room.
    assert_eq!((counters.expired_unfetched, counters.reclaimed), (0, 0));
    // As in memcached, an item that is both flushed and expired counts as flushed.
    expires(&mut store, 5);
    store.flush(NOW_S + 1, NOW_S + 1);
    assert!(store.get(store.hashed_key(&key(4)), NOW_S + 2).is_none());
    assert!(store.get(store.hashed_key(&key(5)), NOW_S + 2).is_none());
    assert!(store.get(store.hashed_key(&key(6)), NOW_S + 2).is_none());
    let counters = *store.counters();
    assert_eq!((counters.expired_found, counters.flushed_found), (4, 2));
    assert!((counters.write_amplification() - 1.0).abs() < f64::EPSILON, "nothing has moved");
    let kept = (store.len(), store.bytes(), store.log_bytes(), store.map_bytes());
    store.reset_counters();
    assert_eq!(*store.counters(), miocached::store::StoreCounters::default());
    assert_eq!(kept, (store.len(), store.bytes(), store.log_bytes(), store.map_bytes()));
    store.verify();
}

#[test]
fn dead_bytes_stay_few_while_records_are_evicted() {
    let mut store = Store::new(4 * MIB, true).unwrap();
    let mut at = 1u64;
    for round in 0..400_000u64 {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let number = (at >> 33) % 20_000;
        match (at >> 20) % 8 {
            0 | 1 => drop(store.delete(store.hashed_key(&key(number)), NOW_S)),
            2..5 => drop(store.get(store.hashed_key(&key(number)), NOW_S)),
            _ => drop(put(&mut store, number, ((at >> 40) % 600) as usize)),
        }
        if round % 40_000 == 0 {
            store.verify();
        }
    }
    let counters = store.counters();
    assert!(counters.evictions > 1000, "{counters:?}");
    assert!(counters.dead_per_mille_at_eviction_max < 200, "{counters:?}");
    assert!(counters.moved_bytes < 8 * counters.stored_bytes, "{counters:?}");
}

/// An item that exists during the whole walk is visited once, although tables are split meanwhile.
#[test]
fn a_walk_visits_each_item_once_while_the_map_grows() {
    for grow in [1, 30, 300, 3000] {
        let mut store = Store::new(8 * MIB, true).unwrap();
        for number in 0..3000 {
            put(&mut store, number, 8);
        }
        let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
        let (mut cursor, mut more) = (Some(Cursor::default()), 3000);
        while let Some(here) = cursor {
            cursor = store.walk(here, NOW_S, |key, _| *seen.entry(key.to_vec()).or_default() += 1);
            for _ in 0..grow {
                put(&mut store, more, 8);
                more += u64::from(more < 60_000);
            }
        }
        assert!(seen.values().all(|&times| times == 1), "nothing is shown twice");
        assert!((0..3000).all(|number| seen.contains_key(&key(number))), "nothing is lost");
    }
}

/// Stores `items` small items in `memory_bytes`, and checks rehashes and the map's bytes per item.
fn fill(memory_bytes: usize, items: u64) -> Store {
    let mut store = Store::new(memory_bytes, true).unwrap();
    for number in 0..items {
        put(&mut store, number, 32);
    }
    let counters = store.counters();
    let beside = store.map_bytes() as f64 / store.len() as f64;
    println!("{} items, {beside:.1} bytes of map for each, {counters:?}", store.len());
    assert!(counters.rehashed_at_once_max <= REHASHED_MAX, "{counters:?}");
    assert!(beside < 13.0, "{beside}");
    store
}

#[test]
fn no_store_touches_many_records() {
    fill(8 * MIB, 400_000).verify();
}

/// `cargo test --release --test all -- --ignored log_edges`
#[test]
#[ignore = "wants 1 GiB, and a release build"]
fn no_store_touches_many_records_among_eight_million() {
    let store = fill(1024 * MIB, 8_000_000);
    assert_eq!((store.len(), store.counters().moved_bytes), (8_000_000, 0));
    fill(64 * MIB, 8_000_000);
}

#[test]
fn memory_that_is_not_granted_is_an_error() {
    assert!(Store::new(usize::MAX / 4, true).is_err());
}

/// A client that may list keys learns which of them share a table, because a step of a walk shows one
/// table. It keeps those, deletes the others, and stores new ones, until the table is full.
#[test]
fn keys_chosen_to_share_a_table_are_bounded() {
    for evicts in [true, false] {
        let mut store = Store::new(32 * MIB, evicts).unwrap();
        let mut refused = 0;
        for round in 0..8 {
            for number in 0..20_000 {
                let key = key(round * 20_000 + number);
                let stored = store.set(store.hashed_key(&key), b"", &meta(1), NOW_S);
                refused += u64::from(stored == Stored::NoRoom);
            }
            let mut others = Vec::new();
            let mut cursor = store.walk(Cursor::default(), NOW_S, |_, _| {});
            while let Some(here) = cursor {
                cursor = store.walk(here, NOW_S, |key, _| others.push(key.to_vec()));
            }
            for key in others {
                assert!(store.delete(store.hashed_key(&key), NOW_S));
            }
        }
        store.verify();
        let counters = store.counters();
        assert!(counters.rehashed_at_once_max <= REHASHED_MAX, "{counters:?}");
        let lost = counters.evictions + refused;
        assert!(store.len() > 300 && lost > 100, "the table was full: {} kept", store.len());
        assert!(!evicts || refused == 0, "with evictions no store is refused");
    }
}
