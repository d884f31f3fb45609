//! The command line of `versus`.
//!
//! Owns names, defaults and help texts; what follows from an option is decided elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::cells::Cell;
use super::contestants::{Target, Variant};
use super::plan::Plan;
use super::window::{Wait, Window};
use crate::rig::server::Endpoint;

/// Measures miocached against memcached and against the floor, side by side, in one run.
///
/// Environment: MEMCACHED=path and MIOCACHED=path take other builds; POGOCACHE=path measures a
/// pogocache with the others.
#[derive(Debug, Parser)]
#[command(name = "versus", help_expected = true, after_long_help = RECIPE)]
pub(crate) struct Arguments {
    /// Few cells, few keys, short windows: within one minute, for a smoke test
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only cells of this name, or whose name contains it; several with commas between
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Print the cells and exit
    #[arg(long)]
    pub(crate) list: bool,
    /// Rounds; each measures every contestant once; the p99.9 cells have 6 to 30 times as many
    /// [default: 15, quick: 4]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Starts of every server, over which the rounds are divided: memory layout and miocached's hash
    /// seed are drawn anew at each (memcached has no seed per process). At most 3 where more than
    /// two million items are loaded [default: 5, quick: 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    instances: Option<u32>,
    /// Length of one contestant's turn, of which a fifth more is warm-up; 4/15 of it in the p99.9
    /// cells [default: 300, quick: 60]
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    window: Option<u64>,
    /// What the load generator does when idle
    #[arg(long, value_enum, default_value_t = WaitArgument::Spin)]
    wait: WaitArgument,
    /// A running server on loopback or a Unix socket (NAME=unix:PATH), measured with the others in
    /// the cells of its transport. ITEMS ARE STORED INTO IT. Its CPU and memory are measured only
    /// with a pid, and it is not paused during the turns of others
    #[arg(long, value_name = "NAME=HOST:PORT[,pid=PID]", value_parser = target)]
    pub(crate) target: Vec<Target>,
    /// A further miocached with these arguments, such as 'busy=--busy-poll 200'
    #[arg(long, value_name = "NAME=ARGUMENTS", value_parser = also)]
    pub(crate) also: Vec<Variant>,
    /// Compare with an earlier report.json
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Accepted for cargo; ignored
    #[arg(long, hide = true)]
    bench: bool,
}

/// How to come by a memcached that is worth being compared with.
const RECIPE: &str = "\
A current memcached, built with the same care as miocached (optimised, link-time optimised), in a
checkout or an unpacked release of memcached 1.6.45 or later; needs a C compiler, autoconf, automake
and libevent's headers (Debian: libevent-dev):

    ./autogen.sh
    ./configure CFLAGS=\"-O2 -flto\" LDFLAGS=-flto
    make
    MEMCACHED=/path/to/that/memcached cargo bench --bench versus

A released archive comes with `configure`; autogen.sh is for a checkout. The report's head then says of
it, after its version, size and compiler: \"link-time optimised; built with configure 'CFLAGS=-O2 -flto'
LDFLAGS=-flto (config.log in its folder)\". A memcached older than 1.6.35 sends
each answer to a bare `get` with a system call of its own: that makes all other servers look better
by a factor of 4 to 6 in every cell with pipelined gets, and the report says so at its top.";

/// [`Wait`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WaitArgument {
    /// Busy-poll
    Spin,
    /// Sleep, as most clients do
    Block,
}

impl Arguments {
    /// Rounds, instances and windows, as given or by default.
    pub(crate) fn plan(&self) -> Plan {
        let ms = self.window.unwrap_or(if self.quick { 60 } else { 300 });
        let measure = Duration::from_millis(ms);
        Plan {
            rounds: self.rounds.unwrap_or(if self.quick { 4 } else { 15 }),
            instances: self.instances.unwrap_or(if self.quick { 2 } else { 5 }),
            window: Window { warm: measure / 5, measure },
            decides_tails: !self.quick,
        }
    }

    /// What the generator does while idle. On a single CPU spinning would starve the server.
    pub(crate) fn wait(&self, shares_one_cpu: bool) -> Wait {
        match self.wait {
            WaitArgument::Spin if !shares_one_cpu => Wait::Spin,
            WaitArgument::Spin | WaitArgument::Block => Wait::Block,
        }
    }

    /// The cells to be measured. A pattern that is a cell's whole name means that cell alone.
    pub(crate) fn select(&self, mut cells: Vec<Cell>) -> Vec<Cell> {
        let Some(only) = &self.only else {
            cells.retain(|cell| cell.quick || !self.quick);
            return cells;
        };
        let names: Vec<&str> = cells.iter().map(|cell| cell.name).collect();
        let matches = |name: &str| {
            only.split(',').map(str::trim).any(|pattern| {
                if names.contains(&pattern) { name == pattern } else { name.contains(pattern) }
            })
        };
        cells.into_iter().filter(|cell| matches(cell.name)).collect()
    }
}

fn target(text: &str) -> Result<Target, String> {
    let (name, rest) = text.split_once('=').ok_or("NAME=HOST:PORT is expected")?;
    let (address, pid) = match rest.split_once(",pid=") {
        Some((address, pid)) => {
            (address, Some(pid.parse().map_err(|error| format!("pid {pid}: {error}"))?))
        }
        None => (rest, None),
    };
    Ok(Target { name: name.to_string(), endpoint: endpoint(address)?, pid })
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err("unix: wants the path of a socket".to_string()),
            path => Ok(Endpoint::Unix(PathBuf::from(path))),
        };
    }
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok(),
        None => text.parse().ok(),
    };
    let address =
        address.ok_or("HOST:PORT with an IP address or localhost, or unix:PATH is expected")?;
    if !address.ip().is_loopback() {
        return Err("only loopback addresses are allowed".to_string());
    }
    Ok(Endpoint::Tcp(address))
}

fn also(text: &str) -> Result<Variant, String> {
    let (name, arguments) = text.split_once('=').ok_or("NAME=ARGUMENTS is expected")?;
    let extra = arguments.split_whitespace().map(str::to_string).collect();
    Ok(Variant { name: name.to_string(), extra })
}
