//! The study vocabulary: one function for each step that a connection or a request goes through.
//!
//! Any layer may call these; nothing here changes anything or knows a layer's types. `-v` shows
//! connections (level debug), `-vv` every step (level trace), in this order:
//!
//! ```text
//! turn 7: 1 event
//! #3 reads 10 bytes
//!   classic get "nope"
//!     miss "nope"
//! #3 writes 5 of 5 bytes
//! ```
//! Without `-v` each call costs one comparison of a global level.

use std::fmt::{self, Display};

/// The log's name for all of these lines, instead of this module's.
const TARGET: &str = "miocached";

macro_rules! step {
    ($($text:tt)+) => { log::trace!(target: TARGET, $($text)+) };
}

/// Shows as much from now on as `-v` does when it is given so often.
pub fn set_verbosity(level: u8) {
    log::set_max_level(match level {
        0 => log::LevelFilter::Info,
        1 => log::LevelFilter::Debug,
        2.. => log::LevelFilter::Trace,
    });
}

/// The kernel gives none to those who ask.
pub fn no_huge_pages(why: &dyn Display) {
    log::warn!(target: TARGET, "-L: no huge pages: {why}");
}

/// The loop has woken up.
pub fn turn(number: u64, events: usize) {
    let s = if events == 1 { "" } else { "s" };
    step!("turn {number}: {events} event{s}");
}

/// A client has been accepted and is called `#connection` from now on.
pub fn accepted(connection: usize, peer: &dyn Display) {
    log::debug!(target: TARGET, "#{connection} connected from {peer}");
}

/// Why a connection ends.
pub fn closed(connection: usize, why: &dyn Display) {
    log::debug!(target: TARGET, "#{connection} closed: {why}");
}

/// Bytes have been read from the socket.
pub fn reads(connection: usize, bytes: usize) {
    step!("#{connection} reads {bytes} bytes");
}

/// The peer will send no more.
pub fn reads_end(connection: usize) {
    step!("#{connection} reads the end of its input");
}

/// Bytes have been written to the socket, out of those that were waiting.
pub fn writes(connection: usize, bytes: usize, waiting: usize) {
    step!("#{connection} writes {bytes} of {waiting} bytes");
}

/// A connection waits for the buffer budget.
pub fn waits_for_buffers(connection: usize, bytes: usize) {
    step!("#{connection} waits for {bytes} bytes of the buffer budget");
}

/// A request has been understood. One that stalled comes back as what is left of it.
pub fn parsed(dialect: &str, command: &dyn Display) {
    step!("  {dialect} {command}");
}

/// Something that is no request is refused, and so answered.
pub fn refused(answer: &str) {
    step!("  refused: {answer}");
}

/// A request waits for its reader, or for room.
pub fn stalled(why: &str) {
    step!("    stalls: {why}");
}

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

/// A key has been forgotten.
pub fn deleted(key: &[u8]) {
    step!("    deleted \"{}\"", Key(key));
}

/// A key as the log shows it: escaped, and no more of it than makes a readable line.
pub struct Key<'a>(pub &'a [u8]);

impl Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES_MAX: usize = 64;
        match self.0.split_at_checked(SHOWN_BYTES_MAX) {
            Some((start, rest)) if !rest.is_empty() => {
                write!(f, "{}... and {} bytes more", start.escape_ascii(), rest.len())
            }
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}
