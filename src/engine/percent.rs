//! Keys as dumps and the log of events show them: percent-encoded, as in a URI.

use std::fmt::{self, Display};

/// Bytes that are shown as `%` and two digits, but for letters, digits and `-._~`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Percent<'k>(pub(super) &'k [u8]);

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl Display for Percent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.chunk_by(|&before, &after| is_plain(before) == is_plain(after)) {
            match str::from_utf8(chunk) {
                Ok(plain) if is_plain(chunk[0]) => f.write_str(plain)?,
                _ => chunk.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?,
            }
        }
        Ok(())
    }
}
