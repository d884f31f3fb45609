//! The grammar of the meta commands' lines: `mg|ms|md|ma|me <key> [<bytes>] <flag>*`.
//!
//! Finds the key, the count of `ms` and the command; [`super::meta_request`] parses the flags.

use super::base64;
use super::command::{Command, Direction, StoreMode};
use super::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX, WORDS_MAX};
use super::line::{DataEnd, Line};
use super::meta_request::{MetaKey, MetaRequest};
use super::number;
use super::reply::{Reply, ReplyMode};
use super::token::Words;

/// Words of a line, the command and its key included (memcached's `MFLAG_MAX_OPT_LENGTH`).
const META_WORDS_MAX: usize = 20;
/// So all of them are checked before the command is built.
const _: () = assert!(META_WORDS_MAX <= WORDS_MAX);
/// Errors are answered whatever the flags say: `q` suppresses only the usual answer.
const MODE: ReplyMode = ReplyMode::CLASSIC;
/// A line that is no meta command at all. Whatever follows it is not skipped.
const BAD_LINE: Line<'static> = Line::refused(Reply::BadLine, MODE);

/// `mg <key> <flag>*`
pub(super) fn get(words: Words<'_>) -> Line<'_> {
    keyed(words, |meta| Ok(Command::MetaGet(meta?)))
}

/// `md <key> <flag>*`
pub(super) fn delete(words: Words<'_>) -> Line<'_> {
    keyed(words, |meta| Ok(Command::MetaDelete(meta?)))
}

/// `ma <key> <flag>*`
pub(super) fn arithmetic(words: Words<'_>) -> Line<'_> {
    keyed(words, |meta| {
        let meta = meta.map_err(|_| Reply::BadArithmeticFlag)?;
        let direction = match meta.mode() {
            0 | b'I' | b'+' => Direction::Up,
            b'D' | b'-' => Direction::Down,
            _ => return Err(Reply::BadArithmeticMode),
        };
        Ok(Command::MetaArithmetic { meta, direction })
    })
}

/// Parses a line without a value. `command` makes the command from the parsed flags.
fn keyed<'a>(
    mut words: Words<'a>,
    command: impl FnOnce(Result<MetaRequest<'a>, Reply>) -> Result<Command<'a>, Reply>,
) -> Line<'a> {
    let Some(key) = words.next() else { return BAD_LINE };
    let Some(flags) = count_flags(words, 2) else { return BAD_LINE };
    let meta = parse_flags(key, words, 2 + flags);
    let opaque_is_too_long = meta.as_ref().is_ok_and(MetaRequest::opaque_is_too_long);
    match command(meta) {
        Ok(_) if opaque_is_too_long => Line::refused(Reply::OpaqueTooLong, MODE),
        Ok(command) => Line::Command { command, mode: MODE },
        Err(reply) => Line::refused(reply, MODE),
    }
}

/// `ms <key> <bytes> <flag>*`, with the value after the line.
pub(super) fn set(mut words: Words<'_>, end: DataEnd) -> Line<'_> {
    let Some(key) = words.next() else { return BAD_LINE };
    let count = words.next().and_then(number::strict_i32);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let Some(value_bytes) = count.filter(|&count| count <= VALUE_BYTES_MAX) else {
        return BAD_LINE;
    };
    let Some(flags) = count_flags(words, 3) else { return BAD_LINE };
    match parse_flags(key, words, 3 + flags).and_then(store) {
        Ok(command) => Line::Value { command, mode: MODE, value_bytes, end },
        Err(reply) => Line::Refused { reply, mode: MODE, value: Some((value_bytes, end)) },
    }
}

fn store(meta: MetaRequest<'_>) -> Result<Command<'_>, Reply> {
    if StoreMode::of_meta(meta.mode()).is_none() {
        return Err(Reply::BadStoreMode);
    }
    if meta.opaque_is_too_long() {
        return Err(Reply::OpaqueTooLong);
    }
    Ok(Command::MetaSet { meta, value: &[] })
}

/// `me <key> [b]`. Other words are checked as flags are, and ignored.
pub(super) fn debug(mut words: Words<'_>) -> Line<'_> {
    let Some(key) = words.next() else { return BAD_LINE };
    let all_begin_like_flags = count_flags(words, 2).is_some();
    let encoded = words.next() == Some(b"b");
    let is_key = all_begin_like_flags
        && key.len() <= KEY_BYTES_MAX
        && (!encoded || base64::decode(key, &mut [0; KEY_BYTES_MAX]).is_some());
    if !is_key {
        return BAD_LINE;
    }
    let key = MetaKey { written: key, encoded };
    Line::Command { command: Command::MetaDebug { key }, mode: MODE }
}

/// Counts the flags of a line of which `before` words have been read. `None` if a flag among the
/// words that memcached looks at does not begin like one.
fn count_flags(words: Words<'_>, before: usize) -> Option<usize> {
    let mut flags = 0;
    for word in words {
        if before + flags < WORDS_MAX && !matches!(word[0], b'0'..=b'9' | b'A'..=b'z') {
            return None;
        }
        flags += 1;
    }
    Some(flags)
}

/// Parses the flags, unless the key is too long or the whole line has too many words.
fn parse_flags<'a>(
    key: &'a [u8],
    flags: Words<'a>,
    line_words: usize,
) -> Result<MetaRequest<'a>, Reply> {
    if key.len() > KEY_BYTES_MAX {
        Err(Reply::BadLine)
    } else if line_words > META_WORDS_MAX {
        Err(Reply::TooManyFlags)
    } else {
        MetaRequest::parse(flags, key)
    }
}
