//! How often and for how long: rounds, server instances, and windows.
//!
//! All of it is fixed before the first measurement, so that no result can choose its own conditions.

use std::time::Duration;

use super::cells::{Cell, DataSet};
use super::results::Metric;
use super::tails::SAMPLES_MIN;
use super::window::Window;

/// More items than this take so long to load that servers are started less often.
const ITEMS_MANY: u64 = 2_000_000;
const INSTANCES_OF_MANY: u32 = 3;
/// The longest window, however slowly requests come.
const WINDOW_MAX: Duration = Duration::from_secs(4);
/// Samples planned for a p99.9, with a margin for dropped windows.
const SAMPLES_PLANNED: u64 = SAMPLES_MIN * 6 / 5;

/// From the last server's loading to the first window.
pub(crate) const SETTLING: Duration = Duration::from_millis(500);

/// The measure of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// As asked for; each instance gets as many, rounded up.
    pub(crate) rounds: u32,
    pub(crate) instances: u32,
    pub(crate) window: Window,
    /// Whether windows may grow, and instances be added, until a p99.9 is decided.
    pub(crate) decides_tails: bool,
}

impl Plan {
    /// Starts of every server for this data set.
    pub(crate) fn instances(&self, data: &DataSet) -> u32 {
        let items: u64 = data.keyspaces().map(|keyspace| u64::from(keyspace.count)).sum();
        let most = if items > ITEMS_MANY { INSTANCES_OF_MANY } else { u32::MAX };
        self.instances.min(self.rounds).min(most)
    }

    /// Rounds on each instance.
    pub(crate) fn rounds_each(&self, data: &DataSet) -> u32 {
        self.rounds.div_ceil(self.instances(data))
    }

    /// The window of a cell in which so many requests a second come; longer where its p99.9 has to
    /// be decided, so that all planned windows together have enough of them.
    pub(crate) fn window_at(&self, cell: &Cell, per_second: Option<u64>) -> Window {
        let rate = per_second.filter(|_| self.decides_tails && cell.metric == Metric::P999);
        let Some(per_second) = rate else {
            return self.window;
        };
        let windows = u64::from(self.instances(&cell.data) * self.rounds_each(&cell.data));
        let ms = 1000 * SAMPLES_PLANNED / (windows * per_second.max(1)).max(1) + 1;
        let needed = Duration::from_millis(ms).min(WINDOW_MAX);
        Window { measure: needed.max(self.window.measure), ..self.window }
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
