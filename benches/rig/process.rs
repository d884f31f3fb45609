//! The kernel's accounting of a process: CPU time used, bytes resident.
//!
//! CPU time comes from the process's CPU clock, which is exact to the nanosecond at the moment of
//! asking. `/proc/PID/stat` counts in ticks of 10 ms, and `/proc/PID/schedstat` leaves out the slice
//! that is running right now, up to 4 ms: too coarse for windows of a third of a second.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use super::failure::{Doing, Failure};

/// CPU time, user and system, of all threads of one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    /// The clock of another process.
    pub(crate) fn of(pid: u32) -> Result<Self, Failure> {
        let pid = i32::try_from(pid).doing(|| format!("process id {pid}"))?;
        clock_getcpuclockid(Pid::from_raw(pid))
            .map(Self)
            .doing(|| format!("asking for the CPU clock of process {pid}"))
    }

    /// The clock of this process.
    pub(crate) fn own() -> Self {
        Self(ClockId::CLOCK_PROCESS_CPUTIME_ID)
    }

    /// What it shows now.
    pub(crate) fn read(self) -> Result<Duration, Failure> {
        clock_gettime(self.0).map(Duration::from).doing(|| "reading a CPU clock".into())
    }
}

/// Resident bytes of a process: from the page tables where the kernel offers that sum, else from
/// its status, which counts in batches per CPU and may be some pages off.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, Failure> {
    for (file, field) in [("smaps_rollup", "Rss"), ("status", "VmRSS")] {
        let path = format!("/proc/{pid}/{file}");
        if let Some(kib) = fs::read_to_string(path).ok().and_then(|text| kib_of(&text, field)) {
            return Ok(kib * 1024);
        }
    }
    Err(Failure(format!("process {pid} does not say how much memory is resident")))
}

/// The number after `field:` in the `/proc` files that list one `Name:  123 kB` per line.
pub(crate) fn kib_of(text: &str, field: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse().ok())
}
