//! The load: many connections to one server, driven by one mio loop on one thread.
//!
//! Owns the connections of one cell to one contestant, which stay open from round to round. Closed
//! loop and fixed rate differ only in when a request is sent and from when its latency counts.
//! Knows no contestants and no statistics beyond one window.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use mio::{Events, Poll, Token};

use super::answers::Contents;
use super::connection::{Connection, Progress, TURN_BYTES};
use super::ring::Ring;
use super::traffic::{Flow, Pace, Traffic};
use super::window::{Sample, Wait, Watch, Window};
use crate::rig::failure::{Doing, Failure};
use crate::rig::process::CpuClock;
use crate::rig::server::Endpoint;

/// Events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 1024;
/// How long a server may take to answer what is outstanding when a window ends.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections to one server, ready for any number of windows.
pub(crate) struct Generator {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    /// The first is the one whose latency is reported; others keep the server busy.
    flows: Vec<Flow>,
    /// Connections that have something to do, each once.
    ready: VecDeque<usize>,
    input: Vec<u8>,
    contents: Contents,
    wait: Wait,
    /// Requests of the fixed pace that have become due in this window, and whose turn is next.
    arrivals: u64,
    next_member: usize,
}

impl Generator {
    /// Opens all connections of the traffic.
    pub(crate) fn connect(
        endpoint: &Endpoint,
        traffic: &[(Traffic, Rc<Ring>)],
        contents: Contents,
        wait: Wait,
    ) -> Result<Self, Failure> {
        let poll = Poll::new().doing(|| "making an event queue".into())?;
        let mut connections = Vec::new();
        for (flow, (traffic, _)) in traffic.iter().enumerate() {
            for _ in 0..traffic.connections {
                let token = Token(connections.len());
                connections.push(Connection::open(endpoint, poll.registry(), token, flow)?);
            }
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            ready: VecDeque::with_capacity(connections.len()),
            connections,
            flows: traffic.iter().map(|(what, ring)| Flow::new(*what, Rc::clone(ring))).collect(),
            input: vec![0; TURN_BYTES],
            contents,
            wait,
            arrivals: 0,
            next_member: 0,
        })
    }

    /// Makes load for one window, and leaves all connections idle behind it.
    pub(crate) fn run(
        &mut self,
        window: Window,
        round: usize,
        server: Option<CpuClock>,
    ) -> Result<Sample, Failure> {
        for flow in &mut self.flows {
            flow.begin(round);
        }
        (self.arrivals, self.next_member) = (0, 0);
        for (number, connection) in self.connections.iter_mut().enumerate() {
            (connection.waiting, connection.taken) = (0, 0);
            if self.flows[connection.flow].traffic.pace == Pace::Closed {
                connection.queued = true;
                self.ready.push_back(number);
            }
        }
        let mut watch = Watch::start(window, server, self.wait);
        loop {
            self.turn(&mut watch)?;
            if watch.has_ended() && self.connections.iter().all(Connection::is_idle) {
                break;
            }
            if watch.drains_longer_than(DRAIN_TIME_MAX) {
                return Err(Failure("answers are still missing after ten seconds".to_string()));
            }
        }
        self.count_unsent(&mut watch);
        watch.finish(&self.flows)
    }

    fn turn(&mut self, watch: &mut Watch) -> Result<(), Failure> {
        let spins = self.wait == Wait::Spin || !self.ready.is_empty() || self.is_paced();
        let timeout = if spins { Duration::ZERO } else { watch.until_edge() };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result.doing(|| "waiting for answers".into())?,
        }
        for event in &self.events {
            let Token(number) = event.token();
            let connection = &mut self.connections[number];
            if !connection.queued {
                connection.queued = true;
                self.ready.push_back(number);
            }
        }
        watch.tick(&self.flows)?;
        let due_before = self.arrivals;
        for _ in 0..self.ready.len() {
            if let Some(number) = self.ready.pop_front() {
                watch.worked();
                self.drive(number, watch)?;
            }
        }
        if watch.issues() && self.is_paced() {
            self.issue_due(watch)?;
        }
        if self.arrivals != due_before {
            watch.worked();
        }
        Ok(())
    }

    fn is_paced(&self) -> bool {
        self.flows[0].traffic.pace != Pace::Closed
    }

    /// One connection's turn: a piece out, a piece in, and the next request if it is time for one.
    fn drive(&mut self, number: usize, watch: &mut Watch) -> Result<(), Failure> {
        let connection = &mut self.connections[number];
        let flow = &mut self.flows[connection.flow];
        let measured = connection.flow == 0;
        connection.queued = false;
        let mut sending = connection.send(flow, self.poll.registry())?;
        let mut receiving = Progress::Waits;
        if connection.answers.due() > 0 {
            let mut answered_ns = None;
            receiving = connection.receive(flow, self.contents, &mut self.input, |pending| {
                let now_ns = *answered_ns.get_or_insert_with(|| watch.now_ns());
                if measured {
                    watch.answered(pending.since_ns, now_ns);
                }
            })?;
        }
        if connection.is_idle() && watch.issues() {
            match flow.traffic.pace {
                Pace::Closed => {
                    connection.ask(flow, flow.traffic.depth, watch.now_ns());
                    sending = connection.send(flow, self.poll.registry())?;
                }
                Pace::Fixed { per_second } if connection.waiting > 0 => {
                    connection.waiting -= 1;
                    let members = flow.traffic.connections as u64;
                    let arrival = connection.taken * members + number as u64;
                    connection.taken += 1;
                    connection.ask(flow, 1, due_ns(arrival, per_second));
                    sending = connection.send(flow, self.poll.registry())?;
                }
                Pace::Fixed { .. } => {}
            }
        }
        if sending == Progress::More || receiving == Progress::More {
            connection.queued = true;
            self.ready.push_back(number);
        }
        Ok(())
    }

    /// Sends what has become due at a fixed pace. Requests are dealt to the connections in turn; one
    /// whose connection still waits for an answer waits with it, and its latency grows meanwhile.
    fn issue_due(&mut self, watch: &mut Watch) -> Result<(), Failure> {
        let flow = &mut self.flows[0];
        let Pace::Fixed { per_second } = flow.traffic.pace else {
            return Ok(());
        };
        // Up to one fixed moment: at a rate that nobody can keep up with, time would run away.
        let until_ns = watch.now_ns();
        loop {
            let due_ns = due_ns(self.arrivals, per_second);
            if due_ns > until_ns {
                return Ok(());
            }
            // The flow whose pace is fixed is the first one, so its connections are the first ones.
            let number = self.next_member;
            let connection = &mut self.connections[number];
            self.next_member = (number + 1) % flow.traffic.connections;
            self.arrivals += 1;
            if !connection.is_idle() || connection.waiting > 0 {
                connection.waiting += 1;
                continue;
            }
            watch.sent_late(due_ns, watch.now_ns());
            connection.taken += 1;
            connection.ask(flow, 1, due_ns);
            if connection.send(flow, self.poll.registry())? == Progress::More && !connection.queued
            {
                connection.queued = true;
                self.ready.push_back(number);
            }
        }
    }

    /// What was due in the window and could not even be sent has waited until now, at least.
    fn count_unsent(&self, watch: &mut Watch) {
        let Pace::Fixed { per_second } = self.flows[0].traffic.pace else {
            return;
        };
        let members = self.flows[0].traffic.connections as u64;
        let now_ns = watch.now_ns();
        for (number, connection) in self.connections.iter().enumerate() {
            for taken in connection.taken..connection.taken + connection.waiting {
                watch.answered(due_ns(taken * members + number as u64, per_second), now_ns);
            }
        }
    }
}

/// When the numbered request of a fixed pace is due, in nanoseconds from the start.
fn due_ns(arrival: u64, per_second: u64) -> u64 {
    arrival * 1_000_000_000 / per_second
}
