//! What `stats` tells and only the network knows, gathered when a client asks for it.
//!
//! Counts that grow with every event are kept in the engine's counters; what is
//! found by asking the kernel, or by going through all connections, is found only then.

use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use slab::Slab;

use super::buffer::Buffers;
use super::clock::Moment;
use super::connection::Connection;
use super::door::Doors;
use crate::engine::counters::{Counters, TURN_BUCKETS};
use crate::engine::vitals::{ConnectionVitals, Vitals};

/// Counts a turn of the loop that began then and is over.
pub(super) fn count_turn(counters: &mut Counters, began: Instant) {
    let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    counters.longest_turn_us = counters.longest_turn_us.max(us);
    // 0 is below 2^0, 1 below 2^1, 2 and 3 below 2^2.
    let bucket = (u64::BITS - us.leading_zeros()) as usize;
    counters.turns_by_duration[bucket.min(TURN_BUCKETS - 1)] += 1;
}

/// Answers the engine's question.
pub(super) fn refresh(
    vitals: &mut Vitals,
    connections: &Slab<Connection>,
    doors: &Doors,
    buffers: &Buffers,
    turns: u64,
    moment: Moment,
) {
    vitals.pid = std::process::id();
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        (vitals.user_us, vitals.system_us) = (us(usage.user_time()), us(usage.system_time()));
    }
    vitals.curr_connections = connections.len();
    vitals.connection_structures = connections.capacity();
    vitals.accepting = doors.are_attended();
    vitals.tcp_port = doors.addresses().next().map_or(0, |address| address.port());
    vitals.buffer_bytes = buffers.budget.bytes();
    vitals.turns = turns;
    if vitals.connections_asked {
        let listeners = doors.vitals();
        let clients = connections.iter().map(|(_, connection)| connection.vitals(moment));
        let mut told: Vec<ConnectionVitals> = listeners.chain(clients).collect();
        told.sort_by_key(|told| told.number);
        vitals.connections = Some(told);
    }
    (vitals.asked, vitals.connections_asked, vitals.fresh) = (false, false, true);
}

impl Connection {
    /// What `stats conns` tells of it.
    pub(super) fn vitals(&self, moment: Moment) -> ConnectionVitals {
        let (address, listen_address) = self.socket.names();
        let state = if self.leaving_since_ms().is_some() {
            "conn_closing"
        } else if !self.output.is_empty() {
            "conn_mwrite"
        } else if self.queued {
            // It asks, or will in this turn.
            "conn_parse_cmd"
        } else if self.input.is_packed() || self.promised > 0 {
            "conn_nread"
        } else {
            "conn_read"
        };
        ConnectionVitals {
            number: self.socket.descriptor(),
            address,
            listen_address: Some(listen_address),
            state,
            idle_s: (moment.uptime_ms - self.request_ms) / 1000,
        }
    }
}

fn us(time: TimeVal) -> u64 {
    u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
}
