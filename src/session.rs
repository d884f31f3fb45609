//! One conversation: bytes in, bytes out. It joins the framer and the engine.
//!
//! Every way of talking to a server goes through [`Session::advance`]: the sockets' connections,
//! `--stdio`, [`crate::simulate`] and the tests. Knows no socket, no buffer policy and no clock.

use std::array;

use crate::config::Config;
use crate::engine::{Engine, Executed, HashedKey, PREFETCH_BATCH, StatsScope, Turn};
use crate::protocol::command::{Dump, Unfinished};
use crate::protocol::{
    BinaryReply, Command, Dialect, EndReason, Framer, Grammar, Keys, OutputLimit, Parsed, Refusal,
    ReplyMode, ReplyWriter, Retrieval, State, Step, WatchKinds, Words,
};
use crate::trace;

/// Bytes that the requests of one turn may have copied within the store: one item of the default
/// limit, some 0.1 ms. A thousand small `append`s to a large item would otherwise keep all other
/// clients waiting for a thousand copies of it.
const COPIED_BYTES_MAX: u64 = 1 << 20;
/// Bytes of requests after which a turn ends: twice what the working input buffer holds. A longer
/// buffer, which has grown for a long line, can hold a megabyte of short requests: some 20 ms.
const REQUEST_BYTES_MAX: usize = 32 << 10;

/// Why a session cannot go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The input holds no whole request: read more.
    NeedsInput,
    /// The output is full, or the turn has reached a limit of work: write what there is, then come back.
    NeedsFlush,
    /// The output lacks a large value: write what there is, with [`Engine::left_out`] at its place,
    /// before the engine is used again; then come back. Only where [`OutputLimit::left_out_max`] allows
    /// it.
    NeedsValue,
    /// The next request needs figures of the network: come back with a snapshot of at least this
    /// scope in [`Turn::server`]. The request is still in the input.
    NeedsServerStats(StatsScope),
    /// The client is to be sent events of these kinds, after the answers. The session is not called
    /// again: what the client still sends is dropped.
    Watches(WatchKinds),
    /// The conversation has ended for this reason: write what there is, then hang up; and end the
    /// server where the reason is [`EndReason::Shutdown`].
    Ended(EndReason),
}

/// A request that has been parsed and not executed.
struct Ahead<'a> {
    step: Step<'a>,
    /// Its first key, or an empty one.
    key: HashedKey<'a>,
}

/// A request that has been answered in part.
#[derive(Clone, Copy, Debug)]
struct Resumable {
    rest: Rest,
    mode: ReplyMode,
    /// Bytes of the request that are still in the input, the line end included.
    bytes: usize,
}

/// What is left of such a request.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// The keys, which are the first `key_bytes` bytes of the input.
    Keys { retrieval: Retrieval, key_bytes: usize },
    /// A walk over all items, with its cursor.
    Dump(Dump),
}

/// What one turn has done so far.
struct Progress {
    /// Bytes of the input that have been used.
    spent: usize,
    /// Requests that have been executed.
    requests: usize,
    /// [`Engine::copied_bytes`] above which the turn ends.
    copied_bytes_max: u64,
}

impl Progress {
    /// Ends the turn: counts its requests, and returns the bytes that they used.
    const fn end(&self, stop: Stop, engine: &mut Engine) -> (usize, Stop) {
        engine.counters.requests += self.requests as u64;
        (self.spent, stop)
    }
}

/// What one conversation remembers between two calls.
#[derive(Debug)]
pub struct Session {
    /// Where the next byte of the input belongs. Committed together with the bytes before it.
    state: State,
    /// What is left of the request at the start of the input.
    resumable: Option<Resumable>,
    /// The client may send commands: it has shown a password, or needs none.
    authenticated: bool,
    grammar: Grammar,
    item_bytes_max: usize,
    /// Requests that may be executed in one turn.
    requests_max: usize,
}

impl Session {
    /// A conversation that has not begun.
    #[must_use]
    pub const fn new(config: &Config) -> Self {
        let requests_max = match config.requests_per_turn {
            Some(requests) => requests,
            None => usize::MAX,
        };
        Self {
            state: State::before(config.protocol_spoken()),
            resumable: None,
            authenticated: config.auth_file.is_none(),
            grammar: Grammar::Commands(config.dialect),
            item_bytes_max: config.item_bytes_max,
            requests_max,
        }
    }

