//! The words of a line: the only tokenizer of both dialects. Knows no command.

use memchr::memrchr;

/// No command is longer than this.
const COMMAND_BYTES_MAX: usize = 32;

/// The command of a line: the bytes before the first space, so a line that starts with a space has
/// none.
pub(super) fn command_word(line: &[u8]) -> &[u8] {
    let start = &line[..line.len().min(COMMAND_BYTES_MAX)];
    &start[..space_in(start)]
}

/// What a search looks for.
#[derive(Clone, Copy)]
pub(super) enum Stop {
    /// A space.
    Space,
    /// A space, or a control character below it.
    SpaceOrControl,
}

impl Stop {
    #[inline(always)]
    const fn is(self, byte: u8) -> bool {
        match self {
            Self::Space => byte == b' ',
            Self::SpaceOrControl => byte <= b' ',
        }
    }

    /// The high bit of the first byte of `word` that is a stop is set, and none before it (Mycroft,
    /// 1987: a subtraction borrows only from bytes after that one).
    #[inline(always)]
    const fn marks(self, word: u64) -> u64 {
        const fn bytes(byte: u8) -> u64 {
            u64::from_le_bytes([byte; 8])
        }
        let (word, above) = match self {
            Self::Space => (word ^ bytes(b' '), bytes(1)),
            Self::SpaceOrControl => (word, bytes(b' ' + 1)),
        };
        word.wrapping_sub(above) & !word & bytes(0x80)
    }

    /// The index of the first stop, if there is one. It passes over sixteen bytes at once: the fold does
    /// not end at a stop, so it is vectorised. memchr takes 66 instructions for a
    /// word of 36 bytes, most of them to begin.
    #[inline(always)]
    pub(super) fn find(self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while let Some((chunk, others)) = rest.split_first_chunk::<16>() {
            if chunk.iter().fold(false, |any, &byte| any | self.is(byte)) {
                break;
            }
            rest = others;
        }
        while let Some((chunk, others)) = rest.split_first_chunk() {
            let marks = self.marks(u64::from_le_bytes(*chunk));
            if marks != 0 {
                return Some(bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8);
            }
            rest = others;
        }
        let in_rest = rest.iter().position(|&byte| self.is(byte));
        in_rest.map(|at| bytes.len() - rest.len() + at)
    }
}

/// The index of the first space, or the length where there is none.
#[inline(always)]
fn space_in(bytes: &[u8]) -> usize {
    Stop::Space.find(bytes).unwrap_or(bytes.len())
}

/// The words of a line: runs of anything but spaces.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// What the iterator has not returned yet.
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    /// The words of `line`.
    #[must_use]
    pub const fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    /// What the iterator has not returned yet, spaces included.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Some word is longer than `bytes`. Steps from space to space, each at most `bytes` after the
    /// last: looking at every word of a line of half a million would take 3 ms of one turn.
    #[must_use]
    pub fn has_longer_than(&self, bytes: usize) -> bool {
        let mut rest = self.rest;
        while rest.len() > bytes {
            match memrchr(b' ', &rest[..=bytes]) {
                Some(space) => rest = &rest[space + 1..],
                None => return true,
            }
        }
        false
    }

    /// No word is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.iter().all(|&byte| byte == b' ')
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let skipped = self.rest.iter().position(|&byte| byte != b' ')?;
        let word = &self.rest[skipped..];
        let (word, rest) = word.split_at(space_in(word));
        self.rest = rest;
        Some(word)
    }
}

/// The keys of a retrieval, of which there is at least one. The first is found when the line is parsed.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    /// From the first key on.
    words: &'a [u8],
    first_bytes: usize,
}

impl<'a> Keys<'a> {
    /// All words of a line, if there are any.
    #[must_use]
    pub fn new(words: Words<'a>) -> Option<Self> {
        let spaces = words.rest.iter().position(|&byte| byte != b' ')?;
        let words = &words.rest[spaces..];
        Some(Self { words, first_bytes: space_in(words) })
    }

    /// One key.
    #[must_use]
    pub(super) const fn one(key: &'a [u8]) -> Self {
        Self { words: key, first_bytes: key.len() }
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> &'a [u8] {
        &self.words[..self.first_bytes]
    }

    /// Those after the first.
    #[must_use]
    pub fn after_first(&self) -> Words<'a> {
        Words::new(&self.words[self.first_bytes..])
    }

    /// All.
    #[must_use]
    pub const fn all(&self) -> Words<'a> {
        Words::new(self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length and every place of the first stop, with every byte there and with neighbours from
    /// which a subtraction borrows.
    #[test]
    fn the_first_stop_is_found_at_every_place() {
        for stop in [Stop::Space, Stop::SpaceOrControl] {
            for (bytes, place) in (0..=50).flat_map(|bytes| (0..bytes).map(move |at| (bytes, at))) {
                for byte in 0..=u8::MAX {
                    for after in [0, b' ', b'!', b'k', 0x7f, 0x80, 0xa0, u8::MAX] {
                        let mut line = vec![b'k'; bytes];
                        line[place] = byte;
                        line[place + 1..].fill(after);
                        let expected = line.iter().position(|&byte| stop.is(byte));
                        assert_eq!(stop.find(&line), expected, "{}", line.escape_ascii());
                    }
                }
            }
        }
    }

    #[test]
    fn the_longest_word_decides() {
        for (line, bytes) in
            [("", 0), (" ", 0), ("   ", 0), ("a", 1), ("abc de", 3), ("a  bcd ", 3)]
        {
            let words = Words::new(line.as_bytes());
            for limit in 0..10 {
                assert_eq!(words.has_longer_than(limit), bytes > limit, "{line:?} {limit}");
            }
        }
        for (before, after) in [(0, 0), (1, 250), (250, 1), (251, 0), (100, 500)] {
            for (bytes, is_longer) in [(249, false), (250, false), (251, true), (600, true)] {
                let line =
                    [b" ".repeat(before), b"k ".to_vec(), b"k".repeat(bytes), b" k".repeat(after)];
                let line = line.concat();
                assert_eq!(Words::new(&line).has_longer_than(250), is_longer, "{before} {bytes}");
            }
        }
    }
}
