//! One conversation: bytes in, bytes out. The parser and the engine, put together.
//!
//! Every way of talking to a server goes through [`Session::advance`]: the sockets' connections,
//! `--stdio`, [`crate::simulate`] and the tests. Knows no socket, no buffer policy and no clock.

use std::array;

use crate::config::Config;
use crate::engine::{Engine, Executed, HashedKey, PREFETCH_BATCH, StatsScope, Turn};
use crate::protocol::{Dialect, EndReason, Fault, Parsed, Parser, ReplyWriter, Room};
use crate::trace;

/// Bytes that the requests of one turn may have copied within the store: one item of the default
/// limit, some 0.1 ms. A thousand small `append`s to a large item would otherwise keep all other
/// clients waiting for a thousand copies of it.
const COPIED_BYTES_MAX: u64 = 1 << 20;

/// Why a session cannot go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The input holds no whole request: read more.
    NeedsInput,
    /// The output is full, or a request takes several steps: write what there is, then come back.
    NeedsFlush,
    /// The next request needs figures of the network: come back with a snapshot of at least this
    /// scope in [`Turn::server`]. The request is still in the input.
    NeedsServerStats(StatsScope),
    /// The conversation has ended for this reason: write what there is, then hang up; and end the
    /// server where the reason is [`EndReason::Shutdown`].
    Ended(EndReason),
}

/// A request that is to be executed next, or after others.
struct Ahead<'a> {
    parsed: Parsed<'a>,
    /// Its first key, if it has been prefetched.
    key: Option<HashedKey<'a>>,
}

/// What one conversation remembers between two calls.
#[derive(Debug)]
pub struct Session {
    parser: Parser,
    /// Requests that may be executed in one go.
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
        let is_closed = config.auth_file.is_some();
        Self { parser: Parser::new(config.dialect, config.item_bytes_max, is_closed), requests_max }
    }

    /// Executes the requests in `unread`, one behind the other, and puts their answers behind what
    /// `output` holds. Returns how many bytes are spent; the caller gives the others again, with
    /// more behind them, the next time.
    pub fn advance<'s>(
        &mut self,
        unread: &[u8],
        output: &mut Vec<u8>,
        room: &mut Room,
        engine: &mut Engine,
        turn: impl Into<Turn<'s>>,
    ) -> (usize, Stop) {
        let turn = turn.into();
        let (mut spent, mut requests) = (0, 0);
        let copied_max = engine.copied_bytes() + COPIED_BYTES_MAX;
        loop {
            if spent == unread.len() {
                return (spent, Stop::NeedsInput);
            }
            if self.is_enough(requests, output, room) || engine.copied_bytes() > copied_max {
                engine.counters.conn_yields += u64::from(requests == self.requests_max);
                return (spent, Stop::NeedsFlush);
            }
            // Not from one constant, all of whose bytes would be copied.
            let mut ahead = array::from_fn(|_| None);
            self.parse_ahead(&unread[spent..], &mut ahead, engine);
            for (at, next) in ahead.iter().map_while(Option::as_ref).enumerate() {
                let enough =
                    self.is_enough(requests, output, room) || engine.copied_bytes() > copied_max;
                if at > 0 && enough {
                    self.parser.rewind();
                    engine.counters.conn_yields += u64::from(requests == self.requests_max);
                    return (spent, Stop::NeedsFlush);
                }
                requests += 1;
                let unspent = &unread[spent..];
                let (used, stop) = self.answer(next, unspent, output, room, engine, &turn);
                spent += used;
                if let Some(stop) = stop {
                    return (spent, stop);
                }
            }
        }
    }

    /// Executes the request at the start of `unspent` and answers it. Returns how many bytes are
    /// spent by it, and the reason if the conversation cannot go on behind it.
    fn answer(
        &mut self,
        next: &Ahead<'_>,
        unspent: &[u8],
        output: &mut Vec<u8>,
        room: &mut Room,
        engine: &mut Engine,
        turn: &Turn<'_>,
    ) -> (usize, Option<Stop>) {
        match next.parsed {
            Parsed::Command { ref command, form, used } => {
                trace::parsed(dialect_name(form.dialect), command);
                let mut reply = ReplyWriter::new(output, room, form);
                match engine.execute(command, next.key, turn, &mut reply) {
                    Executed::Done => (used, None),
                    Executed::Authenticated => {
                        self.parser.open();
                        (used, None)
                    }
                    Executed::Retry => {
                        trace::stalled("it starts over after a flush");
                        self.parser.rewind();
                        (0, Some(Stop::NeedsFlush))
                    }
                    Executed::NeedsServerStats(scope) => {
                        trace::stalled("the server's figures are needed");
                        self.parser.rewind();
                        (0, Some(Stop::NeedsServerStats(scope)))
                    }
                    Executed::Resume(rest) => {
                        // What is held is an end of the request, no more than was used.
                        let held = self.parser.hold(rest, form, &unspent[..used]);
                        (used - held, Some(Stop::NeedsFlush))
                    }
                    Executed::Quit => (used, Some(Stop::Ended(EndReason::Quit))),
                    Executed::Shutdown => (used, Some(Stop::Ended(EndReason::Shutdown))),
                }
            }
            Parsed::Invalid { fault: Fault::Answer(answer), form, used } => {
                trace::refused(answer.text());
                ReplyWriter::new(output, room, form).line(answer);
                (used, None)
            }
            Parsed::Invalid { fault: Fault::Skipped, used, .. } => (used, None),
            Parsed::Invalid { fault: Fault::HangUp(why), used, .. } => {
                (used, Some(Stop::Ended(why)))
            }
            Parsed::Incomplete { used } => (used, Some(Stop::NeedsInput)),
        }
    }

    /// No further request is to be executed in this go.
    const fn is_enough(&self, requests: usize, output: &[u8], room: &Room) -> bool {
        output.len() >= room.high_water || requests == self.requests_max
    }

    /// The next requests, as many as can be told before the first one is executed. The memory that
    /// their keys need is waited for here, at once for all of them.
    fn parse_ahead<'a>(
        &mut self,
        unread: &'a [u8],
        ahead: &mut [Option<Ahead<'a>>; PREFETCH_BATCH],
        engine: &Engine,
    ) {
        let mut parsed_bytes = 0;
        for slot in ahead.iter_mut() {
            let parsed = self.parser.parse(&unread[parsed_bytes..]);
            let next = slot.insert(Ahead { parsed, key: None });
            let Parsed::Command { used, .. } = next.parsed else { break };
            parsed_bytes += used;
            if parsed_bytes == unread.len() || !self.parser.may_go_on() {
                break;
            }
        }
        if ahead[1].is_some() {
            let parsed = ahead.iter_mut().flatten();
            engine.prefetch(parsed.filter_map(|next| Some((&mut next.key, next.parsed.key()?))));
        }
    }

    /// See [`Parser::bytes_wanted`].
    #[must_use]
    pub const fn bytes_wanted(&self) -> usize {
        self.parser.bytes_wanted()
    }

    /// See [`Parser::is_in_value`].
    #[must_use]
    pub const fn is_in_value(&self) -> bool {
        self.parser.is_in_value()
    }
}

const fn dialect_name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Simple => "simple",
        Dialect::Classic => "classic",
    }
}
