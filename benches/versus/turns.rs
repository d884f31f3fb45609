//! Turns: every contestant measured for a short while, round after round, in random order.
//!
//! What disturbs the machine for longer than a window then disturbs all of them alike. The servers
//! that are not measured are paused. All servers of a data set are started several times over, because
//! memory layout and hash seed are drawn anew at each start. Owns the order of things in a run, and the
//! servers' and connections' lives. Knows no output but progress.

use std::rc::Rc;
use std::time::Duration;

use super::cells::{Cell, DataSet, Method, baseline_of};
use super::contestants::{CONTROL, Contestant, MIOCACHED, Running};
use super::dropping::{STEAL_MAX, STEAL_MAX_OF_TAILS};
use super::generator::Generator;
use super::plan::{Plan, SETTLING, whole};
use super::progress::Progress;
use super::record::{Entry, Record, Turn};
use super::results::{CellResult, Metric, REFERENCES, Row};
use super::ring::{Popularity, Ring};
use super::tails::{self, TailRatio};
use super::traffic::{Pace, Traffic};
use super::window::{Sample, Wait, Window};
use crate::rig::cpus::Placement;
use crate::rig::failure::Failure;
use crate::rig::priority::{Priority, Raised, TURN_MAX};
use crate::rig::random::{Random, mix};
use crate::rig::stop::Stop;

/// Apart from the seeds of keys and arrivals, which are the rounds themselves.
const ORDER_SEED: u64 = 0x6f72_6465_7220_6f66;

/// What holds for all cells of a run.
pub(crate) struct Turns {
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) placement: Placement,
    pub(crate) plan: Plan,
    pub(crate) wait: Wait,
    /// At which the cells about a p99.9 run; all others run at the ordinary one.
    pub(crate) priority: Priority,
    pub(crate) stop: Stop,
}

type Servers = Vec<Result<Running, Failure>>;
type Load = Vec<(Traffic, Rc<Ring>)>;

