//! Lines that ask about the server or change it as a whole, and those for tests.
//!
//! What is asked is told by `engine/stats.rs` and `engine/dump.rs`. Commands that administer parts of
//! memcached which do not exist here are not understood (see [`super::classic`]'s table).

use super::classic::{SPOKEN, form_after};
use super::command::{Debugging, Detail, Dump, DumpFormat, Stats};
use super::line::Line;
use super::parser::Words;
use super::{Command, Reply, token};

/// Classes that memcached can have at most; more is an error (its `MAX_NUMBER_OF_SLAB_CLASSES`).
const SLAB_CLASSES_MAX: u32 = 64;
/// The class that all items are said to be in.
const SLAB_CLASS: u32 = 1;
/// The most that `lru_crawler sleep` takes, in microseconds.
const CRAWLER_SLEEP_US_MAX: u32 = 1_000_000;
/// The most that `verbosity` can ask for.
const VERBOSITY_MAX: u8 = 2;

/// A command that takes everything for itself, `noreply` as well.
const fn spoken(command: Command<'_>) -> Line<'_> {
    Line::Command { command, form: SPOKEN }
}

pub(super) fn flush_all(mut words: Words<'_>) -> Line<'_> {
    let form = form_after(words, 1);
    let delay = match words.next() {
        None => Some(0),
        Some(b"noreply") if words.is_empty() => Some(0),
        Some(delay) => token::strict_i32(delay),
    };
    // Whether flushing is forbidden comes first, so the engine tells what is wrong with the time.
    Line::Command { command: Command::FlushAll { delay }, form }
}

pub(super) fn verbosity(mut words: Words<'_>) -> Line<'_> {
    let form = form_after(words, 1);
    match words.next().and_then(token::strict_u32) {
        Some(level) => {
            let level = u8::try_from(level).unwrap_or(VERBOSITY_MAX).min(VERBOSITY_MAX);
            Line::Command { command: Command::Verbosity(level), form }
        }
        None => Line::refused(Reply::BadLine, form),
    }
}

pub(super) fn shutdown(mut words: Words<'_>) -> Line<'_> {
    let form = form_after(words, 1);
    let understood = matches!((words.next(), words.next()), (None | Some(b"graceful"), None));
    Line::Command { command: Command::Shutdown { understood }, form }
}

pub(super) fn stats(mut words: Words<'_>) -> Line<'_> {
    let Some(topic) = words.next() else {
        return spoken(Command::Stats(Stats::Server));
    };
    let stats = match topic {
        b"settings" => Stats::Settings,
        b"items" => Stats::Items,
        b"slabs" => Stats::Slabs,
        b"sizes" => Stats::Sizes,
        b"conns" => Stats::Conns,
        b"loop" => Stats::Loop,
        b"store" => Stats::Store,
        b"reset" => Stats::Reset,
        b"detail" => Stats::Detail(match words.next() {
            Some(b"on") => Detail::On,
            Some(b"off") => Detail::Off,
            Some(b"dump") => Detail::Dump,
            _ => Detail::Unknown,
        }),
        b"cachedump" => return spoken(cachedump(words)),
        _ => return Line::refused(Reply::Error, SPOKEN),
    };
    spoken(Command::Stats(stats))
}

/// Whether dumps are forbidden comes first, so it is the engine that tells what else is wrong.
fn cachedump(mut words: Words<'_>) -> Command<'_> {
    let (Some(class), Some(limit)) = (words.next(), words.next()) else {
        return dump(DumpFormat::Cachedump, Err(Reply::BadCachedump));
    };
    let number = token::strict_u32;
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
        Ok(left) => Command::Dump(Dump { format, at: None, left, wrong: None }),
        Err(wrong) => Command::Dump(Dump { format, at: None, left: 0, wrong: Some(wrong) }),
    }
}

/// The crawler that takes away what has expired has nothing to do here: whatever is over gives its
/// memory back when a log's tail reaches it. It is answered for as if it ran and found nothing.
pub(super) fn lru_crawler(mut words: Words<'_>) -> Line<'_> {
    let form = form_after(words, 1);
    let answer = |reply| Line::refused(reply, form);
    let number = |word: &[u8]| token::strict_u32(word);
    let walk =
        |format, classes: &[u8]| spoken(dump(format, items_of(classes).ok_or(Reply::BadClass)));
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

/// How many items may be in these classes, `all`, `hash` or numbers with commas: those of the one
/// class that there is, or none. None where there can be no such class.
fn items_of(classes: &[u8]) -> Option<u32> {
    if matches!(classes, b"all" | b"hash") {
        return Some(u32::MAX);
    }
    classes.split(|&byte| byte == b',').try_fold(0, |items, class| {
        let class = token::strict_u32(class)?;
        let known = (1..SLAB_CLASSES_MAX).contains(&class);
        known.then_some(if class == SLAB_CLASS { u32::MAX } else { items })
    })
}

pub(super) fn debugtime(mut words: Words<'_>) -> Line<'_> {
    let debugging = match words.next() {
        Some(b"p") => Some(Debugging::TimeStops(true)),
        Some(b"r") => Some(Debugging::TimeStops(false)),
        by => by.and_then(token::strict_i64).map(Debugging::Time),
    };
    match debugging {
        Some(debugging) => spoken(Command::Debug(debugging)),
        None => Line::refused(Reply::Error, SPOKEN),
    }
}

pub(super) const fn debugverify() -> Line<'static> {
    spoken(Command::Debug(Debugging::Verify))
}
