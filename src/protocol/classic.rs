//! The classic dialect: what one line of memcached's text protocol means.
//!
//! Follows memcached 1.6.45 line by line: what is an error, whether the value behind a bad line is
//! skipped, when `noreply` silences an error. Meta commands are read by [`super::meta`], those that
//! ask about the server or change it by `admin`. Knows nothing of where lines and values
//! end in a stream (see [`super::parser`]).

use super::command::Direction;
use super::line::{DataEnd, Line};
use super::meta::Kind;
use super::parser::{Words, command_word};
use super::{
    Command, Dialect, EndReason, Form, KEY_BYTES_MAX, Reply, Retrieval, StoreMode, VALUE_BYTES_MAX,
    WORDS_MAX, admin, meta, token,
};

/// The form of answers that `noreply` cannot silence.
pub(super) const SPOKEN: Form = Form { dialect: Dialect::Classic, noreply: false };
/// memcached refuses shorter lines, terminator included, before it looks at them. A `mn` and a bare
/// LF are one byte less than that; but a line that does something should.
const LINE_BYTES_MIN: usize = 4;
/// The shortest line that may show a user and a password, its CR counted; a shorter one ends the
/// conversation.
const AUTH_LINE_BYTES_MIN: usize = 6;
/// Most bytes of a user and a password.
const AUTH_TOKEN_BYTES_MAX: u32 = 16_384;

/// What the first word of a line says. Each word stands here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Retrieve {
        with_cas: bool,
    },
    RetrieveAndTouch {
        with_cas: bool,
    },
    Store(StoreMode),
    Count(Direction),
    Touch,
    Delete,
    Meta(Kind),
    MetaNoop,
    FlushAll,
    Stats,
    Verbosity,
    Version,
    Quit,
    Shutdown,
    LruCrawler,
    /// Administers parts of memcached that do not exist here.
    Absent,
    /// Watches over what others do, which cannot be done here.
    Watch,
    /// Moves the clock. Only in builds with debug assertions.
    DebugTime,
    /// Checks the store. Only in builds with debug assertions.
    DebugVerify,
}

impl Verb {
    /// What `word` says, if it is a command of memcached's. A line that starts with one is classic
    /// whatever ends it, except the simple dialect's own.
    pub(super) const fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"get" => Self::Retrieve { with_cas: false },
            b"gets" => Self::Retrieve { with_cas: true },
            b"gat" => Self::RetrieveAndTouch { with_cas: false },
            b"gats" => Self::RetrieveAndTouch { with_cas: true },
            b"set" => Self::Store(StoreMode::Set),
            b"add" => Self::Store(StoreMode::Add),
            b"replace" => Self::Store(StoreMode::Replace),
            b"append" => Self::Store(StoreMode::Append),
            b"prepend" => Self::Store(StoreMode::Prepend),
            b"cas" => Self::Store(StoreMode::Cas(0)),
            b"incr" => Self::Count(Direction::Up),
            b"decr" => Self::Count(Direction::Down),
            b"touch" => Self::Touch,
            b"delete" => Self::Delete,
            b"mg" => Self::Meta(Kind::Get),
            b"ms" => Self::Meta(Kind::Set),
            b"md" => Self::Meta(Kind::Delete),
            b"ma" => Self::Meta(Kind::Count),
            b"me" => Self::Meta(Kind::Debug),
            b"mn" => Self::MetaNoop,
            b"flush_all" => Self::FlushAll,
            b"stats" => Self::Stats,
            b"verbosity" => Self::Verbosity,
            b"version" => Self::Version,
            b"quit" => Self::Quit,
            b"shutdown" => Self::Shutdown,
            b"lru_crawler" => Self::LruCrawler,
            b"lru" | b"slabs" | b"cache_memlimit" | b"extstore" | b"refresh_certs" => Self::Absent,
            b"watch" => Self::Watch,
            b"debugtime" if cfg!(debug_assertions) => Self::DebugTime,
            b"debugverify" if cfg!(debug_assertions) => Self::DebugVerify,
            _ => return None,
        })
    }

    /// May lines that start with `word` be as long as their keys need?
    pub(super) const fn is_retrieval(word: &[u8]) -> bool {
        matches!(Self::of(word), Some(Self::Retrieve { .. } | Self::RetrieveAndTouch { .. }))
    }
}

/// Reads one line, its terminator already taken off; `end` says which one it was.
pub(super) fn parse_line(line: &[u8], end: DataEnd) -> Line<'_> {
    let word = command_word(line);
    let Some(verb) = Verb::of(word) else {
        return unknown(line, end);
    };
    let words = Words::new(&line[word.len()..]);
    match verb {
        Verb::Retrieve { with_cas } => retrieve(words, Retrieval { with_cas, touch: None }),
        Verb::RetrieveAndTouch { with_cas } => retrieve_and_touch(words, with_cas),
        Verb::Store(mode) => store(words, mode, end),
        Verb::Count(direction) => count(words, direction),
        Verb::Touch => touch(words),
        Verb::Delete => delete(words),
        Verb::Meta(kind) => meta::parse_line(kind, words, end),
        Verb::MetaNoop => Line::Command { command: Command::MetaNoop, form: SPOKEN },
        Verb::Version => Line::Command { command: Command::Version, form: SPOKEN },
        Verb::Quit => Line::Command { command: Command::Quit, form: SPOKEN },
        Verb::FlushAll => admin::flush_all(words),
        Verb::Stats => admin::stats(words),
        Verb::Verbosity => admin::verbosity(words),
        Verb::Shutdown => admin::shutdown(words),
        Verb::LruCrawler => admin::lru_crawler(words),
        Verb::Absent => Line::refused(Reply::Error, form_after(words, 1)),
        Verb::Watch => Line::refused(Reply::Error, SPOKEN),
        Verb::DebugTime => admin::debugtime(words),
        Verb::DebugVerify => admin::debugverify(),
    }
}

