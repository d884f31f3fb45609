//! The limits on connections and descriptors: what is counted, and that a server at a limit does not
//! spin, without connections or without waiting clients.

use std::io::{ErrorKind, Read as _};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::descriptors_at_rest;
use crate::harness::process::{PATIENCE, Server, until, value};

#[test]
fn rejected_clients_are_counted_and_accepting_goes_on() {
    const REJECTED: u64 = 10;
    let server = Server::start(&["-p", "0", "-c", "2"]);
    let (mut first, mut second) = (server.tcp(), server.tcp());
    first.ask(b"get a\n", b"END\n");
    second.ask(b"get a\n", b"END\n");
    for _ in 0..REJECTED {
        let mut third = server.tcp();
        third.expect(b"ERROR Too many open connections\r\n");
        third.expect_end();
    }
    assert_eq!(first.figure("rejected_connections"), REJECTED);
    assert_eq!(first.figure("total_connections"), 2);
    // As in memcached, accepting goes on: every client gets at least an error line.
    assert_eq!(first.figure("accepting_conns"), 1);
    assert_eq!(first.figure("listen_disabled_num"), 0);
}

/// A client that has sent requests before it is rejected reads the error line and then the end of
/// input. With a reset, some clients would not show the line to their user.
#[test]
fn rejected_clients_that_have_sent_requests_read_the_error_line() {
    let server = Server::start(&["-p", "0", "-c", "1"]);
    let mut first = server.tcp();
    first.ask(b"get a\n", b"END\n");
    let mut others = server.while_stopped(|| {
        let mut others: Vec<_> = (0..10).map(|_| server.tcp()).collect();
        let requests = [&b"get a\nset b 0 0 9000\r\n"[..], &value(9000)].concat();
        others.iter_mut().for_each(|other| other.send(&requests));
        others
    });
    for other in &mut others {
        let mut answer = String::new();
        other.stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ERROR Too many open connections\r\n");
    }
}

#[test]
fn periods_in_which_clients_wait_are_counted() {
    let server = Server::start(&["-p", "0", "-c", "2", "-o", "no_maxconns_fast"]);
    let mut first = server.tcp();
    first.ask(b"get a\n", b"END\n");
    assert_eq!((first.figure("accepting_conns"), first.figure("listen_disabled_num")), (1, 0));
    let mut second = server.tcp();
    second.ask(b"get a\n", b"END\n");
    assert_eq!((first.figure("accepting_conns"), first.figure("listen_disabled_num")), (0, 1));
    let mut third = server.tcp();
    third.send(b"get a\n");
    thread::sleep(Duration::from_millis(50));
    // A period is counted when it ends.
    assert_eq!(first.figure("time_in_listen_disabled_us"), 0);
    drop(second);
    third.expect(b"END\n");
    assert_eq!((first.figure("accepting_conns"), first.figure("listen_disabled_num")), (0, 2));
    let time_us = first.figure("time_in_listen_disabled_us");
    assert!((50_000..20_000_000).contains(&time_us), "{time_us} microseconds");
    drop(third);
    until("accepting goes on", PATIENCE, || first.figure("accepting_conns") == 1);
    assert_eq!(first.figure("listen_disabled_num"), 2);
    assert_eq!(first.figure("rejected_connections"), 0);
}

/// Sets the limit on descriptors of the running server.
fn limit(server: &Server, descriptors: usize) {
    let pid = server.pid().to_string();
    let soft = format!("--nofile={descriptors}:");
    assert!(Command::new("prlimit").args(["--pid", &pid, &soft]).status().unwrap().success());
}

/// No connection exists whose close would free a descriptor, so only the timer ends the pause.
#[test]
fn out_of_descriptors_without_connections_it_does_not_spin_and_accepts_later() {
    let server = Server::start(&["-p", "0"]);
    let descriptors = descriptors_at_rest(&server);
    // The limit is below what is open already.
    limit(&server, 3);
    let mut waiting = server.tcp();
    waiting.send(b"get a\n");
    until("it is logged", PATIENCE, || server.log().contains("cannot accept"));
    let (ticks, naps, begun) = (server.cpu_ticks(), server.naps(), Instant::now());
    until("a second is over", PATIENCE, || begun.elapsed() > Duration::from_secs(1));
    let (ticks, naps) = (server.cpu_ticks() - ticks, server.naps() - naps);
    assert!(ticks <= 10 && naps <= 30, "{ticks} hundredths of a second, {naps} wake-ups");
    waiting.stream.set_nonblocking(true).unwrap();
    assert_eq!(waiting.stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    waiting.stream.set_nonblocking(false).unwrap();
    limit(&server, 100);
    waiting.expect(b"END\n");
    // It counts as one period, however often accepting has failed. Each attempt took one turn.
    assert_eq!(waiting.figure("listen_disabled_num"), 1);
    assert!(waiting.figure("time_in_listen_disabled_us") >= 1_000_000);
    assert_eq!(waiting.figure("accepting_conns"), 1);
    let turns: u64 = waiting.stats("loop")["turns"].parse().unwrap();
    let tries = u64::try_from(begun.elapsed().as_millis()).unwrap() / 100;
    assert!(turns <= 30 + tries, "{turns} turns");
    drop(waiting);
    until("its descriptor is free", PATIENCE, || server.descriptors() == descriptors);
}

/// Without a free descriptor `accept` fails whether a client waits or not. While no client waits, the
/// server neither tries again nor logs.
#[test]
fn out_of_descriptors_with_no_client_waiting_it_sleeps() {
    let server = Server::start(&["-p", "0"]);
    descriptors_at_rest(&server);
    // One descriptor is free, for this client.
    limit(&server, server.lowest_free_descriptor() + 1);
    let mut last = server.tcp();
    last.ask(b"get a\n", b"END\n");
    let (naps, begun) = (server.naps(), Instant::now());
    until("two seconds are over", PATIENCE, || begun.elapsed() > Duration::from_secs(2));
    let naps = server.naps() - naps;
    assert!(naps <= 2, "{naps} wake-ups");
    assert!(!server.log().contains("cannot accept"), "{}", server.log());
    assert_eq!(last.figure("listen_disabled_num"), 0);
    // The next client waits, and is accepted when a descriptor is free.
    let mut waiting = server.tcp();
    waiting.send(b"get a\n");
    until("it is logged", PATIENCE, || server.log().contains("cannot accept"));
    drop(last);
    waiting.expect(b"END\n");
}
