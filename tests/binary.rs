//! The binary protocol, as far as a script cannot describe it: figures, counters, the version, the
//! log, and the same items in the text protocol.

use std::io::{Read, Write};

use miocached::config::{Config, DialectMode, Protocol};

use crate::harness::frames::Frame;
use crate::harness::peers::{Memcached, VERSION};
use crate::harness::process::{Client, PATIENCE, Server, until};
use crate::harness::scripts::Conversation;

/// Sends a frame and reads one.
fn ask<S: Read + Write>(client: &mut Client<S>, request: &Frame) -> Frame {
    client.send(&request.bytes());
    read_frame(client)
}

fn read_frame<S: Read>(client: &mut Client<S>) -> Frame {
    let mut bytes = vec![0; 24];
    client.stream.read_exact(&mut bytes).unwrap();
    let body = u32::from_be_bytes(bytes[8..12].try_into().unwrap());
    (&mut client.stream).take(body.into()).read_to_end(&mut bytes).unwrap();
    let (frame, rest) = Frame::split_from(&bytes).unwrap();
    assert!(rest.is_empty());
    frame
}

/// The figures of a `stat`, in order, as the text protocol shows them.
fn figures<S: Read + Write>(client: &mut Client<S>, topic: &str) -> Vec<String> {
    client.send(&Frame::request("stat").key(topic.as_bytes()).bytes());
    let mut all = Vec::new();
    loop {
        let frame = read_frame(client);
        assert_eq!((frame.magic, frame.opcode, frame.opaque), (0x81, 0x10, *b"oooo"));
        assert_eq!((frame.status, frame.cas, frame.extras.len()), (0, 0, 0));
        if frame.key.is_empty() {
            assert!(frame.value.is_empty());
            return all;
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        all.push(format!("STAT {} {}", text(frame.key), text(frame.value)));
    }
}

/// The lines of a `stats`, without its end.
fn lines<S: Read + Write>(client: &mut Client<S>, topic: &str) -> Vec<String> {
    client.send(format!("stats {topic}\r\n").as_bytes());
    let mut answer = Vec::new();
    while !answer.ends_with(b"END\r\n") {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    let mut lines: Vec<String> =
        String::from_utf8(answer).unwrap().lines().map(ToString::to_string).collect();
    lines.pop();
    lines
}

#[test]
fn figures_are_those_of_the_text_protocol() {
    let server = Server::start(&["-p", "0", "-o", "track_sizes,idle_timeout=100"]);
    let (mut text, mut binary) = (server.tcp(), server.tcp());
    text.ask(b"set a 0 0 3\r\n123\r\nset b 0 0 300\r\n", b"STORED\r\n");
    text.ask(&[&[b'x'; 300][..], b"\r\n"].concat(), b"STORED\r\n");
    for topic in ["", "settings", "items", "slabs", "sizes", "conns", "loop", "store"] {
        let name = |line: &String| line.rsplit_once(' ').unwrap().0.to_owned();
        let names = |lines: &[String]| lines.iter().map(name).collect::<Vec<_>>();
        let (by_line, by_frame) = (lines(&mut text, topic), figures(&mut binary, topic));
        // `stats loop` has a line for each duration of a turn that has occurred.
        if topic != "loop" {
            assert_eq!(names(&by_line), names(&by_frame), "stats {topic}");
        }
        assert!(!by_frame.is_empty(), "stats {topic}");
        if ["settings", "items", "sizes", "store"].contains(&topic) {
            assert_eq!(by_line, by_frame, "stats {topic}");
        }
    }
    let protocol = |options: &[&str]| {
        let server = Server::start(options);
        let mut binary = server.tcp();
        let settings = figures(&mut binary, "settings");
        settings.into_iter().find(|line| line.contains("binding_protocol")).unwrap()
    };
    assert_eq!(protocol(&["-p", "0"]), "STAT binding_protocol auto-negotiate");
    assert_eq!(protocol(&["-p", "0", "-B", "binary"]), "STAT binding_protocol binary");
    let ascii = Server::start(&["-p", "0", "-B", "ascii"]);
    assert_eq!(ascii.tcp().stats("settings")["binding_protocol"], "ascii");
}

/// With `-Y` the protocol is text in every case, so no client can avoid authentication.
#[test]
fn the_protocol_spoken_follows_from_three_options() {
    use DialectMode::{Auto, Classic, Simple};
    let auth_file = Some("users".into());
    for (protocol, dialect, without_auth) in [
        (Protocol::Auto, Auto, Protocol::Auto),
        (Protocol::Auto, Classic, Protocol::Auto),
        (Protocol::Auto, Simple, Protocol::Ascii),
        (Protocol::Ascii, Auto, Protocol::Ascii),
        (Protocol::Ascii, Simple, Protocol::Ascii),
        (Protocol::Binary, Auto, Protocol::Binary),
        (Protocol::Binary, Simple, Protocol::Binary),
    ] {
        let mut config = Config { protocol, dialect, ..Config::default() };
        assert_eq!(config.protocol_spoken(), without_auth, "{protocol:?} {dialect:?}");
        config.auth_file.clone_from(&auth_file);
        assert_eq!(config.protocol_spoken(), Protocol::Ascii, "{protocol:?} {dialect:?} with -Y");
        assert_eq!(config.check().is_err(), protocol == Protocol::Binary);
    }
}

#[test]
fn a_reset_sets_counters_to_zero() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    assert_eq!(ask(&mut client, &Frame::request("get").key(b"a")).status, 1);
    assert!(figures(&mut client, "").contains(&"STAT get_misses 1".to_owned()));
    assert!(figures(&mut client, "reset").is_empty());
    assert!(figures(&mut client, "").contains(&"STAT get_misses 0".to_owned()));
}

#[test]
fn the_version_is_that_of_the_text_protocol() {
    let server = Server::start(&["-p", "0"]);
    let answer = ask(&mut server.tcp(), &Frame::request("version"));
    let expected = Frame { value: VERSION.into(), ..Frame::new(0x81, 0x0b) };
    assert_eq!(answer, expected);
}

/// Requests whose counters are compared, each with the status of its answer.
fn counted() -> Vec<(Frame, u16)> {
    let with = |name: &str, key: &[u8], extras: &[u8], value: &[u8], cas| Frame {
        extras: extras.to_vec(),
        value: value.to_vec(),
        cas,
        ..Frame::request(name).key(key)
    };
    let up = [&[0; 7][..], &[1], &[0; 8], &[0; 4]].concat();
    let missing = [&[0; 16][..], &[0xff; 4]].concat();
    vec![
        (with("set", b"a", &[0; 8], b"1", 0), 0),
        (with("add", b"a", &[0; 8], b"1", 0), 2),
        (with("set", b"a", &[0; 8], b"1", 999), 2),
        (with("set", b"b", &[0; 8], b"1", 999), 1),
        (with("replace", b"b", &[0; 8], b"1", 0), 1),
        (with("append", b"a", b"", b"0", 0), 0),
        (with("get", b"a", b"", b"", 0), 0),
        (with("getk", b"b", b"", b"", 0), 1),
        (with("gat", b"a", &[0; 4], b"", 0), 0),
        (with("touch", b"b", &[0; 4], b"", 0), 1),
        (with("increment", b"a", &up, b"", 0), 0),
        (with("increment", b"n", &up, b"", 0), 0),
        (with("decrement", b"m", &missing, b"", 0), 1),
        (with("delete", b"a", b"", b"", 999), 2),
        (with("delete", b"a", b"", b"", 0), 0),
        (with("delete", b"a", b"", b"", 0), 1),
        (with("flush", b"", &[0; 4], b"", 0), 0),
        (with("sasl_auth", b"PLAIN", b"", b"", 0), 0x81),
    ]
}

/// What they count, in memcached 1.6.45.
const COUNTED: [(&str, &str); 19] = [
    ("cmd_get", "2"),
    ("cmd_set", "6"),
    ("cmd_touch", "2"),
    ("cmd_flush", "1"),
    ("total_items", "3"),
    ("cas_badval", "1"),
    ("cas_misses", "1"),
    ("get_hits", "1"),
    ("get_misses", "1"),
    ("touch_hits", "1"),
    ("touch_misses", "1"),
    ("incr_hits", "1"),
    ("incr_misses", "0"),
    ("decr_hits", "0"),
    ("decr_misses", "1"),
    ("delete_hits", "1"),
    ("delete_misses", "1"),
    ("auth_cmds", "0"),
    ("store_no_memory", "0"),
];

fn assert_counted<S: Read + Write>(client: &mut Client<S>, whose: &str) {
    for (request, status) in counted() {
        assert_eq!(ask(client, &request).status, status, "{whose} {request:?}");
    }
    let figures = figures(client, "");
    for (name, expected) in COUNTED {
        assert!(figures.contains(&format!("STAT {name} {expected}")), "{whose} {name}");
    }
}

#[test]
fn requests_are_counted_as_by_memcached() {
    assert_counted(&mut Server::start(&["-p", "0"]).tcp(), "our");
    let Some(memcached) = Memcached::current_or_skip() else { return };
    let running = memcached.start(&Conversation::default());
    assert_counted(&mut Client { stream: running.connect() }, "memcached's");
}

/// Both protocols access the same items. A dump shows a key with spaces or line ends in base64, so that
/// its lines stay whole.
#[test]
fn the_text_protocol_shows_items_stored_by_frames() {
    let server = Server::start(&["-p", "0"]);
    let (mut text, mut binary) = (server.tcp(), server.tcp());
    let set = |key: &[u8]| {
        let extras = vec![0, 0, 0, 7, 0, 0, 0, 0];
        Frame { extras, value: b"1".to_vec(), ..Frame::request("set").key(key) }
    };
    assert_eq!(ask(&mut binary, &set(b"a")).status, 0);
    text.ask(b"get a\r\nincr a 41\r\n", b"VALUE a 7 1\r\n1\r\nEND\r\n42\r\n");
    assert_eq!(ask(&mut binary, &Frame::request("get").key(b"a")).value, b"42");
    text.ask(b"delete a\r\n", b"DELETED\r\n");
    for (key, encoded) in [(&b"a b"[..], "YSBi"), (b"\r\nEN\r\n", "DQpFTg0K"), (b"\n", "Cg==")] {
        assert_eq!(ask(&mut binary, &set(key)).status, 0);
        let dumped = format!("OK\r\nmg {encoded} b\r\nEN\r\n");
        text.ask(b"lru_crawler mgdump all\r\n", dumped.as_bytes());
        text.ask(b"stats cachedump 1 0\r\n", b"END\r\n");
        text.ask(format!("mg {encoded} b v f\r\n").as_bytes(), b"VA 1 f7\r\n1\r\n");
        assert_eq!(ask(&mut binary, &Frame::request("delete").key(key)).status, 0);
    }
}

#[test]
fn frames_are_logged() {
    let server = Server::start(&["-p", "0", "-vv"]);
    let mut client = server.tcp();
    let set = Frame { extras: vec![0; 8], ..Frame::request("setq").key(b"a\n") };
    client.send(&set.bytes());
    ask(&mut client, &Frame::request("getkq").key(b"a\n"));
    ask(&mut client, &Frame::new(0x80, 0x1b));
    ask(&mut client, &Frame::request("noop").key(b"a"));
    client.expect_end();
    let expected = [
        "  binary setq \"a\\n\", 0 bytes",
        "    stored \"a\\n\", 0 bytes",
        "  binary getkq \"a\\n\"",
        "    hit \"a\\n\", 0 bytes",
        "  refused: Unknown command",
        "  refused: Invalid arguments",
        "closed: the client breaks the binary protocol",
    ];
    until("all is logged", PATIENCE, || {
        let log = server.log();
        expected.iter().all(|line| log.contains(line))
    });
}
