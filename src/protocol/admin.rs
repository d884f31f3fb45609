//! The grammar of the commands that ask about the server or change it as a whole, and of those for
//! tests.

use std::ops::RangeInclusive;

use super::command::{Command, DebugCommand, Detail, Dump, DumpFormat, StatsTopic};
use super::limits::WORDS_MAX;
use super::line::{Line, reply_mode_after};
use super::number;
use super::reply::{Reply, ReplyMode};
use super::token::Words;
use super::watch_kinds::WatchKinds;

/// Classes that memcached can have at most; more is an error (its `MAX_NUMBER_OF_SLAB_CLASSES`).
const SLAB_CLASSES_MAX: u32 = 64;
/// The class that all items are shown in.
const SLAB_CLASS: u32 = 1;
/// The windows that `slabs automove window` takes, as memcached.
const AUTOMOVE_WINDOWS: RangeInclusive<u32> = 3..=1800;
/// Largest sum of the first two numbers of `lru tune`, in percent.
const LRU_PERCENT_MAX: u32 = 80;
/// Largest argument of `lru_crawler sleep`, in microseconds.
const CRAWLER_SLEEP_US_MAX: u32 = 1_000_000;
/// The limits that `cache_memlimit` takes, in MiB, as memcached.
const MEMORY_MIB_MIN: u32 = 8;
const MEMORY_MIB_MAX: u32 = 1_000_000_000;
/// The most that `verbosity` can ask for.
const VERBOSITY_MAX: u8 = 2;

