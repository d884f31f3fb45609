//! Time, read once per turn. Everything below the network gets it as an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::engine::Now;

/// One moment on the clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For the engine: whole seconds.
    pub now: Now,
    /// For timeouts: milliseconds since the start.
    pub uptime_ms: u64,
    /// For measuring durations that begin now.
    pub instant: Instant,
}

/// The clocks of a server.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Reads the clocks. Uptime comes from the monotonic clock, so that a step of the wall clock
    /// changes no relative expiry; a wall clock before 1970 counts as 1970.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let instant = Instant::now();
        let uptime = instant - self.started;
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let uptime_s = u32::try_from(uptime.as_secs()).unwrap_or(u32::MAX);
        Moment {
            now: Now {
                uptime_s: uptime_s.saturating_add(Now::FIRST_S),
                unix_s: i64::try_from(unix.as_secs()).unwrap_or(i64::MAX),
            },
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            instant,
        }
    }
}
