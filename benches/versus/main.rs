//! `cargo bench --bench versus`: miocached against real memcached, side by side, in one run.
//!
//! How it measures, in the order of the files:
//! 1. [`contestants`] are started, pinned to one CPU, and filled; the load runs on another.
//! 2. [`cells`] say what is asked: a baseline, and each factor varied alone; [`plan`] how often.
//! 3. [`turns`] measures each contestant for a short while, round after round, in random order, on
//!    several instances of each server; [`record`] keeps what came of it, [`dropping`] drops some.
//! 4. [`generator`] makes the load of one window: it moves bytes by [`connection`], chooses requests
//!    by [`traffic`] and [`ring`], checks them by [`answers`], and takes times by [`window`].
//! 5. [`results`] takes ratios within rounds before their median, and [`tails`] adds all rounds up.
//! 6. [`table`], [`page`] and [`compare`] write the report; [`method`] says what it means.
//!
//! The report says what a difference is: more than two identical memcacheds show against each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use arguments::Arguments;
use cells::Cell;
use contestants::Contestant;
use progress::Progress;
use results::{Baseline, ContestantFacts, Metric, Report, RunFacts, SCHEMA};
use rig::binary::Binary;
use rig::cpus::{Kinship, Placement, raise_open_files_limit};
use rig::failure::{Doing, Failure};
use rig::machine::Machine;
use rig::priority::Priority;
use rig::program::Program;
use rig::stop::Stop;
use turns::Turns;
use window::Wait;

