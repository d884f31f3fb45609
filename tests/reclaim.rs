//! Reclaiming: the memory of expired, flushed and deleted items is reclaimed before live items are evicted,
//! at a bounded cost per operation. The recipes come from operators whose caches fell from all hits to
//! none when their items expired. Sizes are an eighth of theirs.

use miocached::config::{Config, MIB};
use miocached::engine::{Engine, Now};
use miocached::protocol::OutputLimit;
use miocached::session::{Session, Stop};
use miocached::store::{Attributes, LARGE_BYTES, NEVER, Store, Stored};

const START_S: u32 = 10;
const VALUE_BYTES: usize = 100;
/// Limit of the work of one operation on a small item, without the step of a second: the saved budgets of
/// reinsertion and compaction, and a table of the sweep.
const WORK_BYTES_MAX: u64 = 3 * LARGE_BYTES;
/// Limit of the additional work of the first call of a second.
const SECOND_BYTES_MAX: u64 = 1 << 20;
/// Limit of the work of a step that copies the largest record that is ever copied.
const STEP_BYTES_MAX: u64 = 2 << 20;

/// How the items that were stored first end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Expired,
    Flushed,
    Deleted,
}

struct Cache {
    store: Store,
    work_bytes_max: u64,
}

impl Cache {
    fn new(memory_bytes: usize, evicts: bool) -> Self {
        Self { store: Store::new(memory_bytes, evicts).unwrap(), work_bytes_max: 0 }
    }

    fn with<T>(&mut self, now_s: u32, operation: impl FnOnce(&mut Store) -> T) -> T {
        let before = self.store.work_bytes();
        self.store.tick(now_s);
        assert!(self.store.work_bytes() - before <= SECOND_BYTES_MAX);
        let before = self.store.work_bytes();
        let result = operation(&mut self.store);
        self.work_bytes_max = self.work_bytes_max.max(self.store.work_bytes() - before);
        result
    }

    fn set(&mut self, key: &str, bytes: usize, expires_at_s: u32, now_s: u32) -> Stored {
        let attributes = Attributes { expires_at_s, cas: 1, ..Attributes::default() };
        let value = vec![b'v'; bytes];
        self.with(now_s, |store| {
            store.set(store.hashed_key(key.as_bytes()), &value, &attributes, now_s)
        })
    }

    fn get(&mut self, key: &str, now_s: u32) -> bool {
        self.with(now_s, |store| store.get(store.hashed_key(key.as_bytes()), now_s).is_some())
    }

    fn delete(&mut self, key: &str, now_s: u32) -> bool {
        self.with(now_s, |store| store.delete(store.hashed_key(key.as_bytes()), now_s))
    }
}

/// Stores `kept` items that stay and `ended` items that end, about a tenth of which are read at once. Then
/// stores `new` items; if `lag` is not 0, each is read once after `lag` others. Returns how many of the new
/// items were found, how many were looked up, and the cache.
fn recipe(
    end: End,
    kept: u32,
    ended: u32,
    new: u32,
    lag: u32,
    read_every: u32,
) -> (u32, u32, Cache) {
    let mut cache = Cache::new(8 * MIB, true);
    for number in 0..kept {
        cache.set(&format!("k{number}"), VALUE_BYTES, NEVER, START_S);
    }
    let expires_at_s = if end == End::Expired { START_S + 2 } else { NEVER };
    for number in 0..ended {
        let key = format!("d{number}");
        cache.set(&key, VALUE_BYTES, expires_at_s, START_S);
        if read_every > 0 && number % read_every == 0 {
            assert!(cache.get(&key, START_S));
        }
    }
    let now_s = START_S + 6;
    match end {
        End::Expired => {}
        End::Flushed => cache.store.flush(now_s, now_s),
        End::Deleted => {
            for number in 0..ended {
                cache.delete(&format!("d{number}"), now_s);
            }
        }
    }
    let before = cache.store.counters().evictions;
    let (mut hits, mut reads) = (0, 0);
    for number in 0..new {
        let stored = cache.set(&format!("s{number}"), VALUE_BYTES, now_s + 600, now_s);
        assert_eq!(stored, Stored::Kept);
        if lag > 0 && number >= lag {
            reads += 1;
            hits += u32::from(cache.get(&format!("s{}", number - lag), now_s));
        }
    }
    if lag == 0 {
        reads = new;
        hits = (0..new).map(|number| u32::from(cache.get(&format!("s{number}"), now_s))).sum();
    }
    cache.store.verify();
    let counters = cache.store.counters();
    println!(
        "{end:?}, {kept} kept, {ended} ended, {new} new: {hits} of {reads} found, {} evicted, {} \
         reclaimed, {} moved for each byte stored, at most {} bytes of work",
        counters.evictions - before,
        counters.reclaimed,
        counters.moved_bytes as f64 / counters.stored_bytes as f64,
        cache.work_bytes_max
    );
    assert!(cache.work_bytes_max <= WORK_BYTES_MAX, "{} bytes", cache.work_bytes_max);
    assert!(counters.moved_bytes <= counters.stored_bytes, "{counters:?}");
    (hits, reads, cache)
}

