//! What an item keeps over a restart, and how the time in between counts.

use super::{SAVED, ask, config, items, loaded, saved, set, started, text, value};
use miocached::config::{Config, MIB};
use miocached::engine::{Engine, Now};

/// What meta commands see of an item, without counting as a read.
const SHOWN: &str = "s v f c t h l k";

#[test]
fn an_item_keeps_all_that_clients_can_see() {
    let mut engine = Engine::new(&config()).unwrap();
    let earlier = Now { uptime_s: SAVED.uptime_s - 70, unix_s: SAVED.unix_s - 70 };
    let requests = "set plain 0 0 1\r\nx\r\n\
         set flags 4294967295 0 2\r\nxy\r\n\
         ms lives 3 T1000\r\nabc\r\n\
         ms marked 2 E77 T500\r\nab\r\n\
         md marked I T400\r\n\
         mg marked v\r\n\
         ms long 1 E18446744073709551615 F9\r\nx\r\n\
         ms AAEC 2 b\r\nok\r\n\
         set read 0 0 0\r\n\r\n\
         get read read read\r\n";
    text(&mut engine, earlier, requests);
    // The simple dialect has longer keys, and a record with a field for their length.
    let long_key = "k".repeat(1000);
    ask(&mut engine, SAVED, format!("set {long_key} 3\nlng\n").as_bytes());
    set(&mut engine, "large", "7 0", &value(1, 5 * MIB));
    set(&mut engine, "small", "0 0", b"");
    let keys = ["plain", "flags", "lives", "marked", "long", "read", "large", "small", "AAEC b"];
    let requests: String = keys.map(|key| format!("mg {key} {SHOWN}\r\n")).concat();
    let file = saved(&mut engine, SAVED);
    let before = text(&mut engine, SAVED, &requests);
    let (mut engine, loaded) = loaded(&config(), &file, started(0));
    assert_eq!((loaded.items.restored, loaded.is_damaged()), (10, false), "{loaded:?}");
    assert!(text(&mut engine, started(0), &requests) == before, "the items differ");
    let answer = ask(&mut engine, started(0), format!("get {long_key}\n").as_bytes());
    assert_eq!(answer, format!("VALUE {long_key} 3\nlng\nEND\n").into_bytes());
}

/// An answer to `mg key t h l`: the time to live, whether it was read, and the seconds since that.
fn times(engine: &mut Engine, now: Now, key: &str) -> String {
    text(engine, now, &format!("mg {key} t h l\r\n"))
}

#[test]
fn the_time_in_between_counts() {
    let mut engine = Engine::new(&config()).unwrap();
    for (key, ttl_s) in [("ever", 0), ("a", 1), ("b", 100), ("c", 101), ("d", 1000)] {
        set(&mut engine, key, &format!("0 {ttl_s}"), b"x");
    }
    let file = saved(&mut engine, SAVED);
    let now = started(100);
    let (mut later, what) = loaded(&config(), &file, now);
    assert_eq!((what.items.restored, what.items.expired, what.lost), (3, 2, 0));
    assert_eq!(times(&mut later, now, "ever"), "HD t-1 h0 l100\r\n");
    assert_eq!(times(&mut later, now, "b"), "EN\r\n");
    assert_eq!(times(&mut later, now, "c"), "HD t1 h0 l100\r\n");
    assert_eq!(times(&mut later, now, "d"), "HD t900 h0 l100\r\n");
    let next = Now { uptime_s: now.uptime_s + 1, unix_s: now.unix_s + 1 };
    assert_eq!(times(&mut later, next, "c"), "EN\r\n");
    assert_eq!(times(&mut later, next, "d"), "HD t899 h1 l1\r\n");
    // A second restart, long before the first second of the access.
    let file = saved(&mut later, next);
    let now = Now { unix_s: next.unix_s + 50, ..started(0) };
    let (mut later, _) = loaded(&config(), &file, now);
    assert_eq!(times(&mut later, now, "ever"), "HD t-1 h1 l51\r\n");
    assert_eq!(times(&mut later, now, "d"), "HD t849 h1 l50\r\n");
}

#[test]
fn a_wall_clock_that_went_back_adds_nothing() {
    let mut engine = Engine::new(&config()).unwrap();
    set(&mut engine, "a", "0 100", b"x");
    let file = saved(&mut engine, SAVED);
    for after_s in [-1, -1000, i64::MIN / 2] {
        let (mut later, _) = loaded(&config(), &file, started(after_s));
        assert_eq!(times(&mut later, started(after_s), "a"), "HD t100 h0 l0\r\n");
    }
    let ages = Now { uptime_s: Now::FIRST_S, unix_s: i64::MAX };
    let (_, what) = loaded(&config(), &file, ages);
    assert_eq!(what.items.expired, 1);
}

