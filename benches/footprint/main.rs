//! `cargo bench --bench footprint`: what an item and an idle connection cost in resident memory.
//!
//! miocached and memcached by turns, each started anew for every row: [`cases`] say what is stored,
//! [`measure`] does it, and this file says what is subtracted from what. Memory is counted and not
//! timed, so that one round is enough, and other work on the machine does it no harm.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use cases::Case;
use measure::{Connections, Items};
use rig::cpus::{Placement, raise_open_files_limit};
use rig::failure::Failure;
use rig::machine::Machine;
use rig::program::Program;
use rig::stop::Stop;

mod cases;
mod measure;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "the other benches use what this one does not")]
mod rig;

/// For the estimate: a store or a get costs server and client together about this much.
const REQUEST: Duration = Duration::from_nanos(1600);
/// To start a server, and to wait twice until its size is settled.
const START: Duration = Duration::from_millis(1200);
const CONNECTION: Duration = Duration::from_micros(120);
/// Descriptors that we have open beside the connections.
const OPEN_FILES_MARGIN: u64 = 200;
/// A server that is this large when it is fresh has taken memory in advance, and the subtraction
/// hides it.
const FRESH_BYTES_MAX: u64 = 32 << 20;

/// Resident bytes per item beyond key and value, and per idle connection.
///
/// Environment: MEMCACHED=path and MIOCACHED=path take other builds.
#[derive(Debug, Parser)]
#[command(name = "footprint", help_expected = true)]
struct Arguments {
    /// A tenth of the items, few connections: within one minute, for a smoke test
    #[arg(long)]
    quick: bool,
    /// Only rows whose name contains this: filled, replaced, 24+32, 36+224, idle; several with commas
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Rounds; each is a table of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// A further server with memcached's options, such as 'again=/usr/bin/memcached'
    #[arg(long, value_name = "NAME=PATH", value_parser = server)]
    server: Vec<(String, std::path::PathBuf)>,
    /// What cargo says to every bench; changes nothing
    #[arg(long, hide = true)]
    bench: bool,
}

fn server(text: &str) -> Result<(String, std::path::PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("NAME=PATH is expected")?;
    Ok((name.to_string(), path.into()))
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        let only = self.only.as_deref().unwrap_or_default();
        only.split(',').any(|pattern| name.contains(pattern.trim()))
    }

    fn item_counts(&self) -> &'static [u32] {
        if self.quick { &[70_000, 130_000] } else { &[700_000, 1_000_000, 1_300_000] }
    }

    fn connection_counts(&self) -> &'static [usize] {
        if self.quick { &[1000] } else { &[1000, 10_000] }
    }
}

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
    let stop = Stop::on_signals()?;
    let mut servers = vec![
        ("miocached".to_string(), Program::miocached()?),
        ("memcached".to_string(), Program::memcached()?),
    ];
    for (name, path) in &arguments.server {
        servers.push((name.clone(), Program::at(path.clone())?));
    }
    let mut cases = cases::all(arguments.item_counts());
    cases.retain(|case| arguments.wants(&name(*case)));
    let limit = raise_open_files_limit()?;
    let mut counts = arguments.connection_counts().to_vec();
    counts.retain(|_| arguments.wants("idle"));
    let possible = |&count: &usize| count as u64 + OPEN_FILES_MARGIN <= limit;
    let left_out: Vec<usize> = counts.iter().copied().filter(|count| !possible(count)).collect();
    counts.retain(possible);
    if cases.is_empty() && counts.is_empty() {
        return Err(Failure("no row has such a name, or none is possible".to_string()));
    }
    let placement = Placement::choose()?;
    announce(arguments, &servers, &cases, &counts);
    placement.pin_generator()?;
    for round in 1..=arguments.rounds {
        if arguments.rounds > 1 {
            println!("\nround {round}");
        }
        if !cases.is_empty() {
            items_table(&servers, &cases, placement, &stop)?;
        }
        if !counts.is_empty() {
            connections_table(&servers, &counts, placement, &stop)?;
        }
    }
    for count in left_out {
        println!("{count} connections left out: the limit on open files is {limit} (ulimit -Hn)");
    }
    Ok(())
}

fn name(case: Case) -> String {
    let shape = case.shape;
    format!("{} {}+{}", case.treatment.name(), shape.key_bytes, shape.value_bytes)
}

