//! Medians with an interval, and when a difference is one.
//!
//! Pure functions on slices; knows neither units nor contestants.

use serde::{Deserialize, Serialize};

/// A median and its 95 % interval.
///
/// The interval is the distribution-free one between two order statistics: a sample is below the
/// true median with probability one half, so ranks follow the binomial law. It needs no assumption
/// on the shape of the noise, which is never normal on a shared machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// Of no samples there is none. Of fewer than six, smallest to largest is less than 95 % sure.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.iter().copied().filter(|x| x.is_finite()).collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
        let rank = interval_rank(count);
        Some(Self { median, low: sorted[rank - 1], high: sorted[count - rank] })
    }

    /// Ratios are taken round by round, so that what disturbs a whole round cancels.
    pub(crate) fn of_ratios(numerators: &[f64], denominators: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = numerators
            .iter()
            .zip(denominators)
            .filter(|&(_, &denominator)| denominator > 0.0)
            .map(|(numerator, denominator)| numerator / denominator)
            .collect();
        Self::of(&ratios)
    }

    /// How far from 1 a ratio can be by chance, judged by two runs of the same program: the far end
    /// of the interval of their ratio.
    pub(crate) fn spread(self) -> f64 {
        distance(self.low).max(distance(self.high))
    }

    /// From the median to the farther end of the interval, as a ratio's distance from 1.
    pub(crate) fn half_width(self) -> f64 {
        (self.median / self.low).max(self.high / self.median) - 1.0
    }

    /// How far from 1 a ratio had to be to pass for a difference: beyond what two runs of the same
    /// program show, and with an interval of this width beside 1.
    pub(crate) fn smallest_detectable(self, spread: f64) -> f64 {
        spread.max(self.half_width())
    }

    /// Whether the interval holds `value`.
    pub(crate) fn holds(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether a ratio says anything: further from 1 than the control strays, and not by chance.
    pub(crate) fn differs(self, spread: f64) -> bool {
        distance(self.median) > spread && !self.holds(1.0)
    }
}

/// How far a ratio is from 1, the same for a half as for a double: 1.
fn distance(ratio: f64) -> f64 {
    ratio.max(1.0 / ratio) - 1.0
}

/// The largest rank r, counted from 1, for which the order statistics r and count + 1 - r enclose
/// the median with at least 95 %; 1 where even the extremes do not.
pub(crate) fn interval_rank(count: usize) -> usize {
    let mut probability = 0.5f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut below = 0.0;
    for rank in 0..count / 2 {
        below += probability;
        // `below` is now the chance of at most `rank` samples under the median, on one side.
        if below > 0.025 {
            return rank.max(1);
        }
        probability *= (count - rank) as f64 / (rank + 1) as f64;
    }
    (count / 2).max(1)
}
