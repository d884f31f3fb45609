//! The answers, and the writer that puts them behind one another into a connection's output.
//!
//! Owns the spelling of every answer in both dialects. Knows no command and no socket; how much may
//! be written is given to it as a [`Room`].

use super::{Dialect, Form, VERSION_LINE};

/// An answer of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The value is kept.
    Stored,
    /// The key is gone.
    Deleted,
    /// There is no such key.
    NotFound,
    /// No such command.
    Error,
    /// A command whose line is wrong.
    BadLine,
    /// A `delete` whose line is wrong.
    BadDelete,
    /// A value without its terminator.
    BadChunk,
    /// A value over the item limit.
    TooLarge,
    /// There is no room, and nothing may be evicted.
    OutOfMemory,
    /// What this server is.
    Version,
}

impl Reply {
    /// The line, without its terminator.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Stored => "STORED",
            Self::Deleted => "DELETED",
            Self::NotFound => "NOT_FOUND",
            Self::Error => "ERROR",
            Self::BadLine => "CLIENT_ERROR bad command line format",
            Self::BadDelete => {
                "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"
            }
            Self::BadChunk => "CLIENT_ERROR bad data chunk",
            Self::TooLarge => "SERVER_ERROR object too large for cache",
            Self::OutOfMemory => "SERVER_ERROR out of memory storing object",
            Self::Version => VERSION_LINE,
        }
    }
}

/// How much may be written before the conversation has to wait for its reader.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// No value is begun, and no request, once the output holds this many bytes.
    pub high_water: usize,
    /// No value is written that would make the output hold more than this many bytes.
    pub limit: usize,
    /// Size the output would have needed for a value that `limit` forbade; 0 when none was.
    pub needed: usize,
}

impl Room {
    /// As much as there is: for conversations whose whole answer is wanted at once.
    pub const UNBOUNDED: Self = Self { high_water: usize::MAX, limit: usize::MAX, needed: 0 };
}

/// Writes the answers to one request behind those that `output` holds already.
pub struct ReplyWriter<'o> {
    output: &'o mut Vec<u8>,
    room: &'o mut Room,
    form: Form,
}

impl<'o> ReplyWriter<'o> {
    /// A writer for one request that wants its answer in this `form`.
    pub const fn new(output: &'o mut Vec<u8>, room: &'o mut Room, form: Form) -> Self {
        Self { output, room, form }
    }

    /// An answer of one line, unless the request wants none.
    pub fn line(&mut self, reply: Reply) {
        if !self.form.noreply {
            self.output.extend_from_slice(reply.text().as_bytes());
            self.newline();
        }
    }

    /// One hit of a retrieval. Writes nothing and returns false when it has to wait for room.
    #[must_use]
    pub fn value(&mut self, key: &[u8], flags: u32, value: &[u8], cas: Option<u64>) -> bool {
        // Three numbers of at most 20 digits, with their spaces and both newlines, fit into 96.
        let needed = self.output.len() + key.len() + value.len() + 96;
        if self.output.len() >= self.room.high_water {
            return false;
        }
        if needed > self.room.limit {
            self.room.needed = needed;
            return false;
        }
        self.output.reserve(needed - self.output.len());
        self.output.extend_from_slice(b"VALUE ");
        self.output.extend_from_slice(key);
        if self.form.dialect == Dialect::Classic {
            self.number(u64::from(flags));
        }
        self.number(value.len() as u64);
        if let Some(cas) = cas {
            self.number(cas);
        }
        self.newline();
        self.output.extend_from_slice(value);
        self.newline();
        true
    }

    /// The end of a retrieval's hits.
    pub fn end(&mut self) {
        self.output.extend_from_slice(b"END");
        self.newline();
    }

    /// A space and a decimal number.
    fn number(&mut self, mut number: u64) {
        let mut digits = [b' '; 21];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.output.extend_from_slice(&digits[at - 1..]);
    }

    fn newline(&mut self) {
        match self.form.dialect {
            Dialect::Simple => self.output.push(b'\n'),
            Dialect::Classic => self.output.extend_from_slice(b"\r\n"),
        }
    }
}
