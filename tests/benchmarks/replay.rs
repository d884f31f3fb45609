//! Parts of `replay` and `footprint` whose errors would go unnoticed: streams, the model of LRU, the order
//! of a batch, the parsers of traces and answers, and when a store counts as full.
//!
//! A bench without a harness runs no tests of its own, so they are here.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::footprint::cases::Treatment;
use crate::replay::caches::{Cache, Memory};
use crate::replay::drive::Tally;
use crate::replay::model::{Design, Lru, Model, Size, Work};
use crate::replay::report::{Finding, Row};
use crate::replay::requests::{Lifetimes, Pattern, Recipe, Request, Sizes};
use crate::replay::trace::Trace;
use crate::replay::workloads::{Source, Workload};
use crate::rig::items::{in_lap, push_key};
use crate::rig::pipeline::{Outcome, Pipeline};
use crate::rig::random::Random;
use crate::rig::server::Endpoint;
use crate::rig::stop::Stop;

const MIB: u64 = 1 << 20;

fn recipe(pattern: Pattern) -> Recipe {
    Recipe {
        keys: 10_000,
        pattern,
        sizes: Sizes::LogNormal,
        lifetimes: Lifetimes::ForEver,
        writes_percent: 0,
    }
}

#[test]
fn keys_are_as_long_as_asked_for_and_never_the_same() {
    let key = |number: u64, bytes: usize| {
        let mut key = Vec::new();
        push_key(number, bytes, &mut key);
        key
    };
    for bytes in [16, 24, 36, 40] {
        let keys: HashSet<Vec<u8>> = (0..1000).map(|number| key(number, bytes)).collect();
        assert!(keys.len() == 1000 && keys.iter().all(|key| key.len() == bytes));
    }
}

#[test]
fn a_lap_has_every_number_once_in_an_order_of_its_own() {
    let orders: Vec<Vec<u64>> =
        (0..4).map(|lap| (0..700_000).map(|at| in_lap(lap, at, 700_000)).collect()).collect();
    for order in &orders {
        assert_eq!(order.iter().collect::<HashSet<_>>().len(), 700_000);
        assert_eq!(orders.iter().filter(|other| *other == order).count(), 1);
    }
}

#[test]
fn a_seed_gives_one_stream_and_another_seed_another() {
    let stream = |seed| recipe(Pattern::Zipf { exponent: 1.0 }).stream(seed).take(1000);
    assert!(stream(1).eq(stream(1)));
    assert!(!stream(1).eq(stream(2)));
}

#[test]
fn sizes_have_the_published_median_and_the_tail() {
    let mut random = Random::seeded(1);
    let mut sizes: Vec<u32> =
        (0..100_000).map(|key| Sizes::LogNormal.draw(key, &mut random)).collect();
    assert_eq!(sizes[7], Sizes::LogNormal.draw(7, &mut random), "a key's size stays");
    sizes.sort_unstable();
    assert!((218..230).contains(&sizes[50_000]), "median {}", sizes[50_000]);
    assert_eq!(*sizes.last().unwrap(), 5120);
    let mean = sizes.iter().map(|&size| f64::from(size)).sum::<f64>() / 1e5;
    assert!((Sizes::LogNormal.mean() / mean - 1.0).abs() < 0.03);
    let varying = Sizes::Varying { min: 16, max: 1000 };
    assert!((0..10_000).all(|key| (16..=1000).contains(&varying.draw(key, &mut random))));
}

#[test]
fn patterns_are_what_they_are_called() {
    let count = 100_000;
    let keys = |pattern| -> Vec<u64> {
        recipe(pattern).stream(3).take(count).map(|request| request.key).collect()
    };
    let aside = |keys: &[u64]| keys.iter().filter(|key| **key >= 10_000).count() as f64 / 1e5;

    let wonders = keys(Pattern::Wonders { exponent: 1.0, percent: 20 });
    assert!((aside(&wonders) - 0.2).abs() < 0.01);
    let once: Vec<&u64> = wonders.iter().filter(|key| **key >= 10_000).collect();
    assert_eq!(once.iter().collect::<HashSet<_>>().len(), once.len());

    let scans = keys(Pattern::Scans { exponent: 1.0, percent: 30 });
    assert!((aside(&scans) - 0.3).abs() < 0.01);
    let scanned: HashSet<&u64> = scans.iter().filter(|key| **key >= 10_000).collect();
    assert_eq!(scanned.len(), 10_000);

    let looped = keys(Pattern::Loop);
    assert_eq!(looped[..10_000].iter().collect::<HashSet<_>>().len(), 10_000);
    assert_eq!(looped[..10_000], looped[10_000..20_000]);
}

