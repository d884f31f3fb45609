//! The requests of the binary protocol: the same stores, arithmetic and lookups as of the text protocol,
//! with a cas id in every request and its own answers.
//!
//! Answers and counters are those of memcached 1.6.45. The layout of a frame is in
//! `protocol/binary_request.rs`, the form of answers in `protocol/binary_reply.rs`.

use super::arithmetic::Computed;
use super::storing::{Outcome, StoreRequest, name};
use super::{Engine, Executed, HashedKey, ServerStats};
use crate::protocol::binary_reply::Status;
use crate::protocol::binary_request::BinaryAction;
use crate::protocol::command::{Detail, Direction, StatsTopic};
use crate::protocol::number::{DIGITS_MAX, digits_of};
use crate::protocol::{
    BinaryReply, BinaryRequest, OutputLimit, ReplyMode, ReplyWriter, Room, StoreMode,
};
use crate::trace;

impl Engine {
    /// Executes one request of the binary protocol. Not inlined into `execute`, where it would take
    /// registers from the other commands.
    #[inline(never)]
    pub(super) fn binary<'a>(
        &mut self,
        request: &BinaryRequest<'a>,
        key: HashedKey<'a>,
        server: Option<&ServerStats>,
        writer: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        let mut reply = BinaryReply::new(writer, request.tag());
        let (cas, Some(action)) = (request.cas(), request.action()) else {
            unreachable!("the framer has checked it");
        };
        match action {
            BinaryAction::Fetch { .. } => return self.binary_fetch(key, action, &mut reply),
            BinaryAction::Store { .. } => return self.binary_store(key, cas, action, &mut reply),
            BinaryAction::TooLarge { mode } => {
                self.prefixes.count_set(key.bytes());
                self.drop_too_large(key.bytes(), name(mode), mode == StoreMode::Set);
                reply.error(Status::TooLarge);
            }
            BinaryAction::Arithmetic { .. } => {
                return self.binary_arithmetic(key, cas, action, &mut reply);
            }
            BinaryAction::Delete => self.binary_delete(key, cas, &mut reply),
            BinaryAction::FlushAll { .. } if !self.config.flush_enabled => {
                reply.error(Status::AuthFailed);
            }
            BinaryAction::FlushAll { delay } => {
                self.counters.cmd_flush += 1;
                self.flush(delay);
                reply.success(0);
            }
            BinaryAction::Stats(None) => reply.error(Status::NotFound),
            BinaryAction::Stats(Some(topic)) => {
                return self.binary_stats(topic, server, &mut reply);
            }
            BinaryAction::Noop => reply.success(0),
            BinaryAction::Version => reply.version(),
            BinaryAction::Quit => {
                reply.success(0);
                return Executed::Quit;
            }
        }
        Executed::Done
    }

    fn binary_fetch(
        &mut self,
        key: HashedKey<'_>,
        action: BinaryAction<'_>,
        reply: &mut BinaryReply<'_, '_>,
    ) -> Executed<'static> {
        let BinaryAction::Fetch { touch, with_key, with_value } = action else {
            unreachable!("it is called for fetches only");
        };
        let shown_key = with_key.then_some(key.bytes());
        let mut room = Room::Whole;
        let mut value_bytes = 0;
        let hit = if let Some(mut found) = self.store.item_mut(key, self.now.uptime_s) {
            let item = found.item();
            value_bytes = item.value.len();
            let value = if with_value { item.value } else { b"" };
            let (flags, cas) = (item.attributes.flags, item.attributes.cas);
            room = reply.value(shown_key.unwrap_or_default(), flags, value, cas);
            match room {
                Room::Whole => {}
                Room::WithoutValue => self.left_out = Some((found.address(), reply.left_out_at())),
                Room::Nothing => {
                    trace::stalled("the output is full");
                    return Executed::Retry;
                }
            }
            trace::hit(key.bytes(), value_bytes);
            found.count_fetch();
            if let Some(exptime) = touch {
                found.set_expiry(self.now.deadline_s(exptime));
            }
            true
        } else {
            trace::miss(key.bytes());
            reply.miss(shown_key);
            false
        };
        self.log_fetch(key, hit, value_bytes);
        self.prefixes.count_get(key.bytes(), hit);
        if with_value {
            self.hot_keys.count(key, self.now);
        }
        match (touch, hit) {
            (None, true) => self.counters.get_hits += 1,
            (None, false) => self.counters.get_misses += 1,
            (Some(_), true) => self.counters.touch_hits += 1,
            (Some(_), false) => self.counters.touch_misses += 1,
        }
        if room == Room::WithoutValue { Executed::LeftOut(None) } else { Executed::Done }
    }

    fn binary_store(
        &mut self,
        key: HashedKey<'_>,
        cas: u64,
        action: BinaryAction<'_>,
        reply: &mut BinaryReply<'_, '_>,
    ) -> Executed<'static> {
        let BinaryAction::Store { mode, flags, exptime, value } = action else {
            unreachable!("it is called for stores only");
        };
        let expected = Some(cas).filter(|&cas| cas != 0 && self.config.cas_enabled);
        let store = StoreRequest {
            mode: match (mode, expected) {
                (StoreMode::Set | StoreMode::Add | StoreMode::Replace, Some(cas)) => {
                    StoreMode::Cas(cas)
                }
                _ => mode,
            },
            key_encoded: !is_text(key.bytes()),
            value,
            flags,
            expires_at_s: self.now.deadline_s(exptime),
            compare: expected,
            ..StoreRequest::set(key)
        };
        match self.execute_store(&store) {
            Outcome::NeedsStep => return Executed::Retry,
            Outcome::Stored { cas, .. } => reply.success(cas),
            Outcome::Exists => reply.error(Status::Exists),
            Outcome::NotFound => reply.error(Status::NotFound),
            Outcome::NotStored => reply.error(match mode {
                StoreMode::Add => Status::Exists,
                StoreMode::Replace => Status::NotFound,
                StoreMode::Set | StoreMode::Append | StoreMode::Prepend | StoreMode::Cas(_) => {
                    Status::NotStored
                }
            }),
            Outcome::NoRoom => {
                if mode == StoreMode::Set {
                    // As with a value that is too large.
                    self.store.delete(key, self.now.uptime_s);
                }
                reply.error(Status::OutOfMemory);
            }
        }
        self.prefixes.count_set(key.bytes());
        Executed::Done
    }

    fn binary_delete(
        &mut self,
        key: HashedKey<'_>,
        expected: u64,
        reply: &mut BinaryReply<'_, '_>,
    ) {
        self.prefixes.count_delete(key.bytes());
        self.log_lookup(key);
        let now_s = self.now.uptime_s;
        match self.store.peek(key, now_s).map(|item| item.attributes.cas) {
            None => {
                self.counters.delete_misses += 1;
                trace::miss(key.bytes());
                reply.error(Status::NotFound);
            }
            Some(cas) if expected != 0 && expected != cas => reply.error(Status::Exists),
            Some(_) => {
                self.store.delete(key, now_s);
                self.counters.delete_hits += 1;
                trace::deleted(key.bytes());
                reply.success(0);
            }
        }
    }

    fn binary_arithmetic(
        &mut self,
        key: HashedKey<'_>,
        cas: u64,
        action: BinaryAction<'_>,
        reply: &mut BinaryReply<'_, '_>,
    ) -> Executed<'static> {
        let BinaryAction::Arithmetic { direction, delta, initial, create } = action else {
            unreachable!("it is called for arithmetic only");
        };
        match self.compute(key, direction, delta, (Some(cas), None)) {
            Computed::NeedsStep => return Executed::Retry,
            Computed::Number { number, cas, .. } => reply.number(number, cas),
            Computed::Missing => {
                return self.create_number(key, direction, (initial, create), reply);
            }
            Computed::Exists => reply.error(Status::Exists),
            Computed::NotNumber => reply.error(Status::NotNumber),
            Computed::NoRoom => reply.error(Status::NoRoomForNumber),
        }
        Executed::Done
    }

    /// Creates the number that was missing, if its request says so.
    fn create_number(
        &mut self,
        key: HashedKey<'_>,
        direction: Direction,
        (initial, create): (u64, Option<i32>),
        reply: &mut BinaryReply<'_, '_>,
    ) -> Executed<'static> {
        let Some(exptime) = create else {
            self.count_arithmetic_miss(direction);
            trace::miss(key.bytes());
            reply.error(Status::NotFound);
            return Executed::Done;
        };
        let mut space = [0; DIGITS_MAX];
        let store = StoreRequest {
            key_encoded: !is_text(key.bytes()),
            value: digits_of(initial, &mut space),
            expires_at_s: self.now.deadline_s(exptime),
            ..StoreRequest::set(key)
        };
        match self.put(&store, None) {
            Outcome::NeedsStep => return Executed::Retry,
            Outcome::Stored { cas, .. } => {
                trace::stored(key.bytes(), store.value.len());
                self.counters.total_items += 1;
                let logged = (store.expires_at_s, store.value.len());
                self.log_store(key, ("stored", "add"), logged);
                reply.number(initial, cas);
            }
            Outcome::NotStored | Outcome::Exists | Outcome::NotFound | Outcome::NoRoom => {
                reply.error(Status::NoRoomForNewNumber);
            }
        }
        Executed::Done
    }

    fn binary_stats(
        &mut self,
        topic: StatsTopic,
        server: Option<&ServerStats>,
        reply: &mut BinaryReply<'_, '_>,
    ) -> Executed<'static> {
        let server = match self.server_stats_for(topic, server, |bytes| reply.fits(bytes)) {
            Ok(server) => server,
            Err(stopped) => return stopped,
        };
        if topic == StatsTopic::Reset {
            self.reset_stats();
        } else if topic == StatsTopic::HotKeys && !self.config.dump_enabled {
            reply.error(Status::NotFound);
            return Executed::Done;
        } else if let StatsTopic::Detail(detail) = topic {
            if detail == Detail::Unknown || !self.config.dump_enabled {
                reply.error(Status::NotFound);
                return Executed::Done;
            }
            self.binary_detail(detail, reply);
        } else {
            self.write_figures(topic, server, reply);
        }
        reply.end();
        Executed::Done
    }

    fn binary_detail(&mut self, detail: Detail, reply: &mut BinaryReply<'_, '_>) {
        if detail != Detail::Dump {
            self.prefixes.enabled = detail == Detail::On;
            return;
        }
        // The lines of the text protocol, as one figure.
        let (mut lines, mut limit) = (Vec::new(), OutputLimit::UNBOUNDED);
        let mut writer = ReplyWriter::new(&mut lines, &mut limit, ReplyMode::CLASSIC);
        self.prefixes.write(&mut writer);
        writer.end();
        reply.figure_text(b"detailed", &lines);
    }
}

/// A line of the text protocol can name this key. Where it cannot, a dump shows the key in base64.
fn is_text(key: &[u8]) -> bool {
    !key.iter().any(|byte| matches!(byte, b' ' | b'\r' | b'\n'))
}
