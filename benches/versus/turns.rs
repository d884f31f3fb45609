//! Turns: every contestant measured for a short while, round after round, in changing order.
//!
//! What disturbs the machine for longer than a window then disturbs all of them alike. Owns the order
//! of things in a run, and the servers' and connections' lives. Knows no output but progress.

use std::rc::Rc;

use hdrhistogram::Histogram;

use super::cells::{BASELINE, Cell, DataSet, Method, baseline_of};
use super::contestants::{CONTROL, Contestant, Running};
use super::generator::Generator;
use super::progress::Progress;
use super::results::{CellResult, Metric, Round, Row};
use super::ring::{Popularity, Ring};
use super::search;
use super::traffic::{Pace, Traffic};
use super::window::{Sample, Wait, Window, latency_histogram};
use crate::rig::cpus::Placement;
use crate::rig::failure::Failure;
use crate::rig::stop::Stop;

/// Rates this many times below what is expected are not searched: who fails there was disturbed.
const RATE_RANGE: f64 = 20.0;

/// What holds for all cells of a run.
pub(crate) struct Turns {
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) placement: Placement,
    pub(crate) rounds: usize,
    pub(crate) window: Window,
    pub(crate) wait: Wait,
    pub(crate) stop: Stop,
}

/// One contestant's part in the cell that is being measured.
struct Entry<'a> {
    running: Option<&'a Running>,
    generator: Option<Generator>,
    row: Row,
    latencies: Histogram<u32>,
    /// Where the search starts as long as none has found anything.
    expected_rate: f64,
}

impl Turns {
    /// Measures all cells, which come grouped by their data.
    pub(crate) fn measure(
        &self,
        cells: &[Cell],
        progress: &mut Progress,
    ) -> Result<Vec<CellResult>, Failure> {
        let mut results: Vec<CellResult> = Vec::new();
        for group in cells.chunk_by(|one, other| one.data == other.data) {
            let data = group[0].data;
            let mut servers = Vec::new();
            for contestant in &self.contestants {
                self.stop.check()?;
                if !group.iter().any(|cell| contestant.takes_part(cell)) {
                    servers.push(Err(Failure(format!("{} was not needed", contestant.name))));
                    continue;
                }
                progress.loading(&contestant.name, &data);
                servers.push(contestant.start(&data, self.placement));
            }
            let mut rings = Rings { data, drawn: Vec::new() };
            for cell in group {
                progress.begin(cell.name);
                let traffic = self.traffic(cell, &results, &servers, &mut rings)?;
                results.push(self.measure_cell(cell, &traffic, &servers, progress)?);
            }
        }
        Ok(results)
    }

    /// The cell's load, with its rate filled in where that depends on memcached's.
    fn traffic(
        &self,
        cell: &Cell,
        results: &[CellResult],
        servers: &[Result<Running, Failure>],
        rings: &mut Rings,
    ) -> Result<Vec<(Traffic, Rc<Ring>)>, Failure> {
        let baseline = baseline_of(cell.data);
        let traffic = match &cell.method {
            Method::Load(traffic) => traffic.clone(),
            Method::RateSearch => vec![baseline],
            Method::PercentOfSaturation(percent) => {
                let known = results
                    .iter()
                    .find(|result| result.name == BASELINE)
                    .and_then(|result| result.row(CONTROL)?.estimate(Metric::Throughput));
                let most = match known {
                    Some(estimate) => estimate.median,
                    None => self.saturate_control(baseline, servers, rings)?,
                };
                let per_second = search::whole(most * f64::from(*percent) / 100.0);
                vec![Traffic { pace: Pace::Fixed { per_second }, ..baseline }]
            }
        };
        Ok(traffic.into_iter().map(|traffic| (traffic, rings.ring(traffic))).collect())
    }