/// memcached finds all of them.
#[test]
fn what_has_ended_is_reclaimed_before_anything_live_is_evicted() {
    for end in [End::Expired, End::Flushed, End::Deleted] {
        // A flush also ends the items that were to be kept.
        for kept in [1, 3_750] {
            for read_every in [0, 100, 10] {
                let (hits, reads, cache) = recipe(end, kept, 55_000, 50_000, 12_500, read_every);
                assert!(f64::from(hits) >= 0.98 * f64::from(reads), "{hits} of {reads}");
                assert!(end == End::Deleted || cache.store.counters().reclaimed > 30_000);
                let (hits, reads, _) = recipe(end, kept, 50_000, 37_500, 0, read_every);
                assert!(f64::from(hits) >= 0.98 * f64::from(reads), "{hits} of {reads}");
            }
        }
    }
}

/// A stream of sessions with the same time to live, among items that stay. Seven tenths of the memory are
/// live.
#[test]
fn a_stream_of_sessions_is_found_as_long_as_they_live() {
    let mut cache = Cache::new(8 * MIB, true);
    for number in 0..1_200 {
        cache.set(&format!("k{number}"), VALUE_BYTES, NEVER, START_S);
    }
    // Records of 128 bytes and 8 of map: 5,500 a second, for 8 seconds.
    let (per_s, life_s) = (5_500, 8);
    let (mut hits, mut reads) = (0, 0);
    for second in 0..40 {
        let now_s = START_S + second;
        for number in 0..per_s {
            let key = format!("s{second}:{number}");
            cache.set(&key, VALUE_BYTES, now_s + life_s, now_s);
            if second >= 6 {
                reads += 1;
                hits += u32::from(cache.get(&format!("s{}:{number}", second - 6), now_s));
            }
        }
    }
    cache.store.verify();
    println!("{hits} of {reads} found, {:?}", cache.store.counters());
    assert!(f64::from(hits) >= 0.98 * f64::from(reads), "{hits} of {reads}");
    assert!(cache.work_bytes_max <= WORK_BYTES_MAX, "{} bytes", cache.work_bytes_max);
}

/// With one call of any kind a second.
#[test]
fn gauges_are_exact_within_seconds() {
    for flushed in [false, true] {
        let mut cache = Cache::new(64 * MIB, true);
        for number in 0..20_000 {
            let expires_at_s = if flushed { NEVER } else { START_S + 5 };
            cache.set(&format!("d{number}"), VALUE_BYTES, expires_at_s, START_S);
        }
        if flushed {
            cache.store.flush(START_S + 5, START_S + 5);
        }
        for number in 0..1_000 {
            cache.set(&format!("k{number}"), VALUE_BYTES, NEVER, START_S + 5);
        }
        let mut seconds = 0;
        while cache.store.len() > 1_000 {
            seconds += 1;
            assert!(seconds <= 8, "{} items after {seconds} s", cache.store.len());
            cache.get("nothing", START_S + 5 + seconds);
        }
        let record_bytes = cache.store.bytes() / 1_000;
        assert!((120..136).contains(&record_bytes), "{record_bytes}");
        cache.store.verify();
    }
}

/// A million items expire at once: with some calls a second all are found within a lap of a minute, and
/// no call but the first of a second looks at more than 512 records and the rest of a table.
#[test]
fn gauges_of_a_large_store_are_exact_within_a_minute() {
    const CALL_BYTES_MAX: u64 = 1_000 * 64;
    let mut cache = Cache::new(128 * MIB, true);
    let (ended, kept) = (1_000_000, 1_000);
    for number in 0..ended + kept {
        let expires_at_s = if number < ended { START_S + 5 } else { NEVER };
        cache.set(&number.to_string(), 1, expires_at_s, START_S);
    }
    let (mut seconds, mut step_bytes_max) = (0, 0);
    while cache.store.len() > kept {
        seconds += 1;
        assert!(seconds <= 70, "{} items after {seconds} s", cache.store.len());
        let now_s = START_S + 5 + seconds;
        cache.get("nothing", now_s);
        for _ in 0..50 {
            let before = cache.store.work_bytes();
            cache.store.tick(now_s);
            step_bytes_max = step_bytes_max.max(cache.store.work_bytes() - before);
        }
    }
    println!("{seconds} s, at most {step_bytes_max} bytes of work in a call");
    assert!(step_bytes_max > 0 && step_bytes_max <= CALL_BYTES_MAX, "{step_bytes_max} bytes");
    assert_eq!(cache.store.counters().evictions, 0);
    cache.store.verify();
}