#[test]
fn writes_and_lives_come_in_their_shares() {
    let mixed = Recipe {
        writes_percent: 13,
        lifetimes: Lifetimes::Thirds([5, 240, 1440]),
        ..recipe(Pattern::Loop)
    };
    let requests: Vec<Request> = mixed.stream(1).take(30_000).collect();
    let share = |count: usize| count as f64 / 30_000.0;
    assert!((share(requests.iter().filter(|request| request.write).count()) - 0.13).abs() < 0.01);
    for ttl_s in [5, 240, 1440] {
        let of = requests.iter().filter(|request| request.ttl_s == ttl_s).count();
        assert!((share(of) - 1.0 / 3.0).abs() < 0.02, "{ttl_s} s");
    }
}

#[test]
fn a_record_is_header_key_and_value_in_words() {
    let bytes = |key_bytes, value_bytes| Size { key_bytes, value_bytes }.record_bytes();
    assert_eq!((bytes(24, 32), bytes(36, 224), bytes(1, 0)), (80, 288, 32));
}

fn workload(recipe: Recipe) -> Workload {
    Workload {
        name: "test",
        what: String::new(),
        fits: false,
        quick: false,
        source: Source::Made(recipe),
        warm: 10_000,
        counted: 50_000,
        rate_per_s: None,
        pause_s: 0,
    }
}

/// Misses of a client that waits for every answer.
fn strict(workload: &Workload, mut model: impl Model, seed: u64) -> u64 {
    let Source::Made(recipe) = workload.source else { panic!("made") };
    let mut random = Random::seeded(seed);
    let size = |value_bytes| Size { key_bytes: 36, value_bytes };
    for at in 0..recipe.keys {
        let load = recipe.load(in_lap(1, at, recipe.keys), &mut random);
        model.set(load.key, size(load.value_bytes), None, 1);
    }
    let mut misses = 0;
    let all = 0..workload.warm + workload.counted;
    for (at, request) in all.zip(workload.requests(seed)) {
        let Request { key, value_bytes, write, .. } = request;
        let missed = !write && !model.get(key, 1);
        misses += u64::from(missed && at >= workload.warm);
        if write || missed {
            model.set(key, size(value_bytes), None, 1);
        }
    }
    misses
}

#[test]
fn batches_miss_as_often_as_a_strict_client() {
    let stop = Stop::default();
    for (pattern, writes_percent) in [
        (Pattern::Zipf { exponent: 1.2 }, 13),
        (Pattern::Zipf { exponent: 0.9 }, 0),
        (Pattern::Wonders { exponent: 1.0, percent: 20 }, 0),
        (Pattern::Loop, 0),
    ] {
        let workload = workload(Recipe { writes_percent, ..recipe(pattern) });
        let mut cache = Cache::Model(Design::Lru.build(MIB));
        let tally = crate::replay::drive::replay(&workload, &mut cache, 9, &stop).unwrap();
        let misses = strict(&workload, Lru::new(MIB), 9);
        let ratio = tally.misses as f64 / misses as f64;
        assert!((ratio - 1.0).abs() < 0.005, "{pattern:?}: {tally:?} but strictly {misses}");
        assert_eq!((tally.requests, tally.refused), (50_000, 0));
    }
}

#[test]
fn a_key_that_comes_twice_in_a_batch_is_missed_once() {
    let trace = "a 10\nb 20\na 10\na 10\nb 20\n\n# over\nc 30\n";
    let workload = Workload::trace(Trace::parse(trace.as_bytes()).unwrap(), MIB);
    assert!(workload.fits);
    let mut cache = Cache::Model(Design::Lru.build(MIB));
    let tally = crate::replay::drive::replay(&workload, &mut cache, 1, &Stop::default()).unwrap();
    assert_eq!((tally.requests, tally.reads, tally.misses), (6, 6, 3));
    assert_eq!(
        cache.memory().unwrap(),
        Memory::Records { bytes: 40 + 48 + 56, work: Work::default() }
    );
}

#[test]
fn what_fits_is_never_missed_and_what_does_not_is() {
    let stop = Stop::default();
    let memory_bytes = 2 * MIB;
    let workloads = crate::replay::workloads::all(memory_bytes, true);
    let names: HashSet<&str> = workloads.iter().map(|workload| workload.name).collect();
    assert_eq!(names.len(), workloads.len());
    for workload in workloads.iter().filter(|workload| workload.refills()) {
        let mut cache = Cache::Model(Design::Lru.build(memory_bytes));
        let tally = crate::replay::drive::replay(workload, &mut cache, 1, &stop).unwrap();
        assert_eq!(tally.misses == 0, workload.fits, "{}: {tally:?}", workload.name);
    }
}

