//! Keys and values that follow from a number, and the exact bytes that carry them.
//!
//! Owns what a request looks like and what its answer must be, in each dialect, so that a value can
//! be checked without having been kept. Knows no socket, and not which key is asked when.

use super::sizes::{DIGIT_BYTES, Lifetimes, Values};
use crate::rig::random::{Random, mix};

/// Every key: a prefix of 20 bytes and 16 digits.
pub(crate) const KEY_BYTES: usize = PREFIX_BYTES + DIGIT_BYTES;
pub(crate) const PREFIX_BYTES: usize = 20;
/// Items that most cells are about.
pub(crate) const SMALL_PREFIX: &[u8; PREFIX_BYTES] = b"versus-user-profile-";
/// Items that another connection moves meanwhile.
pub(crate) const LARGE_PREFIX: &[u8; PREFIX_BYTES] = b"versus-large-object-";
/// Items that are incremented.
pub(crate) const COUNTER_PREFIX: &[u8; PREFIX_BYTES] = b"versus-count-number-";
/// From here on a value is written from where it lies instead of being copied into each request.
const STREAMED_BYTES_MIN: usize = 16 << 10;
/// The first counter's first value, of 19 digits.
pub(crate) const FIRST_COUNT: u64 = 1_000_000_000_000_000_000;
/// Counters start this far apart: more than any of them is incremented.
const COUNTS_PER_KEY: u64 = 100_000_000;
/// What `touch` sets: a day.
const TOUCH_TAIL: &[u8] = b" 86400\r\n";

/// The language of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Classic,
    Simple,
    /// `mg <key> v` and `ms <key> <bytes>`.
    Meta,
}

/// `count` items of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyspace {
    pub(crate) prefix: &'static [u8; PREFIX_BYTES],
    pub(crate) count: u32,
    pub(crate) values: Values,
    pub(crate) lifetimes: Lifetimes,
}

/// What a dialect puts around keys and values.
struct Spelling {
    get_head: &'static [u8],
    get_tail: &'static [u8],
    set_head: &'static [u8],
    /// Between the key of a `set` and its exptime and size.
    set_flags: &'static [u8],
    hit_head: &'static [u8],
    /// Between the key of a hit and its size; none where a hit does not name its key.
    hit_flags: Option<&'static [u8]>,
    line_end: &'static [u8],
    end: &'static [u8],
    stored: &'static [u8],
}

impl Dialect {
    const fn spelling(self) -> Spelling {
        match self {
            Self::Classic => Spelling {
                get_head: b"get",
                get_tail: b"\r\n",
                set_head: b"set ",
                set_flags: b" 0",
                hit_head: b"VALUE ",
                hit_flags: Some(b" 0 "),
                line_end: b"\r\n",
                end: b"END\r\n",
                stored: b"STORED\r\n",
            },
            Self::Simple => Spelling {
                get_head: b"get",
                get_tail: b"\n",
                set_head: b"set ",
                set_flags: b"",
                hit_head: b"VALUE ",
                hit_flags: Some(b" "),
                line_end: b"\n",
                end: b"END\n",
                stored: b"STORED\n",
            },
            Self::Meta => Spelling {
                get_head: b"mg",
                get_tail: b" v\r\n",
                set_head: b"ms ",
                set_flags: b"",
                hit_head: b"VA ",
                hit_flags: None,
                line_end: b"\r\n",
                end: b"EN\r\n",
                stored: b"HD\r\n",
            },
        }
    }
}

/// How a keyspace reads on the wire.
///
/// A value starts with the digits of its key, so that one item cannot pass for another, and goes on
/// with bytes that are the same for all, line ends among them. A counter's value is its number.
pub(crate) struct Wire {
    spelling: Spelling,
    dialect: Dialect,
    keyspace: Keyspace,
    classes: Vec<Class>,
    /// What follows the digits in the largest value, and the line end.
    rest: Vec<u8>,
    /// What ends the answer to a `get`; in the meta dialect, what a miss is.
    pub(crate) end: &'static [u8],
    /// The answer to a `set`.
    pub(crate) stored: &'static [u8],
}

/// What is the same for all keys whose values have the same size.
struct Class {
    value_bytes: usize,
    /// A hit, from `VALUE` to the line end of its value.
    hit_bytes: usize,
    /// The size as it stands at the end of the first line, with its line end.
    size: Vec<u8>,
}

