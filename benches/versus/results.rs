//! What was measured, as it stands in the JSON, and the ratios that follow from it.
//!
//! Owns the schema of `report.json`: an older file that still reads is comparable. Knows nothing of
//! how a figure came about or how it will look.

use serde::{Deserialize, Serialize};

use super::contestants::{CONTROL, CONTROL_AGAIN, FLOOR, MIOCACHED, THREADED, TUNED};
use super::tails::{Tail, TailRatio};
use crate::rig::accounting::Shares;
use crate::rig::bootstrap::median_of_windows;
use crate::rig::machine::Machine;
use crate::rig::statistics::Estimate;

/// Goes up when an older reader would misunderstand a newer file. 2: server instances, dropped
/// windows, p99.9 over all windows together, comparisons with their smallest detectable effect.
/// 3: p99.9 and its ratios are medians over blocks of rounds.
pub(crate) const SCHEMA: u32 = 3;

/// Those that every contestant is compared with.
pub(crate) const REFERENCES: [&str; 5] = [CONTROL, CONTROL_AGAIN, TUNED, THREADED, FLOOR];

/// Below this smallest detectable effect, "no difference" at p99.9 settles the question.
pub(crate) const TAIL_SETTLED_BELOW: f64 = 0.1;

/// A whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) machine: Machine,
    pub(crate) run: RunFacts,
    pub(crate) memcached: Baseline,
    pub(crate) contestants: Vec<ContestantFacts>,
    pub(crate) caveats: Vec<String>,
    pub(crate) cells: Vec<CellResult>,
}

/// The memcached that everything is measured against.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) version: String,
    /// How it was built, as far as its file can say.
    pub(crate) build: String,
    /// Older than 1.6.35: each answer to a bare `get` is sent with a system call of its own, which
    /// makes all other servers look better wherever gets are pipelined.
    pub(crate) sends_gets_singly: bool,
    /// Why its figures may be worse than those of a careful build of a current release.
    pub(crate) warnings: Vec<String>,
}

/// How it was run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunFacts {
    pub(crate) options: String,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// Starts of each server per data set; fewer where loading takes long.
    pub(crate) instances: usize,
    pub(crate) window_ms: u64,
    pub(crate) server_cpu: usize,
    pub(crate) generator_cpu: usize,
    /// What the two CPUs share.
    pub(crate) cpus: String,
    pub(crate) generator_waits: String,
    /// Of servers and generator in the cells about a p99.9.
    pub(crate) priority: String,
    /// Windows with a larger share of steal on either CPU were dropped.
    pub(crate) steal_bound: f64,
    pub(crate) seconds: f64,
    pub(crate) seconds_expected: f64,
}

/// A contestant's description.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContestantFacts {
    pub(crate) name: String,
    pub(crate) facts: String,
    /// What its binary says of its compiler, and what stands beside it.
    #[serde(default)]
    pub(crate) build: String,
}

/// The figure that a cell is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Metric {
    /// Nanoseconds of the server's CPU time for one operation.
    ServerCpu,
    /// Operations a second; the only one where more is better.
    Throughput,
    P50,
    P99,
    /// The median over blocks of rounds, and only with enough samples.
    P999,
}

impl Metric {
    pub(crate) const ALL: [Self; 5] =
        [Self::ServerCpu, Self::Throughput, Self::P50, Self::P99, Self::P999];

    /// How the report calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServerCpu => "server CPU per operation",
            Self::Throughput => "operations a second",
            Self::P50 => "median latency",
            Self::P99 => "p99 latency",
            Self::P999 => "p99.9 latency",
        }
    }
}

/// One cell, all contestants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CellResult {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) metric: Metric,
    /// Requests a second, where the rate was chosen from memcached's.
    pub(crate) rate_per_s: Option<u64>,
    pub(crate) window_ms: u64,
    pub(crate) instances: usize,
    /// Whether further instances were measured because p99.9 was not settled after the planned ones.
    pub(crate) was_extended: bool,
    /// At which priority servers and generator ran.
    pub(crate) priority: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) comparisons: Vec<Comparison>,
}