#[test]
fn traces_are_read_or_refused_with_the_line() {
    let trace = Trace::parse(&b"user:1 100\nuser:2\t200\n  user:1   300 \n"[..]).unwrap();
    assert_eq!((trace.len(), trace.keys(), trace.bytes()), (3, 2, 6 + 6 + 300 + 200));
    assert_eq!((trace.key(1), trace.value_bytes_max()), (&b"user:2"[..], 300));
    let long = format!("{} 1", "k".repeat(251));
    for bad in ["", "#\n", "a", "a 1 2", "a x", "a -1", "a 99999999999", "a\u{1} 1", &long] {
        assert!(Trace::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    let failure = Trace::parse(&b"a 1\nb\n"[..]).unwrap_err();
    assert!(failure.0.starts_with("line 2: "), "{failure}");
}

fn row(name: &str, misses: u64, resident_mib: u64) -> Row {
    let tally = Tally { requests: 1000, reads: 1000, misses, ..Tally::default() };
    let memory = Memory::Resident { bytes: resident_mib * MIB, fresh_bytes: 2 * MIB };
    Row { name: name.to_string(), tallies: vec![tally], memories: vec![memory] }
}

#[test]
fn the_summary_takes_what_does_not_fit_and_names_who_takes_too_much() {
    let finding = |workload, fits, misses, resident_mib| Finding {
        workload,
        fits,
        rows: vec![row("memcached", 100, 72), row("miocached", misses, resident_mib)],
    };
    let mut findings =
        vec![finding("a", false, 80, 75), finding("b", false, 90, 75), finding("c", false, 95, 75)];
    findings.push(finding("d", true, 400, 75));
    let summary = crate::replay::report::summary(&findings, 64 * MIB);
    assert!(summary.contains("misses 0.900 of memcached's, the median over 3"), "{summary}");
    assert!(summary.contains("the highest is 0.950 (c)"), "{summary}");
    assert!(!summary.contains("NOT COMPARABLE"), "{summary}");
    findings.push(finding("e", false, 1, 300));
    let summary = crate::replay::report::summary(&findings, 64 * MIB);
    assert!(summary.contains("NOT COMPARABLE: miocached took more"), "{summary}");
}

#[test]
fn what_is_called_full_is_full_and_replaced_three_times() {
    for case in crate::footprint::cases::all(&[700, 700_000, 1_000_000, 1_300_000]) {
        let (items, bytes) = (u64::from(case.items), case.shape.bytes());
        match case.treatment {
            // Rounding down to MiB matters to the small case only, which is there for the laps.
            Treatment::Filled => {
                assert!(items < 1000 || case.memory_mib() * MIB > items * (bytes * 5 / 4 + 80));
            }
            Treatment::Replaced => {
                assert!(case.memory_mib() * MIB < items * (bytes + 24));
                assert_eq!(case.stores(), 4 * case.items);
            }
        }
        if case.items < 10_000 {
            let mut stores = vec![0; case.items as usize];
            (0..case.stores())
                .for_each(|at| stores[usize::try_from(case.stored(at)).unwrap()] += 1);
            assert!(stores.iter().all(|&times| times == case.stores() / case.items));
        }
    }
}

/// What comes of four requests when a server answers with `answers`.
fn outcomes(answers: &'static [u8]) -> Result<Vec<Outcome>, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The last request is a get of this key, so everything has come.
        let mut seen = Vec::new();
        while !seen.ends_with(b"get d\r\n") {
            let mut bytes = [0; 256];
            let count = stream.read(&mut bytes).unwrap();
            seen.extend_from_slice(&bytes[..count]);
        }
        stream.write_all(answers).unwrap();
        seen
    });
    let mut pipeline = Pipeline::connect(&endpoint, 10).unwrap();
    pipeline.get(|output| output.push(b'a'));
    pipeline.set(|output| output.push(b'b'), 3, 60);
    pipeline.set(|output| output.push(b'c'), 0, 0);
    pipeline.get(|output| output.push(b'd'));
    let mut outcomes = Vec::new();
    let result = pipeline.run(|outcome| outcomes.push(outcome));
    let expected = b"get a\r\nset b 0 60 3\r\nvvv\r\nset c 0 0 0\r\n\r\nget d\r\n";
    assert_eq!(server.join().unwrap(), expected);
    result.map(|()| outcomes).map_err(|failure| failure.0)
}

#[test]
fn answers_are_told_apart_and_wrong_ones_are_errors() {
    let good = b"VALUE a 0 5\r\nEND\r\n\r\nEND\r\nSTORED\r\nSERVER_ERROR out of memory\r\nEND\r\n";
    let expected = [Outcome::Hit, Outcome::Stored, Outcome::Refused, Outcome::Miss];
    assert_eq!(outcomes(good).unwrap(), expected);
    for bad in [
        &b"VALUE b 0 1\r\nx\r\nEND\r\nSTORED\r\nSTORED\r\nEND\r\n"[..],
        b"END\r\nERROR\r\nSTORED\r\nEND\r\n",
        b"END\r\nSTORED\r\nSTORED\r\n",
        b"VALUE a 0 2\r\nx\r\nEND\r\n",
    ] {
        assert!(outcomes(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}
