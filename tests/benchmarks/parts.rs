//! Parts of the benches whose errors would go unnoticed: statistics, random distributions, and the parsers
//! of `/proc`. The tests of the checker of answers are in `answers.rs`.
//!
//! A bench without a harness runs no tests of its own, so they are here.

use std::collections::HashSet;

use crate::rig::machine::cpuinfo_field;
use crate::rig::process::{CpuClock, kib_of, resident_bytes};
use crate::rig::random::{Random, Zipf, index_ring};
use crate::rig::statistics::{Estimate, interval_rank};
use crate::versus::arrivals::Arrivals;
use crate::versus::keyspace::{Dialect, Keyspace, SMALL_PREFIX, Wire, digits};
use crate::versus::ring::{Popularity, Ring};
use crate::versus::sizes::{Lifetimes, Values};

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
    assert!((control.spread() - (1.0 / 0.98 - 1.0)).abs() < 1e-12);
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

/// Each of the 24 orders of four comes as often as the others.
#[test]
fn permutations_hold_every_number_once_and_are_equally_likely() {
    const DRAWS: u32 = 24_000;
    let mut random = Random::seeded(2);
    let mut counts = std::collections::HashMap::new();
    for _ in 0..DRAWS {
        let order = random.permutation(4);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3]);
        *counts.entry(order).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    assert!(counts.values().all(|&count| (840..1160).contains(&count)), "{counts:?}");
    assert!(random.permutation(0).is_empty() && random.permutation(1) == [0]);
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
    let sum = (0..5_000_000u64).fold(0, |sum, number| sum ^ crate::rig::random::mix(number));
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

#[test]
fn exponential_numbers_have_the_mean_and_the_tail_of_their_law() {
    const DRAWS: u32 = 200_000;
    let mut random = Random::seeded(3);
    let mut gaps: Vec<f64> = (0..DRAWS).map(|_| random.exponential()).collect();
    assert!(gaps.iter().all(|gap| gap.is_finite() && *gap >= 0.0));
    let count = f64::from(DRAWS);
    let mean = gaps.iter().sum::<f64>() / count;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
    // Five times the standard error, which is 1 / sqrt(n) for the mean and sqrt(8 / n) for the variance.
    assert!((mean - 1.0).abs() < 5.0 / count.sqrt(), "mean {mean}");
    assert!((variance - 1.0).abs() < 5.0 * (8.0 / count).sqrt(), "variance {variance}");
    gaps.sort_by(f64::total_cmp);
    for (probability, at) in [(0.1, 20_000), (0.5, 100_000), (0.9, 180_000), (0.999, 199_800)] {
        let expected = -f64::ln_1p(-probability);
        let found = gaps[at];
        // The distribution function at the sample quantile is off by sqrt(p (1 - p) / n).
        let error = ((-expected).exp() - (-found).exp()).abs();
        let sigma = (probability * (1.0 - probability) / count).sqrt();
        assert!(error < 5.0 * sigma, "quantile {probability}: {found} instead of {expected}");
    }
}

/// The number of arrivals in a slot is Poisson's: mean and variance are the same.
#[test]
fn arrivals_come_at_their_rate_at_random_and_the_same_for_all() {
    const PER_SECOND: u64 = 100_000;
    const SLOT_NS: u64 = 100_000;
    const SLOTS: usize = 20_000;
    let mut arrivals = Arrivals::begin(4, PER_SECOND);
    let mut again = Arrivals::begin(4, PER_SECOND);
    let mut counts = vec![0.0f64; SLOTS];
    let mut before = 0;
    while let Some(count) = counts.get_mut(usize::try_from(arrivals.due_ns() / SLOT_NS).unwrap()) {
        assert!(arrivals.due_ns() >= before);
        assert_eq!(arrivals.due_ns(), again.due_ns());
        *count += 1.0;
        before = arrivals.due_ns();
        arrivals.advance();
        again.advance();
    }
    let mean = counts.iter().sum::<f64>() / SLOTS as f64;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / SLOTS as f64;
    assert!((9.88..10.12).contains(&mean), "{mean} in 100 microseconds");
    assert!((9.4..10.6).contains(&variance), "variance {variance}");
    assert_ne!(Arrivals::begin(5, PER_SECOND).due_ns(), Arrivals::begin(4, PER_SECOND).due_ns());
}

