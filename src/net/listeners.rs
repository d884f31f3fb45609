//! All listeners, and which clients are accepted.
//!
//! Applies the limit on connections, pauses accepting when descriptors have run out, and logs both. A
//! client above the limit is rejected (`-o maxconns_fast`, the default) or waits in the kernel's
//! backlog until a connection closes.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use log::info;
use mio::{Registry, Token};
use slab::Slab;

use super::clock::Moment;
use super::connection::Connection;
use super::inherited::Inherited;
use super::listener::Listener;
use super::notice::Notice;
use super::socket::{Peer, Socket};
use super::start::StartError;
use super::{ACCEPT_RETRY_MS, ACCEPTS_PER_TURN};
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::counters::Counters;
use crate::engine::server_stats::ConnectionStats;
use crate::protocol::WatchKinds;
use crate::trace;

/// Listener `i` has this token plus `i`. Connections have their slab keys, far below.
pub(super) const FIRST_LISTENER: usize = usize::MAX / 2;

/// See the module. Times are in milliseconds of uptime.
pub struct Listeners {
    listeners: Vec<Listener>,
    /// The listeners are inherited, so no others are opened.
    are_inherited: bool,
    connections_max: usize,
    /// Clients above the limit are rejected. Otherwise they wait.
    reject_at_limit: bool,
    /// Accepting is paused until then: the process is out of descriptors.
    retry_ms: Option<u64>,
    /// When clients began to wait, because of the limit or because descriptors have run out.
    disabled_ms: Option<u64>,
    limit_notice: Notice,
    failure_notice: Notice,
}

impl Listeners {
    /// Takes the inherited listeners or, if there are none, binds sockets to the TCP addresses of
    /// `config`. Clients of these are refused until [`Self::listen`].
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub fn bind_tcp(config: &Config, inherited: Inherited) -> Result<Self, StartError> {
        let inherited = inherited.into_listeners();
        let mut listeners = Self {
            are_inherited: !inherited.is_empty(),
            listeners: inherited,
            connections_max: config.connections_max,
            reject_at_limit: config.reject_at_limit,
            retry_ms: None,
            disabled_ms: None,
            limit_notice: Notice::default(),
            failure_notice: Notice::default(),
        };
        if !listeners.are_inherited {
            for address in &config.tcp {
                listeners.add(Listener::tcp(*address), address)?;
            }
        }
        Ok(listeners)
    }

    /// Listens on the TCP addresses, and on the Unix sockets of `config`, whose files belong to the
    /// current user of the process. Inherited listeners listen already.
    ///
    /// # Errors
    /// When one of them cannot be listened on.
    pub fn listen(&mut self, config: &Config) -> Result<(), StartError> {
        if self.are_inherited {
            return Ok(());
        }
        for listener in &self.listeners {
            let listens = listener.listen(config.backlog);
            listens.map_err(|source| cannot_listen(listener, source))?;
        }
        for unix in &config.unix {
            self.add(Listener::unix(unix, config.backlog), &unix.path.display())?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        listener: io::Result<Listener>,
        name: &dyn fmt::Display,
    ) -> Result<(), StartError> {
        self.listeners.push(listener.map_err(|source| cannot_listen(name, source))?);
        Ok(())
    }

    /// Logs the addresses. Test suites of memcached's clients wait for the words "server listening".
    pub fn announce(&self) {
        for listener in &self.listeners {
            info!(target: "miocached", "server listening on {listener}");
        }
    }

    /// The TCP addresses, with the ports that the kernel picked where none were asked for.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(Listener::address)
    }

