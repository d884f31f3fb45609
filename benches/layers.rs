//! `cargo bench --bench layers`: the layers below the network, one function at a time.
//!
//! Finds a regression without a socket, a second process or memcached: criterion says by how much
//! each figure has changed since the last run. Absolute figures here are no promise, for everything
//! is warm; `versus` measures a server. Owns no server and asks no clock for the layers.
//!
//! `-- FILTER` runs what has that in its name, `-- --quick` stops early.

#![allow(missing_docs, reason = "criterion's macros make a public function without one")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

use miocached::config::{Config, DialectMode};
use miocached::engine::{Engine, Now};
use miocached::protocol::{
    Dialect, Framer, Grammar, OutputLimit, Parsed, Reply, ReplyMode, ReplyWriter, State,
};
use miocached::session::Session;
use miocached::store::{Attributes, Store};

#[path = "rig/items.rs"]
mod items;
#[path = "rig/random.rs"]
#[allow(dead_code, reason = "only the mixing of keys is needed here")]
mod random;

use items::{Answered, in_lap, push_key, push_set};

const KEY_BYTES: usize = 36;
const VALUE_BYTES: usize = 224;
/// Items in a store or an engine that is asked: beyond the CPU's second-level cache, as in a server.
const ITEMS: u32 = 100_000;
/// Requests of a pipelined buffer, as in the table that decides.
const PIPELINED: u32 = 50;
const NOW: Now = Now { uptime_s: 1000, unix_s: 1_700_000_000 };

/// About a minute for all: enough to see 5 %.
fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
}

fn key(number: u64) -> Vec<u8> {
    let mut key = Vec::new();
    push_key(number, KEY_BYTES, &mut key);
    key
}

fn value() -> Vec<u8> {
    vec![b'v'; VALUE_BYTES]
}

/// The end of every line in a dialect.
fn line_end(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Simple => "\n",
        Dialect::Classic => "\r\n",
    }
}

/// One `get` of these items.
fn get(dialect: Dialect, numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut request = b"get".to_vec();
    for number in numbers {
        request.push(b' ');
        push_plain_key(number, &mut request);
    }
    request.extend_from_slice(line_end(dialect).as_bytes());
    request
}

/// One `set` of an item.
fn set(dialect: Dialect, number: u64) -> Vec<u8> {
    let mut request = Vec::new();
    match dialect {
        Dialect::Classic => {
            let push = |output: &mut Vec<u8>| push_plain_key(number, output);
            push_set(push, 0, &value(), Answered::Yes, &mut request);
        }
        Dialect::Simple => {
            request.extend_from_slice(b"set ");
            push_plain_key(number, &mut request);
            request.extend_from_slice(format!(" {VALUE_BYTES}\n").as_bytes());
            request.extend_from_slice(&value());
            request.push(b'\n');
        }
    }
    request
}

/// A key that both dialects take: the simple one knows no colon.
fn push_plain_key(number: u64, output: &mut Vec<u8>) {
    output.extend(key(number).iter().map(|&byte| if byte == b':' { b'-' } else { byte }));
}

/// Parses whole requests until none is left; returns how many there were.
fn parse_all(framer: &Framer, mut unread: &[u8]) -> u32 {
    let (mut requests, mut state) = (0, State::START);
    while !unread.is_empty() {
        let step = framer.parse(&state, unread);
        if !matches!(step.parsed, Parsed::Command { .. }) {
            break;
        }
        black_box(&step.parsed);
        (unread, state) = (&unread[step.used..], step.next);
        requests += 1;
    }
    requests
}

fn parser(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parser");
    let pipelined: Vec<u8> =
        (0..u64::from(PIPELINED)).flat_map(|n| get(Dialect::Classic, n..=n)).collect();
    let inputs = [
        ("simple get", get(Dialect::Simple, 0..1), 1),
        ("classic get", get(Dialect::Classic, 0..1), 1),
        ("simple set", set(Dialect::Simple, 0), 1),
        ("classic set", set(Dialect::Classic, 0), 1),
        ("get of 50 keys", get(Dialect::Classic, 0..50), 1),
        ("50 pipelined gets", pipelined, PIPELINED),
    ];
    for (name, input, requests) in inputs {
        let grammar = Grammar::Commands(DialectMode::Auto);
        let framer = Framer { grammar, item_bytes_max: Config::default().item_bytes_max };
        assert_eq!(parse_all(&framer, &input), requests, "{name} is parsed");
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| parse_all(&framer, black_box(&input)));
        });
    }
}

fn reply_writer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply");
    let (key, value) = (key(0), value());
    let mut output = Vec::with_capacity(2 * (KEY_BYTES + VALUE_BYTES));
    let mut limit = OutputLimit::UNBOUNDED;
    let mut bench = |name: &str, write: &dyn Fn(&mut ReplyWriter<'_>)| {
        let mut run = || {
            output.clear();
            write(&mut ReplyWriter::new(&mut output, &mut limit, ReplyMode::CLASSIC));
            black_box(output.len())
        };
        group.throughput(Throughput::Bytes(run() as u64));
        group.bench_function(name, |bencher| bencher.iter(&mut run));
    };
    bench("STORED", &|reply| reply.line(Reply::Stored));
    bench("a hit of 224 bytes", &|reply| {
        // There is always room here.
        let _ = reply.value(black_box(&key), 0, black_box(&value), None);
        reply.end();
    });
    bench("a hit with its cas", &|reply| {
        let _ = reply.value(black_box(&key), 0, black_box(&value), Some(1 << 40));
        reply.end();
    });
}

