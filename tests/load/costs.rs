//! System calls and sleeps per request, none without requests, and the memory of a start.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::process::{MIB, PATIENCE, Server, until};

/// All system calls of a server, from start to exit, while one client sends `requests` in batches of
/// `at_a_time`. None if strace is not installed.
fn calls(requests: usize, at_a_time: usize) -> Option<usize> {
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts");
    // -D makes the tracer a grandchild, so that the server is the child.
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-c", "-o"]).arg(&counts).arg(env!("CARGO_BIN_EXE_miocached"));
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is missing, and CI must not skip");
        println!("skipped: strace is not installed");
        return None;
    }
    let mut server = Server::spawn(strace.args(["-p", "0"]));
    server.drain();
    let mut client = server.tcp();
    let ask = b"get a\n".repeat(at_a_time);
    let answer = b"END\n".repeat(at_a_time);
    for _ in 0..requests / at_a_time {
        client.ask(&ask, &answer);
    }
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    let mut total = None;
    until("strace has written its counts", PATIENCE, || {
        total = total_of(&counts);
        total.is_some()
    });
    total
}

/// The fourth column of strace's last line: `100.00  0.001773  27  64  1 total`.
fn total_of(counts: &Path) -> Option<usize> {
    let counts = fs::read_to_string(counts).ok()?;
    let total = counts.lines().find(|line| line.ends_with(" total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

#[test]
fn a_request_costs_three_system_calls_and_in_batches_a_tenth_of_that() {
    const REQUESTS: usize = 500;
    // Start, one connection and exit need system calls, too. They are subtracted.
    let Some(without) = calls(0, 1) else { return };
    for (at_a_time, most) in [(1, 3.1), (10, 0.35)] {
        let cost = calls(REQUESTS, at_a_time).unwrap() - without;
        let each = f64::from(u32::try_from(cost).unwrap()) / REQUESTS as f64;
        println!("{at_a_time} at a time: {each:.3} system calls for each of {REQUESTS} requests");
        assert!(each <= most, "{at_a_time} at a time: {each:.3} system calls, not {most}");
        // A batch needs at least a read and a write. With fewer, strace has not counted.
        assert!(each * at_a_time as f64 >= 2.0, "only {each:.3} system calls were counted");
    }
}

/// The guide has a page with the system calls of some requests, in memcached and here.
#[test]
fn the_guides_page_of_system_calls_is_true() {
    for tool in ["strace", "python3"] {
        if Command::new(tool).arg("-V").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "{tool} is missing, and CI must not skip");
            println!("skipped: {tool} is not installed");
            return;
        }
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/two-servers");
    let mut check = Command::new("python3");
    check.arg(script).args(["--check", env!("CARGO_BIN_EXE_miocached")]);
    let done = check.output().unwrap();
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}{why}", String::from_utf8_lossy(&done.stdout));
}

#[test]
fn nothing_wakes_up_without_traffic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&["-p", "0", "-s", path.to_str().unwrap()]);
    let mut clients: Vec<_> = (0..10).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.ask(b"set a 1\nx\nget a\n", b"STORED\nVALUE a 1\nx\nEND\n");
    }
    // A connection in the middle of a value waits like the others.
    clients[0].send(b"set a 10\nxx");
    clients.push(server.tcp());
    let mut naps = 0;
    until("it goes to sleep", PATIENCE, || {
        let begun = Instant::now();
        naps = server.naps();
        until("a moment has passed", PATIENCE, || begun.elapsed() > Duration::from_millis(100));
        naps == server.naps()
    });
    let ticks = server.cpu_ticks();
    let begun = Instant::now();
    until("ten seconds are over", PATIENCE, || begun.elapsed() > Duration::from_secs(10));
    assert_eq!(server.naps(), naps, "something woke it up");
    assert_eq!(server.cpu_ticks(), ticks, "it computed something");
    assert_eq!(server.threads(), 1);
    clients[1].ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
}

/// With `--busy-poll`, requests that follow soon enough are answered without a sleep in between. Some time
/// after the last one the server sleeps.
#[test]
fn with_busy_poll_the_server_sleeps_only_after_that_time() {
    const REQUESTS: usize = 20;
    for (awake_us, naps_for_each) in [("0", true), ("1000000", false)] {
        let server = Server::start(&["-p", "0", "--busy-poll", awake_us]);
        let mut client = server.tcp();
        client.ask(b"get a\n", b"END\n");
        let mut naps = 0;
        // On a busy machine the client may be delayed for too long, but not in every attempt.
        let as_expected = (0..5).any(|_| {
            naps = server.naps();
            for _ in 0..REQUESTS {
                // Long enough for the server to sleep without --busy-poll.
                thread::sleep(Duration::from_millis(2));
                client.ask(b"get a\n", b"END\n");
            }
            naps = server.naps() - naps;
            if naps_for_each { naps >= REQUESTS / 2 } else { naps == 0 }
        });
        assert!(as_expected, "{naps} naps for {REQUESTS} requests with --busy-poll {awake_us}");
        until("it sleeps and computes nothing", PATIENCE, || {
            let (naps, ticks, begun) = (server.naps(), server.cpu_ticks(), Instant::now());
            until("a moment has passed", PATIENCE, || begun.elapsed() > Duration::from_millis(300));
            naps == server.naps() && ticks == server.cpu_ticks()
        });
    }
}

/// A start touches no page of the memory for items, so its cost does not depend on -m.
#[test]
fn the_memory_of_a_start_does_not_depend_on_the_limit() {
    let resident = |mebibytes| {
        let server = Server::start(&["-p", "0", "-m", mebibytes]);
        server.tcp().ask(b"get a\n", b"END\n");
        server.resident()
    };
    let (small, large) = (resident("64"), resident("1024"));
    println!("resident after the first answer: {small} bytes with -m 64, {large} with -m 1024");
    assert!(small < 16 * MIB, "{small} bytes with -m 64");
    assert!(large < small + MIB, "{small} bytes with -m 64, {large} with -m 1024");
}
