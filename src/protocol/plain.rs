//! The plain forms of the most frequent requests, parsed in one pass: the end of the line is found
//! together with the words, so no byte is looked at twice.
//!
//! ```text
//! get <key>\r\n
//! set <key> <flags> <exptime> <bytes>[ noreply]\r\n
//! mg <key>[ <letter>]*\r\n
//! ```
//! Words are separated by one space, numbers have one to nine digits and no sign, a letter is a flag
//! without an argument. Every other line is left to the grammars, and so is one that is not complete.
//! What is returned here is what [`super::classic`] returns for the same line; `tests/plain_lines.rs`
//! compares them. It is worth a second parser: when it was added, a
//! pipelined `get` took 1,444 instructions instead of 1,672, a `set` 1,655 instead of 2,083, and an `mg`
//! 1,567 instead of 2,090.

use super::command::{Command, Retrieval, StoreMode};
use super::limits::KEY_BYTES_MAX;
use super::line::{DataEnd, Line};
use super::meta_request::{MetaKey, MetaRequest};
use super::reply::ReplyMode;
use super::token::{Keys, Stop};

/// Digits of a plain number: so many fit into 31 bits.
const DIGITS_MAX: usize = 9;

/// Parses the line at the start of `unread`, and returns its length, the line end included. None where
/// it is not of a plain form or not complete.
#[inline(always)]
pub(super) fn get(unread: &[u8]) -> Option<(Line<'_>, usize)> {
    let rest = &mut unread.strip_prefix(b"get ")?;
    let key = take_key(rest)?;
    take(rest, b"\r\n")?;
    let retrieval = Retrieval { with_cas: false, touch: None };
    let command = Command::Retrieve { retrieval, keys: Keys::one(key) };
    Some((Line::Command { command, mode: ReplyMode::CLASSIC }, unread.len() - rest.len()))
}

#[inline(always)]
pub(super) fn set(unread: &[u8]) -> Option<(Line<'_>, usize)> {
    let rest = &mut unread.strip_prefix(b"set ")?;
    let key = take_key(rest)?;
    let flags = take_number(rest)?;
    let exptime = take_number(rest)?.cast_signed();
    let value_bytes = take_number(rest)? as usize;
    let noreply = take(rest, b"\r\n").is_none();
    if noreply {
        take(rest, b" noreply\r\n")?;
    }
    let command = Command::Store { mode: StoreMode::Set, key, flags, exptime, value: &[] };
    let mode = ReplyMode { noreply, ..ReplyMode::CLASSIC };
    let line = Line::Value { command, mode, value_bytes, end: DataEnd::CrLf };
    Some((line, unread.len() - rest.len()))
}

#[inline(always)]
pub(super) fn meta_get(unread: &[u8]) -> Option<(Line<'_>, usize)> {
    let rest = &mut unread.strip_prefix(b"mg ")?;
    let key = MetaKey { written: take_key(rest)?, encoded: false };
    let mut meta = MetaRequest::new(key);
    let flags = *rest;
    while take(rest, b"\r\n").is_none() {
        let [_, letter] = take_if(rest, |&[space, _]| space == b' ')?;
        meta.add_letter(*letter)?;
    }
    meta.set_words(&flags[..flags.len() - rest.len() - 2]);
    let line = Line::Command { command: Command::MetaGet(meta), mode: ReplyMode::CLASSIC };
    Some((line, unread.len() - rest.len()))
}

/// Takes a word that may be a key: up to a space or a control character.
#[inline(always)]
fn take_key<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let longest = &rest[..rest.len().min(KEY_BYTES_MAX + 1)];
    let bytes = Stop::SpaceOrControl.find(longest)?;
    if bytes == 0 {
        return None;
    }
    let key;
    (key, *rest) = rest.split_at(bytes);
    Some(key)
}

/// Takes a space and a number.
#[inline(always)]
fn take_number(rest: &mut &[u8]) -> Option<u32> {
    // Most flags and times are 0.
    if let [b' ', digit @ b'0'..=b'9', b' ', ..] = **rest {
        *rest = &rest[2..];
        return Some(u32::from(digit - b'0'));
    }
    take(rest, b" ")?;
    let before = *rest;
    let mut number = 0u32;
    while let Some((&byte, others)) = rest.split_first() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        // A number with too many digits is refused below, so it does not matter that it wraps.
        number = number.wrapping_mul(10).wrapping_add(u32::from(digit));
        *rest = others;
    }
    let digits = before.len() - rest.len();
    (digits > 0 && digits <= DIGITS_MAX).then_some(number)
}

/// Takes these bytes, if they come next.
#[inline(always)]
fn take<const N: usize>(rest: &mut &[u8], bytes: &[u8; N]) -> Option<()> {
    take_if(rest, |next| next == bytes).map(drop)
}

/// Takes `N` bytes, if `is_good` accepts them.
#[inline(always)]
fn take_if<'a, const N: usize>(
    rest: &mut &'a [u8],
    is_good: impl FnOnce(&[u8; N]) -> bool,
) -> Option<&'a [u8; N]> {
    let (next, others) = rest.split_first_chunk()?;
    if !is_good(next) {
        return None;
    }
    *rest = others;
    Some(next)
}
