//! The limits of the wire. The operator's limits are in [`crate::config`].

/// Longest line, its LF not counted, of every classic command that names one key at most.
/// memcached closes a connection that has more than this waiting without a line end.
pub const LINE_BYTES_MAX: usize = 2048;
/// Longest line, its LF not counted, of a retrieval and of everything in the simple dialect.
pub const LONG_LINE_BYTES_MAX: usize = 1 << 20;
/// Longest key of the classic dialect. The simple dialect's keys are bound by line and item limits.
pub const KEY_BYTES_MAX: usize = 250;
/// Largest count of value bytes that a store may announce (`INT_MAX - 2`, as memcached).
pub const VALUE_BYTES_MAX: usize = 2_147_483_645;
/// Words of a classic line that are looked at, the command included (as memcached).
pub const WORDS_MAX: usize = 23;

/// Longest header, extras and key of a binary frame: what memcached's input buffer holds. Longer ones
/// are not waited for.
pub const FRAME_HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest body of a binary frame (memcached's largest item limit).
pub const FRAME_BODY_BYTES_MAX: usize = 1 << 30;

/// All lengths in one request, added up, fit into 32 bits. So no sum of them overflows a `usize`, and
/// only numbers that are no lengths need checked arithmetic.
const _: () = assert!(LONG_LINE_BYTES_MAX + VALUE_BYTES_MAX + 128 <= u32::MAX as usize);

/// Size of an item as memcached counts it against `-I`: header, cas, key with its NUL, the client
/// flags when there are any, and the value with its CRLF. Clients probe for this limit, so it is
/// part of the wire and not of any store.
#[must_use]
pub const fn item_bytes(key_bytes: usize, flags: u32, value_bytes: usize) -> usize {
    let flag_bytes = if flags == 0 { 0 } else { 4 };
    48 + 8 + key_bytes + 1 + flag_bytes + value_bytes + 2
}
