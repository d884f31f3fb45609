//! The doors: all listeners, and who is let in.
//!
//! Owns the limit on connections, the rest that accepting takes when descriptors run out, and what
//! the log is told of both. Knows no conversation.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use log::info;
use mio::{Registry, Token};
use slab::Slab;

use super::clock::Moment;
use super::connection::Connection;
use super::listener::{Listener, Peer, Socket};
use super::notice::Notice;
use super::{ACCEPT_RETRY_MS, ACCEPTS_PER_TURN};
use crate::config::Config;
use crate::engine::counters::Counters;
use crate::engine::vitals::ConnectionVitals;
use crate::trace;

/// Listener `i` has this token and `i` more. Connections have their slab keys, far below.
pub(super) const LISTENERS_AT: usize = usize::MAX / 2;

/// Why a server could not start.
#[derive(Debug)]
pub struct StartError {
    pub(super) what: String,
    pub(super) source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl std::error::Error for StartError {}

/// All places where clients knock.
pub struct Doors {
    listeners: Vec<Listener>,
    connections_max: usize,
    turns_away: bool,
    /// Accepting rests until then: the process is out of descriptors.
    again_ms: Option<u64>,
    /// Since when clients have been left to wait, for either reason.
    disabled_ms: Option<u64>,
    full: Notice,
    accept_failed: Notice,
}

impl Doors {
    /// Listens on the TCP addresses of `config`.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn open_tcp(config: &Config) -> Result<Self, StartError> {
        let mut doors = Self {
            listeners: Vec::new(),
            connections_max: config.connections_max,
            turns_away: config.turns_away,
            again_ms: None,
            disabled_ms: None,
            full: Notice::default(),
            accept_failed: Notice::default(),
        };
        for address in &config.tcp {
            doors.open(Listener::tcp(*address, config.backlog), address)?;
        }
        Ok(doors)
    }