#[test]
fn the_oldest_item_is_the_oldest_that_is_there() {
    let mut cache = Cache::new(MIB, true);
    assert_eq!(cache.store.oldest_idle_s(START_S), None);
    for number in 0..10 {
        cache.set(&format!("k{number}"), VALUE_BYTES, NEVER, START_S + number);
    }
    for number in 0..3 {
        assert!(cache.delete(&format!("k{number}"), START_S + 20));
    }
    assert_eq!(cache.store.oldest_idle_s(START_S + 20), Some(17));
}

/// Deleting large items costs no copies, and each store of a small item pays for a bounded number of them.
#[test]
fn compaction_is_paid_for_by_what_is_stored() {
    let mut cache = Cache::new(256 * MIB, true);
    for number in 0..480 {
        while cache.set(&format!("l{number}"), 500_000, NEVER, START_S) == Stored::NeedsStep {}
        assert!(cache.get(&format!("l{number}"), START_S));
    }
    for number in (0..480).step_by(2) {
        cache.delete(&format!("l{number}"), START_S);
    }
    let deleted = cache.store.counters().moved_bytes;
    assert_eq!(deleted, 0, "a deletion moves nothing");
    for number in 0..300_000 {
        assert_eq!(cache.set(&format!("s{number}"), VALUE_BYTES, NEVER, START_S), Stored::Kept);
    }
    assert!(cache.work_bytes_max <= STEP_BYTES_MAX, "{} bytes", cache.work_bytes_max);
    let counters = cache.store.counters();
    assert!(counters.moved_bytes <= 12 * counters.stored_bytes, "{counters:?}");
    cache.store.verify();
}

/// No step copies a record above a MiB, read or not.
#[test]
fn no_step_is_longer_because_a_record_is_large() {
    let mut cache = Cache::new(256 * MIB, true);
    for number in 0..60 {
        let key = format!("l{number}");
        let (stored, _) = set_in_steps(&mut cache, &key, 20_000_000);
        assert_eq!(stored, Stored::Kept);
        assert!(cache.get(&key, START_S) && cache.get(&key, START_S));
        assert!(cache.work_bytes_max <= STEP_BYTES_MAX, "{} bytes", cache.work_bytes_max);
    }
    cache.store.verify();
}

/// Repeats a store until it is refused for want of room. Returns the number of steps.
fn set_in_steps(cache: &mut Cache, key: &str, bytes: usize) -> (Stored, u32) {
    for steps in 0..10_000 {
        let stored = cache.set(key, bytes, NEVER, START_S);
        if stored != Stored::NeedsStep {
            return (stored, steps);
        }
    }
    panic!("no end of steps");
}

#[test]
fn without_eviction_each_step_is_bounded_and_equal_room_is_found_again() {
    for (memory_mib, bytes) in [(64, 1_000_000), (64, 20_000_000), (8, 100), (8, 5_000)] {
        let mut cache = Cache::new(memory_mib * MIB, false);
        let mut kept = 0;
        while set_in_steps(&mut cache, &format!("k{kept}"), bytes).0 == Stored::Kept {
            kept += 1;
        }
        assert!(kept >= 2, "{kept} of {bytes} bytes");
        // A small item fits into the rest, or into the place of the item that it replaces.
        let middle = kept / 2;
        assert!(cache.delete(&format!("k{middle}"), START_S));
        for _ in 0..600 {
            cache.delete("t", START_S);
            assert_eq!(set_in_steps(&mut cache, "t", 1).0, Stored::Kept);
        }
        cache.delete("t", START_S);
        let mut refused = 0;
        for round in 0..100 {
            let (old, new) = (format!("k{}", round % kept), format!("n{round}"));
            let old = if cache.delete(&old, START_S) { old } else { format!("n{}", round - kept) };
            cache.delete(&old, START_S);
            refused += u32::from(set_in_steps(&mut cache, &new, bytes).0 != Stored::Kept);
        }
        cache.store.verify();
        println!("{bytes} bytes: {kept} kept, {refused} refused, {} of work", cache.work_bytes_max);
        assert_eq!(refused, 0, "{bytes} bytes");
        assert!(cache.work_bytes_max <= STEP_BYTES_MAX, "{} bytes", cache.work_bytes_max);
        // Once a search has found no room, further stores are refused without one.
        let mut more = 0;
        while set_in_steps(&mut cache, &format!("m{more}"), bytes).0 == Stored::Kept {
            more += 1;
            assert!(more < 1_000, "it is full");
        }
        assert_eq!(set_in_steps(&mut cache, "more", bytes), (Stored::NoRoom, 0));
    }
}

