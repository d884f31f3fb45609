//! The words of a line: the only tokenizer of both dialects. Knows no command.

use memchr::{memchr, memrchr};

/// No command is longer than this.
const COMMAND_BYTES_MAX: usize = 32;

/// The command of a line: the bytes before the first space, so a line that starts with a space has
/// none.
pub(super) fn command_word(line: &[u8]) -> &[u8] {
    let start = &line[..line.len().min(COMMAND_BYTES_MAX)];
    let word_bytes = start.iter().position(|&byte| byte == b' ').unwrap_or(start.len());
    &start[..word_bytes]
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

    /// The next word, where a short one is expected, such as a number or a flag: it is scanned byte by
    /// byte in less time than memchr takes to begin.
    pub fn next_short(&mut self) -> Option<&'a [u8]> {
        self.next_to(|word| word.iter().position(|&byte| byte == b' '))
    }

    fn next_to(&mut self, space: impl Fn(&[u8]) -> Option<usize>) -> Option<&'a [u8]> {
        let skipped = self.rest.iter().position(|&byte| byte != b' ')?;
        let word = &self.rest[skipped..];
        let (word, rest) = word.split_at(space(word).unwrap_or(word.len()));
        self.rest = rest;
        Some(word)
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

    fn next(&mut self) -> Option<&'a [u8]> {
        self.next_to(|word| memchr(b' ', word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
