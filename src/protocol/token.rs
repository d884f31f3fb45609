//! The words of a line: the only tokenizer of both dialects. Knows no command.

use memchr::memchr;

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
