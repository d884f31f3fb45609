//! Slow and hostile clients of the metrics address: they take the memory of sixteen connections, and
//! delay neither a client of the cache nor for long another one of their kind.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use miocached::metrics::{BODY_BYTES_MAX, FIGURES_BYTES_MAX};
use miocached::net::{HTTP_ANSWER_MS, HTTP_BYTES_MAX, HTTP_CONNECTIONS_MAX, HTTP_HEAD_MS};
use nix::sys::socket::{setsockopt, sockopt};

use crate::harness::process::{Client, MIB, PATIENCE, Server, have_descriptors, until};

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn server() -> Server {
    Server::start(&["-p", "0", "--metrics", "0"])
}

/// A client of the cache, which measures how long it waits.
struct Normal {
    client: Client<TcpStream>,
    worst: Duration,
}

impl Normal {
    fn of(server: &Server) -> Self {
        Self { client: server.tcp(), worst: Duration::ZERO }
    }

    fn ask(&mut self) {
        let sent = Instant::now();
        self.client.ask(b"get a\r\n", b"END\r\n");
        self.worst = self.worst.max(sent.elapsed());
    }
}

impl Drop for Normal {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert!(self.worst < Duration::from_secs(1), "it had to wait for {:?}", self.worst);
        }
    }
}

/// Whether the server has closed the connection. What it has sent is read.
fn is_closed(client: &mut Client<TcpStream>) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4096];
    let closed = loop {
        match client.stream.read(&mut bytes) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(_) => break true,
        }
    };
    client.stream.set_nonblocking(false).unwrap();
    closed
}

/// A whole answer on a new connection, however often it takes to get one.
fn scrape(server: &Server) {
    until("the metrics are served", PATIENCE, || {
        let mut client = Client::tcp(server.metrics());
        let mut answer = Vec::new();
        let request = b"GET /metrics HTTP/1.0\r\n\r\n";
        client.stream.write_all(request).is_ok()
            && client.stream.read_to_end(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
            && answer.ends_with(b"\n")
    });
}

/// Heads that arrive byte by byte, one that never ends, and connections that send nothing: all are closed
/// in time.
#[test]
fn slow_heads_are_closed() {
    let server = server();
    let mut normal = Normal::of(&server);
    let begun = Instant::now();
    let mut slow: Vec<_> = (0..6).map(|_| Client::tcp(server.metrics())).collect();
    let mut sent = 0;
    while !slow.iter_mut().all(is_closed) {
        assert!(begun.elapsed() < PATIENCE, "they are open");
        let byte = GET.get(sent).copied().unwrap_or(b'x');
        for client in &mut slow[..3] {
            // The last line end of the head is never sent. A closed connection takes nothing.
            let _ =
                client.stream.write(if sent < GET.len() - 2 { &GET[sent..=sent] } else { b"x" });
        }
        let _ = slow[3].stream.write(&[byte]);
        sent += 1;
        normal.ask();
        thread::sleep(Duration::from_millis(200));
    }
    let limit = Duration::from_millis(HTTP_HEAD_MS);
    assert!(begun.elapsed() >= limit, "closed after {:?}", begun.elapsed());
    scrape(&server);
}

/// A client that asks and never reads: its answers stop at what the kernel's buffers take, and it is
/// closed.
#[test]
fn a_client_that_never_reads_is_closed() {
    let server = server();
    let mut normal = Normal::of(&server);
    let mut deaf = Client::tcp(server.metrics());
    setsockopt(&deaf.stream, sockopt::RcvBuf, &4096).unwrap();
    normal.ask();
    let before = server.resident();
    let begun = Instant::now();
    deaf.stream.set_nonblocking(true).unwrap();
    let mut patient = Client::tcp(server.metrics());
    patient.send(GET);
    loop {
        match deaf.stream.write(&GET.repeat(100)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(50));
            }
            Err(_) => break,
        }
        normal.ask();
        assert!(begun.elapsed() < 2 * PATIENCE, "it is open");
    }
    let limit = Duration::from_millis(HTTP_ANSWER_MS);
    assert!(begun.elapsed() >= limit, "closed after {:?}", begun.elapsed());
    let grown = server.resident_peak().saturating_sub(before);
    assert!(grown < MIB, "{grown} bytes more than before");
    scrape(&server);
}

