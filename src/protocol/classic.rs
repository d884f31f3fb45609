//! The classic dialect: what one line of memcached's text protocol means.
//!
//! Follows memcached 1.6.45 line by line: what is an error, whether the value behind a bad line is
//! skipped, when `noreply` silences an error. Knows nothing of where lines and values end in a
//! stream (see [`super::parser`]).

use super::line::{Announced, DataEnd, Line};
use super::parser::{Words, command_word};
use super::{
    Command, Dialect, Form, KEY_BYTES_MAX, Reply, Retrieval, StoreMode, VALUE_BYTES_MAX, WORDS_MAX,
    token,
};

/// The form of answers that `noreply` cannot silence.
const SPOKEN: Form = Form { dialect: Dialect::Classic, noreply: false };
/// memcached refuses shorter lines, terminator included, before it looks at them.
const LINE_BYTES_MIN: usize = 4;

/// Is `word` a command of memcached's? Those not listed in [`parse_line`] are answered `ERROR`, in
/// this dialect whatever ended their line.
pub(super) const fn is_command(word: &[u8]) -> bool {
    matches!(
        word,
        b"get"
            | b"gets"
            | b"gat"
            | b"gats"
            | b"set"
            | b"add"
            | b"replace"
            | b"append"
            | b"prepend"
            | b"cas"
            | b"incr"
            | b"decr"
            | b"touch"
            | b"delete"
            | b"flush_all"
            | b"verbosity"
            | b"version"
            | b"quit"
            | b"stats"
            | b"shutdown"
            | b"mg"
            | b"ms"
            | b"md"
            | b"ma"
            | b"mn"
            | b"me"
            | b"cache_memlimit"
            | b"slabs"
            | b"lru"
            | b"lru_crawler"
            | b"watch"
            | b"extstore"
            | b"refresh_certs"
            | b"debugtime"
    )
}

/// May lines that start with `word` be as long as their keys need?
pub(super) const fn is_retrieval(word: &[u8]) -> bool {
    matches!(word, b"get" | b"gets" | b"gat" | b"gats")
}

/// Reads one line, its terminator already taken off; `end` says which one it was.
pub(super) fn parse_line(line: &[u8], end: DataEnd) -> Line<'_> {
    let mut words = Words::new(line);
    words.next();
    match command_word(line) {
        b"get" => retrieve(words, Retrieval { with_cas: false }),
        b"gets" => retrieve(words, Retrieval { with_cas: true }),
        b"set" => store(words, StoreMode::Set, end),
        b"delete" => delete(words),
        b"version" => Line::Command { command: Command::Version, form: SPOKEN },
        b"quit" => Line::Command { command: Command::Quit, form: SPOKEN },
        _ => unknown(line, end),
    }
}

fn retrieve(keys: Words<'_>, retrieval: Retrieval) -> Line<'_> {
    if keys.is_empty() {
        return Line::refused(Reply::BadLine, SPOKEN);
    }
    let mut each = keys;
    if each.any(|key| key.len() > KEY_BYTES_MAX) {
        return Line::refused(Reply::BadLine, form_after(keys, 1));
    }
    Line::Command { command: Command::Retrieve { retrieval, keys }, form: SPOKEN }
}

fn store(mut words: Words<'_>, mode: StoreMode, end: DataEnd) -> Line<'_> {
    let key = words.next().unwrap_or_default();
    let key_at = words.last_word_at();
    let flags = words.next().unwrap_or_default();
    let exptime = words.next().unwrap_or_default();
    // Without a good count nobody knows how much to skip, nor is noreply looked for.
    let count = words.next().and_then(token::strict_i32);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let Some(value_bytes) = count.filter(|&count| count <= VALUE_BYTES_MAX) else {
        return Line::refused(Reply::BadLine, SPOKEN);
    };
    let form = form_after(words, 5);
    let (Some(flags), Some(exptime), true) =
        (token::loose_u32(flags), token::loose_i32(exptime), key.len() <= KEY_BYTES_MAX)
    else {
        return Line::Refused { reply: Reply::BadLine, form, value: Some((value_bytes, end)) };
    };
    Line::Value(Announced {
        form,
        mode,
        key_at,
        key_bytes: key.len(),
        flags,
        exptime,
        value_bytes,
        end,
    })
}

/// memcached of both generations takes `<key>`, `<key> 0` and `<key> [x] noreply`; what else it
/// takes depends on its version, so that is an error here.
fn delete(mut words: Words<'_>) -> Line<'_> {
    let form = form_after(words, 1);
    let Some(key) = words.next() else {
        return Line::refused(Reply::BadLine, SPOKEN);
    };
    let accepted = matches!(
        (words.next(), words.next(), words.next()),
        (None | Some(b"0" | b"noreply"), None, None) | (Some(_), Some(b"noreply"), None)
    );
    if !accepted {
        return Line::refused(Reply::BadDelete, form);
    }
    if key.len() > KEY_BYTES_MAX {
        return Line::refused(Reply::BadLine, form);
    }
    Line::Command { command: Command::Delete { key }, form }
}

fn unknown(line: &[u8], end: DataEnd) -> Line<'_> {
    if line.len() + end.bytes() < LINE_BYTES_MIN {
        return Line::refused(Reply::BadLine, SPOKEN);
    }
    let mut words = Words::new(line);
    let first = words.next();
    let last = words.take(WORDS_MAX - 1).last();
    if first.is_some() && last.is_some_and(|word| word.starts_with(b"HTTP/")) {
        return Line::HangUp("it speaks HTTP");
    }
    Line::refused(Reply::Error, Form { noreply: last == Some(b"noreply"), ..SPOKEN })
}

/// How a command wants to be answered whose first `seen` words are read already: silently when the
/// last word that memcached sees is `noreply`.
fn form_after(words: Words<'_>, seen: usize) -> Form {
    let last = words.take(WORDS_MAX - seen).last();
    Form { dialect: Dialect::Classic, noreply: last == Some(b"noreply") }
}