    /// Where the baseline itself is not part of the run, its rate has to be found first.
    fn saturate_control(
        &self,
        baseline: Traffic,
        servers: &[Result<Running, Failure>],
        rings: &mut Rings,
    ) -> Result<f64, Failure> {
        let at = self.contestants.iter().position(|contestant| contestant.name == CONTROL);
        let Some(Ok(running)) = at.map(|at| &servers[at]) else {
            return Err(Failure(format!("{CONTROL} is needed to choose a rate")));
        };
        let traffic = [(baseline, rings.ring(baseline))];
        let mut generator =
            Generator::connect(&running.endpoint, &traffic, running.contents, self.wait)?;
        let mut rates = Vec::new();
        for round in 0..3 {
            let sample = generator.run(self.window, round, None)?;
            rates.push(sample.operations as f64 / sample.seconds);
        }
        rates.sort_by(f64::total_cmp);
        Ok(rates[1])
    }

    fn measure_cell(
        &self,
        cell: &Cell,
        traffic: &[(Traffic, Rc<Ring>)],
        servers: &[Result<Running, Failure>],
        progress: &mut Progress,
    ) -> Result<CellResult, Failure> {
        let mut entries: Vec<Entry<'_>> = self
            .contestants
            .iter()
            .zip(servers)
            .filter(|(contestant, _)| contestant.takes_part(cell))
            .map(|(contestant, server)| self.enter(contestant, server, cell, traffic))
            .collect();
        // The first round warms caches and branch predictors, and grows buffers; it does not count.
        for entry in &mut entries {
            entry.turn(|entry| entry.warm_up(self.window));
        }
        for round in 0..self.rounds {
            progress.round(round);
            for step in 0..entries.len() {
                self.stop.check()?;
                let forward = (round + step) % entries.len();
                // Every other round goes backwards, so that nobody always follows the same one.
                let at = if round % 2 == 0 { forward } else { entries.len() - 1 - forward };
                entries[at].turn(|entry| match cell.method {
                    Method::RateSearch => entry.search(self.window, round),
                    Method::Load(_) | Method::PercentOfSaturation(_) => {
                        entry.measure(self.window, round)
                    }
                });
            }
        }
        let rows: Vec<Row> = entries.into_iter().map(Entry::finish).collect();
        let result = CellResult {
            name: cell.name.to_string(),
            what: cell.what.clone(),
            metric: cell.metric,
            rows,
        };
        progress.done(&result);
        Ok(result)
    }

    fn enter<'a>(
        &self,
        contestant: &Contestant,
        server: &'a Result<Running, Failure>,
        cell: &Cell,
        traffic: &[(Traffic, Rc<Ring>)],
    ) -> Entry<'a> {
        let mut entry = Entry {
            running: None,
            generator: None,
            row: Row { name: contestant.name.clone(), ..Row::default() },
            latencies: latency_histogram(),
            expected_rate: 0.0,
        };
        if let Some(reason) = contestant.excused_from(cell) {
            entry.row.absent = Some(reason.to_string());
            return entry;
        }
        let connected = server.as_ref().map_err(Clone::clone).and_then(|running| {
            entry.running = Some(running);
            Generator::connect(&running.endpoint, traffic, running.contents, self.wait)
        });
        match connected {
            Ok(generator) => entry.generator = Some(generator),
            Err(failure) => entry.fail(&failure),
        }
        entry
    }
}

