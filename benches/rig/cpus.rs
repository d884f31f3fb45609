//! Which CPU runs what: servers on one, the load on another, and enough open files for both.
//!
//! The two should not be SMT siblings: these share execution units and the first caches, so that a
//! busy generator slows the server down by as much as it happens to be busy.
//! A child inherits the affinity of the thread that starts it, so pinning a server means pinning
//! ourselves for the moment of its start. Knows nothing of servers.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use super::failure::{Doing, Failure};

/// The two CPUs of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Where every server runs, by turns.
    pub(crate) server: usize,
    /// Where the load is made; equal to `server` when the machine has one CPU only.
    pub(crate) generator: usize,
    /// What the two have in common.
    pub(crate) kinship: Kinship,
}

/// What two CPUs share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinship {
    /// Everything: there is only one.
    Same,
    /// A core: two threads of it.
    Siblings,
    /// No core, as far as the kernel knows; a hypervisor may hide it.
    Cores,
    /// The kernel does not say.
    Unknown,
}

/// Where the kernel says a CPU is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Topology {
    /// The threads of its core, itself among them.
    pub(crate) siblings: Vec<usize>,
    pub(crate) package: Option<u64>,
    pub(crate) core: Option<u64>,
}

impl Topology {
    fn of(cpu: usize) -> Self {
        let file = |name: &str| {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/{name}");
            fs::read_to_string(path).unwrap_or_default().trim().to_string()
        };
        Self {
            siblings: cpu_list(&file("thread_siblings_list")),
            package: file("physical_package_id").parse().ok(),
            core: file("core_id").parse().ok(),
        }
    }
}

impl Placement {
    /// Two CPUs that this process may use, on different cores where there are such.
    pub(crate) fn choose() -> Result<Self, Failure> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).doing(|| "asking for our CPUs".into())?;
        let usable: Vec<usize> =
            (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
        let known: Vec<(usize, Topology)> =
            usable.into_iter().map(|cpu| (cpu, Topology::of(cpu))).collect();
        Self::among(&known)
            .ok_or_else(|| Failure("this process may run on no CPU at all".to_string()))
    }

    /// The first CPU for the servers; for the load the first one on another core of its package, else
    /// on another core, else any other.
    pub(crate) fn among(usable: &[(usize, Topology)]) -> Option<Self> {
        let ((server, home), others) = usable.split_first()?;
        let apart = |other: &&(usize, Topology)| kinship(*server, home, other) == Kinship::Cores;
        let near = |other: &&(usize, Topology)| other.1.package == home.package;
        let chosen = others
            .iter()
            .filter(apart)
            .find(near)
            .or_else(|| others.iter().find(apart))
            .or_else(|| others.first());
        let (generator, kinship) = match chosen {
            Some(other) => (other.0, kinship(*server, home, other)),
            None => (*server, Kinship::Same),
        };
        Some(Self { server: *server, generator, kinship })
    }

    /// What the two share, as a sentence for the report.
    pub(crate) fn kinship_in_words(self) -> &'static str {
        match self.kinship {
            Kinship::Same => "same CPU",
            Kinship::Siblings => "SMT SIBLINGS of one core: each slows the other down",
            Kinship::Cores => "different cores by the kernel's account, no SMT siblings",
            Kinship::Unknown => "whether they are SMT siblings is not known",
        }
    }

    /// Whether load and server must share one CPU, which spoils every figure but the counts.
    pub(crate) fn shares_one_cpu(self) -> bool {
        self.server == self.generator
    }

    /// Pins this thread to the generator's CPU.
    pub(crate) fn pin_generator(self) -> Result<(), Failure> {
        pin(self.generator)
    }

    /// Runs `start` pinned to the servers' CPU, so that a process it starts stays there.
    pub(crate) fn on_server_cpu<T>(self, start: impl FnOnce() -> T) -> Result<T, Failure> {
        pin(self.server)?;
        let started = start();
        pin(self.generator)?;
        Ok(started)
    }
}

fn kinship(server: usize, home: &Topology, (other, place): &(usize, Topology)) -> Kinship {
    let same_core = home.core.is_some() && (home.core, home.package) == (place.core, place.package);
    if home.siblings.contains(other) || place.siblings.contains(&server) || same_core {
        Kinship::Siblings
    } else if home.siblings.is_empty() && home.core.is_none() {
        Kinship::Unknown
    } else {
        Kinship::Cores
    }
}

/// The numbers in a list of the kernel's, such as `0-3,8`; none if it is not such a list.
pub(crate) fn cpu_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges.unwrap_or_default().into_iter().flatten().collect()
}

fn pin(cpu: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    set.set(cpu).doing(|| format!("naming CPU {cpu}"))?;
    sched_setaffinity(Pid::from_raw(0), &set).doing(|| format!("pinning to CPU {cpu}"))
}

/// Raises our soft limit on open files to the hard one, for us and for the servers that inherit it,
/// and returns it.
pub(crate) fn raise_open_files_limit() -> Result<u64, Failure> {
    let (_, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).doing(|| "asking for our limit on open files".into())?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .doing(|| format!("raising our limit on open files to {hard}"))?;
    Ok(hard)
}
