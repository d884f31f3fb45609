//! p99.9 of blocks of rounds, and the ratio of two of them.
//!
//! The p99.9 of all windows together is no estimate of a server's: a pause of the machine of some
//! hundred milliseconds puts more requests above it than all other windows, whichever server it happens
//! to hit. So each block has a p99.9 of its own. A block is as short as it can be: with a handful of
//! requests above it in each, a block's p99.9 is not exact, but a median over hundreds of blocks is.
//! Ratios are taken block by block, over the same rounds for both, and their median over the blocks is
//! resampled by instance, then by block. A pause that is in less than half of the blocks moves a block's
//! ratio, but hardly the median.
//!
//! Blocks of a second (50 requests above p99.9 in each) decided nothing: at 80 % of memcached's rate a
//! twentieth of the windows of 80 ms has a pause above 1.4 ms, of the floor as of every server, so most
//! blocks of a second had one. Of the same 330 windows of memcached against itself, the interval reached
//! 93 % away from 1 by blocks of a second, and 12 % by single windows. What a server itself does in few
//! of its windows is not in the median: `worst_twentieth_ns` and `pooled_ns` are beside it for that. Pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::rig::bootstrap::median_of_windows;
use crate::rig::statistics::Estimate;

/// With fewer requests above it than this, a p99.9 cannot be decided.
pub(crate) const SAMPLES_ABOVE_MIN: u64 = 1000;
/// One request in this many is above p99.9.
const ONE_IN: u64 = 1000;
/// Requests that a p99.9 takes.
pub(crate) const SAMPLES_MIN: u64 = SAMPLES_ABOVE_MIN * ONE_IN;

/// Requests above p99.9 that a block has at least: 80 ms of 50,000 requests a second.
pub(crate) const BLOCK_SAMPLES_ABOVE: u64 = 4;

/// The far end of a contestant's latencies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) samples: u64,
    pub(crate) blocks: usize,
    /// The median of the blocks.
    pub(crate) p999_ns: Estimate,
    /// The p99.9 that one block in twenty exceeds.
    pub(crate) worst_twentieth_ns: f64,
    /// That of all windows together, pauses of the machine included.
    pub(crate) pooled_ns: f64,
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

    /// p99.9 of each block, with its instance; not a number where all windows of it are missing.
    fn p999_of_blocks(&self, blocks: &[Block]) -> Vec<(usize, f64)> {
        let of = |block: &Block| {
            let mut times = vec![0; self.totals.len()];
            for &window in block.windows.iter().filter(|&&window| window < self.totals.len()) {
                times[window] = 1;
            }
            (block.instance, self.p999(&times).map_or(f64::NAN, |ns| ns as f64))
        };
        blocks.iter().map(of).collect()
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
    let blocks = blocks(instance_of, windows_per_block(&pools));
    let of_blocks: Vec<Vec<(usize, f64)>> =
        pools.iter().map(|pool| pool.p999_of_blocks(&blocks)).collect();
    let tail = |(pool, of_blocks): (&Pool, &Vec<(usize, f64)>)| {
        Some(Tail {
            samples: pool.totals.iter().sum(),
            blocks: blocks.len(),
            p999_ns: median_of_windows(of_blocks)?,
            worst_twentieth_ns: worst_twentieth(of_blocks)?,
            pooled_ns: pool.p999(&vec![1; pool.totals.len()])? as f64,
        })
    };
    let tails: Vec<Option<Tail>> = pools.iter().zip(&of_blocks).map(tail).collect();
    let ratio = |&(over, under): &(usize, usize)| {
        let both = [tails[over].as_ref()?, tails[under].as_ref()?];
        if !both.into_iter().all(Tail::is_decidable) {
            return None;
        }
        let ratios: Vec<(usize, f64)> = of_blocks[over]
            .iter()
            .zip(&of_blocks[under])
            .map(|(&(instance, top), &(_, bottom))| (instance, top / bottom))
            .collect();
        let ratio = median_of_windows(&ratios)?;
        Some(TailRatio { over: names[over].into(), under: names[under].into(), ratio })
    };
    let ratios = pairs.iter().filter_map(ratio).collect();
    (tails, ratios)
}

/// What one block in twenty exceeds, of those that were measured.
fn worst_twentieth(of_blocks: &[(usize, f64)]) -> Option<f64> {
    let mut sorted: Vec<f64> =
        of_blocks.iter().map(|&(_, ns)| ns).filter(|ns| ns.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() * 19 / 20).copied()
}

/// Consecutive windows of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) instance: usize,
    pub(crate) windows: Vec<usize>,
}

/// Cuts each instance's windows into blocks of about equal length, none shorter than asked for unless
/// the instance itself is.
pub(crate) fn blocks(instance_of: &[usize], windows_each: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let positions: Vec<usize> = (0..instance_of.len()).collect();
    for windows in positions.chunk_by(|&one, &other| instance_of[one] == instance_of[other]) {
        let count = (windows.len() / windows_each.max(1)).max(1);
        blocks.extend((0..count).map(|nth| Block {
            instance: instance_of[windows[0]],
            windows:
                windows[nth * windows.len() / count..(nth + 1) * windows.len() / count].to_vec(),
        }));
    }
    blocks
}

/// So many windows have enough requests above p99.9, for the contestant with the fewest. One without
/// any does not count.
fn windows_per_block(pools: &[Pool]) -> usize {
    let per_window = |pool: &Pool| {
        let measured = pool.totals.iter().filter(|&&total| total > 0).count() as u64;
        pool.totals.iter().sum::<u64>().checked_div(measured)
    };
    let fewest = pools.iter().filter_map(per_window).min().unwrap_or(1);
    usize::try_from((BLOCK_SAMPLES_ABOVE * ONE_IN).div_ceil(fewest.max(1))).unwrap_or(usize::MAX)
}
