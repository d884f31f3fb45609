//! The writer that appends answers to a connection's output.
//!
//! Owns the line end of both dialects and the shape of a hit; the texts of one-line answers are in
//! [`super::reply`]. Knows no command and no socket. The caller says how much may be written, by an
//! [`OutputLimit`].

use std::fmt::{self, Display, Write as _};

use super::dialect::Dialect;
use super::reply::{Reply, ReplyMode};
use super::{base64, number};

/// All of a hit but key and value fits into this: a word, three numbers of at most 20 digits with their
/// spaces, and two line ends.
const HIT_BYTES_MAX: usize = 96;

/// How much may be written before the output has to be flushed.
#[derive(Clone, Copy, Debug)]
pub struct OutputLimit {
    /// Once the output holds this many bytes, no further value is written and no request executed.
    /// Invariant: at most `limit`.
    pub high_water: usize,
    /// No value is written that would make the output hold more than this many bytes.
    pub limit: usize,
    /// A value of `high_water` bytes and more may be left out of the output, for the caller to write
    /// from where it is stored, if there are at most so many bytes with it. 0: none is left out.
    pub left_out_max: usize,
    /// Bytes that the output would have held with a value that a limit forbade; 0 when none was.
    pub needed: usize,
}

impl OutputLimit {
    /// No limit: for conversations whose whole answer is wanted at once.
    pub const UNBOUNDED: Self =
        Self { high_water: usize::MAX, limit: usize::MAX, left_out_max: 0, needed: 0 };
}

/// What there is room for in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The whole hit.
    Whole,
    /// All but the value, which is left out (see [`OutputLimit::left_out_max`]).
    WithoutValue,
    /// Nothing. The request has to wait for a flush.
    Nothing,
}

/// Appends the answers to one request to `output`.
pub struct ReplyWriter<'o> {
    output: &'o mut Vec<u8>,
    limit: &'o mut OutputLimit,
    mode: ReplyMode,
}

impl<'o> ReplyWriter<'o> {
    /// A writer for one request that wants its answer in this `mode`.
    pub const fn new(output: &'o mut Vec<u8>, limit: &'o mut OutputLimit, mode: ReplyMode) -> Self {
        Self { output, limit, mode }
    }

    /// An answer of one line, unless the request wants none.
    pub fn line(&mut self, reply: Reply) {
        if !self.mode.noreply {
            self.output.extend_from_slice(reply.line(self.mode.dialect).as_bytes());
        }
    }

    /// A number as the whole answer, unless the request wants none.
    pub fn number_line(&mut self, number: u64) {
        if !self.mode.noreply {
            self.digits(number);
            self.newline();
        }
    }

    /// `bytes` may be written in one piece. If not, the request has to wait for a flush.
    #[must_use]
    pub fn fits(&mut self, bytes: usize) -> bool {
        self.room(bytes, 0) == Room::Whole
    }

    /// What there is room for of a hit of `bytes`, of which `value_bytes` are the value.
    #[must_use]
    #[inline]
    pub fn room(&mut self, bytes: usize, value_bytes: usize) -> Room {
        let needed = self.output.len() + bytes;
        if needed < self.limit.high_water {
            Room::Whole
        } else {
            self.room_above_mark(needed, value_bytes)
        }
    }

    #[cold]
    fn room_above_mark(&mut self, needed: usize, value_bytes: usize) -> Room {
        let OutputLimit { high_water, limit, left_out_max, .. } = *self.limit;
        if self.output.len() >= high_water {
            return Room::Nothing;
        }
        let is_left_out = value_bytes >= high_water && left_out_max > 0;
        let (room, bytes_max) =
            if is_left_out { (Room::WithoutValue, left_out_max) } else { (Room::Whole, limit) };
        if needed > bytes_max {
            self.limit.needed = needed;
            return Room::Nothing;
        }
        room
    }

    /// Bytes of the output so far.
    #[must_use]
    pub const fn written_bytes(&self) -> usize {
        self.output.len()
    }

    /// Where the value belongs that has been left out of the line written last.
    #[must_use]
    pub const fn left_out_at(&self) -> usize {
        let line_end = match self.mode.dialect {
            Dialect::Simple => "\n",
            Dialect::Classic => "\r\n",
        };
        self.output.len() - line_end.len()
    }

    /// One hit of a retrieval, as far as there is room.
    #[must_use]
    pub fn value(&mut self, key: &[u8], flags: u32, value: &[u8], cas: Option<u64>) -> Room {
        let needed = self.output.len() + key.len() + value.len() + HIT_BYTES_MAX;
        let numbers = (flags, value.len(), cas);
        if needed >= self.limit.high_water {
            return self.value_above_mark(needed, key, numbers, value);
        }
        self.hit(key, numbers, value);
        Room::Whole
    }

    #[cold]
    fn value_above_mark(
        &mut self,
        needed: usize,
        key: &[u8],
        numbers: (u32, usize, Option<u64>),
        value: &[u8],
    ) -> Room {
        let room = self.room_above_mark(needed, value.len());
        match room {
            Room::Whole => self.hit(key, numbers, value),
            Room::WithoutValue => self.hit(key, numbers, b""),
            Room::Nothing => {}
        }
        room
    }

