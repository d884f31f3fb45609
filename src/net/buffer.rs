//! The buffers that connections read into and write from.
//!
//! In its turn a connection uses two working buffers, one for reading and one for writing. All
//! connections share them, one after the other, so they stay in the processor's cache and an idle
//! connection holds none. Between two turns a connection keeps unread and unsent bytes in buffers of its
//! own. A request that is longer than the working buffer gets its own buffer at once, from the pool if
//! one there fits. [`super::account`] limits what all buffers hold. A large value is written
//! straight from the store, and only what the kernel does not take of it comes into a buffer.
//!
//! If an allocation here fails, the client is closed, and the server goes on.

use std::collections::TryReserveError;
use std::mem;

use super::account::{counted, pool_bytes};
use super::{INPUT_BYTES, OUTPUT_BYTES, OUTPUT_BYTES_MAX, OUTPUT_HIGH_WATER, POOL_BYTES_MAX};
use crate::config::Config;
use crate::engine::LeftOut;

/// The buffers that all connections share.
#[derive(Debug)]
pub(super) struct Buffers {
    /// Invariant: [`INPUT_BYTES`] long, except while a connection has borrowed it (then empty).
    pub(super) read: Vec<u8>,
    /// Invariant: holds no bytes, only capacity.
    pub(super) write: Vec<u8>,
    pub(super) pool: BufferPool,
}

impl Buffers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            read: vec![0; INPUT_BYTES],
            write: Vec::with_capacity(OUTPUT_BYTES),
            pool: BufferPool::new(pool_bytes(config)),
        }
    }
}

/// Keeps the buffers of large requests and answers for the next ones. Without it the allocator maps and
/// unmaps memory for each, and the kernel clears every page: that costs as much as copying the value.
///
/// The pool may hold what the budget leaves, so that many large requests get warm buffers. Once a second
/// it frees the buffers that were not needed in that second, down to [`POOL_BYTES_MAX`].
#[derive(Debug)]
pub(super) struct BufferPool {
    /// They keep their lengths, so that their bytes need not be zeroed again before a read.
    buffers: Vec<Vec<u8>>,
    /// Invariant: the sum of their capacities, at most `bytes_max`.
    bytes: usize,
    bytes_max: usize,
    /// The smallest `bytes` since [`Self::free_idle`] was called. Invariant: at most `bytes`.
    idle_bytes: usize,
}

impl BufferPool {
    fn new(bytes_max: usize) -> Self {
        Self { buffers: Vec::new(), bytes: 0, bytes_max, idle_bytes: 0 }
    }

    /// Takes a buffer back. One that is small, or that does not fit into the pool, is freed.
    fn give(&mut self, buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if bytes > INPUT_BYTES && self.bytes + bytes <= self.bytes_max {
            self.bytes += bytes;
            self.buffers.push(buffer);
        } else {
            free(buffer);
        }
    }

    /// Takes back a buffer that has held answers. These have all sizes, few of which are taken again, so
    /// above [`POOL_BYTES_MAX`] they are freed.
    fn give_answer(&mut self, buffer: Vec<u8>) {
        if self.is_large() { free(buffer) } else { self.give(buffer) }
    }

    /// A buffer with a capacity from `bytes` to twice that. The last one given is the warmest.
    fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (bytes..=2 * bytes).contains(&buffer.capacity());
        let index = self.buffers.iter().rposition(fits)?;
        let buffer = self.buffers.remove(index);
        self.bytes -= buffer.capacity();
        self.idle_bytes = self.idle_bytes.min(self.bytes);
        Some(buffer)
    }

    /// Limits the pool to `bytes_max` from now on. Buffers above that are freed.
    pub(super) fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.shrink(bytes_max);
    }

    /// The pool holds more than it keeps when buffers are not needed.
    pub(super) const fn is_large(&self) -> bool {
        self.bytes > POOL_BYTES_MAX
    }

    /// Frees the buffers that were not needed since the last call.
    pub(super) fn free_idle(&mut self) {
        self.shrink(POOL_BYTES_MAX.max(self.bytes - self.idle_bytes));
        self.idle_bytes = self.bytes;
    }

    /// Frees buffers, the oldest first, until the pool holds at most `bytes`.
    fn shrink(&mut self, bytes: usize) {
        let mut freed = 0;
        while self.bytes > bytes {
            self.bytes -= self.buffers[freed].capacity();
            freed += 1;
        }
        self.buffers.drain(..freed).for_each(free);
        self.idle_bytes = self.idle_bytes.min(self.bytes);
    }
}

