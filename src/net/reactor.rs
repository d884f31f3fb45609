//! The reactor: one thread that waits for readiness and gives each connection its turn.
//!
//! A turn has two phases. The first only latches what the events say and queues the connections
//! they are for; the second drives the queue. So nothing leaves the slab while events that name
//! its keys are still unread, and what came in one batch is answered in one pass. A connection
//! that has more to do than its share stays in the queue, and while the queue is not empty the
//! poll does not wait. Without traffic nothing ever wakes up.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use super::buffer::Buffers;
use super::clock::{Clock, Moment};
use super::connection::{Connection, Next, Why};
use super::door::{Doors, LISTENERS_AT, StartError};
use super::overdue::Overdue;
use super::server_stats;
use super::{ALLOWANCE_BYTES, EVENTS_PER_TURN, STOP_MS};
use crate::config::{Config, MIB};
use crate::engine::auth::Credentials;
use crate::engine::{Engine, ServerStats};
use crate::trace;

/// Signals come under this token.
const SIGNALS: Token = Token(usize::MAX - 1);

/// A server: its listeners, its connections, and the one engine that all of them change.
pub struct Reactor {
    config: Config,
    clock: Clock,
    moment: Moment,
    poll: Poll,
    events: Events,
    signals: Signals,
    doors: Doors,
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
    overdue: Overdue,
    /// The server stops, by then at the latest.
    stop_ms: Option<u64>,
}

/// An engine with the memory that `config` asks for.
///
/// # Errors
/// When there is not so much, or the file of `-Y` cannot be read.
pub fn engine_for(config: &Config) -> Result<Engine, StartError> {
    let mib = config.memory_bytes_max / MIB;
    let mut engine = Engine::new(config).map_err(|_| StartError {
        what: format!("cannot have {mib} MiB for items"),
        source: ErrorKind::OutOfMemory.into(),
    })?;
    if let Some(path) = &config.auth_file {
        engine.set_credentials(read_auth_file(path)?);
    }
    Ok(engine)
}

/// Watches for the signals that a server heeds. From here on none of them ends the process, so that
/// a socket's file does not stay behind it; they wait for the reactor.
///
/// # Errors
/// When the kernel refuses.
pub fn watch_signals() -> Result<Signals, StartError> {
    Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGHUP])
        .map_err(|source| StartError { what: "cannot watch for signals".into(), source })
}

