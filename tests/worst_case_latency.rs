//! The longest single operation while a store fills up: what it does, counted, and how long it takes.
//!
//! On a shared machine interrupts and the host are charged to the running process: the same store takes
//! a microsecond or, once in millions, three milliseconds. But they do not hit the same operation each
//! time. So the same fill runs several times, the shortest time of each operation is kept, and the
//! longest of these is the store's own.
//!
//! `cargo test --release --test all -- --ignored --nocapture worst_case`

use std::io::Write as _;
use std::time::Duration;

use miocached::config::{Config, MIB};
use miocached::engine::{Engine, Now};
use miocached::net::INPUT_BYTES;
use miocached::protocol::OutputLimit;
use miocached::session::{Session, Stop};
use miocached::store::{Attributes, LARGE_BYTES, REHASHED_MAX, Store, Stored};
use nix::time::{ClockId, clock_gettime};

const NOW_S: u32 = 10;
const ITEMS: usize = 8_000_000;
const FILLS: usize = 3;
/// The longest time that is promised.
const TIME_MAX: Duration = Duration::from_millis(1);
/// After so many stores all recent items are read, so that many are reinserted at once. One store may
/// copy [`LARGE_BYTES`] of the saved reinsertion budget, and half of its last record above that.
const STORES_BETWEEN_READS: usize = 1_000_000;
const READ_ITEMS: usize = 700_000;
const RECORD_BYTES: u64 = 80;

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// The longest time of all fills, and the longest of the shortest times of each operation.
#[derive(Default)]
struct Longest {
    least: Vec<Duration>,
    ever: Duration,
}

impl Longest {
    fn note(&mut self, at: usize, time: Duration) {
        self.ever = self.ever.max(time);
        match self.least.get_mut(at) {
            Some(least) => *least = time.min(*least),
            None => self.least.push(time),
        }
    }

    fn report(&self, what: &str) -> Duration {
        let longest = *self.least.iter().max().unwrap();
        println!(
            "{what}: {longest:?} is the longest in each of {FILLS} fills, {:?} in any",
            self.ever
        );
        longest
    }
}

fn key(at: usize) -> Vec<u8> {
    format!("key:{at:020}").into_bytes()
}

/// Stores new items, and returns the most bytes that one store moved.
fn fill(store: &mut Store, longest: &mut Longest) -> u64 {
    let mut moved_bytes_max = 0;
    for at in 0..ITEMS {
        let key_of_it = key(at);
        let meta = Attributes { cas: 1, ..Attributes::default() };
        let moved_bytes = store.counters().moved_bytes;
        let begun = cpu_time();
        let stored = store.set(store.hashed_key(&key_of_it), &[7; 32], &meta, NOW_S);
        longest.note(at, cpu_time() - begun);
        assert_eq!(stored, Stored::Kept);
        moved_bytes_max = moved_bytes_max.max(store.counters().moved_bytes - moved_bytes);
        if at % STORES_BETWEEN_READS == STORES_BETWEEN_READS - 1 {
            for recent in at - READ_ITEMS..at {
                store.get(store.hashed_key(&key(recent)), NOW_S);
            }
        }
    }
    moved_bytes_max
}

/// Counts, which hold on any machine, and the time.
#[test]
#[ignore = "wants 1 GiB and minutes, and a release build"]
fn no_store_of_eight_million_takes_a_millisecond() {
    for memory_mib in [64, 1024] {
        let mut longest = Longest::default();
        for _ in 0..FILLS {
            let mut store = Store::new(memory_mib * MIB, true).unwrap();
            let moved_bytes = fill(&mut store, &mut longest);
            let rehashed = store.counters().rehashed_at_once_max;
            println!("-m {memory_mib}: at most {rehashed} re-hashed, {moved_bytes} bytes moved");
            assert!(rehashed <= REHASHED_MAX);
            assert!(moved_bytes < LARGE_BYTES + RECORD_BYTES);
        }
        let time = longest.report(&format!("-m {memory_mib}, a store"));
        assert!(time < TIME_MAX, "{time:?}");
    }
}

/// A turn of one connection executes at most one read buffer of stores.
#[test]
#[ignore = "wants 1 GiB and minutes, and a release build"]
fn the_longest_turn_of_stores() {
    let mut longest = Longest::default();
    let config = Config { memory_bytes_max: 1024 * MIB, ..Config::default() };
    for _ in 0..FILLS {
        let mut engine = Engine::new(&config).unwrap();
        let mut session = Session::new(&config);
        let (mut input, mut output) = (Vec::new(), Vec::new());
        let (mut number, mut turn) = (0, 0);
        while number < ITEMS {
            input.clear();
            while input.len() < INPUT_BYTES - 100 {
                write!(input, "set key:{number:020} 0 0 32 noreply\r\n{number:032}\r\n").unwrap();
                number += 1;
            }
            let now = Now { uptime_s: NOW_S, unix_s: 0 };
            let mut room = OutputLimit::UNBOUNDED;
            let begun = cpu_time();
            let (used, stop) =
                session.advance(&input, &mut output, &mut room, &mut engine, now.into());
            longest.note(turn, cpu_time() - begun);
            assert_eq!((used, stop), (input.len(), Stop::NeedsInput));
            turn += 1;
        }
    }
    longest.report("a turn of some 180 stores");
}
