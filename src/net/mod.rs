//! The network: sockets, readiness and time.
//!
//! ```text
//!  Reactor::turn (reactor.rs)                 one loop, one thread
//!    poll        wait for events              kernel
//!    latch       remember what events say     -> Connection, Listeners
//!    signals     stop, reload, begin a report
//!    drive       one turn per connection      -> Connection::drive (connection.rs)
//!                                                  flush    unsent answers
//!                                                  read     -> ReadBuffer (buffer.rs), once; a value on
//!                                                  execute  -> Session -> engine
//!                                                  flush    WriteBuffer (buffer.rs), once, and with it
//!                                                           a large value from the store
//!                                                  keep     -> Account (account.rs): what is left
//!                                                  Next     wait, again, or close
//!                                               -> linger.rs: closes without a reset
//!    deliver     events to watchers            -> Watchers (watchers.rs)
//!    accept      new connections              -> Listeners (listeners.rs, listener.rs, socket.rs)
//!    grant       memory to the first in line  -> Account
//!    free        buffers that are not needed  -> BufferPool (buffer.rs)
//!    expire      connections, by deadline     -> Timeouts (timeouts.rs)
//!    metrics     one request over HTTP        -> HttpServer (http_server.rs), HttpConnection
//!    report      what each connection waits for, on SIGUSR2 -> Report (report.rs, wait.rs)
//!                and the trace              -> TraceFile (trace_file.rs)
//! ```
//! Beside these: [`clock`] reads the time once per turn, `server_stats` collects the network's figures
//! for `stats`, `notice` limits the log lines that clients can cause, `start` prepares the first turn,
//! `inherited` takes the sockets that a service manager has opened, `service_manager` reports to it, and
//! [`stdio`] runs one session on standard input and output.
//!
//! ## Edge-triggered readiness
//!
//! mio registers sockets edge-triggered (`EPOLLET`): an event reports that a socket *has become*
//! readable or writable, once. A server that forgets the event, or does only a part of what became
//! possible, gets no second one. This is what that obliges a server to do, and where it is done here:
//!
//! | duty | where |
//! |---|---|
//! | Latch readiness, and forget it only when the kernel says "would block". | `Connection::latch` sets it; `Connection::read` and `Connection::flush` clear it |
//! | Read again after a read that filled the buffer. A short read has emptied the socket, and the next byte raises a new edge, so the read that would only return "would block" is saved. | `Connection::read` |
//! | Read on to the end, however short the reads are, after an edge that brought the peer's FIN or urgent data: no further edge follows. | `Readiness::read_closed` and `urgent`, in `Connection::read` |
//! | Keep a run queue of connections that stop with work left: no event will come for them. Do not wait in `poll` while it is not empty. | `Next::Again`, `Reactor::drive_connections`, `Reactor::poll_timeout` |
//! | Accept until "would block", or remember that clients may wait. | `Listeners::accept`, `Listeners::can_accept` |
//! | Ask for write events only while answers are unsent. `EPOLL_CTL_MOD` reports room that exists already, so room that came between the last write and the call is not missed. | `Connection::update_interest` |
//! | Close nothing before all events of a batch have been read: slab keys, and so tokens, are used again. | `Reactor::latch_events`, then `Reactor::drive_connections` |
//!
//! The constants below limit the work and the memory of a turn, with units.

mod account;
mod buffer;
pub mod clock;
pub mod connection;
#[cfg(test)]
mod epoll_model;
mod http_connection;
mod http_server;
mod inherited;
mod linger;
mod listener;
mod listeners;
mod notice;
pub mod reactor;
mod report;
mod reported;
mod server_stats;
mod service_manager;
mod socket;
mod start;
pub mod stdio;
mod timeouts;
mod trace_file;
mod wait;
mod watchers;

pub use account::budget_bytes;
pub use http_server::HttpServer;
pub use inherited::{Inherited, take_inherited};
pub use listeners::Listeners;
pub use reactor::Reactor;
pub use service_manager::ServiceManager;
pub use start::{StartError, engine_for, is_stop_requested, watch_signals};
pub use trace_file::TraceFile;

