//! The current time, and what the times that clients give mean.
//!
//! The only place that knows both scales: seconds of uptime, which expiry is counted in, and Unix time.

use crate::store::NEVER;

/// Relative exptimes reach this far; larger ones are Unix times (memcached's `REALTIME_MAXDELTA`).
const RELATIVE_EXPTIME_MAX_S: i32 = 60 * 60 * 24 * 30;
/// A second before any server has started: [`Now::uptime_s`] begins above it.
const PAST_S: u32 = 1;

/// The current time, read from the clocks once per turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Seconds on a monotonic clock that was at [`Now::FIRST_S`] when the server started.
    pub uptime_s: u32,
    /// Seconds since 1970 on the wall clock.
    pub unix_s: i64,
}

impl Now {
    /// The uptime at which a server starts: above [`NEVER`] and above the time of what has expired at
    /// once.
    pub const FIRST_S: u32 = 2;

    /// The second in which an item with this `exptime` expires: 0 is never, below 0 is at once, up to 30
    /// days counts from now, and more is a Unix time.
    ///
    /// A Unix time is converted to uptime here, once, so a later step of the wall clock changes no
    /// item's expiry. If expiry followed the wall clock, correcting that clock some time after boot
    /// would empty the cache.
    pub(super) fn deadline_s(self, exptime: i32) -> u32 {
        match exptime {
            0 => NEVER,
            ..0 => PAST_S,
            1..=RELATIVE_EXPTIME_MAX_S => self.uptime_s.saturating_add(exptime.unsigned_abs()),
            _ => {
                let in_s = i64::from(exptime).saturating_sub(self.unix_s);
                let at_s = i64::from(self.uptime_s).saturating_add(in_s);
                u32::try_from(at_s.max(i64::from(PAST_S))).unwrap_or(u32::MAX)
            }
        }
    }

    /// A second of uptime as a Unix time, saturating: a wall clock may show anything.
    pub(super) fn unix_time_of(self, uptime_s: u32) -> i64 {
        self.unix_s.saturating_add(i64::from(uptime_s) - i64::from(self.uptime_s))
    }

    /// So many seconds later, or earlier, saturating.
    pub(super) fn later(self, by_s: i64) -> Self {
        let uptime_s = i64::from(self.uptime_s).saturating_add(by_s).max(i64::from(Self::FIRST_S));
        Self {
            uptime_s: u32::try_from(uptime_s).unwrap_or(u32::MAX),
            unix_s: self.unix_s.saturating_add(by_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exptimes_become_deadlines() {
        let now = Now { uptime_s: 1000, unix_s: 1_700_000_000 };
        assert_eq!(now.deadline_s(0), NEVER);
        assert_eq!(now.deadline_s(-1), PAST_S);
        assert_eq!(now.deadline_s(1), 1001);
        assert_eq!(now.deadline_s(2_592_000), 2_593_000);
        // One second more than thirty days is a second of the year 1970.
        assert_eq!(now.deadline_s(2_592_001), PAST_S);
        assert_eq!(now.deadline_s(1_700_000_000), 1000);
        assert_eq!(now.deadline_s(1_700_000_060), 1060);
        assert_eq!(now.deadline_s(i32::MAX), 1000 + (2_147_483_647 - 1_700_000_000));
    }

    #[test]
    fn wall_clocks_may_show_anything() {
        for unix_s in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
            let now = Now { uptime_s: 1000, unix_s };
            for exptime in [i32::MIN, -1, 0, 1, 2_592_001, i32::MAX] {
                let deadline_s = now.deadline_s(exptime);
                now.unix_time_of(deadline_s);
            }
        }
        assert_eq!(Now { uptime_s: 10, unix_s: i64::MAX }.unix_time_of(11), i64::MAX);
    }
}
