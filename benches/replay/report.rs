//! What the replay found, as text: a row for every cache and workload, and a summary.
//!
//! Owns the judgement which figures can be compared. Starts nothing.

use std::fmt::Write;
use std::time::Duration;

use super::caches::Memory;
use super::drive::Tally;
use crate::rig::statistics::Estimate;

/// A process may take this much beside `-m` before a row says that it does not keep to it: a quarter
/// of it for the map, and 8 MiB for everything else.
const BESIDE_BYTES: u64 = 8 << 20;
/// Later than this, and lives ended at other requests than they should have.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(500);

/// One cache in one workload, all rounds of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) tallies: Vec<Tally>,
    /// At the end of each round.
    pub(crate) memories: Vec<Memory>,
}

/// One workload; the first row is the reference.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) workload: &'static str,
    pub(crate) fits: bool,
    pub(crate) rows: Vec<Row>,
}

impl Row {
    fn miss_ratios(&self) -> Vec<f64> {
        self.tallies.iter().map(Tally::miss_ratio).collect()
    }

    /// Misses by read, of those of the reference.
    fn ratio_to(&self, reference: &Self) -> Option<f64> {
        Estimate::of_ratios(&self.miss_ratios(), &reference.miss_ratios()).map(|ratio| ratio.median)
    }

    /// Hits by read, of those of the reference.
    fn hits_of(&self, reference: &Self) -> Option<f64> {
        let hits =
            |row: &Self| row.miss_ratios().iter().map(|misses| 1.0 - misses).collect::<Vec<_>>();
        Estimate::of_ratios(&hits(self), &hits(reference)).map(|ratio| ratio.median)
    }

    /// By how many bytes it is beyond its limit, at most.
    fn excess_bytes(&self, memory_bytes: u64) -> Option<u64> {
        let allowed = memory_bytes + memory_bytes / 4 + BESIDE_BYTES;
        let excess = self.memories.iter().map(|memory| match *memory {
            Memory::Resident { bytes, fresh_bytes } => {
                bytes.saturating_sub(fresh_bytes).saturating_sub(allowed)
            }
            Memory::Records { .. } => 0,
        });
        excess.max().filter(|&bytes| bytes > 0)
    }

    fn late(&self) -> Duration {
        self.tallies.iter().map(|tally| tally.late).max().unwrap_or_default()
    }

    fn remarks(&self, memory_bytes: u64) -> String {
        let mut remarks = Vec::new();
        if let Some(bytes) = self.excess_bytes(memory_bytes) {
            remarks.push(format!("{} MiB TOO MUCH: does not keep to -m", bytes >> 20));
        }
        let late = self.late();
        if late > LATE_MAX {
            remarks.push(format!("up to {:.1} s behind its rate", late.as_secs_f64()));
        }
        let refused: u64 = self.tallies.iter().map(|tally| tally.refused).sum();
        if refused > 0 {
            remarks.push(format!("{refused} writes refused"));
        }
        remarks.extend(self.work());
        remarks.join("; ")
    }

    /// What a model did beside what clients asked for, in the last round.
    fn work(&self) -> Option<String> {
        let Some(Memory::Records { work, .. }) = self.memories.last() else { return None };
        let by_stored = |bytes: u64| bytes as f64 / work.stored_bytes.max(1) as f64;
        let (moved, scanned) = (by_stored(work.moved_bytes), by_stored(work.scanned_bytes));
        let did = work.moved_bytes + work.scanned_bytes > 0;
        did.then(|| format!("{moved:.2} moved and {scanned:.2} scanned by byte stored"))
    }

    /// Sums over rounds, for one seed's count means as much as another's.
    fn columns(&self) -> String {
        let sum = |count: fn(&Tally) -> u64| self.tallies.iter().map(count).sum::<u64>();
        let misses = Estimate::of(&self.miss_ratios()).map_or(0.0, |estimate| estimate.median);
        let worst = |size: fn(&Memory) -> u64| self.memories.iter().map(size).max().unwrap_or(0);
        let resident = worst(|memory| match *memory {
            Memory::Resident { bytes, .. } | Memory::Records { bytes, .. } => bytes,
        });
        format!(
            "{:>10} {:>10} {:>10} {:>10.5} {:>9.1}",
            sum(|tally| tally.requests),
            sum(|tally| tally.reads),
            sum(|tally| tally.misses),
            misses,
            resident as f64 / f64::from(1 << 20),
        )
    }
}

