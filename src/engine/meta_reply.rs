//! The answers of meta commands: their return flags, and the first line of an `mg`'s hit.
//!
//! The flags are handled in the order in which they came, as memcached does: a `t` before a `T` shows
//! the old time. Changes no item: what has to be changed is returned to `meta`.

use super::Now;
use crate::protocol::meta_request::bits;
use crate::protocol::{MetaRequest, ReplyWriter};
use crate::store::{Item, NEVER};

/// Flags of `mg` that return nothing.
const UNRETURNED: u64 = bits(b"vq");

/// What an `mg` changes, as its flags say.
pub(super) struct Fetched {
    pub(super) expires_at_s: u32,
    pub(super) wins: bool,
}

/// The first line of the answer to an `mg` that has found, or created, an item.
pub(super) fn show(
    meta: &MetaRequest<'_>,
    key: &[u8],
    item: &Item<'_>,
    is_new: bool,
    shows_value: bool,
    now: Now,
    reply: &mut ReplyWriter<'_>,
) -> Fetched {
    let Item { value, attributes, .. } = *item;
    let marks = attributes.marks;
    let mut expires_at_s = attributes.expires_at_s;
    let mut wins = false;
    if shows_value && !meta.has_others_than(UNRETURNED) && !marks.win_sent && !marks.stale {
        reply.plain_meta_line(value.len());
        return Fetched { expires_at_s, wins };
    }
    head(shows_value.then_some(value.len()), reply);
    for (flag, word) in meta.flags() {
        match flag {
            b'T' => expires_at_s = now.deadline_s(meta.ttl().unwrap_or(0)),
            b'N' if is_new => {
                expires_at_s = now.deadline_s(meta.vivify().unwrap_or(0));
                wins = true;
            }
            b'R' => {
                let soon_s = now.deadline_s(meta.recache().unwrap_or(0));
                wins |=
                    !marks.win_sent && !is_new && expires_at_s != NEVER && expires_at_s < soon_s;
            }
            b's' => reply.flag(b's', value.len() as u64),
            b't' => show_ttl(expires_at_s, now, reply),
            b'c' => reply.flag(b'c', attributes.cas),
            b'f' => reply.flag(b'f', u64::from(attributes.flags)),
            b'l' => reply.flag(b'l', u64::from(item.idle_s(now.uptime_s))),
            b'h' => reply.flag(b'h', u64::from(item.fetched)),
            b'O' => reply.flag_text(b'O', &word[1..]),
            b'k' => show_key(key, marks.key_encoded, reply),
            _ => {}
        }
    }
    if marks.win_sent {
        reply.flag_text(b'Z', b"");
    }
    if marks.stale {
        reply.flag_text(b'X', b"");
        wins |= !marks.win_sent;
    }
    if wins {
        reply.flag_text(b'W', b"");
    }
    reply.newline();
    Fetched { expires_at_s, wins }
}

/// The start of the answer to a hit.
pub(super) fn head(value_bytes: Option<usize>, reply: &mut ReplyWriter<'_>) {
    match value_bytes {
        Some(bytes) => {
            reply.text(b"VA");
            reply.number(bytes as u64);
        }
        None => reply.text(b"HD"),
    }
}

pub(super) fn show_ttl(expires_at_s: u32, now: Now, reply: &mut ReplyWriter<'_>) {
    if expires_at_s == NEVER {
        reply.flag_text(b't', b"-1");
    } else {
        reply.flag(b't', u64::from(expires_at_s.saturating_sub(now.uptime_s)));
    }
}

pub(super) fn show_key(key: &[u8], encoded: bool, reply: &mut ReplyWriter<'_>) {
    reply.flag_text(b'k', b"");
    reply.key(key, encoded);
    if encoded {
        reply.text(b" b");
    }
}

/// The flags that are returned whatever the outcome.
pub(super) fn echo(meta: &MetaRequest<'_>, key: &[u8], reply: &mut ReplyWriter<'_>) {
    for (flag, word) in meta.flags() {
        match flag {
            b'O' => reply.flag_text(b'O', &word[1..]),
            b'k' => show_key(key, meta.key.encoded, reply),
            _ => {}
        }
    }
}

/// An answer with those flags alone.
pub(super) fn answer(code: &[u8], meta: &MetaRequest<'_>, key: &[u8], reply: &mut ReplyWriter<'_>) {
    reply.text(code);
    echo(meta, key, reply);
    reply.newline();
}
