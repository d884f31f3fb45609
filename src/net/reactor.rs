//! The reactor: one thread that waits for readiness and gives each connection its turn.
//!
//! A turn has two phases. The first only latches what the events say and queues the connections
//! they are for; the second drives the queue. So nothing leaves the slab while events that name
//! its keys are still unread, and what came in one batch is answered in one pass. A connection
//! that has more to do than its share stays in the queue, and while the queue is not empty the
//! poll does not wait. Without traffic nothing ever wakes up.

use std::collections::{TryReserveError, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use log::info;
use mio::{Events, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use super::buffer::Buffers;
use super::clock::{Clock, Moment};
use super::connection::{Connection, Next, Why};
use super::listener::{Listener, Peer, Socket};
use super::notice::Notice;
use super::{
    ACCEPT_RETRY_MS, ACCEPTS_PER_TURN, ALLOWANCE_BYTES, EVENTS_PER_TURN, STOP_MS, STUCK_CHECK_MS,
    STUCK_MS,
};
use crate::config::{Config, MIB};
use crate::engine::Engine;
use crate::trace;

/// Signals come under this token.
const SIGNALS: Token = Token(usize::MAX - 1);
/// Listener `i` has this token and `i` more. Connections have their slab keys, far below.
const LISTENERS_AT: usize = usize::MAX / 2;

/// Why a server could not start.
#[derive(Debug)]
pub struct StartError {
    what: String,
    source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl std::error::Error for StartError {}

/// A server: its listeners, its connections, and the one engine that all of them change.
pub struct Reactor {
    config: Config,
    clock: Clock,
    moment: Moment,
    poll: Poll,
    events: Events,
    signals: Signals,
    listeners: Vec<Listener>,
    connections: Slab<Connection>,
    /// Keys of connections that have something to do, each once (`Connection::queued`).
    queue: Vec<usize>,
    /// The queue being driven, so that its memory is used again.
    driven: Vec<usize>,
    /// Keys of connections that wait for the buffer budget, longest first, each once.
    starved: VecDeque<usize>,
    buffers: Buffers,
    engine: Engine,
    turns: u64,
    /// Accepting rests until then: the process is out of descriptors.
    accept_again_ms: Option<u64>,
    /// When to look for connections that hold the budget and do not move.
    stuck_check_ms: Option<u64>,
    /// The server stops, by then at the latest.
    stop_ms: Option<u64>,
    notices: Notices,
}

/// What a client can make the server say.
#[derive(Default)]
struct Notices {
    turned_away: Notice,
    accept_failed: Notice,
    stuck: Notice,
}

impl Reactor {
    /// A server that listens where `config` says.
    ///
    /// # Errors
    /// When it cannot listen there, or the kernel has no event queue for it.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let no_loop = |source| StartError { what: "cannot set up the event loop".into(), source };
        let poll = Poll::new().map_err(no_loop)?;
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(no_loop)?;
        poll.registry()
            .register(&mut signals, SIGNALS, mio::Interest::READABLE)
            .map_err(no_loop)?;
        let mib = config.memory_bytes_max / MIB;
        let no_memory = |error: TryReserveError| StartError {
            what: format!("cannot have {mib} MiB for items"),
            source: error.into(),
        };
        let engine = Engine::new(&config).map_err(no_memory)?;
        let mut listeners = Vec::new();
        let doors =
            config.tcp.iter().map(|address| (address.to_string(), Listener::tcp(*address))).chain(
                config.unix.iter().map(|unix| {
                    // A Unix socket is made here and now, after every TCP address was to be had.
                    (unix.path.display().to_string(), Listener::unix(unix))
                }),
            );
        for (name, listener) in doors {
            let cannot = |source| StartError { what: format!("cannot listen on {name}"), source };
            let mut listener = listener.map_err(cannot)?;
            let token = Token(LISTENERS_AT + listeners.len());
            listener.register(poll.registry(), token).map_err(cannot)?;
            listeners.push(listener);
        }
        // Only now, when none has failed: a start that fails says one line and no other.
        for listener in &listeners {
            info!(target: "miocached", "listening on {listener}");
        }
        let clock = Clock::start();
        Ok(Self {
            moment: clock.moment(),
            clock,
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            signals,
            listeners,
            connections: Slab::new(),
            queue: Vec::new(),
            driven: Vec::new(),
            starved: VecDeque::new(),
            buffers: Buffers::new(&config),
            engine,
            turns: 0,
            accept_again_ms: None,
            stuck_check_ms: None,
            stop_ms: None,
            notices: Notices::default(),
            config,
        })
    }

    /// The TCP addresses it listens on.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(Listener::address)
    }

    /// Serves until a signal says stop.
    ///
    /// # Errors
    /// When the event loop itself fails; no client can make it fail.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.has_stopped() {
            self.turn()?;
        }
        Ok(())
    }

    fn has_stopped(&self) -> bool {
        self.stop_ms
            .is_some_and(|stop_ms| self.connections.is_empty() || self.moment.uptime_ms >= stop_ms)
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            // A debugger's stop must not end the server. No event is lost by asking again.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.moment = self.clock.moment();
        self.turns += 1;
        let (events, stop) = self.latch_events();
        trace::turn(self.turns, events);
        if stop {
            self.begin_to_stop();
        }
        self.drive_queue();
        self.accept();
        self.feed_starved();
        Ok(())
    }

    /// How long the poll may wait: not at all while there is something left to do, else until the
    /// next time-out, and for ever when there is none.
    fn timeout(&self) -> Option<Duration> {
        let accepting = self.accept_again_ms.is_none();
        if !self.queue.is_empty() || accepting && self.listeners.iter().any(|door| door.ready) {
            return Some(Duration::ZERO);
        }
        [self.accept_again_ms, self.stuck_check_ms, self.stop_ms]
            .into_iter()
            .flatten()
            .min()
            .map(|at_ms| Duration::from_millis(at_ms.saturating_sub(self.moment.uptime_ms)))
    }

    /// Phase 1: remembers what every event says. Returns how many there are, and whether a signal
    /// says stop.
    fn latch_events(&mut self) -> (usize, bool) {
        let (mut events, mut stop) = (0, false);
        for event in &self.events {
            events += 1;
            match event.token() {
                SIGNALS => stop |= self.signals.pending().count() > 0,
                Token(key) if key >= LISTENERS_AT => {
                    if let Some(listener) = self.listeners.get_mut(key - LISTENERS_AT) {
                        listener.ready = true;
                    }
                }
                Token(key) => {
                    let Some(connection) = self.connections.get_mut(key) else {
                        continue;
                    };
                    connection.latch(event);
                    enqueue(&mut self.queue, key, connection);
                }
            }
        }
        (events, stop)
    }

    /// Phase 2: gives every queued connection one turn.
    fn drive_queue(&mut self) {
        std::mem::swap(&mut self.queue, &mut self.driven);
        for key in self.driven.drain(..) {
            let connection = &mut self.connections[key];
            connection.queued = false;
            let next = connection.drive(
                &mut self.engine,
                &mut self.buffers,
                self.poll.registry(),
                self.moment,
            );
            match next {
                Next::Again => enqueue(&mut self.queue, key, connection),
                Next::Wait if connection.ask() > 0 && !connection.starved => {
                    connection.starved = true;
                    self.starved.push_back(key);
                }
                Next::Wait => {}
                Next::Close(why) => {
                    if connection.starved {
                        self.starved.retain(|&starved| starved != key);
                    }
                    self.buffers.budget.settle(key, connection.held(), 0);
                    self.connections.remove(key);
                    // A descriptor is free again.
                    self.accept_again_ms = None;
                    match why {
                        Why::Said(why) => trace::closed(key, &why),
                        Why::Failed(error) => trace::closed(key, &error),
                    }
                }
            }
        }
    }

    /// Takes the clients that wait, as far as this turn and the limits allow.
    fn accept(&mut self) {
        if self.accept_again_ms.is_some_and(|at_ms| self.moment.uptime_ms < at_ms) {
            return;
        }
        self.accept_again_ms = None;
        for at in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.listeners[at].ready {
                    break;
                }
                match self.listeners[at].accept() {
                    Ok((socket, peer)) => self.welcome(socket, &peer),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.listeners[at].ready = false;
                    }
                    // This client has given up already; the next one may not have.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(error) => return self.rest_from_accepting(&error),
                }
            }
        }
    }

    /// Out of descriptors or memory. The listener stays ready, for its edge will not come again; a
    /// timer, or whoever leaves first, ends the rest.
    fn rest_from_accepting(&mut self, error: &io::Error) {
        let now_ms = self.moment.uptime_ms;
        self.accept_again_ms = Some(now_ms + ACCEPT_RETRY_MS);
        self.notices.accept_failed.warn(now_ms, &format_args!("cannot accept: {error}"));
    }

    fn welcome(&mut self, mut socket: Socket, peer: &Peer) {
        if self.connections.len() >= self.config.connections_max {
            // memcached's words and memcached's manners: say why, then hang up. A client that
            // cannot be told is dropped all the same.
            let _ = io::Write::write(&mut socket, b"ERROR Too many open connections\r\n");
            let limit = self.config.connections_max;
            let text = format_args!("turned a client away: {limit} connections are open");
            self.notices.turned_away.warn(self.moment.uptime_ms, &text);
            return;
        }
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let registry = self.poll.registry();
        match Connection::new(key, socket, &self.config, registry, self.moment) {
            Ok(connection) => {
                trace::accepted(key, peer);
                entry.insert(connection);
            }
            Err(error) => trace::closed(key, &error),
        }
    }

    /// Queues connections that wait for the budget, the longest first, for as much of it as is free;
    /// when not even the first one's wish fits, that one may exceed it.
    fn feed_starved(&mut self) {
        let budget = &mut self.buffers.budget;
        // Nobody asks for less than an allowance, so most turns of a full budget end here.
        let hopeless = budget.free <= ALLOWANCE_BYTES && budget.finisher.is_some();
        let waiting = if hopeless { 0 } else { self.starved.len() };
        let mut first = true;
        for _ in 0..waiting {
            let Some(key) = self.starved.pop_front() else { break };
            let connection = &mut self.connections[key];
            if connection.ask() <= budget.free || first && budget.make_finisher(key) {
                connection.feed(budget, self.moment);
                enqueue(&mut self.queue, key, connection);
            } else {
                // A whole round keeps the order of those that go on waiting.
                self.starved.push_back(key);
                first = false;
            }
        }
        if self.starved.is_empty() {
            self.stuck_check_ms = None;
        } else {
            self.doom_the_stuck();
        }
    }

    /// While others wait for the budget: closes those that have held a share of it for too long
    /// without moving.
    fn doom_the_stuck(&mut self) {
        let now_ms = self.moment.uptime_ms;
        if now_ms < *self.stuck_check_ms.get_or_insert(now_ms + STUCK_CHECK_MS) {
            return;
        }
        self.stuck_check_ms = Some(now_ms + STUCK_CHECK_MS);
        for (key, holder) in &mut self.connections {
            // Those that wait for the budget themselves do not move because of us.
            let stuck = holder.held() > 0 && !holder.starved;
            if stuck && now_ms - holder.moved_ms() >= STUCK_MS {
                holder.doomed = Some("it held buffers that others waited for, and did not move");
                let held = holder.held();
                let text =
                    format_args!("closed a client that held {held} bytes of the full buffers");
                self.notices.stuck.warn(now_ms, &text);
                enqueue(&mut self.queue, key, holder);
            }
        }
    }

    /// No more clients, no more reading; what has been read is answered, for a while.
    fn begin_to_stop(&mut self) {
        // The second signal in a row means now.
        let patience_ms = if self.stop_ms.is_none() { STOP_MS } else { 0 };
        self.stop_ms = Some(self.moment.uptime_ms + patience_ms);
        info!(target: "miocached", "stopping");
        self.listeners.clear();
        for (key, connection) in &mut self.connections {
            connection.stop_reading();
            enqueue(&mut self.queue, key, connection);
        }
    }
}

/// Puts a connection into the run queue, unless it is there.
fn enqueue(queue: &mut Vec<usize>, key: usize, connection: &mut Connection) {
    if !connection.queued {
        connection.queued = true;
        queue.push(key);
    }
}