fn retrieve(keys: Words<'_>, retrieval: Retrieval) -> Line<'_> {
    if keys.is_empty() {
        return Line::refused(Reply::BadLine, SPOKEN);
    }
    // Most lines are shorter than a key may be.
    let mut each = keys;
    if keys.rest().len() > KEY_BYTES_MAX && each.any(|key| key.len() > KEY_BYTES_MAX) {
        return Line::refused(Reply::BadLine, form_after(keys, 1));
    }
    Line::Command { command: Command::Retrieve { retrieval, keys }, form: SPOKEN }
}

fn retrieve_and_touch(mut words: Words<'_>, with_cas: bool) -> Line<'_> {
    let exptime = words.next_number().unwrap_or_default();
    if words.is_empty() {
        return Line::refused(Reply::BadLine, SPOKEN);
    }
    let Some(exptime) = token::strict_i32(exptime) else {
        return Line::refused(Reply::BadExptime, SPOKEN);
    };
    retrieve(words, Retrieval { with_cas, touch: Some(exptime) })
}

fn store(mut words: Words<'_>, mode: StoreMode, end: DataEnd) -> Line<'_> {
    let key = words.next().unwrap_or_default();
    let flags = words.next_number().unwrap_or_default();
    let exptime = words.next_number().unwrap_or_default();
    // Without a good count nobody knows how much to skip, nor is noreply looked for.
    let count = words.next_number().and_then(token::strict_i32);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let Some(value_bytes) = count.filter(|&count| count <= VALUE_BYTES_MAX) else {
        return Line::refused(Reply::BadLine, SPOKEN);
    };
    let form = form_after(words, 5);
    let mode = match mode {
        StoreMode::Cas(_) => words.next_number().and_then(token::strict_u64).map(StoreMode::Cas),
        StoreMode::Set
        | StoreMode::Add
        | StoreMode::Replace
        | StoreMode::Append
        | StoreMode::Prepend => Some(mode),
    };
    let (Some(flags), Some(exptime), Some(mode), true) =
        (token::loose_u32(flags), token::loose_i32(exptime), mode, key.len() <= KEY_BYTES_MAX)
    else {
        return Line::Refused { reply: Reply::BadLine, form, value: Some((value_bytes, end)) };
    };
    let command = Command::Store { mode, key, flags, exptime, value: &[] };
    Line::Value { command, form, value_bytes, end }
}

fn count(mut words: Words<'_>, direction: Direction) -> Line<'_> {
    let form = form_after(words, 1);
    let (Some(key), Some(delta)) = (words.next(), words.next_number()) else {
        return Line::refused(Reply::BadLine, SPOKEN);
    };
    if key.len() > KEY_BYTES_MAX {
        return Line::refused(Reply::BadLine, form);
    }
    match token::strict_u64(delta) {
        Some(delta) => Line::Command { command: Command::Count { direction, key, delta }, form },
        None => Line::refused(Reply::BadDelta, form),
    }
}

fn touch(mut words: Words<'_>) -> Line<'_> {
    let form = form_after(words, 1);
    let (Some(key), Some(exptime)) = (words.next(), words.next_number()) else {
        return Line::refused(Reply::BadLine, SPOKEN);
    };
    if key.len() > KEY_BYTES_MAX {
        return Line::refused(Reply::BadLine, form);
    }
    match token::strict_i32(exptime) {
        Some(exptime) => Line::Command { command: Command::Touch { key, exptime }, form },
        None => Line::refused(Reply::BadExptime, form),
    }
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
    let words = Words::new(line);
    let last = words.take(WORDS_MAX).last();
    let is_http = last.is_some_and(|word| word.starts_with(b"HTTP/"));
    if is_http && words.take(2).count() == 2 {
        return Line::HangUp(EndReason::Http);
    }
    Line::refused(Reply::Error, Form { noreply: last == Some(b"noreply"), ..SPOKEN })
}

/// Reads one line of somebody who has not shown yet that he may be served: `set x x x <bytes>` with
/// `user password` behind it, and nothing else.
pub(super) fn parse_auth_line(line: &[u8]) -> Line<'_> {
    if line.len() < AUTH_LINE_BYTES_MIN {
        return Line::HangUp(EndReason::Unauthenticated);
    }
    let mut words = Words::new(line.strip_suffix(b"\r").unwrap_or(line));
    let command = command_word(line);
    let count = words.nth(4).and_then(token::strict_u32);
    match count {
        Some(bytes) if command.starts_with(b"set") && bytes <= AUTH_TOKEN_BYTES_MAX => {
            let command = Command::Authenticate { token: &[] };
            let value_bytes = bytes as usize;
            Line::Value { command, form: SPOKEN, value_bytes, end: DataEnd::CrLf }
        }
        Some(_) if command.starts_with(b"set") => Line::refused(Reply::AuthTooLong, SPOKEN),
        _ => Line::refused(Reply::Unauthenticated, SPOKEN),
    }
}

/// How a command wants to be answered whose first `seen` words are read already: silently when the
/// last word that memcached sees is `noreply`.
pub(super) fn form_after(words: Words<'_>, seen: usize) -> Form {
    let last = words.take(WORDS_MAX - seen).last();
    Form { dialect: Dialect::Classic, noreply: last == Some(b"noreply") }
}
