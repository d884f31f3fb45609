//! The one-pass parser of plain lines (`protocol/plain.rs`) returns what the grammars return.
//!
//! The first line of a conversation is always parsed by its grammar, every later one in one pass if it
//! is plain. So the same bytes are parsed in both states, and the results are compared as text.

use miocached::config::DialectMode;
use miocached::protocol::{Framer, Grammar, State};
use proptest::prelude::*;

const FRAMER: Framer =
    Framer { grammar: Grammar::Commands(DialectMode::Auto), item_bytes_max: 1 << 20 };

/// The state before any line but the first.
fn later_line() -> State {
    FRAMER.parse(&State::START, b"mn\r\n").next
}

/// What is found at the start of `unread`: by its grammar, and as a later line.
fn both_ways(unread: &[u8]) -> (String, String) {
    let parse = |state: &State| format!("{:?}", FRAMER.parse(state, unread));
    (parse(&State::START), parse(&later_line()))
}

/// A part of a line: mostly a plain one, sometimes one that is nearly so.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: &str| Just(text.as_bytes().to_vec());
    prop_oneof![
        4 => "[a-z:]{1,40}".prop_map(String::into_bytes),
        4 => "(0|[1-9][0-9]{0,11}|0[0-9]{1,12})".prop_map(String::into_bytes),
        1 => "-?[0-9]{1,4}".prop_map(String::into_bytes),
        1 => (240usize..300).prop_map(|bytes| vec![b'k'; bytes]),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
        4 => prop::sample::select(b"vkqstcfhluxbOTNREMF0Az{".to_vec()).prop_map(|letter| vec![letter]),
        1 => text("noreply"),
        1 => text("O123"),
        1 => text(""),
    ]
}

/// A number of a plain `set`, or one that is nearly so.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[0-9]{1,9}", 4 => "[0-9]", 1 => "-?[0-9]{1,4}", 1 => "[0-9]{9,12}"]
}

/// A line of a plain form, with its value, or one that is nearly so: among the lines of [`any_line`],
/// one in about 20,000 is a plain `set`.
fn plain_line() -> impl Strategy<Value = Vec<u8>> {
    let key = "[!-~]{1,40}|k{240,260}";
    let get = key.prop_map(|key| format!("get {key}\r\n"));
    let meta_get = (key, "( [a-zA-Z]){0,6}");
    let meta_get = meta_get.prop_map(|(key, flags)| format!("mg {key}{flags}\r\n"));
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\n", "x\r\n", ""]);
    let noreply = prop::sample::select(vec!["", " noreply", " norepl"]);
    let set = (key, number(), number(), 0..30usize, noreply, end).prop_map(
        |(key, flags, exptime, bytes, noreply, end)| {
            let value = "v".repeat(bytes);
            format!("set {key} {flags} {exptime} {bytes}{noreply}\r\n{value}{end}")
        },
    );
    let line = prop_oneof![1 => get.boxed(), 1 => meta_get.boxed(), 2 => set.boxed()];
    (line, "(get a\r\n)?").prop_map(|(line, after)| (line + &after).into_bytes())
}

/// Any line, and what may follow it.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let verb = prop::sample::select(vec!["get", "set", "mg", "gets", "ms", "GET", "add", ""]);
    let words = proptest::collection::vec(word(), 0..6);
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", " \r\n", "\r", "", "\r\r\n"]);
    let rest = proptest::collection::vec(any::<u8>(), 0..40);
    (verb, words, end, rest).prop_map(|(verb, words, end, rest)| {
        let mut line = verb.as_bytes().to_vec();
        for word in words {
            line.push(b' ');
            line.extend(word);
        }
        line.extend(end.as_bytes());
        line.extend(rest);
        line
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_line_means_the_same_both_ways(
        line in prop_oneof![any_line().boxed(), plain_line().boxed()],
    ) {
        // Without a byte the state stays as it is; the binary protocol begins with this one.
        prop_assume!(!matches!(line.first(), None | Some(0x80)));
        let (grammar, later) = both_ways(&line);
        prop_assert_eq!(grammar, later, "{}", line.escape_ascii());
    }
}

/// The plain forms themselves, cut after each byte and followed by more.
#[test]
fn plain_lines_mean_the_same_both_ways() {
    let key = "k".repeat(250);
    for line in [
        "get key\r\n".to_string(),
        format!("get {key}\r\n"),
        format!("get {key}k\r\n"),
        "set key 0 0 3\r\nabc\r\n".to_string(),
        "set key 4294967295 0 0\r\n\r\n".to_string(),
        "set key 999999999 999999998 3 noreply\r\nabc\r\n".to_string(),
        "set key 1 2 3\r\nabc\r\n".to_string(),
        "set key 10 020 3\r\nabc\r\n".to_string(),
        "set key 0 0 0000000003\r\nabc\r\n".to_string(),
        "set key 0 0 000000000003\r\nabc\r\n".to_string(),
        // 3 more than 2^32.
        "set key 0 0 4294967299\r\nabc\r\n".to_string(),
        "set key 0 0 999999999\r\nabc\r\n".to_string(),
        "set key 0 0 3\r\nabcd\r\n".to_string(),
        format!("set {key} 0 2147483648 00003\r\nabc\r\n"),
        "mg key\r\n".to_string(),
        "mg key v\r\n".to_string(),
        "mg key s v t c f k h l q u\r\n".to_string(),
        "mg key v v\r\n".to_string(),
        format!("mg {key} v\r\n"),
    ] {
        for after in ["", "get a\r\n", "\r\n\r\n"] {
            let line = line.clone() + after;
            for end in 1..=line.len() {
                let (grammar, later) = both_ways(&line.as_bytes()[..end]);
                assert_eq!(grammar, later, "{:?}", &line[..end]);
            }
        }
    }
}
