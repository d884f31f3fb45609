//! Timeouts: one deadline per connection, one sweep over all of them.
//!
//! A connection is closed when it
//! * is *idle*: for as long as `-o idle_timeout` says it has sent no request and no byte of a value,
//!   and has taken no byte of an answer;
//! * has *stalled*: it holds buffers while others wait for memory, and moves too slowly. In
//!   [`MOVE_MS`] its client has to send or take as many bytes as it holds. That is measured over
//!   [`STALL_MS`], but over [`RESUME_MS`] when it has waited for memory itself: its client has had
//!   time to send the rest into the kernel's buffer;
//! * *lingers* for longer than [`LINGER_MS`] (see [`super::linger`]).
//!
//! [`Connection::deadline`] says which comes first. The sweep closes those whose deadline has passed
//! and sleeps until the first of the others, for a second at least. While no deadline exists, no
//! timer is armed.

use slab::Slab;

use super::connection::{Connection, Expired};
use super::{LINGER_MS, MOVE_MS, RESUME_MS, STALL_MS, SWEEP_MS};
use crate::config::Config;

/// When to sweep. Times are in milliseconds of uptime.
#[derive(Debug)]
pub(super) struct Timeouts {
    /// 0 for never.
    idle_timeout_ms: u64,
    /// The next sweep. Invariant: no deadline is earlier, or the last sweep was less than a second
    /// before it.
    sweep_ms: Option<u64>,
    last_sweep_ms: u64,
}

impl Timeouts {
    pub(super) fn new(config: &Config) -> Self {
        let idle_timeout_ms = u64::from(config.idle_timeout_s) * 1000;
        Self { idle_timeout_ms, sweep_ms: None, last_sweep_ms: 0 }
    }

    pub(super) const fn sweep_ms(&self) -> Option<u64> {
        self.sweep_ms
    }

    /// Arms the timer for a new deadline.
    pub(super) fn expect(&mut self, deadline_ms: u64) {
        let sweep_ms = deadline_ms.max(self.last_sweep_ms + SWEEP_MS);
        self.sweep_ms = Some(self.sweep_ms.map_or(sweep_ms, |earlier_ms| earlier_ms.min(sweep_ms)));
    }

    /// Calls `expire` for each connection whose deadline has passed. `others_wait` for memory.
    pub(super) fn sweep(
        &mut self,
        connections: &mut Slab<Connection>,
        others_wait: bool,
        now_ms: u64,
        mut expire: impl FnMut(usize, &mut Connection, Expired),
    ) {
        if self.idle_timeout_ms > 0 && !connections.is_empty() {
            self.expect(now_ms + self.idle_timeout_ms);
        }
        if others_wait {
            self.expect(now_ms + SWEEP_MS);
        }
        if self.sweep_ms.is_none_or(|sweep_ms| now_ms < sweep_ms) {
            return;
        }
        (self.sweep_ms, self.last_sweep_ms) = (None, now_ms);
        for (key, connection) in connections {
            match connection.deadline(self.idle_timeout_ms, others_wait) {
                Some((deadline_ms, why)) if deadline_ms <= now_ms => expire(key, connection, why),
                Some((deadline_ms, _)) => self.expect(deadline_ms),
                None => {}
            }
        }
    }
}

impl Connection {
    /// The time over which the connection's progress is measured.
    const fn stall_ms(&self) -> u64 {
        if self.share.is_resumed() { RESUME_MS } else { STALL_MS }
    }

    /// Counts `bytes` that the client sent or took. The measurement begins anew when they are enough
    /// for what the connection holds, so that a few bytes now and then are no progress.
    pub(super) const fn has_moved(&mut self, bytes: usize, now_ms: u64) {
        self.moved += bytes;
        if self.moved as u64 * MOVE_MS >= self.share.charged() as u64 * self.stall_ms() {
            self.restart_progress(now_ms);
        }
    }

    /// Begins to measure the connection's progress anew.
    pub(super) const fn restart_progress(&mut self, now_ms: u64) {
        (self.progress_ms, self.moved) = (now_ms, 0);
    }

    /// When this connection is to be closed, and why, if nothing moves before.
    fn deadline(&self, idle_timeout_ms: u64, others_wait: bool) -> Option<(u64, Expired)> {
        if self.close_reason.is_some() {
            return None;
        }
        if let Some(since_ms) = self.lingering_since_ms() {
            return Some((since_ms + LINGER_MS, Expired::Lingering));
        }
        if self.share.is_waiting() {
            // The connection does not move because there is no memory for it.
            return None;
        }
        let stalls = others_wait && self.share.charged() > 0;
        // While an answer is unsent, the client is not idle: it may be reading.
        let idles = idle_timeout_ms > 0 && self.output.is_empty() && self.linger.is_none();
        let stalled = stalls.then_some((self.progress_ms + self.stall_ms(), Expired::Stalled));
        let idle = idles.then_some((self.active_ms + idle_timeout_ms, Expired::Idle));
        [stalled, idle].into_iter().flatten().min_by_key(|&(deadline_ms, _)| deadline_ms)
    }
}
