//! One connection: its socket, its buffers, its session, and its turn.
//!
//! A turn has named stages: *flush* what an earlier turn left unsent, *read* once, *execute* the
//! requests, *flush* once, and *keep* what is left. An unfinished value is read on, up to
//! [`VALUE_READ_BYTES`]. A turn returns a [`Next`]: what the connection waits for. When memory is short,
//! a turn leaves nothing to keep: it peeks at the received bytes, executes the whole requests among them,
//! and leaves an unfinished one in the kernel's buffer.

use std::collections::TryReserveError;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};

use mio::{Interest, Registry, Token};

use super::account::{Account, Share};
use super::buffer::{BufferPool, Buffers, ReadBuffer, WriteBuffer};
use super::clock::Moment;
use super::reported::Reported;
use super::socket::{READS, Socket};
use super::{
    ALLOWANCE_BYTES, INPUT_BYTES, OUTPUT_HIGH_WATER, SMALL_ANSWER_BYTES, VALUE_READ_BYTES,
};
use crate::config::Config;
use crate::engine::{Engine, ServerStats, StatsScope, Turn};
use crate::protocol::{EndReason, OutputLimit, WatchKinds};
use crate::session::{Session, Stop};
use crate::trace;

/// What the reactor is to do with a connection after its turn.
#[derive(Debug)]
pub enum Next {
    /// Nothing, until an event comes or the account grants memory.
    Wait,
    /// Another turn, after the others. No event will come for what is left to do.
    Again,
    /// It watches events of these kinds: they are sent to it, until it is closed.
    Watch(WatchKinds),
    /// Another turn at once, with a snapshot of this scope.
    NeedsServerStats(StatsScope),
    /// The client ends the server. Reported once; then the connection ends like any other.
    Shutdown,
    /// Close it.
    Close(Why),
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "waits",
            Self::Watch(_) => "watches",
            Self::Again => "another turn after the others",
            Self::NeedsServerStats(_) => "another turn with the server's figures",
            Self::Shutdown => "ends the server",
            Self::Close(_) => "closes",
        })
    }
}

/// Why a connection is closed.
#[derive(Debug)]
pub enum Why {
    /// The conversation has ended, or its time is up.
    Reason(&'static str),
    /// The socket has failed, or memory has run out.
    Failed(io::Error),
}

/// What all connections share, lent to the one whose turn it is.
pub(super) struct Shared<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) buffers: &'a mut Buffers,
    pub(super) account: &'a mut Account,
    pub(super) registry: &'a Registry,
    pub(super) moment: Moment,
    /// A snapshot for `stats`, when a connection has asked for one.
    pub(super) stats: Option<&'a ServerStats>,
}

/// What events have reported of a socket. Each flag is cleared when the kernel returns "would block".
#[derive(Debug)]
pub(super) struct Readiness {
    /// The kernel may have bytes for us.
    pub(super) readable: bool,
    /// The peer's FIN has arrived. No edge follows it, so after a short read reading goes on until it
    /// returns 0.
    read_closed: bool,
    /// Urgent data has arrived. A read stops before it, and is short although bytes follow.
    urgent: bool,
    /// The kernel may take bytes from us.
    writable: bool,
}

/// Why a connection is closed by the sweep of `timeouts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    Idle,
    Stalled,
    Lingering,
}

impl Expired {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Idle => "it was idle",
            Self::Stalled => "it held buffers that others waited for, and did not move",
            Self::Lingering => "it did not close its end in time",
        }
    }
}

/// The state of a lingering close (see `linger`).
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// When the FIN was sent, in milliseconds of uptime. The last answers go first.
    pub(super) since_ms: Option<u64>,
    pub(super) dropped_bytes: usize,
}

