//! Keys and values that follow from a number, and the exact bytes that carry them.
//!
//! Owns what a request looks like and what its answer must be, in either dialect, so that a value can
//! be checked without having been kept. Knows no socket, and not which key is asked when.

use std::ops::Range;

use crate::rig::random::{Random, mix};

/// Every key: a prefix of 20 bytes and 16 digits.
pub(crate) const KEY_BYTES: usize = 36;
const PREFIX_BYTES: usize = 20;
const DIGIT_BYTES: usize = 16;
/// Items that everything but the mixed cell is about.
pub(crate) const SMALL_PREFIX: &[u8; PREFIX_BYTES] = b"versus-user-profile-";
/// Items that another connection moves meanwhile.
pub(crate) const LARGE_PREFIX: &[u8; PREFIX_BYTES] = b"versus-large-object-";
/// From here on a value is written from where it lies instead of being copied into each request.
const STREAMED_BYTES_MIN: usize = 16 << 10;

/// The language of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Classic,
    Simple,
}

/// `count` items of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyspace {
    pub(crate) prefix: &'static [u8; PREFIX_BYTES],
    pub(crate) count: u32,
    pub(crate) value_bytes: usize,
}

/// How a keyspace reads on the wire.
///
/// A value starts with the digits of its key, so that one item cannot pass for another, and goes on
/// with bytes that are the same for all, line ends among them.
pub(crate) struct Wire {
    /// What a hit looks like, from `VALUE` to the line end behind the value, with zeros for digits.
    hit: Vec<u8>,
    key_digits: Range<usize>,
    value_digits: Range<usize>,
    /// The value without its digits, and the line end behind it.
    value_rest: Range<usize>,
    prefix: &'static [u8; PREFIX_BYTES],
    line_end: &'static [u8],
    /// What ends the answer to a `get`.
    pub(crate) end: &'static [u8],
    /// The answer to a `set`.
    pub(crate) stored: &'static [u8],
    /// What stands between the key of a `set` and its value.
    set_tail: Vec<u8>,
}

impl Wire {
    /// The bytes of `keyspace` in `dialect`.
    pub(crate) fn new(keyspace: Keyspace, dialect: Dialect) -> Self {
        let value_bytes = keyspace.value_bytes;
        assert!(value_bytes >= DIGIT_BYTES, "a value must hold the digits of its key");
        let (line_end, end, stored): (&[u8], &[u8], &[u8]) = match dialect {
            Dialect::Classic => (b"\r\n", b"END\r\n", b"STORED\r\n"),
            Dialect::Simple => (b"\n", b"END\n", b"STORED\n"),
        };
        let (hit_tail, set_tail) = match dialect {
            Dialect::Classic => {
                (format!(" 0 {value_bytes}\r\n"), format!(" 0 0 {value_bytes}\r\n"))
            }
            Dialect::Simple => (format!(" {value_bytes}\n"), format!(" {value_bytes}\n")),
        };
        let mut hit = b"VALUE ".to_vec();
        hit.extend_from_slice(keyspace.prefix);
        let key_digits = hit.len()..hit.len() + DIGIT_BYTES;
        hit.extend_from_slice(&[b'0'; DIGIT_BYTES]);
        hit.extend_from_slice(hit_tail.as_bytes());
        let value_digits = hit.len()..hit.len() + DIGIT_BYTES;
        hit.extend_from_slice(&[b'0'; DIGIT_BYTES]);
        let mut random = Random::seeded(0x0076_616c_7565);
        hit.extend((DIGIT_BYTES..value_bytes).map(|_| random.bits().to_le_bytes()[0]));
        hit.extend_from_slice(line_end);
        Self {
            value_rest: value_digits.end..hit.len(),
            hit,
            key_digits,
            value_digits,
            prefix: keyspace.prefix,
            line_end,
            end,
            stored,
            set_tail: set_tail.into_bytes(),
        }
    }

    /// Bytes of one hit, without the `END` behind it.
    pub(crate) fn hit_bytes(&self) -> usize {
        self.hit.len()
    }

