//! Who has had enough time: connections that hold what others wait for and do not move, those that
//! have asked for nothing for as long as `-o idle_timeout` says, and those that go on after the end.
//!
//! Owns when they are looked for. There is no time-out, and nobody is woken, while there is nobody
//! to be looked for. Closes nobody itself: it says who is doomed, and the reactor gives him a turn.

use slab::Slab;

use super::connection::Connection;
use super::notice::Notice;
use super::{FAREWELL_CHECK_MS, FAREWELL_MS, IDLE_CHECK_MS, STUCK_CHECK_MS, STUCK_MS};
use crate::config::Config;

/// See the module. Times are in milliseconds of uptime.
#[derive(Debug)]
pub(super) struct Overdue {
    idle_timeout_ms: u64,
    /// When to look for connections that hold the budget and do not move.
    stuck_check_ms: Option<u64>,
    /// When to look for connections that have been idle for too long.
    idle_check_ms: Option<u64>,
    /// When to look for connections that are still there long after they have been hung up on.
    farewell_check_ms: Option<u64>,
    stuck: Notice,
}

impl Overdue {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            idle_timeout_ms: u64::from(config.idle_timeout_s) * 1000,
            stuck_check_ms: None,
            idle_check_ms: None,
            farewell_check_ms: None,
            stuck: Notice::default(),
        }
    }

    /// When somebody may be overdue.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let checks = [self.stuck_check_ms, self.idle_check_ms, self.farewell_check_ms];
        checks.into_iter().flatten().min()
    }

    /// While others wait for the budget: dooms those that have held a share of it for too long
    /// without moving.
    pub(super) fn doom_the_stuck(
        &mut self,
        connections: &mut Slab<Connection>,
        others_wait: bool,
        now_ms: u64,
        mut doom: impl FnMut(usize, &mut Connection),
    ) {
        if !others_wait {
            self.stuck_check_ms = None;
            return;
        }
        if now_ms < *self.stuck_check_ms.get_or_insert(now_ms + STUCK_CHECK_MS) {
            return;
        }
        self.stuck_check_ms = Some(now_ms + STUCK_CHECK_MS);
        for (key, holder) in connections {
            // Those that wait for the budget themselves do not move because of us.
            let stuck = holder.held() > 0 && !holder.starved;
            if stuck && now_ms - holder.moved_ms >= STUCK_MS {
                holder.doomed = Some("it held buffers that others waited for, and did not move");
                let held = holder.held();
                let text =
                    format_args!("closed a client that held {held} bytes of the full buffers");
                self.stuck.warn(now_ms, &text);
                doom(key, holder);
            }
        }
    }

    /// Dooms the connections that have been idle for too long. All are looked at when the one that
    /// has been idle longest may be due, and at most once a second.
    pub(super) fn doom_the_idle(
        &mut self,
        connections: &mut Slab<Connection>,
        now_ms: u64,
        mut doom: impl FnMut(usize, &mut Connection),
    ) {
        let timeout_ms = self.idle_timeout_ms;
        if timeout_ms == 0 || connections.is_empty() {
            self.idle_check_ms = None;
            return;
        }
        if now_ms < *self.idle_check_ms.get_or_insert(now_ms + timeout_ms) {
            return;
        }
        let mut longest_since_ms = now_ms;
        for (key, connection) in connections {
            let Some(since_ms) = connection.idle_since_ms() else { continue };
            if now_ms - since_ms >= timeout_ms {
                connection.doomed = Some("it was idle");
                doom(key, connection);
            } else {
                longest_since_ms = longest_since_ms.min(since_ms);
            }
        }
        self.idle_check_ms = Some((longest_since_ms + timeout_ms).max(now_ms + IDLE_CHECK_MS));
    }

    /// Somebody has begun to take leave.
    pub(super) fn watch_farewells(&mut self, now_ms: u64) {
        self.farewell_check_ms.get_or_insert(now_ms + FAREWELL_MS);
    }

    /// Dooms the connections that have had their time to take leave. All are looked at when the first
    /// of them may be due, and at most once a second.
    pub(super) fn doom_the_lingering(
        &mut self,
        connections: &mut Slab<Connection>,
        now_ms: u64,
        mut doom: impl FnMut(usize, &mut Connection),
    ) {
        if self.farewell_check_ms.is_none_or(|at_ms| now_ms < at_ms) {
            return;
        }
        let mut first_ms: Option<u64> = None;
        for (key, connection) in connections {
            let Some(since_ms) = connection.leaving_since_ms() else { continue };
            let until_ms = since_ms + FAREWELL_MS;
            if now_ms >= until_ms {
                connection.doomed = Some("it did not take its leave");
                doom(key, connection);
            } else {
                first_ms = Some(first_ms.map_or(until_ms, |first_ms| first_ms.min(until_ms)));
            }
        }
        self.farewell_check_ms = first_ms.map(|at_ms| at_ms.max(now_ms + FAREWELL_CHECK_MS));
    }
}

impl Connection {
    /// Since when it has asked for nothing; none while something is owed to it, or when it has been
    /// hung up on.
    fn idle_since_ms(&self) -> Option<u64> {
        let over = self.doomed.is_some() || self.farewell.is_some();
        let owed = !self.output.is_empty() || self.starved;
        (!owed && !over).then(|| self.request_ms.max(self.moved_ms))
    }
}
