//! Crowds of idle connections, some of which become active later.

use super::descriptors_at_rest;
use crate::harness::process::{PATIENCE, Server, have_descriptors, until};

/// Limit of resident memory for an idle connection, in bytes.
const IDLE_BYTES_MAX: usize = 400;
/// Bytes of pages that the first requests touch, and of what the allocator takes in advance.
const MARGIN: usize = 128 << 10;

fn assert_idle_connections_are_cheap(idle: usize, active: usize) {
    // The limit holds for each process, and each has one end of a connection.
    have_descriptors(idle as u64 + 100);
    let connections = (idle + 10).to_string();
    let server = Server::start(&["-p", "0", "-c", &connections]);
    let descriptors = descriptors_at_rest(&server);
    assert!(!server.said.iter().any(|line| line.contains("instead of")), "{:?}", server.said);
    // The first requests touch code and buffers that all connections share.
    let mut first = server.tcp();
    for _ in 0..100 {
        first.ask(b"set warm 4\nwarm\nget warm\n", b"STORED\nVALUE warm 4\nwarm\nEND\n");
    }
    let before = server.resident();
    let mut crowd: Vec<_> = (0..idle)
        .map(|at| {
            let mut client = server.tcp();
            // One in ten has sent a request before it becomes idle.
            if at % 10 == 0 {
                client.ask(b"get warm\n", b"VALUE warm 4\nwarm\nEND\n");
            }
            client
        })
        .collect();
    until("all have been accepted", PATIENCE, || {
        first.figure("curr_connections") == idle as u64 + 1
    });
    let each = server.resident().saturating_sub(before + MARGIN) / idle;
    println!("{idle} idle connections: {each} resident bytes each");
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes for an idle connection");
    let every = idle / active;
    for (at, client) in crowd.iter_mut().enumerate().filter(|(at, _)| at % every == 0) {
        client.send(format!("set key{at} 5\n{at:05}\nget key{at}\n").as_bytes());
    }
    for (at, client) in crowd.iter_mut().enumerate().filter(|(at, _)| at % every == 0) {
        client.expect(format!("STORED\nVALUE key{at} 5\n{at:05}\nEND\n").as_bytes());
    }
    // Connections that are idle again hold no more than before.
    let each = server.resident().saturating_sub(before + MARGIN + 100 * active) / idle;
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes for a connection that is idle again");
    drop(crowd);
    until("all are gone", PATIENCE, || server.descriptors() == descriptors + 1);
}

#[test]
fn a_thousand_idle_connections_are_cheap_and_a_hundred_of_them_are_served() {
    assert_idle_connections_are_cheap(1_000, 100);
}

#[test]
#[ignore = "takes 10,000 descriptors at both ends"]
fn ten_thousand_idle_connections_are_cheap_and_a_thousand_of_them_are_served() {
    assert_idle_connections_are_cheap(10_000, 1_000);
}