/// Bytes of the working read buffer, and so of the requests that a connection executes in a turn. Only
/// a single request that is longer gets a longer buffer; the session then ends the turn after 32 KiB.
pub const INPUT_BYTES: usize = 16 * 1024;
/// Bytes of a value that a turn reads after its first read, before the others get their turn.
pub const VALUE_READ_BYTES: usize = 1 << 20;
/// Bytes of answers at which a connection stops executing and writes. A value that is as large by itself
/// is written straight from the store.
pub const OUTPUT_HIGH_WATER: usize = 64 * 1024;
/// Smallest capacity of the working write buffer, in bytes. The last answer of a turn begins below
/// [`OUTPUT_HIGH_WATER`], so an answer of up to half this capacity always fits.
pub const OUTPUT_BYTES: usize = 2 * OUTPUT_HIGH_WATER;
/// Largest capacity of the working write buffer, in bytes. A buffer that an answer has made larger goes
/// to the pool instead.
pub const OUTPUT_BYTES_MAX: usize = 2 << 20;
/// Bytes of a small answer. A connection gets memory for one whatever other connections hold. The
/// answer to `stats` has 6 KiB.
pub const SMALL_ANSWER_BYTES: usize = 16 * 1024;
/// Bytes of unused buffers that the buffer pool keeps.
pub const POOL_BYTES_MAX: usize = 4 << 20;
/// Bytes that a connection may keep in its read buffer, and as many in its write buffer, between two
/// turns free of charge: a classic line of the greatest length and a little more.
pub const ALLOWANCE_BYTES: usize = crate::protocol::LINE_BYTES_MAX + 64;
/// Events taken from the kernel at once.
pub const EVENTS_PER_TURN: usize = 1024;
/// Connections that one listener may accept before the open ones get their turn.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Connections that a report on SIGUSR2 goes through in one turn. A line takes some microseconds, most of
/// them in the kernel.
pub const REPORT_LINES_PER_TURN: usize = 64;
/// Recorded steps that one turn writes into the trace file on SIGUSR2: some 260 KB of text, and half a
/// millisecond.
pub const TRACE_STEPS_PER_TURN: usize = 2000;
/// How long accepting pauses when descriptors have run out and no connection closes.
pub const ACCEPT_RETRY_MS: u64 = 100;
/// How long a stopping server waits for clients to take their last answers. The rest of a second is
/// for the last turn, so that the process exits within a second.
pub const STOP_MS: u64 = 950;
/// A stopping server exits when nothing is unsent and no client has sent anything for so long.
pub const STOP_QUIET_MS: u64 = 100;
/// Bytes that a lingering connection reads and drops. A client that sends more after the end of the
/// conversation may lose its last answers.
pub const LINGER_BYTES_MAX: usize = 1 << 20;
/// How long a connection lingers. The sweep that closes it may come up to [`SWEEP_MS`] later.
pub const LINGER_MS: u64 = 1000;
/// While others wait for memory, a connection has to move as many bytes as it holds in this time: 52 kB
/// a second for a request of 1 MiB.
pub const MOVE_MS: u64 = 20_000;
/// The time over which the bytes moved are measured.
pub const STALL_MS: u64 = 10_000;
/// The same time for a connection that held something while it waited for more memory.
pub const RESUME_MS: u64 = 1000;
/// The shortest time between two sweeps for timeouts.
pub const SWEEP_MS: u64 = 1000;
/// Connections of the metrics address that may be open.
pub const HTTP_CONNECTIONS_MAX: usize = 16;
/// Bytes that one of them may hold: a head, an answer's head, and an answer.
pub const HTTP_BYTES_MAX: usize = crate::http::HEAD_BYTES_MAX
    + crate::http::ANSWER_HEAD_BYTES_MAX
    + crate::metrics::BODY_BYTES_MAX;
/// Bytes of an answer of the metrics address that are written in one turn.
pub const HTTP_WRITE_BYTES: usize = 256 << 10;
/// The time in which a client of the metrics address has to send the head of a request.
pub const HTTP_HEAD_MS: u64 = 5000;
/// The time in which it has to take an answer.
pub const HTTP_ANSWER_MS: u64 = 10_000;
/// The time between two requests after which its connection is closed. Prometheus keeps its connection
/// from one scrape to the next, which by default is a minute.
pub const HTTP_IDLE_MS: u64 = 90_000;

const _: () = assert!(ALLOWANCE_BYTES < INPUT_BYTES && INPUT_BYTES < OUTPUT_HIGH_WATER);
const _: () = assert!(SMALL_ANSWER_BYTES < OUTPUT_HIGH_WATER && OUTPUT_BYTES < OUTPUT_BYTES_MAX);
const _: () = assert!(OUTPUT_HIGH_WATER < crate::protocol::LONG_LINE_BYTES_MAX);
