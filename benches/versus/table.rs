//! The table: one block of rows a cell, as text for stdout and as strings for the page.
//!
//! Owns how figures are written and which ratios are shown. Measures and computes nothing.

use super::contestants::{CONTROL, CONTROL_AGAIN, FLOOR, MIOCACHED, THREADED, TUNED};
use super::method;
use super::results::{CellResult, Comparison, Metric, Report, Row};
use super::tails::{SAMPLES_MIN, Tail};
use crate::rig::accounting::Shares;
use crate::rig::statistics::Estimate;

/// From this part of the window on, the generator and not the server may be what limits a rate.
const GENERATOR_BOUND: f64 = 0.95;
/// Requests sent later than this are worth a note beside the latency that it is part of.
const LATE_NS_NOTED: f64 = 50_000.0;
/// Below this part of the window, other programs on the generator's CPU show in the latencies.
const GENERATOR_DISTURBED: f64 = 0.97;
const COLUMNS: usize = 14;

/// What stands above the columns.
pub(crate) const HEADINGS: [&str; COLUMNS] = [
    "contestant",
    "operations/s",
    "CPU us/op",
    "p50",
    "p99",
    "p99.9",
    "max",
    "RSS MiB",
    "to mem-A",
    "to mem-B",
    "to tuned",
    "to threads",
    "to floor",
    "notes",
];

/// The whole report as text.
pub(crate) fn print(report: &Report) -> String {
    let mut text = head(report).join("\n");
    for cell in &report.cells {
        text.push_str(&format!("\n\n{}\n", title(cell)));
        text.push_str(&aligned(&lines(cell)));
        for verdict in verdicts(cell).into_iter().chain([circumstances(cell)]) {
            text.push_str(&format!("  {verdict}\n"));
        }
    }
    text.push_str(&format!("\n{}\n", control_summary(report)));
    text
}

/// Machine, options, contestants and caveats, a sentence a line.
pub(crate) fn head(report: &Report) -> Vec<String> {
    let (machine, run) = (&report.machine, &report.run);
    let (again, lost) = method::dropped(report.cells.iter());
    let mut lines = warnings(report);
    lines.extend([
        format!(
            "{}, {} CPUs{}, {} MiB, {}; load average before the run {}; governor {}; clock source {}",
            machine.cpu_model,
            machine.cpus,
            if machine.virtual_machine { " (virtual machine)" } else { "" },
            machine.memory_mib,
            machine.kernel,
            machine.load_before,
            machine.governor,
            machine.clock_source
        ),
        format!(
            "{} rounds of {} ms on {} instances of each server; servers on CPU {}, generator on CPU \
             {}, which {}: {}; {:.0} s, {:.0} expected; {}",
            run.rounds,
            run.window_ms,
            run.instances,
            run.server_cpu,
            run.generator_cpu,
            run.generator_waits,
            run.cpus,
            run.seconds,
            run.seconds_expected,
            run.options
        ),
        format!(
            "windows with more than {:.0} % steal: {again} measured again, {lost} rounds without figures",
            100.0 * run.steal_bound
        ),
        format!("the baseline is {}: {}", report.memcached.version, report.memcached.build),
    ]);
    let contestant = |contestant: &super::results::ContestantFacts| {
        format!("{}: {}", contestant.name, contestant.facts)
    };
    lines.extend(report.contestants.iter().map(contestant));
    lines.extend(report.caveats.iter().cloned());
    lines
}

/// What must not be overlooked.
pub(crate) fn warnings(report: &Report) -> Vec<String> {
    report.memcached.warnings.iter().map(|warning| format!("WARNING: {warning}")).collect()
}

/// A cell's name, what it measures, and what its ratios compare.
pub(crate) fn title(cell: &CellResult) -> String {
    let control = cell.control(cell.metric).map_or_else(
        || "no A/A control".to_string(),
        |control| format!("A/A spread {}", effect_in_words(control.spread())),
    );
    let rate = cell.rate_per_s.map_or_else(String::new, |rate| format!(" ({rate} a second)"));
    format!("{}: {}{rate}; ratios of {}, {control}", cell.name, cell.what, cell.metric.name())
}

