//! `stats`: names and figures beside memcached's, and whose snapshot of the network is shown.

use std::io::Read as _;

use miocached::net::{INPUT_BYTES, OUTPUT_HIGH_WATER};
use nix::sys::socket::{setsockopt, sockopt};

use crate::harness::peers::Memcached;
use crate::harness::process::{Client, PATIENCE, Server, until};
use crate::harness::scripts::Conversation;

/// The end of the answer to `stats`.
const END: &[u8] = b"END\r\n";
/// Names that memcached shows only with background threads, which are off in these tests.
const NAMES: [&str; 9] = [
    "lru_crawler_running",
    "lru_crawler_starts",
    "lru_maintainer_juggles",
    "moves_to_cold",
    "moves_to_warm",
    "moves_within_lru",
    "direct_reclaims",
    "lru_bumps_dropped",
    "evicted_active",
];

/// Clients parse the version of memcached, so it is a number alone.
#[test]
fn both_versions_are_shown() {
    let server = Server::start(&["-p", "0"]);
    let stats = server.tcp().stats("");
    let is_number = |part: &str| part.parse::<u32>().is_ok();
    assert!(stats["version"].split('.').count() == 3 && stats["version"].split('.').all(is_number));
    assert_eq!(stats["miocached_version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_name_of_memcached_is_shown() {
    let server = Server::start(&["-p", "0"]);
    let mut ours = server.tcp();
    let all = ours.stats("");
    for name in NAMES {
        assert!(all.contains_key(name), "no {name}");
    }
    let Some(memcached) = Memcached::current_or_skip() else { return };
    let running = memcached.start(&Conversation::default());
    let mut theirs = Client { stream: running.connect() };
    for topic in ["", "settings"] {
        let ours = ours.stats(topic);
        for name in theirs.stats(topic).into_keys() {
            assert!(ours.contains_key(&name), "stats {topic}: no {name}");
        }
    }
}

/// Requests whose counters are compared, each with its answer.
const REQUESTS: [(&str, &str); 13] = [
    ("set a 0 0 1\r\n1\r\n", "STORED\r\n"),
    ("add a 0 0 1\r\n1\r\n", "NOT_STORED\r\n"),
    ("cas a 0 0 1 999\r\n1\r\n", "EXISTS\r\n"),
    ("cas b 0 0 1 1\r\n1\r\n", "NOT_FOUND\r\n"),
    // A value without its terminator.
    ("set a 0 0 1\r\n123", "CLIENT_ERROR bad data chunk\r\n"),
    ("ms a 1\r\n123", "CLIENT_ERROR bad data chunk\r\n"),
    // A line that is refused.
    ("set a x 0 1\r\n1\r\n", "CLIENT_ERROR bad command line format\r\n"),
    ("ms a 1\r\n2\r\n", "HD\r\n"),
    ("get a b\r\n", "VALUE a 0 1\r\n2\r\nEND\r\n"),
    ("mg a v\r\n", "VA 1\r\n2\r\n"),
    ("incr a 1\r\n", "3\r\n"),
    ("touch a 0\r\n", "TOUCHED\r\n"),
    ("delete a\r\n", "DELETED\r\n"),
];

/// The counters that they change in memcached 1.6.45.
const COUNTED: [(&str, &str); 10] = [
    ("cmd_set", "7"),
    ("total_items", "2"),
    ("cas_badval", "1"),
    ("cas_misses", "1"),
    ("get_hits", "2"),
    ("get_misses", "1"),
    ("incr_hits", "1"),
    ("touch_hits", "1"),
    ("delete_hits", "1"),
    ("delete_misses", "0"),
];

fn assert_counted<S: std::io::Read + std::io::Write>(client: &mut Client<S>, whose: &str) {
    for (request, answer) in REQUESTS {
        client.ask(request.as_bytes(), answer.as_bytes());
    }
    let figures = client.stats("");
    for (name, expected) in COUNTED {
        assert_eq!(figures[name], expected, "{whose} {name}");
    }
}

#[test]
fn requests_are_counted_as_by_memcached() {
    assert_counted(&mut Server::start(&["-p", "0"]).tcp(), "our");
    let Some(memcached) = Memcached::current_or_skip() else { return };
    let running = memcached.start(&Conversation::default());
    assert_counted(&mut Client { stream: running.connect() }, "memcached's");
}

/// A client that sends `stats` and does not read: its snapshot must not reach the next client.
#[test]
fn no_client_sees_the_snapshot_of_another() {
    const CROWD: usize = 7;
    let server = Server::start(&["-p", "0"]);
    let mut asking = server.tcp();
    asking.ask(&[b"set a 0 0 30000\r\n", &[b'x'; 30_000][..], b"\r\n"].concat(), b"STORED\r\n");
    let mut crowd: Vec<_> = (0..CROWD).map(|_| server.tcp()).collect();
    crowd.iter_mut().for_each(|client| client.ask(b"get b\r\n", b"END\r\n"));
    let mut deaf = server.tcp();
    setsockopt(&deaf.stream, sockopt::RcvBuf, &4096).unwrap();
    for topic in ["", " conns"] {
        for _ in 0..60 {
            deaf.send(format!("get a a\r\nstats{topic}\r\n").as_bytes());
            // Afterwards the request has been read, and answered as far as the kernel takes it.
            asking.ask(b"mn\r\n", b"MN\r\n");
        }
    }
    let descriptors = server.descriptors();
    drop(crowd);
    until("the crowd has gone", PATIENCE, || server.descriptors() == descriptors - CROWD);
    for _ in 0..2 {
        assert_eq!(asking.figure("curr_connections"), 2);
        let connections = asking.stats("conns");
        let addresses = connections.keys().filter(|name| name.ends_with(":listen_addr"));
        assert_eq!(addresses.count(), 2, "{connections:?}");
    }
    assert_eq!(asking.stats("settings")["tcpport"], server.addresses()[0].port().to_string());
}

/// A client that pipelines `stats` delays another client by one turn.
#[test]
fn pipelined_stats_do_not_starve_others() {
    let server = Server::start(&["-p", "0"]);
    let (mut polite, mut greedy) = (server.tcp(), server.tcp());
    let before = polite.figure("bytes_written");
    let requests = b"stats\r\n".repeat(INPUT_BYTES / 8);
    server.while_stopped(|| {
        greedy.send(&requests);
        polite.send(b"stats\r\n");
    });
    let written = polite.read_figure("bytes_written") - before;
    // One turn ends with the answer that passes the high-water mark.
    let most = (OUTPUT_HIGH_WATER + (16 << 10)) as u64;
    assert!(written <= most, "{written} bytes came first");
    // All of them are answered, each with its own figures.
    let (mut answers, mut ends) = (Vec::new(), 0);
    let mut bytes = [0; 64 << 10];
    while ends < requests.len() / 7 {
        let read = greedy.stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the server hangs up after {ends} answers");
        let unseen = answers.len().saturating_sub(END.len() - 1);
        answers.extend_from_slice(&bytes[..read]);
        ends += memchr::memmem::find_iter(&answers[unseen..], END).count();
    }
}

/// `conn_yields` counts turns that end at the limit of requests, and nothing else.
#[test]
fn only_the_limit_of_requests_is_a_yield() {
    let server = Server::start(&["-p", "0", "-R", "5"]);
    let mut client = server.tcp();
    server.while_stopped(|| client.send(&b"mn\r\n".repeat(20)));
    client.expect(&b"MN\r\n".repeat(20));
    assert_eq!(client.figure("conn_yields"), 3);
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    for _ in 0..10 {
        client.stats("conns");
        client.ask(b"lru_crawler metadump all\r\n", b"OK\r\nEND\r\n");
    }
    assert_eq!(client.figure("conn_yields"), 0);
}
