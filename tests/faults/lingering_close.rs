//! Hanging up on clients who talk on: what they were answered before arrives whole, and those who do
//! not stop are not listened to for long.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::descriptors_at_rest;
use crate::harness::process::{Client, MIB, PATIENCE, Server, stored, until, value};

/// All that comes until the server is done; a reset is a failure.
fn all_of(client: &mut Client<TcpStream>) -> Vec<u8> {
    let mut answers = Vec::new();
    let end = client.stream.read_to_end(&mut answers);
    assert!(end.is_ok(), "{end:?} behind {} bytes", answers.len());
    answers
}

/// Closing a socket with something unread in it is a reset, which takes back what is on its way.
#[test]
fn what_stands_behind_the_end_takes_no_answer_back() {
    const TIMES: usize = 1000;
    const ROUNDS: usize = 20;
    let server = Server::start(&["-p", "0"]);
    let descriptors = descriptors_at_rest(&server);
    let (set, block) = stored("a", &value(2000));
    server.tcp().ask(&set, b"STORED\n");
    let answers = [&block[..], b"END\n"].concat().repeat(TIMES);
    let requests = b"get a\n".repeat(TIMES);
    let junk = [b'x'; 200 << 10];
    // Ends by the client's wish, by a line without an end, and by another protocol.
    let ends: [&[u8]; 3] = [b"quit\r\n", b"delete ", b"POST / HTTP/1.1\r\n"];
    for end in ends {
        let all = [&requests[..], end, &junk].concat();
        for round in 0..ROUNDS {
            let mut client = server.tcp();
            client.send(&all);
            let got = all_of(&mut client);
            let whole = got == answers;
            assert!(whole, "{}: {} bytes in round {round}", end.escape_ascii(), got.len());
        }
    }
    until("every descriptor is free", PATIENCE, || server.descriptors() == descriptors);
}

/// The rest of what a client was saying may come only when everything else has been read. The server
/// knows that a rest will come when it has read a part of it.
#[test]
fn what_comes_after_the_end_takes_no_answer_back() {
    const TIMES: usize = 100;
    let server = Server::start(&["-p", "0"]);
    let (set, block) = stored("a", &value(2000));
    let mut normal = server.tcp();
    normal.ask(&set, b"STORED\n");
    let answers = [&block[..], b"END\n"].concat().repeat(TIMES);
    let requests = [&b"get a\n".repeat(TIMES)[..], b"quit\r\nge"].concat();
    for _ in 0..20 {
        let mut client = server.tcp();
        client.ask(b"get b\n", b"END\n");
        let before = server.descriptors();
        client.send(&requests);
        until("it is hung up on", PATIENCE, || {
            let closing = normal.stats("conns").values().any(|state| state == "conn_closing");
            closing || server.descriptors() < before
        });
        client.send(b"t a\n");
        assert!(all_of(&mut client) == answers);
    }
}

/// Who goes on is cut off: by the count of what is dropped, or by the time.
#[test]
fn who_does_not_take_leave_is_left() {
    // What the kernel may take at both ends beside the megabyte that is dropped.
    const KERNEL_BYTES: usize = 32 * MIB;
    let server = Server::start(&["-p", "0"]);
    let descriptors = descriptors_at_rest(&server);
    let mut normal = server.tcp();
    normal.ask(b"get a\n", b"END\n");
    let mut endless = server.tcp();
    endless.send(b"quit\r\nx");
    let (junk, mut sent) = ([b'x'; 16 << 10], 0);
    while endless.stream.write_all(&junk).is_ok() {
        sent += junk.len();
        assert!(sent <= MIB + KERNEL_BYTES, "{sent} bytes are taken behind the end");
    }
    until("that one is gone", PATIENCE, || server.descriptors() == descriptors + 1);
    let begun = Instant::now();
    let mut silent: Vec<_> = (0..20).map(|_| server.tcp()).collect();
    for client in &mut silent {
        client.send(&[&b"quit\r\n"[..], &[b'x'; 5000]].concat());
        client.expect_end();
    }
    let told = normal.stats("conns");
    assert!(told.values().any(|state| state == "conn_closing"), "{told:?}");
    // What is dropped is not kept.
    assert_eq!(normal.figure("read_buf_bytes"), 0);
    // They hold their ends, and nothing else wakes the server up.
    until("they are gone", PATIENCE, || server.descriptors() == descriptors + 1);
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&took), "{took:?}");
    normal.ask(b"get a\n", b"END\n");
    drop(silent);
}

/// Most clients say nothing behind it.
#[test]
fn who_only_says_quit_is_not_waited_for() {
    let server = Server::start(&["-p", "0"]);
    let descriptors = descriptors_at_rest(&server);
    // A server that waited for them would take a second for each.
    const CLIENTS: u32 = 10;
    let begun = Instant::now();
    for _ in 0..CLIENTS {
        let mut quiet = server.tcp();
        quiet.send(b"quit\r\n");
        until("its descriptor is free", PATIENCE, || server.descriptors() == descriptors);
        assert_eq!(all_of(&mut quiet), b"");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1) * CLIENTS, "{took:?} for {CLIENTS} clients");
}

#[test]
fn who_is_taking_leave_is_not_kicked_for_being_idle() {
    let server = Server::start(&["-p", "0", "-o", "idle_timeout=2"]);
    let descriptors = descriptors_at_rest(&server);
    let mut leaving = server.tcp();
    // Long enough that it would be kicked while it takes leave.
    let begun = Instant::now();
    until("it has been silent", PATIENCE, || begun.elapsed() > Duration::from_millis(1200));
    leaving.send(b"\x80\0\0");
    leaving.expect_end();
    until("its descriptor is free", PATIENCE, || server.descriptors() == descriptors);
    assert!(begun.elapsed() > Duration::from_millis(2100), "{:?}", begun.elapsed());
    assert_eq!(server.tcp().figure("idle_kicks"), 0);
}

/// A stopping server waits for unsent answers, and not for clients that keep a socket open whose end
/// they have seen: it would refuse new clients meanwhile, and so would its successor.
#[test]
fn a_stop_does_not_wait_for_clients_that_linger() {
    let stop = |sleep_ms| {
        let mut server = Server::start(&["-p", "0"]);
        let mut lingering = server.tcp();
        let begun = Instant::now();
        lingering.send(b"quit\r\nx");
        lingering.expect_end();
        let asleep = Duration::from_millis(sleep_ms);
        until("part of the linger time has passed", PATIENCE, || begun.elapsed() >= asleep);
        let stopped = Instant::now();
        assert_eq!(server.stop(Signal::SIGTERM), Some(0));
        stopped.elapsed()
    };
    // With the whole second of a lingering close, or that of a stop, it would be near three.
    let took = [stop(0), stop(0), stop(0)];
    assert!(took.iter().sum::<Duration>() < Duration::from_millis(1500), "{took:?}");
}

/// A request that has not been read when the server stops is dropped, and its client's socket is read
/// for a moment, so that earlier answers are not destroyed.
#[test]
fn a_client_with_an_unread_request_does_not_hold_up_a_stop() {
    let stop = || {
        let mut server = Server::start(&["-p", "0"]);
        let mut client = server.tcp();
        client.ask(b"get a\n", b"END\n");
        server.while_stopped(|| {
            client.send(b"get a\n");
            server.signal(Signal::SIGTERM);
        });
        let stopped = Instant::now();
        assert_eq!(server.wait(), Some(0));
        drop(client);
        stopped.elapsed()
    };
    let took = [stop(), stop(), stop()];
    assert!(took.iter().sum::<Duration>() < Duration::from_millis(1500), "{took:?}");
}
