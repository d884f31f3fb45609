//! The hierarchical bootstrap: server instances first, then the windows measured on each.
//!
//! Windows on one instance share its memory layout and its hash seed, so they are not independent.
//! An interval that resamples windows alone is too narrow for the question that matters: what the
//! next start of the server will show. Pure, and seeded: the same windows give the same interval.

use super::random::Random;
use super::statistics::Estimate;

/// Resamples of one interval.
pub(crate) const RESAMPLES: usize = 2000;
const SEED: u64 = 0x626f_6f74;

/// Draws resamples of windows that are grouped by instance.
pub(crate) struct Resampler {
    /// The positions of each instance's windows.
    instances: Vec<Vec<usize>>,
    random: Random,
    picks: Vec<usize>,
}

impl Resampler {
    /// `instance_of` holds the instance of each window, by position.
    pub(crate) fn new(instance_of: &[usize]) -> Self {
        let count = instance_of.iter().max().map_or(0, |last| last + 1);
        let mut instances = vec![Vec::new(); count];
        for (position, &instance) in instance_of.iter().enumerate() {
            instances[instance].push(position);
        }
        instances.retain(|windows| !windows.is_empty());
        Self { instances, random: Random::seeded(SEED), picks: Vec::new() }
    }

    /// How many instances have windows.
    pub(crate) fn instances(&self) -> usize {
        self.instances.len()
    }

    /// Positions of the next resample: instances with replacement, and on each as many windows as
    /// it has, with replacement. A single instance is kept, and its windows alone are drawn.
    pub(crate) fn draw(&mut self) -> &[usize] {
        self.picks.clear();
        for _ in 0..self.instances.len() {
            let windows = &self.instances[pick(&mut self.random, self.instances.len())];
            for _ in 0..windows.len() {
                self.picks.push(windows[pick(&mut self.random, windows.len())]);
            }
        }
        &self.picks
    }
}

fn pick(random: &mut Random, count: usize) -> usize {
    random.below(u32::try_from(count).unwrap_or(u32::MAX)) as usize
}

/// The median of windows, each with its instance, and its 95 % interval. Figures that are not finite
/// are left out. With one instance the interval is that of [`Estimate::of`], which knows nothing of
/// the next start.
pub(crate) fn median_of_windows(windows: &[(usize, f64)]) -> Option<Estimate> {
    let finite: Vec<(usize, f64)> =
        windows.iter().copied().filter(|(_, figure)| figure.is_finite()).collect();
    let figures: Vec<f64> = finite.iter().map(|&(_, figure)| figure).collect();
    let instance_of: Vec<usize> = finite.iter().map(|&(instance, _)| instance).collect();
    let whole = Estimate::of(&figures)?;
    let mut resampler = Resampler::new(&instance_of);
    if resampler.instances() < 2 {
        return Some(whole);
    }
    let mut resample = Vec::with_capacity(figures.len());
    let replicates = (0..RESAMPLES)
        .map(|_| {
            resample.clear();
            resample.extend(resampler.draw().iter().map(|&position| figures[position]));
            median(&mut resample)
        })
        .collect();
    let (low, high) = interval(replicates, resampler.instances());
    Some(Estimate { median: whole.median, low, high })
}

/// The ends of the interval that `replicates` of a statistic over so many instances give.
pub(crate) fn interval(mut replicates: Vec<f64>, instances: usize) -> (f64, f64) {
    replicates.sort_by(f64::total_cmp);
    let last = replicates.len() - 1;
    let outside = whole((replicates.len() as f64 * tail(instances)).floor()).min(last / 2);
    (replicates[outside], replicates[last - outside])
}

/// The part of the replicates that lies beyond each end of the interval. Of n instances the plain
/// 2.5 % is too much: the bootstrap's variance is too small by (n-1)/n and takes the normal law for
/// Student's. The expanded percentile interval (Hesterberg 2015) takes the part of the normal law
/// beyond sqrt(n/(n-1)) t instead, t being Student's 97.5 % quantile at n-1 degrees of freedom.
pub(crate) fn tail(instances: usize) -> f64 {
    /// Instances and the part; between two entries the one for fewer instances holds.
    const PARTS: [(usize, f64); 13] = [
        (1, 0.0),
        (4, 0.000_12),
        (5, 0.000_95),
        (6, 0.002_43),
        (7, 0.004_11),
        (8, 0.005_74),
        (9, 0.007_22),
        (10, 0.008_56),
        (15, 0.013_2),
        (20, 0.015_9),
        (30, 0.018_8),
        (60, 0.021_8),
        (120, 0.023_4),
    ];
    PARTS.iter().rev().find(|(count, _)| *count <= instances).map_or(0.0, |&(_, part)| part)
}

/// The chance that an interval over so many instances holds the truth, if instances differ so much
/// more than windows that these add nothing: all are on one side of it with 2^(1-n).
pub(crate) fn coverage_at_worst(instances: usize) -> f64 {
    let below_all = 0.5f64.powi(i32::try_from(instances).unwrap_or(i32::MAX));
    (1.0 - 2.0 * below_all).clamp(0.0, 0.95)
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    (figures[(figures.len() - 1) / 2] + figures[figures.len() / 2]) / 2.0
}

#[expect(clippy::cast_possible_truncation, reason = "a part of the number of replicates")]
#[expect(clippy::cast_sign_loss, reason = "a part of the number of replicates")]
fn whole(count: f64) -> usize {
    count as usize
}