/// A command that `noreply` does not silence: it is a word like any other there.
const fn answered(command: Command<'_>) -> Line<'_> {
    Line::Command { command, mode: ReplyMode::CLASSIC }
}

pub(super) fn flush_all(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    let delay = match words.next() {
        None => Some(0),
        Some(b"noreply") if words.is_empty() => Some(0),
        Some(delay) => number::strict_i32(delay),
    };
    // The engine reports a bad time, because it checks first whether flushing is allowed.
    Line::Command { command: Command::FlushAll { delay }, mode }
}

/// Not one of memcached's commands. `noreply` is a prefix if it is the only word, as it is a key to
/// `delete`.
pub(super) fn flush_prefix(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    match (words.next(), words.next(), words.next()) {
        (Some(prefix), None, None) => answered(Command::FlushPrefix { prefix }),
        (Some(prefix), Some(b"noreply"), None) => {
            Line::Command { command: Command::FlushPrefix { prefix }, mode }
        }
        _ => Line::refused(Reply::BadLine, mode),
    }
}

pub(super) fn verbosity(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    match words.next().and_then(number::strict_u32) {
        Some(level) => {
            let level = u8::try_from(level).unwrap_or(VERBOSITY_MAX).min(VERBOSITY_MAX);
            Line::Command { command: Command::Verbosity(level), mode }
        }
        None => Line::refused(Reply::BadLine, mode),
    }
}

pub(super) fn shutdown(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    let understood = matches!((words.next(), words.next()), (None | Some(b"graceful"), None));
    Line::Command { command: Command::Shutdown { understood }, mode }
}

pub(super) fn stats(mut words: Words<'_>) -> Line<'_> {
    let Some(topic) = words.next() else {
        return answered(Command::Stats(StatsTopic::Server));
    };
    let stats = match topic {
        b"detail" => StatsTopic::Detail(match words.next() {
            Some(b"on") => Detail::On,
            Some(b"off") => Detail::Off,
            Some(b"dump") => Detail::Dump,
            _ => Detail::Unknown,
        }),
        b"cachedump" => return answered(cachedump(words)),
        word => match StatsTopic::named(word) {
            Some(topic) => topic,
            None => return Line::refused(Reply::Error, ReplyMode::CLASSIC),
        },
    };
    answered(Command::Stats(stats))
}

/// The engine reports a bad line, because it checks first whether dumps are allowed.
fn cachedump(mut words: Words<'_>) -> Command<'_> {
    let (Some(class), Some(limit)) = (words.next(), words.next()) else {
        return dump(DumpFormat::Cachedump, Err(Reply::BadCachedump));
    };
    let number = number::strict_u32;
    let items = match (number(class), number(limit)) {
        (Some(SLAB_CLASSES_MAX..), Some(_)) => Err(Reply::BadSlabClass),
        (Some(SLAB_CLASS), Some(0)) => Ok(u32::MAX),
        (Some(SLAB_CLASS), Some(limit)) => Ok(limit),
        (Some(_), Some(_)) => Ok(0),
        _ => Err(Reply::BadLine),
    };
    dump(DumpFormat::Cachedump, items)
}

const fn dump<'a>(format: DumpFormat, items: Result<u32, Reply>) -> Command<'a> {
    match items {
        Ok(left) => Command::Dump(Dump { format, cursor: None, left, error: None }),
        Err(error) => Command::Dump(Dump { format, cursor: None, left: 0, error: Some(error) }),
    }
}

/// memcached's crawler reclaims expired items; here the store's own sweep does that. So the commands
/// that control the crawler are answered as if it were running, and have no effect.
pub(super) fn lru_crawler(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    let answer = |reply| Line::refused(reply, mode);
    let number = |word: &[u8]| number::strict_u32(word);
    let walk =
        |format, classes: &[u8]| answered(dump(format, items_of(classes).ok_or(Reply::BadClass)));
    match (words.next(), words.next(), words.next()) {
        (Some(b"metadump"), Some(classes), None) => walk(DumpFormat::Metadump, classes),
        (Some(b"mgdump"), Some(classes), None) => walk(DumpFormat::Mgdump, classes),
        (Some(b"crawl"), Some(classes), None) => match items_of(classes) {
            Some(_) => answer(Reply::Ok),
            None => answer(Reply::BadClass),
        },
        (Some(b"sleep"), Some(us), None) => match number(us) {
            Some(0..=CRAWLER_SLEEP_US_MAX) => answer(Reply::Ok),
            Some(_) => answer(Reply::BadSleep),
            None => answer(Reply::BadLine),
        },
        (Some(b"tocrawl"), Some(items), None) => match number(items) {
            Some(_) => answer(Reply::Ok),
            None => answer(Reply::BadLine),
        },
        (Some(b"enable"), None, None) => answer(Reply::CannotStartCrawler),
        (Some(b"disable"), None, None) => answer(Reply::Ok),
        _ => answer(Reply::Error),
    }
}

/// The most items that these classes (`all`, `hash` or numbers with commas) can hold: any number in
/// [`SLAB_CLASS`], 0 in the others. None for a class that memcached cannot have.
fn items_of(classes: &[u8]) -> Option<u32> {
    if matches!(classes, b"all" | b"hash") {
        return Some(u32::MAX);
    }
    classes.split(|&byte| byte == b',').try_fold(0, |items, class| {
        let class = number::strict_u32(class)?;
        let known = (1..SLAB_CLASSES_MAX).contains(&class);
        known.then_some(if class == SLAB_CLASS { u32::MAX } else { items })
    })
}

/// There are no slab classes, and so no pages to move between them. Answered as by a memcached with
/// `-o no_slab_reassign`: the numbers are checked, and have no effect.
pub(super) fn slabs(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    let reply = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(b"reassign"), Some(_), Some(_), None) => Reply::NoReassign,
        (Some(b"automove"), Some(setting), value, _) => automove(setting, value),
        _ => Reply::Error,
    };
    Line::refused(reply, mode)
}

fn automove(setting: &[u8], value: Option<&[u8]>) -> Reply {
    match setting {
        b"ratio" | b"freeratio" if value.and_then(number::decimal_fraction).is_some() => Reply::Ok,
        b"ratio" | b"freeratio" => Reply::Error,
        b"window" => match value.and_then(number::strict_u32) {
            Some(window) if AUTOMOVE_WINDOWS.contains(&window) => Reply::Ok,
            Some(_) => Reply::BadAutomoveWindow,
            None => Reply::BadLine,
        },
        level => match number::strict_u32(level) {
            Some(0..=2) => Reply::Ok,
            Some(_) => Reply::Error,
            None => Reply::BadLine,
        },
    }
}

/// There are no LRU lists, and no thread that maintains them. Answered as by a memcached with
/// `-o no_lru_maintainer`, which refuses all but the numbers of `tune`. These have no effect there.
pub(super) fn lru(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    let reply = if words.next() == Some(b"tune") { lru_tune(words) } else { Reply::Error };
    Line::refused(reply, mode)
}

fn lru_tune(mut words: Words<'_>) -> Reply {
    let mut percent = || words.next().and_then(number::strict_u32);
    let (Some(hot), Some(warm)) = (percent(), percent()) else { return Reply::Error };
    let mut factor = || words.next().and_then(number::decimal_fraction);
    let (Some(hot_factor), Some(warm_factor)) = (factor(), factor()) else { return Reply::Error };
    if hot.saturating_add(warm) > LRU_PERCENT_MAX {
        Reply::LruPercentTooHigh
    } else if hot_factor <= 0.0 || warm_factor <= 0.0 {
        Reply::LruFactorTooLow
    } else {
        Reply::Ok
    }
}

pub(super) fn cache_memlimit(mut words: Words<'_>) -> Line<'_> {
    let mode = reply_mode_after(words, 1);
    match words.next().and_then(number::strict_u32) {
        None => Line::refused(Reply::Error, mode),
        Some(mib) if mib < MEMORY_MIB_MIN => Line::refused(Reply::MemlimitTooSmall, mode),
        Some(mib) if mib > MEMORY_MIB_MAX => Line::refused(Reply::MemlimitInBytes, mode),
        Some(mib) => Line::Command { command: Command::MemoryLimit { mib }, mode },
    }
}

/// Without a kind, `watch` shows lookups. Words that memcached does not look at may be anything. The
/// engine reports an unknown kind, because it checks first whether watching is allowed.
pub(super) fn watch(words: Words<'_>) -> Line<'_> {
    if words.is_empty() {
        return answered(Command::Watch { kinds: Some(WatchKinds::FETCHERS) });
    }
    let add = |kinds: WatchKinds, word| WatchKinds::of_word(word).map(|kind| kinds.with(kind));
    let kinds = words.take(WORDS_MAX - 1).try_fold(WatchKinds::default(), add);
    answered(Command::Watch { kinds })
}

pub(super) fn debugtime(mut words: Words<'_>) -> Line<'_> {
    let command = match words.next() {
        Some(b"p") => Some(DebugCommand::PauseTime),
        Some(b"r") => Some(DebugCommand::ResumeTime),
        by => by.and_then(number::strict_i64).map(DebugCommand::MoveTime),
    };
    match command {
        Some(command) => answered(Command::Debug(command)),
        None => Line::refused(Reply::Error, ReplyMode::CLASSIC),
    }
}

pub(super) const fn debugverify() -> Line<'static> {
    answered(Command::Debug(DebugCommand::Verify))
}
