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
    // If the server waited for idle clients, each stop would take a second.
    assert!(took < Duration::from_secs(1) * stops, "{took:?} for {stops} stops");
}

#[test]
fn sighup_does_not_end_the_server() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    client.ask(b"get a\n", b"END\n");
    server.signal(Signal::SIGHUP);
    until("it is logged", PATIENCE, || server.log().contains("no auth file"));
    client.ask(b"get a\n", b"END\n");
}

#[test]
fn a_stopping_server_sends_pending_answers_for_about_a_second() {
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
    // It has waited for the client that never reads, but not for long.
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
fn the_connection_limit_is_logged_and_clients_are_accepted_again() {
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
        // The write of a rejected client may fail.
        let _ = std::io::Write::write_all(&mut new.stream, b"get a\n");
        let mut answer = [0; 4];
        new.stream.read_exact(&mut answer).is_ok() && &answer == b"END\n"
    });
    second.ask(b"get a\n", b"END\n");
    // The log lines are limited: not one for each rejected client.
    let lines = || server.log().matches("rejected a client").count();
    until("it is logged", PATIENCE, || lines() > 0);
    assert!(lines() <= 10, "{} lines for 50 clients turned away", lines());
}

/// A server with a limit of 16 descriptors, enough for a few clients. The limit is set after the start,
/// so that the server neither lowers its limit on connections nor raises this one.
fn cramped() -> Server {
    let server = Server::start(&["-p", "0"]);
    let pid = server.pid().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--nofile=16:16"]).status().unwrap();
    assert!(limited.success());
    server
}

#[test]
fn out_of_descriptors_it_does_not_spin_and_accepts_after_a_close() {
    let server = cramped();
    let mut clients: Vec<_> = (0..20).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.send(b"get a\n");
        client.stream.set_nonblocking(true).unwrap();
    }
    until("it is logged", PATIENCE, || server.log().contains("cannot accept"));
    let (ticks, naps, begun) = (server.cpu_ticks(), server.naps(), Instant::now());
    until("a second is over", PATIENCE, || begun.elapsed() > Duration::from_secs(1));
    let (ticks, naps) = (server.cpu_ticks() - ticks, server.naps() - naps);
    assert!(ticks <= 10 && naps <= 30, "{ticks} hundredths of a second, {naps} wake-ups");
    // The other clients wait. Each close lets one of them in at once, and not only after the pause of
    // a tenth of a second.
    let (mut inside, mut waiting): (Vec<_>, Vec<_>) = clients.into_iter().partition(has_answer);
    const CLOSES: u32 = 40;
    assert!(waiting.len() >= 8, "{} clients were accepted", inside.len());
    let begun = Instant::now();
    for _ in 0..CLOSES {
        drop(inside.remove(0));
        until("the next one is accepted", PATIENCE, || {
            let next = waiting.iter().position(has_answer);
            next.map(|at| inside.push(waiting.swap_remove(at))).is_some()
        });
        let mut new = server.tcp();
        new.send(b"get a\n");
        new.stream.set_nonblocking(true).unwrap();
        waiting.push(new);
    }
    // With the pause they would take at least twice as long.
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(50) * CLOSES, "{took:?} until the last one was accepted");
    drop((inside, waiting));
    server.tcp().ask(b"get a\n", b"END\n");
    let lines = server.log().matches("cannot accept").count();
    assert!(lines <= 10, "{lines} lines");
}

fn has_answer(client: &Client<TcpStream>) -> bool {
    let mut answer = [0; 4];
    (&client.stream).read(&mut answer).is_ok_and(|read| read == 4 && &answer == b"END\n")
}

/// While no client can be accepted, the open connections are served.
#[test]
fn out_of_descriptors_open_connections_are_served() {
    let server = cramped();
    let mut clients: Vec<_> = (0..20).map(|_| server.tcp()).collect();
    until("it is logged", PATIENCE, || server.log().contains("cannot accept"));
    for _ in 0..100 {
        clients[0].ask(b"get a\n", b"END\n");
    }
}
