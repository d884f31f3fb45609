//! What the ratios say in words: a difference, none, or why there is no verdict.
//!
//! Owns the rules by which a figure is not judged. Measures and computes nothing.

use super::contestants::{CONTROL, CONTROL_AGAIN, MIOCACHED, TUNED};
use super::results::{CellResult, Comparison, Metric, Report, Row};
use super::tails::{SAMPLES_MIN, Tail};
use crate::rig::statistics::Estimate;

/// From this part of the window on, the generator and not the server may be what limits a rate.
const GENERATOR_BOUND: f64 = 0.95;

/// How busy the generator was, where it may have limited the rate.
pub(crate) fn generator_bound(row: &Row) -> Option<f64> {
    row.median_of(|round| Some(round.generator_busy)).filter(|&busy| busy > GENERATOR_BOUND)
}

/// What miocached's figures say; a difference that chance can explain is none.
pub(crate) fn verdicts(cell: &CellResult) -> Vec<String> {
    let line = |under: &&str| {
        let is_bound = is_bound(cell, under);
        let mut parts: Vec<String> = Metric::ALL
            .into_iter()
            .filter(|&metric| is_judged(cell, metric, is_bound))
            .filter_map(|metric| verdict(cell, under, metric))
            .collect();
        if parts.is_empty() {
            return None;
        }
        if is_bound {
            parts.push(
                "operations a second and latencies: generator bound, so not judged, and the \
                 faster server's CPU per operation is that at part load"
                    .to_string(),
            );
        }
        Some(format!("{MIOCACHED} to {under}: {}", parts.join("; ")))
    };
    [CONTROL, TUNED].iter().filter_map(line).collect()
}

/// The comparisons of miocached that get a verdict.
pub(crate) fn judged_comparisons(cell: &CellResult) -> impl Iterator<Item = &Comparison> {
    cell.comparisons.iter().filter(|comparison| {
        comparison.over == MIOCACHED
            && [CONTROL, TUNED].contains(&comparison.under.as_str())
            && is_judged(cell, comparison.metric, is_bound(cell, &comparison.under))
    })
}

/// Whether the generator may have limited miocached's rate or the other's.
fn is_bound(cell: &CellResult, under: &str) -> bool {
    let bound = |name| cell.row(name).is_some_and(|row| generator_bound(row).is_some());
    [MIOCACHED, under].into_iter().any(bound)
}

/// At a fixed rate the throughput is given. In a closed loop a latency is connections times depth divided by throughput, and would repeat the
/// verdict on throughput; so latencies are judged only in the cells that are about them.
fn is_judged(cell: &CellResult, metric: Metric, is_bound: bool) -> bool {
    match metric {
        Metric::ServerCpu => true,
        Metric::Throughput => !is_bound && cell.rate_per_s.is_none(),
        Metric::P50 | Metric::P99 | Metric::P999 => !is_bound && cell.is_about_latency(),
    }
}

fn verdict(cell: &CellResult, under: &str, metric: Metric) -> Option<String> {
    let judged = match cell.comparison(MIOCACHED, under, metric) {
        Some(comparison) => in_words(comparison),
        None if metric == Metric::P999 => undecided(cell, [MIOCACHED, under])?,
        None => return None,
    };
    let failed = cell.control(metric).is_some_and(|control| !control.holds(1.0));
    let failed = if failed { " (control failed)" } else { "" };
    Some(format!("{} {judged}{failed}", metric.name()))
}

fn in_words(comparison: &Comparison) -> String {
    let ratio = comparison.ratio;
    let figures = format!("{:.3} [{:.3} to {:.3}]", ratio.median, ratio.low, ratio.high);
    match (comparison.differs, comparison.smallest_detectable) {
        (Some(false), Some(effect)) => {
            let open = comparison.metric == Metric::P999 && !comparison.is_settled();
            format!(
                "no difference, smallest detectable effect {}{}",
                effect_in_words(effect),
                if open { " (too imprecise to decide)" } else { "" }
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
    Some(format!("cannot be decided ({samples} requests, {SAMPLES_MIN} needed)"))
}

/// What two identical servers showed in this cell.
pub(crate) fn control_in_words(cell: &CellResult) -> String {
    match cell.control(cell.metric) {
        None => "no A/A control".to_string(),
        Some(control) if control.holds(1.0) => {
            format!("A/A spread {}", effect_in_words(control.spread()))
        }
        Some(control) => format!(
            "A/A CONTROL FAILED: {CONTROL_AGAIN} to {CONTROL} is {:.3} [{:.3} to {:.3}]",
            control.median, control.low, control.high
        ),
    }
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
        "A/A control: the interval of {CONTROL_AGAIN} to {CONTROL} contains 1 in {} of {} cells; \
         by chance one in a hundred does not where instances do not differ, and one in sixteen \
         where they differ more than their windows do (5 instances, in simulation). Cells of one \
         group share servers, so they are not independent.",
        controls.len() - outside.len(),
        controls.len()
    );
    if !outside.is_empty() {
        text.push_str(&format!(" The control failed in {}.", outside.join(", ")));
    }
    text
}

/// A distance from 1: as a part of it, or as a factor where it is large.
pub(crate) fn effect_in_words(effect: f64) -> String {
    if effect < 1.0 {
        format!("{:.1} %", 100.0 * effect)
    } else {
        format!("factor {:.1}", 1.0 + effect)
    }
}
