//! Numbers, read as strictly or as loosely as memcached reads them in each place.
//!
//! Owns no state and knows no command. Out of range is `None`, never a wrapped number, except where
//! memcached itself cuts a number down; those functions say so.

/// Most bytes that a 32-bit number may be written with, sign included.
const WORD_BYTES_32: usize = 11;
/// The same for a 64-bit number.
const WORD_BYTES_64: usize = 22;
/// The same for a number with a fraction.
const FRACTION_BYTES: usize = 31;

/// A signed 32-bit number: digits with an optional `-`, at most 11 bytes.
#[must_use]
pub fn strict_i32(word: &[u8]) -> Option<i32> {
    if word.len() > WORD_BYTES_32 {
        return None;
    }
    i32::try_from(strict_i64(word)?).ok()
}

/// A signed 64-bit number: digits with an optional `-`, at most 22 bytes.
#[must_use]
pub fn strict_i64(word: &[u8]) -> Option<i64> {
    if word.len() > WORD_BYTES_64 {
        return None;
    }
    match word {
        // memcached 1.6.45 accepts a lone minus, as 0.
        b"-" => Some(0),
        [b'-', digits @ ..] => 0i64.checked_sub_unsigned(decimal(digits)?),
        digits => i64::try_from(decimal(digits)?).ok(),
    }
}

/// An unsigned 32-bit number: digits, at most 11.
#[must_use]
pub fn strict_u32(word: &[u8]) -> Option<u32> {
    if word.len() > WORD_BYTES_32 {
        return None;
    }
    u32::try_from(decimal(word)?).ok()
}

/// An unsigned 64-bit number: digits, at most 22.
#[must_use]
pub fn strict_u64(word: &[u8]) -> Option<u64> {
    if word.len() > WORD_BYTES_64 {
        return None;
    }
    decimal(word)
}

/// Client flags of a classic store: `strtoul` and a cut to 32 bits, so 2^32 is 0.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "memcached keeps the low 32 bits")]
pub fn loose_u32(word: &[u8]) -> Option<u32> {
    loose_u64(word).map(|number| number as u32)
}

/// The exptime of a classic store: `strtol` and a cut to 32 bits, so 2^31 is negative.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "memcached keeps the low 32 bits")]
pub fn loose_i32(word: &[u8]) -> Option<i32> {
    let (negative, magnitude) = loose(word)?;
    let number = if negative {
        0i64.checked_sub_unsigned(magnitude)?
    } else {
        i64::try_from(magnitude).ok()?
    };
    Some(number as i32)
}

/// A number as `strtoull` finds it at the start of a value, for `incr` and `decr`.
#[must_use]
pub fn loose_u64(word: &[u8]) -> Option<u64> {
    match loose(word)? {
        // `strtoull` would wrap it, and memcached then refuses it.
        (true, 1..) => None,
        (_, number) => Some(number),
    }
}

/// A number with or without a fraction, such as a ratio: at most 31 bytes, and neither infinite nor so
/// near to 0 that digits are lost. memcached reads it with `strtod`; hexadecimal numbers, infinities and
/// NaN are refused here.
#[must_use]
pub fn decimal_fraction(word: &[u8]) -> Option<f64> {
    let is_plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    if word.len() > FRACTION_BYTES || !word.iter().all(is_plain) {
        return None;
    }
    let number: f64 = str::from_utf8(word).ok()?.parse().ok()?;
    let mut mantissa = word.iter().take_while(|byte| !byte.eq_ignore_ascii_case(&b'e'));
    let is_zero = !mantissa.any(|byte| matches!(byte, b'1'..=b'9'));
    (is_zero || number.is_normal()).then_some(number)
}

/// What the `strto` family accepts: white space, a sign, digits; after them white space, a NUL or
/// nothing. Returns whether it is negative, and its magnitude.
fn loose(word: &[u8]) -> Option<(bool, u64)> {
    // Nearly every number is digits alone.
    if let Some(number) = decimal(word) {
        return Some((false, number));
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | 9..=13);
    let start = word.iter().position(|byte| !is_space(byte))?;
    let (negative, digits) = match &word[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let ends_well = digits.get(end).is_none_or(|byte| is_space(byte) || *byte == 0);
    if ends_well { Some((negative, decimal(&digits[..end])?)) } else { None }
}

/// Digits of the largest number.
pub const DIGITS_MAX: usize = 20;

/// The decimal digits of `number`, at the end of `space`.
#[must_use]
pub fn digits_of(number: u64, space: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let start = write_digits(number, space);
    &space[start..]
}

/// Writes the decimal digits of `number` at the end of `space`, two at a time. Returns where they start.
/// For numbers of four digits and more; [`super::writer`] writes shorter ones itself.
///
/// # Panics
/// When there is less space than the digits need; [`DIGITS_MAX`] bytes are enough for all.
#[inline]
pub fn write_digits(mut number: u64, space: &mut [u8]) -> usize {
    let mut start = space.len();
    while number >= 10 {
        start -= 2;
        space[start..start + 2].copy_from_slice(&last_two_digits(number));
        number /= 100;
    }
    if number > 0 || start == space.len() {
        start -= 1;
        [_, space[start]] = last_two_digits(number);
    }
    start
}

/// The last two digits of a number.
#[inline]
#[must_use]
pub const fn last_two_digits(number: u64) -> [u8; 2] {
    PAIRS[(number % 100) as usize]
}

/// The two digits of each number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let (mut tens, mut ones, mut number) = (b'0', b'0', 0);
    while number < pairs.len() {
        pairs[number] = [tens, ones];
        (tens, ones) = if ones == b'9' { (tens + 1, b'0') } else { (tens, ones + 1) };
        number += 1;
    }
    pairs
};

/// Digits alone, at least one, with any number of leading zeros.
#[must_use]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_numbers_are_plain() {
        assert_eq!(strict_i32(b"0"), Some(0));
        assert_eq!(strict_i32(b"-2147483648"), Some(i32::MIN));
        assert_eq!(strict_i32(b"2147483647"), Some(i32::MAX));
        assert_eq!(strict_i32(b"-"), Some(0));
        for bad in [&b""[..], b"+1", b" 1", b"1 ", b"0x1", b"2147483648", b"000000000001"] {
            assert_eq!(strict_i32(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn loose_numbers_are_cut_to_32_bits() {
        assert_eq!(loose_u32(b"4294967296"), Some(0));
        assert_eq!(loose_u32(b"+7"), Some(7));
        assert_eq!(loose_i32(b"2147483648"), Some(i32::MIN));
        assert_eq!(loose_i32(b"4294967296"), Some(0));
        assert_eq!(loose_i32(b"-1"), Some(-1));
        assert_eq!(loose_u32(b"\t5"), Some(5));
        assert_eq!(loose_u64(b"  5 abc"), Some(5));
        assert_eq!(loose_u64(b"-0"), Some(0));
        assert_eq!(loose_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(loose_i32(b"9223372036854775808"), None);
        for bad in [&b""[..], b"-1", b"0x10", b"1abc", b"++1", b"99999999999999999999"] {
            assert_eq!(loose_u32(bad), None, "{}", bad.escape_ascii());
        }
    }
}
