//! One connection of the metrics address: its socket, the head that it is sending, its answer.
//!
//! In a turn a connection reads once, answers at most one request, and writes once. While its answer is
//! unsent, nothing is read: backpressure. Pipelined requests are answered in order, one
//! a turn. After an answer that ends the connection, it lingers as the other connections do (see
//! [`super::linger`]), so that no reset destroys the answer.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::mem;

use mio::event::Event;
use mio::{Interest, Registry, Token};

use super::clock::Moment;
use super::socket::Socket;
use super::{
    HTTP_ANSWER_MS, HTTP_HEAD_MS, HTTP_IDLE_MS, HTTP_WRITE_BYTES, LINGER_BYTES_MAX, LINGER_MS,
};
use crate::http::{self, ANSWER_HEAD_BYTES_MAX, Answer, HEAD_BYTES_MAX, Parsed, Request};

/// What is to be done with a connection after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpNext {
    /// Nothing, until an event comes or its deadline passes.
    Wait,
    /// Another turn. No event will come for what is left to do.
    Again,
    Close,
}

/// What a client has to do next, which sets the connection's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It may send the next request.
    Idle,
    /// It has to send a whole head. A new connection begins here.
    Head,
    /// It has to take an answer.
    Answer,
    /// It has its last answer, and has to close its side.
    Linger,
}

impl Phase {
    const fn limit_ms(self) -> u64 {
        match self {
            Self::Idle => HTTP_IDLE_MS,
            Self::Head => HTTP_HEAD_MS,
            Self::Answer => HTTP_ANSWER_MS,
            Self::Linger => LINGER_MS,
        }
    }
}

/// A client of the metrics address.
pub(super) struct HttpConnection {
    socket: Socket,
    token: Token,
    /// Unanswered bytes, at most [`HEAD_BYTES_MAX`].
    input: Vec<u8>,
    /// The input may hold a whole request.
    unparsed: bool,
    /// The answer that is being sent: its head, its body, and how many bytes of both are sent.
    head: String,
    body: Cow<'static, [u8]>,
    sent: usize,
    /// The connection ends after this answer.
    ends: bool,
    /// Bytes that were dropped after the last answer.
    dropped: usize,
    phase: Phase,
    /// It is closed at this time, in milliseconds of uptime.
    deadline_ms: u64,
    /// When it last had a turn.
    pub(super) active_ms: u64,
    readable: bool,
    writable: bool,
    /// The peer has shut down its side.
    at_end: bool,
    /// A FIN has arrived, so reading goes on until it returns 0.
    read_closed: bool,
    write_interest: bool,
    /// The connection is in the run queue.
    pub(super) queued: bool,
}

impl HttpConnection {
    /// A connection over a socket that has just been accepted, registered with `registry`.
    pub(super) fn new(
        mut socket: Socket,
        token: Token,
        registry: &Registry,
        now_ms: u64,
    ) -> io::Result<Self> {
        registry.register(&mut socket, token, Interest::READABLE)?;
        Ok(Self {
            socket,
            token,
            input: Vec::new(),
            unparsed: false,
            head: String::new(),
            body: Cow::Borrowed(&[]),
            sent: 0,
            ends: false,
            dropped: 0,
            phase: Phase::Head,
            deadline_ms: now_ms + HTTP_HEAD_MS,
            active_ms: now_ms,
            readable: true,
            writable: true,
            at_end: false,
            read_closed: false,
            write_interest: false,
            queued: false,
        })
    }

