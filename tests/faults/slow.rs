//! Clients that send a byte now and then: they cost their bytes, hold up nobody, and are closed by
//! `-o idle_timeout`.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::process::{MIB, PATIENCE, Server, have_descriptors, until};

/// What each of them has begun, and never ends.
const BEGUN: [&[u8]; 5] = [
    b"get a",
    b"set a 0 0 1000\r\n",
    b"set a 1000\n",
    // Too large: said at once, and then skipped byte by byte.
    b"set a 0 0 2000000\r\n",
    b"delete ",
];

/// So many of them, with a byte each every `pause`, for as long as the server leaves them.
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
    // On a busy machine the first are gone when the last one is let in.
    until("all have been let in", PATIENCE, || {
        normal.figure("total_connections") == clients as u64 + 1
    });
    let begun = Instant::now();
    let (mut worst, mut rounds) = (Duration::ZERO, 0);
    let patience = Duration::from_secs(10 * timeout_s);
    while normal.figure("curr_connections") > 1 {
        assert!(begun.elapsed() < patience, "{} are there", normal.figure("curr_connections"));
        for client in &mut crowd {
            // Those that have been closed already refuse it.
            let _ = std::io::Write::write(&mut client.stream, b"x");
        }
        let sent = Instant::now();
        normal.ask(b"get b\n", b"VALUE b 1\nx\nEND\n");
        worst = worst.max(sent.elapsed());
        rounds += 1;
        thread::sleep(pause);
    }
    println!("{clients} slow writers are gone after {:?}, {rounds} bytes each", begun.elapsed());
    assert!(rounds > 2, "they have hardly begun");
    assert!(worst < Duration::from_secs(1), "somebody else had to wait for {worst:?}");
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
fn a_hundred_slow_writers_are_closed_when_their_time_is_over() {
    assert_closed(100, 2, Duration::from_millis(100));
}

#[test]
#[ignore = "takes 5,000 descriptors at both ends, and half a minute"]
fn five_thousand_slow_writers_are_closed_when_their_time_is_over() {
    assert_closed(5_000, 10, Duration::from_secs(1));
}
