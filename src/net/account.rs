//! The memory account: how many bytes the buffers of all connections hold, and which connection may
//! take more.
//!
//! A connection is charged what it holds: the capacity of its buffers between two turns, not the size
//! that a request announces. A buffer of up to [`ALLOWANCE_BYTES`] is free of charge.
//! During its turn a connection uses the working buffers of [`super::buffer`], which all connections
//! share and which are not charged.
//!
//! ```text
//! --buffer-limit   | large and small needs               | small needs | pool | overdraft |
//!                  |<---------------- limit ---------------------------->|
//! ```
//! * A *small need* is what one turn with the working buffers can leave unfinished: a request of up
//!   to [`INPUT_BYTES`], and an answer of up to [`SMALL_ANSWER_BYTES`]. It may use the whole limit, and
//!   it never waits. When the limit is used up, a turn leaves nothing unfinished
//!   ([`Account::is_short_for`]).
//! * A *large need* is a longer request or a longer answer, and a request that cannot stay in the
//!   kernel's buffer (`Connection::leave_to_kernel`). It may not use the last eighth of the limit. A
//!   connection whose large need does not fit waits in one line. The first of the line is granted its
//!   need first, and no later large need is granted before it.
//! * The *overdraft* is as large as the largest request and the largest answer together. One
//!   connection at a time may use it: the first of the line, when its need does not fit.
//!
//! **No set of connections can block each other for good.** Only large needs wait for memory, and
//! only in the line. The first of the line is granted its need, or gets the overdraft, unless
//! another connection has it. The overdraft holder never waits for memory; it waits only for its own
//! client. Either that client sends and reads on: then the holder finishes, holds nothing, and the
//! overdraft is free. Or it moves too little for what it holds, and is closed ([`super::timeouts`]).
//! So the first of the line waits for a bounded time, and so does every connection after it. Charging
//! a large request for all of its bytes in advance would not make that argument stronger, and 56
//! clients that have sent 17 KB each would use up 56 MiB.
//!
//! The price: many half-read requests may wait for each other, and go on one by one. Each takes
//! milliseconds if its client has more to send. A client that sends nothing after its grant is closed a
//! second later. What it held is enough for two others, so the number of those closed doubles each
//! time, and 120 such clients are closed in seven rounds.

use std::collections::VecDeque;

use super::{ALLOWANCE_BYTES, INPUT_BYTES, POOL_BYTES_MAX, SMALL_ANSWER_BYTES};
use crate::config::Config;
use crate::protocol::LONG_LINE_BYTES_MAX;

/// The most that one turn can leave unfinished without a large need: a request, and small answers to
/// which the last request may have added some lines.
const TURN_BYTES_MAX: usize = INPUT_BYTES + 2 * SMALL_ANSWER_BYTES;

/// The most bytes that one request or one answer may take: the longest line, and an item.
const fn request_bytes_max(config: &Config) -> usize {
    LONG_LINE_BYTES_MAX + config.item_bytes_max
}

/// The bytes that all buffers together may take: `--buffer-limit`, or what two of the largest
/// requests and their answers need, if that is more.
#[must_use]
pub fn budget_bytes(config: &Config) -> usize {
    config.buffer_bytes_max.max(4 * request_bytes_max(config))
}

/// The part of the budget that the buffer pool may hold.
pub(super) fn pool_bytes(config: &Config) -> usize {
    let beside_overdraft = budget_bytes(config) - 2 * request_bytes_max(config);
    POOL_BYTES_MAX.min(beside_overdraft / 8)
}

/// What one connection is charged, and what it waits for. Only the account changes what is charged.
#[derive(Debug)]
pub(super) struct Share {
    /// The connection's key in the slab.
    key: usize,
    charged: usize,
    /// Bytes that the connection has to hold in all before it can go on; 0 when it can go on.
    wanted: usize,
    /// The connection is in the line.
    waiting: bool,
    /// Part of what the connection is charged has been granted for its next turn.
    granted: bool,
    /// The connection held something while it waited for more, and has held something ever since.
    resumed: bool,
}

