//! The statistics of the benches, and what they read about the machine: their errors would go unnoticed. A
//! bench without a harness runs no tests of its own, so they are here.

use std::time::Duration;

use crate::rig::accounting::{Reading, Shares, ticks_of};
use crate::rig::binary::{Binary, configure_arguments, instruments_among};
use crate::rig::bootstrap::{Resampler, coverage_at_worst, interval, median_of_windows, tail};
use crate::rig::cpus::{Kinship, Placement, Topology, cpu_list};
use crate::rig::failure::Failure;
use crate::rig::priority::{Priority, Raised, answering_threads, leaves_room};
use crate::rig::program::{Program, release_of};
use crate::rig::random::Random;
use crate::rig::statistics::Estimate;
use crate::versus::dropping::{REPEATS_MAX, STEAL_MAX, STEAL_MAX_OF_TAILS, attempt, is_disturbed};
use crate::versus::tails::{Counts, SAMPLES_MIN, Tail, blocks, evaluate};
use hdrhistogram::Histogram;

/// About normal: the sum of twelve uniform numbers, less its mean.
fn noise(random: &mut Random) -> f64 {
    (0..12).map(|_| random.fraction()).sum::<f64>() - 6.0
}

/// How many of 400 experiments have an interval that holds the true median, 0.
fn covered(instances: usize, rounds: usize, between: f64, within: f64) -> usize {
    let mut random = Random::seeded(11);
    (0..400)
        .filter(|_| {
            let mut windows = Vec::new();
            for instance in 0..instances {
                let shift = between * noise(&mut random);
                windows
                    .extend((0..rounds).map(|_| (instance, shift + within * noise(&mut random))));
            }
            median_of_windows(&windows).unwrap().holds(0.0)
        })
        .count()
}

/// Of 400, 95 % are 380, and chance makes 13 more or less (three sigma).
#[test]
fn the_hierarchical_interval_covers_what_it_promises() {
    for (between, within) in [(0.0, 1.0), (1.0, 1.0), (1.0, 0.1)] {
        let found = covered(5, 3, between, within);
        assert!(found >= 360, "5 x 3, {between} and {within}: {found} of 400");
        let found = covered(8, 2, between, within);
        assert!(found >= 360, "8 x 2, {between} and {within}: {found} of 400");
    }
    // Three instances that differ more than their windows: 75 % and no more, as the report says.
    let found = covered(3, 5, 1.0, 0.05);
    let least = (coverage_at_worst(3) * 400.0 * 0.9).round();
    assert!(found as f64 >= least && found < 360, "3 x 5: {found} of 400");
}

/// An interval over windows alone would hold the truth far too seldom where instances differ; that is
/// what the hierarchy is for.
#[test]
fn windows_alone_would_promise_too_much() {
    let mut random = Random::seeded(5);
    let held = (0..400)
        .filter(|_| {
            let mut windows = Vec::new();
            for _ in 0..5 {
                let shift = noise(&mut random);
                windows.extend((0..3).map(|_| shift + 0.1 * noise(&mut random)));
            }
            Estimate::of(&windows).unwrap().holds(0.0)
        })
        .count();
    assert!(held < 340, "{held} of 400");
}

#[test]
fn intervals_shrink_with_more_instances_and_hold_the_median() {
    let mut random = Random::seeded(3);
    let mut width = |instances: usize| {
        let widths: Vec<f64> = (0..40)
            .map(|_| {
                let windows: Vec<(usize, f64)> =
                    (0..instances * 2).map(|at| (at / 2, noise(&mut random))).collect();
                let estimate = median_of_windows(&windows).unwrap();
                assert!(estimate.low <= estimate.median && estimate.median <= estimate.high);
                estimate.high - estimate.low
            })
            .collect();
        Estimate::of(&widths).unwrap().median
    };
    let (few, many) = (width(5), width(40));
    assert!(many < few / 2.0, "{few} with 5 instances, {many} with 40");
}

#[test]
fn the_interval_is_reproducible_and_leaves_out_what_is_missing() {
    let windows: Vec<(usize, f64)> =
        (0..15u32).map(|at| (at as usize / 3, f64::from(at))).collect();
    let first = median_of_windows(&windows).unwrap();
    assert_eq!(median_of_windows(&windows), Some(first));
    let mut with_gap = windows.clone();
    with_gap.push((5, f64::NAN));
    assert_eq!(median_of_windows(&with_gap), Some(first));
    assert_eq!(median_of_windows(&[(0, f64::NAN)]), None);
    let single: Vec<(usize, f64)> = windows.iter().map(|&(_, figure)| (0, figure)).collect();
    let figures: Vec<f64> = windows.iter().map(|&(_, figure)| figure).collect();
    assert_eq!(median_of_windows(&single), Estimate::of(&figures));
}