/// One client.
pub struct Connection {
    pub(super) socket: Socket,
    session: Session,
    pub(super) input: ReadBuffer,
    pub(super) output: WriteBuffer,
    /// The connection's part of the memory account. It also has the key in the slab, which is the mio
    /// token and the number in the log.
    pub(super) share: Share,
    /// Why the session stopped last.
    pub(super) stop: Stop,
    pub(super) readiness: Readiness,
    /// The peer has shut down its side, or the server stops. What has been read is still executed.
    pub(super) at_end: bool,
    /// Unread bytes were peeked at and left in the kernel's buffer.
    pub(super) unread_in_kernel: bool,
    /// Bytes have been read, and the kernel's buffer has not been empty since then.
    partly_read: bool,
    /// The connection waits until the kernel has room for an answer, and executes nothing before.
    pub(super) needs_room: bool,
    /// The interest registered includes writing.
    write_interest: bool,
    /// The connection is in the run queue.
    pub(super) queued: bool,
    /// When the measurement of progress began (see `timeouts`): when the connection had moved enough for
    /// what it holds, or began to hold something.
    pub(super) progress_ms: u64,
    /// Bytes moved since then.
    pub(super) moved: usize,
    /// When it last sent a request or bytes of a value, or took bytes of an answer.
    pub(super) active_ms: u64,
    /// Set when the conversation has ended and bytes follow its end. Boxed, because that is rare.
    pub(super) linger: Option<Box<Linger>>,
    /// The connection is closed in its next turn, for this reason.
    pub(super) close_reason: Option<Expired>,
}

impl Connection {
    /// A connection over a socket that has just been accepted, registered with `registry`.
    pub(super) fn new(
        key: usize,
        mut socket: Socket,
        config: &Config,
        registry: &Registry,
        moment: Moment,
    ) -> io::Result<Self> {
        registry.register(&mut socket, Token(key), READS)?;
        Ok(Self {
            socket,
            session: Session::new(config),
            input: ReadBuffer::default(),
            output: WriteBuffer::default(),
            share: Share::new(key),
            stop: Stop::NeedsInput,
            readiness: Readiness {
                readable: false,
                read_closed: false,
                urgent: false,
                writable: true,
            },
            at_end: false,
            unread_in_kernel: false,
            partly_read: false,
            needs_room: false,
            write_interest: false,
            queued: false,
            progress_ms: moment.uptime_ms,
            moved: 0,
            active_ms: moment.uptime_ms,
            linger: None,
            close_reason: None,
        })
    }

    /// Latches an event. It is acted on after all events of the batch have been latched.
    pub(super) fn latch(&mut self, event: Reported) {
        let closed = event.read_closed || event.failed;
        let readiness = &mut self.readiness;
        readiness.readable |= event.readable || closed || event.urgent;
        readiness.read_closed |= closed;
        readiness.urgent |= event.urgent;
        readiness.writable |= event.writable || event.write_closed || event.failed;
        trace::ready(self.share.key(), event.readable, event.writable, closed);
    }

    /// One turn: at most one read, and of a value more; one buffer of requests, and two writes.
    pub(super) fn drive(&mut self, shared: &mut Shared<'_>) -> Next {
        let done = match self.close_reason {
            None => self.converse(shared),
            Some(_) => Ok(()),
        };
        if let Stop::NeedsServerStats(scope) = self.stop
            && done.is_ok()
            && self.output.is_empty()
            && !self.needs_room
            && self.close_reason.is_none()
        {
            // The turn goes on with a snapshot, so nothing is kept yet.
            return Next::NeedsServerStats(scope);
        }
        let kept = self.keep(shared);
        match done.and(kept).and_then(|()| self.update_interest(shared.registry)) {
            Ok(()) => self.next(),
            Err(error) => Next::Close(Why::Failed(error)),
        }
    }

