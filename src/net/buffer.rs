//! Buffers: what a connection reads into and writes from, and how much all of them may hold.
//!
//! While a connection is driven it uses the two working buffers, which all connections share in
//! turn, so that they stay in the processor's cache and an idle connection holds none. Between
//! two turns it keeps no more than what is unread or unsent. Small remainders
//! ([`ALLOWANCE_BYTES`]) are free; everything above counts against one [`Budget`]. Knows no
//! socket and no protocol.

use super::{ALLOWANCE_BYTES, INPUT_BYTES, SPARE_BYTES_MAX, WORKING_OUTPUT_BYTES_MAX};
use crate::config::Config;
use crate::protocol::LONG_LINE_BYTES_MAX;

/// The working buffers and the budget.
#[derive(Debug)]
pub struct Buffers {
    /// Invariant: [`INPUT_BYTES`] long, except while a connection has borrowed it (then empty).
    pub(super) input: Vec<u8>,
    /// Invariant: holds no bytes, only capacity.
    pub(super) output: Vec<u8>,
    /// Larger ones that nobody uses just now.
    pub(super) spares: Spares,
    /// What connections keep.
    pub(super) budget: Budget,
}

impl Buffers {
    /// Working buffers and a budget, as `config` wants them. Of the budget, what one request and its
    /// answer may take is set aside, so that one client can always be served to the end; and so is
    /// what spares may hold, because they are buffers as well.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let for_all = budget_bytes(config) - 2 * request_bytes_max(config);
        let for_spares = SPARE_BYTES_MAX.min(for_all / 8);
        let shared = for_all - for_spares;
        Self {
            input: vec![0; INPUT_BYTES],
            output: Vec::new(),
            spares: Spares { bytes_max: for_spares, ..Spares::default() },
            budget: Budget { shared, free: shared, used: 0, finisher: None },
        }
    }
}

/// The most bytes that one request or one answer may take: the longest line, and an item.
const fn request_bytes_max(config: &Config) -> usize {
    LONG_LINE_BYTES_MAX + config.item_bytes_max
}

/// The bytes that all buffers together may really take: what was asked for, or what two of the
/// largest requests and their answers need, if that is more.
#[must_use]
pub fn budget_bytes(config: &Config) -> usize {
    config.buffer_bytes_max.max(4 * request_bytes_max(config))
}

/// Buffers that large requests and answers have left behind, for the next ones. Asking the allocator
/// for a megabyte and giving it back maps and unmaps it each time, and its pages are then made one by
/// one as they are touched: that costs as much as copying the value.
#[derive(Debug, Default)]
pub struct Spares {
    /// As long as what they have held, so that reading into them need not begin with zeros.
    buffers: Vec<Vec<u8>>,
    /// The sum of their capacities.
    bytes: usize,
    /// The most that it may be.
    bytes_max: usize,
}

impl Spares {
    /// Keeps a buffer, if there is room for it and it is worth while.
    fn give(&mut self, buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes > INPUT_BYTES && self.bytes + bytes <= self.bytes_max {
            self.bytes += bytes;
            self.buffers.push(buffer);
        }
    }

    /// One for `bytes`, and not for many more.
    fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (bytes..=2 * bytes).contains(&buffer.capacity());
        let at = self.buffers.iter().position(fits)?;
        Some(self.remove(at))
    }

    /// Any one, emptied.
    pub(super) fn take_any(&mut self) -> Option<Vec<u8>> {
        let at = self.buffers.len().checked_sub(1)?;
        let mut buffer = self.remove(at);
        buffer.clear();
        Some(buffer)
    }

    fn remove(&mut self, at: usize) -> Vec<u8> {
        let buffer = self.buffers.swap_remove(at);
        self.bytes -= buffer.capacity();
        buffer
    }
}

/// How many bytes all connections may keep together.
#[derive(Debug)]
pub struct Budget {
    /// What there is, the finisher's reserve apart.
    pub(super) shared: usize,
    /// What connections keep above their allowances.
    used: usize,
    /// What nobody keeps. Invariant: `shared - used`, or 0 where the finisher has made `used` larger.
    pub(super) free: usize,
    /// The connection that may exceed the budget until it holds nothing any more: with it there is
    /// always one that can finish and give back what it holds, so no set of connections can block
    /// each other for good.
    pub(super) finisher: Option<usize>,
}

