//! Who is measured, and one of each running with a data set.
//!
//! Owns the names in the report's first column, and the servers while they run.

use std::path::PathBuf;
use std::process::Command;

use super::answers::Contents;
use super::cells::{Cell, DataSet};
use super::floor;
use super::keyspace::{Dialect, Wire};
use super::ring::ZIPF_EXPONENT;
use crate::rig::binary::Binary;
use crate::rig::client::Client;
use crate::rig::cpus::Placement;
use crate::rig::failure::{Doing, Failure};
use crate::rig::priority::answering_threads;
use crate::rig::process::{CpuClock, resident_bytes};
use crate::rig::program::Program;
use crate::rig::random::index_ring;
use crate::rig::server::{Endpoint, POGOCACHE, Server, Transport};

pub(crate) const MIOCACHED: &str = "miocached";
/// The same with `--busy-poll`, only where one client waits for each answer.
const BUSY: &str = "miocached-busy";
/// The two that are the same, whose difference is what chance makes.
pub(crate) const CONTROL: &str = "memcached-A";
pub(crate) const CONTROL_AGAIN: &str = "memcached-B";
pub(crate) const TUNED: &str = "memcached-tuned";
pub(crate) const THREADED: &str = "memcached-threads";
pub(crate) const FLOOR: &str = "floor";

/// A server that the user runs and wants measured with the others.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
    /// For the CPU clock; without it there are no figures on CPU and memory.
    pub(crate) pid: Option<u32>,
}

/// A miocached with other options, measured beside the one with defaults.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) extra: Vec<String>,
}

/// One server to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Program {
        program: Program,
        extra: Vec<String>,
    },
    /// memcached with one thread as its users tune it, for so many items as there are.
    Tuned(Program),
    Pogocache(Program),
    Floor,
    Target(Target),
}

