//! Requirements under load: many clients, misbehaving clients, and the cost of a request.
//!
//! * `crowds`: memory stays within the budget while crowds stop at the worst moment
//! * `costs`: system calls and sleeps per request, none without requests, and the memory of a start
//! * `endurance`: resident memory stays constant over millions of stores
//!
//! Here: answers in order under load, and other clients that are slow or do not read. The tests assert
//! counts and sizes, and times only with wide bounds. Speed is measured in benches/.

mod costs;
mod crowds;
mod endurance;

use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::process::{Client, MIB, PATIENCE, Server, stored, value};

/// Round trips of a client with small requests, which other clients must not delay.
pub(crate) fn assert_undisturbed(client: &mut Client<TcpStream>, what: &str) {
    const ROUND_TRIPS: u32 = 200;
    let begun = Instant::now();
    let mut worst = Duration::ZERO;
    for round in 0..ROUND_TRIPS {
        let sent = Instant::now();
        client.ask(format!("set small 4\n{round:4}\n").as_bytes(), b"STORED\n");
        client.ask(b"get small\n", format!("VALUE small 4\n{round:4}\nEND\n").as_bytes());
        worst = worst.max(sent.elapsed());
    }
    let all = begun.elapsed();
    assert!(all < PATIENCE, "{what}: {all:?} for {ROUND_TRIPS} round trips");
    assert!(worst < Duration::from_secs(1), "{what}: the longest took {worst:?}");
}

/// Mixed requests of both dialects, and all of their answers.
fn pipeline(client: usize, requests: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for request in 0..requests {
        // Each value is also fetched in the dialect that did not store it.
        let (key, data) = (format!("key-{client}-{}", request / 8), request / 8 * 8);
        let (ask, answer) = match request % 8 {
            0 => (format!("set {key} 4\n{data:04}\n"), "STORED\n".into()),
            1 => (format!("get {key}\n"), format!("VALUE {key} 4\n{data:04}\nEND\n")),
            2 => (format!("get {key}\r\n"), format!("VALUE {key} 0 4\r\n{data:04}\r\nEND\r\n")),
            3 => (format!("set {key} 7 0 5\r\n{data:05}\r\n"), "STORED\r\n".into()),
            4 => (format!("get {key} no\r\n"), format!("VALUE {key} 7 5\r\n{data:05}\r\nEND\r\n")),
            5 => (format!("get no {key}\n"), format!("VALUE {key} 5\n{data:05}\nEND\n")),
            6 => (format!("delete {key}\r\n"), "DELETED\r\n".into()),
            _ => (format!("get {key}\n"), "END\n".into()),
        };
        sent.extend_from_slice(ask.as_bytes());
        expected.extend_from_slice(answer.as_bytes());
    }
    (sent, expected)
}

#[test]
fn fifty_clients_with_a_thousand_pipelined_requests_get_every_answer_in_order() {
    const CLIENTS: usize = 50;
    let server = Server::start(&["-p", "0"]);
    let all_are_there = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, all_are_there) = (&server, &all_are_there);
            scope.spawn(move || {
                let (requests, answers) = pipeline(client, 1000);
                let mut client = server.tcp();
                all_are_there.wait();
                client.send(&requests);
                client.expect(&answers);
                client.ask(b"get no\n", b"END\n");
            });
        }
    });
}

/// One client sends a byte at a time. Others request large values and never read.
#[test]
fn slow_and_deaf_clients_do_not_delay_others() {
    const DEAF: usize = 10;
    let server = Server::start(&["-p", "0", "--buffer-limit", "8"]);
    let (set, _) = stored("large", &value(MIB - 512));
    let mut normal = server.tcp();
    normal.ask(&set, b"STORED\n");
    let resident = server.resident();
    let deaf: Vec<_> = (0..DEAF)
        .map(|_| {
            let mut client = server.tcp();
            client.send(format!("get{}\n", " large".repeat(500)).as_bytes());
            client
        })
        .collect();
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let mut client = server.tcp();
            for byte in b"set slow 20\n01234567890123456789\nget slow\n" {
                client.send(&[*byte]);
                thread::sleep(Duration::from_millis(20));
            }
            client.expect(b"STORED\nVALUE slow 20\n01234567890123456789\nEND\n");
        });
        let begun = Instant::now();
        while !slow.is_finished() {
            assert_undisturbed(&mut normal, "beside slow and deaf clients");
            assert!(begun.elapsed() < PATIENCE, "the slow client does not finish");
        }
        slow.join().unwrap();
    });
    let grown = server.resident_peak() - resident;
    assert!(grown <= (8 + 8) * MIB, "{grown} bytes more than before");
    drop(deaf);
}

/// One line of 2 KiB must not make the server hold a GiB of output.
#[test]
fn a_gib_requested_in_one_line_is_never_held_and_arrives_intact() {
    const TIMES: usize = 1000;
    let server = Server::start(&["-p", "0", "-I", "2m"]);
    let (set, block) = stored("a", &value(MIB));
    let mut greedy = server.tcp();
    greedy.ask(&set, b"STORED\n");
    let resident = server.resident();
    greedy.send(format!("get{}\n", " a".repeat(TIMES)).as_bytes());
    assert_undisturbed(&mut server.tcp(), "before the GiB is read");
    for _ in 0..TIMES {
        greedy.expect(&block);
    }
    greedy.expect(b"END\n");
    let grown = server.resident_peak() - resident;
    assert!(grown <= 8 * MIB, "{grown} bytes more than before");
}
