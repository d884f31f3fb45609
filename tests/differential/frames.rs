//! Random frames, legal and broken, to memcached and to this server: the answers must be the same.
//!
//! [`is_asked`] leaves out frames with known differences. Exptimes above 2^31 - 1 are left out, too:
//! for memcached they are dates after 2038, and here they mean never.

use std::cell::Cell;
use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestRunner};

use super::{Items, LINES, LINES_PER_CASE, Server, TRIES, comparable};
use crate::harness::frames::{Frame, opcode};
use crate::harness::peers::{Memcached, Ours};
use crate::harness::scripts::Conversation;

const KEYS: [&[u8]; 7] = [b"a", b"b", b"n", b"a b", b"\r\n", b"\0\xff", &[b'k'; 250]];
/// The opaque bytes of the last request.
const LAST: [u8; 4] = *b"last";

/// Which cas id a request has.
#[derive(Clone, Copy, Debug)]
enum Cas {
    Any,
    /// That of an item, as far as there is one.
    Of(u8),
    Other(u64),
}

/// A frame that may be wrong, whose cas id is that of an item.
#[derive(Clone)]
struct Request {
    frame: Frame,
    cas: Cas,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.cas, self.frame.bytes().escape_ascii())
    }
}

impl Request {
    fn counts(&self) -> bool {
        ["increment", "decrement", "incrementq", "decrementq"]
            .iter()
            .any(|name| self.frame.opcode == opcode(name))
    }

    /// Its header says that it is longer than it is, or shorter.
    const fn lies(&self) -> bool {
        let Frame { key_bytes, extras_bytes, body_bytes, .. } = self.frame;
        key_bytes.is_some() || extras_bytes.is_some() || body_bytes.is_some()
    }

    fn bytes(&self, items: &Items) -> Vec<u8> {
        let cas = match self.cas {
            Cas::Any => 0,
            Cas::Of(key) => items.get(&[key][..]).map_or(1, |(id, _)| id.parse().unwrap()),
            Cas::Other(id) => id,
        };
        Frame { cas, ..self.frame.clone() }.bytes()
    }
}

/// False for frames that memcached is known to answer otherwise.
fn is_asked(request: &Request, old: bool) -> bool {
    let frame = &request.frame;
    // memcached 1.6.18 has no limit of 1 GiB for a body.
    if old && frame.body_bytes.is_some_and(|bytes| bytes > 1 << 30) {
        return false;
    }
    // For other keys it is not known whether the value is blank (see `answers`).
    if request.counts() && ![&b"a"[..], b"b", b"n"].contains(&&frame.key[..]) {
        return false;
    }
    let lies = request.lies();
    let is_one_of = |names: &[&str]| names.iter().any(|name| frame.opcode == opcode(name));
    let is_known = frame.opcode <= 0x24 && ![0x1b, 0x1f].contains(&frame.opcode);
    let has_head = lies || !frame.extras.is_empty() || !frame.key.is_empty();
    // It skips extras and key of an unknown command twice.
    if !is_known && has_head {
        return false;
    }
    // The figures of the server are its own.
    if is_one_of(&["stat"]) && frame.key.is_empty() {
        return false;
    }
    // It takes the value of these for the next frame.
    let has_value = lies || !frame.value.is_empty();
    !(is_one_of(&["touch", "gat", "gatq", "gatk", "gatkq", "stat"]) && has_value)
}

/// The answer's frames as they are compared, and whether the last request was answered.
fn shown(mut answer: &[u8]) -> (Vec<String>, bool) {
    let (mut all, mut is_last) = (Vec::new(), false);
    while let Some((mut frame, rest)) = Frame::split_from(answer) {
        is_last = frame.opaque == LAST;
        frame.cas = frame.cas.min(1);
        if frame.opcode == opcode("version") && frame.status == 0 {
            frame.value.clear();
        }
        all.push(format!("{:02x} {}", frame.opcode, frame.bytes().escape_ascii()));
        answer = rest;
    }
    all.push(answer.escape_ascii().to_string());
    (all, is_last)
}

