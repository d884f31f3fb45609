//! `cargo bench --bench counts`: instructions per request, compared with the table beside this file.
//!
//! An instruction count does not depend on what else the machine does, so CI can hold it. The server
//! of this build runs under callgrind with `--stdio`; only `Session::advance` and what it calls is
//! counted, so that no system call and no reading of the input is in a count. [`cases`] says what is
//! asked, [`callgrind`] runs it, and [`table`] compares.

use std::fs;
use std::process::{Command, ExitCode};

use clap::Parser;

use cases::{Case, ITEMS, LAPS, SUITES, Suite};
use rig::failure::{Doing, Failure};
use rig::program::Program;
use table::{Row, Table, Verdict};

mod callgrind;
mod cases;
mod frames;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "the other benches use what this one does not")]
mod rig;
mod table;

const TABLE_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts/table.txt");

/// Instructions per request, counted by callgrind and compared with benches/counts/table.txt.
///
/// Environment: MIOCACHED=path counts another build.
#[derive(Debug, Parser)]
#[command(name = "counts", help_expected = true)]
struct Arguments {
    /// Write what was counted into the table
    #[arg(long)]
    update: bool,
    /// What cargo says to every bench; changes nothing
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("counts: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let counted = Table { tools: tools()?, rows: count()? };
    if arguments.update {
        fs::write(TABLE_PATH, counted.text()).doing(|| format!("writing {TABLE_PATH}"))?;
        print!("{}", counted.text());
        return Ok(ExitCode::SUCCESS);
    }
    let text = fs::read_to_string(TABLE_PATH).doing(|| format!("reading {TABLE_PATH}"))?;
    let table = Table::parse(&text)?;
    println!("{:12} {:>6} {:>6}", "instructions", "table", "now");
    let mut passed = true;
    for Row { name, count, .. } in &counted.rows {
        let in_table = table.count(name)?;
        let verdict = Verdict::of(in_table, *count);
        println!("{name:12} {in_table:>6} {count:>6}  {verdict}");
        passed &= verdict != Verdict::Above;
    }
    if counted.tools != table.tools {
        println!("the table was counted with {}; this is {}", table.tools, counted.tools);
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Counts every case. Each starts with the load, which is counted alone and subtracted.
fn count() -> Result<Vec<Row>, Failure> {
    let server = Program::miocached()?.path;
    let mut rows = Vec::new();
    for Suite { load: load_case, cases, quit } in &SUITES {
        let load = load_case.conversation(0..1);
        let loading = callgrind::instructions(&server, &[&load], quit)?;
        rows.push(row(load_case, loading, 1));
        for case in *cases {
            let conversation = case.conversation(1..1 + LAPS);
            let both = callgrind::instructions(&server, &[&load, &conversation], quit)?;
            rows.push(row(case, both.saturating_sub(loading), LAPS));
        }
    }
    Ok(rows)
}

/// Every lap touches every item once, so the mean per item and lap is what a row counts.
fn row(case: &Case, instructions: u64, laps: u32) -> Row {
    let touched = u64::from(ITEMS) * u64::from(laps);
    let count = (instructions + touched / 2) / touched;
    Row { name: case.name.to_string(), count, unit: case.unit.to_string() }
}

/// What the counts depend on besides the source.
fn tools() -> Result<String, Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut versions = Vec::new();
    for program in [rustc, "valgrind".into()] {
        let name = program.to_string_lossy().into_owned();
        let output = Command::new(program).arg("--version").output().doing(|| {
            format!("running {name} --version (valgrind is Debian's package of that name)")
        })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        versions.push(words.join(" "));
    }
    versions.push(std::env::consts::ARCH.to_string());
    Ok(versions.join(", "))
}