#[test]
fn cas_ids_go_on() {
    let mut engine = Engine::new(&config()).unwrap();
    for _ in 0..10 {
        set(&mut engine, "a", "0 0", b"x");
    }
    // A client's own id does not count.
    text(&mut engine, SAVED, "ms b 1 E5000000\r\nx\r\ndelete a\r\n");
    let file = saved(&mut engine, SAVED);
    let (mut later, _) = loaded(&config(), &file, started(1));
    set(&mut later, "c", "0 0", b"x");
    let answer = text(&mut later, SAVED, "gets b c\r\n");
    assert_eq!(answer, "VALUE b 0 1 5000000\r\nx\r\nVALUE c 0 1 12\r\nx\r\nEND\r\n");
    // Without cas ids, and with them again.
    let without = Config { cas_enabled: false, ..config() };
    let (mut later, _) = loaded(&without, &file, started(1));
    assert_eq!(text(&mut later, SAVED, "mg b c\r\n"), "HD c0\r\n");
    let file = saved(&mut later, SAVED);
    let (mut later, _) = loaded(&config(), &file, started(1));
    assert_eq!(text(&mut later, SAVED, "mg b c\r\n"), "HD c12\r\n");
}

#[test]
fn flushed_items_stay_flushed() {
    let mut engine = Engine::new(&config()).unwrap();
    set(&mut engine, "before", "0 0", b"x");
    text(&mut engine, SAVED, "flush_all\r\n");
    set(&mut engine, "after", "0 0", b"x");
    let file = saved(&mut engine, SAVED);
    let (mut later, what) = loaded(&config(), &file, started(1));
    assert_eq!(what.items.restored, 1);
    assert_eq!(items(&mut later, started(1)).into_keys().collect::<Vec<_>>(), ["after"]);
}

#[test]
fn items_of_a_flushed_prefix_stay_flushed() {
    let mut engine = Engine::new(&config()).unwrap();
    set(&mut engine, "user:before", "0 0", b"x");
    set(&mut engine, "other:before", "0 0", b"x");
    text(&mut engine, SAVED, "flush_prefix user\r\n");
    set(&mut engine, "user:after", "0 0", b"x");
    let file = saved(&mut engine, SAVED);
    let (mut later, _) = loaded(&config(), &file, started(1));
    let kept: Vec<_> = items(&mut later, started(1)).into_keys().collect();
    // Keys are percent-encoded in a dump.
    assert_eq!(kept, ["other%3Abefore", "user%3Aafter"]);
}

#[test]
fn a_delayed_flush_is_carried_out_all_the_same() {
    let mut engine = Engine::new(&config()).unwrap();
    set(&mut engine, "a", "0 0", b"x");
    text(&mut engine, SAVED, "flush_all 100\r\n");
    let file = saved(&mut engine, SAVED);
    for (after_s, restored) in [(99, 1), (100, 0), (1000, 0)] {
        let (_, what) = loaded(&config(), &file, started(after_s));
        let read = (what.items.restored, what.items.expired, what.lost);
        assert_eq!(read, (restored, 1 - restored, 0), "after {after_s} s");
    }
    let now = started(40);
    let (mut later, _) = loaded(&config(), &file, now);
    text(&mut later, now, "set b 0 0 1\r\nx\r\n");
    for (in_s, left) in [(59, 2), (60, 0)] {
        let then = Now { uptime_s: now.uptime_s + in_s, unix_s: now.unix_s + i64::from(in_s) };
        assert_eq!(items(&mut later, then).len(), left, "in {in_s} s");
    }
    // It is due at once when the snapshot is written.
    let mut engine = Engine::new(&config()).unwrap();
    set(&mut engine, "a", "0 0", b"x");
    text(&mut engine, SAVED, "flush_all 1\r\n");
    let file = saved(&mut engine, Now { uptime_s: SAVED.uptime_s + 1, ..SAVED });
    assert_eq!(loaded(&config(), &file, started(0)).1.items.restored, 0);
}

#[test]
fn an_empty_cache_is_a_snapshot_too() {
    let file = saved(&mut Engine::new(&config()).unwrap(), SAVED);
    let (mut engine, what) = loaded(&config(), &file, started(0));
    assert!(!what.is_damaged() && what.items.restored == 0, "{what:?}");
    set(&mut engine, "a", "0 0", b"x");
    engine.verify();
}

/// Figures that count from the start of the server begin at 0.
#[test]
fn loading_is_not_counted() {
    let mut engine = Engine::new(&config()).unwrap();
    for number in 0..1000 {
        set(&mut engine, &format!("key{number}"), "0 0", &value(number, 10_000));
    }
    let file = saved(&mut engine, SAVED);
    let small = Config { memory_bytes_max: 4 * MIB, ..config() };
    let (mut engine, what) = loaded(&small, &file, started(0));
    assert!(what.evicted > 500, "{what:?}");
    let figures = text(&mut engine, started(0), "stats store\r\n");
    for zero in ["evictions 0", "stored_bytes 0", "moved_bytes 0", "rehashed 0"] {
        assert!(figures.contains(&format!("STAT {zero}\r\n")), "{figures}");
    }
}
