//! The kernel's account of what each CPU did: `/proc/stat`, read before and after a window.
//!
//! It counts in ticks, 10 ms on Linux, of which a window of 300 ms has 30: one tick of steal is
//! already 3 %. Shares are of the ticks that passed, so the length of a tick does not matter.

use std::fs;

use serde::{Deserialize, Serialize};

/// Ticks of one CPU since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    pub(crate) user: u64,
    pub(crate) system: u64,
    pub(crate) idle: u64,
    pub(crate) irq: u64,
    pub(crate) softirq: u64,
    pub(crate) steal: u64,
}

/// What a CPU did between two readings, as parts of 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shares {
    pub(crate) irq: f64,
    pub(crate) softirq: f64,
    /// Time in which the hypervisor ran something else.
    pub(crate) steal: f64,
    pub(crate) idle: f64,
}

/// Readings of a few CPUs at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Reading(Vec<Ticks>);

impl Reading {
    /// Of these CPUs, now; none where the kernel has no such account.
    pub(crate) fn of(cpus: &[usize]) -> Option<Self> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        cpus.iter().map(|&cpu| ticks_of(&text, cpu)).collect::<Option<_>>().map(Self)
    }

    /// What each CPU did since `earlier`; none if no tick has passed on one of them.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Vec<Shares>> {
        self.0.iter().zip(&earlier.0).map(|(now, then)| now.since(then)).collect()
    }
}

impl Ticks {
    /// The shares of the time since `earlier`; none if no tick has passed.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Shares> {
        let part = |of: fn(&Self) -> u64| of(self).saturating_sub(of(earlier)) as f64;
        let busy = part(|ticks| ticks.user) + part(|ticks| ticks.system);
        let (idle, irq) = (part(|ticks| ticks.idle), part(|ticks| ticks.irq));
        let (softirq, steal) = (part(|ticks| ticks.softirq), part(|ticks| ticks.steal));
        let all = busy + idle + irq + softirq + steal;
        (all > 0.0).then(|| Shares {
            irq: irq / all,
            softirq: softirq / all,
            steal: steal / all,
            idle: idle / all,
        })
    }
}

/// The line of one CPU in `/proc/stat`. Fields that an old kernel does not have are 0; a guest's time
/// is already in the user's.
pub(crate) fn ticks_of(stat: &str, cpu: usize) -> Option<Ticks> {
    let name = format!("cpu{cpu}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(name.as_str()))?;
    let numbers: Vec<u64> = line.split_whitespace().skip(1).map_while(|x| x.parse().ok()).collect();
    let field = |at: usize| numbers.get(at).copied().unwrap_or(0);
    (numbers.len() >= 4).then(|| Ticks {
        user: field(0) + field(1),
        system: field(2),
        idle: field(3) + field(4),
        irq: field(5),
        softirq: field(6),
        steal: field(7),
    })
}