/// The answers of a server with an empty store, and its items after each piece.
fn answers(server: &Server, pieces: &[Vec<Request>]) -> Vec<(Vec<String>, bool)> {
    let delete = |key: &&[u8]| Frame::request("deleteq").key(key).bytes();
    server.ask(&KEYS.iter().map(delete).collect::<Vec<_>>().concat());
    // As in the test of lines: memcached keeps a read item until its answer is sent, and does not
    // overwrite the number in it.
    let pieces = pieces.iter().flat_map(|piece| piece.chunk_by(|_, next| !next.counts()));
    let mut all = Vec::new();
    for piece in pieces {
        let items = server.items();
        let is_blank =
            |key: &[u8]| items.get(key).is_some_and(|(_, value)| value.trim_ascii().is_empty());
        let asked =
            piece.iter().filter(|request| !request.counts() || !is_blank(&request.frame.key));
        // A frame that becomes part of a value must have the same cas id for both servers.
        let none = Items::new();
        let items = if piece.iter().any(Request::lies) { &none } else { &items };
        let mut sent: Vec<u8> = asked.flat_map(|request| request.bytes(items)).collect();
        // These complete requests whose header announces more than they have.
        let noop = Frame { opaque: LAST, ..Frame::request("noop") };
        sent.extend(noop.bytes().repeat(20));
        all.push(shown(&server.ask(&sent)));
        let stored = b"mg a s f t h k v u\r\nmg b s f t h k v u\r\nmg n s f t h k v u\r\n\
            mg YSBi b s f v u\r\nmg DQo= b s f v u\r\n";
        all.push((comparable(&server.ask(stored)), true));
    }
    all
}

/// Where answers differ. After a frame with a wrong first byte memcached closes at once, and its unsent
/// answers are lost: if the conversation ended early, theirs may be the first part of ours.
fn difference(theirs: &[(Vec<String>, bool)], ours: &[(Vec<String>, bool)]) -> Option<String> {
    for ((theirs, to_the_end), (ours, ours_to_the_end)) in theirs.iter().zip(ours) {
        let same = if *to_the_end || *ours_to_the_end {
            theirs == ours
        } else {
            ours.starts_with(&theirs[..theirs.len() - 1])
        };
        if !same {
            let at = theirs.iter().zip(ours).take_while(|(theirs, ours)| theirs == ours).count();
            let some = |answers: &[String]| {
                let end = answers.len().min(at + 2);
                answers[at.saturating_sub(2).min(end)..end].join("\n         ")
            };
            return Some(format!("\n  theirs {}\n  ours   {}\n", some(theirs), some(ours)));
        }
    }
    None
}

#[test]
fn memcached_answers_frames_the_same() {
    let Some(memcached) = Memcached::find_or_skip() else { return };
    let mut conversation = Conversation::default();
    conversation.options.push(("dialect".into(), "classic".into()));
    let theirs = Server::Memcached(memcached.start(&conversation));
    let old = memcached.is_old();
    let ours = match std::env::var("AGAINST").ok() {
        Some(other) => Server::Memcached(Memcached::at(other).unwrap().start(&conversation)),
        None => Server::Ours(Ours::start(&conversation)),
    };
    let lines: Option<u32> = std::env::var("DIFFERENTIAL_LINES").ok().map(|n| n.parse().unwrap());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: lines.unwrap_or(LINES) / LINES_PER_CASE,
        rng_seed: if lines.is_some() { RngSeed::Random } else { RngSeed::Fixed(0) },
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let sent = Cell::new(0);
    let outcome = runner.run(&vec(vec(request(), 1..10), 1..6), |mut pieces| {
        pieces.iter_mut().for_each(|piece| piece.retain(|request| is_asked(request, old)));
        sent.update(|sent| sent + pieces.iter().map(Vec::len).sum::<usize>());
        let mut found = None;
        for _ in 0..TRIES {
            found = difference(&answers(&theirs, &pieces), &answers(&ours, &pieces));
            if found.is_none() {
                break;
            }
        }
        found.map_or(Ok(()), |found| Err(TestCaseError::fail(found)))
    });
    println!("{} frames were sent", sent.get());
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
}

fn request() -> impl Strategy<Value = Request> {
    let cas = prop_oneof![
        6 => Just(Cas::Any),
        2 => select(vec![b'a', b'b', b'n']).prop_map(Cas::Of),
        1 => select(vec![1, 2, u64::MAX]).prop_map(Cas::Other),
    ];
    let opaque = any::<[u8; 4]>().prop_filter("another one", |opaque| *opaque != LAST);
    (command(), cas, opaque, mutation()).prop_map(|(frame, cas, opaque, mutation)| {
        let mut frame = Frame { opaque, ..frame };
        mutation.apply(&mut frame);
        Request { frame, cas }
    })
}