#[test]
fn a_resample_draws_whole_instances() {
    let instance_of = [0, 0, 2, 2, 2, 3];
    let mut resampler = Resampler::new(&instance_of);
    assert_eq!(resampler.instances(), 3);
    let mut seen = [0; 6];
    for _ in 0..3000 {
        let picks = resampler.draw();
        let of = |instance| picks.iter().filter(|&&at| instance_of[at] == instance).count();
        assert!(of(0).is_multiple_of(2) && of(2).is_multiple_of(3));
        assert_eq!(of(0) / 2 + of(2) / 3 + of(3), 3);
        for &at in picks {
            seen[at] += 1;
        }
    }
    // Each position is drawn once per resample on average.
    assert!(seen.iter().all(|&count| (2700..3300).contains(&count)), "{seen:?}");
}

#[test]
fn percentiles_are_expanded_for_few_instances() {
    assert!(tail(3) < tail(5) && tail(5) < tail(6) && tail(11) == tail(10));
    assert!(tail(10_000) < 0.025);
    let replicates: Vec<f64> = (0..1000).map(f64::from).collect();
    assert_eq!(interval(replicates.clone(), 2), (0.0, 999.0));
    assert_eq!(interval(replicates, 10), (8.0, 991.0));
    assert!((coverage_at_worst(5) - 0.9375).abs() < 1e-12);
}

/// `slow` of `all` requests take 9 ms, the others 1 ms.
fn window(all: u64, slow: u64) -> Counts {
    let mut histogram = Histogram::<u32>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    histogram.record_n(1_000_000, u32::try_from(all - slow).unwrap()).unwrap();
    histogram.record_n(9_000_000, u32::try_from(slow).unwrap()).unwrap();
    Counts::of(&histogram)
}

fn about(ns: f64, expected: f64) -> bool {
    (ns / expected - 1.0).abs() < 0.002
}

/// Windows of 5,000 requests on instances of 50, of which 10 a window take so long.
fn short_windows(instances: usize, slow_ns: u64) -> (Vec<Counts>, Vec<usize>) {
    let window = |slow_ns: u64| {
        let mut histogram = Histogram::<u32>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        histogram.record_n(1_000_000, 4_990).unwrap();
        histogram.record_n(slow_ns, 10).unwrap();
        Counts::of(&histogram)
    };
    let windows = (0..50 * instances).map(|_| window(slow_ns)).collect();
    (windows, (0..50 * instances).map(|at| at / 50).collect())
}

#[test]
fn a_pause_of_the_machine_in_one_block_decides_no_ratio() {
    let (mut ours, instance_of) = short_windows(5, 2_000_000);
    let (theirs, _) = short_windows(5, 4_000_000);
    // All 5,000 requests of one window wait for the machine: 0.4 % of all, far more than 0.1 %.
    ours[77] = window(5_000, 5_000);
    let names = ["ours", "theirs"];
    let (tails, ratios) = evaluate(&names, &[&ours, &theirs], &instance_of, &[(0, 1)]);
    let tail = tails[0].as_ref().unwrap();
    assert!(tail.is_decidable() && tail.blocks == 250, "{tail:?}");
    assert!(about(tail.pooled_ns, 9e6), "the pause is not hidden: {tail:?}");
    assert!(about(tail.p999_ns.median, 2e6), "{tail:?}");
    let ratio = ratios[0].ratio;
    assert!(about(ratio.median, 0.5) && about(ratio.high, 0.5), "{ratio:?}");
}

#[test]
fn what_a_server_does_in_every_tenth_window_is_in_the_slowest_twentieth() {
    // Every tenth window has 200 slow requests: 0.4 % of all, and most windows have none.
    let (_, instance_of) = short_windows(5, 1_000_000);
    let every_tenth = |at: usize| window(5_000, if at % 10 == 3 { 200 } else { 0 });
    let windows: Vec<Counts> = (0..250).map(every_tenth).collect();
    let (tails, _) = evaluate(&["one"], &[&windows], &instance_of, &[]);
    let tail = tails[0].as_ref().unwrap();
    assert!(tail.p999_ns.median < 2e6, "the median is that of the other windows: {tail:?}");
    assert!(about(tail.worst_twentieth_ns, 9e6) && about(tail.pooled_ns, 9e6), "{tail:?}");
}