/// One contestant's figure relative to another's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) over: String,
    pub(crate) under: String,
    pub(crate) metric: Metric,
    pub(crate) ratio: Estimate,
    /// How far from 1 the ratio had to be to pass for a difference; none without the control.
    pub(crate) smallest_detectable: Option<f64>,
    /// Whether it passes for one.
    pub(crate) differs: Option<bool>,
}

/// One contestant in one cell.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Why there are no figures, or no more.
    pub(crate) absent: Option<String>,
    /// Whether that is a fault, and not the contestant's nature.
    pub(crate) failed: bool,
    /// One per round, in order; rounds of the same number are pairs.
    pub(crate) rounds: Vec<Round>,
    /// Windows that were measured again because of steal.
    pub(crate) dropped: Vec<Round>,
    pub(crate) tail: Option<Tail>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) max_ns: u64,
    pub(crate) requests: u64,
    pub(crate) checked: u64,
    /// Keys that gets asked for, and those of them that were not there.
    pub(crate) lookups: u64,
    pub(crate) misses: u64,
    /// Sets that followed a miss.
    #[serde(default)]
    pub(crate) refills: u64,
    /// Items evicted since the server was loaded, where it is there to evict.
    #[serde(default)]
    pub(crate) evictions: Option<u64>,
    /// Sets refused for want of memory.
    pub(crate) refused: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Percentiles and nanoseconds, of all rounds together.
    pub(crate) distribution: Vec<(f64, u64)>,
}

/// One contestant's turn in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) instance: usize,
    /// Disturbed in the last repetition too: in no figure.
    pub(crate) missing: bool,
    pub(crate) operations_per_s: f64,
    pub(crate) background_per_s: f64,
    pub(crate) cpu_ns_per_operation: Option<f64>,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) generator_busy: f64,
    pub(crate) generator_on_cpu: Option<f64>,
    pub(crate) late_p99_ns: Option<u64>,
    pub(crate) late_p999_ns: Option<u64>,
    /// The longest pause of a generator that never sleeps, while it had nothing to do.
    #[serde(default)]
    pub(crate) longest_gap_ns: Option<u64>,
    /// What the kernel says of the servers' CPU and the generator's, warm-up included.
    pub(crate) cpus: Option<Vec<Shares>>,
}

impl Row {
    /// One figure of every round with its instance; not a number where a round has none.
    fn series(&self, metric: Metric) -> Vec<(usize, f64)> {
        let figure = |round: &Round| match metric {
            _ if round.missing => f64::NAN,
            Metric::ServerCpu => round.cpu_ns_per_operation.unwrap_or(f64::NAN),
            Metric::Throughput => round.operations_per_s,
            Metric::P50 => round.p50_ns as f64,
            Metric::P99 => round.p99_ns as f64,
            Metric::P999 => round.p999_ns as f64,
        };
        self.rounds.iter().map(|round| (round.instance, figure(round))).collect()
    }

    /// Its median over the rounds; of p99.9 that over blocks of rounds, if decidable.
    pub(crate) fn estimate(&self, metric: Metric) -> Option<Estimate> {
        match metric {
            Metric::P999 => self.tail.as_ref().filter(|x| x.is_decidable()).map(|x| x.p999_ns),
            Metric::ServerCpu | Metric::Throughput | Metric::P50 | Metric::P99 => {
                median_of_windows(&self.series(metric))
            }
        }
    }

    /// The median of what `figure` takes from each round that has it.
    pub(crate) fn median_of(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let rounds = self.rounds.iter().filter(|round| !round.missing);
        let figures: Vec<f64> = rounds.filter_map(figure).collect();
        Estimate::of(&figures).map(|estimate| estimate.median)
    }

