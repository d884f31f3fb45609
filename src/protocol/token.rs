//! Numbers, read as strictly or as loosely as memcached reads them in each place.
//!
//! Owns no state and knows no command. Out of range is `None`, never a wrapped number, except where
//! memcached itself cuts a number down; those functions say so.

/// Most digits that a 32-bit number may be written with, sign included.
const WORD_BYTES_32: usize = 11;

/// A signed 32-bit number: digits with an optional `-`, at most 11 bytes.
#[must_use]
pub fn strict_i32(word: &[u8]) -> Option<i32> {
    if word.len() > WORD_BYTES_32 {
        return None;
    }
    let (digits, negative) = match word {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    let magnitude = i64::try_from(decimal(digits)?).ok()?;
    i32::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Client flags of a classic store: `strtoul` and a cut to 32 bits, so 2^32 is 0.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "memcached keeps the low 32 bits")]
pub fn loose_u32(word: &[u8]) -> Option<u32> {
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    decimal(digits).map(|number| number as u32)
}

/// The exptime of a classic store: `strtol` and a cut to 32 bits, so 2^31 is negative.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "memcached keeps the low 32 bits")]
pub fn loose_i32(word: &[u8]) -> Option<i32> {
    let (digits, negative) = match word {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    let magnitude = i64::try_from(decimal(digits)?).ok()?;
    Some((if negative { -magnitude } else { magnitude }) as i32)
}

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
        for bad in [&b""[..], b"-", b"+1", b" 1", b"1 ", b"0x1", b"2147483648", b"000000000001"] {
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
        for bad in [&b""[..], b"-1", b"0x10", b"1abc", b"++1", b"99999999999999999999"] {
            assert_eq!(loose_u32(bad), None, "{}", bad.escape_ascii());
        }
    }
}
