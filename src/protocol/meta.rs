//! The meta commands' lines: `mg|ms|md|ma|me <key> [<bytes>] <flag>*`.
//!
//! A flag is a letter, with its argument right behind it. All known ones are taken, and their
//! numbers checked, by every command, also where they mean nothing. Knows no item: what the flags
//! do stands in `engine/meta.rs`.

use super::base64;
use super::command::{Command, Direction, StoreMode};
use super::line::{DataEnd, Line};
use super::parser::Words;
use super::{Dialect, Form, KEY_BYTES_MAX, Reply, VALUE_BYTES_MAX, WORDS_MAX, token};

/// Words of a line, the command and its key included (memcached's `MFLAG_MAX_OPT_LENGTH`).
const META_WORDS_MAX: usize = 20;
/// So all of them are looked at before anything is made of them.
const _: () = assert!(META_WORDS_MAX <= WORDS_MAX);
/// Bytes of an opaque token, its `O` included (memcached's `MFLAG_MAX_OPAQUE_LENGTH`).
const OPAQUE_BYTES_MAX: usize = 32;
/// Errors are told whatever the flags say: `q` hides only what is as it should be.
const FORM: Form = Form { dialect: Dialect::Classic, noreply: false };

/// A key as it was written.
#[derive(Clone, Copy, Debug)]
pub struct MetaKey<'a> {
    /// The word.
    pub written: &'a [u8],
    /// It is base64. Has been checked.
    pub encoded: bool,
}

impl<'a> MetaKey<'a> {
    /// The key itself. `space` is where it is decoded, if it has to be.
    #[must_use]
    pub fn decode<'k>(&self, space: &'k mut [u8; KEY_BYTES_MAX]) -> &'k [u8]
    where
        'a: 'k,
    {
        if !self.encoded {
            return self.written;
        }
        let bytes = base64::decode(self.written, space).unwrap_or_default();
        &space[..bytes]
    }
}

/// The key and the flags of a meta command.
#[derive(Clone, Copy, Debug)]
pub struct Meta<'a> {
    /// The key.
    pub key: MetaKey<'a>,
    /// The words behind it.
    words: Words<'a>,
    /// A bit for each letter given, `A` the lowest.
    given: u64,
    /// What follows the `M`; a space where nothing does.
    mode: u8,
    /// `T`, `N` and `R`.
    ttl: i32,
    vivify: i32,
    recache: i32,
    /// `F`: the client's own number for the item.
    pub client_flags: u32,
    /// `C` and `E`.
    compare: u64,
    next_cas: u64,
    /// `J`: what a number is that has to be made.
    pub initial: u64,
    /// `D`: by how much a number changes.
    pub delta: u64,
}

impl<'a> Meta<'a> {
    /// Was this letter given?
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.given & bit(flag) != 0
    }

    /// `T`: the exptime to be set.
    #[must_use]
    pub fn ttl(&self) -> Option<i32> {
        self.has(b'T').then_some(self.ttl)
    }

    /// `N`: the exptime of an item that is to be made where there is none.
    #[must_use]
    pub fn vivify(&self) -> Option<i32> {
        self.has(b'N').then_some(self.vivify)
    }

    /// `R`: with less time than that left, one client is told to bring a new value.
    #[must_use]
    pub fn recache(&self) -> Option<i32> {
        self.has(b'R').then_some(self.recache)
    }

    /// `C`: the cas id that the item has to have.
    #[must_use]
    pub fn compare(&self) -> Option<u64> {
        self.has(b'C').then_some(self.compare)
    }

    /// `E`: the cas id that the item is to get; 0 is none in particular.
    #[must_use]
    pub fn next_cas(&self) -> Option<u64> {
        (self.has(b'E') && self.next_cas != 0).then_some(self.next_cas)
    }

    /// The flags in the order in which they came, whole.
    pub fn flags(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        self.words.filter_map(|word| word.first().map(|&flag| (flag, word)))
    }

    /// Reads the words behind the command.
    fn parse(words: Words<'a>, written: &'a [u8]) -> Result<Self, Reply> {
        let mut meta = Self {
            key: MetaKey { written, encoded: false },
            words,
            given: 0,
            mode: 0,
            ttl: 0,
            vivify: 0,
            recache: 0,
            client_flags: 0,
            compare: 0,
            next_cas: 0,
            initial: 0,
            delta: 1,
        };
        // A later flag's error is told in place of an earlier one's, `F`'s excepted, as memcached does.
        let mut wrong = None;
        let mut digits = [false; 10];
        for word in words {
            // No word is empty, and `parse_line` has seen that each begins with a digit or a letter.
            let (flag, argument) = (word[0], &word[1..]);
            let is_digit = flag.is_ascii_digit();
            let seen = if is_digit { digits[usize::from(flag - b'0')] } else { meta.has(flag) };
            if seen {
                return Err(Reply::DuplicateFlag);
            }
            if is_digit {
                digits[usize::from(flag - b'0')] = true;
            } else {
                meta.given |= bit(flag);
            }
            let bad = meta.read(flag, argument)?;
            wrong = if flag == b'F' { wrong.or(bad) } else { bad.or(wrong) };
        }
        wrong.map_or(Ok(meta), Err)
    }

    /// Takes one flag. Tells what is wrong with its argument; fails when there is no such flag.
    fn read(&mut self, flag: u8, argument: &[u8]) -> Result<Option<Reply>, Reply> {
        let number = || token::strict_u64(argument);
        let seconds = || token::strict_i32(argument);
        let bad = match flag {
            b'b' => {
                self.key.encoded = true;
                let decoded = base64::decode(self.key.written, &mut [0; KEY_BYTES_MAX]);
                decoded.is_none().then_some(Reply::BadKey)
            }
            b'N' => keep(&mut self.vivify, seconds(), Reply::BadToken),
            b'T' => keep(&mut self.ttl, seconds(), Reply::BadToken),
            b'R' => keep(&mut self.recache, seconds(), Reply::BadToken),
            b'F' => keep(&mut self.client_flags, token::strict_u32(argument), Reply::BadLine),
            b'C' => keep(&mut self.compare, number(), Reply::BadToken),
            b'E' => keep(&mut self.next_cas, number(), Reply::BadToken),
            b'J' => keep(&mut self.initial, number(), Reply::BadInitial),
            b'D' => keep(&mut self.delta, number(), Reply::BadMetaDelta),
            b'M' => {
                self.mode = argument.first().copied().unwrap_or(b' ');
                None
            }
            b'l' | b'O' | b'P' | b'L' | b'k' | b's' | b't' | b'c' | b'f' | b'v' | b'h' | b'u'
            | b'q' | b'x' | b'I' => None,
            _ => return Err(Reply::BadFlag),
        };
        Ok(bad)
    }

    /// Is there an opaque token that is too long to be given back?
    fn opaque_is_too_long(&self) -> bool {
        self.flags().any(|(flag, word)| flag == b'O' && word.len() > OPAQUE_BYTES_MAX)
    }
}

