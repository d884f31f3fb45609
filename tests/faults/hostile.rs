//! Invalid requests and absurd numbers: the server answers or closes the connection, and never keeps
//! unbounded input. tests/scripts has the answers in detail.

use std::io::{ErrorKind, Read as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use super::descriptors_at_rest;
use crate::harness::frames::Frame;
use crate::harness::process::{Client, MIB, PATIENCE, Server, until};

/// What the server does with the connection afterwards.
#[derive(Clone, Copy)]
enum End {
    LivesOn,
    HungUpOn,
}
use End::{HungUpOn, LivesOn};

const LINE: &[u8] = b"CLIENT_ERROR bad command line format\r\n";
const SIMPLE_LINE: &[u8] = b"CLIENT_ERROR bad command line format\n";
const ERROR: &[u8] = b"ERROR\r\n";

/// The start of a TLS 1.2 hello, up to its first LF.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x9a\x0a";

const CASES: [(&[u8], &[u8], End); 26] = [
    // Lengths: an impossible one makes the line an error, and no data is expected.
    (b"set a 0 0 -1\r\n", LINE, LivesOn),
    (b"set a 0 0 2147483646\r\n", LINE, LivesOn),
    (b"set a 0 0 4294967297\r\n", LINE, LivesOn),
    (b"set a 0 0 99999999999999999999999999\r\n", LINE, LivesOn),
    (b"set a 0 0 0x10\r\n", LINE, LivesOn),
    (b"set a -1\n", SIMPLE_LINE, LivesOn),
    (b"set a 18446744073709551616\n", SIMPLE_LINE, LivesOn),
    (b"set a 2147483646\n", SIMPLE_LINE, LivesOn),
    (b"ms a -5\r\n", LINE, LivesOn),
    (b"ms a 18446744073709551615\r\n", LINE, LivesOn),
    (b"cas a 0 0 -1 1\r\n", LINE, LivesOn),
    (b"incr a -1\r\n", b"CLIENT_ERROR invalid numeric delta argument\r\n", LivesOn),
    (b"touch a 99999999999\r\n", b"CLIENT_ERROR invalid exptime argument\r\n", LivesOn),
    (b"verbosity -1\r\n", LINE, LivesOn),
    (b"lru_crawler metadump 99999999999\r\n", b"BADCLASS invalid class id\r\n", LivesOn),
    // Bytes that no text contains.
    (b"\0\0\0\0\r\n", ERROR, LivesOn),
    (b"get \0\xff\x80\r\n", b"END\r\n", LivesOn),
    (b"ab\x80\x81 nonsense\n", b"ERROR\n", LivesOn),
    // Frames: a key that fits into no buffer, a second one without its magic, a body that is longer than
    // any item, and one that is shorter than its key.
    (b"\x80\0\xff\xff\0\0\0\0\0\0\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0", b"", HungUpOn),
    (
        b"\x80\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0get a\r\n",
        b"\x81\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        HungUpOn,
    ),
    (
        b"\x80\x01\0\x01\x08\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0k",
        b"\x81\x01\0\0\0\0\0\x04\0\0\0\x11\0\0\0\0\0\0\0\0\0\0\0\0Invalid arguments",
        HungUpOn,
    ),
    (
        b"\x80\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0k",
        b"\x81\0\0\0\0\0\0\x81\0\0\0\x0f\0\0\0\0\0\0\0\0\0\0\0\0Unknown command",
        HungUpOn,
    ),
    // Other protocols.
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", HungUpOn),
    (b"POST /set HTTP/1.0\r\n\r\nset a 0 0 1\r\nx\r\n", b"", HungUpOn),
    (TLS_HELLO, b"ERROR\n", LivesOn),
    (b"*1\r\n$4\r\nPING\r\n", b"ERROR\r\nERROR\r\nERROR\r\n", LivesOn),
];

#[test]
fn an_invalid_request_is_answered_or_closes_the_connection() {
    let server = Server::start(&["-p", "0", "-v"]);
    let descriptors = descriptors_at_rest(&server);
    for (request, answer, end) in CASES {
        let mut client = server.tcp();
        // A failure shows this output.
        println!("{}", request.escape_ascii());
        client.ask(request, answer);
        match end {
            HungUpOn => client.expect_end(),
            LivesOn => client.ask(b"get stored\r\n", b"END\r\n"),
        }
    }
    until("both ends are logged", PATIENCE, || {
        server.log().matches("closed: the client breaks the binary protocol").count() == 4
    });
    server.tcp().ask(b"get a b stored\n", b"END\n");
    until("every descriptor is free", PATIENCE, || server.descriptors() == descriptors);
}

/// Sends `start` and then a line without an end, until the server closes. Returns how much was sent.
fn pour(client: &mut Client<std::net::TcpStream>, start: &[u8], most: usize) -> usize {
    let endless = [b'x'; 16 << 10];
    let mut sent = 0;
    if client.stream.write_all(start).is_err() {
        return 0;
    }
    while sent < most {
        match client.stream.write(&endless) {
            Ok(bytes) => sent += bytes,
            Err(error) => {
                let hung_up = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
                assert!(hung_up.contains(&error.kind()), "{error}");
                return sent;
            }
        }
    }
    panic!(
        "{sent} bytes of one line after {}, and the server has not closed",
        start.escape_ascii()
    );
}

/// Lines without an end, of every kind, many at a time: each closes its connection at the limit of its
/// line, and all together stay within the budget.
#[test]
fn endless_lines_close_their_connections() {
    // What the kernel's buffers may take at both ends while the server does not read.
    const KERNEL_BYTES: usize = 32 * MIB;
    let server = Server::start(&["-p", "0", "--buffer-limit", "12"]);
    let mut normal = server.tcp();
    normal.ask(b"get a\n", b"END\n");
    let before = server.resident();
    let starts: [&[u8]; 6] = [b"", b"get ", b"get a\0b ", b"set a 0 0 ", b"delete ", b"mg "];
    let clients: Vec<_> =
        starts.iter().cycle().take(24).map(|start| (start, server.tcp())).collect();
    thread::scope(|scope| {
        let pours: Vec<_> = clients
            .into_iter()
            .map(|(start, mut client)| {
                scope.spawn(move || pour(&mut client, start, MIB + KERNEL_BYTES))
            })
            .collect();
        let begun = Instant::now();
        while !pours.iter().all(thread::ScopedJoinHandle::is_finished) {
            normal.ask(b"get a\n", b"END\n");
            assert!(begun.elapsed() < PATIENCE, "they are not hung up on");
            thread::sleep(Duration::from_millis(5));
        }
    });
    let grown = server.resident_peak() - before;
    assert!(grown <= (12 + 8) * MIB, "{grown} bytes more than before");
}

/// A value that is announced and not sent takes no memory, and a refused one is not kept.
#[test]
fn announced_values_take_no_memory() {
    const CLIENTS: usize = 200;
    let server = Server::start(&["-p", "0", "-I", "32m", "-m", "128"]);
    let mut normal = server.tcp();
    normal.ask(b"get a\n", b"END\n");
    let before = server.resident();
    let too_large =
        Frame { status: 3, value: b"Too large.".to_vec(), ..Frame::new(0x81, 1) }.bytes();
    let crowd: Vec<_> = (0..CLIENTS)
        .map(|at| {
            let mut client = server.tcp();
            let frame = |body_bytes| {
                let frame = Frame { extras: vec![0; 8], ..Frame::request("set") }.key(b"a");
                Frame { value: b"x".to_vec(), body_bytes: Some(body_bytes), ..frame }.bytes()
            };
            match at % 6 {
                0 => client.send(b"set a 0 0 30000000\r\nx"),
                1 => client.send(b"ms a 30000000\r\nx"),
                2 => client.send(b"set a 30000000\nx"),
                3 => client.send(&frame(30_000_000)),
                4 => client.ask(&frame(1 << 30), &too_large),
                _ => client.ask(
                    b"set a 0 0 2147483645\r\nx",
                    b"SERVER_ERROR object too large for cache\r\n",
                ),
            }
            client
        })
        .collect();
    normal.ask(b"get a\n", b"END\n");
    until("the server has read it all", PATIENCE, || {
        normal.figure("curr_connections") == CLIENTS as u64 + 1
    });
    let grown = server.resident_peak() - before;
    assert!(grown <= 2 * MIB, "{grown} bytes more than before");
    drop(crowd);
    normal.ask(b"get a\n", b"END\n");
}

/// Random words of the protocol, with and without line ends, on many connections: some are requests by
/// chance. The server survives, and frees all descriptors.
#[test]
fn noise_is_survived() {
    let server = Server::start(&["-p", "0", "-m", "8"]);
    let descriptors = descriptors_at_rest(&server);
    let words: [&[u8]; 16] = [
        b"get ",
        b"set ",
        b"a ",
        b"1 ",
        b"0 ",
        b"-1 ",
        b"\r\n",
        b"\n",
        b"ms ",
        b"mg ",
        b"S3 ",
        b"noreply",
        b"99999999999 ",
        b"\0",
        b"\x80",
        b"incr ",
    ];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..100 {
        let mut noise = Vec::new();
        for _ in 0..400 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            noise.extend_from_slice(words[(random >> 32) as usize % words.len()]);
        }
        let mut client = server.tcp();
        // The server may close before everything is sent.
        let _ = client.stream.write_all(&noise);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        let mut answers = Vec::new();
        let _ = client.stream.read_to_end(&mut answers);
    }
    server.tcp().ask(b"get nothing-of-this\n", b"END\n");
    until("every descriptor is free", PATIENCE, || server.descriptors() == descriptors);
}

/// A client must not be able to fill the disk with log lines.
#[test]
fn no_client_can_raise_the_log_level() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    client.ask(b"verbosity 2\r\n", b"OK\r\n");
    for _ in 0..100 {
        server.tcp().ask(b"get a\n", b"END\n");
    }
    client.ask(b"get a\n", b"END\n");
    let lines = server.log().lines().count();
    assert!(lines <= 1, "{}", server.log());
}