/// Makes room for exactly `more` bytes. If that fails, the pool is freed, and it is tried again.
fn reserve(
    buffer: &mut Vec<u8>,
    more: usize,
    pool: &mut BufferPool,
) -> Result<(), TryReserveError> {
    buffer.try_reserve_exact(more).or_else(|_| {
        pool.shrink(0);
        buffer.try_reserve_exact(more)
    })
}

/// Gives a buffer's memory back to the kernel. glibc maps a large buffer separately and unmaps it when
/// it is freed, but raises its threshold for doing so to that size: from then on buffers up to that size
/// are in the heap, which goes back to the kernel only from its top. A buffer that is shrunk before it is
/// freed leaves the threshold at 128 KiB.
fn free(mut buffer: Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(INPUT_BYTES);
}

/// What has been read from the socket and not yet executed.
#[derive(Debug, Default)]
pub(super) struct ReadBuffer {
    /// The buffer that reads fill: in a turn the working buffer, between turns none. While a request is
    /// longer than the working buffer, the connection's own.
    /// Invariant: `start <= filled <= bytes.len()`; the unread bytes are `bytes[start..filled]`.
    bytes: Vec<u8>,
    start: usize,
    filled: usize,
    /// The unread bytes between two turns, if `bytes` is empty: at most [`INPUT_BYTES`].
    kept: Vec<u8>,
}

impl ReadBuffer {
    /// Begins a turn: borrows the working buffer, and copies what the last turn kept to its start.
    pub(super) fn borrow(&mut self, working: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            mem::swap(&mut self.bytes, working);
            self.bytes[..self.kept.len()].copy_from_slice(&self.kept);
            (self.start, self.filled) = (0, self.kept.len());
            self.kept.clear();
        }
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.filled]
    }

    /// Whether part of a request is here between two turns.
    pub(super) fn holds_request(&self) -> bool {
        !self.kept.is_empty() || self.start < self.filled
    }

    /// The space for the next read. If none is left at the end, the unread bytes are moved to the front.
    /// Empty if a longer buffer is needed.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.filled..]
    }

    /// `bytes` more have been read into the space.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.filled += bytes;
        debug_assert!(self.filled <= self.bytes.len(), "more was read than there is space");
    }

    /// The first `bytes` of the unread ones have been executed.
    pub(super) fn executed(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.filled, "more was executed than was read");
    }

    /// Forgets the last `bytes` of the unread ones, which are still in the kernel's buffer.
    pub(super) fn unfill(&mut self, bytes: usize) {
        self.filled -= bytes;
        debug_assert!(self.start <= self.filled, "executed bytes cannot be forgotten");
    }

    /// Drops the unread bytes, because the conversation has ended.
    pub(super) fn clear(&mut self) {
        self.start = self.filled;
        self.kept.clear();
    }

    /// The next length of the buffer when it grows for a request of `request_bytes` in all. It doubles,
    /// because memory is taken for bytes that have arrived, not for announced ones.
    pub(super) fn grown_bytes(&self, request_bytes: usize) -> usize {
        (2 * self.bytes.len()).min(request_bytes).max(self.bytes.len() + 1)
    }

    /// Makes the buffer longer, so that it becomes the connection's own, and gives the working buffer
    /// back. If the connection may hold that much, it gets a pooled buffer for the whole request.
    pub(super) fn grow(
        &mut self,
        request_bytes: usize,
        may_hold: usize,
        working: &mut Vec<u8>,
        pool: &mut BufferPool,
    ) -> Result<(), TryReserveError> {
        let bytes = self.grown_bytes(request_bytes);
        if self.is_own() {
            let more = bytes - self.bytes.len();
            reserve(&mut self.bytes, more, pool)?;
            self.bytes.resize(bytes, 0);
            return Ok(());
        }
        let pooled = if 2 * request_bytes <= may_hold { pool.take(request_bytes) } else { None };
        let mut own = pooled.unwrap_or_default();
        let more = bytes.saturating_sub(own.len());
        reserve(&mut own, more, pool)?;
        own.resize(own.len().max(bytes), 0);
        own[..self.filled].copy_from_slice(&self.bytes[..self.filled]);
        *working = mem::replace(&mut self.bytes, own);
        self.kept = Vec::new();
        Ok(())
    }

    /// The last `bytes` that were filled, without the last `left` of these.
    pub(super) fn last(&mut self, bytes: usize, left: usize) -> &mut [u8] {
        &mut self.bytes[self.filled - bytes..self.filled - left]
    }

    /// `bytes` is the connection's own, and not the working buffer.
    pub(super) fn is_own(&self) -> bool {
        self.bytes.len() > INPUT_BYTES
    }

    /// Ends a turn in which everything has been executed. False if there is something to keep.
    pub(super) fn give_back_if_empty(&mut self, working: &mut Vec<u8>) -> bool {
        let empty = self.start == self.filled && self.kept.capacity() == 0;
        if empty && self.bytes.len() == INPUT_BYTES {
            mem::swap(&mut self.bytes, working);
            (self.start, self.filled) = (0, 0);
        }
        empty && self.bytes.is_empty()
    }

    /// Ends a turn: copies the unread bytes to a buffer of their size where that saves memory, and gives
    /// the working buffer back.
    pub(super) fn keep(
        &mut self,
        working: &mut Vec<u8>,
        pool: &mut BufferPool,
    ) -> Result<(), TryReserveError> {
        if self.bytes.is_empty() {
            // The turn has only written: the unread bytes are still in `kept`.
            return Ok(());
        }
        let unread = self.filled - self.start;
        let own = self.is_own();
        if own && unread > INPUT_BYTES.min(self.bytes.len() / 4) {
            return Ok(());
        }
        self.kept.clear();
        let kept = if unread == 0 {
            self.kept = Vec::new();
            Ok(())
        } else {
            reserve(&mut self.kept, unread, pool)
        };
        if kept.is_ok() {
            self.kept.extend_from_slice(&self.bytes[self.start..self.filled]);
        }
        let bytes = mem::take(&mut self.bytes);
        (self.start, self.filled) = (0, 0);
        if own {
            pool.give(bytes)
        } else {
            *working = bytes
        }
        kept
    }

    /// The connection is closed: its own buffer goes to the pool.
    pub(super) fn close(&mut self, pool: &mut BufferPool) {
        pool.give(mem::take(&mut self.bytes));
    }

    /// Bytes that the connection is charged for.
    pub(super) fn held(&self) -> usize {
        let own = if self.is_own() { counted(self.bytes.capacity()) } else { 0 };
        own + counted(self.kept.capacity())
    }
}

