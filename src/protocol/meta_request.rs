//! The key and the flags of a meta command.
//!
//! A flag is a letter, with its argument right after it. All known flags are accepted, and their
//! numbers checked, by every command, also where they mean nothing. What they do stands in
//! `engine/meta.rs`.

use super::limits::KEY_BYTES_MAX;
use super::reply::Reply;
use super::token::Words;
use super::{base64, number};

/// Bytes of an opaque token, its `O` included (memcached's `MFLAG_MAX_OPAQUE_LENGTH`).
const OPAQUE_BYTES_MAX: usize = 32;

/// A key as it was written.
#[derive(Clone, Copy, Debug)]
pub struct MetaKey<'a> {
    /// The word.
    pub written: &'a [u8],
    /// The word is base64, which has been checked.
    pub encoded: bool,
}

impl<'a> MetaKey<'a> {
    /// The key itself, decoded into `space` where it is base64.
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
pub struct MetaRequest<'a> {
    /// The key.
    pub key: MetaKey<'a>,
    /// The words after the key, and after the count of `ms`.
    words: Words<'a>,
    /// A bit for each letter given, `A` the lowest.
    given: u64,
    /// The letter after the `M`: 0 without an `M`, a space where nothing follows it.
    pub(super) mode: u8,
    /// `T`, `N` and `R`.
    ttl: i32,
    vivify: i32,
    recache: i32,
    /// `F`: the client's flags.
    pub client_flags: u32,
    /// `C` and `E`.
    compare: u64,
    next_cas: u64,
    /// `J`: the value of a number that has to be created.
    pub initial: u64,
    /// `D`: by how much a number changes.
    pub delta: u64,
}

impl<'a> MetaRequest<'a> {
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

    /// `N`: the exptime of an item that is created on a miss.
    #[must_use]
    pub fn vivify(&self) -> Option<i32> {
        self.has(b'N').then_some(self.vivify)
    }

    /// `R`: with less time than that left, one client is asked to store a new value.
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
        let mut words = self.words;
        std::iter::from_fn(move || {
            let word = words.next_short()?;
            word.first().map(|&flag| (flag, word))
        })
    }

    /// Parses the `words` after the key.
    pub(super) fn parse(mut words: Words<'a>, written: &'a [u8]) -> Result<Self, Reply> {
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
        // A later flag's error replaces an earlier one's, except `F`'s, as memcached does.
        let mut error = None;
        let mut digits = [false; 10];
        while let Some(word) = words.next_short() {
            // No word is empty, and the grammar has checked that each begins with a digit or a letter.
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
            error = if flag == b'F' { error.or(bad) } else { bad.or(error) };
        }
        error.map_or(Ok(meta), Err)
    }

    /// Reads one flag. Returns what is wrong with its argument; fails when there is no such flag.
    fn read(&mut self, flag: u8, argument: &[u8]) -> Result<Option<Reply>, Reply> {
        let unsigned = || number::strict_u64(argument);
        let seconds = || number::strict_i32(argument);
        let bad = match flag {
            b'b' => {
                self.key.encoded = true;
                let decoded = base64::decode(self.key.written, &mut [0; KEY_BYTES_MAX]);
                decoded.is_none().then_some(Reply::BadKey)
            }
            b'N' => keep(&mut self.vivify, seconds(), Reply::BadToken),
            b'T' => keep(&mut self.ttl, seconds(), Reply::BadToken),
            b'R' => keep(&mut self.recache, seconds(), Reply::BadToken),
            b'F' => keep(&mut self.client_flags, number::strict_u32(argument), Reply::BadLine),
            b'C' => keep(&mut self.compare, unsigned(), Reply::BadToken),
            b'E' => keep(&mut self.next_cas, unsigned(), Reply::BadToken),
            b'J' => keep(&mut self.initial, unsigned(), Reply::BadInitial),
            b'D' => keep(&mut self.delta, unsigned(), Reply::BadMetaDelta),
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

    /// There is an opaque token that is too long to be returned.
    pub(super) fn opaque_is_too_long(&self) -> bool {
        self.has(b'O')
            && self.flags().any(|(flag, word)| flag == b'O' && word.len() > OPAQUE_BYTES_MAX)
    }
}

/// Keeps a number, or returns the `error` that it is none.
fn keep<T>(slot: &mut T, number: Option<T>, error: Reply) -> Option<Reply> {
    match number {
        Some(number) => {
            *slot = number;
            None
        }
        None => Some(error),
    }
}

/// The bit of a letter from `A` to `z`; the characters between the two alphabets have one, too.
const fn bit(flag: u8) -> u64 {
    1 << (flag - b'A')
}