impl Entry<'_> {
    /// Does something with a contestant that is still in the race; a failure takes it out of this
    /// cell, and is reported instead of its figures.
    fn turn(&mut self, what: impl FnOnce(&mut Self) -> Result<(), Failure>) {
        if self.generator.is_some()
            && let Err(failure) = what(self)
        {
            self.fail(&failure);
        }
    }

    fn fail(&mut self, failure: &Failure) {
        self.row.absent = Some(failure.to_string());
        self.row.failed = true;
        self.generator = None;
    }

    fn warm_up(&mut self, window: Window) -> Result<(), Failure> {
        let Some(generator) = &mut self.generator else {
            return Ok(());
        };
        let sample = generator.run(window, 0, None)?;
        // A closed loop keeps all connections waiting; answers in time need some air.
        self.expected_rate = 0.7 * sample.operations as f64 / sample.seconds;
        self.count(&sample);
        Ok(())
    }

    fn measure(&mut self, window: Window, round: usize) -> Result<(), Failure> {
        let Some(generator) = &mut self.generator else {
            return Ok(());
        };
        let clock = self.running.and_then(|running| running.clock);
        let sample = generator.run(window, round + 1, clock)?;
        self.count(&sample);
        self.keep(&sample, sample.operations as f64 / sample.seconds);
        Ok(())
    }

    fn search(&mut self, window: Window, round: usize) -> Result<(), Failure> {
        let Some(generator) = &mut self.generator else {
            return Ok(());
        };
        let clock = self.running.and_then(|running| running.clock);
        let mut samples = Vec::new();
        // The median and not the last, which a disturbance may have sent anywhere.
        let found_before = self.row.median_of(|round| Some(round.operations_per_s));
        let expected = found_before.filter(|&rate| rate > 0.0).unwrap_or(self.expected_rate);
        let found =
            search::highest_rate(expected, self.expected_rate / RATE_RANGE, |per_second| {
                generator.set_pace(Pace::Fixed { per_second });
                let sample = generator.run(window, round + 1, clock)?;
                let p999_ns = sample.latencies.value_at_quantile(0.999);
                samples.push((per_second, sample));
                Ok(p999_ns)
            })?;
        for (_, sample) in &samples {
            self.count(sample);
        }
        // Of two probes at the rate, the second is there because the first one failed.
        let passed = samples.iter().rev().find(|(per_second, _)| found == Some(*per_second));
        if let Some((per_second, sample)) = passed {
            self.keep(sample, *per_second as f64);
        } else if let Some((_, sample)) = samples.last() {
            self.keep(sample, 0.0);
        }
        Ok(())
    }

    fn count(&mut self, sample: &Sample) {
        let tally = &sample.tally;
        self.row.requests += tally.requests;
        self.row.checked += tally.checked;
        self.row.misses += tally.misses;
        self.row.refills += tally.refills;
        self.row.errors += tally.errors;
        if self.row.first_error.is_none() {
            self.row.first_error.clone_from(&tally.first_error);
        }
    }

    fn keep(&mut self, sample: &Sample, operations_per_s: f64) {
        let latencies = &sample.latencies;
        let operations = sample.operations as f64;
        // With other traffic in the background, CPU time cannot be told apart.
        let alone = sample.background_operations == 0 && sample.operations > 0;
        self.row.rounds.push(Round {
            operations_per_s,
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
        });
        self.row.max_ns = self.row.max_ns.max(latencies.max());
        // Both have the same bounds, so adding cannot fail.
        let _ = self.latencies.add(latencies);
    }

    fn finish(mut self) -> Row {
        /// Percent; enough for a smooth line on a scale of nines.
        const PERCENTILES: [f64; 17] = [
            0.0, 10.0, 25.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.8, 99.9,
            99.95, 99.99, 100.0,
        ];
        let at = |percent: f64| (percent, self.latencies.value_at_percentile(percent));
        self.row.distribution = PERCENTILES.map(at).to_vec();
        self.row.resident_bytes = self.running.and_then(Running::resident_bytes);
        self.row.evictions = self.running.and_then(Running::evictions);
        self.row
    }
}

/// The rings of one data set; drawing one takes longer than a window.
struct Rings {
    data: DataSet,
    drawn: Vec<((u32, Popularity), Rc<Ring>)>,
}

impl Rings {
    fn ring(&mut self, traffic: Traffic) -> Rc<Ring> {
        let wanted = (traffic.keyspace.count, traffic.popularity);
        debug_assert!(self.data.keyspaces().any(|keyspace| keyspace == traffic.keyspace));
        if let Some((_, ring)) = self.drawn.iter().find(|(known, _)| *known == wanted) {
            return Rc::clone(ring);
        }
        let ring = Rc::new(Ring::draw(wanted.0, wanted.1));
        self.drawn.push((wanted, Rc::clone(&ring)));
        ring
    }
}