impl Share {
    pub(super) const fn new(key: usize) -> Self {
        Self { key, charged: 0, wanted: 0, waiting: false, granted: false, resumed: false }
    }

    pub(super) const fn key(&self) -> usize {
        self.key
    }

    pub(super) const fn charged(&self) -> usize {
        self.charged
    }

    pub(super) const fn wants(&self) -> bool {
        self.wanted > 0
    }

    pub(super) const fn wanted(&self) -> usize {
        self.wanted
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// What the connection wanted has been granted for this turn.
    pub(super) const fn is_granted(&self) -> bool {
        self.granted
    }

    /// The connection waited for more than it held, has been granted that, and has not finished yet.
    pub(super) const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Sets how many bytes the connection has to hold in all before it can go on.
    pub(super) const fn want(&mut self, bytes: usize) {
        self.wanted = bytes;
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Account {
    /// What all connections may be charged together, the overdraft aside.
    limit: usize,
    /// The part of `limit` that large needs may use. Invariant: `for_large <= limit`.
    for_large: usize,
    /// The buffer pool's own part of the budget.
    pool: usize,
    /// Invariant: the sum of what the shares are charged.
    charged: usize,
    /// Invariant: a connection that is charged something, or has just been granted something.
    overdraft_holder: Option<usize>,
    /// Keys of the connections that wait, the longest wait first. Invariant: each once, and exactly
    /// the connections whose share is `waiting`.
    line: VecDeque<usize>,
}

impl Account {
    pub(super) fn new(config: &Config) -> Self {
        let pool = pool_bytes(config);
        let limit = budget_bytes(config) - 2 * request_bytes_max(config) - pool;
        let for_large = limit - limit / 8;
        Self { limit, for_large, pool, charged: 0, overdraft_holder: None, line: VecDeque::new() }
    }

    /// What all connections are charged, and may be.
    pub(super) const fn bytes(&self) -> (usize, usize) {
        (self.charged, self.limit)
    }

    /// Bytes that the buffer pool may hold: its own part, and the part of the limit that is not charged.
    pub(super) fn pool_may_hold(&self) -> usize {
        self.pool + self.limit.saturating_sub(self.charged)
    }

    /// Connections that wait.
    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Bytes that the buffers of this connection may hold in all, a large need included.
    pub(super) fn may_hold(&self, share: &Share) -> usize {
        if self.overdraft_holder == Some(share.key) {
            return usize::MAX / 2;
        }
        // While others wait, free memory is reserved for them.
        let free =
            if self.line.is_empty() { self.for_large.saturating_sub(self.charged) } else { 0 };
        share.charged + free
    }

    /// Memory is too short for what a turn of this connection, which holds `held` bytes, can leave
    /// unfinished. The turn must then leave nothing: an unfinished request stays in the kernel's buffer,
    /// and nothing is executed before the kernel has room for the answer.
    pub(super) fn is_short_for(&self, share: &Share, held: usize) -> bool {
        let free = self.limit.saturating_sub(self.charged);
        let may_leave = (share.charged + free).saturating_sub(held);
        may_leave < TURN_BYTES_MAX && !share.granted && self.overdraft_holder != Some(share.key)
    }

    /// Charges the connection for what its buffers hold now, instead of what it was charged before.
    pub(super) fn charge(&mut self, share: &mut Share, held: usize) {
        debug_assert!(share.charged <= self.charged, "a share that is not in the sum");
        self.charged = self.charged - share.charged + held;
        (share.charged, share.granted) = (held, false);
        share.resumed &= held > 0;
        if held == 0 && self.overdraft_holder == Some(share.key) {
            self.overdraft_holder = None;
        }
    }

    /// Puts a connection into the line, unless it is there.
    pub(super) fn wait(&mut self, share: &mut Share) {
        if !share.waiting {
            share.waiting = true;
            self.line.push_back(share.key);
        }
    }

    /// The connection that has waited longest.
    pub(super) fn first_waiting(&self) -> Option<usize> {
        self.line.front().copied()
    }

    /// Grants the first connection of the line what it wants, from free memory or as the overdraft. It
    /// is charged at once, so that these bytes are not granted twice before its turn. False if it has
    /// to go on waiting.
    pub(super) fn grant(&mut self, first: &mut Share) -> bool {
        debug_assert_eq!(self.first_waiting(), Some(first.key), "another one waits longer");
        let free = self.for_large.saturating_sub(self.charged);
        let more = first.wanted.saturating_sub(first.charged);
        if more > free && *self.overdraft_holder.get_or_insert(first.key) != first.key {
            return false;
        }
        self.line.pop_front();
        (first.waiting, first.granted) = (false, more > 0);
        first.resumed |= first.charged > 0;
        self.charged += more;
        first.charged += more;
        true
    }

    /// Forgets a connection that is closed.
    pub(super) fn close(&mut self, share: &mut Share) {
        self.charge(share, 0);
        if share.waiting {
            share.waiting = false;
            self.line.retain(|&key| key != share.key);
        }
    }
}

/// What a buffer of this capacity is charged.
pub(super) const fn counted(capacity: usize) -> usize {
    if capacity <= ALLOWANCE_BYTES { 0 } else { capacity }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn account() -> Account {
        Account::new(&Config::default())
    }

    #[test]
    fn the_parts_come_to_the_budget() {
        let account = account();
        assert_eq!((account.limit, account.for_large), (56 * MIB, 49 * MIB));
        let parts = account.limit + POOL_BYTES_MAX + 4 * MIB;
        assert_eq!(parts, budget_bytes(&Config::default()));
        assert_eq!(account.pool_may_hold(), 60 * MIB);
    }

    #[test]
    fn large_needs_leave_the_last_eighth_to_small_ones() {
        let mut account = account();
        let (mut large, mut small) = (Share::new(1), Share::new(2));
        assert_eq!(account.may_hold(&large), 49 * MIB);
        account.charge(&mut large, 49 * MIB);
        assert_eq!(account.may_hold(&small), 0);
        assert!(!account.is_short_for(&small, 0));
        account.charge(&mut small, 7 * MIB - TURN_BYTES_MAX + 1);
        assert!(account.is_short_for(&Share::new(3), 0));
        // What it is charged already it may leave again.
        assert!(!account.is_short_for(&small, 1000));
    }

    #[test]
    fn the_first_of_the_line_may_always_go_on() {
        let mut account = account();
        let mut holder = Share::new(1);
        account.charge(&mut holder, 49 * MIB);
        let mut waiting: Vec<_> = (2..5).map(Share::new).collect();
        for share in &mut waiting {
            share.want(MIB);
            account.wait(share);
            account.wait(share);
        }
        assert_eq!((account.waiting(), account.first_waiting()), (3, Some(2)));
        assert!(account.grant(&mut waiting[0]));
        assert_eq!(account.may_hold(&waiting[0]), usize::MAX / 2);
        // One at a time, until it holds nothing.
        assert!(!account.grant(&mut waiting[1]));
        account.charge(&mut waiting[0], 2 * MIB);
        assert!(!account.grant(&mut waiting[1]));
        account.charge(&mut waiting[0], 0);
        assert!(account.grant(&mut waiting[1]));
        account.close(&mut waiting[1]);
        // What becomes free goes to the connections that wait, and not to others.
        account.charge(&mut holder, 40 * MIB);
        assert_eq!(account.may_hold(&holder), 40 * MIB);
        assert!(account.grant(&mut waiting[2]));
        assert_eq!((account.waiting(), account.overdraft_holder), (0, None));
        assert_eq!(account.bytes(), (41 * MIB, 56 * MIB));
        assert_eq!(account.may_hold(&holder), 48 * MIB);
    }

    #[test]
    fn a_closed_connection_is_charged_nothing() {
        let mut account = account();
        let (mut holder, mut first, mut second) = (Share::new(1), Share::new(2), Share::new(3));
        account.charge(&mut holder, 49 * MIB);
        for share in [&mut first, &mut second] {
            share.want(MIB);
            account.wait(share);
        }
        assert!(account.grant(&mut first));
        account.close(&mut first);
        account.close(&mut second);
        account.close(&mut holder);
        assert_eq!((account.bytes().0, account.waiting(), account.overdraft_holder), (0, 0, None));
    }
}