impl Budget {
    /// What connections keep above their allowances, and what they may.
    pub(super) const fn bytes(&self) -> (usize, usize) {
        (self.used, self.shared)
    }

    /// Bytes that connection `key` may take beyond what it holds.
    pub(super) fn available_to(&self, key: usize) -> usize {
        if self.finisher == Some(key) { usize::MAX / 2 } else { self.free }
    }

    /// Connection `key` now holds `held` bytes, after `held_before`.
    pub(super) fn settle(&mut self, key: usize, held_before: usize, held: usize) {
        // `held_before` is in `used` since it was settled.
        self.used = self.used + held - held_before;
        self.free = self.shared.saturating_sub(self.used);
        if held == 0 && self.finisher == Some(key) {
            self.finisher = None;
        }
    }

    /// Lets connection `key` exceed the budget, if no other one does.
    pub(super) fn make_finisher(&mut self, key: usize) -> bool {
        if self.finisher.is_none() {
            self.finisher = Some(key);
        }
        self.finisher == Some(key)
    }
}

/// What a buffer of this capacity counts against the budget.
const fn counted(capacity: usize) -> usize {
    if capacity <= ALLOWANCE_BYTES { 0 } else { capacity }
}

/// What has been read and not yet spent.
#[derive(Debug, Default)]
pub struct Input {
    /// Where reading goes. Empty between turns, the working buffer during one, or the connection's
    /// own for as long as one request is longer than that.
    /// Invariant: `start <= filled <= bytes.len()`; what is unread is `bytes[start..filled]`.
    pub(super) bytes: Vec<u8>,
    pub(super) start: usize,
    pub(super) filled: usize,
    /// Between turns, when `bytes` is empty: what is unread, at most [`INPUT_BYTES`].
    pub(super) kept: Vec<u8>,
}

impl Input {
    /// After `bytes` was borrowed: puts there what the last turn left.
    pub(super) fn unpack(&mut self) {
        self.bytes[..self.kept.len()].copy_from_slice(&self.kept);
        (self.start, self.filled) = (0, self.kept.len());
        self.kept.clear();
    }

    /// Something is left from the last turn and not in `bytes`.
    pub(super) fn is_packed(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Moves what is unread to the front, so that all free space is behind it.
    pub(super) fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
    }

    /// Makes `bytes` longer, and the connection's own: as long as that, or a spare one that is long
    /// enough for the `wanted` bytes of the whole request. Returns the working buffer if that was it.
    pub(super) fn grow(
        &mut self,
        bytes: usize,
        wanted: usize,
        spares: &mut Spares,
    ) -> Option<Vec<u8>> {
        if self.bytes.len() > INPUT_BYTES {
            self.bytes.reserve_exact(bytes - self.bytes.len());
            self.bytes.resize(bytes, 0);
            return None;
        }
        self.kept = Vec::new();
        let mut own = spares.take(wanted).unwrap_or_else(|| Vec::with_capacity(bytes));
        own.resize(own.len().max(bytes), 0);
        own[..self.filled].copy_from_slice(&self.bytes[..self.filled]);
        Some(std::mem::replace(&mut self.bytes, own))
    }