/// Keeps a number, or says that it was none.
fn keep<T>(place: &mut T, number: Option<T>, otherwise: Reply) -> Option<Reply> {
    match number {
        Some(number) => {
            *place = number;
            None
        }
        None => Some(otherwise),
    }
}

/// The bit of a letter from `A` to `z`; what stands between the two alphabets has one as well.
const fn bit(flag: u8) -> u64 {
    1 << (flag - b'A')
}

/// Which of the meta commands that name a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    Set,
    Delete,
    Count,
    Debug,
}

/// Reads the line of a meta command behind its name; `end` says what ended it.
pub(super) fn parse_line(kind: Kind, mut words: Words<'_>, end: DataEnd) -> Line<'_> {
    let bad_line = Line::refused(Reply::BadLine, FORM);
    let Some(key) = words.next() else {
        return bad_line;
    };
    let mut value_bytes = 0;
    if kind == Kind::Set {
        let count = words.next_number().and_then(token::strict_i32);
        match count.and_then(|count| usize::try_from(count).ok()) {
            Some(count) if count <= VALUE_BYTES_MAX => value_bytes = count,
            _ => return bad_line,
        }
    }
    if kind == Kind::Debug {
        return debug(key, words);
    }
    let before = if kind == Kind::Set { 3 } else { 2 };
    // What does not look like a flag at all is no line of a meta command: nothing is skipped.
    if words.take(WORDS_MAX - before).any(|word| !matches!(word[0], b'0'..=b'9' | b'A'..=b'z')) {
        return bad_line;
    }
    match command(kind, key, words, before) {
        Ok(command) if kind == Kind::Set => Line::Value { command, form: FORM, value_bytes, end },
        Ok(command) => Line::Command { command, form: FORM },
        Err(reply) => {
            let value = (kind == Kind::Set).then_some((value_bytes, end));
            Line::Refused { reply, form: FORM, value }
        }
    }
}

fn command<'a>(
    kind: Kind,
    key: &'a [u8],
    words: Words<'a>,
    before: usize,
) -> Result<Command<'a>, Reply> {
    let parsed = if key.len() > KEY_BYTES_MAX {
        Err(Reply::BadLine)
    } else if words.count() + before > META_WORDS_MAX {
        Err(Reply::TooManyFlags)
    } else {
        Meta::parse(words, key)
    };
    // `ma` has one error for everything.
    let meta = match (kind, parsed) {
        (Kind::Count, Err(_)) => return Err(Reply::BadCountFlag),
        (_, parsed) => parsed?,
    };
    let command = match kind {
        Kind::Get => Command::MetaGet(meta),
        Kind::Delete => Command::MetaDelete(meta),
        Kind::Debug => Command::MetaDebug(meta),
        Kind::Set => {
            let mode = match meta.mode {
                0 | b'S' => StoreMode::Set,
                b'E' => StoreMode::Add,
                b'R' => StoreMode::Replace,
                b'A' => StoreMode::Append,
                b'P' => StoreMode::Prepend,
                _ => return Err(Reply::BadStoreMode),
            };
            Command::MetaSet { meta, mode, value: &[] }
        }
        Kind::Count => {
            let direction = match meta.mode {
                0 | b'I' | b'+' => Direction::Up,
                b'D' | b'-' => Direction::Down,
                _ => return Err(Reply::BadCountMode),
            };
            Command::MetaCount { meta, direction }
        }
    };
    if meta.opaque_is_too_long() { Err(Reply::OpaqueTooLong) } else { Ok(command) }
}

/// `me` looks at no flag but `b`.
fn debug<'a>(key: &'a [u8], mut words: Words<'a>) -> Line<'a> {
    let encoded = words.any(|word| word == b"b");
    let good = key.len() <= KEY_BYTES_MAX
        && (!encoded || base64::decode(key, &mut [0; KEY_BYTES_MAX]).is_some());
    match Meta::parse(Words::new(&[]), key) {
        Ok(meta) if good => {
            let meta = Meta { key: MetaKey { encoded, ..meta.key }, ..meta };
            Line::Command { command: Command::MetaDebug(meta), form: FORM }
        }
        Ok(_) | Err(_) => Line::refused(Reply::BadLine, FORM),
    }
}
