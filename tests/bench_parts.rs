//! The parts of the benches that can be wrong without anybody noticing: statistics, random laws,
//! the reading of `/proc`, and the checker of answers, which must find what it is there to find.
//!
//! A bench without a harness runs no tests of its own, so they are here.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../benches/rig/mod.rs"]
#[allow(dead_code, reason = "tests look at parts only")]
mod rig;

#[path = "../benches/versus/keyspace.rs"]
#[allow(dead_code, reason = "tests look at parts only")]
mod keyspace;

#[path = "../benches/versus/ring.rs"]
#[allow(dead_code, reason = "tests look at parts only")]
mod ring;

#[path = "../benches/versus/answers.rs"]
#[allow(dead_code, reason = "tests look at parts only")]
mod answers;

use std::collections::HashSet;

use answers::{Answers, Asked, Contents, Pending, Tally};
use keyspace::{Dialect, Keyspace, SMALL_PREFIX, Wire, digits};
use rig::machine::cpuinfo_field;
use rig::process::{CpuClock, kib_of, resident_bytes};
use rig::random::{Random, Zipf, index_ring};
use rig::statistics::{Estimate, interval_rank};
use ring::{Popularity, Ring};

#[test]
fn interval_ranks_are_those_of_the_binomial_tables() {
    for (count, rank) in [(1, 1), (5, 1), (6, 1), (9, 2), (15, 4), (20, 6), (30, 10), (100, 40)] {
        assert_eq!(interval_rank(count), rank, "of {count} samples");
    }
}

#[test]
fn an_estimate_is_the_median_between_two_order_statistics() {
    let samples: Vec<f64> = (1..=15).rev().map(f64::from).collect();
    let estimate = Estimate::of(&samples).unwrap();
    assert_eq!(estimate, Estimate { median: 8.0, low: 4.0, high: 12.0 });
    assert_eq!(Estimate::of(&[1.0, f64::NAN, 2.0]).unwrap().median, 1.5);
    assert!(Estimate::of(&[]).is_none());
}

#[test]
fn ratios_are_paired_and_leave_out_what_has_no_denominator() {
    let ratio = Estimate::of_ratios(&[2.0, 20.0, 5.0], &[1.0, 10.0, 0.0]).unwrap();
    assert_eq!(ratio, Estimate { median: 2.0, low: 2.0, high: 2.0 });
}

#[test]
fn a_difference_must_exceed_the_control_and_exclude_one() {
    let control = Estimate { median: 1.0, low: 0.98, high: 1.01 };
    assert!((control.spread() - 0.02).abs() < 1e-12);
    let inside = Estimate { median: 0.99, low: 0.985, high: 0.995 };
    let by_chance = Estimate { median: 0.9, low: 0.7, high: 1.1 };
    let real = Estimate { median: 0.9, low: 0.88, high: 0.93 };
    assert!(!inside.differs(control.spread()));
    assert!(!by_chance.differs(control.spread()));
    assert!(real.differs(control.spread()));
}

/// The interval must hold the true median in about 95 of 100 experiments; 93.5 allows for the
/// experiment's own chance.
#[test]
fn intervals_cover_what_they_promise() {
    let mut random = Random::seeded(1);
    let covered = (0..4000)
        .filter(|_| {
            let samples: Vec<f64> = (0..15).map(|_| random.fraction()).collect();
            Estimate::of(&samples).unwrap().holds(0.5)
        })
        .count();
    assert!(covered > 3740, "{covered} of 4000");
}

#[test]
fn zipf_draws_ranks_as_often_as_the_law_says() {
    const DRAWS: u32 = 400_000;
    for exponent in [0.9, 0.99, 1.0, 1.2] {
        let law = Zipf::new(1000, exponent);
        let mut random = Random::seeded(7);
        let mut counts = vec![0u32; 1001];
        for _ in 0..DRAWS {
            counts[law.sample(&mut random) as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        let total: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-exponent)).sum();
        for rank in [1u32, 2, 3, 10, 100] {
            let expected = f64::from(DRAWS) * f64::from(rank).powf(-exponent) / total;
            let found = f64::from(counts[rank as usize]);
            let sigma = expected.sqrt();
            assert!(
                (found - expected).abs() < 5.0 * sigma,
                "exponent {exponent}, rank {rank}: {found} instead of {expected}"
            );
        }
    }
}

#[test]
fn rings_stay_in_range_and_scatter_without_merging_ranks() {
    for exponent in [None, Some(0.99)] {
        let ring = index_ring(100_000, 100, exponent, 3);
        assert!(ring.iter().all(|&index| index < 100));
        assert_eq!(ring.iter().collect::<HashSet<_>>().len(), 100);
    }
}

#[test]
fn proc_files_are_read_by_field() {
    let status = "Name:\tmemcached\nVmHWM:\t    9 kB\nVmRSS:\t  1234 kB\nThreads:\t10\n";
    assert_eq!(kib_of(status, "VmRSS"), Some(1234));
    assert_eq!(kib_of(status, "Threads"), None);
    let cpuinfo = "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu hypervisor\n";
    assert_eq!(cpuinfo_field(cpuinfo, "model name"), Some("A CPU"));
    assert_eq!(cpuinfo_field(cpuinfo, "model"), None);
}

