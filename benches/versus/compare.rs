//! `--baseline`: what has changed since an earlier report.
//!
//! Machines drift between two runs, so what is compared is miocached's ratio to the memcached of
//! its own run, and a change counts only beyond the larger A/A spread of the two.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::contestants::{CONTROL, MIOCACHED};
use super::results::{CellResult, Report, SCHEMA};
use crate::rig::failure::{Doing, Failure};

/// Reads an earlier report.
pub(crate) fn read(path: &Path) -> Result<Report, Failure> {
    /// What any schema has.
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    let text = fs::read_to_string(path).doing(|| format!("reading {}", path.display()))?;
    let versioned: Versioned =
        serde_json::from_str(&text).doing(|| format!("{} as a report", path.display()))?;
    if versioned.schema != SCHEMA {
        return Err(Failure(format!("{} is of another schema", path.display())));
    }
    let report: Report =
        serde_json::from_str(&text).doing(|| format!("{} as a report", path.display()))?;
    Ok(report)
}

/// One line a cell that both reports have.
pub(crate) fn lines(earlier: &Report, now: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{MIOCACHED} since the earlier report, each relative to {CONTROL} of its own run:"
    )];
    if earlier.machine.cpu_model != now.machine.cpu_model {
        lines.push(format!("  another CPU then: {}", earlier.machine.cpu_model));
    }
    if earlier.memcached.version != now.memcached.version {
        lines.push(format!("  another memcached then: {}", earlier.memcached.version));
    }
    for cell in &now.cells {
        let before = earlier.cells.iter().find(|before| before.name == cell.name);
        if let Some(before) = before {
            lines.push(format!("  {}: {}", cell.name, change(before, cell)));
        }
    }
    lines
}

fn change(before: &CellResult, now: &CellResult) -> String {
    if before.what != now.what || before.metric != now.metric {
        return "not comparable, measured differently".to_string();
    }
    let metric = now.metric;
    let ratios =
        before.ratio(MIOCACHED, CONTROL, metric).zip(now.ratio(MIOCACHED, CONTROL, metric));
    let controls = before.control(metric).zip(now.control(metric));
    let (Some((old, new)), Some((control_then, control_now))) = (ratios, controls) else {
        return "not comparable, figures are missing".to_string();
    };
    let spread = control_then.spread().max(control_now.spread());
    let change = new.median / old.median - 1.0;
    let judged = if change.abs() > spread { "CHANGED" } else { "no difference" };
    format!(
        "{} {:.3} -> {:.3}, {:+.1} % (A/A spread {:.1} %): {judged}",
        metric.name(),
        old.median,
        new.median,
        100.0 * change,
        100.0 * spread
    )
}
