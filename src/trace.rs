//! What the server does, step by step: as the log lines of `-v` and `-vv`, and as a recording
//! (`--trace-file`). One function for each step of the event loop and of a request.
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
//! once, and those about its operations on the store twice.
//!
//! A recording has the steps of the event loop and of connections, and evictions; no requests, keys or
//! values. It is a ring in memory (`recorder`), and is written as a file that ui.perfetto.dev and
//! chrome://tracing open (`chrome`): when the server stops, and on SIGUSR2. If the process is killed,
//! the recording is lost.
//!
//! Without `-v` and `--trace-file` a call costs one comparison with a global number. While steps are
//! recorded, each of them reads the clock.

mod chrome;
mod recorder;
mod wait;

use std::cell::RefCell;
use std::collections::TryReserveError;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

pub use chrome::{Export, STEP_TEXT_BYTES_MAX};
use recorder::{Recorder, STEPS_MAX, Step};
pub use wait::Wait;

/// The target of these log lines, in place of the module's path.
const TARGET: &str = "miocached";

/// Steps are logged.
const LOGGED: u8 = 1;
/// Steps are recorded.
const RECORDED: u8 = 2;
/// What is done with steps: a sum of [`LOGGED`] and [`RECORDED`].
static STEPS: AtomicU8 = AtomicU8::new(0);

