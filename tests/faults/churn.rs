//! Connections that open and close in all ways: no descriptor and no memory leaks.

use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::descriptors_at_rest;
use crate::harness::process::{Client, MIB, PATIENCE, Server, stored, until, value};

/// However a connection ends, its descriptor and memory are freed, and its complete requests are executed.
#[test]
fn every_way_to_close_frees_descriptor_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&[
        "-p",
        "0",
        "-s",
        path.to_str().unwrap(),
        "-c",
        "50",
        "-o",
        "idle_timeout=1",
    ]);
    let descriptors = descriptors_at_rest(&server);
    let (set, _) = stored("large", &value(300_000));
    let mut normal = server.tcp();
    normal.ask(&set, b"STORED\n");
    for round in 0..30 {
        let tcp = || server.tcp();
        // A complete request before half a value is executed. The half value is not stored.
        let mut halves: Vec<_> = (0..4).map(|_| tcp()).collect();
        for (at, client) in halves.iter_mut().enumerate() {
            client.send(format!("set whole{at} 3\n{round:03}\nset half 100\nhalf").as_bytes());
            // The reset follows the answer, so that it does not overtake the request.
            client.expect(b"STORED\n");
        }
        let last = halves.split_off(2);
        last.into_iter().for_each(Client::reset);
        halves[0].stream.shutdown(Shutdown::Write).unwrap();
        halves[0].expect_end();
        drop(halves);
        // Clients that do not read a large answer, and then reset or close.
        let mut deaf = [tcp(), tcp()];
        for client in &mut deaf {
            client.send(&b"get large\n".repeat(20));
        }
        let [one, other] = deaf;
        one.reset();
        drop(other);
        let mut unix = Client::unix(&path);
        unix.send(&[&set[..], &b"get large\n".repeat(5)].concat());
        drop(unix);
        let mut refused = tcp();
        refused.send(b"GET / HTTP/1.1\r\n");
        refused.expect_end();
        let mut quits = tcp();
        quits.ask(b"get whole0\nquit\r\nget whole0\n", whole(round).as_bytes());
        quits.expect_end();
        normal.ask(b"get half\n", b"END\n");
        normal.ask(b"get whole0\n", whole(round).as_bytes());
    }
    until("every descriptor is free", PATIENCE, || {
        normal.ask(b"get half\n", b"END\n");
        server.descriptors() == descriptors + 1
    });
    assert_eq!(normal.figure("curr_connections"), 1);
    assert_eq!(normal.stats("loop")["buffer_bytes"], "0");
    // The server closes the last connection by the idle timeout.
    until("the idle connection is closed", PATIENCE, || server.descriptors() == descriptors);
}

fn whole(round: usize) -> String {
    format!("VALUE whole0 3\n{round:03}\nEND\n")
}

/// Several clients at a time connect, send a request and close, half of them with a reset, while another
/// client's requests are answered.
fn come_and_go(connections: usize) {
    const AT_A_TIME: usize = 4;
    let server = Server::start(&["-p", "0", "-c", "100"]);
    let mut normal = server.tcp();
    normal.ask(b"set a 1\nx\n", b"STORED\n");
    let (descriptors, left) = (server.descriptors(), AtomicUsize::new(connections));
    let (mut before, mut worst) = (0, Duration::ZERO);
    thread::scope(|scope| {
        let come_and_go = || {
            while let Ok(at) =
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            {
                let mut client = server.tcp();
                client.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
                if at % 2 == 0 {
                    client.reset();
                }
            }
        };
        let clients: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(come_and_go)).collect();
        while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            let sent = Instant::now();
            normal.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
            worst = worst.max(sent.elapsed());
            if before == 0 && left.load(Ordering::Relaxed) < connections / 2 {
                before = server.resident();
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(worst < Duration::from_secs(1), "another client had to wait for {worst:?}");
    assert_eq!(normal.figure("total_connections"), connections as u64 + 1);
    until("all are closed", PATIENCE, || normal.figure("curr_connections") == 1);
    assert_eq!(server.descriptors(), descriptors);
    let grown = server.resident().saturating_sub(before);
    assert!(grown < MIB / 2, "{grown} bytes more for the second half");
}

#[test]
fn a_thousand_connections_come_and_go() {
    come_and_go(1_000);
}

#[test]
#[ignore = "uses up most of the machine's local ports for a minute"]
fn twenty_thousand_connections_come_and_go_in_a_minute() {
    let begun = Instant::now();
    come_and_go(20_000);
    println!("20,000 connections in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
