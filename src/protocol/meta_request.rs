//! The key and the flags of a meta command.
//!
//! A flag is a letter, with its argument right after it. All known flags are accepted, and their
//! numbers checked, by every command, also where they mean nothing. `engine/meta.rs` does
//! what they ask for.

use super::limits::KEY_BYTES_MAX;
use super::reply::Reply;
use super::token::Words;
use super::{base64, number};

/// Bytes of an opaque token, its `O` included (memcached's `MFLAG_MAX_OPAQUE_LENGTH`).
const OPAQUE_BYTES_MAX: usize = 32;
/// The flags of `mg` that take no argument.
const PLAIN_LETTERS: u64 = bits(b"cfhklqstuv");

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
    #[inline]
    pub fn decode<'k>(&self, space: &'k mut KeySpace) -> &'k [u8]
    where
        'a: 'k,
    {
        if self.encoded { space.decode(self.written) } else { self.written }
    }
}

/// Memory for a key that has to be decoded. Most keys are not, so it is not written before that.
#[derive(Debug, Default)]
pub struct KeySpace(Option<[u8; KEY_BYTES_MAX]>);

impl KeySpace {
    #[cold]
    fn decode(&mut self, written: &[u8]) -> &[u8] {
        let space = self.0.insert([0; KEY_BYTES_MAX]);
        let bytes = base64::decode(written, space).unwrap_or_default();
        &space[..bytes]
    }
}

/// The key and the flags of a meta command. A number is checked when the line is parsed, and read again
/// where it is used, because most requests use none.
#[derive(Clone, Copy, Debug)]
pub struct MetaRequest<'a> {
    /// The key.
    pub key: MetaKey<'a>,
    /// The words after the key, and after the count of `ms`.
    words: Words<'a>,
    /// A bit for each letter given, `A` the lowest.
    given: u64,
}

impl<'a> MetaRequest<'a> {
    /// A request without flags.
    pub(super) const fn new(key: MetaKey<'a>) -> Self {
        Self { key, words: Words::new(&[]), given: 0 }
    }

    /// Adds a flag that takes no argument, if this is one that was not given before.
    #[inline]
    pub(super) const fn add_letter(&mut self, letter: u8) -> Option<()> {
        if !matches!(letter, b'A'..=b'z') || PLAIN_LETTERS & bit(letter) & !self.given == 0 {
            return None;
        }
        self.given |= bit(letter);
        Some(())
    }

    /// Sets the words that all flags were taken from.
    pub(super) const fn set_words(&mut self, words: &'a [u8]) {
        self.words = Words::new(words);
    }

