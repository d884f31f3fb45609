//! The simple dialect: what one line of it means.
//!
//! ```text
//! set <key> <bytes>\n<data>\n   ->  STORED\n
//! get <key>+\n                  ->  VALUE <key> <bytes>\n<data>\n per hit, then END\n
//! ```
//! A key is made of `A-Z a-z 0-9 _ -`; runs of spaces count as one; anything else is `ERROR`.
//! Knows nothing of where lines and values end in a stream (see [`super::parser`]).

use super::line::{DataEnd, Line};
use super::parser::{Words, command_word};
use super::{Command, Dialect, Form, Reply, Retrieval, StoreMode, VALUE_BYTES_MAX, token};

/// Every answer of this dialect is given: there is no `noreply` in it.
const FORM: Form = Form { dialect: Dialect::Simple, noreply: false };

/// Reads one line, its LF already taken off.
pub(super) fn parse_line(line: &[u8]) -> Line<'_> {
    let word = command_word(line);
    let words = Words::new(&line[word.len()..]);
    match word {
        b"get" => retrieve(words),
        b"set" => store(words),
        _ => Line::refused(Reply::Error, FORM),
    }
}

fn retrieve(keys: Words<'_>) -> Line<'_> {
    // One pass over all bytes instead of one per key: where every byte is legal or a space, every
    // key is legal. It goes on behind an illegal one, so that it takes many bytes at a time.
    let fine = |byte: u8| byte == b' ' || legal(byte);
    let all_legal = keys.rest().iter().fold(true, |all, &byte| all & fine(byte));
    if !all_legal || keys.is_empty() {
        return Line::refused(Reply::BadLine, FORM);
    }
    let retrieval = Retrieval { with_cas: false, touch: None };
    Line::Command { command: Command::Retrieve { retrieval, keys }, form: FORM }
}

fn store(mut words: Words<'_>) -> Line<'_> {
    let key = words.next().unwrap_or_default();
    let count = words.next_number().and_then(token::decimal);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let Some(value_bytes) = count.filter(|&count| count <= VALUE_BYTES_MAX && words.is_empty())
    else {
        return Line::refused(Reply::BadLine, FORM);
    };
    if !key.iter().copied().all(legal) {
        return Line::Refused {
            reply: Reply::BadLine,
            form: FORM,
            value: Some((value_bytes, DataEnd::Lf)),
        };
    }
    let command = Command::Store { mode: StoreMode::Set, key, flags: 0, exptime: 0, value: &[] };
    Line::Value { command, form: FORM, value_bytes, end: DataEnd::Lf }
}

/// May this byte stand in a key?
const fn legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
