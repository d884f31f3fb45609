//! The answers do not depend on how a conversation is cut and how often it stalls: in one piece with room
//! for all answers, byte by byte with room for none, and in pieces of any size with the little room that
//! the network gives when its buffers are full. Nor do they depend on whether another client watches.

use miocached::config::{Config, DialectMode, MIB};
use miocached::engine::auth::Credentials;
use miocached::engine::{Engine, LeftOut, Now};
use miocached::net::ALLOWANCE_BYTES;
use miocached::protocol::{OutputLimit, WatchKinds};
use miocached::session::{Session, Stop};

use super::grammar::{Source, Speak, request};

/// Few enough that the store is never full. Which items a full store evicts depends on hashes, whose seed
/// differs in each store.
const STREAM_BYTES_MAX: usize = 16 << 10;
/// Figures that depend on the seed (how full the tables of the map are), one that depends on the cuts, and
/// the number of watchers.
const NOT_COMPARED: [&str; 7] = [
    "hash_power_level",
    "hash_bytes",
    "map_bytes",
    "rehashed",
    "rehashed_at_once_max",
    "conn_yields",
    "log_watchers",
];

#[test]
fn change_nothing() {
    bolero::check!(name = "cuts").with_max_len(2048).for_each(|input: &[u8]| run(input, request));
}

pub(crate) fn run(input: &[u8], speak: Speak) {
    miocached::trace::set_verbosity(0);
    let mut source = Source::new(input);
    let switches = source.byte();
    let is_on = |bit: u8| switches & 1 << bit != 0;
    let config = Config {
        memory_bytes_max: MIB / 2,
        item_bytes_max: source.pick(&[1024, 4096]),
        dialect: source.pick(&[DialectMode::Auto, DialectMode::Classic, DialectMode::Simple]),
        evicts: !is_on(0),
        cas_enabled: !is_on(1),
        sizes_tracked: is_on(2),
        detail_enabled: is_on(3),
        dump_enabled: !is_on(4),
        flush_enabled: !is_on(5),
        auth_file: (switches >> 6 == 3).then(|| "users".into()),
        requests_per_turn: source.pick(&[None, Some(1), Some(20)]),
        ..Config::default()
    };
    let piece_bytes = 2 + source.below(256);
    let limit = source.pick(&[ALLOWANCE_BYTES, 700, 5000]);
    let mut stream = Vec::new();
    while !source.is_empty() && stream.len() < STREAM_BYTES_MAX {
        speak(&mut source, &mut stream);
    }
    let whole = converse(&config, &stream, usize::MAX, OutputLimit::UNBOUNDED);
    let short = OutputLimit { high_water: 1, left_out_max: usize::MAX, ..OutputLimit::UNBOUNDED };
    assert_same(&whole, &converse(&config, &stream, 1, short), "byte by byte");
    let narrow = OutputLimit { high_water: limit, limit, ..OutputLimit::UNBOUNDED };
    assert_same(&whole, &converse(&config, &stream, piece_bytes, narrow), "in pieces");
    assert_same(&whole, &converse_watched(&config, &stream), "watched");
}

/// Requests above the bounds of a turn: 32 KiB of requests, 16,384 keys. Each long retrieval is resumed,
/// and a request that changes the state of the session follows directly after one.
#[test]
fn turns_that_reach_their_bounds_change_nothing() {
    miocached::trace::set_verbosity(0);
    let keys = [b"a ".repeat(20_000), b"v ".to_vec(), b"b ".repeat(20_000)].concat();
    let sets: Vec<u8> =
        (0..2000).flat_map(|n| format!("set k{n} 0 0 1\r\n1\r\n").into_bytes()).collect();
    let too_large = [b"set v 0 0 5000\r\n", &b"get v\r\n\0".repeat(500)[..], b"00000\r\n"].concat();
    let stream = [
        &b"set x 0 0 13\r\nuser password\r\n"[..],
        b"set v 0 0 3\r\nabc\r\n",
        &[b"gets ", &keys[..], b"v\r\n"].concat(),
        &sets,
        &[b"gat 0 ", &keys[..], b"v  \n"].concat(),
        &[b"get ", &keys[..], b" \n"].concat(),
        b"append v 0 0 3 noreply\r\ndef\r\nlru_crawler mgdump all\r\nmg v v\r\n",
        &[b"get ", &keys[..], b"v\r\n"].concat(),
        &too_large,
        &[b"gets ", &keys[..], b"v\n"].concat(),
        &[b"get ", &keys[..], b"v\r\n"].concat(),
        b"quit\r\nget v\r\n",
    ]
    .concat();
    for (auth_file, requests_per_turn) in
        [(None, None), (Some("users".into()), Some(1)), (Some("users".into()), Some(20))]
    {
        let config = Config {
            memory_bytes_max: MIB,
            item_bytes_max: 4096,
            auth_file,
            requests_per_turn,
            ..Config::default()
        };
        let whole = converse(&config, &stream, usize::MAX, OutputLimit::UNBOUNDED);
        assert!(whole.ended, "at quit");
        for (piece_bytes, high_water) in [(7, 1), (16 << 10, 1), (1000, 700), (usize::MAX, 1)] {
            let left_out_max = if piece_bytes == 7 { usize::MAX } else { 0 };
            let room = OutputLimit { high_water, left_out_max, ..OutputLimit::UNBOUNDED };
            let cut = converse(&config, &stream, piece_bytes, room);
            assert_same(&whole, &cut, &format!("in pieces of {piece_bytes} bytes"));
        }
    }
}

