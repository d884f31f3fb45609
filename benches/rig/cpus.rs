//! Which CPU runs what: servers on one, the load on another, and enough open files for both.
//!
//! A child inherits the affinity of the thread that starts it, so pinning a server means pinning
//! ourselves for the moment of its start. Knows nothing of servers.

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
}

impl Placement {
    /// The first two CPUs that this process may use.
    pub(crate) fn choose() -> Result<Self, Failure> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).doing(|| "asking for our CPUs".into())?;
        let usable: Vec<usize> =
            (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
        let Some(&server) = usable.first() else {
            return Err(Failure("this process may run on no CPU at all".to_string()));
        };
        Ok(Self { server, generator: usable.get(1).copied().unwrap_or(server) })
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
