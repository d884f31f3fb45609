//! The log lines of `-v` and `-vv`: one function for each step of the event loop and of a request.
//!
//! Any layer may call these functions. They use no type of any layer. `-v` logs connections (level
//! debug), `-vv` every step (level trace):
//!
//! ```text
//! poll waits for an event
//! turn 7: 1 event
//! #3 is readable
//! #3 reads 10 bytes
//!   classic get "nope"
//!     miss "nope"
//! #3 writes 5 of 5 bytes
//! #3 next: waits
//! ```
//! Lines about the event loop and connections are not indented, those about a request are indented
//! once, and those about its operations on the store twice. Without `-v` a call costs one comparison
//! with a global level.

mod wait;

use std::fmt::{self, Display};
use std::time::Duration;

pub use wait::Wait;

/// The target of these log lines, in place of the module's path.
const TARGET: &str = "miocached";

macro_rules! step {
    ($($text:tt)+) => { log::trace!(target: TARGET, $($text)+) };
}

/// Sets the log level that this number of `-v` options sets at the start.
pub fn set_verbosity(level: u8) {
    log::set_max_level(match level {
        0 => log::LevelFilter::Info,
        1 => log::LevelFilter::Debug,
        2.. => log::LevelFilter::Trace,
    });
}

/// Whether `-vv` is on. For calls whose arguments take some instructions.
#[inline]
#[must_use]
pub fn shows_steps() -> bool {
    log::log_enabled!(target: TARGET, log::Level::Trace)
}

/// The kernel has refused huge pages for the items, or the system has none.
pub fn no_huge_pages(why: &dyn Display) {
    log::warn!(target: TARGET, "-L: no huge pages: {why}");
}

// The event loop.

/// The loop is about to poll for events. It waits until the next deadline, without limit if there is
/// none, and not at all while connections are queued.
pub fn polls(timeout: Option<Duration>) {
    match timeout {
        None => step!("poll waits for an event"),
        Some(Duration::ZERO) => step!("poll does not wait"),
        Some(timeout) => step!("poll waits at most {} ms", timeout.as_millis()),
    }
}

/// The poll has returned, and a turn begins. A turn without events serves queued connections or a
/// deadline.
pub fn turn(number: u64, events: usize) {
    let s = if events == 1 { "" } else { "s" };
    step!("turn {number}: {events} event{s}");
}

/// The poll has returned an event of a connection, which therefore gets a turn.
pub fn ready(connection: usize, readable: bool, writable: bool, closed: bool) {
    if !shows_steps() {
        return;
    }
    let readable = if readable { " readable" } else { "" };
    let writable = if writable { " writable" } else { "" };
    let closed = match closed {
        true if readable.is_empty() && writable.is_empty() => " closed by the peer",
        true => ", closed by the peer",
        false => "",
    };
    step!("#{connection} is{readable}{writable}{closed}");
}

/// The poll has returned an event of a listener.
pub fn listener_ready(listener: &dyn Display) {
    step!("listener {listener} is readable");
}

/// A signal has arrived.
pub fn signal(name: &str) {
    step!("signal {name} arrives");
}

/// A deadline of a connection has passed.
pub fn deadline_passed(connection: usize, which: &str) {
    step!("#{connection} deadline passed: {which}");
}

// A connection.

/// A client has been accepted. Later lines call it `#connection`.
pub fn accepted(connection: usize, peer: &dyn Display) {
    log::debug!(target: TARGET, "#{connection} connected from {peer}");
}

/// A connection has been closed, for this reason.
pub fn closed(connection: usize, why: &dyn Display) {
    log::debug!(target: TARGET, "#{connection} closed: {why}");
}

/// Bytes have been read from the socket.
pub fn reads(connection: usize, bytes: usize) {
    step!("#{connection} reads {bytes} bytes");
}

/// The peer has shut down its side: a read returned 0.
pub fn reads_end(connection: usize) {
    step!("#{connection} reads end of input");
}

/// The socket has taken `bytes` of the `waiting` bytes of output.
pub fn writes(connection: usize, bytes: usize, waiting: usize) {
    step!("#{connection} writes {bytes} of {waiting} bytes");
}

/// A system call (`read`, `write`) returned "would block": the next edge announces more.
pub fn would_block(connection: usize, call: &str) {
    step!("#{connection} {call} would block");
}

/// `accept` returned "would block": the listener's queue is empty.
pub fn accept_would_block(listener: &dyn Display) {
    step!("listener {listener} accept would block");
}

/// The events that epoll reports for this connection have been changed.
pub fn interest(connection: usize, writable: bool) {
    let and_writable = if writable { " and writable" } else { "" };
    step!("#{connection} interest: readable{and_writable}");
}

/// Memory for buffers is short, so input has been peeked at and stays in the kernel's buffer.
pub fn peeks(connection: usize, bytes: usize) {
    step!("#{connection} peeks at {bytes} bytes");
}

/// The current request or answer needs more memory for buffers than is free.
pub fn waits_for_memory(connection: usize, bytes: usize) {
    step!("#{connection} waits for {bytes} bytes of buffer memory");
}

/// Memory for buffers is short, and the socket's send buffer has no room for an answer.
pub fn needs_room(connection: usize) {
    step!("#{connection} waits for space in its send buffer");
}

/// A connection that waited for memory for buffers gets it and continues.
pub fn granted(connection: usize) {
    step!("#{connection} gets its buffer memory");
}

/// Lingering close: the output is shut down, and further input is read and dropped.
pub fn lingers(connection: usize) {
    step!("#{connection} lingers: output shut down, input dropped");
}

/// The connection's state after its turn: the loop's `Next`.
pub fn next(connection: usize, next: &dyn Display) {
    step!("#{connection} next: {next}");
}

// A request.

/// A request has been parsed. A request that was interrupted is logged again with the rest of it.
pub fn parsed(dialect: &dyn Display, command: &dyn Display) {
    step!("  {dialect} {command}");
}

/// The input is no valid request and has been answered with this error.
pub fn refused(answer: &str) {
    step!("  refused: {answer}");
}

/// A request has been interrupted, for this reason. It is resumed later.
pub fn stalled(why: &str) {
    step!("    interrupted: {why}");
}

// The store.

/// A key was found.
pub fn hit(key: &[u8], value_bytes: usize) {
    step!("    hit \"{}\", {value_bytes} bytes", Key(key));
}

/// A key was not found.
pub fn miss(key: &[u8]) {
    step!("    miss \"{}\"", Key(key));
}

/// A value has been stored.
pub fn stored(key: &[u8], value_bytes: usize) {
    step!("    stored \"{}\", {value_bytes} bytes", Key(key));
}

/// An item has been deleted.
pub fn deleted(key: &[u8]) {
    step!("    deleted \"{}\"", Key(key));
}

/// A live item has been evicted to make room.
pub fn evicted(key: &[u8], value_bytes: usize) {
    step!("    evicted \"{}\", {value_bytes} bytes", Key(key));
}

/// An expired item has been found and removed.
pub fn expired(key: &[u8]) {
    step!("    expired \"{}\"", Key(key));
}

/// A key for the log: escaped, and cut after 64 bytes.
pub struct Key<'a>(pub &'a [u8]);

impl Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES_MAX: usize = 64;
        match self.0.split_at_checked(SHOWN_BYTES_MAX) {
            Some((start, rest)) if !rest.is_empty() => {
                write!(f, "{}... and {} more bytes", start.escape_ascii(), rest.len())
            }
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}