/// A thousand connections, of which sixteen at most are open at the server.
#[test]
fn a_thousand_connections_take_sixteen() {
    have_descriptors(1200);
    let server = server();
    let mut normal = Normal::of(&server);
    normal.ask();
    scrape(&server);
    let (descriptors, before) = (server.descriptors(), server.resident());
    let mut crowd: Vec<Client<TcpStream>> = Vec::new();
    for at in 0..1000 {
        let mut client = Client::tcp(server.metrics());
        // Some send nothing, some half a head, some ask and do not read.
        let part = [&b""[..], &GET[..20], GET][at % 3];
        let _ = client.stream.write(part);
        crowd.push(client);
        if at % 10 == 0 {
            normal.ask();
        }
    }
    normal.ask();
    let open = server.descriptors() - descriptors;
    assert!(open <= HTTP_CONNECTIONS_MAX + 1, "{open} are open");
    let grown = server.resident_peak().saturating_sub(before);
    // Nothing is recorded, so no answer is a trace.
    let each = HTTP_BYTES_MAX - BODY_BYTES_MAX + FIGURES_BYTES_MAX;
    let most = HTTP_CONNECTIONS_MAX * each + MIB;
    assert!(grown <= most, "{grown} bytes more than before");
    // Those that send no head make room for others.
    scrape(&server);
    drop(crowd);
    until("all descriptors are free", PATIENCE, || server.descriptors() <= descriptors);
}

/// Sixteen clients keep their connections busy: another one is answered 503.
#[test]
fn a_client_above_the_limit_is_refused() {
    let server = server();
    let mut busy: Vec<_> = (0..HTTP_CONNECTIONS_MAX)
        .map(|_| {
            let mut client = Client::tcp(server.metrics());
            client.send(GET);
            client.expect(b"HTTP/1.1 200 OK\r\n");
            client.send(&GET[..10]);
            client
        })
        .collect();
    // The server has read the beginnings of their heads.
    let mut above = Client::tcp(server.metrics());
    above.send(GET);
    above.expect(b"HTTP/1.1 503 Service Unavailable\r\n");
    // One of them finishes, and becomes idle: it is replaced.
    busy[5].send(&GET[10..]);
    scrape(&server);
}

/// What is no HTTP is answered with an error, and the connection ends. Among it are a TLS hello and a
/// client of the cache that has the wrong port.
#[test]
fn garbage_ends_the_connection() {
    let server = server();
    let mut normal = Normal::of(&server);
    normal.ask();
    let descriptors = server.descriptors();
    let long_head = [b"GET / HTTP/1.1\r\nX: ", &[b'x'; 100_000][..]].concat();
    let cases: [&[u8]; 8] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x9a\x0a",
        b"set a 0 0 1000\r\n",
        b"get a\r\n",
        b"\x80\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0a",
        b"\0\0\0\0",
        b"*1\r\n$4\r\nPING\r\n",
        &[0xff; 20_000],
        &long_head,
    ];
    for case in cases {
        println!("{}", case[..case.len().min(40)].escape_ascii());
        let mut client = Client::tcp(server.metrics());
        // The server may close before it has read all.
        let _ = client.stream.write_all(case);
        client.expect(b"HTTP/1.1 ");
        normal.ask();
        until("it is closed", PATIENCE, || is_closed(&mut client));
    }
    until("all descriptors are free", PATIENCE, || server.descriptors() == descriptors);
    // Nothing but a warning of the start.
    assert!(server.log().lines().count() <= 1, "{}", server.log());
}
