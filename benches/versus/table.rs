//! The table: one block of rows a cell, as text for stdout and as strings for the page.
//!
//! Owns how figures are written and which ratios are shown; [`super::verdicts`] judges them.

use super::contestants::{CONTROL, CONTROL_AGAIN, FLOOR, THREADED, TUNED};
use super::method;
use super::results::{CellResult, Metric, Report, Row};
use super::verdicts::{
    control_in_words, control_summary, effect_in_words, generator_bound, verdicts,
};
use crate::rig::accounting::Shares;
use crate::rig::statistics::Estimate;

/// A note says when requests were sent later than this, for it is part of their latency.
const LATE_NS_NOTED: f64 = 50_000.0;
/// Below this part of the window, other programs on the generator's CPU add to the latencies.
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
    "÷ memcached-A",
    "÷ memcached-B",
    "÷ tuned",
    "÷ threads",
    "÷ floor",
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
    let (repeated, missing) = method::dropped(report.cells.iter());
    let mut lines = warnings(report);
    lines.extend([
        format!(
            "{}, {} CPUs{}, {} MiB, {}; load average of the minute before {}; governor {}; \
             clock source {}",
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
            "{} rounds of {} ms, divided over {} instances of each server; servers on CPU {}, \
             generator on CPU {}, which {}: {}; took {:.0} s ({:.0} expected); {}",
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
            "windows with too much steal (more than {:.0} %; in the p99.9 cells any): {repeated} \
             repeated, {missing} rounds without result",
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
    let control = control_in_words(cell);
    let rate = cell
        .rate_per_s
        .map_or_else(String::new, |rate| format!(" ({rate} a second, the median over instances)"));
    format!("{}: {}{rate}; ratios of {}, {control}", cell.name, cell.what, cell.metric.name())
}

/// What the machine did in the cell's windows: steal and interrupts.
pub(crate) fn circumstances(cell: &CellResult) -> String {
    let rounds = cell.rows.iter().map(|row| row.rounds.len()).max().unwrap_or(0);
    let (repeated, missing) = method::dropped(std::iter::once(cell));
    let windows = format!(
        "{rounds} windows of {} ms for each server, divided over {} instances{}; priority {}; \
         {repeated} of all servers' windows repeated because of steal, {missing} without result",
        cell.window_ms,
        cell.instances,
        if cell.was_extended { ", half of them a repetition on new instances" } else { "" },
        cell.priority
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
    format!("{windows}; in the windows kept, servers' CPU: {}; generator's: {}", cpu(0), cpu(1))
}

/// A cell's rows.
pub(crate) fn lines(cell: &CellResult) -> Vec<[String; COLUMNS]> {
    cell.rows.iter().map(|row| line(cell, row)).collect()
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
        notes(cell, row),
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
        // The floor is no rival: its ratio is always shown.
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

fn notes(cell: &CellResult, row: &Row) -> String {
    let mut notes = Vec::new();
    if let Some(absent) = &row.absent {
        notes.push(if row.failed { format!("FAILED: {absent}") } else { absent.clone() });
    }
    if row.errors > 0 {
        let first = row.first_error.as_deref().unwrap_or_default();
        notes.push(format!("{} ERRORS, first: {first}", row.errors));
    }
    if row.refused > 0 {
        notes.push(format!("{} sets refused: out of memory", row.refused));
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
        notes.push(format!("{evictions} evictions on the last instance since it was started"));
    }
    if row.missing() > 0 {
        notes.push(format!("{} rounds without result because of steal", row.missing()));
    }
    if let Some(busy) = server_busy(cell, row) {
        notes.push(format!("server CPU {:.0} % busy", 100.0 * busy));
    }
    if let Some(busy) = generator_bound(row) {
        notes.push(format!("generator bound ({:.0} % busy)", 100.0 * busy));
    }
    let on_cpu = row.median_of(|round| round.generator_on_cpu);
    if let Some(on_cpu) = on_cpu.filter(|&on_cpu| on_cpu < GENERATOR_DISTURBED) {
        notes.push(format!("generator was preempted (ran {:.0} % of the time)", 100.0 * on_cpu));
    }
    if let Some(late) = lateness(cell, row) {
        notes.push(late);
    }
    let tail = row.tail.as_ref().filter(|tail| tail.is_decidable());
    if let Some(tail) = tail.filter(|_| cell.metric == Metric::P999) {
        notes.push(format!(
            "p99.9 of one block in twenty is above {}, that of all windows together is {}",
            latency(tail.worst_twentieth_ns),
            latency(tail.pooled_ns)
        ));
    }
    let background = row.median_of(|round| Some(round.background_per_s));
    if let Some(rate) = background.filter(|&rate| rate > 0.0) {
        notes.push(format!("plus {rate:.0} large values/s in the background"));
    }
    if row.median_of(|round| Some(round.operations_per_s)) == Some(0.0) {
        notes.push("no requests completed".to_string());
    }
    notes.join("; ")
}

/// How late the generator was, at the percentile that the cell is about.
fn lateness(cell: &CellResult, row: &Row) -> Option<String> {
    let (name, late) = match cell.metric {
        Metric::P999 => ("p99.9", row.median_of(|round| round.late_p999_ns.map(|ns| ns as f64))),
        Metric::ServerCpu | Metric::Throughput | Metric::P50 | Metric::P99 => {
            ("p99", row.median_of(|round| round.late_p99_ns.map(|ns| ns as f64)))
        }
    };
    let late = late.filter(|&late| late > LATE_NS_NOTED)?;
    Some(format!("generator sent late ({name}): {}", latency(late)))
}

/// The part of its CPU that a server uses at a rate that is the same for all.
fn server_busy(cell: &CellResult, row: &Row) -> Option<f64> {
    cell.rate_per_s?;
    row.median_of(|round| Some(round.operations_per_s * round.cpu_ns_per_operation? / 1e9))
}

fn with_interval(estimate: Estimate, write: impl Fn(f64) -> String) -> String {
    let [median, low, high] = [estimate.median, estimate.low, estimate.high].map(write);
    format!("{median} [{low} to {high}]")
}

/// Nanoseconds in a readable unit.
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
