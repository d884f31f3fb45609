//! Facts about the machine, for the head of every report.
//!
//! Reads `/proc` and `/sys` only. What a fact means for a figure is the report's to say.

use std::collections::BTreeSet;
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
    /// What chooses the frequency of the CPUs, as far as this system can say.
    #[serde(default)]
    pub(crate) governor: String,
    /// What the kernel reads the time from: a slow one adds to every latency.
    #[serde(default)]
    pub(crate) clock_source: String,
    /// Mitigations of CPU vulnerabilities that are in force: they make system calls dearer.
    #[serde(default)]
    pub(crate) mitigations: String,
    /// Whether memory comes in transparent huge pages.
    #[serde(default)]
    pub(crate) huge_pages: String,
}

impl Machine {
    /// Asks the kernel; what it does not say is "unknown", for no figure depends on it.
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
            governor: governor(),
            clock_source: fs::read_to_string(CLOCK_SOURCE)
                .map_or_else(|_| "unknown".to_string(), |name| name.trim().to_string()),
            mitigations: mitigations(),
            huge_pages: fs::read_to_string(HUGE_PAGES)
                .map_or_else(|_| "unknown".to_string(), |setting| setting.trim().to_string()),
        }
    }
}

const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";

/// What the kernel says of each CPU vulnerability that affects this machine.
fn mitigations() -> String {
    let of = |file: fs::DirEntry| {
        let state = fs::read_to_string(file.path()).ok()?;
        let affected = !state.starts_with("Not affected");
        affected.then(|| format!("{}: {}", file.file_name().to_string_lossy(), state.trim()))
    };
    let Ok(files) = fs::read_dir(VULNERABILITIES) else {
        return "unknown".to_string();
    };
    let states: BTreeSet<String> = files.flatten().filter_map(of).collect();
    if states.is_empty() {
        return "no vulnerability reported".to_string();
    }
    states.into_iter().collect::<Vec<_>>().join("; ")
}

/// The governors of all CPUs, each once.
fn governor() -> String {
    let of = |folder: fs::DirEntry| {
        let path = folder.path().join("cpufreq/scaling_governor");
        fs::read_to_string(path).ok().map(|name| name.trim().to_string())
    };
    let folders = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let names: BTreeSet<String> = folders.filter_map(of).collect();
    if names.is_empty() {
        return "none visible (firmware or hypervisor decides)".to_string();
    }
    names.into_iter().collect::<Vec<_>>().join(" and ")
}

/// The first CPU's value of a `name : value` line in `/proc/cpuinfo`.
pub(crate) fn cpuinfo_field<'a>(cpuinfo: &'a str, field: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == field).then(|| value.trim())
    })
}
