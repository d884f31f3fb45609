//! One connection: its socket, its buffers, its conversation, and what a turn of it does.
//!
//! `Connection::drive` reads once, executes what came, writes once, and says in a [`Next`] what it
//! waits for. Readiness is latched here by the reactor and forgotten only when the kernel said
//! "would block" in some way. Knows nothing of other connections.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::event::Event;
use mio::{Interest, Registry, Token};

use super::buffer::{self, Budget, Buffers, Input, Output};
use super::clock::Moment;
use super::farewell::Farewell;
use super::listener::{READS, Socket};
use super::{ALLOWANCE_BYTES, INPUT_BYTES, OUTPUT_HIGH_WATER, WORKING_OUTPUT_BYTES_MAX};
use crate::config::Config;
use crate::engine::{Engine, ServerStats, StatsScope, Turn};
use crate::protocol::{EndReason, Room};
use crate::session::{Session, Stop};
use crate::trace;

/// What the reactor is to do with a connection after its turn.
#[derive(Debug)]
pub enum Next {
    /// Nothing, until an event comes or the budget has room for `ask` bytes.
    Wait,
    /// Give it another turn, after the others. No event will come for what it has left to do.
    Again,
    /// Drive it again at once, with a snapshot of this scope.
    NeedsServerStats(StatsScope),
    /// The client ends the server. Reported once; then the connection ends like any other.
    Shutdown,
    /// Forget it, for this reason.
    Close(Why),
}

