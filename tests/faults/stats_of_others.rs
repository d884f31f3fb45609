//! `stats` on several connections: each is answered from the server as it is, whatever others have
//! asked and not read.

use std::io::{BufRead as _, BufReader, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::harness::process::{PATIENCE, Server, stored, until, value};

#[test]
fn no_client_is_answered_from_a_snapshot_for_another_one() {
    let server = Server::start(&["-p", "0"]);
    let (set, _) = stored("a", &value(30_000));
    let mut asks = server.tcp();
    asks.ask(&set, b"STORED\n");
    let mut others: Vec<_> = (0..7).map(|_| server.tcp()).collect();
    for other in &mut others {
        other.ask(b"get b\n", b"END\n");
    }
    let mut deaf = server.tcp();
    setsockopt(&deaf.stream, sockopt::RcvBuf, &4096).unwrap();
    deaf.stream.set_nonblocking(true).unwrap();
    for _ in 0..60 {
        // The last ones may find the socket full, which is the aim.
        let _ = deaf.stream.write(b"get a a\r\nstats\r\nstats conns\r\n");
        thread::sleep(Duration::from_millis(5));
    }
    drop(others);
    until("the others are gone", PATIENCE, || {
        asks.stats("conns").keys().filter(|name| name.ends_with(":state")).count() == 3
    });
    for _ in 0..3 {
        assert_eq!(asks.figure("curr_connections"), 2);
    }
    assert_eq!(asks.stats("settings")["tcpport"], server.addresses()[0].port().to_string());
}

/// A thousand `stats` in one pipeline wait for each other, and no other client waits for them.
#[test]
fn a_pipeline_of_stats_keeps_no_other_client_waiting() {
    let server = Server::start(&["-p", "0"]);
    let (mut greedy, mut polite) = (server.tcp(), server.tcp());
    polite.ask(b"get a\n", b"END\n");
    greedy.send(&b"stats\r\n".repeat(1000));
    let stream = greedy.stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        lines.filter(|line| line == "END").take(1000).count()
    });
    let mut worst = Duration::ZERO;
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(polite.figure("curr_connections"), 2);
        worst = worst.max(begun.elapsed());
    }
    println!("{worst:?} for stats at worst beside a thousand of them");
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    assert_eq!(reader.join().unwrap(), 1000);
}