#[test]
fn blocks_are_consecutive_windows_of_one_instance() {
    let instance_of = [0, 0, 0, 0, 0, 1, 1, 2];
    let found = blocks(&instance_of, 2);
    let windows: Vec<&[usize]> = found.iter().map(|block| &block.windows[..]).collect();
    assert_eq!(windows, [&[0, 1][..], &[2, 3, 4], &[5, 6], &[7]]);
    let instances: Vec<usize> = found.iter().map(|block| block.instance).collect();
    assert_eq!(instances, [0, 0, 1, 2]);
    assert_eq!(blocks(&instance_of, 100).len(), 3);
    assert!(blocks(&[], 2).is_empty());
}

#[test]
fn p999_agrees_with_the_histogram_of_all_windows() {
    let mut random = Random::seeded(9);
    let mut all = Histogram::<u32>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    let windows: Vec<Counts> = (0..6)
        .map(|_| {
            let mut one = Histogram::<u32>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
            for _ in 0..5_000 {
                one.record(100_000_000 / (u64::from(random.below(100_000)) + 1)).unwrap();
            }
            all.add(&one).unwrap();
            Counts::of(&one)
        })
        .collect();
    let (tails, _) = evaluate(&["one"], &[&windows], &[0, 0, 1, 1, 2, 2], &[]);
    let found = tails[0].as_ref().unwrap();
    assert!(about(found.pooled_ns, all.value_at_quantile(0.999) as f64), "{found:?}");
    let of_blocks = found.p999_ns;
    assert_eq!(found.blocks, 6, "5,000 requests are enough for a block");
    assert!(of_blocks.low < of_blocks.median && of_blocks.median < of_blocks.high, "{found:?}");
}

#[test]
fn without_a_thousand_requests_above_it_p999_is_not_decided() {
    let p999_ns = Estimate::of(&[1.0]).unwrap();
    let tail =
        |samples| Tail { samples, blocks: 1, p999_ns, worst_twentieth_ns: 1.0, pooled_ns: 1.0 };
    assert_eq!(SAMPLES_MIN, 1_000_000);
    assert!(!tail(999_999).is_decidable() && tail(1_000_000).is_decidable());
    let (enough, too_few) = (vec![window(500_000, 10); 2], vec![window(499_999, 10); 2]);
    let names = ["enough", "too few"];
    let pairs = [(0, 0), (0, 1), (1, 0)];
    let (tails, ratios) = evaluate(&names, &[&enough, &too_few], &[0, 1], &pairs);
    assert_eq!(tails.iter().flatten().count(), 2);
    assert_eq!(ratios.len(), 1, "only the one with itself");
    assert_eq!((ratios[0].over.as_str(), ratios[0].under.as_str()), ("enough", "enough"));
}

#[test]
fn a_contestant_without_windows_has_no_tail() {
    let windows = vec![window(600_000, 900); 2];
    let empty = vec![Counts::default(); 2];
    let pairs = [(0, 1), (0, 2)];
    let (tails, ratios) =
        evaluate(&["one", "empty", "absent"], &[&windows, &empty, &[]], &[0, 1], &pairs);
    assert!(tails[0].is_some() && tails[1].is_none() && tails[2].is_none());
    assert!(ratios.is_empty());
}

#[test]
fn the_smallest_detectable_effect_is_the_larger_of_spread_and_half_width() {
    let ratio = Estimate { median: 0.99, low: 0.95, high: 1.02 };
    let half_width = 0.99 / 0.95 - 1.0;
    assert!((ratio.half_width() - half_width).abs() < 1e-12);
    assert!((ratio.smallest_detectable(0.01) - half_width).abs() < 1e-12);
    assert!((ratio.smallest_detectable(0.07) - 0.07).abs() < 1e-12);
}

const STAT: &str = "cpu  25376 10 4317 62642 2689 0 51 54 0 0\n\
    cpu0 12718 4 1949 31921 958 7 5 26 3 0\n\
    cpu1 12657 6 2368 30720 1731 0 45 28 0 0\n\
    cpu10 1 2 3 4\n\
    intr 210395 0 0\n";