/// All answers, whether the conversation has ended, and the figures and items afterwards.
fn converse(config: &Config, stream: &[u8], piece_bytes: usize, room: OutputLimit) -> Outcome {
    outcome(config, engine(config), stream, piece_bytes, room)
}

/// The same in one piece, while another client watches all events.
fn converse_watched(config: &Config, stream: &[u8]) -> Outcome {
    let mut engine = engine(config);
    let items = WatchKinds::FETCHERS.with(WatchKinds::MUTATIONS).with(WatchKinds::DELETIONS);
    engine.set_watchers(1, items.with(WatchKinds::EVICTIONS).with(WatchKinds::CONNEVENTS));
    outcome(config, engine, stream, usize::MAX, OutputLimit::UNBOUNDED)
}

fn engine(config: &Config) -> Engine {
    let mut engine = Engine::new(config).unwrap();
    engine.set_credentials(Credentials::parse(b"user:password").unwrap());
    engine
}

fn outcome(
    config: &Config,
    mut engine: Engine,
    stream: &[u8],
    piece_bytes: usize,
    room: OutputLimit,
) -> Outcome {
    let (answers, ended) = talk(config, &mut engine, stream, piece_bytes, room);
    engine.verify();
    let open = Config { auth_file: None, dialect: DialectMode::Classic, ..config.clone() };
    let questions = b"stats\r\nstats store\r\nstats detail dump\r\nlru_crawler metadump all\r\n";
    let (state, _) = talk(&open, &mut engine, questions, usize::MAX, OutputLimit::UNBOUNDED);
    Outcome { answers, ended, state }
}

struct Outcome {
    answers: Vec<u8>,
    ended: bool,
    state: Vec<u8>,
}

fn talk(
    config: &Config,
    engine: &mut Engine,
    stream: &[u8],
    piece_bytes: usize,
    given: OutputLimit,
) -> (Vec<u8>, bool) {
    let now = Now { uptime_s: 1000, unix_s: 1_800_000_000 };
    let mut session = Session::new(config);
    let (mut start, mut end) = (0, 0);
    let mut answers = Vec::new();
    let mut output = Vec::new();
    let (mut granted, mut stalls) = (0, 0);
    loop {
        let mut room = OutputLimit { limit: given.limit.max(granted), ..given };
        let unread = &stream[start..end];
        let (spent, stop) = session.advance(unread, &mut output, &mut room, engine, now.into());
        start += spent;
        if stop == Stop::NeedsValue {
            let LeftOut { value, at } = engine.left_out();
            output.splice(at..at, value.iter().copied());
        }
        // As in the network: the output is flushed first, and only then more is granted.
        granted = if output.is_empty() { room.needed } else { 0 };
        let moved = spent > 0 || !output.is_empty() || stop == Stop::NeedsInput;
        stalls = if moved { 0 } else { stalls + 1 };
        assert!(stalls < super::STALLS_MAX, "it stalls without end after {start} bytes");
        answers.append(&mut output);
        match stop {
            Stop::NeedsFlush | Stop::NeedsValue | Stop::NeedsServerStats(_) => {}
            Stop::NeedsInput if end == stream.len() => return (answers, false),
            Stop::NeedsInput => end += piece_bytes.min(stream.len() - end),
            Stop::Ended(_) | Stop::Watches(_) => return (answers, true),
        }
    }
}

fn assert_same(whole: &Outcome, cut: &Outcome, how: &str) {
    assert_eq!(whole.ended, cut.ended, "{how}: the end of the conversation");
    for (one, other) in [(&whole.answers, &cut.answers), (&whole.state, &cut.state)] {
        assert!(one == other || shown(one) == shown(other), "{how}: {}", difference(one, other));
    }
}

fn difference(one: &[u8], other: &[u8]) -> String {
    let (one, other) = (shown(one), shown(other));
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    format!("after {same} lines: {:?} and not {:?}", other.get(same), one.get(same))
}

/// An answer's lines. A dump is in the order of the hashes, so each run of its lines is sorted. A dump with
/// a limit shows any of the items, so only the number of its lines is compared.
fn shown(answers: &[u8]) -> Vec<String> {
    if answers.first() == Some(&0x81) {
        return shown_frames(answers);
    }
    let mut lines = Vec::new();
    let mut dumped = Vec::new();
    for line in answers.split_inclusive(|&byte| byte == b'\n') {
        let line = line.escape_ascii().to_string();
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("STAT"), Some(name)) if NOT_COMPARED.contains(&name) => {}
            (Some("ITEM"), _) => dumped.push(String::from("ITEM")),
            (Some("mg"), _) => dumped.push(line),
            (Some(word), _) if word.starts_with("key=") => dumped.push(line),
            _ => {
                dumped.sort();
                lines.append(&mut dumped);
                lines.push(line);
            }
        }
    }
    lines
}

/// The frames of an answer, without those of figures that are not compared.
fn shown_frames(mut answers: &[u8]) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some(header) = answers.first_chunk::<24>() {
        let body_bytes = u32::from_be_bytes(header[8..12].try_into().unwrap()) as usize;
        let (frame, rest) = answers.split_at(24 + body_bytes);
        let key_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let key = std::str::from_utf8(&frame[24..24 + key_bytes]).unwrap_or_default();
        if header[1] != 0x10 || !NOT_COMPARED.contains(&key) {
            frames.push(frame.escape_ascii().to_string());
        }
        answers = rest;
    }
    frames
}
