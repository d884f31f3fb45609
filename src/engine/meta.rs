//! The meta commands: what their flags do to items. Their spelling is defined in
//! `protocol/meta_request.rs`, the flags of answers in `meta_reply`.
//!
//! A stale value can be served while one client stores a new one: `I` marks an item as stale (answers
//! then have `X`), the first client that fetches it wins (`W`) and is expected to store, and the
//! others see that a winner has been chosen (`Z`).

use super::arithmetic::Computed;
use super::meta_reply::{answer, echo, head, show, show_key, show_ttl};
use super::storing::{Outcome, StoreRequest};
use super::{Engine, Executed, HashedKey};
use crate::protocol::command::{Command, Direction};
use crate::protocol::meta_request::{KeySpace, MetaKey};
use crate::protocol::number::{DIGITS_MAX, digits_of};
use crate::protocol::{MetaRequest, Reply, ReplyWriter, Room, StoreMode, item_bytes};
use crate::store::{Attributes, Marks, NEVER, Stored};
use crate::trace;

/// Bytes that the first line of an answer may take: a key, an opaque token, and a dozen numbers.
const HEAD_BYTES_MAX: usize = 1024;

impl Engine {
    /// A command's key: `plain`, unless it was written as base64.
    #[inline]
    fn meta_key<'k>(
        &self,
        key: MetaKey<'k>,
        plain: HashedKey<'k>,
        space: &'k mut KeySpace,
    ) -> HashedKey<'k> {
        if key.encoded { self.store.hashed_key(key.decode(space)) } else { plain }
    }

    /// `mg`.
    pub(super) fn meta_get(
        &mut self,
        meta: &MetaRequest<'_>,
        key: HashedKey<'_>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        let mut space = KeySpace::default();
        let key = self.meta_key(meta.key, key, &mut space);
        let mut is_new = false;
        if meta.vivify().is_some() && self.store.peek(key, self.now.uptime_s).is_none() {
            // A created item wins at once, so a request that has to be retried must not create it.
            if !reply.fits(HEAD_BYTES_MAX) {
                return Executed::Retry;
            }
            match self.vivify(key, b"", meta) {
                Ok(_) => is_new = true,
                Err(Stored::NeedsStep) => return Executed::Retry,
                Err(_) => {}
            }
        }
        let Some(mut found) = self.store.item_mut(key, self.now.uptime_s) else {
            self.miss_meta_get(meta, key, reply);
            return Executed::Done;
        };
        let item = found.item();
        let (old, value_bytes) = (item.attributes, item.value.len());
        let shows_value = meta.has(b'v') && meta.compare() != Some(old.cas);
        let room = match shows_value {
            true => reply.room(item.value.len() + HEAD_BYTES_MAX, item.value.len()),
            false => Room::Whole,
        };
        if room == Room::Nothing {
            return Executed::Retry;
        }
        trace::hit(key.bytes(), item.value.len());
        let fetched = show(meta, key.bytes(), &item, is_new, shows_value, self.now, reply);
        if shows_value {
            if room == Room::Whole {
                reply.text(item.value);
            }
            reply.newline();
        }
        // Counted after that: `h` and `l` show the state before this access.
        if !meta.has(b'u') {
            found.count_fetch();
        }
        if fetched.expires_at_s != old.expires_at_s {
            found.set_expiry(fetched.expires_at_s);
        }
        if fetched.wins && !old.marks.win_sent {
            found.set_marks(Marks { win_sent: true, ..old.marks });
        }
        let left_out = (room == Room::WithoutValue).then(|| (found.address(), reply.left_out_at()));
        self.log_fetch(key, !is_new, value_bytes);
        self.hot_keys.count(key, self.now);
        match meta.ttl() {
            Some(_) => self.counters.touch_hits += 1,
            None => self.counters.get_hits += 1,
        }
        if left_out.is_some() {
            self.left_out = left_out;
            return Executed::LeftOut(None);
        }
        Executed::Done
    }

    fn miss_meta_get(
        &mut self,
        meta: &MetaRequest<'_>,
        key: HashedKey<'_>,
        reply: &mut ReplyWriter<'_>,
    ) {
        trace::miss(key.bytes());
        self.log_fetch(key, false, 0);
        self.hot_keys.count(key, self.now);
        self.counters.get_misses += 1;
        if !meta.has(b'q') {
            reply.text(b"EN");
            echo(meta, key.bytes(), reply);
            reply.newline();
        }
    }

    /// Creates the item that `N` asks for. Returns its cas id, or the store's refusal. Its expiry is set
    /// with the other flags, because an item that expires at once is shown nevertheless.
    fn vivify(
        &mut self,
        key: HashedKey<'_>,
        value: &[u8],
        meta: &MetaRequest<'_>,
    ) -> Result<u64, Stored> {
        let cas = self.cas_ids.given_or_next(meta.next_cas());
        let marks = Marks { key_encoded: meta.key.encoded, ..Marks::default() };
        let attributes = Attributes { flags: 0, expires_at_s: NEVER, cas, marks };
        let stored = self.store.set(key, value, &attributes, self.now.uptime_s);
        if stored == Stored::Kept {
            self.counters.total_items += 1;
            return Ok(cas);
        }
        if stored == Stored::NeedsStep && meta.next_cas().is_none() {
            self.cas_ids.give_back();
        }
        Err(stored)
    }

    /// `ms`.
    pub(super) fn meta_set<'a>(
        &mut self,
        command: &Command<'a>,
        key: HashedKey<'a>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'a> {
        let Command::MetaSet { meta, value } = *command else {
            unreachable!("it is called for ms only");
        };
        let mut space = KeySpace::default();
        let key = self.meta_key(meta.key, key, &mut space);
        let mode = StoreMode::of_meta(meta.mode()).unwrap_or(StoreMode::Set);
        let extends = matches!(mode, StoreMode::Append | StoreMode::Prepend);
        let exptime = if extends { meta.vivify() } else { None }.or(meta.ttl()).unwrap_or(0);
        let request = StoreRequest {
            mode: match (mode, meta.compare()) {
                (StoreMode::Set | StoreMode::Replace, Some(cas)) => StoreMode::Cas(cas),
                _ => mode,
            },
            key,
            key_encoded: meta.key.encoded,
            value,
            flags: meta.client_flags(),
            expires_at_s: self.now.deadline_s(exptime),
            compare: meta.compare(),
            next_cas: meta.next_cas(),
            may_be_stale: meta.has(b'I'),
            vivifies: extends && meta.vivify().is_some(),
        };
        let mut stored = (0, value.len());
        let code: &[u8] = match self.execute_store(&request) {
            Outcome::NeedsStep => return Executed::Retry,
            Outcome::NoRoom => {
                // Whatever the mode, the old value is out of date.
                self.store.delete(key, self.now.uptime_s);
                reply.line(Reply::OutOfMemory);
                return Executed::Done;
            }
            Outcome::Stored { .. } if meta.has(b'q') => return Executed::Done,
            Outcome::Stored { cas, value_bytes } => {
                stored = (cas, value_bytes);
                b"HD"
            }
            Outcome::NotStored => b"NS",
            Outcome::Exists => b"EX",
            Outcome::NotFound => b"NF",
        };
        reply.text(code);
        for (flag, word) in meta.flags() {
            match flag {
                b'O' => reply.flag_text(b'O', &word[1..]),
                b'k' => show_key(key.bytes(), meta.key.encoded, reply),
                b'c' => reply.flag(b'c', stored.0),
                b's' => reply.flag(b's', stored.1 as u64),
                _ => {}
            }
        }
        reply.newline();
        Executed::Done
    }

    /// `md`.
    pub(super) fn meta_delete(
        &mut self,
        meta: &MetaRequest<'_>,
        key: HashedKey<'_>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        let mut space = KeySpace::default();
        let key = self.meta_key(meta.key, key, &mut space);
        let value_bytes = self.log_lookup(key);
        let Some(old) = self.store.peek(key, self.now.uptime_s).map(|item| item.attributes) else {
            self.counters.delete_misses += 1;
            answer(b"NF", meta, key.bytes(), reply);
            return Executed::Done;
        };
        if meta.compare().is_some_and(|expected| expected != old.cas) {
            self.counters.delete_misses += 1;
            answer(b"EX", meta, key.bytes(), reply);
            return Executed::Done;
        }
        match self.invalidate(key, meta, &old) {
            Stored::Kept => {}
            Stored::NeedsStep => return Executed::Retry,
            Stored::NoRoom => {
                reply.line(Reply::NoRoomForNumber);
                return Executed::Done;
            }
        }
        if !meta.has(b'I') {
            self.counters.delete_hits += 1;
            let value_bytes = value_bytes.filter(|_| !meta.has(b'x'));
            self.events.deleted(key.bytes(), "md", value_bytes.unwrap_or(0));
        }
        if !meta.has(b'q') {
            answer(b"HD", meta, key.bytes(), reply);
        }
        Executed::Done
    }

    /// Deletes an item; or empties it (`x`), marks it as stale (`I`), or does both.
    fn invalidate(
        &mut self,
        key: HashedKey<'_>,
        meta: &MetaRequest<'_>,
        old: &Attributes,
    ) -> Stored {
        let (empties, is_stale) = (meta.has(b'x'), meta.has(b'I'));
        if !empties && !is_stale {
            self.store.delete(key, self.now.uptime_s);
            trace::deleted(key.bytes());
            return Stored::Kept;
        }
        let expires_at_s = meta.ttl().map(|ttl| self.now.deadline_s(ttl));
        let given_cas = self.cas_ids.given(meta.next_cas());
        let cas = if is_stale {
            self.cas_ids.given_or_next(given_cas)
        } else {
            given_cas.unwrap_or(old.cas)
        };
        let marks = Marks { stale: is_stale, win_sent: false, key_encoded: old.marks.key_encoded };
        let takes_next_cas = is_stale && given_cas.is_none();
        let stored = if empties {
            self.log_lookup(key);
            let expires_at_s = expires_at_s.unwrap_or(NEVER);
            let attributes = Attributes { flags: meta.client_flags(), expires_at_s, cas, marks };
            let stored = self.store.set(key, b"", &attributes, self.now.uptime_s);
            if stored == Stored::Kept {
                self.counters.total_items += 1;
                self.log_store(key, ("stored", "set"), (expires_at_s, 0));
            }
            stored
        } else {
            let expires_at_s = expires_at_s.unwrap_or(old.expires_at_s);
            self.mark_stale(key, &Attributes { expires_at_s, cas, marks, ..*old })
        };
        if stored == Stored::NeedsStep && takes_next_cas {
            self.cas_ids.give_back();
        }
        stored
    }

    /// Changes an item's attributes, in place where its record has room for the cas id.
    fn mark_stale(&mut self, key: HashedKey<'_>, attributes: &Attributes) -> Stored {
        let Some(mut item) = self.store.item_mut(key, self.now.uptime_s) else {
            return Stored::Kept;
        };
        if !item.set_cas(attributes.cas) {
            return self.make_room_for_cas(key, attributes.cas, attributes);
        }
        item.set_expiry(attributes.expires_at_s);
        item.set_marks(attributes.marks);
        Stored::Kept
    }

    /// `ma`.
    pub(super) fn meta_arithmetic(
        &mut self,
        meta: &MetaRequest<'_>,
        direction: Direction,
        key: HashedKey<'_>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        let mut space = KeySpace::default();
        let key = self.meta_key(meta.key, key, &mut space);
        let cas_ids = (meta.compare(), meta.next_cas());
        match self.compute(key, direction, meta.delta(), cas_ids) {
            Computed::Number { number, cas, expires_at_s } => {
                self.show_number(meta, key, (number, cas, expires_at_s), false, reply);
            }
            // A miss that creates the item is not counted as one.
            Computed::Missing if meta.vivify().is_some() => {
                return self.vivify_number(meta, key, reply);
            }
            Computed::NeedsStep => return Executed::Retry,
            Computed::Missing => {
                self.count_arithmetic_miss(direction);
                answer(b"NF", meta, key.bytes(), reply);
            }
            Computed::Exists => answer(b"EX", meta, key.bytes(), reply),
            Computed::NotNumber => reply.line(Reply::NotNumber),
            Computed::NoRoom => reply.line(Reply::NoRoomForNumber),
        }
        Executed::Done
    }

    /// Creates the number that `N` asks for.
    fn vivify_number(
        &mut self,
        meta: &MetaRequest<'_>,
        key: HashedKey<'_>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        let mut space = [0; DIGITS_MAX];
        let digits = digits_of(meta.initial(), &mut space);
        self.log_lookup(key);
        let cas = match self.vivify(key, digits, meta) {
            Ok(cas) => cas,
            Err(Stored::NeedsStep) => return Executed::Retry,
            Err(_) => {
                reply.line(Reply::NoRoomForNewNumber);
                return Executed::Done;
            }
        };
        self.log_store(key, ("stored", "add"), (NEVER, digits.len()));
        self.show_number(meta, key, (meta.initial(), cas, NEVER), true, reply);
        Executed::Done
    }

    /// Answers an `ma` that has a number, and sets the expiry that its flags ask for.
    fn show_number(
        &mut self,
        meta: &MetaRequest<'_>,
        key: HashedKey<'_>,
        (number, cas, old_expires_at_s): (u64, u64, u32),
        is_new: bool,
        reply: &mut ReplyWriter<'_>,
    ) {
        let mut space = [0; DIGITS_MAX];
        let digits = digits_of(number, &mut space);
        let is_silent = meta.has(b'q');
        let mut expires_at_s = old_expires_at_s;
        if !is_silent {
            head(meta.has(b'v').then_some(digits.len()), reply);
        }
        for (flag, word) in meta.flags() {
            match flag {
                b'T' => expires_at_s = self.now.deadline_s(meta.ttl().unwrap_or(0)),
                b'N' if is_new => expires_at_s = self.now.deadline_s(meta.vivify().unwrap_or(0)),
                _ if is_silent => {}
                b'O' => reply.flag_text(b'O', &word[1..]),
                b'k' => show_key(key.bytes(), meta.key.encoded, reply),
                b'c' => reply.flag(b'c', cas),
                b't' => show_ttl(expires_at_s, self.now, reply),
                _ => {}
            }
        }
        if expires_at_s != old_expires_at_s
            && let Some(mut item) = self.store.item_mut(key, self.now.uptime_s)
        {
            item.set_expiry(expires_at_s);
        }
        if !is_silent {
            reply.newline();
            if meta.has(b'v') {
                reply.text(digits);
                reply.newline();
            }
        }
    }

    /// `me`.
    pub(super) fn meta_debug(&mut self, key: &MetaKey<'_>, reply: &mut ReplyWriter<'_>) {
        let mut space = KeySpace::default();
        let key = key.decode(&mut space);
        self.counters.cmd_meta += 1;
        self.log_lookup(self.store.hashed_key(key));
        let Some(item) = self.store.peek(self.store.hashed_key(key), self.now.uptime_s) else {
            return reply.line(Reply::Missing);
        };
        reply.text(b"ME ");
        reply.key(key, item.attributes.marks.key_encoded);
        let ttl_s = i64::from(item.attributes.expires_at_s) - i64::from(self.now.uptime_s);
        let exp = if item.attributes.expires_at_s == NEVER { -1 } else { ttl_s };
        let la = item.idle_s(self.now.uptime_s);
        let fetch = if item.fetched { "yes" } else { "no" };
        let size = item_bytes(key.len(), item.attributes.flags, item.value.len());
        let cas = item.attributes.cas;
        reply.show(&format_args!(" exp={exp} la={la} cas={cas} fetch={fetch} cls=1 size={size}"));
        reply.newline();
    }
}