mod answers;
mod arguments;
mod arrivals;
mod cells;
mod compare;
mod connection;
mod contestants;
mod dropping;
mod floor;
mod generator;
mod keyspace;
mod method;
mod page;
mod plan;
mod plots;
mod progress;
mod record;
mod results;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "the other benches use what this one does not")]
mod rig;
mod ring;
mod sizes;
mod socket;
mod table;
mod tails;
mod traffic;
mod turns;
mod verdicts;
mod window;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((role, rest)) if role == floor::ROLE => floor::serve(rest).map(|()| true),
        _ => run(&Arguments::parse()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("Error: a contestant failed or gave wrong answers; see the notes");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("Error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The whole run; whether all contestants did what they were asked.
fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let cells = arguments.select(cells::all(arguments.quick));
    if arguments.list {
        for cell in &cells {
            println!("{:26} {}", cell.name, cell.what);
        }
        return Ok(true);
    }
    if cells.is_empty() {
        return Err(Failure("no cell has such a name; --list shows them".to_string()));
    }
    let earlier = arguments.baseline.as_deref().map(compare::read).transpose()?;
    let stop = Stop::on_signals()?;
    let (miocached, memcached) = (Program::miocached()?, Program::memcached()?);
    let contestants = Contestant::all(&miocached, &memcached, &arguments.also, &arguments.target)?;
    let placement = Placement::choose()?;
    let turns = Turns {
        plan: arguments.plan(),
        wait: arguments.wait(placement.shares_one_cpu()),
        priority: priority(placement),
        contestants,
        placement,
        stop,
    };
    check_open_files(&cells, turns.contestants.len())?;
    let machine = Machine::here();
    let memcached = baseline(&memcached);
    let expected = progress::expected_duration(&cells, &turns.contestants, turns.plan);
    announce(&cells, &turns, &memcached, expected);
    placement.pin_generator()?;
    let mut progress = Progress::new(cells.len());
    let measured = turns.measure(&cells, &mut progress)?;
    let report = Report {
        schema: SCHEMA,
        machine,
        run: facts(arguments, &turns, [progress.elapsed(), expected]),
        memcached,
        contestants: contestant_facts(&turns.contestants),
        caveats: method::caveats(&turns),
        cells: measured,
    };
    let comparison = earlier.map_or_else(Vec::new, |earlier| compare::lines(&earlier, &report));
    print!("{}", table::print(&report));
    for line in &comparison {
        println!("{line}");
    }
    write_files(&report, &comparison)?;
    let good = |row: &results::Row| {
        let refuses = row.refused > 0 && row.name == contestants::MIOCACHED;
        !row.failed && row.errors == 0 && !refuses
    };
    Ok(report.cells.iter().all(|cell| cell.rows.iter().all(good)))
}

/// The priority of the cells about a p99.9. On one CPU a generator above all ordinary tasks would keep
/// the machine from everything else.
fn priority(placement: Placement) -> Priority {
    if placement.shares_one_cpu() {
        return Priority::Ordinary("there is one CPU only".to_string());
    }
    Priority::available()
}

fn check_open_files(cells: &[Cell], contestants: usize) -> Result<(), Failure> {
    /// For servers' pipes, event queues and what else a process has open.
    const MARGIN: usize = 200;
    let limit = raise_open_files_limit()?;
    let most = cells.iter().map(Cell::connections).max().unwrap_or(0) * contestants + MARGIN;
    if (most as u64) > limit {
        return Err(Failure(format!(
            "{most} open files are needed, but the limit is {limit}: raise it (ulimit -Hn), or \
             leave out cells with many connections by --only"
        )));
    }
    Ok(())
}

fn announce(cells: &[Cell], turns: &Turns, memcached: &Baseline, expected: Duration) {
    let plan = turns.plan;
    eprintln!(
        "{} cells, {} contestants, {} rounds of {} ms over {} instances: about {} min {} s",
        cells.len(),
        turns.contestants.len(),
        plan.rounds,
        plan.window.measure.as_millis(),
        plan.instances,
        expected.as_secs() / 60,
        expected.as_secs() % 60
    );
    let about_tails: Vec<Cell> =
        cells.iter().filter(|cell| cell.metric == Metric::P999).cloned().collect();
    if plan.decides_tails && !about_tails.is_empty() {
        let more = progress::expected_duration(&about_tails, &turns.contestants, plan).as_secs();
        eprintln!("up to {more} s more if p99.9 is undecided in the p99.9 cells");
    }
    eprintln!("priority in the p99.9 cells: {}", turns.priority.in_words());
    eprintln!("{}: {}", memcached.version, memcached.build);
    for warning in &memcached.warnings {
        eprintln!("WARNING: {warning}");
    }
    if matches!(turns.placement.kinship, Kinship::Same | Kinship::Siblings) {
        eprintln!("WARNING: servers and generator: {}", turns.placement.kinship_in_words());
    }
}

/// What can be said of the memcached that everything is measured against.
fn baseline(memcached: &Program) -> Baseline {
    let binary = Binary::at(&memcached.path);
    let mut warnings = binary.doubts();
    if memcached.sends_gets_singly() {
        warnings.insert(0, method::SENDS_GETS_SINGLY.to_string());
    } else if memcached.is_of_unknown_release() {
        warnings.insert(0, method::RELEASE_UNKNOWN.to_string());
    }
    Baseline {
        version: memcached.version.clone(),
        build: binary.in_words(),
        sends_gets_singly: memcached.sends_gets_singly(),
        warnings,
    }
}

fn facts(arguments: &Arguments, turns: &Turns, [took, expected]: [Duration; 2]) -> RunFacts {
    let options: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    RunFacts {
        options: format!(
            "options: {}",
            if options.is_empty() { "none".into() } else { options.join(" ") }
        ),
        quick: arguments.quick,
        rounds: turns.plan.rounds as usize,
        instances: turns.plan.instances as usize,
        window_ms: u64::try_from(turns.plan.window.measure.as_millis()).unwrap_or(u64::MAX),
        server_cpu: turns.placement.server,
        generator_cpu: turns.placement.generator,
        cpus: turns.placement.kinship_in_words().to_string(),
        generator_waits: match turns.wait {
            Wait::Spin => "spins while idle".to_string(),
            Wait::Block => "sleeps while idle".to_string(),
        },
        priority: turns.priority.in_words(),
        steal_bound: dropping::STEAL_MAX,
        seconds: took.as_secs_f64(),
        seconds_expected: expected.as_secs_f64(),
    }
}

fn contestant_facts(contestants: &[Contestant]) -> Vec<ContestantFacts> {
    let facts = |contestant: &Contestant| ContestantFacts {
        name: contestant.name.clone(),
        facts: contestant.facts(),
        build: contestant.build(),
    };
    contestants.iter().map(facts).collect()
}

fn write_files(report: &Report, comparison: &[String]) -> Result<(), Failure> {
    let folder = output_folder();
    fs::create_dir_all(&folder).doing(|| format!("making {}", folder.display()))?;
    let json = serde_json::to_string(report).doing(|| "writing the report as JSON".into())?;
    for (name, text) in [("report.json", json), ("report.html", page::render(report, comparison)?)]
    {
        let path = folder.join(name);
        fs::write(&path, text).doing(|| format!("writing {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// `versus` in cargo's target folder, wherever that is.
fn output_folder() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().unwrap_or(scratch).join("versus")
}