impl Contestant {
    /// All of them, in the order of the report. `also` are further miocacheds with their arguments.
    /// pogocache is one of them where the environment has POGOCACHE.
    pub(crate) fn all(
        miocached: &Program,
        memcached: &Program,
        also: &[Variant],
        targets: &[Target],
    ) -> Result<Vec<Self>, Failure> {
        let program = |name: &str, program: &Program, extra: &[&str]| {
            let extra = extra.iter().map(ToString::to_string).collect();
            Self::program(name, program, extra)
        };
        let mut all = vec![
            program(MIOCACHED, miocached, &[]),
            program(BUSY, miocached, &["--busy-poll", "200"]),
            program(CONTROL, memcached, &["-t", "1"]),
            program(CONTROL_AGAIN, memcached, &["-t", "1"]),
            Self { name: TUNED.to_string(), kind: Kind::Tuned(memcached.clone()) },
            program(THREADED, memcached, &[]),
            Self { name: FLOOR.to_string(), kind: Kind::Floor },
        ];
        if let Some(path) = std::env::var_os("POGOCACHE") {
            let kind = Kind::Pogocache(pogocache(path.into())?);
            all.push(Self { name: POGOCACHE.trim_end().to_string(), kind });
        }
        let variant =
            |variant: &Variant| Self::program(&variant.name, miocached, variant.extra.clone());
        all.extend(also.iter().map(variant));
        all.extend(
            targets.iter().map(|target| Self {
                name: target.name.clone(),
                kind: Kind::Target(target.clone()),
            }),
        );
        let mut names: Vec<&str> = all.iter().map(|contestant| contestant.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Failure(format!("two contestants are called {}; rename one", pair[0])));
        }
        Ok(all)
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
            Kind::Tuned(program) => {
                let hashpower = "<log2 of the items, at least 12>";
                format!(
                    "{} {}; in the cells that evict {}",
                    program.version,
                    tuned_arguments(hashpower, false).join(" "),
                    tuned_arguments(hashpower, true).join(" ")
                )
            }
            Kind::Pogocache(program) => {
                format!("{} {}", program.version, POGOCACHE_ARGUMENTS.join(" "))
            }
            Kind::Floor => "a bare mio server with fixed responses".to_string(),
            Kind::Target(target) => format!("running at {}", target.endpoint),
        }
    }

    /// How its binary was built, as far as the file says.
    pub(crate) fn build(&self) -> String {
        match &self.kind {
            Kind::Program { program, .. } | Kind::Tuned(program) | Kind::Pogocache(program) => {
                Binary::at(&program.path).in_words()
            }
            Kind::Floor => "part of this bench's binary".to_string(),
            Kind::Target(_) => "unknown, started by the user".to_string(),
        }
    }

    /// Is it measured in this cell at all?
    pub(crate) fn takes_part(&self, cell: &Cell) -> bool {
        match &self.kind {
            Kind::Pogocache(_) => cell.pogocache,
            Kind::Target(target) => {
                matches!(target.endpoint, Endpoint::Unix(_))
                    == (cell.data.transport == Transport::Unix)
            }
            Kind::Program { .. } | Kind::Tuned(_) | Kind::Floor => {
                self.name != BUSY || cell.connections() == 1
            }
        }
    }

    /// Why this one has no place in a cell, if so.
    pub(crate) fn excused_from(&self, cell: &Cell) -> Option<&'static str> {
        let simple = cell.dialect == Dialect::Simple;
        let evicts = cell.data.memory_mib.is_some();
        match &self.kind {
            Kind::Program { program, .. } | Kind::Tuned(program)
                if simple && program.is_memcached() =>
            {
                Some("does not speak the simple dialect")
            }
            Kind::Target(_) if simple => Some("not asked in the simple dialect"),
            Kind::Target(_) if evicts => Some("memory limit unknown"),
            Kind::Floor if evicts => Some("never misses"),
            Kind::Program { .. }
            | Kind::Tuned(_)
            | Kind::Pogocache(_)
            | Kind::Floor
            | Kind::Target(_) => None,
        }
    }

    /// Starts it, and loads all items of the data set.
    pub(crate) fn start(&self, data: &DataSet, placement: Placement) -> Result<Running, Failure> {
        let start =
            |program, extra: &[String]| Server::start(program, &data.launch(extra), placement);
        let server = match &self.kind {
            Kind::Program { program, extra } => Some(start(program, extra)?),
            Kind::Tuned(program) => {
                let hashpower = data.items_log2().max(HASHPOWER_MIN).to_string();
                let evicts = data.memory_mib.is_some();
                Some(start(program, &tuned_arguments(&hashpower, evicts))?)
            }
            Kind::Pogocache(program) => {
                Some(start(program, &POGOCACHE_ARGUMENTS.map(str::to_string))?)
            }
            Kind::Floor => Some(start_floor(data, placement)?),
            Kind::Target(_) => None,
        };
        let (endpoint, pid) = match (&server, &self.kind) {
            (Some(server), _) => (server.endpoint().clone(), Some(server.pid())),
            (None, Kind::Target(target)) => (target.endpoint.clone(), target.pid),
            (None, _) => return Err(Failure(format!("{} was not started", self.name))),
        };
        let contents = match self.kind {
            Kind::Floor => Contents::Canned,
            Kind::Program { .. } | Kind::Tuned(_) | Kind::Pogocache(_) | Kind::Target(_) => {
                Contents::Checked
            }
        };
        if contents == Contents::Checked {
            fill(data, &mut Client::connect(&endpoint)?)?;
        }
        let clock = pid.map(CpuClock::of).transpose()?;
        let evicts = data.memory_mib.is_some();
        Ok(Running { endpoint, clock, contents, pid, evicts, server })
    }
}

/// A contestant that runs and is loaded.
pub(crate) struct Running {
    pub(crate) endpoint: Endpoint,
    pub(crate) clock: Option<CpuClock>,
    pub(crate) contents: Contents,
    pid: Option<u32>,
    /// Whether it has too little memory for its items.
    evicts: bool,
    /// Ends with this value; none for a server that the user runs.
    server: Option<Server>,
}

