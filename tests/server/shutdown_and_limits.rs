//! Signals, and what happens at the limits on connections and descriptors.

use std::io::Read as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::process::{Client, MIB, PATIENCE, Server, until, value};

#[test]
fn signals_end_the_server_at_once_when_nothing_is_pending() {
    const ROUNDS: u32 = 3;
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1].repeat(ROUNDS as usize);
    let (stops, mut took) = (u32::try_from(signals.len()).unwrap(), Duration::ZERO);
    for signal in signals {
        let mut server = Server::start(&["-p", "0"]);
        let mut idle = server.tcp();
        idle.ask(b"get a\n", b"END\n");
        let begun = Instant::now();
        assert_eq!(server.stop(signal), Some(0));
        took += begun.elapsed();
        idle.expect_end();
    }
    // A server that waited for an idle client would take a second for each.
    assert!(took < Duration::from_secs(1) * stops, "{took:?} for {stops} stops");
}

#[test]
fn a_hangup_ends_nothing() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    client.ask(b"get a\n", b"END\n");
    server.signal(Signal::SIGHUP);
    until("it says so", PATIENCE, || server.log().contains("no auth file"));
    client.ask(b"get a\n", b"END\n");
}

#[test]
fn what_is_pending_at_a_signal_is_sent_for_about_a_second() {
    const TIMES: usize = 40;
    let mut server = Server::start(&["-p", "0"]);
    let data = value(MIB - 512);
    let set = [format!("set a {}\n", data.len()).as_bytes(), &data, b"\n"].concat();
    let block = [format!("VALUE a {}\n", data.len()).as_bytes(), &data, b"\n"].concat();
    let (mut reader, mut deaf) = (server.tcp(), server.tcp());
    reader.ask(&set, b"STORED\n");
    for client in [&mut reader, &mut deaf] {
        client.send(format!("get{}\n", " a".repeat(TIMES)).as_bytes());
        until("the answer begins", PATIENCE, || client.stream.peek(&mut [0]).unwrap() == 1);
    }
    let address = server.addresses()[0];
    let begun = Instant::now();
    server.signal(Signal::SIGTERM);
    until("new clients are refused", PATIENCE, || TcpStream::connect(address).is_err());
    for _ in 0..TIMES {
        reader.expect(&block);
    }
    reader.expect(b"END\n");
    reader.expect_end();
    assert_eq!(server.wait(), Some(0));
    let took = begun.elapsed();
    // It has waited for the one that never reads, and not for long.
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "{took:?}");
    drop(deaf);
}

#[test]
fn a_debuggers_stop_does_not_end_the_server() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    for _ in 0..5 {
        client.ask(b"get a\n", b"END\n");
        server.while_stopped(|| ());
    }
    client.ask(b"get a\n", b"END\n");
    let mut waited = server.while_stopped(|| {
        client.send(b"set a 1\nx\n");
        let mut new = server.tcp();
        new.send(b"get b\n");
        new
    });
    client.expect(b"STORED\n");
    waited.expect(b"END\n");
    server.tcp().ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
}

#[test]
fn the_connection_limit_is_said_and_not_for_good() {
    let server = Server::start(&["-p", "0", "-c", "2"]);
    let (mut first, mut second) = (server.tcp(), server.tcp());
    first.ask(b"get a\n", b"END\n");
    second.ask(b"get a\n", b"END\n");
    for _ in 0..50 {
        let mut third = server.tcp();
        third.expect(b"ERROR Too many open connections\r\n");
        third.expect_end();
    }
    first.ask(b"get a\n", b"END\n");
    drop(first);
    until("a new client is served", PATIENCE, || {
        let mut new = server.tcp();
        // The one turned away may find its connection gone while it still writes.
        let _ = std::io::Write::write_all(&mut new.stream, b"get a\n");
        let mut answer = [0; 4];
        new.stream.read_exact(&mut answer).is_ok() && &answer == b"END\n"
    });
    second.ask(b"get a\n", b"END\n");
    // Clients can make it say so, but not once each.
    let lines = || server.log().matches("rejected a client").count();
    until("the log tells", PATIENCE, || lines() > 0);
    assert!(lines() <= 10, "{} lines for 50 clients turned away", lines());
}

/// A server that may have 16 descriptors, so a handful of clients. Not from its start, or it would
/// lower its limit on connections, or raise that on descriptors.
fn cramped() -> Server {
    let server = Server::start(&["-p", "0"]);
    let pid = server.pid().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--nofile=16:16"]).status().unwrap();
    assert!(limited.success());
    server
}

#[test]
fn out_of_descriptors_it_does_not_spin_and_accepts_when_one_leaves() {
    let server = cramped();
    let mut clients: Vec<_> = (0..20).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.send(b"get a\n");
        client.stream.set_nonblocking(true).unwrap();
    }
    until("the log tells", PATIENCE, || server.log().contains("cannot accept"));
    let (ticks, naps, begun) = (server.cpu_ticks(), server.naps(), Instant::now());
    until("a second is over", PATIENCE, || begun.elapsed() > Duration::from_secs(1));
    let (ticks, naps) = (server.cpu_ticks() - ticks, server.naps() - naps);
    assert!(ticks <= 10 && naps <= 30, "{ticks} hundredths of a second, {naps} wake-ups");
    // The clients behind the limit wait, and one gets in when another leaves: at once, and not by the
    // timer of accepting, which ends a tenth of a second after the last one was let in.
    let (mut inside, mut waiting): (Vec<_>, Vec<_>) = clients.into_iter().partition(has_answer);
    const LEAVES: u32 = 40;
    assert!(waiting.len() >= 8, "{} clients were let in", inside.len());
    let begun = Instant::now();
    for _ in 0..LEAVES {
        drop(inside.remove(0));
        until("the next one is let in", PATIENCE, || {
            let next = waiting.iter().position(has_answer);
            next.map(|at| inside.push(waiting.swap_remove(at))).is_some()
        });
        let mut new = server.tcp();
        new.send(b"get a\n");
        new.stream.set_nonblocking(true).unwrap();
        waiting.push(new);
    }
    // By the timer they would take twice as long at least.
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(50) * LEAVES, "{took:?} until the last one was let in");
    drop((inside, waiting));
    server.tcp().ask(b"get a\n", b"END\n");
    let lines = server.log().matches("cannot accept").count();
    assert!(lines <= 10, "{lines} lines");
}

fn has_answer(client: &Client<TcpStream>) -> bool {
    let mut answer = [0; 4];
    (&client.stream).read(&mut answer).is_ok_and(|read| read == 4 && &answer == b"END\n")
}

/// Without anybody leaving, descriptors may come back by other ways; a timer finds them.
#[test]
fn out_of_descriptors_those_that_are_in_are_served() {
    let server = cramped();
    let mut clients: Vec<_> = (0..20).map(|_| server.tcp()).collect();
    until("the log tells", PATIENCE, || server.log().contains("cannot accept"));
    for _ in 0..100 {
        clients[0].ask(b"get a\n", b"END\n");
    }
}
