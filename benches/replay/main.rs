//! `cargo bench --bench replay`: which cache misses less often in the same memory.
//!
//! How it measures, in the order of the files:
//! 1. [`workloads`] say what is asked and how much of it; [`requests`] make the stream from a seed,
//!    or [`trace`] reads it from a file.
//! 2. [`caches`] are real servers, each started anew for each workload, or a [`model`].
//! 3. [`drive`] replays: a read, and a write where it missed. It says how that is batched.
//! 4. [`report`] prints it.
//!
//! Misses are counts, so they can be measured on a shared machine; but where items expire, a client that
//! falls behind its rate changes them.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use arguments::Arguments;
use caches::{Contestant, Kind, Memory};
use drive::Tally;
use report::{Finding, Row};
use rig::cpus::Placement;
use rig::failure::Failure;
use rig::machine::Machine;
use rig::random::mix;
use rig::stop::Stop;
use trace::Trace;
use workloads::Workload;

mod arguments;
mod caches;
mod drive;
mod memcached;
mod model;
mod queues;
mod real;
mod report;
mod requests;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "the other benches use what this one does not")]
mod rig;
mod sessions;
mod trace;
mod workloads;

/// For the estimate: a request costs a server and the client together about this much.
const SERVER_REQUEST: Duration = Duration::from_nanos(2500);
/// And a model.
const MODEL_REQUEST: Duration = Duration::from_nanos(400);

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("Error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let memory_bytes = arguments.memory_mib() << 20;
    let mut workloads = workloads::all(memory_bytes, arguments.quick);
    if let Some(path) = &arguments.trace {
        workloads.push(Workload::trace(Trace::read(path)?, memory_bytes));
    }
    let workloads = arguments.select(workloads);
    if arguments.list {
        for workload in &workloads {
            let fits = if workload.fits { " (fits)" } else { "" };
            println!("{:15} {}{fits}", workload.name, workload.what);
        }
        return Ok(());
    }
    if workloads.is_empty() {
        return Err(Failure("no workload has such a name; --list shows them".to_string()));
    }
    let stop = Stop::on_signals()?;
    let contestants = arguments.contestants()?;
    let placement = Placement::choose()?;
    announce(arguments, &contestants, &workloads);
    placement.pin_generator()?;
    print!("{}", report::head(&contestants[0].name));
    let mut findings = Vec::new();
    for workload in &workloads {
        let turns = Turns { arguments, contestants: &contestants, placement, stop: &stop };
        let finding = turns.measure(workload)?;
        print!("{}", report::rows(&finding, memory_bytes));
        findings.push(finding);
    }
    print!("{}", report::summary(&findings, memory_bytes));
    Ok(())
}

/// What is measured, and how.
struct Turns<'a> {
    arguments: &'a Arguments,
    contestants: &'a [Contestant],
    placement: Placement,
    stop: &'a Stop,
}

impl Turns<'_> {
    /// One workload, round after round, each contestant in its turn and alone.
    fn measure(&self, workload: &Workload) -> Result<Finding, Failure> {
        let row = |contestant: &Contestant| Row {
            name: contestant.name.clone(),
            tallies: Vec::new(),
            memories: Vec::new(),
        };
        let mut rows: Vec<Row> = self.contestants.iter().map(row).collect();
        let count = self.contestants.len();
        for round in 0..self.arguments.rounds {
            // Each contestant is the first in its turn.
            for turn in 0..count {
                let at = (turn + round as usize) % count;
                let contestant = &self.contestants[at];
                let because = |Failure(why): Failure| {
                    Failure(format!("{}, {}: {why}", workload.name, contestant.name))
                };
                let (mut tally, mut memory) =
                    self.turn(workload, contestant, round).map_err(because)?;
                if tally.late > report::LATE_MAX {
                    eprintln!("{} fell behind in {}: once more", contestant.name, workload.name);
                    (tally, memory) = self.turn(workload, contestant, round).map_err(because)?;
                }
                rows[at].tallies.push(tally);
                rows[at].memories.push(memory);
            }
        }
        Ok(Finding { workload: workload.name, fits: workload.fits, rows })
    }

    fn turn(
        &self,
        workload: &Workload,
        contestant: &Contestant,
        round: u32,
    ) -> Result<(Tally, Memory), Failure> {
        let memory_mib = self.arguments.memory_mib();
        let mut cache = contestant.start(workload, memory_mib, self.placement)?;
        let seed = mix(u64::from(round) + 1);
        let tally = drive::replay(workload, &mut cache, seed, self.stop)?;
        Ok((tally, cache.memory()?))
    }
}

fn announce(arguments: &Arguments, contestants: &[Contestant], workloads: &[Workload]) {
    let expected: Duration = workloads
        .iter()
        .flat_map(|workload| contestants.iter().map(|contestant| expected(workload, contestant)))
        .sum();
    let expected = expected * arguments.rounds;
    eprintln!(
        "{} workloads, {} caches, {} rounds: about {} min {} s",
        workloads.len(),
        contestants.len(),
        arguments.rounds,
        expected.as_secs() / 60,
        expected.as_secs() % 60
    );
    let machine = Machine::here();
    println!("on {} CPUs of {}, {}", machine.cpus, machine.cpu_model, machine.kernel);
    for contestant in contestants {
        println!("{}: {}", contestant.name, contestant.facts(arguments.memory_mib()));
    }
    println!(
        "Every key that comes again is stored once before; what comes before counting begins warms \
         up,\nbut for a trace. A batch of {} requests is pipelined: each key's requests \
         keep their order, those of different\nkeys may pass each other within the batch. MiB is the \
         whole process at the end of the workload, or all of a\nmodel's records. TTLs are divided \
         by a factor, at a fixed rate of requests; memcached's own crawler, which reclaims what\nhas \
         expired, runs as often a second as ever. Values are not checked.",
        drive::BATCH
    );
    if arguments.quick {
        println!("QUICK: a check that everything works; the figures are no result.");
    }
}

fn expected(workload: &Workload, contestant: &Contestant) -> Duration {
    let requests = workload.warm + workload.counted;
    let loaded = workload.keys_loaded();
    let cost = |each: Duration, count: u64| each.mul_f64(count as f64);
    match (&contestant.kind, workload.rate_per_s) {
        (Kind::Server(_), Some(rate_per_s)) => {
            Duration::from_secs(requests / u64::from(rate_per_s))
                + cost(SERVER_REQUEST, u64::from(loaded))
        }
        (Kind::Server(_), None) => cost(SERVER_REQUEST, requests + u64::from(loaded)),
        (Kind::Model(_), _) => cost(MODEL_REQUEST, requests + u64::from(loaded)),
    }
}