    /// Executes the requests in `unread`, one after the other, and appends their answers to `output`.
    /// Returns how many bytes are used. The next call gets the unused ones again, followed by what has
    /// been read since.
    pub fn advance(
        &mut self,
        unread: &[u8],
        output: &mut Vec<u8>,
        limit: &mut OutputLimit,
        engine: &mut Engine,
        turn: Turn<'_>,
    ) -> (usize, Stop) {
        let copied_bytes_max = engine.copied_bytes() + COPIED_BYTES_MAX;
        let mut progress = Progress { spent: 0, requests: 0, copied_bytes_max };
        loop {
            if progress.spent == unread.len() {
                return progress.end(Stop::NeedsInput, engine);
            }
            let is_long = progress.spent >= REQUEST_BYTES_MAX;
            if is_long || self.must_end(&progress, output, limit, engine) {
                return self.yields(&progress, engine);
            }
            // `[const { None }; _]` would copy every byte of the slots; this writes only their tags.
            let mut batch: [Option<Ahead<'_>>; PREFETCH_BATCH] = array::from_fn(|_| None);
            let requests_left = self.requests_max - progress.requests;
            let slots = &mut batch[..requests_left.min(PREFETCH_BATCH)];
            let ends_in_skipped = self.parse_ahead(&unread[progress.spent..], slots, engine);
            for (index, ahead) in batch.iter().map_while(Option::as_ref).enumerate() {
                if index > 0 && self.must_end(&progress, output, limit, engine) {
                    // What has been parsed and not executed is not committed.
                    return self.yields(&progress, engine);
                }
                progress.requests += 1;
                let input = &unread[progress.spent..];
                let (used, stop) = self.answer(ahead, input, output, limit, engine, &turn);
                progress.spent += used;
                if let Some(stop) = stop {
                    // What is incomplete or starts over is counted when it has been executed.
                    let is_executed =
                        matches!(stop, Stop::NeedsValue | Stop::Watches(_) | Stop::Ended(_));
                    progress.requests -= usize::from(!is_executed);
                    return progress.end(stop, engine);
                }
            }
            // What is skipped belongs to a request that was refused, and has been counted.
            progress.requests -= usize::from(ends_in_skipped);
        }
    }

    /// No further request may be executed in this turn.
    const fn must_end(
        &self,
        progress: &Progress,
        output: &[u8],
        limit: &OutputLimit,
        engine: &Engine,
    ) -> bool {
        output.len() >= limit.high_water
            || progress.requests == self.requests_max
            || engine.copied_bytes() > progress.copied_bytes_max
    }

    /// Ends the turn with requests left in the input.
    const fn yields(&self, progress: &Progress, engine: &mut Engine) -> (usize, Stop) {
        if progress.requests == self.requests_max {
            engine.counters.conn_yields += 1;
        }
        progress.end(Stop::NeedsFlush, engine)
    }

    /// Parses as many requests as `batch` has slots, as long as executing one cannot change how the next
    /// is parsed, and prefetches their keys, so that their cache misses overlap. Returns whether the last
    /// one is no request, but input that is skipped.
    fn parse_ahead<'a>(
        &self,
        unread: &'a [u8],
        batch: &mut [Option<Ahead<'a>>],
        engine: &Engine,
    ) -> bool {
        let grammar = if self.authenticated { self.grammar } else { Grammar::Authentication };
        let framer = Framer { grammar, item_bytes_max: self.item_bytes_max };
        let bytes_max = unread.len().min(REQUEST_BYTES_MAX);
        let (mut state, mut parsed_bytes) = (&self.state, 0);
        let mut resumable = self.resumable.as_ref();
        let mut ends_in_skipped = false;
        for slot in batch.iter_mut() {
            let unparsed = &unread[parsed_bytes..];
            let step = match resumable.take() {
                None => framer.parse(state, unparsed),
                Some(resumable) => resumable.step(unparsed, *state),
            };
            let key = engine.hashed_key(step.key().unwrap_or_default());
            let step = &slot.insert(Ahead { step, key }).step;
            (state, parsed_bytes) = (&step.next, parsed_bytes + step.used);
            let is_command = matches!(step.parsed, Parsed::Command { .. });
            // Before authentication, a command decides how the next one is parsed.
            if !is_command || parsed_bytes >= bytes_max || !self.authenticated {
                ends_in_skipped = matches!(step.parsed, Parsed::Skipped);
                break;
            }
        }
        if batch.get(1).is_some_and(Option::is_some) {
            let parsed = batch.iter_mut().map_while(Option::as_mut);
            engine.prefetch(parsed.map(|ahead| &mut ahead.key));
        }
        ends_in_skipped
    }

    /// Executes one request and commits it: its bytes and the state after it. Returns how many bytes
    /// of `input` are used, and the reason if the session cannot go on after it.
    fn answer(
        &mut self,
        ahead: &Ahead<'_>,
        input: &[u8],
        output: &mut Vec<u8>,
        limit: &mut OutputLimit,
        engine: &mut Engine,
        turn: &Turn<'_>,
    ) -> (usize, Option<Stop>) {
        let Step { ref parsed, used, ref next } = ahead.step;
        let stop = match *parsed {
            Parsed::Command { ref command, mode } => {
                if trace::shows_steps() {
                    trace::parsed(command.language(&mode.dialect), command);
                }
                let mut reply = ReplyWriter::new(output, limit, mode);
                match engine.execute(command, ahead.key, turn, &mut reply) {
                    Executed::Done => None,
                    Executed::Authenticated => {
                        self.authenticated = true;
                        None
                    }
                    Executed::Watches(kinds) => Some(Stop::Watches(kinds)),
                    Executed::Quit => Some(Stop::Ended(EndReason::Quit)),
                    Executed::Shutdown => Some(Stop::Ended(EndReason::Shutdown)),
                    // A request that ends in one of the next two is not committed: it starts over.
                    Executed::Retry => {
                        trace::stalled("it starts over after a flush");
                        return (0, Some(Stop::NeedsFlush));
                    }
                    Executed::NeedsServerStats(scope) => {
                        trace::stalled("it needs the network's figures");
                        return (0, Some(Stop::NeedsServerStats(scope)));
                    }
                    Executed::Resume(rest) => {
                        return self.resume_with(rest, mode, ahead, input, Stop::NeedsFlush);
                    }
                    Executed::LeftOut(None) => Some(Stop::NeedsValue),
                    Executed::LeftOut(Some(rest)) => {
                        return self.resume_with(rest, mode, ahead, input, Stop::NeedsValue);
                    }
                }
            }
            Parsed::Error { reply, mode } => {
                trace::refused(reply.text());
                ReplyWriter::new(output, limit, mode).line(reply);
                None
            }
            Parsed::BadFrame(refusal) => refuse_frame(refusal, output, limit),
            Parsed::Skipped => None,
            Parsed::HangUp(reason) => Some(Stop::Ended(reason)),
            Parsed::Incomplete => Some(Stop::NeedsInput),
        };
        (self.state, self.resumable) = (*next, None);
        (used, stop)
    }

    /// Commits the part of a request that has been answered, and keeps the `rest`.
    fn resume_with(
        &mut self,
        rest: Unfinished<'_>,
        mode: ReplyMode,
        ahead: &Ahead<'_>,
        input: &[u8],
        stop: Stop,
    ) -> (usize, Option<Stop>) {
        let Step { used, next, .. } = ahead.step;
        let resumable = Resumable::new(rest, mode, &input[..used]);
        (self.state, self.resumable) = (next, Some(resumable));
        (used - resumable.bytes, Some(stop))
    }

    /// Bytes of the request at the start of the input, or the most that it can have. A buffer for it
    /// need not be longer.
    #[must_use]
    pub const fn bytes_wanted(&self) -> usize {
        match &self.resumable {
            Some(resumable) => resumable.bytes,
            None => self.state.bytes_wanted(),
        }
    }

    /// See [`State::is_in_value`].
    #[must_use]
    pub const fn is_in_value(&self) -> bool {
        self.state.is_in_value()
    }
}

/// Answers a bad frame. Returns the reason if the session ends with it.
#[cold]
fn refuse_frame(
    Refusal { tag, status, ends }: Refusal,
    output: &mut Vec<u8>,
    limit: &mut OutputLimit,
) -> Option<Stop> {
    trace::refused(status.text());
    let mut reply = ReplyWriter::new(output, limit, ReplyMode::CLASSIC);
    BinaryReply::new(&mut reply, tag).error(status);
    ends.then_some(Stop::Ended(EndReason::BadFrame))
}

impl Resumable {
    /// Keeps the `rest` of a `request` that has been answered in part.
    fn new(rest: Unfinished<'_>, mode: ReplyMode, request: &[u8]) -> Self {
        match rest {
            Unfinished::Retrieve { retrieval, keys } => {
                let key_bytes = keys.rest().len();
                let with_cr = mode.dialect == Dialect::Classic && request.ends_with(b"\r\n");
                let bytes = key_bytes + 1 + usize::from(with_cr);
                Self { rest: Rest::Keys { retrieval, key_bytes }, mode, bytes }
            }
            // The LF stays, so that the input is not empty before the walk has ended.
            Unfinished::Dump(dump) => Self { rest: Rest::Dump(dump), mode, bytes: 1 },
        }
    }

    /// The rest as a request at the start of `unread`; `state` is the state after it.
    fn step<'a>(&self, unread: &'a [u8], state: State) -> Step<'a> {
        let command = match self.rest {
            Rest::Keys { retrieval, key_bytes } => {
                let keys = Keys::new(Words::new(&unread[..key_bytes]));
                let keys = keys.expect("a retrieval that is not finished has keys left");
                Command::Retrieve { retrieval, keys }
            }
            Rest::Dump(dump) => Command::Dump(dump),
        };
        let parsed = Parsed::Command { command, mode: self.mode };
        Step { parsed, used: self.bytes, next: state }
    }
}