    /// Ends a turn in which more happened than reading and spending one working buffer: keeps what
    /// is unread in as little memory as is worth while. Returns the working buffer if that was it.
    pub(super) fn pack(&mut self, spares: &mut Spares) -> Option<Vec<u8>> {
        if self.bytes.is_empty() {
            // A turn that only wrote: what is unread has stayed where it was kept.
            return None;
        }
        let unread = self.filled - self.start;
        let own = self.bytes.len() > INPUT_BYTES;
        if own && unread > INPUT_BYTES.min(self.bytes.len() / 4) {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        if unread == 0 {
            self.kept = Vec::new();
        } else {
            self.kept.clear();
            self.kept.reserve_exact(unread);
            self.kept.extend_from_slice(&bytes[self.start..self.filled]);
        }
        (self.start, self.filled) = (0, 0);
        if own {
            spares.give(bytes);
            return None;
        }
        Some(bytes)
    }
}

/// What has been answered and not yet sent.
#[derive(Debug, Default)]
pub struct Output {
    /// The answers. Invariant: `sent <= bytes.len()`; what is unsent is `bytes[sent..]`.
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
}

impl Output {
    /// Everything has been sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Ends a turn: keeps what is unsent in as little memory as is worth while, and gives the
    /// working buffer back.
    pub(super) fn pack(&mut self, working: &mut Vec<u8>, spares: &mut Spares) {
        let unsent = &self.bytes[self.sent..];
        if unsent.len() > self.bytes.capacity() / 2 {
            return;
        }
        let kept = if unsent.is_empty() { Vec::new() } else { unsent.to_vec() };
        self.sent = 0;
        let mut bytes = std::mem::replace(&mut self.bytes, kept);
        if bytes.capacity() > working.capacity() && bytes.capacity() <= WORKING_OUTPUT_BYTES_MAX {
            bytes.clear();
            std::mem::swap(&mut bytes, working);
        }
        spares.give(bytes);
    }
}

/// What a connection's buffers count against the budget between turns; `promised` is what its input
/// may still become.
pub(super) fn held(input: &Input, promised: usize, output: &Output) -> usize {
    let read = counted(input.bytes.capacity()) + counted(input.kept.capacity());
    read.max(promised) + counted(output.bytes.capacity())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_may_always_finish() {
        let mut budget = Buffers::new(&Config::default()).budget;
        assert_eq!(budget.available_to(1), 56 << 20);
        budget.settle(1, 0, 56 << 20);
        assert_eq!(budget.available_to(2), 0);
        assert!(budget.make_finisher(2));
        assert!(!budget.make_finisher(3));
        assert!(budget.available_to(2) > 1 << 30);
        budget.settle(2, 0, 1 << 20);
        assert!(!budget.make_finisher(3));
        assert_eq!(budget.free, 0);
        budget.settle(2, 1 << 20, 0);
        assert!(budget.make_finisher(3));
        budget.settle(1, 56 << 20, 0);
        assert_eq!(budget.free, 56 << 20);
    }

    #[test]
    fn what_is_unread_survives_every_move() {
        let mut spares = Spares { bytes_max: SPARE_BYTES_MAX, ..Spares::default() };
        let mut input =
            Input { bytes: vec![7; INPUT_BYTES], start: 5, filled: 9, ..Input::default() };
        assert_eq!(input.pack(&mut spares).map(|working| working.len()), Some(INPUT_BYTES));
        assert!(input.is_packed() && input.bytes.is_empty());
        input.bytes = vec![0; INPUT_BYTES];
        input.unpack();
        assert_eq!(&input.bytes[input.start..input.filled], [7; 4]);
        input.filled = INPUT_BYTES;
        let working = input.grow(20_000, 30_000, &mut spares);
        assert_eq!(working.map(|working| working.len()), Some(INPUT_BYTES));
        assert_eq!((input.bytes.len(), &input.bytes[..4]), (20_000, &[7; 4][..]));
        // More than a quarter is unread: copying it would not be worth while.
        assert_eq!(input.pack(&mut spares), None);
        assert_eq!(held(&input, 0, &Output::default()), 20_000);
        assert_eq!(held(&input, 30_000, &Output::default()), 30_000);
        // When it is spent, the next request of that size finds its buffer.
        input.start = input.filled;
        assert_eq!(input.pack(&mut spares), None);
        input.bytes = vec![9; INPUT_BYTES];
        input.filled = INPUT_BYTES;
        assert!(input.grow(17_000, 18_000, &mut spares).is_some());
        assert_eq!((input.bytes.len(), &input.bytes[..4]), (20_000, &[9; 4][..]));
        assert_eq!(spares.bytes, 0);
    }

    #[test]
    fn spares_are_few() {
        let mut spares = Spares { bytes_max: SPARE_BYTES_MAX, ..Spares::default() };
        for bytes in [100, INPUT_BYTES, SPARE_BYTES_MAX / 2, SPARE_BYTES_MAX / 2, 100_000] {
            spares.give(Vec::with_capacity(bytes));
        }
        assert_eq!(spares.buffers.len(), 2);
        // Neither too small a one, nor one that would be counted for far more than was asked for.
        assert_eq!(spares.take(SPARE_BYTES_MAX), None);
        assert_eq!(spares.take(100_000), None);
        assert!(spares.take(SPARE_BYTES_MAX / 3).is_some());
        assert!(spares.take_any().is_some() && spares.take_any().is_none());
    }
}
