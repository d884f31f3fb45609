//! Keys and values by number, and the classic `set` that stores them.
//!
//! Owns how they are spelled. Knows no socket, and nothing of why an item is stored.

use std::io::Write;

use super::random::mix;

/// What a key ends in: the number, scattered by a bijection and in hexadecimal, so that no two are
/// the same and neighbours have nothing in common.
const DIGIT_BYTES: usize = 16;
/// What a key begins with, as long as it must be: real keys have such prefixes.
const PREFIX: &[u8] = b"session:profile:settings:";

/// Appends the key of `number`, of exactly `key_bytes`.
///
/// # Panics
/// Where that is less than the digits take, or more than the prefix can fill.
pub(crate) fn push_key(number: u64, key_bytes: usize, output: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    output.extend_from_slice(&PREFIX[..key_bytes - DIGIT_BYTES]);
    for byte in mix(number).to_be_bytes() {
        output.push(DIGITS[usize::from(byte >> 4)]);
        output.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Whether the answer to a `set` is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    Yes,
    No,
}

/// Appends a `set` of an item without flags. `push` appends its key.
pub(crate) fn push_set(
    push: impl FnOnce(&mut Vec<u8>),
    exptime_s: u32,
    value: &[u8],
    answered: Answered,
    output: &mut Vec<u8>,
) {
    output.extend_from_slice(b"set ");
    push(output);
    let noreply = if answered == Answered::No { " noreply" } else { "" };
    // Writing to a vector cannot fail.
    let _ = write!(output, " 0 {exptime_s} {}{noreply}\r\n", value.len());
    output.extend_from_slice(value);
    output.extend_from_slice(b"\r\n");
}

/// The number that comes at `index` when all numbers below `count` come once, in an order that
/// differs from lap to lap. Lap 0 is the plain order.
pub(crate) fn in_lap(lap: u32, index: u32, count: u32) -> u64 {
    /// A prime above every count, hence without a common factor.
    const PRIME: u64 = 4_294_967_291;
    let count = u64::from(count);
    (0..lap).fold(u64::from(index) % count, |number, _| number * (PRIME % count) % count)
}