impl Wire {
    /// The bytes of `keyspace` in `dialect`.
    pub(crate) fn new(keyspace: Keyspace, dialect: Dialect) -> Self {
        let spelling = dialect.spelling();
        let line_end = spelling.line_end;
        let named = spelling.hit_flags.map_or(0, |flags| KEY_BYTES + flags.len());
        let class = |value_bytes: usize| {
            assert!(value_bytes >= DIGIT_BYTES, "a value must hold the digits of its key");
            let size = [value_bytes.to_string().as_bytes(), line_end].concat();
            let hit_bytes =
                spelling.hit_head.len() + named + size.len() + value_bytes + line_end.len();
            Class { value_bytes, hit_bytes, size }
        };
        let classes: Vec<Class> = keyspace.values.sizes().into_iter().map(class).collect();
        let largest = classes.iter().map(|class| class.value_bytes).max().unwrap_or(DIGIT_BYTES);
        let mut random = Random::seeded(0x0076_616c_7565);
        let mut rest: Vec<u8> =
            (DIGIT_BYTES..largest).map(|_| random.bits().to_le_bytes()[0]).collect();
        rest.extend_from_slice(line_end);
        let (end, stored) = (spelling.end, spelling.stored);
        Self { spelling, dialect, keyspace, classes, rest, end, stored }
    }

    /// Bytes of the hit for this item, without the `END` after the last hit.
    pub(crate) fn hit_bytes(&self, index: u32) -> usize {
        self.class(index).hit_bytes
    }

    /// Whether a hit is the whole answer to its `get`, with no `END` after it.
    pub(crate) fn hit_ends_get(&self) -> bool {
        self.dialect == Dialect::Meta
    }

    /// Whether all values have the same size, so that a hit's length is known without its key.
    pub(crate) fn has_one_size(&self) -> bool {
        self.classes.len() == 1
    }