    /// The part of all lookups that found nothing; none where nothing was looked up, or nothing missed.
    pub(crate) fn miss_share(&self) -> Option<f64> {
        let any = self.misses > 0 && self.lookups > 0;
        any.then(|| self.misses as f64 / self.lookups as f64)
    }

    /// Rounds without a figure, because every attempt was disturbed.
    pub(crate) fn missing(&self) -> usize {
        self.rounds.iter().filter(|round| round.missing).count()
    }
}

impl CellResult {
    /// The row of a contestant.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// One contestant's figure relative to another's.
    pub(crate) fn comparison(
        &self,
        over: &str,
        under: &str,
        metric: Metric,
    ) -> Option<&Comparison> {
        self.comparisons
            .iter()
            .find(|known| known.over == over && known.under == under && known.metric == metric)
    }

    /// Its ratio alone.
    pub(crate) fn ratio(&self, over: &str, under: &str, metric: Metric) -> Option<Estimate> {
        self.comparison(over, under, metric).map(|comparison| comparison.ratio)
    }

    /// Whether its figure is a latency: at a fixed rate, or with one connection.
    pub(crate) fn is_about_latency(&self) -> bool {
        match self.metric {
            Metric::P50 | Metric::P99 | Metric::P999 => true,
            Metric::ServerCpu | Metric::Throughput => false,
        }
    }

    /// What the two identical memcacheds show against each other.
    pub(crate) fn control(&self, metric: Metric) -> Option<Estimate> {
        self.ratio(CONTROL_AGAIN, CONTROL, metric)
    }

    /// Fills in all comparisons: every contestant by the cell's metric and by CPU, miocached and the
    /// control by every metric.
    pub(crate) fn compare(&mut self, tails: &[TailRatio]) {
        let mut found = Vec::new();
        for metric in Metric::ALL {
            let ratio = |over: &Row, under: &str| match metric {
                Metric::P999 => {
                    let known = tails.iter().find(|x| x.over == over.name && x.under == under);
                    known.map(|known| known.ratio)
                }
                Metric::ServerCpu | Metric::Throughput | Metric::P50 | Metric::P99 => {
                    ratio_of(&over.series(metric), &self.row(under)?.series(metric))
                }
            };
            let control = self.row(CONTROL_AGAIN).and_then(|again| ratio(again, CONTROL));
            for row in &self.rows {
                let wanted = metric == self.metric
                    || metric == Metric::ServerCpu
                    || [MIOCACHED, CONTROL_AGAIN].contains(&row.name.as_str());
                for under in REFERENCES.iter().filter(|_| wanted) {
                    let Some(ratio) = ratio(row, under) else { continue };
                    let spread = control.map(Estimate::spread);
                    found.push(Comparison {
                        over: row.name.clone(),
                        under: (*under).to_string(),
                        metric,
                        ratio,
                        smallest_detectable: spread.map(|spread| ratio.smallest_detectable(spread)),
                        differs: spread.map(|spread| ratio.differs(spread)),
                    });
                }
            }
        }
        self.comparisons = found;
    }
}

impl Comparison {
    /// Whether the question is answered: the interval excludes 1, or a difference that matters would
    /// have shown.
    pub(crate) fn is_settled(&self) -> bool {
        !self.ratio.holds(1.0)
            || self.smallest_detectable.is_some_and(|effect| effect < TAIL_SETTLED_BELOW)
    }
}

/// Ratios are taken round by round, so that what disturbs a whole round cancels.
fn ratio_of(over: &[(usize, f64)], under: &[(usize, f64)]) -> Option<Estimate> {
    let ratio = |(&(instance, top), &(_, bottom)): (&(usize, f64), &(usize, f64))| {
        (instance, if bottom > 0.0 { top / bottom } else { f64::NAN })
    };
    median_of_windows(&over.iter().zip(under).map(ratio).collect::<Vec<_>>())
}