fn frame(names: &[&'static str]) -> impl Strategy<Value = Frame> + use<> {
    select(names.to_vec()).prop_map(Frame::request)
}

fn command() -> BoxedStrategy<Frame> {
    let stores = ["set", "add", "replace", "setq", "addq", "replaceq", "set"];
    let bare = [
        "noop",
        "noop",
        "version",
        "sasl_list_mechs",
        "sasl_auth",
        "flush",
        "flushq",
        "quit",
        "quitq",
    ];
    let topics =
        vec!["reset", "reset now", "detail dump", "detail on", "detail off", "detail", "x"];
    prop_oneof![
        10 => (frame(&stores), key(), flags(), exptime(), value()).prop_map(
            |(frame, key, flags, exptime, value)| {
                Frame { extras: [flags, exptime].concat(), value, ..frame.key(&key) }
            }
        ),
        4 => (frame(&["append", "prepend", "appendq", "prependq"]), key(), value())
            .prop_map(|(frame, key, value)| Frame { value, ..frame.key(&key) }),
        8 => (frame(&["get", "getq", "getk", "getkq"]), key())
            .prop_map(|(frame, key)| frame.key(&key)),
        4 => (frame(&["touch", "gat", "gatq", "gatk", "gatkq"]), key(), exptime())
            .prop_map(|(frame, key, extras)| Frame { extras, ..frame.key(&key) }),
        6 => (frame(&["increment", "decrement", "incrementq", "decrementq"]), key(), number(), number(), created())
            .prop_map(|(frame, key, delta, initial, exptime)| {
                let numbers = [delta.to_be_bytes(), initial.to_be_bytes()].concat();
                Frame { extras: [numbers, exptime].concat(), ..frame.key(&key) }
            }),
        3 => (frame(&["delete", "deleteq"]), key()).prop_map(|(frame, key)| frame.key(&key)),
        1 => frame(&bare),
        1 => select(topics).prop_map(|topic| Frame::request("stat").key(topic.as_bytes())),
        1 => any::<u8>().prop_map(|opcode| Frame::new(0x80, opcode)),
    ]
    .boxed()
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => select(vec![&b"a"[..], b"b", b"n"]).prop_map(<[u8]>::to_vec),
        4 => select(KEYS.to_vec()).prop_map(<[u8]>::to_vec),
        1 => select(vec![0, 251, 300]).prop_map(|bytes| vec![b'k'; bytes]),
    ]
}

fn flags() -> impl Strategy<Value = Vec<u8>> {
    select(vec![0u32, 0, 1, u32::MAX]).prop_map(|flags| flags.to_be_bytes().to_vec())
}

/// Never, so late that no test waits for it, or long ago.
fn exptime() -> impl Strategy<Value = Vec<u8>> {
    select(vec![0u32, 0, 0, 500, 2_592_000, 2_592_001, 1_000_000_000, i32::MAX as u32])
        .prop_map(|exptime| exptime.to_be_bytes().to_vec())
}

fn created() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => exptime(), 1 => Just(vec![0xff; 4])]
}

fn number() -> impl Strategy<Value = u64> {
    select(vec![0, 1, 5, 10, 99, 1 << 63, u64::MAX])
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    const VALUES: [&[u8]; 14] = [
        b"",
        b"5",
        b"10",
        b"99",
        b" 5",
        b"5 ",
        b"-5",
        b"5x",
        b"abc",
        b"18446744073709551615",
        b"18446744073709551616",
        b"\r\n",
        b"1\0",
        b"\x80\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ];
    prop_oneof![
        40 => select(VALUES.to_vec()).prop_map(<[u8]>::to_vec),
        2 => (100..20_000usize).prop_map(|bytes| vec![b'x'; bytes]),
        1 => Just(vec![b'x'; 1 << 20]),
    ]
}

/// What is done to a good frame, mostly nothing.
#[derive(Clone, Debug)]
enum Mutation {
    None,
    KeyBytes(u16),
    ExtrasBytes(u8),
    BodyBytes(u32),
    Extras(usize),
    NoKey,
    Value,
    Magic(u8),
}

impl Mutation {
    fn apply(&self, frame: &mut Frame) {
        match *self {
            Self::None => {}
            Self::KeyBytes(bytes) => frame.key_bytes = Some(bytes),
            Self::ExtrasBytes(bytes) => frame.extras_bytes = Some(bytes),
            Self::BodyBytes(bytes) => frame.body_bytes = Some(bytes),
            Self::Extras(bytes) => frame.extras.resize(bytes, 0),
            Self::NoKey => frame.key.clear(),
            Self::Value => frame.value.extend(b"more"),
            Self::Magic(magic) => frame.magic = magic,
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        60 => Just(Mutation::None),
        1 => select(vec![0, 1, 2, 5, 250, 251, 400]).prop_map(Mutation::KeyBytes),
        1 => select(vec![0, 1, 4, 8, 20, 21, 255]).prop_map(Mutation::ExtrasBytes),
        1 => select(vec![0, 1, 9, 10, 11, 50, 300, (1 << 30) + 1, u32::MAX]).prop_map(Mutation::BodyBytes),
        1 => select(vec![0, 1, 4, 8, 20, 24]).prop_map(Mutation::Extras),
        1 => Just(Mutation::NoKey),
        1 => Just(Mutation::Value),
        1 => select(vec![0x81, 0, b'g']).prop_map(Mutation::Magic),
    ]
}
