//! `cargo bench --bench versus`: miocached against real memcached, side by side, in one run.
//!
//! How it measures, in the order of the files:
//! 1. [`contestants`] are started, pinned to one CPU, and filled; the load runs on another.
//! 2. [`cells`] say what is asked: a baseline, and each factor varied alone.
//! 3. [`turns`] measures each contestant for a short while, round after round, in changing order.
//! 4. [`generator`] makes the load of one window: it moves bytes by [`connection`], chooses requests
//!    by [`traffic`] and [`ring`], checks them by [`answers`], and takes times by [`window`].
//! 5. [`results`] keeps every round, so that ratios are taken within rounds before their median.
//! 6. [`table`], [`page`] and [`compare`] tell it.
//!
//! The report says what a difference is: more than two identical memcacheds show against each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use cells::Cell;
use contestants::Contestant;
use progress::Progress;
use results::{ContestantFacts, Report, RunFacts, SCHEMA};
use rig::cpus::{Placement, raise_open_files_limit};
use rig::failure::{Doing, Failure};
use rig::machine::Machine;
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
mod floor;
mod generator;
mod keyspace;
mod page;
mod plots;
mod progress;
mod results;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "the other benches use what this one does not")]
mod rig;
mod ring;
mod search;
mod sizes;
mod socket;
mod table;
mod traffic;
mod turns;
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
        rounds: arguments.rounds() as usize,
        window: arguments.window(),
        wait: arguments.wait(placement.shares_one_cpu()),
        contestants,
        placement,
        stop,
    };
    check_open_files(&cells, turns.contestants.len())?;
    let machine = Machine::here();
    announce(&cells, &turns, arguments);
    placement.pin_generator()?;
    let mut progress = Progress::new(cells.len(), turns.rounds);
    let measured = turns.measure(&cells, &mut progress)?;
    let report = Report {
        schema: SCHEMA,
        machine,
        run: facts(arguments, &turns, &progress),
        contestants: contestant_facts(&turns.contestants),
        caveats: caveats(&turns),
        cells: measured,
    };
    let comparison = earlier.map_or_else(Vec::new, |earlier| compare::lines(&earlier, &report));
    print!("{}", table::print(&report));
    for line in &comparison {
        println!("{line}");
    }
    write_files(&report, &comparison)?;
    let good = |row: &results::Row| !row.failed && row.errors == 0;
    Ok(report.cells.iter().all(|cell| cell.rows.iter().all(good)))
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

fn announce(cells: &[Cell], turns: &Turns, arguments: &Arguments) {
    let contestants = u32::try_from(turns.contestants.len()).unwrap_or(u32::MAX);
    let expected =
        progress::expected_duration(cells, contestants, arguments.rounds(), turns.window);
    eprintln!(
        "{} cells, {contestants} contestants, {} rounds of {} ms: about {} min {} s",
        cells.len(),
        turns.rounds,
        turns.window.measure.as_millis(),
        expected.as_secs() / 60,
        expected.as_secs() % 60
    );
    if turns.placement.shares_one_cpu() {
        eprintln!("only one CPU: servers and generator take it from each other");
    }
}

fn facts(arguments: &Arguments, turns: &Turns, progress: &Progress) -> RunFacts {
    let options: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    RunFacts {
        options: format!(
            "options: {}",
            if options.is_empty() { "none".into() } else { options.join(" ") }
        ),
        quick: arguments.quick,
        rounds: turns.rounds,
        window_ms: u64::try_from(turns.window.measure.as_millis()).unwrap_or(u64::MAX),
        server_cpu: turns.placement.server,
        generator_cpu: turns.placement.generator,
        generator_waits: match turns.wait {
            Wait::Spin => "spins while idle".to_string(),
            Wait::Block => "sleeps while idle".to_string(),
        },
        seconds: progress.elapsed().as_secs_f64(),
    }
}

fn contestant_facts(contestants: &[Contestant]) -> Vec<ContestantFacts> {
    let facts = |contestant: &Contestant| ContestantFacts {
        name: contestant.name.clone(),
        facts: contestant.facts(),
    };
    contestants.iter().map(facts).collect()
}

fn caveats(turns: &Turns) -> Vec<String> {
    let mut caveats = vec![
        "Figures are medians over rounds with distribution-free 95 % intervals (order statistics; \
         with fewer than six rounds, smallest to largest). Ratios are taken round by round first."
            .to_string(),
        "\"No difference\" means: the ratio is no further from 1 than the interval of two identical \
         memcacheds against each other, or its own interval holds 1."
            .to_string(),
        "An operation is one key read or stored; a latency is one request's, of a batch counted \
         from its sending, at a fixed rate from the moment it was due. Max is over all rounds."
            .to_string(),
        "Load comes over loopback, from one thread on one other CPU: no network card, no switch, \
         and a shared last-level cache. Other work on the machine shows in the latencies first. \
         memcached with default threads is pinned to the same single CPU as all others."
            .to_string(),
    ];
    if turns.wait == Wait::Spin {
        caveats.push(
            "The generator never sleeps, so that no server pays for waking it up and its own waking \
             is in no latency; clients that sleep see more (--wait block)."
                .to_string(),
        );
    }
    if turns.placement.shares_one_cpu() {
        caveats.push("Only one CPU: servers and generator took it from each other.".to_string());
    }
    caveats
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