    /// A hit, with its value or without. Inlined, because nearly all calls are in one place.
    #[inline(always)]
    fn hit(
        &mut self,
        key: &[u8],
        (flags, value_bytes, cas): (u32, usize, Option<u64>),
        value: &[u8],
    ) {
        self.output.reserve(key.len() + value.len() + HIT_BYTES_MAX);
        self.output.extend_from_slice(b"VALUE ");
        self.output.extend_from_slice(key);
        if self.mode.dialect == Dialect::Classic {
            self.number(u64::from(flags));
        }
        self.number(value_bytes as u64);
        if let Some(cas) = cas {
            self.number(cas);
        }
        self.newline();
        self.output.extend_from_slice(value);
        self.newline();
    }

    /// The first line of a hit of `mg` that shows a value of so many bytes and no flag.
    #[inline(always)]
    pub fn plain_meta_line(&mut self, value_bytes: usize) {
        self.output.extend_from_slice(b"VA");
        self.number(value_bytes as u64);
        self.newline();
    }

    /// The end of a retrieval's hits, or of a list.
    #[inline]
    pub fn end(&mut self) {
        match self.mode.dialect {
            Dialect::Simple => self.output.extend_from_slice(b"END\n"),
            Dialect::Classic => self.output.extend_from_slice(b"END\r\n"),
        }
    }

    /// Bytes as they are.
    pub fn text(&mut self, text: &[u8]) {
        self.output.extend_from_slice(text);
    }

    /// Appends any `Display` value; not for hot paths.
    pub fn show(&mut self, shown: &dyn Display) {
        // Writing into memory does not fail.
        let _ = write!(Text(self.output), "{shown}");
    }

    /// A space and a decimal number. For a short number eight bytes are appended, and those after it taken
    /// off again: a copy of a constant length is two instructions, any other is a call of memcpy.
    #[inline]
    pub fn number(&mut self, number: u64) {
        let (text, bytes) = if number < 10 {
            let [_, ones] = number::last_two_digits(number);
            ([b' ', ones, 0, 0, 0, 0, 0, 0], 2)
        } else if number < 1000 {
            let [tens, ones] = number::last_two_digits(number);
            let [_, hundreds] = number::last_two_digits(number / 100);
            if number < 100 {
                ([b' ', tens, ones, 0, 0, 0, 0, 0], 3)
            } else {
                ([b' ', hundreds, tens, ones, 0, 0, 0, 0], 4)
            }
        } else {
            return self.long_number(number);
        };
        let end = self.output.len() + bytes;
        self.output.extend_from_slice(&text);
        self.output.truncate(end);
    }

    #[inline(never)]
    fn long_number(&mut self, number: u64) {
        self.output.push(b' ');
        self.digits(number);
    }

    /// A return flag of a meta command, with a number.
    pub fn flag(&mut self, flag: u8, number: u64) {
        self.output.extend_from_slice(&[b' ', flag]);
        self.digits(number);
    }

    /// A return flag of a meta command, with an argument or without.
    pub fn flag_text(&mut self, flag: u8, argument: &[u8]) {
        self.output.extend_from_slice(&[b' ', flag]);
        self.output.extend_from_slice(argument);
    }

    /// A key, in base64 where it is `encoded`.
    pub fn key(&mut self, key: &[u8], encoded: bool) {
        if encoded {
            base64::encode(key, self.output);
        } else {
            self.output.extend_from_slice(key);
        }
    }

    /// A decimal number.
    pub fn digits(&mut self, number: u64) {
        self.output.extend_from_slice(number::digits_of(number, &mut [0; number::DIGITS_MAX]));
    }

    /// The end of a line.
    pub fn newline(&mut self) {
        match self.mode.dialect {
            Dialect::Simple => self.output.push(b'\n'),
            Dialect::Classic => self.output.extend_from_slice(b"\r\n"),
        }
    }
}

/// Lets formatted text be appended.
struct Text<'o>(&'o mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_are_written_whole() {
        let powers = (0..20).map(|power| 10u64.pow(power));
        let numbers = (0..10_000).chain(powers.flat_map(|power| [power - 1, power, power + 1]));
        for number in numbers.chain([u64::MAX - 1, u64::MAX]) {
            // What is taken off again must not be missing where the output is full.
            for capacity in 0..12 {
                let mut output = Vec::with_capacity(capacity);
                let mut limit = OutputLimit::UNBOUNDED;
                let mut writer = ReplyWriter::new(&mut output, &mut limit, ReplyMode::CLASSIC);
                writer.number(number);
                writer.flag(b't', number);
                writer.newline();
                assert_eq!(output, format!(" {number} t{number}\r\n").as_bytes());
            }
        }
    }

    #[test]
    fn a_hit_takes_no_more_than_is_reserved_for_it() {
        for number in [0, 9, 10, 99, 100, 999, 1000, u32::MAX] {
            for (key_bytes, value_bytes) in [(1, 0), (1, 9), (250, 10), (250, 999), (1, 1000)] {
                let (key, value) = (vec![b'k'; key_bytes], vec![b'v'; value_bytes]);
                let mut output = Vec::with_capacity(key_bytes + value_bytes + HIT_BYTES_MAX);
                let capacity = output.capacity();
                let mut limit = OutputLimit::UNBOUNDED;
                let mut writer = ReplyWriter::new(&mut output, &mut limit, ReplyMode::CLASSIC);
                assert_eq!(writer.value(&key, number, &value, Some(u64::MAX)), Room::Whole);
                assert_eq!(output.capacity(), capacity);
            }
        }
    }
}
