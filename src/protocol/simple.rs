//! The grammar of the simple dialect: what one line of it means.
//!
//! ```text
//! set <key> <bytes>\n<data>\n   ->  STORED\n
//! get <key>+\n                  ->  VALUE <key> <bytes>\n<data>\n per hit, then END\n
//! ```
//! A key is made of `A-Z a-z 0-9 _ -`; runs of spaces count as one. A line with another command is
//! answered `ERROR`, and any other wrong line `CLIENT_ERROR bad command line format`.
//! Knows nothing of where lines and values end in a stream (see [`super::framer`]).

use super::command::{Command, Retrieval, StoreMode};
use super::limits::VALUE_BYTES_MAX;
use super::line::{DataEnd, Line};
use super::number;
use super::reply::{Reply, ReplyMode};
use super::token::{Keys, Words, command_word};

const MODE: ReplyMode = ReplyMode::SIMPLE;

/// Parses one line, its LF taken off.
pub(super) fn parse_line(line: &[u8]) -> Line<'_> {
    let word = command_word(line);
    let words = Words::new(&line[word.len()..]);
    match word {
        b"get" => retrieve(words),
        b"set" => store(words),
        _ => Line::refused(Reply::Error, MODE),
    }
}

fn retrieve(words: Words<'_>) -> Line<'_> {
    // One pass over all bytes instead of one per key: where every byte is legal or a space, every
    // key is legal. The fold does not stop at an illegal byte, so that it is vectorised.
    let fine = |byte: u8| byte == b' ' || legal(byte);
    let all_legal = words.rest().iter().fold(true, |all, &byte| all & fine(byte));
    let Some(keys) = Keys::new(words).filter(|_| all_legal) else {
        return Line::refused(Reply::BadLine, MODE);
    };
    let retrieval = Retrieval { with_cas: false, touch: None };
    Line::Command { command: Command::Retrieve { retrieval, keys }, mode: MODE }
}

fn store(mut words: Words<'_>) -> Line<'_> {
    let key = words.next().unwrap_or_default();
    let count = words.next().and_then(number::decimal);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let Some(value_bytes) = count.filter(|&count| count <= VALUE_BYTES_MAX && words.is_empty())
    else {
        return Line::refused(Reply::BadLine, MODE);
    };
    if !key.iter().copied().all(legal) {
        let value = Some((value_bytes, DataEnd::Lf));
        return Line::Refused { reply: Reply::BadLine, mode: MODE, value };
    }
    let command = Command::Store { mode: StoreMode::Set, key, flags: 0, exptime: 0, value: &[] };
    Line::Value { command, mode: MODE, value_bytes, end: DataEnd::Lf }
}

/// A key may hold this byte.
const fn legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