thread_local! {
    /// The recording of the one thread that there is.
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

macro_rules! log_step {
    ($($text:tt)+) => { log::trace!(target: TARGET, $($text)+) };
}

/// Records and logs a step, if that is asked for.
macro_rules! step {
    ($step:expr, $($text:tt)+) => {
        if STEPS.load(Ordering::Relaxed) != 0 {
            record($step);
            log_step!($($text)+);
        }
    };
}

/// Records a step, if steps are recorded and not just logged.
#[cold]
fn record(step: Step) {
    if STEPS.load(Ordering::Relaxed) & RECORDED == 0 {
        return;
    }
    RECORDER.with_borrow_mut(|recorder| {
        if let Some(recorder) = recorder {
            recorder.add(step);
        }
    });
}

/// Begins to record steps.
pub fn start_recording() {
    RECORDER.set(Some(Recorder::new(STEPS_MAX)));
    STEPS.fetch_or(RECORDED, Ordering::Relaxed);
}

/// Interrupts the recording and lends its steps, to be written. None if steps are not recorded.
#[must_use]
pub fn pause_recording() -> Option<Export> {
    STEPS.fetch_and(!RECORDED, Ordering::Relaxed);
    RECORDER.with_borrow_mut(|recorder| Some(Export::new(recorder.as_mut()?.lend())))
}

/// Goes on with the recording after [`pause_recording`].
pub fn resume_recording(written: Export) {
    RECORDER.with_borrow_mut(|recorder| {
        if let Some(recorder) = recorder {
            recorder.resume(written.into_steps());
        }
    });
    STEPS.fetch_or(RECORDED, Ordering::Relaxed);
}

/// A copy of the steps of the last `time`, but of at most `steps_max`, to be written. None if steps are
/// not recorded.
///
/// # Errors
/// When there is no memory for a copy of them.
pub fn recorded(time: Duration, steps_max: usize) -> Result<Option<Export>, TryReserveError> {
    RECORDER.with_borrow(|recorder| {
        let Some(recorder) = recorder else { return Ok(None) };
        recorder.last(time, steps_max).map(|steps| Some(Export::new(steps)))
    })
}

/// Sets the log level that this number of `-v` options sets at the start.
pub fn set_verbosity(level: u8) {
    set_level(match level {
        0 => log::LevelFilter::Info,
        1 => log::LevelFilter::Debug,
        2.. => log::LevelFilter::Trace,
    });
}

/// Sets the log level.
pub fn set_level(level: log::LevelFilter) {
    log::set_max_level(level);
    if level == log::LevelFilter::Trace {
        STEPS.fetch_or(LOGGED, Ordering::Relaxed);
    } else {
        STEPS.fetch_and(!LOGGED, Ordering::Relaxed);
    }
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
    if STEPS.load(Ordering::Relaxed) == 0 {
        return;
    }
    let timeout_ms = timeout.map(|timeout| limited(timeout.as_millis()));
    record(Step::Polls { timeout_ms });
    match timeout_ms {
        None => log_step!("poll waits for an event"),
        Some(0) => log_step!("poll does not wait"),
        Some(timeout_ms) => log_step!("poll waits at most {timeout_ms} ms"),
    }
}

/// The poll has returned, and a turn begins. A turn without events serves queued connections or a
/// deadline.
pub fn turn(number: u64, events: usize) {
    let s = if events == 1 { "" } else { "s" };
    step!(Step::Turn { number, events: limited(events) }, "turn {number}: {events} event{s}");
}

/// The poll has returned an event of a connection, which therefore gets a turn.
pub fn ready(connection: usize, readable: bool, writable: bool, closed: bool) {
    if STEPS.load(Ordering::Relaxed) == 0 {
        return;
    }
    record(Step::Ready { key: limited(connection), readable, writable, closed });
    let readable = if readable { " readable" } else { "" };
    let writable = if writable { " writable" } else { "" };
    let closed = match closed {
        true if readable.is_empty() && writable.is_empty() => " closed by the peer",
        true => ", closed by the peer",
        false => "",
    };
    log_step!("#{connection} is{readable}{writable}{closed}");
}

/// The poll has returned an event of a listener.
pub fn listener_ready(listener: &dyn Display) {
    step!(Step::ListenerReady, "listener {listener} is readable");
}

/// A signal has arrived.
pub fn signal(name: &'static str) {
    step!(Step::Signal { name }, "signal {name} arrives");
}

/// A deadline of a connection has passed.
pub fn deadline_passed(connection: usize, which: &'static str) {
    step!(
        Step::DeadlinePassed { key: limited(connection), which },
        "#{connection} deadline passed: {which}"
    );
}

// A connection.

/// A client has been accepted, from this port of its machine. Later lines call it `#connection`.
pub fn accepted(connection: usize, peer: &dyn Display, port: u16) {
    if STEPS.load(Ordering::Relaxed) != 0 {
        record(Step::Accepted { key: limited(connection), port });
    }
    log::debug!(target: TARGET, "#{connection} connected from {peer}");
}

/// A connection has been closed, for this reason.
pub fn closed(connection: usize, why: &'static str) {
    if STEPS.load(Ordering::Relaxed) != 0 {
        record(Step::Closed { key: limited(connection), why });
    }
    log::debug!(target: TARGET, "#{connection} closed: {why}");
}

/// A connection has been closed, because of this error.
pub fn failed(connection: usize, error: &dyn Display) {
    if STEPS.load(Ordering::Relaxed) != 0 {
        record(Step::Closed { key: limited(connection), why: "its socket failed" });
    }
    log::debug!(target: TARGET, "#{connection} closed: {error}");
}

/// A client of the metrics address asks for this path, which may have any characters.
pub fn metrics_request(path: &str) {
    log_step!("metrics: asked for {}", Key(path.as_bytes()));
}

/// Bytes have been read from the socket.
pub fn reads(connection: usize, bytes: usize) {
    step!(
        Step::Reads { key: limited(connection), bytes: limited(bytes) },
        "#{connection} reads {bytes} bytes"
    );
}

/// The peer has shut down its side: a read returned 0.
pub fn reads_end(connection: usize) {
    step!(Step::ReadsEnd { key: limited(connection) }, "#{connection} reads end of input");
}

/// So many bytes of requests have been executed. Their log lines are those of the requests.
pub fn executes(connection: usize, bytes: usize) {
    if STEPS.load(Ordering::Relaxed) != 0 {
        record(Step::Executes { key: limited(connection), bytes: limited(bytes) });
    }
}

/// The socket has taken `bytes` of the `waiting` bytes of output.
pub fn writes(connection: usize, bytes: usize, waiting: usize) {
    step!(
        Step::Writes { key: limited(connection), bytes: limited(bytes), of: limited(waiting) },
        "#{connection} writes {bytes} of {waiting} bytes"
    );
}

/// A system call (`read`, `write`) returned "would block": the next edge announces more.
pub fn would_block(connection: usize, call: &'static str) {
    step!(Step::WouldBlock { key: limited(connection), call }, "#{connection} {call} would block");
}

/// `accept` returned "would block": the listener's queue is empty.
pub fn accept_would_block(listener: &dyn Display) {
    step!(Step::AcceptWouldBlock, "listener {listener} accept would block");
}

/// The events that epoll reports for this connection have been changed.
pub fn interest(connection: usize, writable: bool) {
    let and_writable = if writable { " and writable" } else { "" };
    log_step!("#{connection} interest: readable{and_writable}");
}

/// Memory for buffers is short, so input has been peeked at and stays in the kernel's buffer.
pub fn peeks(connection: usize, bytes: usize) {
    step!(
        Step::Peeks { key: limited(connection), bytes: limited(bytes) },
        "#{connection} peeks at {bytes} bytes"
    );
}

/// The current request or answer needs more memory for buffers than is free.
pub fn waits_for_memory(connection: usize, bytes: usize) {
    step!(
        Step::WaitsForMemory { key: limited(connection), bytes: limited(bytes) },
        "#{connection} waits for {bytes} bytes of buffer memory"
    );
}

/// Memory for buffers is short, and the socket's send buffer has no room for an answer.
pub fn needs_room(connection: usize) {
    log_step!("#{connection} waits for space in its send buffer");
}

/// A connection that waited for memory for buffers gets it and continues.
pub fn granted(connection: usize) {
    step!(Step::Granted { key: limited(connection) }, "#{connection} gets its buffer memory");
}

/// Lingering close: the output is shut down, and further input is read and dropped.
pub fn lingers(connection: usize) {
    log_step!("#{connection} lingers: output shut down, input dropped");
}

/// The connection's state after its turn: the loop's `Next`. `wait` finds what it waits for, and how many
/// bytes of answers are unsent.
pub fn next(connection: usize, next: &dyn Display, wait: impl FnOnce() -> (Wait, usize)) {
    if STEPS.load(Ordering::Relaxed) != 0 {
        let (wait, unsent_bytes) = wait();
        record(Step::Next { key: limited(connection), wait, bytes: limited(unsent_bytes) });
        log_step!("#{connection} next: {next}");
    }
}

// A request.

/// A request has been parsed. A request that was interrupted is logged again with the rest of it.
pub fn parsed(dialect: &dyn Display, command: &dyn Display) {
    log_step!("  {dialect} {command}");
}

/// The input is no valid request and has been answered with this error.
pub fn refused(answer: &str) {
    log_step!("  refused: {answer}");
}

/// A request has been interrupted, for this reason. It is resumed later.
pub fn stalled(why: &str) {
    log_step!("    interrupted: {why}");
}

// The store.

/// A key was found.
pub fn hit(key: &[u8], value_bytes: usize) {
    log_step!("    hit \"{}\", {value_bytes} bytes", Key(key));
}

/// A key was not found.
pub fn miss(key: &[u8]) {
    log_step!("    miss \"{}\"", Key(key));
}

/// A value has been stored.
pub fn stored(key: &[u8], value_bytes: usize) {
    log_step!("    stored \"{}\", {value_bytes} bytes", Key(key));
}

/// An item has been deleted.
pub fn deleted(key: &[u8]) {
    log_step!("    deleted \"{}\"", Key(key));
}

/// A live item has been evicted to make room.
pub fn evicted(key: &[u8], value_bytes: usize) {
    step!(
        Step::Evicted { items: 1, bytes: value_bytes as u64 },
        "    evicted \"{}\", {value_bytes} bytes",
        Key(key)
    );
}

/// An expired item has been found and removed.
pub fn expired(key: &[u8]) {
    step!(Step::Expired { items: 1 }, "    expired \"{}\"", Key(key));
}

/// A number for a step, which has 32 bits for it.
fn limited(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

/// Bytes of a client for the log, such as a key: escaped, and cut after 64 of them.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// With `-vv` steps are logged while the recording is being written, and are not recorded.
    #[test]
    fn nothing_is_recorded_during_a_pause() {
        let recorded_steps = || {
            let last = RECORDER.with_borrow(|recorder| {
                recorder.as_ref().map(|recorder| recorder.last(Duration::MAX, usize::MAX))
            });
            last.expect("it records").expect("there is memory").0.len()
        };
        start_recording();
        STEPS.fetch_or(LOGGED, Ordering::Relaxed);
        reads(1, 2);
        assert_eq!(recorded_steps(), 1);
        let paused = pause_recording().expect("it records");
        reads(1, 2);
        assert_eq!(recorded_steps(), 0);
        resume_recording(paused);
        reads(1, 2);
        assert_eq!(recorded_steps(), 3, "both reads, and that it has been resumed");
        STEPS.store(0, Ordering::Relaxed);
    }
}
