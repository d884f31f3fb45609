//! How often and for how long: rounds, server instances, and windows.
//!
//! All of it is fixed before the first measurement, so that no result can choose its own conditions.

use std::time::Duration;

use super::cells::{Cell, DataSet, Schedule};
use super::tails::SAMPLES_MIN;
use super::window::Window;

/// More items than this take so long to load that servers are started less often.
const ITEMS_MANY: u64 = 2_000_000;
const INSTANCES_OF_MANY: u32 = 3;
/// Samples planned for a p99.9. With 1.2 million the smallest detectable effect was 11 % at half of
/// memcached's rate, on ten instances.
const SAMPLES_PLANNED: u64 = SAMPLES_MIN * 2;
/// The window for a p99.9 by default is 80 ms of 300: a pause of the machine spoils one of hundreds.
const TAIL_WINDOW: [u32; 2] = [4, 15];
/// Rounds for a p99.9, as multiples of the run's: at least and at most, however slowly requests come.
const TAIL_ROUNDS: [u32; 2] = [6, 30];
/// Longer than 2 s, after which the items with the shorter lifetime have expired.
const EXPIRING_WARM: Duration = Duration::from_millis(2_500);
/// What a window with so long a warm-up measures, as a multiple of the run's.
const EXPIRING_WINDOW: u32 = 3;

/// From the last server's loading to the first window.
pub(crate) const SETTLING: Duration = Duration::from_millis(500);

/// The measure of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// As asked for; each instance gets as many, rounded up.
    pub(crate) rounds: u32,
    pub(crate) instances: u32,
    pub(crate) window: Window,
    /// Whether windows may be added, and instances, until a p99.9 is decided.
    pub(crate) decides_tails: bool,
}

impl Plan {
    /// Starts of every server for this data set.
    pub(crate) fn instances(&self, data: &DataSet) -> u32 {
        let items: u64 = data.keyspaces().map(|keyspace| u64::from(keyspace.count)).sum();
        let most = if items > ITEMS_MANY { INSTANCES_OF_MANY } else { u32::MAX };
        self.instances.min(self.rounds).min(most)
    }

    /// Rounds on each instance of a cell, at so many requests a second where its rate is fixed: with
    /// a p99.9 to decide, as many as have enough requests together.
    pub(crate) fn rounds_each(&self, cell: &Cell, per_second: Option<u64>) -> u32 {
        let instances = self.instances(&cell.data);
        let plain = self.rounds.div_ceil(instances);
        match cell.schedule {
            Schedule::Tails if self.decides_tails => {
                let [least, most] = TAIL_ROUNDS.map(|times| times * self.rounds);
                let window = self.window_of(cell).measure;
                let requests = window.as_secs_f64() * per_second.unwrap_or(0) as f64;
                let needed = (SAMPLES_PLANNED as f64 / requests).ceil();
                let rounds = if needed < f64::from(most) { whole(needed) } else { u64::from(most) };
                u32::try_from(rounds).unwrap_or(most).max(least).div_ceil(instances)
            }
            Schedule::Plain | Schedule::Tails | Schedule::Expiring => plain,
        }
    }

    /// The windows of a cell.
    pub(crate) fn window_of(&self, cell: &Cell) -> Window {
        match cell.schedule {
            Schedule::Tails if self.decides_tails => {
                let measure = self.window.measure * TAIL_WINDOW[0] / TAIL_WINDOW[1];
                Window { warm: measure / 5, measure }
            }
            Schedule::Plain | Schedule::Tails => self.window,
            Schedule::Expiring => {
                Window { warm: EXPIRING_WARM, measure: self.window.measure * EXPIRING_WINDOW }
            }
        }
    }

    /// The window that lets caches, branch predictors and buffers settle before the first round.
    pub(crate) fn warm_up(&self) -> Window {
        Window { measure: self.window.measure / 2, ..self.window }
    }
}

/// A rate as a whole number, at least 1.
#[expect(clippy::cast_possible_truncation, reason = "rates are far below 2^53")]
#[expect(clippy::cast_sign_loss, reason = "rates are positive")]
pub(crate) fn whole(rate: f64) -> u64 {
    rate.max(1.0) as u64
}