impl Running {
    /// What it occupies now.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        self.pid.and_then(|pid| resident_bytes(pid).ok())
    }

    /// The threads whose priority decides its latencies; none of a server that the user runs.
    pub(crate) fn answering_threads(&self) -> Result<Vec<u32>, Failure> {
        self.server.as_ref().map_or(Ok(Vec::new()), |server| answering_threads(server.pid()))
    }

    /// Items that it has evicted so far, where it is there to evict and says so.
    pub(crate) fn evictions(&self) -> Option<u64> {
        if !self.evicts {
            return None;
        }
        let ask = || Client::connect(&self.endpoint)?.stat("evictions");
        self.while_resumed(ask).ok()?
    }

    /// Lets the process run while `what` is done, and stops it again. An idle server is not without
    /// work: memcached's LRU maintainer wakes up 18 to 35 times a second, and its crawler takes up to
    /// 400 ms of CPU time at once, which another server's window would pay for.
    pub(crate) fn while_resumed<T>(
        &self,
        what: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.server.as_ref().map_or(Ok(()), Server::resume)?;
        let done = what();
        let paused = self.pause();
        done.and_then(|done| paused.map(|()| done))
    }

    /// Stops the process until the next [`Self::while_resumed`]. A server that the user runs is never
    /// paused.
    pub(crate) fn pause(&self) -> Result<(), Failure> {
        self.server.as_ref().map_or(Ok(()), Server::pause)
    }
}

/// What is set for pogocache beside memory and connections: one thread as for all others, and no
/// thread beside it that looks for expired items.
const POGOCACHE_ARGUMENTS: [&str; 4] = ["--threads", "1", "--autosweep", "no"];

/// memcached refuses to start with a smaller `hashpower`.
const HASHPOWER_MIN: u32 = 12;

/// memcached tuned for pipelines and one thread: it answers up to 1,000 requests of a connection at
/// a time instead of 20, and its table never grows. Without evictions no thread works on its lists
/// either; with evictions that would turn its segmented LRU off, and its hit ratio with it.
fn tuned_arguments(hashpower: &str, evicts: bool) -> Vec<String> {
    let lists = if evicts { "" } else { ",no_lru_crawler,no_lru_maintainer" };
    let table = format!("hashpower={hashpower}{lists}");
    ["-t", "1", "-R", "1000", "-o", &table].map(str::to_string).to_vec()
}

/// The pogocache at `path`, which knows no `-V`.
fn pogocache(path: PathBuf) -> Result<Program, Failure> {
    let output = Command::new(&path)
        .arg("--version")
        .output()
        .doing(|| format!("running {} --version", path.display()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_string();
    if !version.starts_with(POGOCACHE) {
        return Err(Failure(format!("POGOCACHE={} is no pogocache", path.display())));
    }
    Ok(Program { path, version })
}

/// Stores all items once. Where they do not fit, they come as often and in such an order as a cache
/// sees them, so that what is kept is near to what a longer run would keep.
fn fill(data: &DataSet, client: &mut Client) -> Result<(), Failure> {
    /// Another sequence than the one that is asked for.
    const SEED: u64 = 0x6669_6c6c;
    for keyspace in data.keyspaces() {
        let wire = Wire::new(keyspace, Dialect::Classic);
        let count = keyspace.count;
        if data.memory_mib.is_some() {
            let drawn = index_ring(count as usize, count, Some(ZIPF_EXPONENT), SEED);
            client.fill(count, |nth, output| wire.render_fill(drawn[nth as usize], output))?;
        } else {
            client.fill(count, |index, output| wire.render_fill(index, output))?;
        }
    }
    Ok(())
}

fn start_floor(data: &DataSet, placement: Placement) -> Result<Server, Failure> {
    let ourselves = std::env::current_exe().doing(|| "finding our own binary".into())?;
    let small = data.small.values;
    let large = data.second.map_or(small, |keyspace| keyspace.values);
    Server::start_as(data.transport, placement, |endpoint| {
        let mut command = Command::new(&ourselves);
        command.args(floor::arguments(endpoint, small, large));
        command
    })
}
