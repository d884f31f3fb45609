//! Takes the snapshot of the network's figures that `stats` is answered from.
//!
//! Events are counted in the engine's counters when they happen. Figures that need a system call, or a
//! walk over all connections, are taken only when a client asks for them.

use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use slab::Slab;

use super::account::Account;
use super::clock::Moment;
use super::connection::Connection;
use super::listeners::Listeners;
use crate::engine::counters::Counters;
use crate::engine::server_stats::{ConnectionStats, ServerStats, StatsScope};
use crate::session::Stop;

/// Counts a turn of the loop, which began at `began` and ends now.
pub(super) fn count_turn(counters: &mut Counters, began: Instant) {
    counters.turns.add(elapsed_ns(began), 1);
}

/// Counts the time of the requests that have been executed since the last call, and whose answers have
/// just been written, in the turn that began at `began`.
pub(super) fn count_requests(counters: &mut Counters, began: Instant) {
    let requests = counters.requests - counters.request_times.count;
    if requests > 0 {
        counters.request_times.add(elapsed_ns(began), requests);
    }
}

fn elapsed_ns(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A snapshot of the network's current figures.
pub(super) fn snapshot(
    scope: StatsScope,
    connections: &Slab<Connection>,
    listeners: &Listeners,
    account: &Account,
    turns: u64,
    moment: Moment,
) -> ServerStats {
    let (user_us, system_us) = getrusage(UsageWho::RUSAGE_SELF)
        .map_or((0, 0), |usage| (us(usage.user_time()), us(usage.system_time())));
    ServerStats {
        pid: std::process::id(),
        user_us,
        system_us,
        curr_connections: connections.len(),
        connection_structures: connections.capacity(),
        accepting: listeners.accepting(),
        tcp_port: listeners.addresses().next().map_or(0, |address| address.port()),
        buffer_bytes: account.bytes(),
        waiting_for_memory: account.waiting(),
        connections: match scope {
            StatsScope::General => None,
            StatsScope::WithConnections => {
                let clients = connections.iter().map(|(_, connection)| connection.stats(moment));
                let mut all: Vec<ConnectionStats> = listeners.stats().chain(clients).collect();
                all.sort_by_key(|connection| connection.descriptor);
                Some(all)
            }
        },
        turns,
    }
}

impl Connection {
    /// What `stats conns` shows of it.
    fn stats(&self, moment: Moment) -> ConnectionStats {
        let (address, listen_address) = self.socket.names();
        let state = if self.lingering_since_ms().is_some() {
            "conn_closing"
        } else if matches!(self.stop, Stop::Watches(_)) {
            "conn_watch"
        } else if self.queued {
            // It has sent this `stats`, or is in the run queue.
            "conn_parse_cmd"
        } else if !self.output.is_empty() {
            "conn_mwrite"
        } else if self.input.holds_request() {
            "conn_nread"
        } else {
            "conn_read"
        };
        ConnectionStats {
            descriptor: self.socket.descriptor(),
            address,
            listen_address: Some(listen_address),
            state,
            idle_s: (moment.uptime_ms - self.active_ms) / 1000,
            wait: Some(self.wait_stats(moment)),
        }
    }
}

fn us(time: TimeVal) -> u64 {
    u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
}