/// What the machine did meanwhile: windows, steal and interrupts.
pub(crate) fn circumstances(cell: &CellResult) -> String {
    let rounds = cell.rows.iter().map(|row| row.rounds.len()).max().unwrap_or(0);
    let (again, lost) = method::dropped(std::iter::once(cell));
    let windows = format!(
        "{rounds} windows of {} ms on {} instances{}; {again} measured again, {lost} missing",
        cell.window_ms,
        cell.instances,
        if cell.was_extended { ", half of them a second look" } else { "" }
    );
    let all = || cell.rows.iter().flat_map(|row| &row.rounds).filter_map(|x| x.cpus.as_ref());
    let share = |cpu: usize, of: fn(&Shares) -> f64| {
        let shares: Vec<f64> = all().filter_map(|cpus| cpus.get(cpu)).map(of).collect();
        100.0 * shares.iter().sum::<f64>() / shares.len().max(1) as f64
    };
    if all().next().is_none() {
        return format!("{windows}; the kernel accounts for no CPUs");
    }
    let cpu = |cpu: usize| {
        format!(
            "steal {:.2} %, interrupts {:.2} %, soft interrupts {:.1} %",
            share(cpu, |x| x.steal),
            share(cpu, |x| x.irq),
            share(cpu, |x| x.softirq)
        )
    };
    format!("{windows}; servers' CPU: {}; generator's: {}", cpu(0), cpu(1))
}

/// A cell's rows.
pub(crate) fn lines(cell: &CellResult) -> Vec<[String; COLUMNS]> {
    cell.rows.iter().map(|row| line(cell, row)).collect()
}

/// What miocached's figures say, in words; a chance difference is none.
pub(crate) fn verdicts(cell: &CellResult) -> Vec<String> {
    [CONTROL, TUNED]
        .iter()
        .filter_map(|under| {
            let part = |&metric: &Metric| {
                let judged = match cell.comparison(MIOCACHED, under, metric) {
                    Some(comparison) => judged(comparison),
                    None if metric == Metric::P999 => undecided(cell, [MIOCACHED, under])?,
                    None => return None,
                };
                Some(format!("{} {judged}", metric.name()))
            };
            let parts: Vec<String> = Metric::ALL.iter().filter_map(part).collect();
            (!parts.is_empty()).then(|| format!("{MIOCACHED} to {under}: {}", parts.join("; ")))
        })
        .collect()
}

fn judged(comparison: &Comparison) -> String {
    let ratio = comparison.ratio;
    let figures = format!("{:.3} [{:.3} to {:.3}]", ratio.median, ratio.low, ratio.high);
    match (comparison.differs, comparison.smallest_detectable) {
        (Some(false), Some(effect)) => {
            let open = comparison.metric == Metric::P999 && !comparison.is_settled();
            format!(
                "no difference, smallest detectable effect {}{}",
                effect_in_words(effect),
                if open { " (not settled)" } else { "" }
            )
        }
        (Some(true), _) if ratio.median < 1.0 => format!("lower: {figures}"),
        (Some(true), _) => format!("higher: {figures}"),
        (Some(false) | None, _) => format!("{figures} (no control)"),
    }
}

/// Why there is no ratio of two p99.9, if both were measured.
fn undecided(cell: &CellResult, names: [&str; 2]) -> Option<String> {
    let tails: Option<Vec<&Tail>> =
        names.iter().map(|name| cell.row(name)?.tail.as_ref()).collect();
    let samples = tails?.iter().map(|tail| tail.samples).min()?;
    Some(format!("cannot be decided ({samples} of {SAMPLES_MIN} requests)"))
}

/// How the instrument itself did: two identical servers must come out as identical.
pub(crate) fn control_summary(report: &Report) -> String {
    let controls: Vec<(&str, Estimate)> = report
        .cells
        .iter()
        .filter_map(|cell| Some((cell.name.as_str(), cell.control(cell.metric)?)))
        .collect();
    let outside: Vec<&str> =
        controls.iter().filter(|(_, control)| !control.holds(1.0)).map(|(name, _)| *name).collect();
    let mut text = format!(
        "A/A control: the interval of {CONTROL_AGAIN} to {CONTROL} holds 1 in {} of {} cells; by \
         chance alone one in twenty does not.",
        controls.len() - outside.len(),
        controls.len()
    );
    if !outside.is_empty() {
        text.push_str(&format!(" It does not in {}.", outside.join(", ")));
    }
    text
}

