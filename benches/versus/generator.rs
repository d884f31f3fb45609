//! The load: many connections to one server, driven by one mio loop on one thread.
//!
//! Owns the connections of one cell to one contestant, which stay open from round to round unless
//! each is for one request. Closed loop and fixed rate differ only in when a request is sent and
//! from when its latency counts.
//! Knows no contestants and no statistics beyond one window.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use mio::{Events, Poll, Token};

use super::answers::Contents;
use super::arrivals::Arrivals;
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
    endpoint: Endpoint,
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
    /// Of the fixed pace: when the next request is due, and whose turn it is.
    arrivals: Option<Arrivals>,
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
            endpoint: endpoint.clone(),
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            ready: VecDeque::with_capacity(connections.len()),
            connections,
            flows: traffic.iter().map(|(what, ring)| Flow::new(*what, Rc::clone(ring))).collect(),
            input: vec![0; TURN_BYTES],
            contents,
            wait,
            arrivals: None,
            next_member: 0,
        })
    }

    /// Makes load for one window, and leaves all connections idle after it.
    pub(crate) fn run(
        &mut self,
        window: Window,
        round: usize,
        server: Option<CpuClock>,
    ) -> Result<Sample, Failure> {
        for flow in &mut self.flows {
            flow.begin(round);
        }
        self.arrivals = match self.flows[0].traffic.pace {
            Pace::Fixed { per_second } => Some(Arrivals::begin(round, per_second)),
            Pace::Closed => None,
        };
        self.next_member = 0;
        for (number, connection) in self.connections.iter_mut().enumerate() {
            connection.waiting.clear();
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
        let spins = self.wait == Wait::Spin || !self.ready.is_empty() || self.arrivals.is_some();
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
        for _ in 0..self.ready.len() {
            if let Some(number) = self.ready.pop_front() {
                watch.worked();
                self.drive(number, watch)?;
            }
        }
        if watch.issues() {
            self.issue_due(watch)?;
        }
        Ok(())
    }

    /// One connection's turn: a piece out, a piece in, and the next request if it is time for one.
    fn drive(&mut self, number: usize, watch: &mut Watch) -> Result<(), Failure> {
        let connection = &mut self.connections[number];
        let flow = &mut self.flows[connection.flow];
        let measured = connection.flow == 0;
        connection.queued = false;
        let mut sending = connection.send(flow, self.poll.registry())?;
        let mut receiving = Progress::Waits;
        if connection.is_awaiting() {
            let mut answered_ns = None;
            receiving = connection.receive(flow, self.contents, &mut self.input, |pending| {
                let now_ns = *answered_ns.get_or_insert_with(|| watch.now_ns());
                if measured {
                    watch.answered(pending.since_ns, now_ns);
                }
            })?;
        }
        if connection.is_idle() && watch.issues() {
            let now_ns = watch.now_ns();
            let batch = match flow.traffic.pace {
                Pace::Closed => Some((flow.traffic.depth, now_ns)),
                Pace::Fixed { .. } => connection.waiting.pop_front().map(|due_ns| (1, due_ns)),
            };
            if let Some((count, since_ns)) = batch {
                connection.reopen(&self.endpoint, self.poll.registry())?;
                connection.ask(flow, count, since_ns);
                sending = connection.send(flow, self.poll.registry())?;
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
        let (Some(arrivals), Some(flow)) = (&mut self.arrivals, self.flows.first_mut()) else {
            return Ok(());
        };
        // Up to one fixed moment: at a rate that is too high to keep up with, the loop would not end.
        let until_ns = watch.now_ns();
        loop {
            let due_ns = arrivals.due_ns();
            if due_ns > until_ns {
                return Ok(());
            }
            arrivals.advance();
            watch.worked();
            // The flow whose pace is fixed is the first one, so its connections are the first ones.
            let number = self.next_member;
            let connection = &mut self.connections[number];
            self.next_member = (number + 1) % flow.traffic.connections;
            if !connection.is_idle() || !connection.waiting.is_empty() {
                connection.waiting.push_back(due_ns);
                continue;
            }
            watch.sent_late(due_ns, watch.now_ns());
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
        let now_ns = watch.now_ns();
        for due_ns in self.connections.iter().flat_map(|connection| &connection.waiting) {
            watch.answered(*due_ns, now_ns);
        }
    }
}
