//! How long it will take, and where we are: on stderr, so that stdout holds nothing but the report.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use super::cells::{Cell, DataSet, Schedule};
use super::contestants::{Contestant, FLOOR};
use super::plan::{Plan, SETTLING};
use super::results::CellResult;
use super::window::Window;
use crate::rig::priority::Raised;

/// Items a second that a server takes while being loaded, for the estimate.
const LOADED_PER_S: u64 = 700_000;
/// Bytes a second, where values are large.
const LOADED_BYTES_PER_S: u64 = 1_000_000_000;
/// Starting a server and ending it.
const START: Duration = Duration::from_millis(40);
/// Drawing one ring of keys, of which a data set has about one.
const DRAWING: Duration = Duration::from_millis(400);
/// Beside its window, a turn drains and lets the next server's caches warm.
const TURN_OVERHEAD: Duration = Duration::from_millis(5);
/// Requests a second where the rate is chosen from memcached's, which is not known yet.
const RATE_EXPECTED: u64 = 50_000;

/// An estimate of the whole run, without the repetitions of undecided p99.9 cells.
pub(crate) fn expected_duration(
    cells: &[Cell],
    contestants: &[Contestant],
    plan: Plan,
) -> Duration {
    let turn = |window: Window| window.warm + window.measure + TURN_OVERHEAD;
    let here = |contestant: &Contestant, cell: &Cell| {
        contestant.takes_part(cell) && contestant.excused_from(cell).is_none()
    };
    let mut total = Duration::ZERO;
    for group in cells.chunk_by(|one, other| one.data == other.data) {
        let data = &group[0].data;
        let mut instance = SETTLING;
        for contestant in contestants {
            if group.iter().any(|cell| here(contestant, cell)) {
                let loaded = contestant.name != FLOOR;
                instance += START + if loaded { loading(data) } else { Duration::ZERO };
            }
        }
        for cell in group {
            let rounds = plan.rounds_each(cell, Some(RATE_EXPECTED));
            let window = plan.window_of(cell);
            // The rest of a generator at real-time priority; small enough to be counted always.
            let rests = cell.schedule == Schedule::Tails && plan.decides_tails;
            let rest = if rests { Raised::rest_after(window.whole()) } else { Duration::ZERO };
            let each = turn(plan.warm_up()) + (turn(window) + rest) * rounds;
            let taking_part = contestants.iter().filter(|contestant| here(contestant, cell));
            instance += each * u32::try_from(taking_part.count()).unwrap_or(u32::MAX);
        }
        total += DRAWING + instance * plan.instances(data);
    }
    total
}

fn loading(data: &DataSet) -> Duration {
    let of = |keyspace: super::keyspace::Keyspace| {
        let items = u64::from(keyspace.count);
        let bytes = items * (keyspace.values.mean_bytes() as u64);
        Duration::from_millis(1000 * items / LOADED_PER_S + 1000 * bytes / LOADED_BYTES_PER_S)
    };
    data.keyspaces().map(of).sum()
}

/// Lines, or one rewritten line on a terminal.
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
    pub(crate) fn new(cells: usize) -> Self {
        let watched = stderr().is_terminal();
        Self { started: Instant::now(), cells, done: 0, rounds: 0, current: String::new(), watched }
    }

    /// Since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A server is being started and filled.
    pub(crate) fn loading(&self, name: &str, data: &DataSet) {
        self.rewrite(&format!("loading {name}: {} items", data.small.count));
    }

    /// A cell begins on another instance, for so many rounds.
    pub(crate) fn begin(&mut self, cell: &str, instance: usize, rounds: usize) {
        self.current = format!("{cell}, instance {}", instance + 1);
        self.rounds = rounds;
        self.rewrite(cell);
    }

    /// A round of it begins.
    pub(crate) fn round(&self, round: usize) {
        self.rewrite(&format!("{} round {} of {}", self.current, round + 1, self.rounds));
    }

    /// So many cells are done on one more instance; a line, because a group of cells takes long.
    pub(crate) fn instance_done(&self, cells: usize, data: &DataSet) {
        let clear = if self.watched { "\r\x1b[K" } else { "" };
        let elapsed = self.started.elapsed().as_secs();
        let keys = data.small.count;
        let cells = if cells == 1 { "1 cell".to_string() } else { format!("{cells} cells") };
        let _ = writeln!(stderr(), "{clear}[{elapsed} s] {cells} on one instance, {keys} keys");
    }

    /// A cell is done, on all instances.
    pub(crate) fn done(&mut self, result: Option<&CellResult>) {
        let Some(result) = result else { return };
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