impl Reactor {
    /// A server behind these doors. From here on the process must not fork: not every system leaves
    /// its event queue to a child.
    ///
    /// # Errors
    /// When the kernel has no event queue for it.
    pub fn new(
        config: Config,
        mut doors: Doors,
        engine: Engine,
        mut signals: Signals,
    ) -> Result<Self, StartError> {
        let no_loop = |source| StartError { what: "cannot set up the event loop".into(), source };
        let poll = Poll::new().map_err(no_loop)?;
        poll.registry()
            .register(&mut signals, SIGNALS, mio::Interest::READABLE)
            .map_err(no_loop)?;
        doors.register(poll.registry()).map_err(no_loop)?;
        let clock = Clock::start();
        Ok(Self {
            moment: clock.moment(),
            clock,
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            signals,
            doors,
            connections: Slab::new(),
            queue: Vec::new(),
            driven: Vec::new(),
            starved: VecDeque::new(),
            buffers: Buffers::new(&config),
            engine,
            turns: 0,
            overdue: Overdue::new(&config),
            stop_ms: None,
            config,
        })
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
        match self.wait() {
            Ok(()) => {}
            // A debugger's stop must not end the server. No event is lost by asking again.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.moment = self.clock.moment();
        self.turns += 1;
        let (events, signals) = self.latch_events();
        trace::turn(self.turns, events);
        if signals {
            self.heed_signals();
        }
        self.drive_queue();
        self.doors.accept(
            &mut self.connections,
            &self.config,
            self.poll.registry(),
            &mut self.engine.counters,
            &mut self.buffers.input,
            self.moment,
        );
        self.feed_starved();
        self.doom_the_overdue();
        server_stats::count_turn(&mut self.engine.counters, self.moment.instant);
        Ok(())
    }

    /// Waits for events; with `--busy-poll` awake, at first: to be woken takes longer than a round
    /// trip over the loopback.
    fn wait(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        let awake = self.config.busy_poll.min(timeout.unwrap_or(Duration::MAX));
        if !awake.is_zero() {
            let began = Instant::now();
            while began.elapsed() < awake {
                self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
                if !self.events.is_empty() {
                    return Ok(());
                }
            }
        }
        self.poll.poll(&mut self.events, timeout)
    }

    /// How long the poll may wait: not at all while there is something left to do, else until the
    /// next time-out, and for ever when there is none.
    fn timeout(&self) -> Option<Duration> {
        if !self.queue.is_empty() || self.doors.are_ready(self.connections.len()) {
            return Some(Duration::ZERO);
        }
        [self.doors.again_ms(), self.overdue.next_ms(), self.stop_ms]
            .into_iter()
            .flatten()
            .min()
            .map(|at_ms| Duration::from_millis(at_ms.saturating_sub(self.moment.uptime_ms)))
    }

    /// Phase 1: remembers what every event says. Returns how many there are, and whether signals are
    /// among them.
    fn latch_events(&mut self) -> (usize, bool) {
        let (mut events, mut signals) = (0, false);
        for event in &self.events {
            events += 1;
            match event.token() {
                SIGNALS => signals = true,
                Token(token) if token >= LISTENERS_AT => self.doors.latch(token),
                Token(key) => {
                    let Some(connection) = self.connections.get_mut(key) else {
                        continue;
                    };
                    connection.latch(event);
                    enqueue(&mut self.queue, key, connection);
                }
            }
        }
        (events, signals)
    }

    /// Phase 2: gives every queued connection one turn.
    fn drive_queue(&mut self) {
        let mut driven = std::mem::replace(&mut self.queue, std::mem::take(&mut self.driven));
        let mut shutdown = false;
        for key in driven.drain(..) {
            let next = self.drive(key);
            let (stopping, now_ms) = (self.stop_ms.is_some(), self.moment.uptime_ms);
            let connection = &mut self.connections[key];
            match connection.take_leave(next, stopping, &mut self.buffers.input, now_ms) {
                Next::Again | Next::NeedsServerStats(_) => {
                    enqueue(&mut self.queue, key, connection);
                }
                Next::Shutdown => {
                    shutdown = true;
                    enqueue(&mut self.queue, key, connection);
                }
                Next::Wait if connection.ask() > 0 && !connection.starved => {
                    connection.starved = true;
                    self.starved.push_back(key);
                }
                // Whoever never waits is bounded by what he may send.
                Next::Wait if connection.leaving_since_ms().is_some() => {
                    self.overdue.watch_farewells(now_ms);
                }
                Next::Wait => {}
                Next::Close(why) => {
                    if connection.starved {
                        self.starved.retain(|&starved| starved != key);
                    }
                    self.buffers.budget.settle(key, connection.held(), 0);
                    self.connections.remove(key);
                    self.doors.one_left();
                    match why {
                        Why::Said(why) => trace::closed(key, &why),
                        Why::Failed(error) => trace::closed(key, &error),
                    }
                }
            }
        }
        self.driven = driven;
        if shutdown {
            self.begin_to_stop();
        }
    }

    /// One turn of one connection. When a request in it needs the network's figures, these are taken
    /// now, while all connections are at rest, and the same turn goes on with them: however many
    /// `stats` the client has pipelined, and before any other client.
    fn drive(&mut self, key: usize) -> Next {
        let mut snapshot = None;
        // Each round has a larger scope than the one before it, so there are three at most.
        loop {
            let connection = &mut self.connections[key];
            connection.queued = false;
            let next = connection.drive(
                &mut self.engine,
                &mut self.buffers,
                self.poll.registry(),
                self.moment,
                snapshot.as_ref(),
            );
            let Next::NeedsServerStats(scope) = next else { return next };
            debug_assert!(snapshot.is_none_or(|have: ServerStats| !have.covers(scope)));
            // It is in its turn, whatever `stats conns` says of others.
            connection.queued = true;
            snapshot = Some(server_stats::snapshot(
                scope,
                &self.connections,
                &self.doors,
                &self.buffers,
                self.turns,
                self.moment,
            ));
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
    }

    /// Closes those who hold what others wait for, those who have gone silent, and those who stay
    /// after the end.
    fn doom_the_overdue(&mut self) {
        let (connections, now_ms) = (&mut self.connections, self.moment.uptime_ms);
        let mut doom = |key, connection: &mut Connection| enqueue(&mut self.queue, key, connection);
        self.overdue.doom_the_stuck(connections, !self.starved.is_empty(), now_ms, &mut doom);
        self.overdue.doom_the_lingering(connections, now_ms, doom);
        let doom = |key, connection: &mut Connection| {
            self.engine.counters.idle_kicks += 1;
            enqueue(&mut self.queue, key, connection);
        };
        self.overdue.doom_the_idle(connections, now_ms, doom);
    }

    /// Does what signals ask for.
    fn heed_signals(&mut self) {
        let (mut stop, mut reload) = (false, false);
        for signal in self.signals.pending() {
            match signal {
                SIGHUP => reload = true,
                // memcached's graceful stop, SIGUSR1, is how this server always stops.
                _ => stop = true,
            }
        }
        if reload {
            self.reload_credentials();
        }
        if stop {
            self.begin_to_stop();
        }
    }

    /// Reads the file of `-Y` again. One that cannot be read changes nothing.
    fn reload_credentials(&mut self) {
        match &self.config.auth_file {
            None => info!(target: "miocached", "SIGHUP: there is no auth file to read again"),
            Some(path) => match read_auth_file(path) {
                Ok(credentials) => {
                    self.engine.set_credentials(credentials);
                    info!(target: "miocached", "the auth file has been read again");
                }
                Err(error) => warn!(target: "miocached", "the users stay as they were: {error}"),
            },
        }
    }

    /// No more clients, no more reading; what has been read is answered, for a while.
    fn begin_to_stop(&mut self) {
        // The second signal in a row means now.
        let patience_ms = if self.stop_ms.is_none() { STOP_MS } else { 0 };
        self.stop_ms = Some(self.moment.uptime_ms + patience_ms);
        info!(target: "miocached", "stopping");
        self.doors.close();
        for (key, connection) in &mut self.connections {
            connection.stop_reading();
            enqueue(&mut self.queue, key, connection);
        }
    }
}

/// The users and passwords of `-Y`.
fn read_auth_file(path: &Path) -> Result<Credentials, StartError> {
    let bad = |why| io::Error::new(ErrorKind::InvalidData, why);
    fs::read(path)
        .and_then(|text| Credentials::parse(&text).map_err(bad))
        .map_err(|source| StartError { what: format!("auth file {}", path.display()), source })
}

/// Puts a connection into the run queue, unless it is there.
fn enqueue(queue: &mut Vec<usize>, key: usize, connection: &mut Connection) {
    if !connection.queued {
        connection.queued = true;
        queue.push(key);
    }
}
