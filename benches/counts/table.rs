//! The table of counts in the repository, and what a new count means beside it.
//!
//! Owns the format. Counts nothing.

use std::fmt;

use crate::rig::failure::{Doing, Failure};

/// Percent by which a count may differ from the table. The hash seed, drawn anew for each process,
/// moves a count by at most 0.3 %; the compiler's next release may move it by more than this.
const TOLERANCE_PERCENT: u64 = 3;

const HEADER: &str = "\
# Instructions per request: Session::advance and all that it calls, which is parsing, store and
# answer. System calls, reading and writing are not in it. Keys of 36 bytes, values of 224, 100
# thousand items, each touched three times; pipelined means 50 requests in one read.
# `cargo bench --bench counts` fails on a count more than 3 % above this table;
# `cargo bench --bench counts -- --update` writes it anew.
";
const TOOLS: &str = "# Counted with: ";

/// Counts by name, and what they were counted with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) tools: String,
    pub(crate) rows: Vec<Row>,
}

/// One case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) count: u64,
    /// What is counted.
    pub(crate) unit: String,
}

impl Table {
    /// Reads what [`Self::text`] writes.
    ///
    /// # Errors
    /// When a line is not of that format.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let tools = text.lines().find_map(|line| line.strip_prefix(TOOLS)).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let rows = lines.map(Row::parse).collect::<Result<_, _>>()?;
        Ok(Self { tools: tools.to_string(), rows })
    }

    /// As it stands in the repository.
    pub(crate) fn text(&self) -> String {
        let rows = self
            .rows
            .iter()
            .map(|Row { name, count, unit }| format!("{name:12} {count:>6}  {unit}\n"));
        format!("{HEADER}{TOOLS}{}\n{}", self.tools, rows.collect::<String>())
    }

    /// The count of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn count(&self, name: &str) -> Result<u64, Failure> {
        let row = self.rows.iter().find(|row| row.name == name);
        row.map(|row| row.count).ok_or_else(|| Failure(format!("the table has no row {name}")))
    }
}

impl Row {
    fn parse(line: &str) -> Result<Self, Failure> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(count)) = (words.next(), words.next()) else {
            return Err(Failure(format!("the table's line {line:?} has no count")));
        };
        let count = count.parse().doing(|| format!("the table's line {line:?}"))?;
        let unit = words.collect::<Vec<_>>().join(" ");
        Ok(Self { name: name.to_string(), count, unit })
    }
}

/// A count beside that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Within,
    /// Fails.
    Above,
    /// The table would not notice a step back.
    Below,
}

impl Verdict {
    pub(crate) const fn of(in_table: u64, now: u64) -> Self {
        if now * 100 > in_table * (100 + TOLERANCE_PERCENT) {
            Self::Above
        } else if now * 100 < in_table * (100 - TOLERANCE_PERCENT) {
            Self::Below
        } else {
            Self::Within
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Within => "as in the table",
            Self::Above => "TOO MANY: more than 3 % above the table",
            Self::Below => "more than 3 % below the table: write it anew with --update",
        })
    }
}
