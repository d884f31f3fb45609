//! The reactor: one thread that waits for readiness and gives each connection its turn.
//!
//! `Reactor::turn` is one turn of the loop, and names its stages. It first latches all events and queues
//! their connections, and only then drives the queue. So no slab key is used again while events that
//! name it are unread, and all requests of a batch are answered in one pass. A connection that has more
//! to do than one turn allows is queued again, and while the queue is not empty the poll does not wait.
//! Without traffic the loop does not wake up.

use std::io::{self, ErrorKind};
use std::mem;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGUSR2};
use signal_hook::low_level::signal_name;
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use super::account::Account;
use super::buffer::Buffers;
use super::clock::{Clock, Moment};
use super::connection::{Connection, Expired, Next, Shared, Why};
use super::http_server::{HTTP_LISTENER, HttpServer};
use super::listeners::{FIRST_LISTENER, Listeners};
use super::notice::Notice;
use super::report::Report;
use super::reported::Reported;
use super::server_stats;
use super::service_manager::ServiceManager;
use super::start::{StartError, read_auth_file};
use super::timeouts::Timeouts;
use super::trace_file::TraceFile;
use super::watchers::Watchers;
use super::{EVENTS_PER_TURN, LINGER_MS, STOP_MS, STOP_QUIET_MS, SWEEP_MS};
use crate::config::Config;
use crate::engine::{Engine, Now, ServerStats, StatsScope};
use crate::http::{Answer, Status};
use crate::metrics::{Route, Source};
use crate::protocol::WatchKinds;
use crate::trace::{self, Wait};

/// The token of events for signals.
const SIGNALS: Token = Token(usize::MAX - 1);

/// A server: its listeners, its connections, and the one engine that all of them change.
pub struct Reactor {
    config: Config,
    clock: Clock,
    moment: Moment,
    poll: Poll,
    events: Events,
    signals: Signals,
    service_manager: ServiceManager,
    listeners: Listeners,
    /// The metrics address, with `--metrics`.
    http: Option<HttpServer>,
    connections: Slab<Connection>,
    /// Keys of connections that have something to do, each once (`Connection::queued`).
    queue: Vec<usize>,
    /// The second queue, empty between turns: the two change places, so that their memory is reused.
    driven: Vec<usize>,
    buffers: Buffers,
    account: Account,
    engine: Engine,
    watchers: Watchers,
    turns: u64,
    timeouts: Timeouts,
    /// When the pool frees the buffers that are not needed, in milliseconds of uptime.
    free_ms: Option<u64>,
    stopping: Option<Stopping>,
    report: Report,
    trace_file: TraceFile,
    notices: Notices,
}

/// A stop in progress. Times are in milliseconds of uptime.
struct Stopping {
    /// The server exits at this time at the latest.
    deadline_ms: u64,
    /// The server exits at this time if nothing is unsent and no event comes before.
    quiet_ms: u64,
}

/// The warnings that clients can cause here.
#[derive(Default)]
struct Notices {
    stalled: Notice,
    waiting: Notice,
    out_of_memory: Notice,
    /// Connections that waited for memory when the last turn ended.
    waiting_before: usize,
}

impl Reactor {
    /// A server with these listeners, whose time is that of `clock`. A child process inherits its epoll
    /// instance; a kqueue is not inherited, so where that is the event queue, the process must not fork
    /// from here on.
    ///
    /// # Errors
    /// When the kernel refuses the event queue, or a registration in it.
    pub fn new(
        config: Config,
        mut listeners: Listeners,
        mut http: Option<HttpServer>,
        engine: Engine,
        mut signals: Signals,
        clock: Clock,
        service_manager: ServiceManager,
    ) -> Result<Self, StartError> {
        let no_loop = |source| StartError { what: "cannot set up the event loop".into(), source };
        let poll = Poll::new().map_err(no_loop)?;
        poll.registry()
            .register(&mut signals, SIGNALS, mio::Interest::READABLE)
            .map_err(no_loop)?;
        listeners.register(poll.registry()).map_err(no_loop)?;
        if let Some(http) = &mut http {
            http.register(poll.registry()).map_err(no_loop)?;
        }
        Ok(Self {
            moment: clock.moment(),
            clock,
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            signals,
            service_manager,
            listeners,
            http,
            connections: Slab::new(),
            queue: Vec::new(),
            driven: Vec::new(),
            buffers: Buffers::new(&config),
            account: Account::new(&config),
            watchers: Watchers::new(&config),
            engine,
            turns: 0,
            timeouts: Timeouts::new(&config),
            free_ms: None,
            stopping: None,
            report: Report::default(),
            trace_file: TraceFile::default(),
            notices: Notices::default(),
            config,
        })
    }