#[test]
fn the_kernel_accounts_for_this_process() {
    let clock = CpuClock::of(std::process::id()).unwrap();
    let before = clock.read().unwrap();
    let sum = (0..5_000_000u64).fold(0, |sum, number| sum ^ rig::random::mix(number));
    assert_ne!(sum, 1);
    assert!(clock.read().unwrap() > before);
    assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
}

#[test]
fn digits_are_unique_and_hexadecimal() {
    let all: HashSet<[u8; 16]> = (0..100_000).map(digits).collect();
    assert_eq!(all.len(), 100_000);
    assert!(digits(12_345).iter().all(u8::is_ascii_hexdigit));
}

const KEYS: u32 = 1000;
const VALUE_BYTES: usize = 40;

fn wire(dialect: Dialect) -> Wire {
    Wire::new(Keyspace { prefix: SMALL_PREFIX, count: KEYS, value_bytes: VALUE_BYTES }, dialect)
}

/// What a right server says for an item, taken from what a client would store.
fn hit(wire: &Wire, dialect: Dialect, index: u32) -> Vec<u8> {
    let mut set = Vec::new();
    wire.render_set_head(index, &mut set);
    set.extend_from_slice(wire.streamed());
    let data_at = set.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let key = String::from_utf8(set[4..40].to_vec()).unwrap();
    let mut hit = match dialect {
        Dialect::Classic => format!("VALUE {key} 0 {VALUE_BYTES}\r\n"),
        Dialect::Simple => format!("VALUE {key} {VALUE_BYTES}\n"),
    }
    .into_bytes();
    hit.extend_from_slice(&set[data_at..]);
    hit
}

struct Outcome {
    tally: Tally,
    lost: bool,
    done: usize,
}

/// Reads `bytes` as the answer to one `get` of `keys` keys and one `set`, in pieces of `piece`.
fn read(wire: &Wire, ring: &Ring, keys: u32, bytes: &[u8], piece: usize) -> Outcome {
    let mut answers = Answers::default();
    answers.expect(Pending { asked: Asked::Get { place: 0, keys }, since_ns: 0 });
    answers.expect(Pending { asked: Asked::Set, since_ns: 0 });
    let (mut tally, mut done, mut lost) = (Tally::default(), 0, false);
    for part in bytes.chunks(piece) {
        let known = (wire, ring, Contents::Checked);
        lost |= answers.advance(part, known, &mut tally, |_| done += 1).is_err();
    }
    Outcome { tally, lost, done }
}

#[test]
fn right_answers_pass_however_they_are_cut() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    for dialect in [Dialect::Classic, Dialect::Simple] {
        let wire = wire(dialect);
        let mut bytes: Vec<u8> = (0..3).flat_map(|at| hit(&wire, dialect, ring.at(at))).collect();
        bytes.extend_from_slice(wire.end);
        bytes.extend_from_slice(wire.stored);
        for piece in 1..=bytes.len() {
            let outcome = read(&wire, &ring, 3, &bytes, piece);
            assert!(!outcome.lost && outcome.done == 2, "pieces of {piece}");
            let tally = outcome.tally;
            assert_eq!((tally.errors, tally.misses, tally.operations), (0, 0, 4));
        }
    }
}

#[test]
fn a_missing_key_is_a_miss_and_not_an_error() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let wire = wire(Dialect::Classic);
    let mut bytes = hit(&wire, Dialect::Classic, ring.at(1));
    bytes.extend_from_slice(b"END\r\nSTORED\r\n");
    let tally = read(&wire, &ring, 3, &bytes, bytes.len()).tally;
    assert_eq!((tally.errors, tally.misses, tally.checked), (0, 2, 1));
}

#[test]
fn wrong_answers_are_found() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let wire = wire(Dialect::Classic);
    let right = [&hit(&wire, Dialect::Classic, ring.at(0))[..], b"END\r\nSTORED\r\n"].concat();
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        let outcome = read(&wire, &ring, 1, &wrong, wrong.len());
        // Without its last line end, the last answer is never complete.
        let found = outcome.lost || outcome.tally.errors > 0 || outcome.done < 2;
        assert!(found, "byte {at} may be anything");
    }
    let value_at = right.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let mut longer = right.clone();
    longer.insert(value_at, b'x');
    let mut shorter = right.clone();
    shorter.remove(value_at);
    let mut too_much = right.clone();
    too_much.extend_from_slice(b"END\r\n");
    for wrong in [longer, shorter, too_much] {
        let outcome = read(&wire, &ring, 1, &wrong, wrong.len());
        assert!(outcome.lost || outcome.tally.errors > 0, "{}", wrong.escape_ascii());
    }
}

#[test]
fn an_error_line_is_counted_and_told() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let bytes = b"END\r\nSERVER_ERROR out of memory storing object\r\n";
    let outcome = read(&wire(Dialect::Classic), &ring, 1, bytes, 7);
    assert_eq!((outcome.tally.errors, outcome.done), (1, 2));
    assert!(outcome.tally.first_error.unwrap().contains("out of memory"));
}