    fn converse(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        self.share.want(0);
        self.needs_room = false;
        if let Stop::Watches(_) = self.stop {
            return self.serve_watcher(shared);
        }
        if !self.output.is_empty() {
            self.flush(shared)?;
            if !self.output.is_empty() {
                // While answers are unsent, nothing more is executed: backpressure.
                return Ok(());
            }
            self.output.keep(&mut shared.buffers.write, &mut shared.buffers.pool)?;
        }
        if matches!(self.stop, Stop::Ended(_)) {
            return Ok(());
        }
        let short = shared.account.is_short_for(&self.share, self.input.held());
        if short && !self.socket.has_room() {
            self.needs_room = true;
            trace::needs_room(self.share.key());
            return Ok(());
        }
        self.input.borrow(&mut shared.buffers.read);
        self.output.borrow(&mut shared.buffers.write, &mut shared.buffers.pool)?;
        let unread_before = self.input.unread().len();
        let wants_input = self.stop == Stop::NeedsInput && self.readiness.readable;
        let peeked = if (wants_input || self.unread_in_kernel) && !self.at_end {
            self.read(short, shared)?
        } else {
            None
        };
        if self.unread_in_kernel {
            // The session has seen these bytes, and must not see fewer than before.
            return Ok(());
        }
        let has_read = self.input.unread().len() > unread_before;
        self.execute(shared)?;
        if has_read && !short {
            self.read_value(shared)?;
        }
        if has_read && self.session.is_in_value() {
            // A client in the middle of a value is not idle.
            self.active_ms = shared.moment.uptime_ms;
        }
        if let Some(peeked) = peeked {
            self.leave_to_kernel(peeked, shared)?;
        }
        if self.output.is_empty() { Ok(()) } else { self.flush(shared) }
    }

    /// A turn of a watcher: drops what it has sent, and sends what it has been given.
    fn serve_watcher(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        if self.readiness.readable && !self.at_end {
            let space = &mut shared.buffers.read;
            match self.socket.read(space) {
                Ok(0) => (self.readiness.readable, self.at_end) = (false, true),
                Ok(bytes) => {
                    let readiness = &mut self.readiness;
                    readiness.readable =
                        bytes == space.len() || readiness.read_closed || readiness.urgent;
                    shared.engine.counters.bytes_read += bytes as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    (self.readiness.readable, self.readiness.read_closed) = (false, false);
                    self.readiness.urgent = false;
                }
                Err(error) => return Err(error),
            }
        }
        if self.output.is_empty() { Ok(()) } else { self.flush(shared) }
    }

    /// Bytes of events that the connection may still take, with at most `bytes_max` unsent.
    pub(super) fn event_room(&self, bytes_max: usize, account: &Account) -> usize {
        let unsent = self.output.unsent().len();
        // A buffer may have twice the capacity that is needed.
        let may_hold = account.may_hold(&self.share).max(ALLOWANCE_BYTES) / 2;
        bytes_max.min(may_hold).saturating_sub(unsent)
    }

    /// Appends events to what is unsent, for the next turn.
    pub(super) fn append_events(
        &mut self,
        events: &[u8],
        account: &mut Account,
        pool: &mut BufferPool,
        now_ms: u64,
    ) -> Result<(), TryReserveError> {
        self.output.append(events, pool)?;
        let held = self.input.held() + self.output.held();
        if self.share.charged() == 0 && held > 0 {
            self.restart_progress(now_ms);
        }
        account.charge(&mut self.share, held);
        Ok(())
    }