/// Answers that have not been sent yet.
#[derive(Debug, Default)]
pub(super) struct WriteBuffer {
    /// The answers. In a turn this is the working buffer, unless an earlier answer is unsent.
    /// Invariant: `sent <= bytes.len()`; the unsent bytes are `bytes[sent..]`.
    pub(super) bytes: Vec<u8>,
    sent: usize,
}

impl WriteBuffer {
    /// Begins a turn in which nothing is unsent: borrows the working buffer.
    pub(super) fn borrow(
        &mut self,
        working: &mut Vec<u8>,
        pool: &mut BufferPool,
    ) -> Result<(), TryReserveError> {
        debug_assert!(self.is_empty(), "unsent bytes would be swapped away");
        self.bytes.clear();
        self.sent = 0;
        if self.bytes.capacity() == 0 {
            mem::swap(&mut self.bytes, working);
        }
        // The working buffer is empty if another connection has kept it for a large unsent answer.
        self.reserve(OUTPUT_BYTES, pool)
    }

    /// Makes room for an answer of `bytes` in all, while nothing is unsent. The session writes no answer
    /// that is longer than the room, so writing allocates nothing.
    pub(super) fn reserve(
        &mut self,
        bytes: usize,
        pool: &mut BufferPool,
    ) -> Result<(), TryReserveError> {
        if self.bytes.capacity() < bytes
            && let Some(mut pooled) = pool.take(bytes)
        {
            pooled.clear();
            pool.give_answer(mem::replace(&mut self.bytes, pooled));
        }
        reserve(&mut self.bytes, bytes, pool)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Appends to the unsent answers between two turns.
    pub(super) fn append(
        &mut self,
        more: &[u8],
        pool: &mut BufferPool,
    ) -> Result<(), TryReserveError> {
        self.bytes.drain(..mem::take(&mut self.sent));
        if self.bytes.capacity() - self.bytes.len() < more.len() {
            // As much again as is unsent, so that many short pieces are not copied again and again.
            let bytes = more.len().max(self.bytes.len());
            reserve(&mut self.bytes, bytes, pool)?;
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// The kernel has taken the first `bytes` of the unsent ones.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        debug_assert!(self.sent <= self.bytes.len(), "more was sent than there is");
    }

    /// What is unsent: the answers, of which none is sent, with the value that was left out of them.
    pub(super) fn pieces_with<'p>(&'p self, left_out: &LeftOut<'p>) -> [&'p [u8]; 3] {
        debug_assert_eq!(self.sent, 0, "answers are sent before others are written");
        let (before, after) = self.bytes.split_at(left_out.at);
        [before, left_out.value, after]
    }

    /// The kernel has taken the first `bytes` of those pieces. The others are copied into a buffer of
    /// the connection's own, and the working buffer goes back.
    pub(super) fn sent_with(
        &mut self,
        left_out: &LeftOut<'_>,
        bytes: usize,
        working: &mut Vec<u8>,
        pool: &mut BufferPool,
    ) -> Result<(), TryReserveError> {
        let pieces = self.pieces_with(left_out);
        let unsent = pieces.iter().map(|piece| piece.len()).sum::<usize>() - bytes;
        let mut rest = Vec::new();
        if unsent > 0 {
            rest = pool.take(unsent).unwrap_or_default();
            rest.clear();
            reserve(&mut rest, unsent, pool)?;
            let mut sent = bytes;
            for piece in pieces {
                let skipped = sent.min(piece.len());
                rest.extend_from_slice(&piece[skipped..]);
                sent -= skipped;
            }
        }
        *working = mem::replace(&mut self.bytes, rest);
        working.clear();
        Ok(())
    }

    /// Ends a turn: copies the unsent bytes to a buffer of their size where that saves memory, and gives
    /// the working buffer back.
    pub(super) fn keep(
        &mut self,
        working: &mut Vec<u8>,
        pool: &mut BufferPool,
    ) -> Result<(), TryReserveError> {
        let (unsent, capacity) = (self.bytes.len() - self.sent, self.bytes.capacity());
        // A short rest is copied out of the working buffer. A large answer keeps the buffer.
        let keeps = unsent > OUTPUT_HIGH_WATER || capacity < OUTPUT_BYTES;
        if keeps && unsent > capacity / 2 {
            // The allocator takes back the end of the buffer without moving the rest.
            self.bytes.shrink_to_fit();
            return Ok(());
        }
        let mut kept = Vec::new();
        let reserved = reserve(&mut kept, unsent, pool);
        if reserved.is_ok() {
            kept.extend_from_slice(&self.bytes[self.sent..]);
        }
        self.sent = 0;
        let mut bytes = mem::replace(&mut self.bytes, kept);
        if bytes.capacity() > working.capacity() && bytes.capacity() <= OUTPUT_BYTES_MAX {
            bytes.clear();
            mem::swap(&mut bytes, working);
        }
        pool.give_answer(bytes);
        reserved
    }

    /// The connection is closed: its own buffer goes to the pool.
    pub(super) fn close(&mut self, pool: &mut BufferPool) {
        pool.give_answer(mem::take(&mut self.bytes));
    }

    /// Bytes that the connection is charged for between two turns.
    pub(super) fn held(&self) -> usize {
        counted(self.bytes.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> BufferPool {
        BufferPool::new(POOL_BYTES_MAX)
    }

    /// A turn that reads `read` and executes the first `executed` of the unread bytes.
    fn turn(
        input: &mut ReadBuffer,
        buffers: &mut (Vec<u8>, BufferPool),
        read: &[u8],
        executed: usize,
    ) {
        let (working, pool) = buffers;
        input.borrow(working);
        input.space()[..read.len()].copy_from_slice(read);
        input.filled(read.len());
        input.executed(executed);
        if !input.give_back_if_empty(working) {
            input.keep(working, pool).expect("there is memory");
        }
        assert_eq!(working.len(), INPUT_BYTES);
    }

    #[test]
    fn what_is_unread_survives_every_turn() {
        let mut buffers = (vec![0; INPUT_BYTES], pool());
        let mut input = ReadBuffer::default();
        turn(&mut input, &mut buffers, b"get a\r\nget", 7);
        assert!(input.holds_request());
        turn(&mut input, &mut buffers, b" b", 0);
        input.borrow(&mut buffers.0);
        assert_eq!(input.unread(), b"get b");
        // The request turns out to be longer than the working buffer.
        let rest = input.space().len();
        input.filled(rest);
        assert!(input.space().is_empty());
        assert_eq!(input.grown_bytes(20_000), 20_000);
        input.grow(20_000, usize::MAX, &mut buffers.0, &mut buffers.1).expect("there is memory");
        assert_eq!((input.held(), &input.unread()[..5]), (20_000, &b"get b"[..]));
        assert_eq!(input.space().len(), 20_000 - INPUT_BYTES);
        input.keep(&mut buffers.0, &mut buffers.1).expect("there is memory");
        assert_eq!((input.held(), input.unread().len()), (20_000, INPUT_BYTES));
        // After it has been executed, its buffer serves the next request of that size.
        input.executed(INPUT_BYTES);
        input.keep(&mut buffers.0, &mut buffers.1).expect("there is memory");
        assert_eq!((input.held(), buffers.1.bytes), (0, 20_000));
        input.borrow(&mut buffers.0);
        input.filled(INPUT_BYTES);
        assert!(buffers.1.take(5_000).is_none());
        input.grow(18_000, usize::MAX, &mut buffers.0, &mut buffers.1).expect("there is memory");
        assert_eq!((input.held(), buffers.1.bytes), (20_000, 0));
    }

    #[test]
    fn what_the_kernel_still_has_is_not_kept() {
        let mut buffers = (vec![0; INPUT_BYTES], pool());
        let mut input = ReadBuffer::default();
        input.borrow(&mut buffers.0);
        input.space()[..10].copy_from_slice(b"get a\r\nget");
        input.filled(10);
        input.executed(7);
        input.unfill(3);
        assert!(input.give_back_if_empty(&mut buffers.0));
        assert!(!input.holds_request() && input.held() == 0);
    }

    #[test]
    fn what_is_unsent_is_kept_in_little_memory() {
        let (mut working, mut pool) = (Vec::with_capacity(OUTPUT_BYTES), pool());
        let mut output = WriteBuffer::default();
        for (answer, sent, held) in [(3000, 1000, 0), (9000, 0, 9000), (300_000, 1000, 300_000)] {
            output.borrow(&mut working, &mut pool).expect("there is memory");
            output.reserve(answer, &mut pool).expect("there is memory");
            output.bytes.resize(answer, 7);
            output.sent(sent);
            output.keep(&mut working, &mut pool).expect("there is memory");
            assert_eq!((output.unsent().len(), output.held()), (answer - sent, held));
            output.sent(answer - sent);
            output.keep(&mut working, &mut pool).expect("there is memory");
            assert!(output.is_empty() && output.held() == 0);
            assert!(working.capacity() >= OUTPUT_BYTES);
        }
    }

    #[test]
    fn what_is_unsent_of_a_value_is_kept_from_every_place_on() {
        let (mut working, mut pool) = (Vec::with_capacity(OUTPUT_BYTES), pool());
        let (left_out, whole) = (LeftOut { value: b"value", at: 4 }, b"headvaluetail");
        for sent in 0..=whole.len() {
            let mut output = WriteBuffer::default();
            output.borrow(&mut working, &mut pool).expect("there is memory");
            output.bytes.extend_from_slice(b"headtail");
            assert_eq!(output.pieces_with(&left_out).concat(), whole);
            let kept = output.sent_with(&left_out, sent, &mut working, &mut pool);
            kept.expect("there is memory");
            assert!(working.is_empty() && working.capacity() >= OUTPUT_BYTES);
            assert_eq!(output.unsent(), &whole[sent..]);
            output.keep(&mut working, &mut pool).expect("there is memory");
            assert_eq!(output.unsent(), &whole[sent..]);
            assert!(working.capacity() >= OUTPUT_BYTES);
        }
    }

    #[test]
    fn the_pool_holds_what_it_may_and_nothing_small() {
        let mut pool = pool();
        for bytes in [100, INPUT_BYTES, POOL_BYTES_MAX / 2, POOL_BYTES_MAX / 2, 100_000] {
            pool.give(Vec::with_capacity(bytes));
        }
        assert_eq!(pool.buffers.len(), 2);
        // Neither a buffer that is too small, nor one much larger than asked for.
        assert!(pool.take(POOL_BYTES_MAX).is_none() && pool.take(100_000).is_none());
        assert!(pool.take(POOL_BYTES_MAX / 3).is_some());
        pool.limit(0);
        assert_eq!((pool.bytes, pool.buffers.len()), (0, 0));
    }

    #[test]
    fn the_pool_frees_what_is_not_needed() {
        const BYTES: usize = 1 << 20;
        let mut pool = BufferPool::new(64 * BYTES);
        for _ in 0..20 {
            pool.give(Vec::with_capacity(BYTES));
        }
        // All of them were given in this second.
        pool.free_idle();
        assert_eq!((pool.bytes, pool.is_large()), (20 * BYTES, true));
        // In the next second fifteen are taken and given back.
        let taken: Vec<_> = (0..15).map_while(|_| pool.take(BYTES)).collect();
        assert_eq!(taken.len(), 15);
        taken.into_iter().for_each(|buffer| pool.give(buffer));
        pool.free_idle();
        assert_eq!(pool.bytes, 15 * BYTES);
        // In the one after it, none is taken.
        pool.free_idle();
        assert_eq!(pool.bytes, POOL_BYTES_MAX);
    }
}