/// The head of the table.
pub(crate) fn head(reference: &str) -> String {
    format!(
        "{:15} {:12} {:>10} {:>10} {:>10} {:>10} {:>9} {:>10}\n",
        "workload",
        "cache",
        "requests",
        "reads",
        "misses",
        "miss ratio",
        "MiB",
        format!("of {reference}").chars().take(12).collect::<String>(),
    )
}

/// One workload's rows.
pub(crate) fn rows(finding: &Finding, memory_bytes: u64) -> String {
    let mut text = String::new();
    let Some(reference) = finding.rows.first() else { return text };
    for (at, row) in finding.rows.iter().enumerate() {
        let (workload, ratio) = match at {
            0 => (finding.workload, String::new()),
            // Against no misses at all there is no ratio.
            _ => {
                let ratio = row.ratio_to(reference).map(|ratio| format!("{ratio:.3}"));
                (if finding.fits { "  (fits)" } else { "" }, ratio.unwrap_or_else(|| "-".into()))
            }
        };
        let line = format!(
            "{workload:15} {:12} {} {ratio:>10}  {}",
            row.name,
            row.columns(),
            row.remarks(memory_bytes)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The figures that decide, for every cache beside the reference.
pub(crate) fn summary(findings: &[Finding], memory_bytes: u64) -> String {
    let mut text = String::new();
    let Some(first) = findings.first() else { return text };
    let Some((reference, others)) = first.rows.split_first() else { return text };
    for (at, other) in others.iter().enumerate() {
        let judged = |finding: &Finding| -> Option<(f64, &'static str)> {
            Some((finding.rows[at + 1].ratio_to(&finding.rows[0])?, finding.workload))
        };
        let exceeding: Vec<(f64, &str)> =
            findings.iter().filter(|finding| !finding.fits).filter_map(judged).collect();
        let ratios: Vec<f64> = exceeding.iter().map(|(ratio, _)| *ratio).collect();
        let worst = exceeding.iter().max_by(|one, another| one.0.total_cmp(&another.0));
        let (Some(estimate), Some((highest, workload))) = (Estimate::of(&ratios), worst) else {
            let _ = writeln!(text, "{}: every workload fits, so there is no ratio", other.name);
            continue;
        };
        let _ = writeln!(
            text,
            "{}: misses {:.3} of {}'s, the median over {} workloads that do not fit; the highest \
             is {highest:.3} ({workload})",
            other.name,
            estimate.median,
            reference.name,
            ratios.len()
        );
    }
    text += &hits_where_all_fits(findings);
    let greedy = |row: &&Row| row.excess_bytes(memory_bytes).is_some();
    let greedy: Vec<&Row> =
        findings.iter().flat_map(|finding| &finding.rows).filter(greedy).collect();
    let mut names: Vec<&str> = greedy.iter().map(|row| row.name.as_str()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        let _ = writeln!(
            text,
            "NOT COMPARABLE: {} took more memory than -m allows in {} rows; their ratios say nothing",
            names.join(", "),
            greedy.len()
        );
    }
    let is_late = |finding: &&Finding| finding.rows.iter().any(|row| row.late() > LATE_MAX);
    let late: Vec<&str> = findings.iter().filter(is_late).map(|finding| finding.workload).collect();
    if !late.is_empty() {
        let _ = writeln!(
            text,
            "DISTURBED: a cache fell behind the rate in {}, so that items expired too early there; \
             measure these again",
            late.join(", ")
        );
    }
    text
}

/// Where everything live fits, misses are few, and hits are what can be compared.
fn hits_where_all_fits(findings: &[Finding]) -> String {
    let mut text = String::new();
    let Some((reference, others)) = findings.first().and_then(|first| first.rows.split_first())
    else {
        return text;
    };
    for (at, other) in others.iter().enumerate() {
        let fitting = findings.iter().filter(|finding| finding.fits);
        let hits = fitting.filter_map(|finding| {
            Some((finding.rows[at + 1].hits_of(&finding.rows[0])?, finding.workload))
        });
        if let Some((least, workload)) = hits.min_by(|one, another| one.0.total_cmp(&another.0)) {
            let _ = writeln!(
                text,
                "{}: where all fits, hits at least {least:.3} of {}'s ({workload})",
                other.name, reference.name
            );
        }
    }
    text
}
