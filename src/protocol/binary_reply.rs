//! The writer of the binary protocol's answers.
//!
//! ```text
//! 0     1       2..4        4              5  6..8    8..12        12..16  16..24
//! 0x81  opcode  key length  extras length  0  status  body length  opaque  cas id
//! ```
//! After this header come the extras, the key and the value, which together are the body. All numbers
//! are big-endian. The text of an error is its value.

use std::fmt::Display;

use super::binary_request::FrameTag;
use super::reply::VERSION_LINE;
use super::writer::{ReplyWriter, Room};

/// The first byte of every answer.
const MAGIC: u8 = 0x81;
/// Bytes of a header.
const HEADER_BYTES: usize = 24;
/// Bytes of the extras of a hit: the client's flags.
const FLAGS_BYTES: usize = 4;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal,)+) => {
        /// The outcome of a request, with its code and text. Both are memcached's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the text says what it means")]
        pub enum Status { $($(#[$doc])* $name,)+ }

        impl Status {
            const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// What an answer with this status says, where it has no other value.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

statuses! {
    Success = 0x00 "",
    NotFound = 0x01 "Not found",
    Exists = 0x02 "Data exists for key.",
    TooLarge = 0x03 "Too large.",
    Invalid = 0x04 "Invalid arguments",
    NotStored = 0x05 "Not stored.",
    NotNumber = 0x06 "Non-numeric server-side value for incr or decr",
    /// Also of a flush that is forbidden.
    AuthFailed = 0x20 "Auth failure.",
    UnknownCommand = 0x81 "Unknown command",
    OutOfMemory = 0x82 "Out of memory allocating item",
    NoRoomForNumber = 0x82 "Out of memory incrementing value",
    NoRoomForNewNumber = 0x82 "Out of memory allocating new item",
}

/// Appends the answer to one frame.
pub struct BinaryReply<'r, 'o> {
    writer: &'r mut ReplyWriter<'o>,
    tag: FrameTag,
}

impl<'r, 'o> BinaryReply<'r, 'o> {
    /// Answers the request with this `tag` through `writer`.
    pub const fn new(writer: &'r mut ReplyWriter<'o>, tag: FrameTag) -> Self {
        Self { writer, tag }
    }

    /// See [`ReplyWriter::fits`].
    #[must_use]
    pub fn fits(&mut self, bytes: usize) -> bool {
        self.writer.fits(bytes)
    }

    /// Success without a value, unless the request is quiet.
    pub fn success(&mut self, cas: u64) {
        if !self.tag.quiet {
            self.header(Status::Success, (0, 0), 0, cas);
        }
    }

    /// A number as the whole answer, unless the request is quiet.
    pub fn number(&mut self, number: u64, cas: u64) {
        if !self.tag.quiet {
            let number = number.to_be_bytes();
            self.header(Status::Success, (0, 0), number.len(), cas);
            self.writer.text(&number);
        }
    }

    /// An error. Quiet requests have their errors answered, too.
    pub fn error(&mut self, status: Status) {
        let text = status.text().as_bytes();
        self.header(status, (0, 0), text.len(), 0);
        self.writer.text(text);
    }

    /// The miss of a retrieval, unless it is quiet. Where the answer repeats the `key`, that takes the
    /// place of the text.
    pub fn miss(&mut self, key: Option<&[u8]>) {
        match key {
            _ if self.tag.quiet => {}
            None => self.error(Status::NotFound),
            Some(key) => {
                self.header(Status::NotFound, (0, key.len()), key.len(), 0);
                self.writer.text(key);
            }
        }
    }

    /// One hit of a retrieval, as far as there is room.
    #[must_use]
    pub fn value(&mut self, key: &[u8], flags: u32, value: &[u8], cas: u64) -> Room {
        let body_bytes = FLAGS_BYTES + key.len() + value.len();
        let room = self.writer.room(HEADER_BYTES + body_bytes, value.len());
        if room == Room::Nothing {
            return room;
        }
        self.header(Status::Success, (FLAGS_BYTES, key.len()), body_bytes, cas);
        self.writer.text(&flags.to_be_bytes());
        self.writer.text(key);
        if room == Room::Whole {
            self.writer.text(value);
        }
        room
    }

    /// Where the value belongs that has been left out of the hit written last.
    #[must_use]
    pub const fn left_out_at(&self) -> usize {
        self.writer.written_bytes()
    }

    /// The version, as the text protocol shows it.
    pub fn version(&mut self) {
        let version = VERSION_LINE.trim_start_matches("VERSION ").as_bytes();
        self.header(Status::Success, (0, 0), version.len(), 0);
        self.writer.text(version);
    }

    /// One figure of a `stat`: the name is its key.
    pub fn figure(&mut self, name: &dyn Display, figure: &dyn Display) {
        self.figure_text(name.to_string().as_bytes(), figure.to_string().as_bytes());
    }

    /// One figure of a `stat`, as it is.
    pub fn figure_text(&mut self, name: &[u8], figure: &[u8]) {
        self.header(Status::Success, (0, name.len()), name.len() + figure.len(), 0);
        self.writer.text(name);
        self.writer.text(figure);
    }

    /// The end of a `stat`'s figures.
    pub fn end(&mut self) {
        self.header(Status::Success, (0, 0), 0, 0);
    }

    /// Lengths are those of parts, which the limits of the protocol keep below the fields' own.
    fn header(
        &mut self,
        status: Status,
        (extras_bytes, key_bytes): (usize, usize),
        body_bytes: usize,
        cas: u64,
    ) {
        let mut header = [0; HEADER_BYTES];
        [header[0], header[1]] = [MAGIC, self.tag.opcode];
        [.., header[2], header[3]] = (key_bytes as u64).to_be_bytes();
        [.., header[4]] = (extras_bytes as u64).to_be_bytes();
        header[6..8].copy_from_slice(&status.code().to_be_bytes());
        [.., header[8], header[9], header[10], header[11]] = (body_bytes as u64).to_be_bytes();
        header[12..16].copy_from_slice(&self.tag.opaque);
        header[16..].copy_from_slice(&cas.to_be_bytes());
        self.writer.text(&header);
    }
}
