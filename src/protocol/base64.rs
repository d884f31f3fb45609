//! Base64, for binary keys of meta commands.
//!
//! As memcached decodes it: padding is required, and characters outside the alphabet are ignored. No
//! library: a key is at most [`super::KEY_BYTES_MAX`] bytes in this form.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The value of a byte outside the alphabet.
const IGNORED: u8 = 64;
/// Six bits for each byte; padding has none.
#[allow(clippy::cast_possible_truncation, reason = "the alphabet has 64 characters")]
const VALUES: [u8; 256] = {
    let mut values = [IGNORED; 256];
    let mut index = 0;
    while index < ALPHABET.len() {
        values[ALPHABET[index] as usize] = index as u8;
        index += 1;
    }
    values[b'=' as usize] = 0;
    values
};

/// Decodes `text` into the start of `space`. Returns the number of bytes, at least one; None when it
/// is not base64 or does not fit.
#[must_use]
pub fn decode(text: &[u8], space: &mut [u8]) -> Option<usize> {
    let known = |byte: &&u8| VALUES[usize::from(**byte)] != IGNORED;
    let characters = text.iter().filter(known).count();
    if characters == 0 || characters % 4 != 0 || characters / 4 * 3 > space.len() {
        return None;
    }
    let (mut bits, mut seen, mut padding, mut bytes) = (0u32, 0, 0, 0);
    // Each four characters fill three bytes of `space`, whose length has been checked.
    for byte in text.iter().filter(known) {
        bits = bits << 6 | u32::from(VALUES[usize::from(*byte)]);
        padding += usize::from(*byte == b'=');
        seen += 1;
        if seen % 4 == 0 {
            space[bytes..bytes + 3].copy_from_slice(&bits.to_be_bytes()[1..]);
            bytes += 3;
            bits = 0;
            if padding > 0 {
                // What follows the padding is ignored.
                break;
            }
        }
    }
    if padding > 2 { None } else { Some(bytes - padding) }
}

/// Appends the base64 of `bytes` to `text`.
pub fn encode(bytes: &[u8], text: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let value = (bits >> (18 - 6 * index) & 63) as usize;
            text.push(if index <= group.len() { ALPHABET[value] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 1..=bytes.len() {
            let (mut text, mut space) = (Vec::new(), [0; 256]);
            encode(&bytes[..length], &mut text);
            assert_eq!(text.len(), length.div_ceil(3) * 4);
            // The last group is decoded whole before its padding is taken off.
            let decoded = decode(&text, &mut space);
            if length <= 255 {
                assert_eq!(decoded, Some(length));
                assert_eq!(space[..length], bytes[..length]);
            }
        }
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        let space = &mut [0; 16];
        for bad in
            [&b""[..], b"a", b"YQ", b"YQ=", b"****", b"Y===", b"====", b"YWFhYWFhYWFhYWFhYWFhYQ=="]
        {
            assert_eq!(decode(bad, space), None, "{}", bad.escape_ascii());
        }
        assert_eq!(decode(b"YQ==", space), Some(1));
        // Ignored, as by memcached.
        assert_eq!(decode(b"Y-Q==", space), Some(1));
    }
}
