//! The metrics address: HTTP, the figures, and what the option may be.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use nix::sys::signal::Signal;

use crate::harness::process::{Client, PATIENCE, Server, run};

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Reads one answer, with a body unless it is one to `HEAD`.
pub(crate) fn read_answer(client: &mut Client<TcpStream>, with_body: bool) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length: usize = header(&head, "Content-Length").unwrap().parse().unwrap();
    let mut body = vec![0; if with_body { length } else { 0 }];
    client.stream.read_exact(&mut body).unwrap();
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

/// The value of a header.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The answer to a `GET` on a connection of its own.
pub(crate) fn get(server: &Server, path: &str) -> Answer {
    let mut client = Client::tcp(server.metrics());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    read_answer(&mut client, true)
}

/// The samples of `/metrics`: names with their labels, and values.
pub(crate) fn figures(server: &Server) -> HashMap<String, f64> {
    let answer = get(server, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| line.rsplit_once(' ').unwrap());
    samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

#[test]
fn the_figures_are_those_of_stats() {
    let server = Server::start(&["-p", "0", "--metrics", "127.0.0.1:0"]);
    let mut client = server.tcp();
    client.ask(b"set a 0 0 1\r\n1\r\nincr a 1\r\n", b"STORED\r\n2\r\n");
    client.ask(b"get a b c\r\n", b"VALUE a 0 1\r\n2\r\nEND\r\n");
    client.ask(b"cas a 0 0 1 9\r\nx\r\n", b"EXISTS\r\n");
    client.ask(b"touch a 100\r\ndelete b\r\n", b"TOUCHED\r\nNOT_FOUND\r\n");
    let requests = 6;
    let stats = client.stats("");
    let figures = figures(&server);
    let command = |name, status| {
        format!("memcached_commands_total{{command=\"{name}\",status=\"{status}\"}}")
    };
    for (name, stat) in [
        (command("get", "hit"), "get_hits"),
        (command("get", "miss"), "get_misses"),
        (command("incr", "hit"), "incr_hits"),
        (command("cas", "badval"), "cas_badval"),
        (command("touch", "hit"), "touch_hits"),
        (command("delete", "miss"), "delete_misses"),
        ("memcached_current_items".into(), "curr_items"),
        ("memcached_items_total".into(), "total_items"),
        ("memcached_current_bytes".into(), "bytes"),
        ("memcached_limit_bytes".into(), "limit_maxbytes"),
        ("memcached_current_connections".into(), "curr_connections"),
        ("memcached_connections_total".into(), "total_connections"),
        ("memcached_max_connections".into(), "max_connections"),
        ("memcached_read_bytes_total".into(), "bytes_read"),
    ] {
        assert_eq!(figures[&name], stats[stat].parse::<f64>().unwrap(), "{name}");
    }
    // memcached counts a cas as a set, too; its exporter does not.
    assert_eq!(figures[&command("set", "hit")], 1.0);
    // The stats themselves are a request.
    assert_eq!(figures["miocached_requests_total"], f64::from(requests + 1));
    assert_eq!(figures["miocached_request_duration_seconds_count"], f64::from(requests + 1));
    assert!(figures["miocached_request_duration_seconds_sum"] > 0.0);
    assert!(figures["miocached_turn_duration_seconds_count"] >= 5.0);
    client.ask(b"stats reset\r\n", b"RESET\r\n");
    client.ask(b"get a\r\nget a\r\n", b"VALUE a 0 1\r\n2\r\nEND\r\nVALUE a 0 1\r\n2\r\nEND\r\n");
    let figures = self::figures(&server);
    assert_eq!(figures["miocached_requests_total"], 3.0);
    assert_eq!(figures["miocached_request_duration_seconds_count"], 3.0);
}

#[test]
fn hot_keys_are_shown_unless_listing_keys_is_forbidden() {
    let server = Server::start(&["-p", "0", "--metrics", "0"]);
    let mut client = server.tcp();
    // Keys are in the answer as they are, or escaped, or in hex.
    for (key, times) in [(&b"user:7"[..], 50), ("<\u{fc}>\"".as_bytes(), 40), (b"\xff\x01", 30)] {
        for _ in 0..times {
            client.ask(&[b"get ", key, b"\r\n"].concat(), b"END\r\n");
        }
    }
    let answer = get(&server, "/hotkeys");
    assert_eq!(header(&answer.head, "Content-Type"), Some("application/json"));
    let hot: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    for span in ["recent", "since_start"] {
        assert_eq!(hot[span]["requests"], 120, "{hot}");
        let keys = hot[span]["keys"].as_array().unwrap();
        let counts: Vec<_> = keys.iter().map(|key| key["requests"].as_u64().unwrap()).collect();
        assert_eq!(counts, [50, 40, 30], "{hot}");
        assert_eq!((&keys[0]["key"], &keys[1]["key"]), (&"user:7".into(), &"<\u{fc}>\"".into()));
        assert_eq!(keys[2]["hex"], "ff01");
    }
    let server = Server::start(&["-p", "0", "-X", "--metrics", "0"]);
    server.tcp().ask(b"get a\r\n", b"END\r\n");
    assert_eq!(get(&server, "/hotkeys").body, "{\"enabled\":false}\n");
}

/// A value that arrives in pieces is one request, however many turns it takes; and a pipeline is as many
/// as it has.
#[test]
fn requests_are_counted_once() {
    let server = Server::start(&["-p", "0", "--metrics", "0", "-R", "3"]);
    let mut client = server.tcp();
    client.send(b"set a 0 0 300000\r\n");
    for _ in 0..100 {
        client.send(&[b'x'; 3000]);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    client.ask(b"\r\n", b"STORED\r\n");
    client.ask(&b"mn\r\n".repeat(100), &b"MN\r\n".repeat(100));
    client.ask(b"nonsense\r\n", b"ERROR\r\n");
    // The skipped value belongs to the request that was refused.
    let long = [&b"set a 0 0 2000000\r\n"[..], &[b'x'; 2_000_000], b"\r\nmn\r\n"].concat();
    client.ask(&long, b"SERVER_ERROR object too large for cache\r\nMN\r\n");
    let figures = figures(&server);
    assert_eq!(figures["miocached_requests_total"], 104.0);
    assert_eq!(figures["miocached_request_duration_seconds_count"], 104.0);
}

#[test]
fn requests_on_one_connection_are_answered_in_step() {
    let server = Server::start(&["-p", "0", "--metrics", "0"]);
    let mut client = Client::tcp(server.metrics());
    let host = "Host: 127.0.0.1:9150\r\n";
    let paths = ["/", "/metrics", "/page.css", "/no", "/page.js", "/icon.svg", "/metrics?a=b"];
    let requests = |method: &str| {
        paths.map(|path| format!("{method} {path} HTTP/1.1\r\n{host}\r\n")).concat().into_bytes()
    };
    let expected = [
        (200, "text/html; charset=utf-8"),
        (200, "text/plain; version=0.0.4; charset=utf-8"),
        (200, "text/css; charset=utf-8"),
        (404, "text/plain; charset=utf-8"),
        (200, "text/javascript; charset=utf-8"),
        (200, "image/svg+xml"),
        (200, "text/plain; version=0.0.4; charset=utf-8"),
    ];
    // All at once, and byte by byte.
    client.send(&requests("GET"));
    for byte in requests("HEAD") {
        client.send(&[byte]);
    }
    for with_body in [true, false] {
        for (status, media_type) in expected {
            let answer = read_answer(&mut client, with_body);
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(header(&answer.head, "Content-Type"), Some(media_type));
            assert_eq!(header(&answer.head, "X-Content-Type-Options"), Some("nosniff"));
            assert_eq!(header(&answer.head, "Cache-Control"), Some("no-store"));
            let policy = header(&answer.head, "Content-Security-Policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
            assert_eq!(header(&answer.head, "Access-Control-Allow-Origin"), None);
            assert_eq!(header(&answer.head, "Connection"), None);
        }
    }
    client.send(format!("GET / HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes());
    let answer = read_answer(&mut client, true);
    assert_eq!(header(&answer.head, "Connection"), Some("close"));
    assert!(answer.body.starts_with("<!doctype html>"));
    client.expect_end();
}

/// What is sent, the status of its answer, and whether the connection stays open after it.
const EXCHANGES: [(&str, u16, bool); 15] = [
    ("GET /metrics HTTP/1.0\r\n\r\n", 200, false),
    ("GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, true),
    ("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, true),
    ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, true),
    ("DELETE /no HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405, true),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na=b", 413, false),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 413, false),
    ("GET / HTTP/1.1\r\n\r\n", 400, false),
    ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, false),
    ("GET http://127.0.0.1/ HTTP/1.1\r\nHost: a.proxy\r\n\r\n", 200, true),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, false),
    ("GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n", 400, false),
    ("get a\r\n", 400, false),
    ("set a 0 0 1\r\nx\r\n", 505, false),
    ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03", 400, false),
];

#[test]
fn each_request_has_its_status() {
    let server = Server::start(&["-p", "0", "--metrics", "0"]);
    for (request, status, stays_open) in EXCHANGES {
        let mut client = Client::tcp(server.metrics());
        client.send(request.as_bytes());
        let answer = read_answer(&mut client, true);
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        let closes = header(&answer.head, "Connection") == Some("close");
        assert_eq!(closes, !stays_open, "{request:?}: {answer:?}");
        if status == 405 {
            assert_eq!(header(&answer.head, "Allow"), Some("GET, HEAD"), "{request:?}");
        }
        if stays_open {
            client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(read_answer(&mut client, true).status, 200, "{request:?}");
        } else {
            client.expect_end();
        }
    }
}

/// A client that shuts down its side after its request still gets the answer.
#[test]
fn a_half_closed_connection_is_answered() {
    let server = Server::start(&["-p", "0", "--metrics", "0"]);
    let mut client = Client::tcp(server.metrics());
    client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_answer(&mut client, true).status, 200);
    client.expect_end();
}

#[test]
fn connections_of_the_metrics_do_not_count() {
    let server = Server::start(&["-p", "0", "-c", "1", "--metrics", "0"]);
    let mut client = server.tcp();
    client.ask(b"get a\r\n", b"END\r\n");
    let kept: Vec<_> = (0..3).map(|_| Client::tcp(server.metrics())).collect();
    assert_eq!(figures(&server)["memcached_current_connections"], 1.0);
    assert_eq!(client.figure("curr_connections"), 1);
    assert_eq!(client.figure("total_connections"), 1);
    drop(kept);
}

#[test]
fn the_address_is_loopback_unless_given() {
    let server = Server::start(&["-p", "0", "--metrics", ":0"]);
    assert!(server.metrics().ip().is_loopback());
    // It is no address of the cache.
    assert_eq!(server.addresses().len(), 1);
    let any = Server::start(&["-p", "0", "--metrics", "0.0.0.0:0"]);
    let mut client = Client::tcp(SocketAddr::from(([127, 0, 0, 1], any.metrics().port())));
    // Where others may ask, they may use the machine's name.
    client.send(b"GET /metrics HTTP/1.1\r\nHost: cache1.internal\r\n\r\n");
    assert_eq!(read_answer(&mut client, true).status, 200);
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let six = Server::start(&["-p", "0", "--metrics", "[::1]:0"]);
        assert_eq!(six.metrics().ip(), Ipv6Addr::LOCALHOST);
        assert_eq!(get(&six, "/").status, 200);
    } else {
        println!("SKIPPED: this machine has no IPv6");
    }
}

#[test]
fn an_address_that_does_not_parse_or_is_taken_is_an_error() {
    for bad in ["", "port", "65536", "localhost:9150", "127.0.0.1", "::1"] {
        let ended = run(&["-p", "0", "--metrics", bad], b"");
        assert_eq!(ended.code, Some(2), "{bad}: {}", ended.stderr);
    }
    assert_eq!(run(&["--stdio", "--metrics", "0"], b"").code, Some(2));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    super::options::assert_refused(&["-p", "0", "--metrics", &address], &address);
}

/// A stopping server closes the address, and waits for none of its clients.
#[test]
fn a_stop_closes_the_metrics() {
    let mut server = Server::start(&["-p", "0", "--metrics", "0"]);
    let (address, mut kept) = (server.metrics(), Client::tcp(server.metrics()));
    kept.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(read_answer(&mut kept, true).status, 200);
    let mut begun = Client::tcp(address);
    begun.send(b"GET /met");
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    kept.expect_end();
    begun.expect_end();
    assert!(TcpStream::connect_timeout(&address, PATIENCE).is_err());
}

/// Idle connections wake the server only at their deadlines.
#[test]
fn idle_connections_cause_no_wake_ups() {
    let server = Server::start(&["-p", "0", "--metrics", "0"]);
    let mut kept = Client::tcp(server.metrics());
    kept.stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut kept, true).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(100));
    let naps = server.naps();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let naps = server.naps() - naps;
    assert!(naps <= 1, "{naps} wake-ups in a second");
}