fn announce(
    arguments: &Arguments,
    servers: &[(String, Program)],
    cases: &[Case],
    counts: &[usize],
) {
    let requests: u32 = cases.iter().map(|case| case.stores() + case.items).sum();
    let starts = u32::try_from(cases.len() + counts.len()).unwrap_or(u32::MAX);
    let connections = u32::try_from(counts.iter().sum::<usize>()).unwrap_or(u32::MAX);
    let times = u32::try_from(servers.len()).unwrap_or(u32::MAX) * arguments.rounds;
    let expected = (START * starts + REQUEST * requests + CONNECTION * connections) * times;
    eprintln!(
        "{} cases, {} servers: about {} min {} s",
        cases.len() + counts.len(),
        servers.len(),
        expected.as_secs() / 60,
        expected.as_secs() % 60
    );
    let machine = Machine::here();
    println!("on {} CPUs of {}, {}", machine.cpus, machine.cpu_model, machine.kernel);
    for (name, program) in servers {
        let threads = if program.is_memcached() { " -t 1" } else { "" };
        println!("{name}: {}{threads}", program.version);
    }
    if arguments.quick {
        println!("QUICK: a check that everything works; the figures are no result.");
    }
}

fn items_table(
    servers: &[(String, Program)],
    cases: &[Case],
    placement: Placement,
    stop: &Stop,
) -> Result<(), Failure> {
    println!(
        "\nper item = (resident - fresh) / held - key - value. fresh: the whole process before the \
         first store;\nresident: after the last one, once it has settled, before anything is read; \
         held: hits of one get of every item.\nEverything else that has grown meanwhile, as \
         buffers and threads' stacks, counts as the items'."
    );
    println!(
        "{:27} {:10} {:>9} {:>6} {:>9} {:>8} {:>9} {:>9}",
        "case, key + value", "server", "stored", "-m MiB", "held", "fresh", "resident", "per item"
    );
    for &case in cases {
        for (server, program) in servers {
            let because = |Failure(why): Failure| Failure(format!("{server}, {case:?}: {why}"));
            let items = measure::items(program, case, placement, stop).map_err(because)?;
            println!("{}", items_row(server, case, items));
        }
    }
    Ok(())
}

fn items_row(server: &str, case: Case, items: Items) -> String {
    let grown_bytes = items.resident_bytes as f64 - items.fresh_bytes as f64;
    let per_item = grown_bytes / items.held.max(1) as f64 - case.shape.bytes() as f64;
    let row = format!(
        "{:27} {server:10} {:>9} {:>6} {:>9} {:>8.1} {:>9.1} {per_item:>9.1}",
        name(case),
        case.items,
        case.memory_mib(),
        items.held,
        mib(items.fresh_bytes),
        mib(items.resident_bytes),
    );
    format!("{row}  {}", remarks(case, items).join("; ")).trim_end().to_string()
}

/// What a reader must know before comparing this row with another.
fn remarks(case: Case, items: Items) -> Vec<String> {
    let mut remarks = Vec::new();
    let memory_mib = case.memory_mib() as f64;
    let fits = case.treatment == cases::Treatment::Filled;
    let all_held = items.held == u64::from(case.items);
    if !fits && all_held {
        let times = mib(items.resident_bytes) / memory_mib;
        remarks.push(format!("NOT FULL: it evicts nothing; resident is {times:.2} of -m"));
    }
    if fits && !all_held {
        remarks.push("DOES NOT FIT: it lost some".to_string());
    }
    if items.fresh_bytes > FRESH_BYTES_MAX {
        remarks.push("takes memory in advance, which the subtraction hides".to_string());
    }
    // Background work may reclaim a few items between the two questions.
    if let Some(other) = items.held_by_stats.filter(|stats| stats.abs_diff(items.held) > 1000) {
        remarks.push(format!("its own stats say {other} items"));
    }
    remarks
}

fn connections_table(
    servers: &[(String, Program)],
    counts: &[usize],
    placement: Placement,
    stop: &Stop,
) -> Result<(), Failure> {
    println!(
        "\nper idle connection = (resident with all of them open - fresh) / connections. fresh: one \
         client's connection\nonly. silent: connected, never used; used: one small get was answered \
         on each. The kernel's socket buffers are\nnot in it: they are the same for every server."
    );
    println!(
        "{:10} {:>11} {:>8} {:>10} {:>8} {:>11} {:>9}",
        "server", "connections", "fresh", "all silent", "all used", "per silent", "per used"
    );
    for &count in counts {
        for (server, program) in servers {
            let because = |Failure(why): Failure| Failure(format!("{server}, {count}: {why}"));
            let Connections { fresh_bytes, silent_bytes, used_bytes } =
                measure::connections(program, count, placement, stop).map_err(because)?;
            let per = |bytes: u64| (bytes as f64 - fresh_bytes as f64) / count as f64;
            println!(
                "{server:10} {count:>11} {:>8.1} {:>10.1} {:>8.1} {:>11.0} {:>9.0}",
                mib(fresh_bytes),
                mib(silent_bytes),
                mib(used_bytes),
                per(silent_bytes),
                per(used_bytes),
            );
        }
    }
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