/// A cell between its first instance and its last.
struct Session<'a> {
    cell: &'a Cell,
    /// One for each contestant that takes part, with its position among all.
    records: Vec<(usize, Record)>,
    /// The fixed rate on each instance, where there is one.
    rates: Vec<u64>,
    window: Window,
    instances: usize,
    rounds: usize,
    was_extended: bool,
    priority: String,
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
            let mut sessions: Vec<Session<'_>> =
                group.iter().map(|cell| self.session(cell)).collect();
            let mut rings = Rings { data, drawn: Vec::new() };
            let instances = self.plan.instances(&data);
            for _ in 0..instances {
                self.instance(&mut sessions, |_| true, &mut rings, progress)?;
            }
            // Repeated once on as many new instances where p99.9 is not settled.
            let open: Vec<bool> = sessions.iter().map(|one| self.is_unsettled(one)).collect();
            for (session, &open) in sessions.iter_mut().zip(&open) {
                session.was_extended = open;
            }
            if open.contains(&true) {
                for _ in 0..instances {
                    self.instance(&mut sessions, |one| one.was_extended, &mut rings, progress)?;
                }
            }
            for session in sessions {
                results.push(session.finish());
                progress.done(results.last());
            }
        }
        Ok(results)
    }

    fn session<'a>(&self, cell: &'a Cell) -> Session<'a> {
        let record = |(position, contestant): (usize, &Contestant)| {
            let mut record = Record::new(&contestant.name);
            record.row.absent = contestant.excused_from(cell).map(str::to_string);
            contestant.takes_part(cell).then_some((position, record))
        };
        Session {
            cell,
            records: self.contestants.iter().enumerate().filter_map(record).collect(),
            rates: Vec::new(),
            window: self.plan.window_of(cell),
            instances: 0,
            rounds: 0,
            was_extended: false,
            priority: "ordinary".to_string(),
        }
    }

    fn is_unsettled(&self, session: &Session<'_>) -> bool {
        if !self.plan.decides_tails || session.cell.metric != Metric::P999 {
            return false;
        }
        let seen = session.evaluate();
        seen.row(MIOCACHED).is_some_and(|row| row.absent.is_none())
            && seen
                .comparison(MIOCACHED, CONTROL, Metric::P999)
                .is_none_or(|comparison| !comparison.is_settled())
    }

    /// Starts every server anew, and measures the chosen cells on them.
    fn instance(
        &self,
        sessions: &mut [Session<'_>],
        chosen: impl Fn(&Session<'_>) -> bool,
        rings: &mut Rings,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let needed = |contestant: &Contestant| {
            let mut cells = sessions.iter().filter(|one| chosen(one)).map(|one| one.cell);
            cells.any(|cell| contestant.takes_part(cell) && contestant.excused_from(cell).is_none())
        };
        let mut servers: Servers = Vec::new();
        for contestant in &self.contestants {
            self.stop.check()?;
            if needed(contestant) {
                progress.loading(&contestant.name, &rings.data);
                servers.push(contestant.start(&rings.data, self.placement));
            } else {
                servers.push(Err(Failure(format!("{} was not needed", contestant.name))));
            }
        }
        // What loading left to background threads is done before the first window.
        std::thread::sleep(SETTLING);
        for running in servers.iter().flatten() {
            running.pause()?;
        }
        let cells = sessions.iter().filter(|one| chosen(one)).count();
        // Each instance begins at another cell: what a server does some minutes after its start, as
        // memcached's crawler, is then not in the same cell on all of them.
        let count = sessions.len();
        let first = sessions.first().map_or(0, |session| session.instances) * count
            / self.plan.instances(&rings.data) as usize;
        for at in (0..count).map(|nth| (first + nth) % count) {
            if chosen(&sessions[at]) {
                let load = self.load(at, sessions, &servers, rings)?;
                self.measure_cell(&mut sessions[at], &load, &servers, progress)?;
            }
        }
        progress.instance_done(cells, &rings.data);
        Ok(())
    }

    /// The cell's load, with its rate filled in where that depends on memcached's.
    fn load(
        &self,
        at: usize,
        sessions: &mut [Session<'_>],
        servers: &Servers,
        rings: &mut Rings,
    ) -> Result<Load, Failure> {
        let cell = sessions[at].cell;
        let baseline = baseline_of(cell.data);
        let traffic = match &cell.method {
            Method::Load(traffic) => traffic.clone(),
            Method::PercentOfCapacity(percent) => {
                let capacity = self.capacity_of_control(baseline, servers, rings)?;
                let per_second = whole(capacity * f64::from(*percent) / 100.0);
                sessions[at].rates.push(per_second);
                vec![Traffic { pace: Pace::Fixed { per_second }, ..baseline }]
            }
        };
        Ok(traffic.into_iter().map(|traffic| (traffic, rings.ring(traffic))).collect())
    }

    /// The rate at which memcached-A's CPU would be fully busy, if each operation took as much of it
    /// as at half of its closed-loop throughput.
    fn capacity_of_control(
        &self,
        baseline: Traffic,
        servers: &Servers,
        rings: &mut Rings,
    ) -> Result<f64, Failure> {
        let at = self.contestants.iter().position(|contestant| contestant.name == CONTROL);
        let Some(Ok(running)) = at.map(|at| &servers[at]) else {
            return Err(Failure(format!("{CONTROL} is needed to choose a rate")));
        };
        let throughput = |sample: &Sample| Some(sample.operations as f64 / sample.seconds);
        let most = self.median_of_control(running, baseline, rings, throughput)?;
        let paced = Traffic { pace: Pace::Fixed { per_second: whole(most / 2.0) }, ..baseline };
        let per_cpu_second =
            |sample: &Sample| Some(sample.operations as f64 / sample.server_cpu?.as_secs_f64());
        self.median_of_control(running, paced, rings, per_cpu_second)
    }

    /// The median of something over windows of that traffic.
    fn median_of_control(
        &self,
        running: &Running,
        traffic: Traffic,
        rings: &mut Rings,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Result<f64, Failure> {
        // Some seconds: the machine's speed varies by a fifth from one second to the next.
        const WINDOWS: usize = 9;
        let traffic = [(traffic, rings.ring(traffic))];
        running.while_resumed(|| {
            let mut generator =
                Generator::connect(&running.endpoint, &traffic, running.contents, self.wait)?;
            let mut figures = Vec::new();
            for round in 0..WINDOWS {
                figures.extend(figure(&generator.run(self.plan.window, round, running.clock)?));
            }
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().ok_or_else(|| {
                Failure(format!("the CPU time of {CONTROL} is needed to choose a rate"))
            })
        })
    }

    /// One instance's rounds of one cell.
    fn measure_cell(
        &self,
        session: &mut Session<'_>,
        load: &Load,
        servers: &Servers,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let rounds = self.plan.rounds_each(session.cell, session.rates.first().copied()) as usize;
        progress.begin(session.cell.name, session.instances, rounds);
        let mut entries: Vec<Entry<'_>> = session
            .records
            .iter_mut()
            .filter(|(_, record)| record.is_open())
            .map(|(position, record)| self.enter(record, &servers[*position], load))
            .collect();
        let raised = self.raise(session.cell, session.window, &entries);
        let rest = match &raised {
            Ok(Some(_)) => Raised::rest_after(session.window.whole()),
            Ok(None) | Err(_) => Duration::ZERO,
        };
        let cell_seed =
            session.cell.name.bytes().fold(ORDER_SEED, |seed, byte| mix(seed ^ u64::from(byte)));
        for nth in 0..rounds {
            progress.round(nth);
            let round = session.rounds + nth;
            let turn = Turn {
                window: session.window,
                round,
                instance: session.instances,
                cpus: [self.placement.server, self.placement.generator],
                steal_max: steal_max(session.cell),
            };
            // A random order, so that no contestant always follows the same one.
            for at in Random::seeded(cell_seed ^ round as u64).permutation(entries.len()) {
                self.stop.check()?;
                std::thread::sleep(rest);
                entries[at].turn(|entry| entry.measure(turn));
            }
        }
        session.priority = match &raised {
            Ok(Some(_)) => Priority::RealTime.in_words(),
            Ok(None) => "ordinary".to_string(),
            Err(failure) => Priority::Ordinary(failure.to_string()).in_words(),
        };
        drop(raised);
        for entry in &mut entries {
            entry.record.row.resident_bytes = entry.running.and_then(Running::resident_bytes);
            entry.record.row.evictions = entry.running.and_then(Running::evictions);
        }
        session.instances += 1;
        session.rounds += rounds;
        Ok(())
    }

    /// Raises all servers and the generator, or none, where the cell is about a p99.9. The generator
    /// comes last: from then on nothing but servers' windows and rests takes its time.
    fn raise(
        &self,
        cell: &Cell,
        window: Window,
        entries: &[Entry<'_>],
    ) -> Result<Option<Raised>, Failure> {
        if cell.metric != Metric::P999 {
            return Ok(None);
        }
        if let Priority::Ordinary(why) = &self.priority {
            return Err(Failure(why.clone()));
        }
        if window.whole() > TURN_MAX {
            return Err(Failure("windows are long".to_string()));
        }
        let mut threads = Vec::new();
        for running in entries.iter().filter_map(|entry| entry.running) {
            threads.extend(running.answering_threads()?);
        }
        threads.push(std::process::id());
        Raised::raise(&threads).map(Some)
    }

    /// Connects to a contestant and warms it up.
    fn enter<'a>(
        &self,
        record: &'a mut Record,
        server: &'a Result<Running, Failure>,
        load: &Load,
    ) -> Entry<'a> {
        let mut entry = Entry { record, running: server.as_ref().ok(), generator: None };
        let connected = server.as_ref().map_err(Clone::clone).and_then(|running| {
            running.while_resumed(|| {
                Generator::connect(&running.endpoint, load, running.contents, self.wait)
            })
        });
        match connected {
            Ok(generator) => entry.generator = Some(generator),
            Err(failure) => entry.record.fail(&failure),
        }
        // Warms caches and branch predictors, and grows buffers; it does not count.
        entry.turn(|entry| entry.warm_up(self.plan.warm_up()));
        entry
    }
}

fn median(rates: &[u64]) -> Option<u64> {
    let mut sorted = rates.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// From which share of steal on a window of the cell is repeated.
fn steal_max(cell: &Cell) -> f64 {
    if cell.metric == Metric::P999 { STEAL_MAX_OF_TAILS } else { STEAL_MAX }
}

impl Session<'_> {
    /// The cell's result so far.
    fn evaluate(&self) -> CellResult {
        let names: Vec<&str> =
            self.records.iter().map(|(_, record)| record.row.name.as_str()).collect();
        let longest = self.records.iter().map(|(_, record)| &record.row.rounds);
        let instance_of: Vec<usize> = longest
            .max_by_key(|rounds| rounds.len())
            .map_or_else(Vec::new, |rounds| rounds.iter().map(|round| round.instance).collect());
        let windows: Vec<&[tails::Counts]> =
            self.records.iter().map(|(_, record)| &record.counts[..]).collect();
        let references: Vec<usize> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| REFERENCES.contains(name))
            .map(|(at, _)| at)
            .collect();
        let pairs: Vec<(usize, usize)> = (0..names.len())
            .flat_map(|over| references.iter().map(move |&under| (over, under)))
            .collect();
        let (tails, ratios) = tails::evaluate(&names, &windows, &instance_of, &pairs);
        let row = |((_, record), tail): (&(usize, Record), _)| Row { tail, ..record.row.clone() };
        self.result(self.records.iter().zip(tails).map(row).collect(), &ratios)
    }

    fn result(&self, rows: Vec<Row>, tails: &[TailRatio]) -> CellResult {
        let mut result = CellResult {
            name: self.cell.name.to_string(),
            what: self.cell.what.clone(),
            metric: self.cell.metric,
            rate_per_s: median(&self.rates),
            window_ms: u64::try_from(self.window.measure.as_millis()).unwrap_or(u64::MAX),
            instances: self.instances,
            was_extended: self.was_extended,
            priority: self.priority.clone(),
            rows,
            comparisons: Vec::new(),
        };
        result.compare(tails);
        result
    }

    fn finish(self) -> CellResult {
        let mut result = self.evaluate();
        for (row, (_, record)) in result.rows.iter_mut().zip(self.records) {
            row.distribution = record.distribution();
        }
        result
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
