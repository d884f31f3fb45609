//! How often a long run is logged: after a second, and then at growing intervals of up to ten seconds.

use std::time::Duration;

/// The first interval.
const FIRST: Duration = Duration::from_secs(1);
/// The longest interval.
const LONGEST: Duration = Duration::from_secs(10);

/// See the module. Times are durations since the start.
#[derive(Debug)]
pub(super) struct Progress {
    next: Duration,
}

impl Progress {
    pub(super) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// Whether the progress is to be logged now.
    pub(super) fn is_due(&mut self, elapsed: Duration) -> bool {
        let is_due = elapsed >= self.next;
        if is_due {
            self.next = elapsed + elapsed.min(LONGEST);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_is_not_logged_and_a_long_one_is_logged_seldom() {
        let mut progress = Progress::new();
        let due: Vec<u64> = (0..60_000)
            .step_by(100)
            .filter(|&ms| progress.is_due(Duration::from_millis(ms)))
            .collect();
        assert_eq!(due, [1000, 2000, 4000, 8000, 16_000, 26_000, 36_000, 46_000, 56_000]);
    }
}