    /// What ends a hit's value.
    pub(crate) fn line_end(&self) -> &'static [u8] {
        self.spelling.line_end
    }

    /// Whether values are sent from [`Self::streamed`], one request at a time.
    pub(crate) fn streams(&self) -> bool {
        self.has_one_size() && self.rest.len() >= STREAMED_BYTES_MIN
    }

    /// What follows a `set` rendered without its value; only where all values have one size.
    pub(crate) fn streamed(&self) -> &[u8] {
        &self.rest
    }

    /// The value size of each class, for the floor.
    pub(crate) fn class_sizes(&self) -> impl Iterator<Item = usize> {
        self.classes.iter().map(|class| class.value_bytes)
    }

    /// Appends the hit of a class for a key whose digits are all zero, up to and with the digits
    /// that its value starts with: the beginning of the floor's answer.
    pub(crate) fn render_canned_hit(&self, class: usize, output: &mut Vec<u8>) {
        output.extend_from_slice(self.spelling.hit_head);
        if let Some(flags) = self.spelling.hit_flags {
            output.extend_from_slice(self.keyspace.prefix);
            output.extend_from_slice(&[b'0'; DIGIT_BYTES]);
            output.extend_from_slice(flags);
        }
        output.extend_from_slice(&self.classes[class].size);
        output.extend_from_slice(&[b'0'; DIGIT_BYTES]);
    }

    /// Appends a `get` for these items; in the meta dialect there must be exactly one.
    pub(crate) fn render_get(&self, indices: impl Iterator<Item = u32>, output: &mut Vec<u8>) {
        output.extend_from_slice(self.spelling.get_head);
        for index in indices {
            output.push(b' ');
            self.render_key(index, output);
        }
        output.extend_from_slice(self.spelling.get_tail);
    }

    /// Appends a `set` of this item; without the rest of its value where that is streamed.
    pub(crate) fn render_set(&self, index: u32, output: &mut Vec<u8>) {
        self.render_set_line(index, output);
        output.extend_from_slice(&self.class(index).size);
        if self.streams() {
            output.extend_from_slice(&digits(index));
        } else {
            self.render_value(index, output);
        }
    }

    /// Appends a `set` that wants no answer, for loading; classic only.
    pub(crate) fn render_fill(&self, index: u32, output: &mut Vec<u8>) {
        let size = &self.class(index).size;
        self.render_set_line(index, output);
        output.extend_from_slice(&size[..size.len() - self.spelling.line_end.len()]);
        output.extend_from_slice(b" noreply\r\n");
        self.render_value(index, output);
    }

    /// Appends a `delete` of this item; classic only, as the two below.
    pub(crate) fn render_delete(&self, index: u32, output: &mut Vec<u8>) {
        output.extend_from_slice(b"delete ");
        self.render_key(index, output);
        output.extend_from_slice(b"\r\n");
    }

    /// Appends a `touch` of this item.
    pub(crate) fn render_touch(&self, index: u32, output: &mut Vec<u8>) {
        output.extend_from_slice(b"touch ");
        self.render_key(index, output);
        output.extend_from_slice(TOUCH_TAIL);
    }

    /// Appends an `incr` of this counter by 1.
    pub(crate) fn render_incr(&self, index: u32, output: &mut Vec<u8>) {
        output.extend_from_slice(b"incr ");
        self.render_key(index, output);
        output.extend_from_slice(b" 1\r\n");
    }

    /// Whether `part` is what stands at `from` in the hit for this item.
    pub(crate) fn hit_holds(&self, index: u32, from: usize, part: &[u8]) -> bool {
        let class = self.class(index);
        let digits = digits(index);
        let (prefix, key_digits, flags): (&[u8], &[u8], &[u8]) = match self.spelling.hit_flags {
            Some(flags) => (self.keyspace.prefix, &digits, flags),
            None => (b"", b"", b""),
        };
        let segments = [
            self.spelling.hit_head,
            prefix,
            key_digits,
            flags,
            &class.size,
            &digits,
            &self.rest[..class.value_bytes - DIGIT_BYTES],
            self.spelling.line_end,
        ];
        let (mut skip, mut left) = (from, part);
        for segment in segments {
            let skipped = skip.min(segment.len());
            skip -= skipped;
            let count = left.len().min(segment.len() - skipped);
            if left[..count] != segment[skipped..skipped + count] {
                return false;
            }
            left = &left[count..];
        }
        left.is_empty()
    }

    /// Whether `part`, the beginning of a hit, is for this item; none if it ends too early to say.
    /// A hit without its key is the answer to a `get` of one key, and for no other.
    pub(crate) fn is_hit_for(&self, index: u32, part: &[u8]) -> Option<bool> {
        if self.spelling.hit_flags.is_none() {
            return Some(true);
        }
        let digits_at = self.spelling.hit_head.len() + PREFIX_BYTES;
        part.get(digits_at..digits_at + DIGIT_BYTES).map(|found| found == digits(index))
    }

    fn class(&self, index: u32) -> &Class {
        // One class is by far the most frequent case, and needs no number.
        match self.classes.as_slice() {
            [class] => class,
            classes => &classes[class_of(scattered(index), classes.len())],
        }
    }

    fn render_key(&self, index: u32, output: &mut Vec<u8>) {
        output.extend_from_slice(self.keyspace.prefix);
        output.extend_from_slice(&digits(index));
    }

    /// The line of a `set` up to its size.
    fn render_set_line(&self, index: u32, output: &mut Vec<u8>) {
        output.extend_from_slice(self.spelling.set_head);
        self.render_key(index, output);
        output.extend_from_slice(self.spelling.set_flags);
        if self.dialect == Dialect::Classic {
            let exptime: &[u8] = match self.keyspace.lifetimes.exptime_s(scattered(index)) {
                0 => b" 0",
                2 => b" 2",
                _ => b" 120",
            };
            output.extend_from_slice(exptime);
        }
        output.push(b' ');
    }

    fn render_value(&self, index: u32, output: &mut Vec<u8>) {
        if self.keyspace.values == Values::Counters {
            let count = FIRST_COUNT + u64::from(index) * COUNTS_PER_KEY;
            output.extend_from_slice(count.to_string().as_bytes());
        } else {
            output.extend_from_slice(&digits(index));
            let rest = self.class(index).value_bytes - DIGIT_BYTES;
            output.extend_from_slice(&self.rest[..rest]);
        }
        output.extend_from_slice(self.spelling.line_end);
    }
}

/// The counter that has this value, after any number of increments that a run makes.
pub(crate) fn counter_with(value: &[u8]) -> Option<u32> {
    let value: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    u32::try_from(value.checked_sub(FIRST_COUNT)? / COUNTS_PER_KEY).ok()
}

/// The class of a scattered number, for `classes` of them, a power of two.
pub(crate) fn class_of(scattered: u64, classes: usize) -> usize {
    usize::try_from(scattered % classes as u64).unwrap_or(0)
}

/// An item's number, scattered by a bijection: neighbours differ everywhere, and no two are the same.
fn scattered(index: u32) -> u64 {
    mix(u64::from(index))
}

/// The 16 digits of an item: its scattered number in hexadecimal.
pub(crate) fn digits(index: u32) -> [u8; DIGIT_BYTES] {
    const PAIRS: [[u8; 2]; 256] = hexadecimal_pairs();
    let mut digits = [0; DIGIT_BYTES];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(scattered(index).to_be_bytes()) {
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
