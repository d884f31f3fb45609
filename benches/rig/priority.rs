//! Real-time priority for the few threads that a tail latency is about.
//!
//! At ordinary priority any other task of the machine can take a CPU for some milliseconds in the
//! middle of a window, and a p99.9 then measures that task. Under SCHED_FIFO none of them can. The
//! policy is set by util-linux's `chrt`, for there is no safe binding to the system call here; it
//! needs CAP_SYS_NICE. Knows neither servers nor cells.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::failure::{Doing, Failure};

/// The lowest of SCHED_FIFO: above all ordinary tasks, below whatever else is real-time.
const LOWEST: &str = "1";
/// The part of the time in which a spinning thread may run at real-time priority. The kernel stops
/// one that takes more than 95 % of a second, for 50 ms at a time, which would be a pause of our own.
const BUSY_MAX_PERCENT: u64 = 88;
/// A longer turn without rest could exceed the kernel's bound by itself.
pub(crate) const TURN_MAX: Duration = Duration::from_millis(500);

/// Whether threads can be raised here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Priority {
    RealTime,
    /// With the reason.
    Ordinary(String),
}

impl Priority {
    /// Tries it on this process.
    pub(crate) fn available() -> Self {
        if !leaves_room(&bound("sched_rt_runtime_us"), &bound("sched_rt_period_us")) {
            return Self::Ordinary("the kernel grants real-time tasks too little time".to_string());
        }
        match Raised::raise(&[std::process::id()]) {
            Ok(_) => Self::RealTime,
            Err(failure) => Self::Ordinary(failure.to_string()),
        }
    }

    /// As the report says it.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::RealTime => "SCHED_FIFO 1".to_string(),
            Self::Ordinary(why) => format!("ordinary, because {why}"),
        }
    }
}

/// Threads at real-time priority, until this value is dropped.
#[derive(Debug)]
pub(crate) struct Raised(Vec<u32>);

impl Raised {
    /// Raises threads by their ids, all of them or none.
    pub(crate) fn raise(threads: &[u32]) -> Result<Self, Failure> {
        let mut raised = Self(Vec::new());
        for &thread in threads {
            chrt(&["--reset-on-fork", "--fifo"], LOWEST, thread)?;
            raised.0.push(thread);
        }
        Ok(raised)
    }

    /// How long to rest after a turn of this length, so that the kernel need not enforce it.
    pub(crate) fn rest_after(turn: Duration) -> Duration {
        let millionths = 1_000_000 * (100 - BUSY_MAX_PERCENT) / BUSY_MAX_PERCENT;
        turn * u32::try_from(millionths).unwrap_or(u32::MAX) / 1_000_000
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        // A thread that has ended meanwhile needs no priority. The generator was raised last, and is
        // lowered first.
        for &thread in self.0.iter().rev() {
            let _ = chrt(&["--other"], "0", thread);
        }
    }
}

fn chrt(policy: &[&str], priority: &str, thread: u32) -> Result<(), Failure> {
    let output = Command::new("chrt")
        .args(policy)
        .args(["--pid", priority, &thread.to_string()])
        .stdin(Stdio::null())
        .output()
        .doing(|| "running chrt (util-linux)".into())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
    Err(Failure(format!("chrt refused: {said}")))
}

fn bound(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default()
}

/// Whether the kernel's bound on real-time tasks lets one run for [`BUSY_MAX_PERCENT`]; -1 is no
/// bound, and a kernel without the file has none.
pub(crate) fn leaves_room(runtime_us: &str, period_us: &str) -> bool {
    let Ok(runtime) = runtime_us.trim().parse::<i64>() else { return true };
    let Ok(runtime) = u64::try_from(runtime) else { return true };
    let period: u64 = period_us.trim().parse().unwrap_or(1_000_000);
    100 * runtime > (BUSY_MAX_PERCENT + 2) * period
}

/// The threads of a process that answer requests: those that are named workers if there are any,
/// else all. memcached's other threads work in the background. At the same priority as the worker
/// they would delay its answers until they sleep; at the ordinary one the worker goes first.
pub(crate) fn answering_threads(pid: u32) -> Result<Vec<u32>, Failure> {
    let folder = format!("/proc/{pid}/task");
    let threads: Vec<(u32, String)> = fs::read_dir(&folder)
        .doing(|| format!("listing {folder}"))?
        .flatten()
        .filter_map(|entry| {
            let thread = entry.file_name().to_str()?.parse().ok()?;
            Some((thread, fs::read_to_string(entry.path().join("comm")).ok()?))
        })
        .collect();
    let is_worker = |name: &str| name.contains("worker");
    let has_workers = threads.iter().any(|(_, name)| is_worker(name));
    let answering = threads.iter().filter(|(_, name)| !has_workers || is_worker(name));
    Ok(answering.map(|&(thread, _)| thread).collect())
}