    /// Reads once. When memory is `short`, it only peeks: the bytes stay in the kernel's buffer, too, and
    /// their number is returned. A buffer of the connection's own is charged already, so it is filled.
    fn read(&mut self, short: bool, shared: &mut Shared<'_>) -> io::Result<Option<usize>> {
        let granted = self.share.is_granted() && self.stop == Stop::NeedsInput;
        if (granted || self.input.space().is_empty()) && !self.grow_input(shared)? {
            return Ok(None);
        }
        let peek = short && !self.input.is_own();
        self.unread_in_kernel = false;
        let space = self.input.space();
        let space_bytes = space.len();
        let read = if peek { self.socket.peek(space) } else { self.socket.read(space) };
        let readiness = &mut self.readiness;
        match read {
            Ok(0) => {
                (readiness.readable, self.at_end) = (false, true);
                trace::reads_end(self.share.key());
                Ok(None)
            }
            Ok(bytes) if peek => {
                trace::peeks(self.share.key(), bytes);
                self.input.filled(bytes);
                readiness.readable = bytes == space_bytes;
                Ok(Some(bytes))
            }
            Ok(bytes) => {
                trace::reads(self.share.key(), bytes);
                self.input.filled(bytes);
                // A short read has emptied the socket. Another read would be a wasted system call, and
                // the next byte raises a new edge.
                readiness.readable =
                    bytes == space_bytes || readiness.read_closed || readiness.urgent;
                self.partly_read = readiness.readable;
                shared.engine.counters.bytes_read += bytes as u64;
                self.has_moved(bytes, shared.moment.uptime_ms);
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                trace::would_block(self.share.key(), "read");
                (readiness.readable, readiness.read_closed, readiness.urgent) =
                    (false, false, false);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads on while a value is unfinished and the kernel has more of it. Otherwise a value of a
    /// megabyte takes two turns or more, in each of which every other client may have a megabyte. Of 50
    /// clients with nine gets and a set of 1 MiB in ten, a set took 22 ms in the median, and takes 16.
    fn read_value(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        let mut read_bytes = 0;
        while self.session.is_in_value()
            && self.stop == Stop::NeedsInput
            && self.readiness.readable
            && read_bytes < VALUE_READ_BYTES
        {
            let filled = self.input.unread().len();
            self.read(false, shared)?;
            let bytes = self.input.unread().len() - filled;
            if bytes == 0 {
                break;
            }
            read_bytes += bytes;
            self.execute(shared)?;
        }
        Ok(())
    }

    /// Makes the read buffer longer. False if the account has no memory for that.
    fn grow_input(&mut self, shared: &mut Shared<'_>) -> io::Result<bool> {
        let request_bytes = self.session.bytes_wanted();
        let bytes = self.input.grown_bytes(request_bytes);
        let may_hold = shared.account.may_hold(&self.share);
        if bytes > may_hold {
            self.wait_for_memory(bytes);
            return Ok(false);
        }
        let Buffers { read, pool, .. } = &mut *shared.buffers;
        self.input.grow(request_bytes, may_hold, read, pool)?;
        Ok(true)
    }

    fn wait_for_memory(&mut self, bytes: usize) {
        self.share.want(bytes);
        trace::waits_for_memory(self.share.key(), bytes);
    }

    /// Executes the unread requests, as far as the answers fit.
    fn execute(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        let may_hold = shared.account.may_hold(&self.share);
        let may_answer = may_hold.saturating_sub(self.input.held()).max(SMALL_ANSWER_BYTES);
        // The second round happens only if the next answer is longer than the working buffer.
        loop {
            if self.input.unread().is_empty() {
                self.stop = Stop::NeedsInput;
                return Ok(());
            }
            let bytes = may_answer.min(self.output.bytes.capacity());
            let high_water = OUTPUT_HIGH_WATER.min(bytes);
            let mut limit =
                OutputLimit { high_water, limit: bytes, left_out_max: may_answer, needed: 0 };
            let turn = Turn { now: shared.moment.now, server: shared.stats };
            shared.engine.events.descriptor = self.socket.descriptor();
            let output = &mut self.output.bytes;
            let unread = self.input.unread();
            let (executed, stop) =
                self.session.advance(unread, output, &mut limit, shared.engine, turn);
            self.stop = stop;
            self.input.executed(executed);
            trace::executes(self.share.key(), executed);
            if executed > 0 {
                self.active_ms = shared.moment.uptime_ms;
            }
            match stop {
                Stop::Ended(_) => self.drop_unread(),
                Stop::Watches(_) => self.input.clear(),
                Stop::NeedsInput
                | Stop::NeedsFlush
                | Stop::NeedsValue
                | Stop::NeedsServerStats(_) => {}
            }
            if stop == Stop::NeedsValue {
                let is_last = self.input.unread().is_empty();
                self.stop = if is_last { Stop::NeedsInput } else { Stop::NeedsFlush };
                return self.flush_with_value(shared);
            }
            if limit.needed == 0 || !self.output.is_empty() {
                // The answers so far are sent first.
                return Ok(());
            }
            if limit.needed > may_answer {
                // The unread bytes are kept meanwhile, so they are wanted, too.
                self.wait_for_memory(self.input.held().max(INPUT_BYTES) + limit.needed);
                return Ok(());
            }
            self.output.reserve(limit.needed, &mut shared.buffers.pool)?;
        }
    }

    /// Removes the executed part of the `peeked` bytes from the kernel's buffer, by reading it once more,
    /// and leaves the rest there.
    fn leave_to_kernel(&mut self, peeked: usize, shared: &mut Shared<'_>) -> io::Result<()> {
        let needs_input = self.stop == Stop::NeedsInput;
        let all_seen = !self.readiness.readable && !self.readiness.urgent;
        if needs_input && all_seen && self.readiness.read_closed {
            // The input ends here. The unfinished request is dropped and read, so that closing the
            // socket is no reset.
            self.at_end = true;
            self.input.clear();
        }
        let left = self.input.unread().len().min(peeked);
        let full = self.input.unread().len() == INPUT_BYTES;
        let mut executed = self.input.last(peeked, left);
        let executed_bytes = executed.len();
        while !executed.is_empty() {
            // The same bytes again, into the same place.
            let read = self.socket.read(executed)?;
            if read == 0 {
                break;
            }
            executed = &mut executed[read..];
        }
        self.input.unfill(left);
        self.unread_in_kernel = left > 0;
        shared.engine.counters.bytes_read += executed_bytes as u64;
        self.has_moved(executed_bytes, shared.moment.uptime_ms);
        self.partly_read |= executed_bytes > 0;
        self.partly_read &= left > 0 || self.readiness.readable;
        // The kernel frees a received segment only as a whole. The rest of a long segment may keep the
        // window closed, so that the rest of the request never arrives.
        let may_block_peer = self.partly_read && all_seen;
        if needs_input && left > 0 && (full || self.readiness.urgent || may_block_peer) {
            self.wait_for_memory(2 * INPUT_BYTES);
        } else if self.readiness.urgent {
            // A peek, like a read, stops before the urgent byte, and bytes may follow it.
            self.readiness.readable = true;
        }
        Ok(())
    }

    /// Writes once.
    fn flush(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        if !self.readiness.writable {
            return Ok(());
        }
        let unsent = self.output.unsent();
        let unsent_bytes = unsent.len();
        let written = self.socket.write(unsent);
        let bytes = self.has_written(written, unsent_bytes, shared)?;
        self.output.sent(bytes);
        Ok(())
    }

    /// Writes once, with a value out of the store at its place among the answers. Only what the socket
    /// does not take is copied.
    fn flush_with_value(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        let pieces = self.output.pieces_with(&shared.engine.left_out());
        let unsent_bytes = pieces.iter().map(|piece| piece.len()).sum();
        let written = self.socket.write_vectored(&pieces.map(IoSlice::new));
        let bytes = self.has_written(written, unsent_bytes, shared)?;
        let Buffers { write, pool, .. } = &mut *shared.buffers;
        Ok(self.output.sent_with(&shared.engine.left_out(), bytes, write, pool)?)
    }

    /// Notes how many of so many bytes the kernel has taken.
    fn has_written(
        &mut self,
        written: io::Result<usize>,
        unsent_bytes: usize,
        shared: &mut Shared<'_>,
    ) -> io::Result<usize> {
        match written {
            Ok(bytes) => {
                trace::writes(self.share.key(), bytes, unsent_bytes);
                self.readiness.writable = bytes == unsent_bytes;
                shared.engine.counters.bytes_written += bytes as u64;
                self.active_ms = shared.moment.uptime_ms;
                self.has_moved(bytes, shared.moment.uptime_ms);
                Ok(bytes)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                trace::would_block(self.share.key(), "write");
                self.readiness.writable = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps what is unread and unsent, gives the working buffers back, and settles the account.
    fn keep(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        let Buffers { read, write, pool } = &mut *shared.buffers;
        let kept =
            if self.input.give_back_if_empty(read) { Ok(()) } else { self.input.keep(read, pool) };
        let kept = kept.and(self.output.keep(write, pool));
        let held = self.input.held() + self.output.held();
        if self.share.charged() == 0 && held > 0 {
            self.restart_progress(shared.moment.uptime_ms);
        }
        shared.account.charge(&mut self.share, held);
        if held > 0 {
            // What connections hold is taken from what the pool may hold.
            pool.limit(shared.account.pool_may_hold());
        }
        kept.map_err(io::Error::from)
    }

    fn next(&mut self) -> Next {
        if let Some(reason) = self.close_reason {
            return Next::Close(Why::Reason(reason.text()));
        }
        if self.stop == Stop::Ended(EndReason::Shutdown) {
            self.stop = Stop::Ended(EndReason::Quit);
            return Next::Shutdown;
        }
        if let Stop::Watches(kinds) = self.stop
            && !self.at_end
        {
            return Next::Watch(kinds);
        }
        if !self.output.is_empty() || self.needs_room || self.share.wants() {
            return Next::Wait;
        }
        match self.stop {
            Stop::Ended(reason) => Next::Close(Why::Reason(reason.text())),
            Stop::NeedsServerStats(scope) => Next::NeedsServerStats(scope),
            Stop::NeedsFlush | Stop::NeedsValue => Next::Again,
            Stop::Watches(_) => Next::Close(Why::Reason("its input ended")),
            Stop::NeedsInput if self.at_end => Next::Close(Why::Reason("its input ended")),
            Stop::NeedsInput if self.readiness.readable => Next::Again,
            Stop::NeedsInput => Next::Wait,
        }
    }

    /// Why it is closed, in the words of memcached's log.
    pub(super) const fn close_name(&self, why: &Why, stopping: bool) -> &'static str {
        match (why, self.close_reason, self.stop) {
            (_, Some(Expired::Idle), _) => "idle_timeout",
            (Why::Failed(_), ..) | (_, Some(Expired::Stalled), _) => "error",
            (_, _, Stop::Ended(EndReason::Quit | EndReason::Shutdown)) => "normal",
            (_, _, Stop::Ended(_)) => "error",
            _ if stopping => "shutdown",
            _ => "normal",
        }
    }

    /// Registers interest in write events exactly while answers are unsent, or nothing may be executed
    /// before the kernel has room.
    fn update_interest(&mut self, registry: &Registry) -> io::Result<()> {
        let write_interest = !self.output.is_empty() || self.needs_room;
        if write_interest == self.write_interest {
            return Ok(());
        }
        self.write_interest = write_interest;
        trace::interest(self.share.key(), write_interest);
        let interest = if write_interest { READS.add(Interest::WRITABLE) } else { READS };
        registry.reregister(&mut self.socket, Token(self.share.key()), interest)
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    /// This is all the memory of an idle connection. The size of mio's socket is subtracted, because it
    /// is larger in builds with debug assertions.
    #[test]
    fn a_connection_is_small() {
        let socket_bytes = size_of::<Socket>() - 8;
        assert_eq!(size_of::<Connection>() - socket_bytes, 264);
    }
}
