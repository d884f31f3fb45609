//! # miocached: a memcached-compatible cache server that can be read in an afternoon
//!
//! One process, one thread, one event loop, one map. Clients connect over TCP or a Unix socket and
//! store raw bytes under keys, in memcached's own text protocol, in a simpler dialect of it, or in
//! memcached's binary protocol.
//!
//! ## The layers
//!
//! ```text
//!  main, args, logger,    options to plain data, the order of a start;
//!  process                the only users of clap and simple_logger
//!    |
//!  net/  reactor  ----->  session  ----->  engine/  ----->  store/
//!    connection, buffer,     |                |               policy, map, log, record
//!    account, listeners      +--> protocol/ <-+
//!    |                            framer, grammars, commands, replies
//!    +--> metrics/ (text of the engine's figures, the live page) and http/, for --metrics
//!
//!  snapshot               the engine's items in a file, from a stop to the next start (called by main)
//!  config, trace          plain data, and the log of each step: any layer may use them
//! ```
//! Each arrow means "may use", and no arrow goes back; `tests/tidy.rs` fails where one does, and where
//! files of the protocol or the engine import each other in a ring. The network also hands down values
//! of lower layers: the engine, the time, the limit of the output. The metrics read the engine's
//! figures; HTTP knows nothing but bytes. The store and the protocol do not
//! know each other, and neither knows a socket or a clock. Control comes back through four enums. No
//! layer leaves a request in a flag for a layer above it:
//!
//! | enum | variants | returned to |
//! |---|---|---|
//! | [`protocol::Parsed`] | `Command`, `Error`, `BadFrame`, `Skipped`, `HangUp`, `Incomplete` | the session |
//! | [`engine::Executed`] | `Done`, `Retry`, `Resume`, `LeftOut`, `NeedsServerStats`, `Authenticated`, `Watches`, `Quit`, `Shutdown` | the session |
//! | [`session::Stop`] | `NeedsInput`, `NeedsFlush`, `NeedsValue`, `NeedsServerStats`, `Watches`, `Ended` | the connection |
//! | [`net::connection::Next`] | `Wait`, `Again`, `Watch`, `NeedsServerStats`, `Shutdown`, `Close` | the reactor |
//!
//! ## The life of a byte
//!
//! 1. The kernel reports that a socket is readable. [`net::reactor::Reactor`] latches that in the
//!    connection and queues its key; when all events of the batch are latched, it drives the queue.
//! 2. [`net::connection::Connection`] borrows the working buffers and reads once.
//! 3. [`session::Session::advance`] executes the unread requests, one after the other. It parses up
//!    to sixteen of them ahead and prefetches their keys, so that their cache misses overlap.
//! 4. [`protocol::Framer::parse`] finds a request: key and value are slices of the input. It is pure:
//!    it returns the bytes used and the next state, and the session keeps both or neither. The state
//!    says how far the input has been searched, so no line end is searched for twice however the
//!    input is cut.
//! 5. [`engine::Engine::execute`] does what the command means. `set` copies the value once, into the
//!    store; `get` copies it once, from the store's own slice into the output. A value of 64 KiB and more
//!    is left out of the output, and the session stops after it. No buffer points into the store.
//! 6. The connection writes all answers at once, and with them, straight from the store, the value that
//!    was left out. What the kernel does not take of it is copied before any other request can change
//!    the store. Then the connection gives the working buffers back, and returns a
//!    [`Next`](net::connection::Next): wait for an event, run again after the others, or close.
//!
//! ## Invariants
//!
//! * One thread: no lock, no `Arc`, no async runtime, no second thread. `unsafe` is forbidden.
//! * One map, built in one place (its type is in `store/map.rs`), changed through `&mut`.
//! * The protocol, the engine and the store never ask what time it is: `now` is an argument.
//! * All items live in memory that is mapped at the start; no operation's work grows with their
//!   number.
//! * Everything has a limit with a unit: the wire's in [`protocol::limits`], the operator's in
//!   [`config`], a turn's in [`net`] and [`session`].
//! * No input makes the server panic, or keep more memory than the budget of [`net`].
//! * One turn of one connection is bounded: in bytes of requests and answers, in keys looked up, in
//!   bytes copied within the store.
//! * Without traffic nothing wakes up.
//!
//! Deliberately absent: persistence beyond an orderly restart (a crash loses all items, see [`snapshot`]),
//! replication, TLS, SASL, UDP, and a second core. Programs that need those are better served by memcached
//! itself.
//!
//! ## Where to go next
//!
//! [The guide](guide) explains epoll, builds up to this server from a small one, and answers twelve
//! questions about it. [What to read](guide::reading) has an order of the files for each goal. Run
//! `miocached -vv` beside them: [`trace`] lists the steps that it logs.

pub mod config;
pub mod engine;
pub mod guide;
pub mod http;
pub mod metrics;
pub mod net;
pub mod protocol;
pub mod session;
pub mod snapshot;
pub mod store;
pub mod trace;

use config::{Config, MIB};
use engine::Engine;
use net::clock::Clock;
use protocol::OutputLimit;
use session::{Session, Stop};

/// The answers of a server to one connection that sends `requests` and nothing more.
///
/// The store is empty at first and large enough for what `requests` can store; the item limit is the
/// default of 1 MiB. An incomplete request at the end is not answered.
///
/// ```
/// let answers = miocached::simulate(b"set greeting 5\nhello\nget greeting missing\n");
/// assert_eq!(answers, b"STORED\nVALUE greeting 5\nhello\nEND\n");
/// ```
///
/// # Panics
/// When there is not enough memory.
#[must_use]
pub fn simulate(requests: &[u8]) -> Vec<u8> {
    let defaults = Config::default();
    let memory_bytes_max = defaults.memory_bytes_max.max(2 * requests.len().next_multiple_of(MIB));
    let config = Config { memory_bytes_max, ..defaults };
    let mut answers = Vec::new();
    let mut session = Session::new(&config);
    let mut engine = Engine::new(&config).expect("there is memory for the items");
    let now = Clock::start().moment().now;
    let mut limit = OutputLimit::UNBOUNDED;
    let mut used = 0;
    loop {
        let unread = &requests[used..];
        let (more, stop) =
            session.advance(unread, &mut answers, &mut limit, &mut engine, now.into());
        used += more;
        // There is no other connection, so the next turn follows at once.
        if stop != Stop::NeedsFlush {
            return answers;
        }
    }
}
