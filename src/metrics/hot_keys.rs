//! The hot keys as JSON: those of the last seconds, and those since the start.
//!
//! ```text
//! {"enabled":true,
//!  "recent":{"seconds":14,"requests":900,"keys":[{"key":"user:7","requests":120,"error":3}, ...]},
//!  "since_start":{...}}
//! ```
//! A key that is not UTF-8 is `"hex"` in place of `"key"`. Without hot keys, `enabled` is false and there
//! is nothing else.

use std::fmt::{self, Display, Write as _};

use crate::engine::Now;
use crate::engine::hot_keys::{HotKey, HotKeys, HotSpan};
use crate::protocol::KEY_BYTES_MAX;

/// Keys of each span.
const KEYS_MAX: usize = 20;
/// Bytes that the text may take: of each key, six for each byte, and two numbers.
pub(super) const BYTES_MAX: usize = (2 * KEYS_MAX + 1) * (6 * KEY_BYTES_MAX + 96);

/// Appends the text to `out`.
pub(super) fn write(hot_keys: Option<&HotKeys>, now: Now, out: &mut String) {
    let Some(hot_keys) = hot_keys else {
        return out.push_str("{\"enabled\":false}\n");
    };
    out.push_str("{\"enabled\":true");
    for (name, span) in
        [("recent", hot_keys.recent(now)), ("since_start", hot_keys.since_start(now))]
    {
        write_span(name, span, out);
    }
    out.push_str("}\n");
}

fn write_span(name: &str, span: HotSpan<'_>, out: &mut String) {
    let (seconds, requests) = (span.seconds, span.requests());
    // Writing into memory does not fail.
    let _ = write!(out, ",\"{name}\":{{\"seconds\":{seconds},\"requests\":{requests},\"keys\":[");
    for (index, HotKey { key, requests, error }) in span.keys().take(KEYS_MAX).enumerate() {
        out.push_str(if index == 0 { "{" } else { ",{" });
        let _ = match str::from_utf8(key) {
            Ok(text) => write!(out, "\"key\":\"{}\"", Escaped(text)),
            Err(_) => write!(out, "\"hex\":\"{}\"", Hex(key)),
        };
        let _ = write!(out, ",\"requests\":{requests},\"error\":{error}}}");
    }
    out.push_str("]}");
}

/// The inside of a JSON string.
struct Escaped<'k>(&'k str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' | '\\' => write!(f, "\\{c}"),
            _ if c.is_control() => write!(f, "\\u{:04x}", u32::from(c)),
            _ => f.write_char(c),
        })
    }
}

struct Hex<'k>(&'k [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped() {
        let escaped = Escaped("a\"b\\c\n\u{7f}\u{9b}<ü>").to_string();
        assert_eq!(escaped, "a\\\"b\\\\c\\u000a\\u007f\\u009b<ü>");
        assert_eq!(Hex(b"\xff\x00a").to_string(), "ff0061");
        let mut text = String::new();
        write(None, Now { uptime_s: 2, unix_s: 0 }, &mut text);
        assert_eq!(text, "{\"enabled\":false}\n");
    }
}
