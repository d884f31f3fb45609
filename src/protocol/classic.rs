//! The grammar of the classic dialect: what one line of memcached's text protocol means.
//!
//! Follows memcached 1.6.45 line by line: what is an error, whether the value after a bad line is
//! skipped, when `noreply` suppresses an error. The lines of meta commands are parsed by
//! [`super::meta`], those that ask about the server or change it by [`super::admin`]. Knows nothing
//! of where lines and values end in a stream (see [`super::framer`]).

use super::command::{Command, Direction, Retrieval, StoreMode};
use super::end_reason::EndReason;
use super::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX, WORDS_MAX};
use super::line::{DataEnd, Line, reply_mode_after};
use super::reply::{Reply, ReplyMode};
use super::token::{Keys, Words, command_word};
use super::verb::Verb;
use super::{admin, meta, number};

/// The mode of answers that `noreply` cannot suppress.
const ANSWERED: ReplyMode = ReplyMode::CLASSIC;
/// memcached refuses shorter lines, terminator included, before it parses them. Here only unknown
/// commands are refused for that: `mn` with a bare LF, three bytes, is accepted.
const LINE_BYTES_MIN: usize = 4;
/// The shortest line that may carry a user and a password, its CR counted; a shorter one ends the
/// conversation.
const AUTH_LINE_BYTES_MIN: usize = 6;
/// Most bytes of a user and a password.
const AUTH_TOKEN_BYTES_MAX: u32 = 16_384;

/// Parses one line, its LF taken off. `bare_lf` is the terminator that a value needs if its line ended
/// in LF without CR.
pub(super) fn parse_line(raw: &[u8], bare_lf: DataEnd) -> Line<'_> {
    let (line, end) = match raw {
        [line @ .., b'\r'] => (line, DataEnd::CrLf),
        line => (line, bare_lf),
    };
    let word = command_word(line);
    let Some(verb) = Verb::of(word) else {
        return unknown(line, raw.len() + 1);
    };
    let words = Words::new(&line[word.len()..]);
    match verb {
        Verb::Get | Verb::Gets => {
            retrieve(words, Retrieval { with_cas: verb == Verb::Gets, touch: None })
        }
        Verb::Gat | Verb::Gats => retrieve_and_touch(words, verb == Verb::Gats),
        Verb::Set => store(words, StoreMode::Set, end),
        Verb::Add => store(words, StoreMode::Add, end),
        Verb::Replace => store(words, StoreMode::Replace, end),
        Verb::Append => store(words, StoreMode::Append, end),
        Verb::Prepend => store(words, StoreMode::Prepend, end),
        Verb::Cas => store(words, StoreMode::Cas(0), end),
        Verb::Incr => arithmetic(words, Direction::Up),
        Verb::Decr => arithmetic(words, Direction::Down),
        Verb::Touch => touch(words),
        Verb::Delete => delete(words),
        Verb::MetaGet => meta::get(words),
        Verb::MetaSet => meta::set(words, end),
        Verb::MetaDelete => meta::delete(words),
        Verb::MetaArithmetic => meta::arithmetic(words),
        Verb::MetaDebug => meta::debug(words),
        Verb::MetaNoop => Line::Command { command: Command::MetaNoop, mode: ANSWERED },
        Verb::Version => Line::Command { command: Command::Version, mode: ANSWERED },
        Verb::Quit => Line::Command { command: Command::Quit, mode: ANSWERED },
        Verb::FlushAll => admin::flush_all(words),
        Verb::FlushPrefix => admin::flush_prefix(words),
        Verb::Stats => admin::stats(words),
        Verb::Verbosity => admin::verbosity(words),
        Verb::Shutdown => admin::shutdown(words),
        Verb::LruCrawler => admin::lru_crawler(words),
        Verb::Slabs => admin::slabs(words),
        Verb::Lru => admin::lru(words),
        Verb::CacheMemlimit => admin::cache_memlimit(words),
        // As of a memcached that is built without them.
        Verb::Extstore | Verb::RefreshCerts => {
            Line::refused(Reply::Error, reply_mode_after(words, 1))
        }
        Verb::Watch => admin::watch(words),
        Verb::DebugTime => admin::debugtime(words),
        Verb::DebugVerify => admin::debugverify(),
    }
}

