//! Which windows are dropped, and how often one is measured again.
//!
//! The rule looks at the machine only, never at the figures, and is fixed before the run: what it
//! drops cannot depend on which contestant that would favour. Pure.

use crate::rig::accounting::Shares;
use crate::rig::failure::Failure;

/// A window in which the hypervisor took more than this part of either CPU is dropped.
pub(crate) const STEAL_MAX: f64 = 0.01;
/// The same for a p99.9: one tick of 10 ms is an eighth of a window of 80 ms.
pub(crate) const STEAL_MAX_OF_TAILS: f64 = 0.0;
/// So often a dropped window is measured again at most; after that its round has no figure.
pub(crate) const REPEATS_MAX: usize = 4;

/// Whether a window is dropped, by what the kernel says of the CPUs. What it does not account for
/// cannot drop one.
pub(crate) fn is_disturbed(cpus: Option<&[Shares]>, steal_max: f64) -> bool {
    cpus.is_some_and(|cpus| cpus.iter().any(|cpu| cpu.steal > steal_max))
}

/// What came of one round.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attempts<T> {
    /// Windows that were measured again.
    pub(crate) dropped: Vec<T>,
    pub(crate) last: T,
    /// Whether the last one was disturbed as well, so that the round has no figure.
    pub(crate) is_missing: bool,
}

/// Measures until a window is undisturbed, or may not be repeated any more. `measure` takes the
/// number of the attempt and returns a window and whether it was disturbed.
pub(crate) fn attempt<T>(
    mut measure: impl FnMut(usize) -> Result<(T, bool), Failure>,
) -> Result<Attempts<T>, Failure> {
    let mut dropped = Vec::new();
    loop {
        let (last, is_disturbed) = measure(dropped.len())?;
        if !is_disturbed || dropped.len() == REPEATS_MAX {
            return Ok(Attempts { dropped, last, is_missing: is_disturbed });
        }
        dropped.push(last);
    }
}