fn line(cell: &CellResult, row: &Row) -> [String; COLUMNS] {
    let absent = || "n/a".to_string();
    let latency = |metric| row.estimate(metric).map_or_else(absent, |x| latency(x.median));
    let to = |under: &str| ratio(cell, row, under);
    [
        row.name.clone(),
        row.estimate(Metric::Throughput)
            .map_or_else(absent, |x| with_interval(x, |figure| format!("{figure:.0}"))),
        row.estimate(Metric::ServerCpu)
            .map_or_else(absent, |x| with_interval(x, |ns| format!("{:.3}", ns / 1e3))),
        latency(Metric::P50),
        latency(Metric::P99),
        p999(row),
        if row.rounds.is_empty() { absent() } else { self::latency(row.max_ns as f64) },
        row.resident_bytes.map_or_else(absent, |bytes| (bytes >> 20).to_string()),
        to(CONTROL),
        to(CONTROL_AGAIN),
        to(TUNED),
        to(THREADED),
        to(FLOOR),
        notes(row),
    ]
}

fn ratio(cell: &CellResult, row: &Row, under: &str) -> String {
    if row.name == under {
        return "-".to_string();
    }
    let Some(comparison) = cell.comparison(&row.name, under, cell.metric) else {
        return "n/a".to_string();
    };
    match (comparison.differs, comparison.smallest_detectable) {
        // The floor is no rival: how close something comes to it is always told.
        (Some(false), Some(effect)) if under != FLOOR => {
            format!("no difference ({})", effect_in_words(effect))
        }
        _ => format!("{:.3}", comparison.ratio.median),
    }
}

fn p999(row: &Row) -> String {
    match &row.tail {
        Some(tail) if tail.is_decidable() => latency(tail.p999_ns.median),
        Some(_) => "cannot be decided".to_string(),
        None => "n/a".to_string(),
    }
}

fn notes(row: &Row) -> String {
    let mut notes = Vec::new();
    if let Some(absent) = &row.absent {
        notes.push(if row.failed { format!("FAILED: {absent}") } else { absent.clone() });
    }
    if row.errors > 0 {
        let first = row.first_error.as_deref().unwrap_or_default();
        notes.push(format!("{} ERRORS, first: {first}", row.errors));
    }
    if let Some(share) = row.miss_share() {
        notes.push(format!("{:.2} % of lookups missed", 100.0 * share));
    } else if row.misses > 0 {
        notes.push(format!("{} keys not found", row.misses));
    }
    if row.refills > 0 {
        notes.push(format!("{} refills", row.refills));
    }
    if let Some(evictions) = row.evictions {
        notes.push(format!("{evictions} evictions since the start"));
    }
    if row.missing() > 0 {
        notes.push(format!("{} rounds missing because of steal", row.missing()));
    }
    let busy = row.median_of(|round| Some(round.generator_busy));
    if let Some(busy) = busy.filter(|&busy| busy > GENERATOR_BOUND) {
        notes.push(format!("generator bound ({:.0} % busy)", 100.0 * busy));
    }
    let on_cpu = row.median_of(|round| round.generator_on_cpu);
    if let Some(on_cpu) = on_cpu.filter(|&on_cpu| on_cpu < GENERATOR_DISTURBED) {
        notes
            .push(format!("disturbed (generator had its CPU {:.0} % of the time)", 100.0 * on_cpu));
    }
    let late = row.median_of(|round| round.late_p99_ns.map(|ns| ns as f64));
    if let Some(late) = late.filter(|&late| late > LATE_NS_NOTED) {
        notes.push(format!("generator late by {}", latency(late)));
    }
    let background = row.median_of(|round| Some(round.background_per_s));
    if let Some(rate) = background.filter(|&rate| rate > 0.0) {
        notes.push(format!("{rate:.0} large values/s beside"));
    }
    if row.median_of(|round| Some(round.operations_per_s)) == Some(0.0) {
        notes.push("no rate was answered in time".to_string());
    }
    notes.join("; ")
}

fn with_interval(estimate: Estimate, write: impl Fn(f64) -> String) -> String {
    let [median, low, high] = [estimate.median, estimate.low, estimate.high].map(write);
    format!("{median} [{low} to {high}]")
}

/// A distance from 1: as a part of it, or as a factor where it is large.
fn effect_in_words(effect: f64) -> String {
    if effect < 1.0 {
        format!("{:.1} %", 100.0 * effect)
    } else {
        format!("factor {:.1}", 1.0 + effect)
    }
}

/// Nanoseconds for people.
fn latency(ns: f64) -> String {
    if ns < 1e6 { format!("{:.1} us", ns / 1e3) } else { format!("{:.2} ms", ns / 1e6) }
}

fn aligned(lines: &[[String; COLUMNS]]) -> String {
    let mut rows: Vec<[String; COLUMNS]> = vec![HEADINGS.map(str::to_string)];
    rows.extend(lines.iter().cloned());
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let left = column == 0 || column == COLUMNS - 1;
            let cell = if left { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            line.push_str(&cell);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