fn retrieve(words: Words<'_>, retrieval: Retrieval) -> Line<'_> {
    let Some(keys) = Keys::new(words) else {
        return Line::refused(Reply::BadLine, ANSWERED);
    };
    if words.has_longer_than(KEY_BYTES_MAX) {
        return Line::refused(Reply::BadLine, reply_mode_after(words, 1));
    }
    Line::Command { command: Command::Retrieve { retrieval, keys }, mode: ANSWERED }
}

fn retrieve_and_touch(mut words: Words<'_>, with_cas: bool) -> Line<'_> {
    let exptime = words.next().unwrap_or_default();
    if words.is_empty() {
        return Line::refused(Reply::BadLine, ANSWERED);
    }
    let Some(exptime) = number::strict_i32(exptime) else {
        return Line::refused(Reply::BadExptime, ANSWERED);
    };
    retrieve(words, Retrieval { with_cas, touch: Some(exptime) })
}

fn store(mut words: Words<'_>, mode: StoreMode, end: DataEnd) -> Line<'_> {
    let key = words.next().unwrap_or_default();
    let flags = words.next().unwrap_or_default();
    let exptime = words.next().unwrap_or_default();
    // Without a good count the value's end is unknown, so nothing is skipped; nor does memcached
    // look for noreply then.
    let count = words.next().and_then(number::strict_i32);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let Some(value_bytes) = count.filter(|&count| count <= VALUE_BYTES_MAX) else {
        return Line::refused(Reply::BadLine, ANSWERED);
    };
    let reply_mode = reply_mode_after(words, 5);
    let mode = match mode {
        StoreMode::Cas(_) => words.next().and_then(number::strict_u64).map(StoreMode::Cas),
        StoreMode::Set
        | StoreMode::Add
        | StoreMode::Replace
        | StoreMode::Append
        | StoreMode::Prepend => Some(mode),
    };
    let (Some(flags), Some(exptime), Some(mode), true) =
        (number::loose_u32(flags), number::loose_i32(exptime), mode, key.len() <= KEY_BYTES_MAX)
    else {
        let value = Some((value_bytes, end));
        return Line::Refused { reply: Reply::BadLine, mode: reply_mode, value };
    };
    let command = Command::Store { mode, key, flags, exptime, value: &[] };
    Line::Value { command, mode: reply_mode, value_bytes, end }
}

fn arithmetic(mut words: Words<'_>, direction: Direction) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    let (Some(key), Some(delta)) = (words.next(), words.next()) else {
        return Line::refused(Reply::BadLine, ANSWERED);
    };
    if key.len() > KEY_BYTES_MAX {
        return Line::refused(Reply::BadLine, mode);
    }
    match number::strict_u64(delta) {
        Some(delta) => {
            Line::Command { command: Command::Arithmetic { direction, key, delta }, mode }
        }
        None => Line::refused(Reply::BadDelta, mode),
    }
}

fn touch(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    let (Some(key), Some(exptime)) = (words.next(), words.next()) else {
        return Line::refused(Reply::BadLine, ANSWERED);
    };
    if key.len() > KEY_BYTES_MAX {
        return Line::refused(Reply::BadLine, mode);
    }
    match number::strict_i32(exptime) {
        Some(exptime) => Line::Command { command: Command::Touch { key, exptime }, mode },
        None => Line::refused(Reply::BadExptime, mode),
    }
}

/// memcached 1.6.18 and 1.6.45 both accept `<key>`, `<key> 0` and `<key> [x] noreply`. Anything else
/// is an error here: they differ in it.
fn delete(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    let Some(key) = words.next() else {
        return Line::refused(Reply::BadLine, ANSWERED);
    };
    let accepted = matches!(
        (words.next(), words.next(), words.next()),
        (None | Some(b"0" | b"noreply"), None, None) | (Some(_), Some(b"noreply"), None)
    );
    if !accepted {
        return Line::refused(Reply::BadDelete, mode);
    }
    if key.len() > KEY_BYTES_MAX {
        return Line::refused(Reply::BadLine, mode);
    }
    Line::Command { command: Command::Delete { key }, mode }
}

/// A line that begins with no command of memcached's. `line_bytes` counts its terminator, too.
fn unknown(line: &[u8], line_bytes: usize) -> Line<'_> {
    if line_bytes < LINE_BYTES_MIN {
        return Line::refused(Reply::BadLine, ANSWERED);
    }
    let words = Words::new(line);
    let last = words.take(WORDS_MAX).last();
    let is_http = last.is_some_and(|word| word.starts_with(b"HTTP/"));
    if is_http && words.take(2).count() == 2 {
        return Line::HangUp(EndReason::Http);
    }
    Line::refused(Reply::Error, ReplyMode { noreply: last == Some(b"noreply"), ..ANSWERED })
}

/// Parses one line of a client that has not authenticated: `set x x x <bytes>` with `user password`
/// after it, and nothing else.
pub(super) fn parse_auth_line(line: &[u8]) -> Line<'_> {
    if line.len() < AUTH_LINE_BYTES_MIN {
        return Line::HangUp(EndReason::Unauthenticated);
    }
    let mut words = Words::new(line.strip_suffix(b"\r").unwrap_or(line));
    let command = command_word(line);
    let count = words.nth(4).and_then(number::strict_u32);
    match count {
        Some(bytes) if command.starts_with(b"set") && bytes <= AUTH_TOKEN_BYTES_MAX => {
            let command = Command::Authenticate { token: &[] };
            let value_bytes = bytes as usize;
            Line::Value { command, mode: ANSWERED, value_bytes, end: DataEnd::CrLf }
        }
        Some(_) if command.starts_with(b"set") => Line::refused(Reply::AuthTooLong, ANSWERED),
        _ => Line::refused(Reply::Unauthenticated, ANSWERED),
    }
}
