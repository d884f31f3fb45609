//! p99.9 over all windows of a cell together, and the interval of a ratio of two of them.
//!
//! A window has too few requests for a p99.9 of its own, and a median of such p99.9s would hide the
//! rare bad window, which is what a p99.9 is for. So the histograms of all windows are added first.
//! The interval resamples whole windows, on the same positions for both contestants. Pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::rig::bootstrap::{RESAMPLES, Resampler, interval};
use crate::rig::statistics::Estimate;

/// With fewer requests above it than this, a p99.9 cannot be decided.
pub(crate) const SAMPLES_ABOVE_MIN: u64 = 1000;
/// One request in this many is above p99.9.
const ONE_IN: u64 = 1000;
/// Requests that a p99.9 takes.
pub(crate) const SAMPLES_MIN: u64 = SAMPLES_ABOVE_MIN * ONE_IN;

/// The far end of the latencies of all windows together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) samples: u64,
    pub(crate) p999_ns: Estimate,
}

impl Tail {
    /// Whether enough requests were slower than p99.9 to say where that is.
    pub(crate) fn is_decidable(&self) -> bool {
        self.samples >= SAMPLES_MIN
    }
}

/// The ratio of two p99.9.
#[derive(Debug, Clone)]
pub(crate) struct TailRatio {
    pub(crate) over: String,
    pub(crate) under: String,
    pub(crate) ratio: Estimate,
}

/// Latencies of one window and how often each came, highest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Vec<(u64, u64)>);

impl Counts {
    /// What a histogram holds, without its empty places: some kilobytes instead of 100.
    pub(crate) fn of(histogram: &Histogram<u32>) -> Self {
        let recorded = histogram.iter_recorded();
        let mut counts: Vec<(u64, u64)> = recorded
            .map(|step| (step.value_iterated_to(), u64::from(step.count_at_value())))
            .collect();
        counts.reverse();
        Self(counts)
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|&(_, count)| count).sum()
    }
}

/// The windows of one contestant, ready to be added up in any selection.
struct Pool {
    totals: Vec<u64>,
    /// Each latency that came, highest first, with its count in every window.
    levels: Vec<(u64, Vec<u64>)>,
}

impl Pool {
    fn new(windows: &[Counts]) -> Self {
        let mut all: Vec<(u64, usize, u64)> = windows
            .iter()
            .enumerate()
            .flat_map(|(window, counts)| counts.0.iter().map(move |&(ns, n)| (ns, window, n)))
            .collect();
        all.sort_unstable_by_key(|&(ns, _, _)| std::cmp::Reverse(ns));
        let levels = all.chunk_by(|one, other| one.0 == other.0).map(|level| {
            let mut counts = vec![0; windows.len()];
            for &(_, window, count) in level {
                counts[window] += count;
            }
            (level[0].0, counts)
        });
        Self { levels: levels.collect(), totals: windows.iter().map(Counts::total).collect() }
    }

    /// p99.9 when each window is taken so many times; none without requests.
    fn p999(&self, times: &[u64]) -> Option<u64> {
        let sum = |counts: &[u64]| -> u64 { counts.iter().zip(times).map(|(n, t)| n * t).sum() };
        let may_be_above = sum(&self.totals) / ONE_IN;
        let mut above = 0;
        self.levels.iter().find_map(|(ns, counts)| {
            above += sum(counts);
            (above > may_be_above).then_some(*ns)
        })
    }
}

/// The p99.9 of each contestant, in nanoseconds, and the ratios of those that are decidable.
///
/// `windows` holds for each contestant one entry per position, empty where that window is missing;
/// `pairs` are the ratios wanted, by index.
pub(crate) fn evaluate(
    names: &[&str],
    windows: &[&[Counts]],
    instance_of: &[usize],
    pairs: &[(usize, usize)],
) -> (Vec<Option<Tail>>, Vec<TailRatio>) {
    let pools: Vec<Pool> = windows.iter().map(|windows| Pool::new(windows)).collect();
    let replicates = replicates(&pools, instance_of);
    let instances = Resampler::new(instance_of).instances();
    let estimate = |middle: f64, replicates: Vec<f64>| {
        if replicates.is_empty() {
            return None;
        }
        let (low, high) = interval(replicates, instances);
        Some(Estimate { median: middle, low: low.min(middle), high: high.max(middle) })
    };
    let tails: Vec<Option<Tail>> = pools
        .iter()
        .zip(&replicates)
        .map(|(pool, replicates)| {
            let middle = pool.p999(&vec![1; pool.totals.len()])? as f64;
            let p999_ns = estimate(middle, replicates.iter().flatten().copied().collect())?;
            Some(Tail { samples: pool.totals.iter().sum(), p999_ns })
        })
        .collect();
    let ratio = |&(over, under): &(usize, usize)| {
        let (top, bottom) = (tails[over].as_ref()?, tails[under].as_ref()?);
        if !top.is_decidable() || !bottom.is_decidable() {
            return None;
        }
        let both = replicates[over].iter().zip(&replicates[under]);
        let ratios = both.filter_map(|(top, bottom)| Some((*top)? / (*bottom)?)).collect();
        let ratio = estimate(top.p999_ns.median / bottom.p999_ns.median, ratios)?;
        Some(TailRatio { over: names[over].into(), under: names[under].into(), ratio })
    };
    let ratios = pairs.iter().filter_map(ratio).collect();
    (tails, ratios)
}

/// p99.9 of every contestant in every resample, the same windows for all of them.
fn replicates(pools: &[Pool], instance_of: &[usize]) -> Vec<Vec<Option<f64>>> {
    let mut resampler = Resampler::new(instance_of);
    let mut replicates = vec![Vec::with_capacity(RESAMPLES); pools.len()];
    let mut times = vec![0; instance_of.len()];
    for _ in 0..RESAMPLES {
        times.fill(0);
        for &position in resampler.draw() {
            times[position] += 1;
        }
        for (pool, replicates) in pools.iter().zip(&mut replicates) {
            let known = &times[..pool.totals.len().min(times.len())];
            replicates.push(pool.p999(known).map(|ns| ns as f64));
        }
    }
    replicates
}
