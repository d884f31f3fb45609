//! Timeouts: one deadline per connection, one sweep over all of them.
//!
//! A connection is closed when it
//! * is *idle*: its client has sent no request and no byte of a value, and taken no byte of an answer,
//!   for the time of `-o idle_timeout`;
//! * has *stalled*: it holds buffers while others wait for memory, and moves too slowly. In
//!   [`MOVE_MS`] its client has to send or take as many bytes as it holds. That is measured over
//!   [`STALL_MS`]. When the connection has waited for memory itself, it is measured over
//!   [`RESUME_MS`]: meanwhile its client could send the rest into the kernel's buffer;
//! * *lingers* for longer than [`LINGER_MS`] (see [`super::linger`]).
//!
//! [`Connection::deadline`] returns the first of these. A sweep closes the connections whose deadline
//! has passed, and arms the timer for the next sweep: at the first deadline that remains, but a second
//! later at the earliest. While no deadline exists, no timer is armed.

use slab::Slab;

use super::account::Account;
use super::connection::{Connection, Expired};
use super::{LINGER_MS, MOVE_MS, RESUME_MS, STALL_MS, SWEEP_MS};
use crate::config::Config;
use crate::session::Stop;

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

    /// Counts `bytes` that the client sent or took. Only when they are enough for what the connection
    /// holds does a new measurement begin, so a few bytes now and then are no progress.
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

    /// Grants the connection, the first of the line, the memory that it waits for. The time of waiting
    /// counts neither as idle nor as stalled: meanwhile it could not move. False when it has to go on
    /// waiting.
    pub(super) fn grant(&mut self, account: &mut Account, now_ms: u64) -> bool {
        let granted = account.grant(&mut self.share);
        if granted {
            self.restart_progress(now_ms);
            self.active_ms = now_ms;
        }
        granted
    }

    /// When and why this connection is to be closed, if nothing moves until then.
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
        // A watcher sends nothing.
        let listens = self.output.is_empty() && !matches!(self.stop, Stop::Watches(_));
        let idles = idle_timeout_ms > 0 && listens && self.linger.is_none();
        let stalled = stalls.then_some((self.progress_ms + self.stall_ms(), Expired::Stalled));
        let idle = idles.then_some((self.active_ms + idle_timeout_ms, Expired::Idle));
        [stalled, idle].into_iter().flatten().min_by_key(|&(deadline_ms, _)| deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use mio::Poll;
    use mio::net::UnixStream;

    use super::super::clock::{Clock, Moment};
    use super::super::socket::Socket;
    use super::*;

    const HELD: usize = 1_000_000;

    /// A connection that was accepted at 0 ms.
    fn connection(config: &Config) -> Connection {
        let poll = Poll::new().expect("an event queue");
        let (socket, _) = UnixStream::pair().expect("two sockets");
        let moment = Moment { uptime_ms: 0, ..Clock::start().moment() };
        Connection::new(0, Socket::Unix(socket), config, poll.registry(), moment)
            .expect("it is registered")
    }

    #[test]
    fn the_wait_for_memory_is_no_idle_time() {
        let config = Config::default();
        let (mut account, mut connection) = (Account::new(&config), connection(&config));
        assert_eq!(connection.deadline(2000, false), Some((2000, Expired::Idle)));
        connection.share.want(HELD);
        account.wait(&mut connection.share);
        assert_eq!(connection.deadline(2000, true), None);
        assert!(connection.grant(&mut account, 6000));
        assert_eq!(connection.deadline(2000, false), Some((8000, Expired::Idle)));
    }

    #[test]
    fn a_connection_that_holds_memory_has_to_move_while_others_wait() {
        let config = Config::default();
        let (mut account, mut connection) = (Account::new(&config), connection(&config));
        account.charge(&mut connection.share, HELD);
        assert_eq!(connection.deadline(0, false), None);
        assert_eq!(connection.deadline(0, true), Some((10_000, Expired::Stalled)));
        // In 10 s it has to move half of what it holds. A byte less does not move the deadline.
        connection.has_moved(HELD / 2 - 1, 9000);
        assert_eq!(connection.deadline(0, true), Some((10_000, Expired::Stalled)));
        connection.has_moved(1, 9000);
        assert_eq!(connection.deadline(0, true), Some((19_000, Expired::Stalled)));
        // After a wait for more memory it has to move a twentieth in 1 s.
        connection.share.want(HELD + 1);
        account.wait(&mut connection.share);
        assert!(connection.grant(&mut account, 30_000));
        assert_eq!(connection.deadline(0, true), Some((31_000, Expired::Stalled)));
        connection.has_moved(HELD / 20 + 1, 30_500);
        assert_eq!(connection.deadline(0, true), Some((31_500, Expired::Stalled)));
    }

    #[test]
    fn a_sweep_expires_what_is_due_and_waits_for_the_rest() {
        let config = Config { idle_timeout_s: 2, ..Config::default() };
        let mut timeouts = Timeouts::new(&config);
        let mut connections = Slab::new();
        assert_eq!(timeouts.sweep_ms(), None);
        let keys = [500, 2500].map(|active_ms| {
            let mut connection = connection(&config);
            connection.active_ms = active_ms;
            connections.insert(connection)
        });
        let mut sweep = |now_ms| {
            let mut expired = Vec::new();
            timeouts.sweep(&mut connections, false, now_ms, |key, connection, why| {
                connection.close_reason = Some(why);
                expired.push((key, why));
            });
            (expired, timeouts.sweep_ms())
        };
        assert_eq!(sweep(1000), (vec![], Some(3000)));
        assert_eq!(sweep(2999), (vec![], Some(3000)));
        assert_eq!(sweep(3000), (vec![(keys[0], Expired::Idle)], Some(4500)));
        assert_eq!(sweep(4500), (vec![(keys[1], Expired::Idle)], None));
    }
}