    /// What ends a hit's value.
    pub(crate) fn line_end(&self) -> &'static [u8] {
        self.line_end
    }

    /// A hit as a server would send it for a key whose digits are all zero: the floor's answer.
    pub(crate) fn canned_hit(&self) -> &[u8] {
        &self.hit
    }

    /// Whether values are sent from [`Self::streamed`], one request at a time.
    pub(crate) fn streams(&self) -> bool {
        self.value_rest.len() >= STREAMED_BYTES_MIN
    }

    /// What follows a `set` rendered without its value.
    pub(crate) fn streamed(&self) -> &[u8] {
        &self.hit[self.value_rest.clone()]
    }

    /// Appends a `get` for these items.
    pub(crate) fn render_get(&self, indices: impl Iterator<Item = u32>, output: &mut Vec<u8>) {
        output.extend_from_slice(b"get");
        for index in indices {
            output.push(b' ');
            output.extend_from_slice(self.prefix);
            output.extend_from_slice(&digits(index));
        }
        output.extend_from_slice(self.line_end);
    }

    /// Appends a `set` of this item, up to and with the digits that its value starts with.
    pub(crate) fn render_set_head(&self, index: u32, output: &mut Vec<u8>) {
        self.render_set_line(index, &self.set_tail, output);
        output.extend_from_slice(&digits(index));
    }

    /// Appends the whole of a `set` that wants no answer, for loading; classic only.
    pub(crate) fn render_fill(&self, index: u32, output: &mut Vec<u8>) {
        let line_end_at = self.set_tail.len() - self.line_end.len();
        self.render_set_line(index, &self.set_tail[..line_end_at], output);
        output.extend_from_slice(b" noreply\r\n");
        output.extend_from_slice(&digits(index));
        output.extend_from_slice(self.streamed());
    }

    /// Whether `part` is what stands at `from` in the hit for this item.
    pub(crate) fn hit_holds(&self, index: u32, from: usize, part: &[u8]) -> bool {
        let digits = digits(index);
        let Some(expected) = self.hit.get(from..from + part.len()) else {
            return false;
        };
        let mut at = from;
        let mut left = part;
        let mut same = true;
        for place in [&self.key_digits, &self.value_digits] {
            let plain = place.start.saturating_sub(at).min(left.len());
            same &= left[..plain] == expected[at - from..at - from + plain];
            left = &left[plain..];
            at += plain;
            let count = place.end.saturating_sub(at).min(left.len());
            let first = DIGIT_BYTES - place.end.saturating_sub(at).min(DIGIT_BYTES);
            same &= left[..count] == digits[first..first + count];
            left = &left[count..];
            at += count;
        }
        same && left == &expected[at - from..]
    }

    /// Whether `part`, the beginning of a hit, is for this item; none if it ends too early to say.
    pub(crate) fn is_hit_for(&self, index: u32, part: &[u8]) -> Option<bool> {
        part.get(self.key_digits.clone()).map(|found| found == digits(index))
    }

    fn render_set_line(&self, index: u32, tail: &[u8], output: &mut Vec<u8>) {
        output.extend_from_slice(b"set ");
        output.extend_from_slice(self.prefix);
        output.extend_from_slice(&digits(index));
        output.extend_from_slice(tail);
    }
}

/// The 16 digits of an item: scattered, so that neighbours differ everywhere, and never the same
/// for two, because the scattering is a bijection.
pub(crate) fn digits(index: u32) -> [u8; DIGIT_BYTES] {
    const PAIRS: [[u8; 2]; 256] = hexadecimal_pairs();
    let mut digits = [0; DIGIT_BYTES];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(mix(u64::from(index)).to_be_bytes()) {
        pair.copy_from_slice(&PAIRS[usize::from(byte)]);
    }
    digits
}

const fn hexadecimal_pairs() -> [[u8; 2]; 256] {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte / 16], digits[byte % 16]];
        byte += 1;
    }
    pairs
}
