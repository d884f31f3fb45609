//! The engine: what a command means. Commands in, store operations and replies out.
//!
//! Owns the one [`Store`] that all connections change, and the counter behind cas ids. Knows no
//! socket and no clock: [`Now`] is an argument.

use std::collections::TryReserveError;

use crate::config::Config;
use crate::protocol::{Command, Reply, ReplyWriter, Retrieval, StoreMode};
use crate::store::{Meta, NEVER, Store, Stored};
use crate::trace;

/// Relative exptimes reach this far; larger ones are Unix times (memcached's `REALTIME_MAXDELTA`).
const RELATIVE_EXPTIME_MAX_S: i32 = 60 * 60 * 24 * 30;
/// A second that is over before any server has started: [`Now::uptime_s`] begins above it.
const LONG_GONE_S: u32 = 1;

/// One moment, read from the clocks once per turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Seconds on a monotonic clock which showed [`Now::FIRST_S`] when the server started.
    pub uptime_s: u32,
    /// Seconds since 1970 on the wall clock.
    pub unix_s: i64,
}

impl Now {
    /// The uptime at which a server starts: past [`NEVER`] and past everything long gone.
    pub const FIRST_S: u32 = 2;

    /// The second in which an item expires that gets this `exptime` from a client: 0 is never,
    /// below 0 is at once, up to 30 days counts from now, and more is a Unix time.
    fn deadline_s(self, exptime: i32) -> u32 {
        match exptime {
            0 => NEVER,
            ..0 => LONG_GONE_S,
            1..=RELATIVE_EXPTIME_MAX_S => self.uptime_s.saturating_add(exptime.unsigned_abs()),
            _ => {
                let in_s = i64::from(exptime) - self.unix_s;
                let at_s = i64::from(self.uptime_s).saturating_add(in_s);
                u32::try_from(at_s.max(i64::from(LONG_GONE_S))).unwrap_or(u32::MAX)
            }
        }
    }
}

/// What became of a command.
#[derive(Debug)]
pub enum Executed<'a> {
    /// It has been executed and answered.
    Done,
    /// This is left to do: the output has to drain first, or room for a large value takes more
    /// steps, between which others have their turn.
    Stalled(Command<'a>),
    /// The client wants to leave.
    Quit,
}

/// The meaning of every command, over one store.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    /// The cas id given last; the next one is above it. Never given out as 0.
    last_cas: u64,
}

impl Engine {
    /// An engine over an empty store of the size that `config` says.
    ///
    /// # Errors
    /// When there is not so much memory.
    pub fn new(config: &Config) -> Result<Self, TryReserveError> {
        Ok(Self { store: Store::new(config.memory_bytes_max, config.evicts)?, last_cas: 0 })
    }

    /// Executes one command and writes its answer.
    pub fn execute<'a>(
        &mut self,
        command: Command<'a>,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        match command {
            Command::Retrieve { retrieval, mut keys } => loop {
                let rest = keys;
                let Some(key) = keys.next() else {
                    reply.end();
                    return Executed::Done;
                };
                if !self.fetch(key, retrieval, now, reply) {
                    trace::stalled("the output is full");
                    return Executed::Stalled(Command::Retrieve { retrieval, keys: rest });
                }
            },
            Command::Store { mode: StoreMode::Set, key, flags, exptime, value } => {
                let cas = self.last_cas + 1;
                let meta = Meta { flags, expires_at_s: now.deadline_s(exptime), cas };
                match self.store.set(key, value, meta, now.uptime_s) {
                    Stored::Kept => {
                        self.last_cas = cas;
                        trace::stored(key, value.len());
                        reply.line(Reply::Stored);
                    }
                    Stored::NeedsStep => {
                        trace::stalled("room for the value takes more steps");
                        return Executed::Stalled(command);
                    }
                    Stored::NoRoom => {
                        // As with a value that is too large.
                        self.store.delete(key, now.uptime_s);
                        reply.line(Reply::OutOfMemory);
                    }
                }
            }
            Command::TooLarge { mode: StoreMode::Set, key } => {
                // The client wanted the old value replaced, so it must not be served any more.
                self.store.delete(key, now.uptime_s);
                reply.line(Reply::TooLarge);
            }
            Command::Delete { key } => {
                if self.store.delete(key, now.uptime_s) {
                    trace::deleted(key);
                    reply.line(Reply::Deleted);
                } else {
                    trace::miss(key);
                    reply.line(Reply::NotFound);
                }
            }
            Command::Version => reply.line(Reply::Version),
            Command::Quit => return Executed::Quit,
        }
        Executed::Done
    }

    /// Writes one key's hit, or nothing for a miss. False when it has to wait for room.
    fn fetch(
        &mut self,
        key: &[u8],
        retrieval: Retrieval,
        now: Now,
        reply: &mut ReplyWriter<'_>,
    ) -> bool {
        let Some(item) = self.store.get(key, now.uptime_s) else {
            trace::miss(key);
            return true;
        };
        let cas = retrieval.with_cas.then_some(item.meta.cas);
        let written = reply.value(key, item.meta.flags, item.value, cas);
        if written {
            trace::hit(key, item.value.len());
        }
        written
    }

    /// Checks every invariant of the store the slow way. For tests.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn verify(&self) {
        self.store.verify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exptimes_become_deadlines() {
        let now = Now { uptime_s: 1000, unix_s: 1_700_000_000 };
        assert_eq!(now.deadline_s(0), NEVER);
        assert_eq!(now.deadline_s(-1), LONG_GONE_S);
        assert_eq!(now.deadline_s(1), 1001);
        assert_eq!(now.deadline_s(2_592_000), 2_593_000);
        // One second more than thirty days is a second of the year 1970.
        assert_eq!(now.deadline_s(2_592_001), LONG_GONE_S);
        assert_eq!(now.deadline_s(1_700_000_000), 1000);
        assert_eq!(now.deadline_s(1_700_000_060), 1060);
        assert_eq!(now.deadline_s(i32::MAX), 1000 + (2_147_483_647 - 1_700_000_000));
    }
}
