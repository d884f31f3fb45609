//! What was measured, as it stands in the JSON, and the ratios that follow from it.
//!
//! Owns the schema of `report.json`: an older file that still reads is comparable. Knows nothing of
//! how a figure came about or how it will look.

use serde::{Deserialize, Serialize};

use super::contestants::{CONTROL, CONTROL_AGAIN};
use crate::rig::machine::Machine;
use crate::rig::statistics::Estimate;

/// Goes up when an older reader would misunderstand a newer file.
pub(crate) const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) machine: Machine,
    pub(crate) run: RunFacts,
    pub(crate) contestants: Vec<ContestantFacts>,
    pub(crate) caveats: Vec<String>,
    pub(crate) cells: Vec<CellResult>,
}

/// How it was run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunFacts {
    pub(crate) options: String,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) window_ms: u64,
    pub(crate) server_cpu: usize,
    pub(crate) generator_cpu: usize,
    pub(crate) generator_waits: String,
    pub(crate) seconds: f64,
}

/// Who took part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContestantFacts {
    pub(crate) name: String,
    pub(crate) facts: String,
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
    P999,
}

impl Metric {
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
    pub(crate) rows: Vec<Row>,
}

/// One contestant in one cell.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Why there are no figures, or no more.
    pub(crate) absent: Option<String>,
    /// Whether that is a fault, and not the contestant's nature.
    pub(crate) failed: bool,
    pub(crate) rounds: Vec<Round>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) max_ns: u64,
    pub(crate) requests: u64,
    pub(crate) checked: u64,
    pub(crate) misses: u64,
    /// Sets that followed a miss.
    #[serde(default)]
    pub(crate) refills: u64,
    /// Items evicted since the server was loaded, where it is there to evict.
    #[serde(default)]
    pub(crate) evictions: Option<u64>,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Percentiles and nanoseconds, of all rounds together.
    pub(crate) distribution: Vec<(f64, u64)>,
}

/// One contestant's turn in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) operations_per_s: f64,
    pub(crate) background_per_s: f64,
    pub(crate) cpu_ns_per_operation: Option<f64>,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) generator_busy: f64,
    pub(crate) generator_on_cpu: Option<f64>,
    pub(crate) late_p99_ns: Option<u64>,
}

impl Row {
    /// One figure of every round; not a number where a round has none.
    pub(crate) fn series(&self, metric: Metric) -> Vec<f64> {
        let figure = |round: &Round| match metric {
            Metric::ServerCpu => round.cpu_ns_per_operation.unwrap_or(f64::NAN),
            Metric::Throughput => round.operations_per_s,
            Metric::P50 => round.p50_ns as f64,
            Metric::P99 => round.p99_ns as f64,
            Metric::P999 => round.p999_ns as f64,
        };
        self.rounds.iter().map(figure).collect()
    }

    /// Its median over the rounds.
    pub(crate) fn estimate(&self, metric: Metric) -> Option<Estimate> {
        Estimate::of(&self.series(metric))
    }

    /// The median of what `figure` takes from each round that has it.
    pub(crate) fn median_of(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let figures: Vec<f64> = self.rounds.iter().filter_map(figure).collect();
        Estimate::of(&figures).map(|estimate| estimate.median)
    }
}

impl CellResult {
    /// The row of a contestant.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// One contestant's figure over another's, paired by round.
    pub(crate) fn ratio(&self, over: &str, under: &str, metric: Metric) -> Option<Estimate> {
        let (over, under) = (self.row(over)?, self.row(under)?);
        Estimate::of_ratios(&over.series(metric), &under.series(metric))
    }

    /// What the two identical memcacheds show against each other.
    pub(crate) fn control(&self, metric: Metric) -> Option<Estimate> {
        self.ratio(CONTROL_AGAIN, CONTROL, metric)
    }

    /// Whether a ratio is further from 1 than chance takes it; none without the control.
    pub(crate) fn differs(&self, ratio: Estimate, metric: Metric) -> Option<bool> {
        Some(ratio.differs(self.control(metric)?.spread()))
    }
}