#[test]
fn proc_stat_is_read_by_cpu_and_field() {
    let ticks = ticks_of(STAT, 0).unwrap();
    assert_eq!((ticks.user, ticks.system, ticks.idle), (12_722, 1949, 32_879));
    assert_eq!((ticks.irq, ticks.softirq, ticks.steal), (7, 5, 26));
    assert_eq!(ticks_of(STAT, 1).unwrap().steal, 28);
    let old_kernel = ticks_of(STAT, 10).unwrap();
    assert_eq!((old_kernel.user, old_kernel.idle, old_kernel.steal), (3, 4, 0));
    assert_eq!(ticks_of(STAT, 2), None);
    let mut later = ticks;
    (later.user, later.steal, later.softirq) =
        (ticks.user + 27, ticks.steal + 1, ticks.softirq + 2);
    let shares = later.since(&ticks).unwrap();
    assert!((shares.steal - 1.0 / 30.0).abs() < 1e-12);
    assert!((shares.softirq - 2.0 / 30.0).abs() < 1e-12);
    assert_eq!(ticks.since(&ticks), None);
}

#[test]
fn the_kernel_accounts_for_the_first_cpu_we_may_use() {
    let placement = Placement::choose().unwrap();
    let before = Reading::of(&[placement.server]).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    let shares = Reading::of(&[placement.server]).unwrap().since(&before).unwrap();
    let sum = shares[0].idle + shares[0].irq + shares[0].softirq + shares[0].steal;
    assert!((0.0..=1.000_001).contains(&sum), "{shares:?}");
    assert!(Reading::of(&[100_000]).is_none());
}

fn with_steal(steal: f64) -> Shares {
    Shares { irq: 0.0, softirq: 0.2, steal, idle: 0.0 }
}

#[test]
fn a_window_is_dropped_for_steal_on_either_cpu_and_for_nothing_else() {
    let calm = [with_steal(0.0), with_steal(STEAL_MAX)];
    assert!(!is_disturbed(None, STEAL_MAX) && !is_disturbed(Some(&calm), STEAL_MAX));
    assert!(is_disturbed(Some(&[with_steal(0.02), with_steal(0.0)]), STEAL_MAX));
    assert!(is_disturbed(Some(&[with_steal(0.0), with_steal(0.011)]), STEAL_MAX));
    assert!(is_disturbed(Some(&[with_steal(0.0), with_steal(0.0001)]), STEAL_MAX_OF_TAILS));
    assert!(!is_disturbed(Some(&[with_steal(0.0), with_steal(0.0)]), STEAL_MAX_OF_TAILS));
}

#[test]
fn a_disturbed_window_is_measured_again_but_not_for_ever() {
    let run = |disturbed: &[bool]| attempt(|nth| Ok((nth, disturbed[nth]))).unwrap();
    let calm = run(&[false]);
    assert_eq!((calm.dropped.len(), calm.last, calm.is_missing), (0, 0, false));
    let once = run(&[true, false]);
    assert_eq!((once.dropped, once.last, once.is_missing), (vec![0], 1, false));
    let always = run(&[true; 10]);
    assert_eq!((always.dropped.len(), always.last), (REPEATS_MAX, REPEATS_MAX));
    assert!(always.is_missing);
    let failed = attempt::<()>(|_| Err(Failure("lost".into())));
    assert!(failed.is_err());
}

#[test]
fn real_time_priority_is_used_only_where_the_kernel_leaves_room() {
    assert!(leaves_room("950000\n", "1000000\n") && leaves_room("-1\n", "1000000\n"));
    assert!(leaves_room("", "") && !leaves_room("800000", "1000000"));
    let turn = Duration::from_millis(96);
    let rest = Raised::rest_after(turn);
    let busy = turn.div_duration_f64(turn + rest);
    assert!(busy > 0.85 && busy < 0.9, "{busy}");
}

#[test]
fn a_raised_process_is_lowered_again() {
    let policy = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(38).unwrap().to_string()
    };
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let threads = answering_threads(child.id()).unwrap();
    if Priority::available() == Priority::RealTime {
        let raised = Raised::raise(&threads).unwrap();
        assert_eq!(policy(child.id()), "1", "SCHED_FIFO");
        drop(raised);
    }
    assert_eq!(policy(child.id()), "0", "SCHED_OTHER");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(threads, [child.id()], "none is named a worker");
    assert!(Raised::raise(&[child.id()]).is_err(), "it has ended");
}

#[test]
fn lists_of_cpus_are_read() {
    assert_eq!(cpu_list("0"), [0]);
    assert_eq!(cpu_list("0,64\n"), [0, 64]);
    assert_eq!(cpu_list("0-3,8"), [0, 1, 2, 3, 8]);
    assert!(cpu_list("").is_empty() && cpu_list("unknown").is_empty());
}

