//! The network: sockets, readiness and time. The only layer that makes system calls.
//!
//! * [`reactor`]: the poll loop, the connections and the run queue
//! * [`connection`]: one socket's turn: read, execute, write
//! * [`buffer`]: the working buffers and the budget for what connections keep
//! * [`door`]: who is let in, and when
//! * [`listener`]: TCP and Unix listeners, and the sockets they accept
//! * `farewell`: how the server hangs up without taking answers back
//! * `overdue`: who holds what others wait for, who has gone silent, and who does not go
//! * `server_stats`: what `stats` tells of all this
//! * [`clock`]: the one place that asks what time it is
//! * [`stdio`]: standard input and output as one connection
//!
//! How much work and how much memory a turn may take stands here, each with its unit.

pub mod buffer;
pub mod clock;
pub mod connection;
pub mod door;
mod farewell;
pub mod listener;
pub mod notice;
mod overdue;
pub mod reactor;
mod server_stats;
pub mod stdio;

/// Bytes of the working input buffer: the most requests that one connection may have executed before
/// the others get their turn. Only a single request that is longer is read into a longer buffer.
pub const INPUT_BYTES: usize = 16 * 1024;
/// Bytes of output at which a connection stops executing and writes.
pub const OUTPUT_HIGH_WATER: usize = 64 * 1024;
/// The working output buffer is given back to the allocator when a large value made it grow above
/// this many bytes.
pub const WORKING_OUTPUT_BYTES_MAX: usize = 2 << 20;
/// Bytes of all larger buffers together that are kept for the next large request or answer. They are
/// part of the budget.
pub const SPARE_BYTES_MAX: usize = 4 << 20;
/// Bytes of input and, apart, of output that a connection may keep between two turns without
/// asking the budget: one classic line of the greatest length and a little more.
pub const ALLOWANCE_BYTES: usize = crate::protocol::LINE_BYTES_MAX + 64;
/// Readiness events taken from the kernel at once.
pub const EVENTS_PER_TURN: usize = 1024;
/// Connections that one listener may accept before those that are open get their turn.
pub const ACCEPTS_PER_TURN: usize = 64;
/// How long accepting rests when the process is out of descriptors and none of its own leaves.
pub const ACCEPT_RETRY_MS: u64 = 100;
/// How long a stopping server waits for its clients to take their last answers: with its last turn
/// it is gone within a second.
pub const STOP_MS: u64 = 950;
/// Bytes that are read and dropped after the end of a conversation, so that hanging up does not take
/// the last answers back. A client who sends more behind its end may lose them.
pub const FAREWELL_BYTES_MAX: usize = 1 << 20;
/// How long a client has for that, and at most [`FAREWELL_CHECK_MS`] more, before it is left to itself.
pub const FAREWELL_MS: u64 = 1000;
/// How often at most all connections are looked at for that.
pub const FAREWELL_CHECK_MS: u64 = 1000;
/// How long a connection may sit on a share of the buffer budget without moving [`INPUT_BYTES`]
/// while others wait for it.
pub const STUCK_MS: u64 = 10_000;
/// How often that is looked at while somebody waits.
pub const STUCK_CHECK_MS: u64 = 1000;
/// How often at most all connections are looked at for `-o idle_timeout`.
pub const IDLE_CHECK_MS: u64 = 1000;

const _: () = assert!(ALLOWANCE_BYTES < INPUT_BYTES && INPUT_BYTES < OUTPUT_HIGH_WATER);
const _: () = assert!(OUTPUT_HIGH_WATER < crate::protocol::LONG_LINE_BYTES_MAX);