fn meta(cas: u64) -> Attributes {
    Attributes { cas, ..Attributes::default() }
}

/// A store with all items, and their keys in an order that no cache of the CPU's can guess.
fn filled_store() -> (Store, Vec<Vec<u8>>) {
    let keys: Vec<Vec<u8>> = (0..ITEMS).map(|at| key(in_lap(2, at, ITEMS))).collect();
    let config = Config::default();
    let mut store = Store::new(config.memory_bytes_max, config.evicts).expect("there is memory");
    for number in 0..ITEMS {
        store.set(store.hashed_key(&key(u64::from(number))), &value(), &meta(1), NOW.uptime_s);
    }
    (store, keys)
}

fn store(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1));
    let (mut store, keys) = filled_store();
    let missing: Vec<Vec<u8>> = (0..ITEMS).map(|at| key(u64::from(ITEMS + at))).collect();
    let value = value();
    for (name, keys, found) in [("get hit", &keys, true), ("get miss", &missing, false)] {
        let mut next = keys.iter().cycle();
        assert_eq!(
            store.get(store.hashed_key(&keys[0]), NOW.uptime_s).is_some(),
            found,
            "{name} is what it says"
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let key = next.next().map_or(&[][..], |key| key);
                store
                    .get(store.hashed_key(black_box(key)), NOW.uptime_s)
                    .map(|item| item.value.len())
            });
        });
    }
    let mut next = keys.iter().cycle();
    group.bench_function("set overwrite", |bencher| {
        bencher.iter(|| {
            let key = next.next().map_or(&[][..], |key| key);
            store.set(store.hashed_key(black_box(key)), black_box(&value), &meta(2), NOW.uptime_s);
        });
    });
    bench_new_items(&mut group, &mut store, &missing, &value);
}

/// New items are timed by the thousand, and forgotten again while no time is taken: the store stays
/// as large as it is, however long this runs.
fn bench_new_items(
    group: &mut BenchmarkGroup<'_, WallTime>,
    store: &mut Store,
    missing: &[Vec<u8>],
    value: &[u8],
) {
    let mut batches = missing.chunks_exact(1000).cycle();
    group.bench_function("set new", |bencher| {
        bencher.iter_custom(|times| {
            let mut taken = Duration::ZERO;
            let mut left = usize::try_from(times).unwrap_or(usize::MAX);
            while left > 0 {
                let batch = batches.next().unwrap_or_default();
                let batch = &batch[..left.min(batch.len())];
                let started = Instant::now();
                for key in batch {
                    store.set(
                        store.hashed_key(black_box(key)),
                        black_box(value),
                        &meta(3),
                        NOW.uptime_s,
                    );
                }
                taken += started.elapsed();
                for key in batch {
                    store.delete(store.hashed_key(key), NOW.uptime_s);
                }
                left -= batch.len();
            }
            taken
        });
    });
}

fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(u64::from(PIPELINED)));
    let config = Config::default();
    for dialect in [Dialect::Simple, Dialect::Classic] {
        let mut engine = Engine::new(&config).expect("there is memory");
        let mut session = Session::new(&config);
        let mut output = Vec::new();
        let mut advance = |input: &[u8]| {
            output.clear();
            let mut limit = OutputLimit::UNBOUNDED;
            let (used, stop) =
                session.advance(input, &mut output, &mut limit, &mut engine, black_box(NOW).into());
            black_box(stop);
            assert_eq!(used, input.len(), "everything is answered");
            output.len()
        };
        // In another order than loaded, so that no cache of the CPU's guesses what comes.
        let numbers: Vec<u64> = (0..ITEMS).map(|at| in_lap(2, at, ITEMS)).collect();
        let batches = || numbers.chunks_exact(PIPELINED as usize);
        let pipelined = |request: fn(Dialect, u64) -> Vec<u8>| -> Vec<Vec<u8>> {
            batches()
                .map(|batch| batch.iter().flat_map(|&n| request(dialect, n)).collect())
                .collect()
        };
        let gets = pipelined(|dialect, n| get(dialect, n..=n));
        let sets = pipelined(set);
        let multigets = batches().map(|batch| get(dialect, batch.iter().copied())).collect();
        (0..ITEMS).map(|n| set(dialect, u64::from(n))).for_each(|request| {
            advance(&request);
        });
        assert!(advance(&gets[0]) > PIPELINED as usize * VALUE_BYTES, "gets are hits");
        for (what, inputs) in [
            ("50 pipelined gets", gets),
            ("a get of 50 keys", multigets),
            ("50 pipelined sets", sets),
        ] {
            let mut next = inputs.iter().cycle();
            group.bench_function(format!("{dialect:?}: {what}").to_lowercase(), |bencher| {
                bencher.iter(|| advance(next.next().map_or(&[][..], |input| input)));
            });
        }
    }
}

criterion_group! {
    name = layers;
    config = short();
    targets = parser, reply_writer, store, session
}
criterion_main!(layers);