    /// Writes what has been recorded into this file, on SIGUSR2 and at the end of [`Self::run`].
    pub fn write_trace_to(&mut self, file: TraceFile) {
        self.trace_file = file;
    }

    /// Serves until a signal or a client ends the server.
    ///
    /// # Errors
    /// When the event loop itself fails; no client can make it fail.
    pub fn run(&mut self) -> io::Result<()> {
        self.service_manager.ready(&self.listeners);
        let mut done = Ok(());
        while done.is_ok() && !self.has_stopped() {
            done = self.turn();
        }
        self.trace_file.finish();
        done
    }

    /// The engine and the time, after [`Self::run`]. Closes all connections that are left.
    #[must_use]
    pub fn into_engine(self) -> (Engine, Now) {
        (self.engine, self.clock.moment().now)
    }

    /// One turn of the loop: waits for something to do, and does it.
    fn turn(&mut self) -> io::Result<()> {
        match self.poll_events() {
            Ok(()) => {}
            // EINTR: a debugger, for example, has stopped the process. The next poll reports the events.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.moment = self.clock.moment();
        self.turns += 1;
        let signals = self.latch_events();
        if signals {
            self.handle_signals();
        }
        self.serve();
        Ok(())
    }

    /// What a turn does after its events have been latched.
    fn serve(&mut self) {
        self.drive_connections();
        self.accept_connections();
        self.deliver_events();
        self.grant_memory();
        self.free_memory();
        self.expire_connections();
        self.serve_metrics();
        self.report.go_on(&self.connections, self.moment);
        self.trace_file.go_on();
        server_stats::count_turn(&mut self.engine.counters, self.moment.instant);
    }

    /// Waits for events. With `--busy-poll` it first polls without sleeping for that time: a wake-up
    /// takes longer than a round trip over the loopback.
    fn poll_events(&mut self) -> io::Result<()> {
        let timeout = self.poll_timeout();
        trace::polls(timeout);
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

    /// How long the poll may wait: not at all while something is left to do, otherwise until the first
    /// timer, and without limit if no timer is armed.
    fn poll_timeout(&self) -> Option<Duration> {
        let http = self.http.as_ref();
        if !self.queue.is_empty()
            || self.listeners.can_accept(self.connections.len())
            || self.report.is_unfinished()
            || self.trace_file.is_unfinished()
            || http.is_some_and(HttpServer::has_work)
        {
            return Some(Duration::ZERO);
        }
        let now_ms = self.moment.uptime_ms;
        let stop = self.stopping.as_ref();
        let quiet_ms = stop.map(|stop| stop.quiet_ms).filter(|&quiet_ms| quiet_ms > now_ms);
        let timers = [
            self.listeners.retry_ms(),
            self.timeouts.sweep_ms(),
            self.free_ms,
            http.and_then(HttpServer::deadline_ms),
            stop.map(|stop| stop.deadline_ms),
            quiet_ms,
        ];
        let first_ms = timers.into_iter().flatten().min();
        first_ms.map(|first_ms| Duration::from_millis(first_ms.saturating_sub(now_ms)))
    }

    /// Latches every event, and queues the connections. Returns whether signals have arrived.
    fn latch_events(&mut self) -> bool {
        let mut signals = false;
        trace::turn(self.turns, self.events.iter().count());
        for event in &self.events {
            match event.token() {
                SIGNALS => signals = true,
                Token(token) if token >= HTTP_LISTENER => {
                    if let Some(http) = &mut self.http {
                        http.latch(token, event);
                    }
                }
                Token(token) if token >= FIRST_LISTENER => self.listeners.latch(token),
                Token(key) => latch(&mut self.connections, &mut self.queue, key, event.into()),
            }
        }
        if let Some(stopping) = &mut self.stopping
            && !self.events.is_empty()
        {
            stopping.quiet_ms = self.moment.uptime_ms + STOP_QUIET_MS;
        }
        signals
    }

    /// Gives every queued connection one turn.
    fn drive_connections(&mut self) {
        let mut driven = mem::replace(&mut self.queue, mem::take(&mut self.driven));
        let mut shutdown = false;
        for key in driven.drain(..) {
            let next = self.drive(key);
            if self.http.is_some() {
                server_stats::count_requests(&mut self.engine.counters, self.moment.instant);
            }
            self.deliver_events();
            let now_ms = self.moment.uptime_ms;
            let connection = &mut self.connections[key];
            let space = &mut self.buffers.read;
            let next = connection.linger(next, self.stopping.is_some(), space, now_ms);
            if !matches!(next, Next::Close(_)) {
                trace::next(key, &next, || {
                    let again = matches!(next, Next::Again);
                    let wait = if again { Wait::Turn } else { connection.wait() };
                    (wait, connection.output.unsent().len())
                });
            }
            match next {
                Next::Again | Next::NeedsServerStats(_) => {
                    enqueue(&mut self.queue, key, connection);
                }
                Next::Watch(kinds) => {
                    if connection.readiness.readable {
                        enqueue(&mut self.queue, key, connection);
                    }
                    self.watchers.add(key, kinds, &mut self.engine);
                }
                Next::Shutdown => {
                    shutdown = true;
                    enqueue(&mut self.queue, key, connection);
                }
                Next::Wait if connection.share.wants() => self.account.wait(&mut connection.share),
                // A client that never pauses is limited by LINGER_BYTES_MAX.
                Next::Wait if connection.lingering_since_ms().is_some() => {
                    self.timeouts.expect(now_ms + LINGER_MS);
                }
                Next::Wait => {}
                Next::Close(why) => self.close(key, &why),
            }
        }
        self.driven = driven;
        if shutdown {
            self.begin_to_stop();
        }
    }

    /// One turn of one connection. If a request in it needs the network's figures, a snapshot is taken
    /// and the same turn goes on with it, for all `stats` that the client has pipelined and before any
    /// other client's turn.
    fn drive(&mut self, key: usize) -> Next {
        let mut snapshot = None;
        // Each round has a larger scope than the one before (none, general, with connections), so
        // there are three at most.
        loop {
            let connection = &mut self.connections[key];
            connection.queued = false;
            let next = connection.drive(&mut Shared {
                engine: &mut self.engine,
                buffers: &mut self.buffers,
                account: &mut self.account,
                registry: self.poll.registry(),
                moment: self.moment,
                stats: snapshot.as_ref(),
            });
            let Next::NeedsServerStats(scope) = next else { return next };
            debug_assert!(snapshot.is_none_or(|have: ServerStats| !have.covers(scope)));
            // `stats conns` shows the connection that asks as one that is in its turn.
            connection.queued = true;
            snapshot = Some(server_stats::snapshot(
                scope,
                &self.connections,
                &self.listeners,
                &self.account,
                self.turns,
                self.moment,
            ));
        }
    }

    /// The part of a turn that the metrics address has.
    fn serve_metrics(&mut self) {
        let Self { http, poll, engine, connections, listeners, account, .. } = self;
        let (moment, turns) = (self.moment, self.turns);
        let Some(http) = http else { return };
        http.turn(poll.registry(), moment, |request| {
            trace::metrics_request(request.path.unwrap_or("a page, and is refused"));
            let found = request.path.and_then(|path| Route::find(path).ok_or(Status::NotFound));
            let route = match found {
                Ok(route) => route,
                Err(status) => return Some(Answer::error(status)),
            };
            let server = || {
                let scope = StatsScope::General;
                server_stats::snapshot(scope, connections, listeners, account, turns, moment)
            };
            let body = route.body(Source { engine, now: moment.now, server })?;
            Some(Answer { status: Status::Ok, media_type: route.media_type, body })
        });
    }

    /// Gives what has happened since the last call to the connections that watch.
    fn deliver_events(&mut self) {
        if self.engine.events.is_on() {
            let (queue, pool) = (&mut self.queue, &mut self.buffers.pool);
            let (connections, account) = (&mut self.connections, &mut self.account);
            let now_ms = self.moment.uptime_ms;
            let enqueue = |key, watcher: &mut Connection| enqueue(queue, key, watcher);
            self.watchers.deliver(&mut self.engine, connections, account, pool, now_ms, enqueue);
        }
    }

    /// Removes a connection, which closes its socket.
    fn close(&mut self, key: usize, why: &Why) {
        let mut connection = self.connections.remove(key);
        if connection.queued {
            // A watcher that was sent an event after this turn of its own.
            self.queue.retain(|&queued| queued != key);
        }
        self.watchers.remove(key, &mut self.engine);
        if self.engine.events.watches(WatchKinds::CONNEVENTS) {
            let reason = connection.close_name(why, self.stopping.is_some());
            connection.socket.as_peer(|peer| self.engine.events.disconnected(peer, reason));
        }
        self.account.close(&mut connection.share);
        connection.input.close(&mut self.buffers.pool);
        connection.output.close(&mut self.buffers.pool);
        self.listeners.on_close();
        match why {
            Why::Reason(reason) => trace::closed(key, reason),
            Why::Failed(error) => {
                trace::failed(key, error);
                if error.kind() == ErrorKind::OutOfMemory {
                    let text = "closed a client: the process has no memory for its buffers";
                    self.notices.out_of_memory.warn(self.moment.uptime_ms, &text);
                }
            }
        }
    }

    /// Accepts new connections, as far as the limits allow.
    fn accept_connections(&mut self) {
        self.listeners.accept(
            &mut self.connections,
            &self.config,
            self.poll.registry(),
            &mut self.engine,
            &mut self.buffers.read,
            self.moment,
        );
    }

    /// Grants memory to the connections that wait for it, in the order of their waiting.
    fn grant_memory(&mut self) {
        while let Some(key) = self.account.first_waiting() {
            let connection = &mut self.connections[key];
            if !connection.grant(&mut self.account, self.moment.uptime_ms) {
                break;
            }
            trace::granted(key);
            enqueue(&mut self.queue, key, connection);
        }
        let waiting = self.account.waiting();
        if waiting > self.notices.waiting_before {
            let (charged, limit) = self.account.bytes();
            let text = format_args!(
                "clients wait for buffer memory: {waiting} of them; {charged} of {limit} bytes are in use"
            );
            self.notices.waiting.warn(self.moment.uptime_ms, &text);
        }
        self.notices.waiting_before = waiting;
    }

    /// Frees pooled buffers that have not been needed for a second.
    fn free_memory(&mut self) {
        let (pool, now_ms) = (&mut self.buffers.pool, self.moment.uptime_ms);
        pool.limit(self.account.pool_may_hold());
        if self.free_ms.is_some_and(|free_ms| now_ms >= free_ms) {
            pool.free_idle();
            self.free_ms = None;
        }
        if pool.is_large() {
            self.free_ms.get_or_insert(now_ms + SWEEP_MS);
        }
    }

    /// Closes, in their next turn, the connections whose deadline has passed.
    fn expire_connections(&mut self) {
        let others_wait = self.account.waiting() > 0;
        let now_ms = self.moment.uptime_ms;
        self.timeouts.sweep(&mut self.connections, others_wait, now_ms, |key, connection, why| {
            connection.close_reason = Some(why);
            trace::deadline_passed(key, why.text());
            match why {
                Expired::Idle => self.engine.counters.idle_kicks += 1,
                Expired::Stalled => {
                    let held = connection.share.charged();
                    let text =
                        format_args!("closed a client that held {held} bytes of the full buffers");
                    self.notices.stalled.warn(now_ms, &text);
                }
                Expired::Lingering => {}
            }
            enqueue(&mut self.queue, key, connection);
        });
    }

    /// Handles the signals that have arrived.
    fn handle_signals(&mut self) {
        let (mut stop, mut reload) = (false, false);
        for signal in self.signals.pending() {
            trace::signal(signal_name(signal).unwrap_or("?"));
            match signal {
                SIGHUP => reload = true,
                SIGUSR2 => {
                    self.report.begin(&self.connections, &self.account);
                    self.trace_file.begin();
                }
                // memcached's graceful stop, SIGUSR1, is how this server always stops.
                _ => stop = true,
            }
        }
        if reload && self.stopping.is_none() {
            self.service_manager.reloading();
            self.reload_credentials();
            self.service_manager.ready(&self.listeners);
        }
        if stop {
            self.begin_to_stop();
        }
    }

    /// Reads the file of `-Y` again. If that fails, the users stay as they were.
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

    /// Closes the listeners and stops reading. What has been read is still answered.
    fn begin_to_stop(&mut self) {
        let now_ms = self.moment.uptime_ms;
        // A second signal ends the wait at once.
        let patience_ms = if self.stopping.is_none() { STOP_MS } else { 0 };
        self.service_manager.stopping();
        self.stopping =
            Some(Stopping { deadline_ms: now_ms + patience_ms, quiet_ms: now_ms + STOP_QUIET_MS });
        info!(target: "miocached", "stopping");
        self.listeners.close();
        self.http = None;
        for (key, connection) in &mut self.connections {
            connection.stop_reading();
            enqueue(&mut self.queue, key, connection);
        }
    }

    /// The server exits at the deadline, when no client is left, or when all that are left linger and
    /// have sent nothing for [`STOP_QUIET_MS`].
    fn has_stopped(&self) -> bool {
        let Some(stopping) = &self.stopping else { return false };
        let now_ms = self.moment.uptime_ms;
        let lingers =
            |(_, connection): (usize, &Connection)| connection.lingering_since_ms().is_some();
        now_ms >= stopping.deadline_ms
            || self.connections.is_empty()
            || now_ms >= stopping.quiet_ms && self.connections.iter().all(lingers)
    }
}

/// Latches an event in its connection, which gets a turn.
fn latch(connections: &mut Slab<Connection>, queue: &mut Vec<usize>, key: usize, event: Reported) {
    let Some(connection) = connections.get_mut(key) else { return };
    connection.latch(event);
    enqueue(queue, key, connection);
}

/// Puts a connection into the run queue, unless it is in it already.
fn enqueue(queue: &mut Vec<usize>, key: usize, connection: &mut Connection) {
    if !connection.queued {
        connection.queued = true;
        queue.push(key);
    }
}

#[cfg(test)]
#[path = "schedules.rs"]
mod schedules;