#[test]
fn servers_and_load_are_no_smt_siblings_where_that_can_be_helped() {
    let cpu = |number, siblings: &str, package| {
        let siblings = cpu_list(siblings);
        (number, Topology { siblings, package: Some(package), core: None })
    };
    let choose = |usable: &[(usize, Topology)]| {
        let chosen = Placement::among(usable).unwrap();
        (chosen.server, chosen.generator, chosen.kinship)
    };
    let threads_first = [cpu(0, "0-1", 0), cpu(1, "0-1", 0), cpu(2, "2-3", 0), cpu(3, "2-3", 0)];
    assert_eq!(choose(&threads_first), (0, 2, Kinship::Cores));
    assert_eq!(choose(&threads_first[..2]), (0, 1, Kinship::Siblings));
    let cores_first = [cpu(0, "0,2", 0), cpu(1, "1,3", 0), cpu(2, "0,2", 0)];
    assert_eq!(choose(&cores_first), (0, 1, Kinship::Cores));
    let two_packages = [cpu(0, "0-1", 0), cpu(1, "0-1", 0), cpu(2, "2", 1), cpu(5, "5", 0)];
    assert_eq!(choose(&two_packages), (0, 5, Kinship::Cores));
    assert_eq!(choose(&two_packages[..3]), (0, 2, Kinship::Cores));
    assert_eq!(choose(&two_packages[..1]), (0, 0, Kinship::Same));
    let silent = [(0, Topology::default()), (1, Topology::default())];
    assert_eq!(choose(&silent), (0, 1, Kinship::Unknown));
    let core = |number, core| (number, Topology { core: Some(core), ..Topology::default() });
    assert_eq!(choose(&[core(0, 0), core(1, 0), core(2, 1)]), (0, 2, Kinship::Cores));
    assert!(Placement::among(&[]).is_none());
}

#[test]
fn versions_are_compared_as_numbers() {
    assert_eq!(release_of("memcached 1.6.45"), Some([1, 6, 45]));
    assert_eq!(release_of("memcached 1.6.9_4_gabcdef"), Some([1, 6, 9]));
    assert_eq!(release_of("memcached 1.6"), None);
    let singly = |version: &str| {
        Program { path: "x".into(), version: version.to_string() }.sends_gets_singly()
    };
    for old in ["memcached 1.6.34", "memcached 1.6.9", "memcached 1.5.22", "memcached 1.6.18"] {
        assert!(singly(old), "{old}");
    }
    for current in ["memcached 1.6.35", "memcached 1.6.45", "memcached 1.10.0", "miocached 0.1.0"] {
        assert!(!singly(current), "{current}");
    }
    let unknown = |version: &str| {
        Program { path: "x".into(), version: version.to_string() }.is_of_unknown_release()
    };
    assert!(!unknown("memcached 1.6.45") && !unknown("memcached 1.6.9_4_gabcdef"));
    assert!(unknown("memcached") && unknown("memcached devel") && unknown("other 1.6.45"));
}

#[test]
fn a_binary_says_how_it_was_built() {
    let ours = Binary::at(&std::env::current_exe().unwrap());
    assert!(ours.bytes > 100_000 && ours.has_symbols && ours.instruments.is_empty(), "{ours:?}");
    assert!(ours.compilers.iter().any(|name| name.contains("rustc")), "{ours:?}");
    assert!(ours.doubts().is_empty());
    let cut: Vec<u8> = std::fs::read(std::env::current_exe().unwrap()).unwrap()[..5000].to_vec();
    for length in 0..200 {
        assert!(!Binary::of(&cut[..length]).has_symbols);
    }
    let names = b"\0main\0__asan_init\0__gcov_exit\0";
    let instruments: Vec<_> = instruments_among(names).collect();
    assert_eq!(instruments, ["AddressSanitizer", "coverage counters"]);
    assert_eq!(Binary { instruments, ..Binary::default() }.doubts().len(), 1);
}

#[test]
fn a_config_log_is_quoted_without_its_path() {
    let log = "Invocation command line was\n\n  $ /some/where/configure 'CFLAGS=-O2 -flto' X=1\n";
    assert_eq!(configure_arguments(log).unwrap(), "'CFLAGS=-O2 -flto' X=1");
    assert_eq!(configure_arguments("  $ ./configure\n").unwrap(), "without arguments");
    assert_eq!(configure_arguments("nothing"), None);
    let configured =
        |arguments: &str| Binary { configured: Some(arguments.to_string()), ..Binary::default() };
    assert!(configured("'CFLAGS=-O2 -flto'").doubts().is_empty());
    assert!(configured("without arguments").doubts().is_empty());
    assert_eq!(configured("CFLAGS=-O0").doubts().len(), 1);
}
