//! Who is measured, and one of each running with a data set.
//!
//! Owns the names in the report's first column, and the servers while they run.

use std::net::SocketAddr;
use std::process::Command;

use super::answers::Contents;
use super::cells::{Cell, DataSet};
use super::floor;
use super::keyspace::{Dialect, Wire};
use crate::rig::client::Client;
use crate::rig::cpus::Placement;
use crate::rig::failure::{Doing, Failure};
use crate::rig::process::{CpuClock, resident_bytes};
use crate::rig::program::Program;
use crate::rig::server::{Endpoint, Server, Transport};

pub(crate) const MIOCACHED: &str = "miocached";
/// The same with `--busy-poll`, only where one client waits for each answer.
const BUSY: &str = "miocached-busy";
/// The two that are the same, whose difference is what chance makes.
pub(crate) const CONTROL: &str = "memcached-A";
pub(crate) const CONTROL_AGAIN: &str = "memcached-B";
pub(crate) const TUNED: &str = "memcached-R1000";
pub(crate) const THREADED: &str = "memcached-threads";
pub(crate) const FLOOR: &str = "floor";

/// A server that the user runs and wants measured with the others.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// For the CPU clock; without it there are no figures on CPU and memory.
    pub(crate) pid: Option<u32>,
}

/// A miocached with other options, measured beside the one with defaults.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) extra: Vec<String>,
}

/// Somebody to measure.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Program { program: Program, extra: Vec<String> },
    Floor,
    Target(Target),
}

impl Contestant {
    /// Everybody, in the order of the report. `also` are further miocacheds with their arguments.
    pub(crate) fn all(
        miocached: &Program,
        memcached: &Program,
        also: &[Variant],
        targets: &[Target],
    ) -> Vec<Self> {
        let program = |name: &str, program: &Program, extra: &[&str]| {
            let extra = extra.iter().map(ToString::to_string).collect();
            Self::program(name, program, extra)
        };
        let mut all = vec![
            program(MIOCACHED, miocached, &[]),
            program(BUSY, miocached, &["--busy-poll", "200"]),
            program(CONTROL, memcached, &["-t", "1"]),
            program(CONTROL_AGAIN, memcached, &["-t", "1"]),
            program(TUNED, memcached, &["-t", "1", "-R", "1000"]),
            program(THREADED, memcached, &[]),
            Self { name: FLOOR.to_string(), kind: Kind::Floor },
        ];
        let variant =
            |variant: &Variant| Self::program(&variant.name, miocached, variant.extra.clone());
        all.extend(also.iter().map(variant));
        all.extend(
            targets.iter().map(|target| Self {
                name: target.name.clone(),
                kind: Kind::Target(target.clone()),
            }),
        );
        all
    }

    fn program(name: &str, program: &Program, extra: Vec<String>) -> Self {
        let kind = Kind::Program { program: program.clone(), extra };
        Self { name: name.to_string(), kind }
    }

    /// Version and options, for the head of the report.
    pub(crate) fn facts(&self) -> String {
        match &self.kind {
            Kind::Program { program, extra } => {
                format!("{} {}", program.version, extra.join(" ")).trim_end().to_string()
            }
            Kind::Floor => "a bare mio server with canned answers".to_string(),
            Kind::Target(target) => format!("running at {}", target.address),
        }
    }

    /// Is it measured in this cell at all?
    pub(crate) fn takes_part(&self, cell: &Cell) -> bool {
        self.name != BUSY || cell.connections() == 1
    }

    /// Why this one has no place in a cell, if so.
    pub(crate) fn excused_from(&self, cell: &Cell) -> Option<&'static str> {
        let simple = cell.dialect == Dialect::Simple;
        match &self.kind {
            Kind::Program { program, .. } if simple && program.is_memcached() => {
                Some("does not speak the simple dialect")
            }
            Kind::Target(_) if simple => Some("not asked in the simple dialect"),
            Kind::Target(_) if cell.data.transport == Transport::Unix => Some("runs on TCP"),
            Kind::Program { .. } | Kind::Floor | Kind::Target(_) => None,
        }
    }

    /// Starts it, and loads all items of the data set.
    pub(crate) fn start(&self, data: &DataSet, placement: Placement) -> Result<Running, Failure> {
        let server = match &self.kind {
            Kind::Program { program, extra } => {
                Some(Server::start(program, &data.launch(extra), placement)?)
            }
            Kind::Floor => Some(start_floor(data, placement)?),
            Kind::Target(_) => None,
        };
        let (endpoint, pid) = match (&server, &self.kind) {
            (Some(server), _) => (server.endpoint().clone(), Some(server.pid())),
            (None, Kind::Target(target)) => (Endpoint::Tcp(target.address), target.pid),
            (None, Kind::Program { .. } | Kind::Floor) => {
                return Err(Failure(format!("{} was not started", self.name)));
            }
        };
        let contents = match self.kind {
            Kind::Floor => Contents::Canned,
            Kind::Program { .. } | Kind::Target(_) => Contents::Checked,
        };
        if contents == Contents::Checked {
            let mut client = Client::connect(&endpoint)?;
            for keyspace in data.keyspaces() {
                let wire = Wire::new(keyspace, Dialect::Classic);
                client.fill(keyspace.count, |index, output| wire.render_fill(index, output))?;
            }
        }
        let clock = pid.map(CpuClock::of).transpose()?;
        Ok(Running { endpoint, clock, contents, pid, _server: server })
    }
}

/// A contestant that runs and is loaded.
pub(crate) struct Running {
    pub(crate) endpoint: Endpoint,
    pub(crate) clock: Option<CpuClock>,
    pub(crate) contents: Contents,
    pid: Option<u32>,
    /// Ends with this value, unless it is the user's own.
    _server: Option<Server>,
}

impl Running {
    /// What it occupies now.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        self.pid.and_then(|pid| resident_bytes(pid).ok())
    }
}

fn start_floor(data: &DataSet, placement: Placement) -> Result<Server, Failure> {
    let ourselves = std::env::current_exe().doing(|| "finding our own binary".into())?;
    let small = data.small.value_bytes;
    let large = data.large.map_or(small, |keyspace| keyspace.value_bytes);
    Server::start_as(data.transport, placement, |endpoint| {
        let mut command = Command::new(&ourselves);
        command.args(floor::arguments(endpoint, small, large));
        command
    })
}