#[test]
fn without_eviction_expired_memory_is_given_to_new_items() {
    let mut cache = Cache::new(8 * MIB, false);
    let mut kept = 0;
    while cache.set(&format!("d{kept}"), VALUE_BYTES, START_S + 2, START_S) == Stored::Kept {
        kept += 1;
    }
    for number in 0..kept * 9 / 10 {
        let mut steps = 0;
        while cache.set(&format!("s{number}"), VALUE_BYTES, NEVER, START_S + 6) != Stored::Kept {
            steps += 1;
            assert!(steps < 20, "{number} of {kept}");
        }
    }
    assert!(cache.work_bytes_max <= STEP_BYTES_MAX, "{} bytes", cache.work_bytes_max);
    cache.store.verify();
}

/// As in memcached, an absolute time in the past, or now, flushes all items, whenever they were stored. A
/// time before the server's start flushes nothing.
#[test]
fn a_flush_at_a_time_in_the_past_flushes_everything() {
    const UNIX_S: i64 = 1_700_000_000;
    let up_s = |seconds: u32| Now {
        uptime_s: Now::FIRST_S + seconds,
        unix_s: UNIX_S + i64::from(seconds),
    };
    for (seconds_before, flushes) in [(5, true), (1, true), (0, true), (8, false), (90_000, false)]
    {
        let config = Config::default();
        let mut engine = Engine::new(&config).unwrap();
        let mut session = Session::new(&config);
        let mut talk = |input: String, now: Now| {
            let (mut output, mut room) = (Vec::new(), OutputLimit::UNBOUNDED);
            session.advance(input.as_bytes(), &mut output, &mut room, &mut engine, now.into());
            String::from_utf8(output).unwrap()
        };
        assert_eq!(talk("set old 0 0 1\r\nx\r\n".into(), up_s(5)), "STORED\r\n");
        assert_eq!(talk("set new 0 0 1\r\nx\r\n".into(), up_s(7)), "STORED\r\n");
        let at_s = up_s(7).unix_s - seconds_before;
        assert_eq!(talk(format!("flush_all {at_s}\r\n"), up_s(7)), "OK\r\n");
        let left = talk("get old new\r\n".into(), up_s(7));
        assert_eq!(left == "END\r\n", flushes, "{seconds_before} s before: {left}");
    }
}

/// Every command that stores waits while room is made in steps, instead of failing.
#[test]
fn without_eviction_every_command_waits_for_room() {
    let config = Config { evicts: false, memory_bytes_max: 8 * MIB, ..Config::default() };
    let mut engine = Engine::new(&config).unwrap();
    let mut session = Session::new(&config);
    let mut talk = |input: &str, uptime_s: u32| {
        let (mut output, mut room, mut spent) = (Vec::new(), OutputLimit::UNBOUNDED, 0);
        for _ in 0..100_000 {
            let now = Now { uptime_s, unix_s: 0 };
            let unread = &input.as_bytes()[spent..];
            let (used, stop) =
                session.advance(unread, &mut output, &mut room, &mut engine, now.into());
            spent += used;
            if stop == Stop::NeedsInput {
                return String::from_utf8(output).unwrap();
            }
        }
        panic!("no end of {input}");
    };
    assert_eq!(talk("set n 0 0 1\r\n9\r\nms m 1 c\r\n9\r\n", START_S), "STORED\r\nHD c3\r\n");
    let value = "v".repeat(VALUE_BYTES);
    let set = |number| format!("set d{number} 0 2 {VALUE_BYTES}\r\n{value}\r\n");
    let mut number = 0;
    while talk(&set(number), START_S) == "STORED\r\n" {
        number += 1;
    }
    while talk(&format!("set e{number} 0 2 0\r\n\r\n"), START_S) == "STORED\r\n" {
        number += 1;
    }
    for (request, answer) in [
        ("incr n 1\r\n", "10\r\n"),
        ("ma m D91 v\r\n", "VA 3\r\n100\r\n"),
        ("ma new N0 J5 v\r\n", "VA 1\r\n5\r\n"),
        ("mg vivified N30 v\r\n", "VA 0 W\r\n\r\n"),
        ("md n I E18446744073709551615\r\n", "HD\r\n"),
        ("append m 0 0 3\r\n123\r\n", "STORED\r\n"),
        ("mg n c v\r\n", "VA 2 c18446744073709551615 X W\r\n10\r\n"),
    ] {
        assert_eq!(talk(request, START_S + 6), answer, "{request}");
    }
    engine.verify();
}
