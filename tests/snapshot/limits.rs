//! Less memory than before, and other limits.

use super::{SAVED, config, items, loaded, saved, set, started, text, value};
use miocached::config::{Config, MIB};
use miocached::engine::Engine;

const ITEMS: usize = 20_000;

/// An engine with as many items as fit, in which every tenth was read often.
fn full(config: &Config) -> Engine {
    let mut engine = Engine::new(config).unwrap();
    for number in 0..ITEMS {
        set(&mut engine, &format!("key{number}"), "0 0", &value(number, 1000));
        if number % 10 == 0 {
            text(&mut engine, SAVED, &format!("get key{number} key{number} key{number}\r\n"));
        }
    }
    engine
}

fn memory(mib: usize) -> Config {
    Config { memory_bytes_max: mib * MIB, item_bytes_max: MIB, ..Config::default() }
}

#[test]
fn more_memory_keeps_all_and_the_same_memory_too() {
    let mut engine = full(&memory(16));
    let file = saved(&mut engine, SAVED);
    let before = items(&mut engine, SAVED);
    assert!(before.len() > 14_000, "{} items fit", before.len());
    for mib in [16, 17, 32, 100] {
        let (mut later, what) = loaded(&memory(mib), &file, started(0));
        assert_eq!((what.evicted, what.lost, what.items.no_room), (0, 0, 0), "{mib} MiB");
        assert!(items(&mut later, started(0)) == before, "{mib} MiB");
    }
}

#[test]
fn less_memory_keeps_what_is_read() {
    let mut engine = full(&memory(16));
    let file = saved(&mut engine, SAVED);
    let before = items(&mut engine, SAVED);
    let (mut later, what) = loaded(&memory(8), &file, started(0));
    let after = items(&mut later, started(0));
    assert_eq!(what.items.restored, before.len() as u64);
    assert_eq!(what.evicted, (before.len() - after.len()) as u64);
    assert!(after.len() > 6_800, "the memory is full: {} items", after.len());
    assert!(after.iter().all(|(key, item)| before[key] == *item));
    let read = |items: &std::collections::BTreeMap<String, _>| {
        items.keys().filter(|key| key.ends_with('0')).count()
    };
    assert!(read(&after) * 100 >= read(&before) * 95, "{} of {}", read(&after), read(&before));
}

/// The map is made for the items that fit, not for all that the file has.
#[test]
fn less_memory_has_a_smaller_map() {
    let map_bytes = |engine: &mut Engine| -> usize {
        let figures = text(engine, SAVED, "stats store\r\n");
        let (_, after) = figures.split_once("STAT map_bytes ").unwrap();
        after.lines().next().unwrap().parse().unwrap()
    };
    let file = saved(&mut full(&memory(16)), SAVED);
    let (mut later, _) = loaded(&memory(2), &file, started(0));
    let (loaded_bytes, twins) = (map_bytes(&mut later), map_bytes(&mut full(&memory(2))));
    assert!(loaded_bytes < 2 * twins, "{loaded_bytes} bytes, and {twins} without a snapshot");
}

#[test]
fn without_evictions_what_does_not_fit_is_counted() {
    let mut engine = full(&memory(16));
    let file = saved(&mut engine, SAVED);
    let all = items(&mut engine, SAVED).len() as u64;
    let (mut later, what) = loaded(&Config { evicts: false, ..memory(8) }, &file, started(0));
    let kept = items(&mut later, started(0)).len() as u64;
    assert!(what.items.no_room > 6000, "{what:?}");
    assert_eq!((what.items.no_room + kept, what.evicted, what.lost), (all, 0, 0));
    // From a server without evictions to one with them: a part of its memory is probation there.
    let file = saved(&mut later, SAVED);
    let (mut later, what) = loaded(&memory(8), &file, started(0));
    assert!(what.evicted < kept / 5 && what.lost == 0, "{what:?}");
    later.verify();
    assert_eq!(items(&mut later, started(0)).len() as u64, kept - what.evicted);
}

#[test]
fn items_above_a_lower_item_limit_are_counted() {
    let mut engine = Engine::new(&config()).unwrap();
    for (number, bytes) in [10, 5000, 100_000, 3 * MIB, 20, 5 * MIB].into_iter().enumerate() {
        set(&mut engine, &format!("key{number}"), "0 0", &value(number, bytes));
    }
    let file = saved(&mut engine, SAVED);
    for (limit, restored) in [(1024, 2), (6000, 3), (MIB, 4), (4 * MIB, 5), (8 * MIB, 6)] {
        let limited = Config { item_bytes_max: limit, ..config() };
        let (mut later, what) = loaded(&limited, &file, started(0));
        let read = (what.items.restored, what.items.too_large, what.is_damaged());
        assert_eq!(read, (restored, 6 - restored, false), "-I {limit}");
        assert_eq!(items(&mut later, started(0)).len() as u64, restored);
    }
}

/// One item takes more than the whole memory.
#[test]
fn an_item_that_no_longer_fits_is_counted() {
    let mut engine = Engine::new(&config()).unwrap();
    set(&mut engine, "large", "0 0", &value(1, 7 * MIB));
    set(&mut engine, "small", "0 0", b"x");
    let file = saved(&mut engine, SAVED);
    for evicts in [true, false] {
        let small = Config { memory_bytes_max: 2 * MIB, evicts, ..config() };
        let (mut later, what) = loaded(&small, &file, started(0));
        assert_eq!((what.items.restored, what.items.no_room), (1, 1), "{what:?}");
        assert_eq!(items(&mut later, started(0)).into_keys().collect::<Vec<_>>(), ["small"]);
    }
}