    /// Listens on the Unix sockets of `config` as well. Their files belong to whom the process
    /// belongs to now.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn open_unix(&mut self, config: &Config) -> Result<(), StartError> {
        for unix in &config.unix {
            self.open(Listener::unix(unix, config.backlog), &unix.path.display())?;
        }
        Ok(())
    }

    fn open(
        &mut self,
        listener: io::Result<Listener>,
        name: &dyn fmt::Display,
    ) -> Result<(), StartError> {
        let cannot = |source| StartError { what: format!("cannot listen on {name}"), source };
        self.listeners.push(listener.map_err(cannot)?);
        Ok(())
    }

    /// Says where it listens. Only when nothing can fail any more: a start that fails says one line
    /// and no other.
    pub fn announce(&self) {
        for listener in &self.listeners {
            info!(target: "miocached", "server listening on {listener}");
        }
    }

    /// The TCP addresses among them, with the ports that the kernel picked where none were asked for.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(Listener::address)
    }

    /// Asks for events.
    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for (at, listener) in self.listeners.iter_mut().enumerate() {
            listener.register(registry, Token(LISTENERS_AT + at))?;
        }
        Ok(())
    }

    /// Remembers an event: somebody knocks at the listener with this token.
    pub(super) fn latch(&mut self, token: usize) {
        if let Some(listener) = self.listeners.get_mut(token - LISTENERS_AT) {
            listener.ready = true;
        }
    }

    /// With so many connections open, somebody may be let in, or turned away, at once.
    pub(super) fn are_ready(&self, open: usize) -> bool {
        let resting = self.again_ms.is_some() || self.are_shut(open);
        !resting && self.listeners.iter().any(|listener| listener.ready)
    }

    /// At the limit, clients are left to wait in front of the doors. Their listeners stay ready, so
    /// that the first one goes in as soon as one leaves.
    const fn are_shut(&self, open: usize) -> bool {
        !self.turns_away && open >= self.connections_max
    }

    /// A client who knocks now is attended to, were it only to be turned away.
    pub(super) const fn are_attended(&self) -> bool {
        self.disabled_ms.is_none()
    }

    /// The listeners, for `stats conns`.
    pub(super) fn vitals(&self) -> impl Iterator<Item = ConnectionVitals> {
        self.listeners.iter().map(|listener| ConnectionVitals {
            number: listener.descriptor(),
            address: listener.name(),
            listen_address: None,
            state: "conn_listening",
            idle_s: 0,
        })
    }

    /// When to try again, in milliseconds of uptime.
    pub(super) const fn again_ms(&self) -> Option<u64> {
        self.again_ms
    }

    /// A connection has ended, so a descriptor is free.
    pub(super) const fn one_left(&mut self) {
        self.again_ms = None;
    }

    /// Nobody is let in any more.
    pub(super) fn close(&mut self) {
        self.listeners.clear();
    }

    /// Takes the clients that wait, as far as this turn and the limits allow.
    pub(super) fn accept(
        &mut self,
        connections: &mut Slab<Connection>,
        config: &Config,
        registry: &Registry,
        counters: &mut Counters,
        space: &mut [u8],
        moment: Moment,
    ) {
        if self.again_ms.is_some_and(|at_ms| moment.uptime_ms < at_ms) {
            return;
        }
        self.again_ms = None;
        for at in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.listeners[at].ready || self.are_shut(connections.len()) {
                    break;
                }
                match self.listeners[at].accept() {
                    Ok((socket, _)) if connections.len() >= self.connections_max => {
                        self.enable(counters, moment);
                        counters.rejected_connections += 1;
                        self.turn_away(socket, space, moment);
                    }
                    Ok((socket, peer)) => {
                        self.enable(counters, moment);
                        counters.total_connections += 1;
                        welcome(socket, &peer, connections, config, registry, moment);
                        if self.are_shut(connections.len()) {
                            self.disable(counters, moment);
                            let text =
                                "no room for another client: accepting waits for one to leave";
                            self.full.warn(moment.uptime_ms, &text);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.enable(counters, moment);
                        self.listeners[at].ready = false;
                    }
                    // This client has given up already; the next one may not have.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        self.disable(counters, moment);
                        return self.rest(&error, moment);
                    }
                }
            }
        }
    }

    /// From here on clients are left to wait, as memcached counts it: once until somebody is let in
    /// again, however often that is tried in vain.
    const fn disable(&mut self, counters: &mut Counters, moment: Moment) {
        if self.disabled_ms.is_none() {
            self.disabled_ms = Some(moment.uptime_ms);
            counters.listen_disabled_num += 1;
        }
    }

    /// Accepting works again.
    const fn enable(&mut self, counters: &mut Counters, moment: Moment) {
        if let Some(since_ms) = self.disabled_ms.take() {
            counters.time_in_listen_disabled_us += (moment.uptime_ms - since_ms) * 1000;
        }
    }

    /// Out of descriptors or memory. The listener stays ready, for its edge will not come again; a
    /// timer, or whoever leaves first, ends the rest.
    fn rest(&mut self, error: &io::Error, moment: Moment) {
        self.again_ms = Some(moment.uptime_ms + ACCEPT_RETRY_MS);
        self.accept_failed.warn(moment.uptime_ms, &format_args!("cannot accept: {error}"));
    }

    /// memcached's words and memcached's manners: say why, then hang up. A client that cannot be
    /// told is dropped all the same. What it has asked already is read, as far as there is space, or
    /// closing would be a reset, which some clients take for the whole answer.
    fn turn_away(&mut self, mut socket: Socket, space: &mut [u8], moment: Moment) {
        let _ = socket.write(b"ERROR Too many open connections\r\n");
        let _ = socket.read(space);
        let limit = self.connections_max;
        let text = format_args!("turned a client away: {limit} connections are open");
        self.full.warn(moment.uptime_ms, &text);
    }
}

fn welcome(
    socket: Socket,
    peer: &Peer,
    connections: &mut Slab<Connection>,
    config: &Config,
    registry: &Registry,
    moment: Moment,
) {
    let entry = connections.vacant_entry();
    let key = entry.key();
    match Connection::new(key, socket, config, registry, moment) {
        Ok(connection) => {
            trace::accepted(key, peer);
            entry.insert(connection);
        }
        Err(error) => trace::closed(key, &error),
    }
}
