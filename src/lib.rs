//! # miocached: a memcached-compatible cache server that can be read in an afternoon
//!
//! One process, one thread, one event loop, one map. Clients connect over TCP or a Unix socket and
//! store raw bytes under keys, in memcached's own text protocol or in a simpler dialect of it.
//!
//! ## The house
//!
//! ```text
//!  main, args, logger,    options to plain data, the order of a start;
//!  process                the only users of clap and simple_logger
//!    |
//!  net/  reactor  ----->  session  ----->  engine/  ----->  store/
//!    connection, buffer,     |                |
//!    account, listeners      +--> protocol/ <-+
//!                                 parser, simple, classic, meta, admin, command, answer, reply
//!
//!  config, trace          plain data, and the words of the log: any layer may use them
//! ```
//! Each arrow means "may use", and no arrow goes back: `tests/tidy.rs` fails where one does. (The
//! network also hands down values that are not its own: the engine, the time, the room for answers.) The
//! store and the protocol do not know each other, and neither knows a socket or a clock. Control
//! comes back through four small enums, and nothing calls upward:
//!
//! | enum | says | to |
//! |---|---|---|
//! | [`protocol::Parsed`] | `Command`, `Invalid`, `Incomplete` | the session |
//! | [`engine::Executed`] | `Done`, `Stalled`, `Admitted`, `Quit` | the session |
//! | [`session::Stop`] | `NeedsInput`, `NeedsFlush`, `Ended` | the connection |
//! | [`net::connection::Next`] | `Wait`, `Again`, `NeedsServerStats`, `Shutdown`, `Close` | the reactor |
//!
//! ## The life of a byte
//!
//! 1. The kernel says that a socket is readable. [`net::reactor::Reactor`] latches that in the
//!    connection and queues its key; when all events of the batch are latched, it drives the queue.
//! 2. [`net::connection::Connection`] borrows the working buffers and reads once.
//! 3. [`session::Session::advance`] goes through what is unread, one request behind the other. Of
//!    those that came together it parses up to sixteen ahead, so that the memory which their keys
//!    need is waited for once; then it executes them in turn.
//! 4. [`protocol::Parser::parse`] finds the request: key and value are slices of the input. It
//!    remembers where it stopped, so that no line end is looked for twice however the input is cut.
//! 5. [`engine::Engine::execute`] does what the command means. `set` copies the value into the
//!    store; `get` copies it from the store's own slice into the output. Once, in both cases;
//!    nothing in a buffer points into the store.
//! 6. The connection writes once for all that it answered, gives the working buffers back, and says
//!    in a [`Next`](net::connection::Next) whether it waits for an event, wants another turn after
//!    the others, or is done.
//!
//! ## What always holds
//!
//! * One thread: no lock, no `Arc`, no async runtime, no second thread. `unsafe` is forbidden.
//! * One map, built in one place (its type is in `store/map.rs`), changed through `&mut`.
//! * The protocol, the engine and the store never ask what time it is: `now` is an argument.
//! * All items live in memory that is laid out at the start; no operation's work grows with their
//!   number.
//! * Everything has a limit with a unit: the wire's in [`protocol`], the operator's in [`config`],
//!   a turn's in [`net`].
//! * What a client sends is never a reason to panic, nor to keep more memory than the budget of
//!   [`net`] allows, nor to keep the others waiting for more than one buffer of requests or
//!   one request that is longer, or for more than a megabyte that they have copied in the store.
//! * Without traffic nothing wakes up.
//!
//! Deliberately absent: persistence, replication, TLS, SASL, UDP, the binary protocol, and a second
//! core. Programs that need those are better served by memcached itself.
//!
//! ## Where to go next
//!
//! Read `protocol/simple.rs`, `protocol/parser.rs`, `session.rs`, `engine/mod.rs`, `store/mod.rs`,
//! `net/connection.rs` and `net/reactor.rs`, in this order; then `protocol/classic.rs`, and of the
//! store `record.rs`, `log.rs`, `map.rs` and `policy.rs`. Beside them run `miocached -vv`: [`trace`]
//! lists the steps that it shows.

pub mod config;
pub mod engine;
pub mod net;
pub mod protocol;
pub mod session;
pub mod store;
pub mod trace;

use config::{Config, MIB};
use engine::Engine;
use net::clock::Clock;
use protocol::Room;
use session::{Session, Stop};

/// All that a server sends back on one connection that sends `requests` and nothing more.
///
/// The store is empty at first and large enough for what `requests` can bring; an item's limit is
/// the default one of 1 MiB. Whatever stands behind the last whole request is left without an
/// answer, as by a server.
///
/// ```
/// let answers = miocached::simulate(b"set greeting 5\nhello\nget greeting missing\n");
/// assert_eq!(answers, b"STORED\nVALUE greeting 5\nhello\nEND\n");
/// ```
///
/// # Panics
/// When there is no memory for that.
#[must_use]
pub fn simulate(requests: &[u8]) -> Vec<u8> {
    let defaults = Config::default();
    let memory_bytes_max = defaults.memory_bytes_max.max(2 * requests.len().next_multiple_of(MIB));
    let config = Config { memory_bytes_max, ..defaults };
    let mut answers = Vec::new();
    let mut session = Session::new(&config);
    let mut engine = Engine::new(&config).expect("there is memory for the items");
    let now = Clock::start().moment().now;
    let mut room = Room::UNBOUNDED;
    let mut spent = 0;
    // With room for every answer, the only stop that is no end is a large value's next step.
    loop {
        let unread = &requests[spent..];
        let (used, stop) = session.advance(unread, &mut answers, &mut room, &mut engine, now);
        spent += used;
        if stop != Stop::NeedsFlush {
            return answers;
        }
    }
}
