//! The writer that appends answers to a connection's output.
//!
//! Owns the line end of both dialects and the shape of a hit; the texts of one-line answers stand in
//! [`super::reply`]. Knows no command and no socket; how much may be written is given to it as an
//! [`OutputLimit`].

use std::fmt::{self, Display, Write as _};

use super::dialect::Dialect;
use super::reply::{Reply, ReplyMode};
use super::{base64, number};

/// The numbers at the end of a hit's line, two of 32 bits and one of 64, fit into this with their spaces
/// and the line end.
const NUMBERS_BYTES_MAX: usize = 48;
/// All else of a hit but key and value: a word, the numbers and two line ends. Also the bytes by which
/// the output may be longer for a moment.
const HIT_BYTES_MAX: usize = 2 * NUMBERS_BYTES_MAX;

/// How much may be written before the output has to be flushed.
#[derive(Clone, Copy, Debug)]
pub struct OutputLimit {
    /// Once the output holds this many bytes, no further value is written and no request executed.
    pub high_water: usize,
    /// No value is written that would make the output hold more than this many bytes.
    pub limit: usize,
    /// Bytes that the output would have held with a value that `limit` forbade; 0 when none was.
    pub needed: usize,
}

impl OutputLimit {
    /// No limit: for conversations whose whole answer is wanted at once.
    pub const UNBOUNDED: Self = Self { high_water: usize::MAX, limit: usize::MAX, needed: 0 };
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
            self.output.extend_from_slice(reply.text().as_bytes());
            self.newline();
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
        let needed = self.output.len() + bytes;
        if self.output.len() >= self.limit.high_water {
            return false;
        }
        if needed > self.limit.limit {
            self.limit.needed = needed;
            return false;
        }
        true
    }

    /// One hit of a retrieval. Writes nothing and returns false when it does not fit.
    #[must_use]
    pub fn value(&mut self, key: &[u8], flags: u32, value: &[u8], cas: Option<u64>) -> bool {
        let bytes = key.len() + value.len() + HIT_BYTES_MAX;
        if !self.fits(bytes) {
            return false;
        }
        let mut numbers = Numbers::ending_in(self.line_end());
        if let Some(cas) = cas {
            numbers.put_before(cas);
        }
        numbers.put_before(value.len() as u64);
        if self.mode.dialect == Dialect::Classic {
            numbers.put_before(u64::from(flags));
        }
        self.output.reserve(bytes);
        self.output.extend_from_slice(b"VALUE ");
        self.output.extend_from_slice(key);
        numbers.append_to(self.output);
        self.output.extend_from_slice(value);
        self.newline();
        true
    }

    /// The end of a retrieval's hits, or of a list.
    pub fn end(&mut self) {
        self.output.extend_from_slice(b"END");
        self.newline();
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

    /// A space and a decimal number.
    pub fn number(&mut self, number: u64) {
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

    /// The end of a line. Each arm has a constant length: with `line_end` the copy would be a call.
    pub fn newline(&mut self) {
        match self.mode.dialect {
            Dialect::Simple => self.output.push(b'\n'),
            Dialect::Classic => self.output.extend_from_slice(b"\r\n"),
        }
    }

    const fn line_end(&self) -> &'static [u8] {
        match self.mode.dialect {
            Dialect::Simple => b"\n",
            Dialect::Classic => b"\r\n",
        }
    }
}

/// The end of a line, written backwards: numbers, each with a space before it. So all numbers of a
/// line are appended in one copy.
struct Numbers {
    /// They end in the middle.
    written: [u8; 2 * NUMBERS_BYTES_MAX],
    start: usize,
}

impl Numbers {
    fn ending_in(end: &[u8]) -> Self {
        let mut written = [0; 2 * NUMBERS_BYTES_MAX];
        let start = NUMBERS_BYTES_MAX - end.len();
        written[start..NUMBERS_BYTES_MAX].copy_from_slice(end);
        Self { written, start }
    }

    #[inline(always)]
    fn put_before(&mut self, number: u64) {
        self.start = number::write_digits(number, &mut self.written[..self.start]) - 1;
        self.written[self.start] = b' ';
    }

    /// Appends as many bytes as they have at most, and then takes off those after them: copying a
    /// constant number of bytes takes a few instructions, another number of bytes is a call.
    #[inline(always)]
    fn append_to(&self, output: &mut Vec<u8>) {
        let end = output.len() + NUMBERS_BYTES_MAX - self.start;
        let bytes: &[u8; NUMBERS_BYTES_MAX] =
            self.written[self.start..].first_chunk().expect("they start in the first half");
        output.extend_from_slice(bytes);
        output.truncate(end);
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
