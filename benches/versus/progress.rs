//! How long it will take, and where we are: on stderr, so that stdout holds nothing but the report.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use super::cells::{Cell, DataSet, Method};
use super::results::CellResult;
use super::search::WINDOWS_EXPECTED;
use super::window::Window;

/// Items a second that a server takes while being loaded, for the estimate.
const LOADED_PER_S: u64 = 500_000;
/// Bytes a second, where values are large.
const LOADED_BYTES_PER_S: u64 = 1_000_000_000;
/// Beside its window, a turn drains and lets the next server's caches warm.
const TURN_OVERHEAD: Duration = Duration::from_millis(5);

/// An estimate of the whole run.
pub(crate) fn expected_duration(
    cells: &[Cell],
    contestants: u32,
    rounds: u32,
    window: Window,
) -> Duration {
    let turn = window.warm + window.measure + TURN_OVERHEAD;
    let mut total = Duration::ZERO;
    for group in cells.chunk_by(|one, other| one.data == other.data) {
        for keyspace in group[0].data.keyspaces() {
            let items = u64::from(keyspace.count);
            let bytes = items * (keyspace.values.mean_bytes() as u64);
            let ms = 1000 * items / LOADED_PER_S + 1000 * bytes / LOADED_BYTES_PER_S;
            total += Duration::from_millis(ms) * contestants;
        }
        for cell in group {
            let turns = match cell.method {
                Method::RateSearch => rounds * WINDOWS_EXPECTED,
                Method::Load(_) | Method::PercentOfSaturation(_) => rounds,
            };
            total += turn * (turns + 1) * contestants;
        }
    }
    total
}

/// Lines, or one line rewritten where somebody watches.
pub(crate) struct Progress {
    started: Instant,
    cells: usize,
    done: usize,
    rounds: usize,
    current: String,
    watched: bool,
}

impl Progress {
    /// Nothing is done yet.
    pub(crate) fn new(cells: usize, rounds: usize) -> Self {
        let watched = stderr().is_terminal();
        Self { started: Instant::now(), cells, done: 0, rounds, current: String::new(), watched }
    }

    /// Since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A server is being started and filled.
    pub(crate) fn loading(&self, name: &str, data: &DataSet) {
        self.rewrite(&format!("loading {name}: {} items", data.small.count));
    }

    /// A cell begins.
    pub(crate) fn begin(&mut self, cell: &str) {
        self.current = cell.to_string();
        self.rewrite(cell);
    }

    /// A round of it begins.
    pub(crate) fn round(&self, round: usize) {
        self.rewrite(&format!("{} round {} of {}", self.current, round + 1, self.rounds));
    }

    /// A cell is done.
    pub(crate) fn done(&mut self, result: &CellResult) {
        self.done += 1;
        let failed = result.rows.iter().filter(|row| row.failed).count();
        let failed = if failed > 0 { format!(", {failed} FAILED") } else { String::new() };
        let clear = if self.watched { "\r\x1b[K" } else { "" };
        let elapsed = self.started.elapsed().as_secs();
        let _ = writeln!(
            stderr(),
            "{clear}[{}/{}, {elapsed} s] {}{failed}",
            self.done,
            self.cells,
            result.name
        );
    }

    fn rewrite(&self, what: &str) {
        if self.watched {
            let _ = write!(stderr(), "\r\x1b[K[{}/{}] {what}", self.done, self.cells);
        }
    }
}