    /// Was this letter given?
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.given & bit(flag) != 0
    }

    /// Was a letter given that is none of these [`bits`]?
    #[must_use]
    pub const fn has_others_than(&self, letters: u64) -> bool {
        self.given & !letters != 0
    }

    /// The argument of a flag.
    #[inline(always)]
    fn argument(&self, wanted: u8) -> Option<&'a [u8]> {
        if self.has(wanted) { self.find(wanted) } else { None }
    }

    #[cold]
    fn find(&self, wanted: u8) -> Option<&'a [u8]> {
        self.flags().find(|&(flag, _)| flag == wanted).map(|(_, word)| &word[1..])
    }

    /// `T`: the exptime to be set.
    #[must_use]
    #[inline]
    pub fn ttl(&self) -> Option<i32> {
        self.argument(b'T').and_then(number::strict_i32)
    }

    /// `N`: the exptime of an item that is created on a miss.
    #[must_use]
    #[inline]
    pub fn vivify(&self) -> Option<i32> {
        self.argument(b'N').and_then(number::strict_i32)
    }

    /// `R`: with less time than that left, one client is asked to store a new value.
    #[must_use]
    #[inline]
    pub fn recache(&self) -> Option<i32> {
        self.argument(b'R').and_then(number::strict_i32)
    }

    /// `C`: the cas id that the item has to have.
    #[must_use]
    #[inline]
    pub fn compare(&self) -> Option<u64> {
        self.argument(b'C').and_then(number::strict_u64)
    }

    /// `E`: the cas id that the item is to get; 0 is none in particular.
    #[must_use]
    #[inline]
    pub fn next_cas(&self) -> Option<u64> {
        self.argument(b'E').and_then(number::strict_u64).filter(|&cas| cas != 0)
    }

    /// `F`: the client's flags.
    #[must_use]
    pub fn client_flags(&self) -> u32 {
        self.argument(b'F').and_then(number::strict_u32).unwrap_or(0)
    }

    /// `J`: the value of a number that has to be created.
    #[must_use]
    pub fn initial(&self) -> u64 {
        self.argument(b'J').and_then(number::strict_u64).unwrap_or(0)
    }

    /// `D`: by how much a number changes.
    #[must_use]
    pub fn delta(&self) -> u64 {
        self.argument(b'D').and_then(number::strict_u64).unwrap_or(1)
    }

    /// The letter after the `M`: 0 without an `M`, a space where nothing follows it.
    #[must_use]
    pub fn mode(&self) -> u8 {
        self.argument(b'M').map_or(0, |mode| mode.first().copied().unwrap_or(b' '))
    }

    /// The flags in the order in which they came, whole.
    pub fn flags(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut words = self.words;
        std::iter::from_fn(move || {
            let word = words.next()?;
            word.first().map(|&flag| (flag, word))
        })
    }

    /// Parses the `words` after the key.
    pub(super) fn parse(words: Words<'a>, written: &'a [u8]) -> Result<Self, Reply> {
        let mut meta = Self { words, ..Self::new(MetaKey { written, encoded: false }) };
        // A later flag's error replaces an earlier one's, except `F`'s, as memcached does.
        let mut error = None;
        let mut digits = [false; 10];
        for word in words {
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
            let bad = meta.check(flag, argument)?;
            error = if flag == b'F' { error.or(bad) } else { bad.or(error) };
        }
        error.map_or(Ok(meta), Err)
    }

    /// Checks one flag. Returns what is wrong with its argument; fails when there is no such flag.
    fn check(&mut self, flag: u8, argument: &[u8]) -> Result<Option<Reply>, Reply> {
        let (is_good, reply) = match flag {
            b'b' => {
                self.key.encoded = true;
                let decoded = base64::decode(self.key.written, &mut [0; KEY_BYTES_MAX]);
                (decoded.is_some(), Reply::BadKey)
            }
            b'N' | b'T' | b'R' => (number::strict_i32(argument).is_some(), Reply::BadToken),
            b'F' => (number::strict_u32(argument).is_some(), Reply::BadLine),
            b'C' | b'E' => (number::strict_u64(argument).is_some(), Reply::BadToken),
            b'J' => (number::strict_u64(argument).is_some(), Reply::BadInitial),
            b'D' => (number::strict_u64(argument).is_some(), Reply::BadMetaDelta),
            b'l' | b'O' | b'P' | b'L' | b'k' | b's' | b't' | b'c' | b'f' | b'v' | b'h' | b'u'
            | b'q' | b'x' | b'I' | b'M' => return Ok(None),
            _ => return Err(Reply::BadFlag),
        };
        Ok((!is_good).then_some(reply))
    }

    /// There is an opaque token that is too long to be returned.
    pub(super) fn opaque_is_too_long(&self) -> bool {
        self.has(b'O')
            && self.flags().any(|(flag, word)| flag == b'O' && word.len() > OPAQUE_BYTES_MAX)
    }
}

/// The bit of a letter from `A` to `z`; the characters between the two alphabets have one, too.
const fn bit(flag: u8) -> u64 {
    1 << (flag - b'A')
}

/// The bits of these letters.
#[must_use]
pub const fn bits(flags: &[u8]) -> u64 {
    match flags {
        [] => 0,
        [flag, others @ ..] => bit(*flag) | bits(others),
    }
}