fn quantile(mut sizes: Vec<usize>, percent: usize) -> usize {
    sizes.sort_unstable();
    sizes[sizes.len() * percent / 100]
}

/// Of the law, of the keys that it is used for, and of what is asked for by Zipf's law, where a few
/// keys are a good part of all.
#[test]
fn twitter_sizes_have_the_quantiles_of_twitters_clusters() {
    const KEY_COUNT: u32 = 100_000;
    let law = Values::Twitter.sizes();
    assert_eq!(quantile(law.clone(), 50), 224);
    assert!((4_800..4_830).contains(&quantile(law.clone(), 90)));
    assert_eq!((law.iter().min(), law.iter().max()), (Some(&16), Some(&65_536)));

    let keyspace = Keyspace {
        prefix: SMALL_PREFIX,
        count: KEY_COUNT,
        values: Values::Twitter,
        lifetimes: Lifetimes::Unlimited,
    };
    let wire = Wire::new(keyspace, Dialect::Classic);
    let size = |index| value_bytes(&wire, index);
    let of_keys: Vec<usize> = (0..KEY_COUNT).map(size).collect();
    let ring = Ring::draw(KEY_COUNT, Popularity::Zipf);
    let of_requests: Vec<usize> =
        (0..500_000).map(|place| of_keys[ring.at(place) as usize]).collect();
    for (sizes, tolerance) in [(of_keys, 0.05), (of_requests, 0.35)] {
        for (percent, expected) in [(50, 224.0), (90, 4813.0)] {
            let found = quantile(sizes.clone(), percent) as f64;
            let off = (found / expected - 1.0).abs();
            assert!(off < tolerance, "p{percent} is {found} instead of {expected}");
        }
    }
}

/// The size that a `set` announces, which must be that of the value that follows.
fn value_bytes(wire: &Wire, index: u32) -> usize {
    let mut set = Vec::new();
    wire.render_set(index, &mut set);
    let line_end = set.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let line = std::str::from_utf8(&set[..line_end]).unwrap().trim_end();
    let announced: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(set.len() - line_end - 2, announced, "{line}");
    announced
}

#[test]
fn half_of_the_mixed_lifetimes_are_unlimited_and_a_quarter_is_of_either_kind() {
    let exptimes: Vec<u32> = (0..100_000)
        .map(|index| Lifetimes::Mixed.exptime_s(crate::rig::random::mix(index)))
        .collect();
    for (exptime, expected) in [(0, 50_000.0f64), (2, 25_000.0), (120, 25_000.0)] {
        let found = exptimes.iter().filter(|&&found| found == exptime).count() as f64;
        assert!((found - expected).abs() < 5.0 * expected.sqrt(), "{found} of {exptime} s");
    }
    let keyspace = Keyspace {
        prefix: SMALL_PREFIX,
        count: 100,
        values: Values::Fixed(40),
        lifetimes: Lifetimes::Mixed,
    };
    let wire = Wire::new(keyspace, Dialect::Classic);
    for index in 0..100 {
        let (mut set, mut fill) = (Vec::new(), Vec::new());
        wire.render_set(index, &mut set);
        wire.render_fill(index, &mut fill);
        let exptime = exptimes[index as usize];
        for request in [set, fill] {
            let words = String::from_utf8_lossy(&request).to_string();
            let words: Vec<&str> = words.split([' ', '\r']).collect();
            assert_eq!((words[2], words[3]), ("0", exptime.to_string().as_str()));
        }
    }
}
