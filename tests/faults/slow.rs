//! Clients that send a byte now and then: they take the memory of their bytes, delay no other client,
//! and are closed by `-o idle_timeout`.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::process::{Client, MIB, PATIENCE, Server, have_descriptors, until};

/// The beginnings of requests that are never completed.
const BEGUN: [&[u8]; 4] = [b"get a", b"get ", b"gets a b", b"delete "];

/// The first lines of stores: one of each dialect, and one whose value is too large and is skipped.
const VALUES: [&[u8]; 3] = [b"set a 0 0 300\r\n", b"set a 300\n", b"set a 0 0 2000000\r\n"];

/// `clients` connections send a byte every `pause`, until the server has closed all of them.
fn assert_closed(clients: usize, timeout_s: u64, pause: Duration) {
    have_descriptors(clients as u64 + 100);
    let idle_timeout = format!("idle_timeout={timeout_s}");
    let connections = (clients + 10).to_string();
    let server = Server::start(&["-p", "0", "-c", &connections, "-o", &idle_timeout]);
    let mut normal = server.tcp();
    for _ in 0..100 {
        normal.ask(b"set b 1\nx\nget b\n", b"STORED\nVALUE b 1\nx\nEND\n");
    }
    let descriptors = server.descriptors();
    let before = server.resident();
    let mut crowd: Vec<_> = (0..clients)
        .map(|at| {
            let mut client = server.tcp();
            client.send(BEGUN[at % BEGUN.len()]);
            client
        })
        .collect();
    // On a busy machine the first are closed before the last one is accepted.
    until("all have been accepted", PATIENCE, || {
        normal.figure("total_connections") == clients as u64 + 1
    });
    let begun = Instant::now();
    let (mut worst, mut rounds) = (Duration::ZERO, 0);
    let patience = Duration::from_secs(10 * timeout_s);
    while normal.figure("curr_connections") > 1 {
        assert!(begun.elapsed() < patience, "{} are open", normal.figure("curr_connections"));
        for client in &mut crowd {
            // Writing to a closed connection fails, which is expected.
            let _ = std::io::Write::write(&mut client.stream, b"x");
        }
        let sent = Instant::now();
        normal.ask(b"get b\n", b"VALUE b 1\nx\nEND\n");
        worst = worst.max(sent.elapsed());
        rounds += 1;
        thread::sleep(pause);
    }
    println!("{clients} slow writers are closed after {:?}, {rounds} bytes each", begun.elapsed());
    assert!(rounds > 2, "they were closed too early: {rounds} bytes each");
    assert!(worst < Duration::from_secs(1), "another client had to wait for {worst:?}");
    let grown = server.resident_peak() - before;
    let most = clients * (400 + 1_000) + MIB / 2;
    assert!(grown <= most, "{grown} bytes more than before, {most} are allowed");
    assert_eq!(normal.figure("idle_kicks"), clients as u64);
    until("their descriptors are free", patience, || {
        normal.ask(b"get b\n", b"VALUE b 1\nx\nEND\n");
        server.descriptors() == descriptors
    });
}

#[test]
fn a_hundred_slow_writers_are_closed_after_the_idle_timeout() {
    assert_closed(100, 2, Duration::from_millis(100));
}

#[test]
#[ignore = "takes 5,000 descriptors at both ends, and half a minute"]
fn five_thousand_slow_writers_are_closed_after_the_idle_timeout() {
    assert_closed(5_000, 10, Duration::from_secs(1));
}

/// A client that sends a value is not idle, however slowly it sends. One that stops in the middle of a
/// value is.
#[test]
fn a_client_that_sends_a_value_slowly_is_not_idle() {
    let server = Server::start(&["-p", "0", "-o", "idle_timeout=2"]);
    let mut clients: Vec<_> = VALUES.iter().map(|_| server.tcp()).collect();
    let mut silent: Vec<_> = VALUES.iter().map(|_| server.tcp()).collect();
    for (begun, (client, silent)) in VALUES.iter().zip(clients.iter_mut().zip(&mut silent)) {
        client.send(begun);
        silent.send(begun);
    }
    clients[2].expect(b"SERVER_ERROR object too large for cache\r\n");
    let begun = Instant::now();
    // 300 bytes of data; the line end follows below.
    for _ in 0..15 {
        clients.iter_mut().for_each(|client| client.send(&[b'x'; 20]));
        thread::sleep(Duration::from_millis(300));
    }
    assert!(begun.elapsed() > Duration::from_secs(4));
    clients[0].ask(b"\r\n", b"STORED\r\n");
    clients[1].ask(b"\n", b"STORED\n");
    silent[2].expect(b"SERVER_ERROR object too large for cache\r\n");
    silent.iter_mut().for_each(Client::expect_end);
    assert_eq!(clients[0].figure("idle_kicks"), 3);
}
