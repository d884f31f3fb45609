//! Dumps: every item shown once, by a walk over the store in steps of one small table.
//!
//! Between two steps other connections have their turn, and the walk waits while its output is not
//! read. An item that is there all the time is shown exactly once; one that is stored or deleted
//! meanwhile may be shown.

use super::percent::Percent;
use super::{Engine, Executed, Now};
use crate::protocol::command::{Dump, DumpFormat, Unfinished};
use crate::protocol::{KEY_BYTES_MAX, Reply, ReplyWriter, item_bytes};
use crate::store::{Cursor, Item, NEVER};

/// Bytes that the line of an item may take beside its key, and a step beside its items: six numbers
/// of at most 20 digits, with their names.
const ITEM_LINE_BYTES_MAX: usize = 192;
/// Most characters that show one byte of a key: `%` and two digits.
const SHOWN_MAX: usize = 3;

impl Engine {
    /// One step of a walk over all items.
    pub(super) fn dump<'a>(&mut self, mut dump: Dump, reply: &mut ReplyWriter<'_>) -> Executed<'a> {
        if dump.cursor.is_none()
            && let Some(refusal) = self.refuse_dump(&dump)
        {
            reply.line(refusal);
            return Executed::Done;
        }
        let now = self.now;
        let cursor = dump.cursor.map_or_else(Cursor::default, Cursor::from_number);
        let mut bytes = ITEM_LINE_BYTES_MAX;
        if dump.left > 0 {
            // A step is written as a whole or not at all, so each table is walked twice: once for the
            // size, once to write. That is some tens of kilobytes with keys of ordinary length, and
            // 200 with the longest keys of bytes that are escaped.
            self.store.walk(cursor, now.uptime_s, |key, _| {
                bytes += key.len().min(KEY_BYTES_MAX) * SHOWN_MAX + ITEM_LINE_BYTES_MAX;
            });
        }
        if !reply.fits(bytes) {
            return Executed::Resume(Unfinished::Dump(dump));
        }
        if dump.cursor.is_none() && dump.format != DumpFormat::Cachedump {
            reply.line(Reply::Ok);
        }
        if dump.left > 0 {
            let next = self.store.walk(cursor, now.uptime_s, |key, item| {
                // A longer key is the simple dialect's alone: no classic command can name it.
                if dump.left > 0 && key.len() <= KEY_BYTES_MAX {
                    write_item(&mut dump, key, &item, now, reply);
                }
            });
            if let Some(next) = next {
                dump.cursor = Some(next.number());
                return Executed::Resume(Unfinished::Dump(dump));
            }
        }
        match dump.format {
            DumpFormat::Metadump | DumpFormat::Cachedump => reply.end(),
            DumpFormat::Mgdump => reply.line(Reply::Missing),
        }
        Executed::Done
    }

    const fn refuse_dump(&self, dump: &Dump) -> Option<Reply> {
        if self.config.dump_enabled {
            return dump.error;
        }
        Some(match dump.format {
            DumpFormat::Metadump => Reply::MetadumpForbidden,
            DumpFormat::Mgdump => Reply::MgdumpForbidden,
            DumpFormat::Cachedump => Reply::CachedumpForbidden,
        })
    }
}

fn write_item(dump: &mut Dump, key: &[u8], item: &Item<'_>, now: Now, reply: &mut ReplyWriter<'_>) {
    let encoded = item.attributes.marks.key_encoded;
    let expires_at_s = item.attributes.expires_at_s;
    let size = item_bytes(key.len(), item.attributes.flags, item.value.len());
    match dump.format {
        DumpFormat::Metadump => {
            let exp = if expires_at_s == NEVER { -1 } else { now.unix_time_of(expires_at_s) };
            let la = now.unix_s.saturating_sub(item.idle_s(now.uptime_s).into());
            let fetch = if item.fetched { "yes" } else { "no" };
            let (cas, flags) = (item.attributes.cas, item.attributes.flags);
            let key = Percent(key);
            reply.show(&format_args!(
                "key={key} exp={exp} la={la} cas={cas} fetch={fetch} cls=1 size={size} \
                 flags={flags} \n"
            ));
        }
        DumpFormat::Mgdump => {
            reply.text(b"mg ");
            reply.key(key, encoded);
            reply.text(if encoded { b" b\r\n" } else { b"\r\n" });
        }
        // Only keys that are text can be shown.
        DumpFormat::Cachedump if encoded => return,
        DumpFormat::Cachedump => {
            reply.text(b"ITEM ");
            reply.text(key);
            let bytes = item.value.len();
            let at_s = if expires_at_s == NEVER { 0 } else { now.unix_time_of(expires_at_s) };
            reply.show(&format_args!(" [{bytes} b; {at_s} s]\r\n"));
        }
    }
    dump.left = dump.left.saturating_sub(u32::from(dump.left != u32::MAX));
}
