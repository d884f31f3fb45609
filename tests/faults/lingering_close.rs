//! Lingering close, for clients that send more after the end of the conversation: earlier answers
//! arrive whole, and a client that does not stop is closed after a bounded time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::descriptors_at_rest;
use crate::harness::process::{Client, MIB, PATIENCE, Server, stored, until, value};

/// All that the server sends until the end of input. A reset is a failure.
fn all_of(client: &mut Client<TcpStream>) -> Vec<u8> {
    let mut answers = Vec::new();
    let end = client.stream.read_to_end(&mut answers);
    assert!(end.is_ok(), "{end:?} after {} bytes", answers.len());
    answers
}

/// Closing a socket with unread bytes sends a reset, which destroys answers in flight.
#[test]
fn bytes_sent_with_the_end_destroy_no_answer() {
    const TIMES: usize = 1000;
    const ROUNDS: usize = 20;
    let server = Server::start(&["-p", "0"]);
    let descriptors = descriptors_at_rest(&server);
    let (set, block) = stored("a", &value(2000));
    server.tcp().ask(&set, b"STORED\n");
    let answers = [&block[..], b"END\n"].concat().repeat(TIMES);
    let requests = b"get a\n".repeat(TIMES);
    let junk = [b'x'; 200 << 10];
    // The ends: `quit`, a line that is too long, and another protocol.
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

/// The rest of a line may arrive after everything else has been read. The server lingers because it has
/// read the beginning of that line.
#[test]
fn bytes_sent_after_the_end_destroy_no_answer() {
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
        until("the server closes", PATIENCE, || {
            let closing = normal.stats("conns").values().any(|state| state == "conn_closing");
            closing || server.descriptors() < before
        });
        client.send(b"t a\n");
        assert!(all_of(&mut client) == answers);
    }
}

/// A lingering connection is closed after the limit of dropped bytes, or after its time.
#[test]
fn a_lingering_connection_is_closed_after_a_limit() {
    // What the kernel's buffers may take at both ends, besides the megabyte that is dropped.
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
        assert!(sent <= MIB + KERNEL_BYTES, "{sent} bytes are taken after the end");
    }
    until("its descriptor is free", PATIENCE, || server.descriptors() == descriptors + 1);
    let begun = Instant::now();
    let mut silent: Vec<_> = (0..20).map(|_| server.tcp()).collect();
    for client in &mut silent {
        client.send(&[&b"quit\r\n"[..], &[b'x'; 5000]].concat());
        client.expect_end();
    }
    let stats = normal.stats("conns");
    assert!(stats.values().any(|state| state == "conn_closing"), "{stats:?}");
    // Dropped bytes take no memory.
    assert_eq!(normal.figure("read_buf_bytes"), 0);
    // The clients keep their ends open, and only the timer wakes the server.
    until("their descriptors are free", PATIENCE, || server.descriptors() == descriptors + 1);
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&took), "{took:?}");
    normal.ask(b"get a\n", b"END\n");
    drop(silent);
}

/// A `quit` with nothing after it, the usual case, closes at once.
#[test]
fn a_quit_with_nothing_after_it_does_not_linger() {
    let server = Server::start(&["-p", "0"]);
    let descriptors = descriptors_at_rest(&server);
    // With a lingering close each would take a second.
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
fn a_lingering_connection_does_not_count_as_idle() {
    let server = Server::start(&["-p", "0", "-o", "idle_timeout=2"]);
    let descriptors = descriptors_at_rest(&server);
    let mut lingering = server.tcp();
    // The idle timeout would pass while the connection lingers.
    let begun = Instant::now();
    until("it has been idle for a while", PATIENCE, || {
        begun.elapsed() > Duration::from_millis(1200)
    });
    lingering.send(b"GET / HTTP/1.1\r\n");
    lingering.expect_end();
    until("its descriptor is free", PATIENCE, || server.descriptors() == descriptors);
    assert!(begun.elapsed() > Duration::from_millis(2100), "{:?}", begun.elapsed());
    assert_eq!(server.tcp().figure("idle_kicks"), 0);
}

/// A stopping server waits for unsent answers to be taken, but not for lingering clients that keep their
/// end open: until it exits, no server accepts new clients.
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
    // Three stops that waited for the lingering close, or for the deadline of a stop, would take some
    // three seconds.
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
