//! Facts about the machine, for the head of every report.
//!
//! Reads `/proc` only. What a fact means for a figure is the report's to say.

use std::fs;

use serde::{Deserialize, Serialize};

use super::process::kib_of;

/// What the figures of a report were measured on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu_model: String,
    pub(crate) cpus: usize,
    /// True in a virtual machine, where another guest may take the CPU away unseen.
    pub(crate) virtual_machine: bool,
    pub(crate) kernel: String,
    pub(crate) memory_mib: u64,
    /// The load average of the last minute, before the run: what else was going on.
    pub(crate) load_before: String,
}

impl Machine {
    /// Asks the kernel; what it does not tell is "unknown", for no figure hangs on it.
    pub(crate) fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu_model: cpuinfo_field(&cpuinfo, "model name").unwrap_or("unknown").to_string(),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            virtual_machine: cpuinfo_field(&cpuinfo, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            kernel: format!("{} {}", std::env::consts::OS, kernel.trim()),
            memory_mib: kib_of(&memory, "MemTotal").unwrap_or(0) / 1024,
            load_before: load.split(' ').next().unwrap_or("unknown").to_string(),
        }
    }
}

/// The first CPU's value of a `name : value` line in `/proc/cpuinfo`.
pub(crate) fn cpuinfo_field<'a>(cpuinfo: &'a str, field: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == field).then(|| value.trim())
    })
}