    /// Registers all listeners for events.
    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            listener.register(registry, Token(FIRST_LISTENER + index))?;
        }
        Ok(())
    }

    /// Remembers an event: clients wait at the listener with this token.
    pub(super) fn latch(&mut self, token: usize) {
        if let Some(listener) = self.listeners.get_mut(token - FIRST_LISTENER) {
            listener.ready = true;
            trace::listener_ready(listener);
        }
    }

    /// A client may be waiting, and can be accepted or rejected now, with `open` connections.
    pub(super) fn can_accept(&self, open: usize) -> bool {
        let paused = self.retry_ms.is_some() || self.at_limit(open);
        !paused && self.listeners.iter().any(|listener| listener.ready)
    }

    /// Clients have to wait until a connection closes. The listeners stay ready meanwhile, because no
    /// new edge reports the clients that wait.
    const fn at_limit(&self, open: usize) -> bool {
        !self.reject_at_limit && open >= self.connections_max
    }

    /// A client that connects now is accepted, or at least rejected.
    pub(super) const fn accepting(&self) -> bool {
        self.disabled_ms.is_none()
    }

    /// The listeners, for `stats conns`.
    pub(super) fn stats(&self) -> impl Iterator<Item = ConnectionStats> {
        self.listeners.iter().map(|listener| ConnectionStats {
            descriptor: listener.descriptor(),
            address: listener.name(),
            listen_address: None,
            state: "conn_listening",
            idle_s: 0,
            wait: None,
        })
    }

    /// When to try again after descriptors have run out.
    pub(super) const fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// A connection has been closed, so a descriptor is free.
    pub(super) const fn on_close(&mut self) {
        self.retry_ms = None;
    }

    /// Stops listening.
    pub(super) fn close(&mut self) {
        self.listeners.clear();
    }

    /// Accepts the clients that wait, as far as this turn and the limits allow.
    pub(super) fn accept(
        &mut self,
        connections: &mut Slab<Connection>,
        config: &Config,
        registry: &Registry,
        engine: &mut Engine,
        space: &mut [u8],
        moment: Moment,
    ) {
        if self.retry_ms.is_some_and(|retry_ms| moment.uptime_ms < retry_ms) {
            return;
        }
        self.retry_ms = None;
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.listeners[index].ready || self.at_limit(connections.len()) {
                    break;
                }
                match self.listeners[index].accept() {
                    Ok((socket, _)) if connections.len() >= self.connections_max => {
                        self.enable(&mut engine.counters, moment);
                        engine.counters.rejected_connections += 1;
                        self.reject(socket, space, moment);
                    }
                    Ok((socket, peer)) => {
                        self.enable(&mut engine.counters, moment);
                        engine.counters.total_connections += 1;
                        if engine.events.watches(WatchKinds::CONNEVENTS) {
                            socket.as_peer(|peer| engine.events.connected(peer));
                        }
                        open(socket, &peer, connections, config, registry, moment);
                        if self.at_limit(connections.len()) {
                            self.disable(&mut engine.counters, moment);
                            let text = "connection limit reached: accepting is paused";
                            self.limit_notice.warn(moment.uptime_ms, &text);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.enable(&mut engine.counters, moment);
                        self.listeners[index].ready = false;
                        trace::accept_would_block(&self.listeners[index]);
                    }
                    // This client has closed already. The next one may still wait.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    // Out of descriptors, and no client to accept: the next one raises an edge.
                    Err(_) if !self.listeners[index].has_client() => {
                        self.listeners[index].ready = false;
                    }
                    Err(error) => {
                        self.disable(&mut engine.counters, moment);
                        return self.pause(&error, moment);
                    }
                }
            }
        }
    }

    /// Counts a period in which clients have to wait. As in memcached, it lasts until a client is
    /// accepted again, and is counted once however often accepting fails in it.
    const fn disable(&mut self, counters: &mut Counters, moment: Moment) {
        if self.disabled_ms.is_none() {
            self.disabled_ms = Some(moment.uptime_ms);
            counters.listen_disabled_num += 1;
        }
    }

    /// Ends the period in which clients have to wait.
    const fn enable(&mut self, counters: &mut Counters, moment: Moment) {
        if let Some(since_ms) = self.disabled_ms.take() {
            counters.time_in_listen_disabled_us += (moment.uptime_ms - since_ms) * 1000;
        }
    }

    /// Pauses accepting: descriptors or memory have run out while clients wait. The listener stays ready,
    /// because no new edge reports them. The pause ends by a timer, or when a connection closes.
    fn pause(&mut self, error: &io::Error, moment: Moment) {
        self.retry_ms = Some(moment.uptime_ms + ACCEPT_RETRY_MS);
        self.failure_notice.warn(moment.uptime_ms, &format_args!("cannot accept: {error}"));
    }

    /// Sends memcached's error line and closes. A request that has arrived already is read before the
    /// close, up to the length of `space`: with unread bytes the close would be a reset, after which
    /// some clients do not show the line to their user.
    fn reject(&mut self, mut socket: Socket, space: &mut [u8], moment: Moment) {
        // If the line cannot be sent, the client is closed without it.
        let _ = socket.write(b"ERROR Too many open connections\r\n");
        let _ = socket.read(space);
        let limit = self.connections_max;
        let text = format_args!("rejected a client: {limit} connections are open");
        self.limit_notice.warn(moment.uptime_ms, &text);
    }
}

/// The addresses, separated by commas.
impl fmt::Display for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, listener) in self.listeners.iter().enumerate() {
            write!(f, "{}{listener}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

fn open(
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
            trace::accepted(key, peer, peer.port());
            entry.insert(connection);
        }
        Err(error) => trace::failed(key, &error),
    }
}

fn cannot_listen(name: &dyn fmt::Display, source: io::Error) -> StartError {
    StartError { what: format!("cannot listen on {name}"), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use mio::Poll;

    use super::super::clock::Clock;
    use super::*;
    use crate::config::UnixSocket;

    /// One edge announces any number of clients, and no edge follows for those that still wait.
    #[test]
    fn all_clients_that_one_edge_announces_are_accepted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let unix = vec![UnixSocket { path: path.clone(), mode: 0o700 }];
        let config = Config { tcp: Vec::new(), unix, ..Config::default() };
        let mut listeners =
            Listeners::bind_tcp(&config, Inherited::default()).expect("there is none");
        listeners.listen(&config).expect("it listens");
        let connect = |_| UnixStream::connect(&path).expect("the backlog has room");
        let clients: Vec<_> = (0..=ACCEPTS_PER_TURN).map(connect).collect();
        let poll = Poll::new().expect("an event queue");
        let mut engine = Engine::new(&config).expect("there is memory");
        let (mut connections, mut space) = (Slab::new(), [0; 100]);
        let moment = Clock::start().moment();
        listeners.latch(FIRST_LISTENER);
        let mut turns = 0;
        while listeners.can_accept(connections.len()) {
            let registry = poll.registry();
            listeners.accept(&mut connections, &config, registry, &mut engine, &mut space, moment);
            turns += 1;
        }
        let (accepted, all) = (connections.len(), clients.len());
        assert_eq!(accepted, all, "{accepted} of {all} clients are accepted, and no edge follows");
        assert_eq!(turns, 2, "the connections that are open get their turn in between");
    }
}
