//! The metrics address: its listener, its connections, and their part of a turn.
//!
//! These connections are a kind of their own. They have their own slab and tokens, and do not count for
//! `-c`. There are at most [`HTTP_CONNECTIONS_MAX`]: a further one replaces the one that has been idle
//! for longest, or is answered 503. In a turn of the event loop, after the connections of the cache have
//! had theirs, at most one of them is accepted and at most one is served. So however many there are, and
//! whatever they send, a turn takes longer by one answer at most.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::SocketAddr;

use log::info;
use mio::event::Event;
use mio::{Registry, Token};
use slab::Slab;

use super::clock::Moment;
use super::http_connection::{HttpConnection, HttpNext};
use super::listener::Listener;
use super::notice::Notice;
use super::socket::Socket;
use super::start::StartError;
use super::{ACCEPT_RETRY_MS, HTTP_CONNECTIONS_MAX};
use crate::config::Config;
use crate::http::{Answer, Request, Status};

/// Connection `i` has this token plus `i`. The listener has the last token before [`FIRST_HTTP`].
pub(super) const FIRST_HTTP: usize = usize::MAX / 4 * 3;
/// The listener's token.
pub(super) const HTTP_LISTENER: usize = FIRST_HTTP - 1;

/// See the module. Times are in milliseconds of uptime.
pub struct HttpServer {
    listener: Listener,
    /// The address is one of this machine alone.
    only_local: bool,
    connections: Slab<HttpConnection>,
    /// Keys of connections that have something to do, each once.
    queue: VecDeque<usize>,
    /// Accepting is paused until then: the process is out of descriptors.
    retry_ms: Option<u64>,
    failure_notice: Notice,
}

impl HttpServer {
    /// Binds a socket to the metrics address of `config`, if there is one. Its clients are refused until
    /// [`Self::listen`].
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn bind(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(address) = config.metrics else { return Ok(None) };
        let listener = Listener::tcp(address).map_err(|source| cannot_listen(&address, source))?;
        Ok(Some(Self {
            listener,
            only_local: address.ip().is_loopback(),
            connections: Slab::with_capacity(HTTP_CONNECTIONS_MAX),
            queue: VecDeque::with_capacity(HTTP_CONNECTIONS_MAX),
            retry_ms: None,
            failure_notice: Notice::default(),
        }))
    }

    /// Listens on the address.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn listen(&self, config: &Config) -> Result<(), StartError> {
        let listens = self.listener.listen(config.backlog);
        listens.map_err(|source| cannot_listen(&self.listener, source))
    }

    /// The address, with the port that the kernel picked where none was asked for.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.address()
    }

    /// Logs the address.
    pub fn announce(&self) {
        info!(target: "miocached", "metrics at http://{}/", self.listener);
    }

    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.listener.register(registry, Token(HTTP_LISTENER))
    }

    /// Latches an event of the listener or of a connection.
    pub(super) fn latch(&mut self, token: usize, event: &Event) {
        if token == HTTP_LISTENER {
            self.listener.ready = true;
        } else if let Some(connection) = self.connections.get_mut(token - FIRST_HTTP) {
            connection.latch(event);
            self.enqueue(token - FIRST_HTTP);
        }
    }

    fn enqueue(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if !connection.queued {
            connection.queued = true;
            self.queue.push_back(key);
        }
    }

    /// Something is left to do, for which no event will come.
    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty() || (self.listener.ready && self.retry_ms.is_none())
    }

    /// When the first connection is to be closed, or accepting is to be tried again.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let deadlines = self.connections.iter().map(|(_, connection)| connection.deadline_ms());
        deadlines.chain(self.retry_ms).min()
    }

    /// Its part of a turn. `answer` makes the answer to a request.
    pub(super) fn turn(
        &mut self,
        registry: &Registry,
        moment: Moment,
        answer: impl FnOnce(Request<'_>) -> Option<Answer>,
    ) {
        self.close_expired(moment.uptime_ms);
        if self.retry_ms.is_some_and(|retry_ms| moment.uptime_ms >= retry_ms) {
            self.retry_ms = None;
        }
        if self.listener.ready && self.retry_ms.is_none() {
            self.accept(registry, moment);
        }
        let Some(key) = self.queue.pop_front() else { return };
        let connection = &mut self.connections[key];
        connection.queued = false;
        // An error means that the client has gone, or that there is no memory for its answer.
        match connection.drive(registry, moment, self.only_local, answer) {
            Ok(HttpNext::Wait) => {}
            Ok(HttpNext::Again) => self.enqueue(key),
            Ok(HttpNext::Close) | Err(_) => self.close(key),
        }
    }

    fn accept(&mut self, registry: &Registry, moment: Moment) {
        match self.listener.accept() {
            Ok((socket, _)) if !self.has_room() => reject(socket, moment.now.unix_s),
            Ok((socket, _)) => {
                let entry = self.connections.vacant_entry();
                let (key, token) = (entry.key(), Token(FIRST_HTTP + entry.key()));
                if let Ok(new) = HttpConnection::new(socket, token, registry, moment.uptime_ms) {
                    entry.insert(new);
                    self.enqueue(key);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.listener.ready = false,
            // This client has closed already. The next one may still wait.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // Out of descriptors, and no client to accept: the next one raises an edge.
            Err(_) if !self.listener.has_client() => self.listener.ready = false,
            Err(error) => {
                self.retry_ms = Some(moment.uptime_ms + ACCEPT_RETRY_MS);
                let text = format_args!("cannot accept on the metrics address: {error}");
                self.failure_notice.warn(moment.uptime_ms, &text);
            }
        }
    }

    /// Whether one more connection may be open. Closes one that is idle for that.
    fn has_room(&mut self) -> bool {
        if self.connections.len() < HTTP_CONNECTIONS_MAX {
            return true;
        }
        let idle = self.connections.iter().filter(|(_, one)| one.may_be_replaced());
        let longest = idle.min_by_key(|(_, one)| one.active_ms).map(|(key, _)| key);
        longest.map(|key| self.close(key)).is_some()
    }

    fn close_expired(&mut self, now_ms: u64) {
        let expired = |(_, one): &(usize, &HttpConnection)| one.deadline_ms() <= now_ms;
        while let Some((key, _)) = self.connections.iter().find(expired) {
            self.close(key);
        }
    }

    fn close(&mut self, key: usize) {
        if self.connections.remove(key).queued {
            self.queue.retain(|&queued| queued != key);
        }
        self.retry_ms = None;
    }
}

fn cannot_listen(address: &dyn Display, source: io::Error) -> StartError {
    StartError { what: format!("cannot listen on {address} for --metrics"), source }
}

/// Answers that there are too many connections. A request that has arrived already is read before the
/// close, because with unread bytes the close would be a reset, which may destroy the answer.
fn reject(mut socket: Socket, unix_s: i64) {
    let answer = Answer::error(Status::ServiceUnavailable);
    let mut text = String::new();
    answer.write_head(&mut text, 1, false, unix_s);
    // If the answer cannot be sent, the client is closed without it.
    let _ = socket.write_vectored(&[IoSlice::new(text.as_bytes()), IoSlice::new(&answer.body)]);
    let _ = socket.read(&mut [0; 4096]);
}