    /// Latches an event.
    pub(super) fn latch(&mut self, event: &Event) {
        let closed = event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || closed;
        self.read_closed |= closed;
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    pub(super) const fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// The connection can be closed for another one: it has begun no request and has all its answers,
    /// and it has had its turn.
    pub(super) fn may_be_replaced(&self) -> bool {
        !self.queued && self.input.is_empty() && self.is_sent()
    }

    /// One turn. `answer` makes the answer to a request.
    pub(super) fn drive(
        &mut self,
        registry: &Registry,
        moment: Moment,
        only_local: bool,
        answer: impl FnOnce(Request<'_>) -> Option<Answer>,
    ) -> io::Result<HttpNext> {
        self.active_ms = moment.uptime_ms;
        let mut answered = false;
        if self.phase == Phase::Linger {
            self.drop_input()?;
        } else if self.is_sent() {
            self.read()?;
            if self.unparsed {
                answered = self.answer(moment.now.unix_s, only_local, answer)?;
            }
        }
        if !self.is_sent() {
            self.write()?;
        }
        let phase = self.phase_now();
        if phase != self.phase || answered {
            self.enter(phase, moment.uptime_ms);
        }
        self.update_interest(registry)?;
        Ok(self.next())
    }

    /// What it does now that its turn has ended.
    fn phase_now(&self) -> Phase {
        if !self.is_sent() {
            Phase::Answer
        } else if self.ends {
            Phase::Linger
        } else if self.input.is_empty() && !self.head.is_empty() {
            Phase::Idle
        } else {
            // A new connection, too, has to send its first head in time.
            Phase::Head
        }
    }

    fn enter(&mut self, phase: Phase, now_ms: u64) {
        match phase {
            Phase::Idle => self.input = Vec::new(),
            Phase::Linger => {
                self.input = Vec::new();
                // If this fails, the client has gone, and the next read reports it.
                let _ = self.socket.shut_down_writing();
            }
            Phase::Head | Phase::Answer => {}
        }
        (self.phase, self.deadline_ms) = (phase, now_ms + phase.limit_ms());
    }

    const fn next(&self) -> HttpNext {
        let ended = self.at_end || self.dropped > LINGER_BYTES_MAX;
        match self.phase {
            Phase::Answer if self.writable => HttpNext::Again,
            Phase::Answer => HttpNext::Wait,
            Phase::Linger if ended => HttpNext::Close,
            Phase::Idle | Phase::Head if self.unparsed => HttpNext::Again,
            Phase::Idle | Phase::Head | Phase::Linger if self.readable => HttpNext::Again,
            Phase::Idle | Phase::Head if self.at_end => HttpNext::Close,
            Phase::Idle | Phase::Head | Phase::Linger => HttpNext::Wait,
        }
    }

    /// Reads once, as far as a head may go.
    fn read(&mut self) -> io::Result<()> {
        let filled = self.input.len();
        if !self.readable || filled == HEAD_BYTES_MAX {
            return Ok(());
        }
        self.input.try_reserve_exact(HEAD_BYTES_MAX - filled)?;
        self.input.resize(HEAD_BYTES_MAX, 0);
        let read = self.socket.read(&mut self.input[filled..]);
        self.input.truncate(filled + *read.as_ref().unwrap_or(&0));
        let is_full = self.input.len() == HEAD_BYTES_MAX;
        self.unparsed |= self.has_read(read, is_full)? > 0;
        Ok(())
    }

    /// Notes what a read returned, and whether it filled its space. Returns the bytes read.
    fn has_read(&mut self, read: io::Result<usize>, is_full: bool) -> io::Result<usize> {
        match read {
            Ok(0) => {
                (self.readable, self.at_end) = (false, true);
                Ok(0)
            }
            Ok(bytes) => {
                self.readable = is_full || self.read_closed;
                Ok(bytes)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                (self.readable, self.read_closed) = (false, false);
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads and drops what the client sends after its last answer.
    fn drop_input(&mut self) -> io::Result<()> {
        let mut space = [0; 4096];
        let read = self.socket.read(&mut space);
        let is_full = matches!(read, Ok(bytes) if bytes == space.len());
        self.dropped += self.has_read(read, is_full)?;
        Ok(())
    }

    /// Answers the request at the start of the input. False if there is none yet.
    fn answer(
        &mut self,
        unix_s: i64,
        only_local: bool,
        answer: impl FnOnce(Request<'_>) -> Option<Answer>,
    ) -> io::Result<bool> {
        let (used, is_last) = match http::parse(&self.input, only_local) {
            Parsed::Incomplete => {
                self.unparsed = false;
                return Ok(false);
            }
            Parsed::Refused(status) => {
                write_head(&mut self.head, &Answer::error(status), None, unix_s)?;
                self.body = Answer::error(status).body;
                (self.input.len(), true)
            }
            Parsed::Request(request, used) => {
                let answer = answer(request).ok_or(ErrorKind::OutOfMemory)?;
                write_head(&mut self.head, &answer, Some(request), unix_s)?;
                self.body = if request.head_only { Cow::Borrowed(&[]) } else { answer.body };
                (used, !request.keeps_alive)
            }
        };
        self.input.drain(..used);
        self.unparsed = !self.input.is_empty();
        (self.sent, self.ends) = (0, is_last);
        Ok(true)
    }

    fn is_sent(&self) -> bool {
        self.sent == self.head.len() + self.body.len()
    }

    /// Writes once. A long answer goes on in later turns.
    fn write(&mut self) -> io::Result<()> {
        if !self.writable {
            return Ok(());
        }
        let head = self.head.as_bytes().get(self.sent..).unwrap_or_default();
        let body = &self.body[self.sent.saturating_sub(self.head.len())..];
        let body = &body[..body.len().min(HTTP_WRITE_BYTES)];
        let offered = head.len() + body.len();
        match self.socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Ok(bytes) => {
                self.writable = bytes == offered;
                self.sent += bytes;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
            Err(error) => return Err(error),
        }
        if self.is_sent() {
            // The memory of a large answer is free from here on.
            self.body = Cow::Borrowed(&[]);
            self.sent = self.head.len();
        }
        Ok(())
    }

    /// Registers interest in write events exactly while an answer is unsent.
    fn update_interest(&mut self, registry: &Registry) -> io::Result<()> {
        let write_interest = !self.is_sent();
        if mem::replace(&mut self.write_interest, write_interest) == write_interest {
            return Ok(());
        }
        let both = Interest::READABLE | Interest::WRITABLE;
        let interest = if write_interest { both } else { Interest::READABLE };
        registry.reregister(&mut self.socket, self.token, interest)
    }
}

/// Writes the head of an answer; without a request, of the last one.
fn write_head(
    head: &mut String,
    answer: &Answer,
    request: Option<Request<'_>>,
    unix_s: i64,
) -> Result<(), TryReserveError> {
    head.clear();
    head.try_reserve_exact(ANSWER_HEAD_BYTES_MAX)?;
    let (version, keeps_alive) =
        request.map_or((1, false), |request| (request.version, request.keeps_alive));
    answer.write_head(head, version, keeps_alive, unix_s);
    Ok(())
}