/// Why a connection ends.
#[derive(Debug)]
pub enum Why {
    /// As it should.
    Said(&'static str),
    /// Its socket failed.
    Failed(io::Error),
}

/// One client.
pub struct Connection {
    /// Its key in the slab, its mio token, and its name in the log.
    key: usize,
    pub(super) socket: Socket,
    session: Session,
    pub(super) input: Input,
    pub(super) output: Output,
    /// Why the session stopped last.
    pub(super) stop: Stop,
    /// The kernel may have bytes for us.
    pub(super) readable: bool,
    /// A short read does not mean that there is no more: with the peer's FIN or urgent data in the
    /// same edge no further edge comes, so reading goes on until 0 or "would block".
    read_to_end: bool,
    /// The kernel may take bytes from us.
    writable: bool,
    /// The peer sends no more. What it sent is executed and answered all the same.
    pub(super) at_end: bool,
    /// The interest registered includes writing.
    write_interest: bool,
    /// What a request that the working buffer does not hold will take in all. It counts as held,
    /// though memory grows only with what comes: so what is begun can be finished, and never waits
    /// for others which wait for it.
    pub(super) promised: usize,
    /// Bytes counted against the budget; see [`buffer::held`].
    held: usize,
    /// Bytes of the budget without which this connection cannot go on; 0 when it can.
    ask: usize,
    /// What it was given of the budget for its next turn, counted in `held` already.
    granted: usize,
    /// When, in milliseconds of uptime, it last moved a working buffer's worth or began to hold.
    pub(super) moved_ms: u64,
    /// Bytes moved since then.
    moved: usize,
    /// When its last request was executed.
    pub(super) request_ms: u64,
    /// It waits in the run queue.
    pub(super) queued: bool,
    /// It waits for the budget.
    pub(super) starved: bool,
    /// It talks on behind the end of the conversation. Boxed, because hardly any does.
    pub(super) farewell: Option<Box<Farewell>>,
    /// It is to be closed in its next turn.
    pub(super) doomed: Option<&'static str>,
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
            key,
            socket,
            session: Session::new(config),
            input: Input::default(),
            output: Output::default(),
            stop: Stop::NeedsInput,
            readable: false,
            read_to_end: false,
            writable: true,
            at_end: false,
            write_interest: false,
            promised: 0,
            held: 0,
            ask: 0,
            granted: 0,
            moved_ms: moment.uptime_ms,
            moved: 0,
            request_ms: moment.uptime_ms,
            queued: false,
            starved: false,
            farewell: None,
            doomed: None,
        })
    }

    /// Remembers what an event says. Nothing is done yet: all events of a batch come first.
    pub(super) fn latch(&mut self, event: &Event) {
        let closed = event.is_read_closed() || event.is_error();
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let urgent = event.is_priority();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let urgent = false;
        self.readable |= event.is_readable() || closed || urgent;
        self.read_to_end |= closed || urgent;
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Grants what it asked for. Having waited for that is not having stood still.
    pub(super) fn feed(&mut self, budget: &mut Budget, moment: Moment) {
        budget.settle(self.key, self.held, self.held + self.ask);
        self.held += self.ask;
        self.granted = self.ask;
        self.starved = false;
        (self.moved_ms, self.moved) = (moment.uptime_ms, 0);
    }

    /// Bytes of the budget that it waits for.
    pub(super) const fn ask(&self) -> usize {
        self.ask
    }

    /// Bytes counted against the budget.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// One turn: at most one read, one buffer of requests and two writes. `stats` is answered from
    /// `server`; without that, [`Next::NeedsServerStats`] asks for it.
    pub(super) fn drive(
        &mut self,
        engine: &mut Engine,
        buffers: &mut Buffers,
        registry: &Registry,
        moment: Moment,
        server: Option<&ServerStats>,
    ) -> Next {
        let turn = Turn { now: moment.now, server };
        let talked = match self.doomed {
            None => self.talk(engine, buffers, moment, turn),
            Some(_) => Ok(()),
        };
        self.give_buffers_back(buffers, moment);
        match talked.and_then(|()| self.update_interest(registry)) {
            Ok(()) => self.next(),
            Err(error) => Next::Close(Why::Failed(error)),
        }
    }

    fn talk(
        &mut self,
        engine: &mut Engine,
        buffers: &mut Buffers,
        moment: Moment,
        turn: Turn<'_>,
    ) -> io::Result<()> {
        self.ask = 0;
        if !self.output.is_empty() {
            // Nothing is executed for a client that does not take its answers.
            self.flush(engine, moment)?;
            if !self.output.is_empty() {
                return Ok(());
            }
            self.output.pack(&mut buffers.output, &mut buffers.spares);
        }
        if matches!(self.stop, Stop::Ended(_)) {
            return Ok(());
        }
        self.borrow_buffers(buffers);
        if self.stop == Stop::NeedsInput && self.readable && !self.at_end {
            self.fill(engine, buffers, moment)?;
        }
        self.execute(engine, buffers, moment, turn);
        if self.output.is_empty() { Ok(()) } else { self.flush(engine, moment) }
    }

    /// Reads once. Sets `ask` instead when there is no memory to read into.
    fn fill(
        &mut self,
        engine: &mut Engine,
        buffers: &mut Buffers,
        moment: Moment,
    ) -> io::Result<()> {
        let available = self.may_take(&buffers.budget) + self.held;
        let mut end = self.input.bytes.len();
        if self.promised == 0 && available < buffers.budget.shared / 2 {
            // What is read now may have to be kept, so a short budget makes reads small.
            end = ALLOWANCE_BYTES;
        }
        if self.input.filled >= end {
            self.input.compact();
        }
        if self.input.filled >= end {
            let wanted = self.session.bytes_wanted().max(INPUT_BYTES);
            if wanted > available {
                // What is held is part of what is available.
                self.ask = wanted - self.held;
                trace::waits_for_buffers(self.key, self.ask);
                return Ok(());
            }
            self.promised = wanted;
            end = self.input.bytes.len();
            if self.input.filled == end {
                // Twice what has come, never what was announced.
                end = (end * 2).min(wanted).max(end + 1);
                if let Some(working) = self.input.grow(end, wanted, &mut buffers.spares) {
                    buffers.input = working;
                }
                end = self.input.bytes.len();
            }
        }
        let space = &mut self.input.bytes[self.input.filled..end];
        let room = space.len();
        match self.socket.read(space) {
            Ok(0) => {
                (self.readable, self.at_end) = (false, true);
                trace::reads_end(self.key);
            }
            Ok(bytes) => {
                self.input.filled += bytes;
                engine.counters.bytes_read += bytes as u64;
                self.has_moved(bytes, moment);
                // A short read has emptied the socket: asking again would be a system call for
                // nothing, and what comes later raises a new edge.
                self.readable = bytes == room || self.read_to_end;
                trace::reads(self.key, bytes);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                (self.readable, self.read_to_end) = (false, false);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Executes what has been read. Sets `ask` when an answer does not fit into the budget.
    fn execute(&mut self, engine: &mut Engine, buffers: &Buffers, moment: Moment, turn: Turn<'_>) {
        let unread = &self.input.bytes[self.input.start..self.input.filled];
        if unread.is_empty() {
            self.stop = Stop::NeedsInput;
            return;
        }
        let limit = (self.may_take(&buffers.budget) + self.granted).max(ALLOWANCE_BYTES);
        let mut room = Room { high_water: OUTPUT_HIGH_WATER.min(limit), limit, needed: 0 };
        let skipped = self.session.is_skipping();
        let (spent, stop) =
            self.session.advance(unread, &mut self.output.bytes, &mut room, engine, turn);
        self.input.start += spent;
        self.stop = stop;
        if spent > 0 {
            self.promised = 0;
            // What is skipped in the middle of a refused value asks for nothing.
            if !(skipped && self.session.is_skipping()) {
                self.request_ms = moment.uptime_ms;
            }
        }
        if matches!(stop, Stop::Ended(_)) {
            self.drop_unread();
        }
        // With answers in the output there is room to be made first.
        if room.needed > 0 && self.output.bytes.is_empty() {
            self.ask = room.needed;
            trace::waits_for_buffers(self.key, self.ask);
        }
    }

    /// Writes once.
    fn flush(&mut self, engine: &mut Engine, moment: Moment) -> io::Result<()> {
        if !self.writable {
            return Ok(());
        }
        let unsent = &self.output.bytes[self.output.sent..];
        match self.socket.write(unsent) {
            Ok(bytes) => {
                trace::writes(self.key, bytes, unsent.len());
                self.writable = bytes == unsent.len();
                self.output.sent += bytes;
                engine.counters.bytes_written += bytes as u64;
                self.has_moved(bytes, moment);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Bytes of the budget that it may take beyond what it holds.
    fn may_take(&self, budget: &Budget) -> usize {
        if budget.free > budget.shared / 2 { budget.free } else { budget.available_to(self.key) }
    }

    /// Counts progress. One byte now and then is none, or a client could sit on the budget for ever.
    const fn has_moved(&mut self, bytes: usize, moment: Moment) {
        self.moved += bytes;
        if self.moved >= INPUT_BYTES {
            (self.moved_ms, self.moved) = (moment.uptime_ms, 0);
        }
    }

    /// Takes the working buffers for this turn, and puts there what the last turn left. A request
    /// that is longer than the working buffer has a buffer of its own already.
    fn borrow_buffers(&mut self, buffers: &mut Buffers) {
        if self.input.bytes.is_empty() {
            std::mem::swap(&mut self.input.bytes, &mut buffers.input);
            if self.input.is_packed() {
                self.input.unpack();
            }
        }
        std::mem::swap(&mut self.output.bytes, &mut buffers.output);
        if self.output.bytes.capacity() == 0 {
            self.output.bytes = buffers.spares.take_any().unwrap_or_default();
        }
    }

    /// Gives the working buffers back, and keeps and counts what is unread and unsent.
    fn give_buffers_back(&mut self, buffers: &mut Buffers, moment: Moment) {
        let (input, output) = (&mut self.input, &mut self.output);
        let all_spent = input.start == input.filled && input.kept.capacity() == 0;
        let holds_nothing = self.held == 0 && buffers.budget.finisher != Some(self.key);
        if all_spent && input.bytes.len() == INPUT_BYTES && output.is_empty() && holds_nothing {
            // Nearly every turn ends like this: what was read is spent, what was said is sent.
            (input.start, input.filled, output.sent) = (0, 0, 0);
            std::mem::swap(&mut input.bytes, &mut buffers.input);
            let mut bytes = std::mem::take(&mut output.bytes);
            if bytes.capacity() <= WORKING_OUTPUT_BYTES_MAX {
                bytes.clear();
                buffers.output = bytes;
            }
            return;
        }
        if let Some(working) = input.pack(&mut buffers.spares) {
            buffers.input = working;
        }
        output.pack(&mut buffers.output, &mut buffers.spares);
        let held = buffer::held(input, self.promised, output);
        if self.held == 0 && held > 0 {
            (self.moved_ms, self.moved) = (moment.uptime_ms, 0);
        }
        // The drive with a snapshot follows at once, and is the one that memory was granted for.
        let needs_stats = matches!(self.stop, Stop::NeedsServerStats(_)) && output.is_empty();
        let granted = if needs_stats { self.granted } else { 0 };
        buffers.budget.settle(self.key, self.held, held + granted);
        (self.held, self.granted) = (held + granted, granted);
    }

    fn next(&mut self) -> Next {
        if let Some(why) = self.doomed {
            return Next::Close(Why::Said(why));
        }
        if self.stop == Stop::Ended(EndReason::Shutdown) {
            self.stop = Stop::Ended(EndReason::Quit);
            return Next::Shutdown;
        }
        if !self.output.is_empty() {
            return Next::Wait;
        }
        match self.stop {
            Stop::Ended(reason) => Next::Close(Why::Said(reason.text())),
            Stop::NeedsServerStats(scope) => Next::NeedsServerStats(scope),
            Stop::NeedsFlush | Stop::NeedsInput if self.ask > 0 => Next::Wait,
            Stop::NeedsFlush => Next::Again,
            Stop::NeedsInput if self.at_end => Next::Close(Why::Said("its input ended")),
            Stop::NeedsInput if self.readable => Next::Again,
            Stop::NeedsInput => Next::Wait,
        }
    }

    /// Waits for room in the socket while something is unsent, and only then.
    fn update_interest(&mut self, registry: &Registry) -> io::Result<()> {
        let write_interest = !self.output.is_empty();
        if write_interest == self.write_interest {
            return Ok(());
        }
        self.write_interest = write_interest;
        let interest = if write_interest { READS.add(Interest::WRITABLE) } else { READS };
        registry.reregister(&mut self.socket, Token(self.key), interest)
    }
}
