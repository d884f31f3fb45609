//! Random streams of the simple dialect, cut at random, against a model that is obviously right: it gets
//! all input at once and applies the dialect's rules one after the other.

use std::collections::HashMap;

use crate::harness::peers::STALLS_MAX;
use miocached::config::{Config, DialectMode, MIB};
use miocached::engine::{Engine, LeftOut, Now};
use miocached::protocol::OutputLimit;
use miocached::session::{Session, Stop};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;

/// Small, so that random values are below and above it.
const ITEM_BYTES_MAX: usize = 1024;

/// The model of the simple dialect.
fn model(mut input: &[u8]) -> Vec<u8> {
    let mut map: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut out = Vec::new();
    while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
        let line = &input[..end];
        input = &input[end + 1..];
        let words: Vec<&[u8]> =
            line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect();
        let legal = |key: &[u8]| {
            key.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte))
        };
        match words[..] {
            [b"get", ref keys @ ..] if line[0] != b' ' => {
                if keys.is_empty() || !keys.iter().all(|key| legal(key)) {
                    out.extend(b"CLIENT_ERROR bad command line format\n");
                    continue;
                }
                for key in keys {
                    if let Some(value) = map.get(*key) {
                        out.extend([b"VALUE ", *key, b" "].concat());
                        out.extend(value.len().to_string().bytes());
                        out.extend([b"\n", &value[..], b"\n"].concat());
                    }
                }
                out.extend(b"END\n");
            }
            [b"set", ref arguments @ ..] if line[0] != b' ' => {
                let count = match arguments {
                    [_, count] if count.iter().all(u8::is_ascii_digit) => {
                        std::str::from_utf8(count).unwrap().parse::<u64>().ok()
                    }
                    _ => None,
                };
                let Some(count) = count.filter(|&count| count <= 2_147_483_645) else {
                    out.extend(b"CLIENT_ERROR bad command line format\n");
                    continue;
                };
                let (key, count) = (arguments[0], usize::try_from(count).unwrap());
                if !legal(key) {
                    out.extend(b"CLIENT_ERROR bad command line format\n");
                    input = input.get(count + 1..).unwrap_or_default();
                } else if 48 + 8 + key.len() + 1 + count + 2 > ITEM_BYTES_MAX {
                    out.extend(b"SERVER_ERROR object too large for cache\n");
                    map.remove(key);
                    input = input.get(count + 1..).unwrap_or_default();
                } else if input.len() <= count {
                    break;
                } else {
                    if input[count] == b'\n' {
                        map.insert(key.to_vec(), input[..count].to_vec());
                        out.extend(b"STORED\n");
                    } else {
                        out.extend(b"CLIENT_ERROR bad data chunk\n");
                    }
                    input = &input[count + 1..];
                }
            }
            _ => out.extend(b"ERROR\n"),
        }
    }
    out
}

/// The answers of a session that gets `input` in pieces, with a small limit of its output.
fn answers(input: &[u8], mut cuts: Vec<usize>, high_water: usize) -> Vec<u8> {
    let config = Config {
        item_bytes_max: ITEM_BYTES_MAX,
        dialect: DialectMode::Simple,
        memory_bytes_max: MIB,
        ..Config::default()
    };
    let mut session = Session::new(&config);
    let mut engine = Engine::new(&config).unwrap();
    let now = Now { uptime_s: Now::FIRST_S, unix_s: 0 };
    let mut all = Vec::new();
    let (mut spent, mut stalls) = (0, 0);
    cuts.push(input.len());
    cuts.sort_unstable();
    for cut in cuts {
        loop {
            let mut output = Vec::new();
            let left_out_max = usize::MAX;
            let mut room = OutputLimit { high_water, left_out_max, ..OutputLimit::UNBOUNDED };
            let unread = &input[spent..cut];
            let (used, stop) =
                session.advance(unread, &mut output, &mut room, &mut engine, now.into());
            if stop == Stop::NeedsValue {
                let LeftOut { value, at } = engine.left_out();
                output.splice(at..at, value.iter().copied());
            }
            engine.verify();
            spent += used;
            stalls = if used > 0 || !output.is_empty() { 0 } else { stalls + 1 };
            assert!(stalls < STALLS_MAX, "it stalls without end after {spent} bytes");
            all.extend(output);
            match stop {
                Stop::NeedsInput => break,
                Stop::NeedsFlush | Stop::NeedsValue | Stop::NeedsServerStats(_) => {}
                Stop::Ended(why) => panic!("it ended: {why}"),
                Stop::Watches(_) => panic!("the simple dialect has no watch"),
            }
        }
    }
    all
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-c]", 2 => "[a-zA-Z0-9_-]{1,12}", 1 => "[a-c.:%]{1,3}"]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..20),
        2 => vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b'g')], 0..8),
        1 => vec(any::<u8>(), 930..1000),
    ]
}

/// Mostly valid requests, some invalid ones, and noise.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let set = (key(), value(), -2i64..=2, "[ ]{1,2}").prop_map(|(key, value, off, space)| {
        // Sometimes the count is not the length of the value.
        let off = if off.abs() == 2 { off.signum() } else { 0 };
        let count = (i64::try_from(value.len()).unwrap() + off).max(0);
        [format!("set{space}{key}{space}{count}\n").into_bytes(), value, b"\n".to_vec()].concat()
    });
    let get = (vec(key(), 0..5), "[ ]{1,2}")
        .prop_map(|(keys, space)| format!("get{space}{}\n", keys.join(&space)).into_bytes());
    let odd = "(set|get|sets|ge|delete| get| set|)( [a-c]){0,3}( -?[0-9]{1,11}){0,2} ?\n";
    prop_oneof![
        6 => set,
        6 => get,
        2 => odd.prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/simple_model.proptest-regressions",
        ))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_stream_is_answered_as_the_model_does(
        pieces in vec(piece(), 0..24),
        cuts in vec(any::<Index>(), 0..12),
        high_water in prop_oneof![Just(1usize), 1..300usize, Just(usize::MAX)],
    ) {
        let input = pieces.concat();
        let cuts = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        let got = answers(&input, cuts, high_water);
        prop_assert_eq!(got.escape_ascii().to_string(), model(&input).escape_ascii().to_string());
    }
}

#[test]
fn simulate_is_the_same_conversation() {
    let requests = b"set a 1\nx\nget a b\nset a.b 1\nx\nget a\r\nquit\r\nget a\n";
    let expected = b"STORED\nVALUE a 1\nx\nEND\nCLIENT_ERROR bad command line format\nVALUE a 0 1\r\nx\r\nEND\r\n";
    assert_eq!(
        miocached::simulate(requests).escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}
