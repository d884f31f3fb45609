//! One contestant's record in one cell, over all instances of its server.
//!
//! Owns what is kept of each window, and the rule that drops one. Starts nothing, and knows neither
//! the order of turns nor how the figures will look.

use hdrhistogram::Histogram;

use super::contestants::Running;
use super::dropping::{attempt, is_disturbed};
use super::generator::Generator;
use super::results::{Round, Row};
use super::tails::Counts;
use super::window::{Sample, Window, latency_histogram};
use crate::rig::accounting::{Reading, Shares};
use crate::rig::failure::Failure;

/// Repetitions ask for other keys than the window they replace, whose keys are in the caches.
const REPETITION_APART: usize = 10_000;

/// What has been measured of one contestant in one cell.
pub(crate) struct Record {
    pub(crate) row: Row,
    /// Each round's latencies; empty for one without figures.
    pub(crate) counts: Vec<Counts>,
    latencies: Histogram<u32>,
}

/// The record while its contestant runs and is connected.
pub(crate) struct Entry<'a> {
    pub(crate) record: &'a mut Record,
    pub(crate) running: Option<&'a Running>,
    pub(crate) generator: Option<Generator>,
}

/// One window to be measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) window: Window,
    /// Counted over all instances.
    pub(crate) round: usize,
    pub(crate) instance: usize,
    /// The servers' CPU and the generator's.
    pub(crate) cpus: [usize; 2],
    /// With a larger share of steal on either CPU the window is repeated.
    pub(crate) steal_max: f64,
}

impl Record {
    /// Nothing has been measured.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            row: Row { name: name.to_string(), ..Row::default() },
            counts: Vec::new(),
            latencies: latency_histogram(),
        }
    }

    /// Notes why there are no figures, or no more.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.row.absent = Some(failure.to_string());
        self.row.failed = true;
    }

    /// Whether it still takes part.
    pub(crate) fn is_open(&self) -> bool {
        self.row.absent.is_none()
    }

    /// Percentiles and nanoseconds of all rounds together.
    pub(crate) fn distribution(&self) -> Vec<(f64, u64)> {
        /// Percent; enough for a smooth line on a scale of nines.
        const PERCENTILES: [f64; 17] = [
            0.0, 10.0, 25.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.8, 99.9,
            99.95, 99.99, 100.0,
        ];
        let at = |percent: f64| (percent, self.latencies.value_at_percentile(percent));
        PERCENTILES.map(at).to_vec()
    }

    fn count(&mut self, sample: &Sample) {
        let tally = &sample.tally;
        self.row.requests += tally.requests;
        self.row.checked += tally.checked;
        self.row.lookups += tally.lookups;
        self.row.misses += tally.misses;
        self.row.refills += tally.refills;
        self.row.refused += tally.refused;
        self.row.errors += tally.errors;
        if self.row.first_error.is_none() {
            self.row.first_error.clone_from(&tally.first_error);
        }
    }

    fn keep(&mut self, round: Round, latencies: &Histogram<u32>) {
        if round.missing {
            self.counts.push(Counts::default());
        } else {
            self.counts.push(Counts::of(latencies));
            self.row.max_ns = self.row.max_ns.max(latencies.max());
            // Both have the same bounds, so adding cannot fail.
            let _ = self.latencies.add(latencies);
        }
        self.row.rounds.push(round);
    }
}

impl Entry<'_> {
    /// Resumes a contestant that still takes part, does something with it, and pauses it again; a
    /// failure takes it out of this cell, and is reported instead of its figures.
    pub(crate) fn turn(&mut self, what: impl FnOnce(&mut Self) -> Result<(), Failure>) {
        let Some(running) = self.running.filter(|_| self.generator.is_some()) else {
            return;
        };
        if let Err(failure) = running.while_resumed(|| what(self)) {
            self.record.fail(&failure);
            self.generator = None;
        }
    }

    /// A window that does not count.
    pub(crate) fn warm_up(&mut self, window: Window) -> Result<(), Failure> {
        if let Some(generator) = &mut self.generator {
            let sample = generator.run(window, 0, None)?;
            self.record.count(&sample);
        }
        Ok(())
    }

    /// A window that counts, measured again if it was disturbed, as often as the plan allows.
    pub(crate) fn measure(&mut self, turn: Turn) -> Result<(), Failure> {
        let clock = self.running.and_then(|running| running.clock);
        let Some(generator) = &mut self.generator else {
            return Ok(());
        };
        let record = &mut *self.record;
        let attempts = attempt(|nth| {
            let before = Reading::of(&turn.cpus);
            let number = turn.round + 1 + nth * REPETITION_APART;
            let sample = generator.run(turn.window, number, clock)?;
            let after = Reading::of(&turn.cpus);
            let cpus = after.zip(before).and_then(|(after, before)| after.since(&before));
            record.count(&sample);
            let disturbed = is_disturbed(cpus.as_deref(), turn.steal_max);
            Ok(((round(&sample, turn.instance, cpus), sample.latencies), disturbed))
        })?;
        record.row.dropped.extend(attempts.dropped.into_iter().map(|(round, _)| round));
        let (round, latencies) = attempts.last;
        record.keep(Round { missing: attempts.is_missing, ..round }, &latencies);
        Ok(())
    }
}

fn round(sample: &Sample, instance: usize, cpus: Option<Vec<Shares>>) -> Round {
    let latencies = &sample.latencies;
    let operations = sample.operations as f64;
    // With other traffic in the background, it cannot be said what the CPU time was used for.
    let alone = sample.background_operations == 0 && sample.operations > 0;
    Round {
        instance,
        missing: false,
        operations_per_s: operations / sample.seconds,
        background_per_s: sample.background_operations as f64 / sample.seconds,
        cpu_ns_per_operation: sample
            .server_cpu
            .filter(|_| alone)
            .map(|cpu| cpu.as_secs_f64() * 1e9 / operations),
        p50_ns: latencies.value_at_quantile(0.5),
        p99_ns: latencies.value_at_quantile(0.99),
        p999_ns: latencies.value_at_quantile(0.999),
        generator_busy: sample.generator_busy,
        generator_on_cpu: sample.generator_on_cpu,
        late_p99_ns: sample.late_p99_ns,
        late_p999_ns: sample.late_p999_ns,
        longest_gap_ns: sample.longest_gap_ns,
        cpus,
    }
}
