//! The soak test: well-behaved and misbehaving clients, signals, flushes and full limits, for a given
//! time. At the end, descriptors, buffers and memory have to be as at the start.
//!
//! `SOAK_S=1800 cargo test --test all -- --ignored --nocapture a_soak` runs for half an hour. In
//! builds with debug assertions it ends with a check of all invariants of the store.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::descriptors_at_rest;
use super::talkers::{Random, Talker};
use super::troublemakers::Troublemaker;
use crate::harness::process::{Client, MIB, Server, until};

const TALKERS: u64 = 3;
const TROUBLEMAKERS: u64 = 2;
const MEMORY_MIB: usize = 64;
const BUFFER_MIB: usize = 16;
/// Bytes of the program itself, and of what the allocator has not given back.
const MARGIN: usize = 8 * MIB;
/// A well-behaved client may have to wait until clients that hold the buffers have been closed.
const SOAK_PATIENCE: Duration = Duration::from_secs(60);

/// What all threads share.
struct Soak<'a> {
    server: &'a Server,
    path: &'a Path,
    ended: AtomicBool,
    answered: AtomicU64,
    rejected: AtomicU64,
    trouble: AtomicU64,
}

impl Soak<'_> {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Well-behaved clients one after the other, over TCP or the Unix socket.
    fn behave(&self, seed: u64) {
        let mut random = Random(seed | 1);
        while !self.has_ended() {
            let by_tcp = random.below(2) == 0;
            let (seed, batches) = (random.next(), 1 + random.below(300));
            if by_tcp {
                let client = self.server.tcp();
                client.stream.set_read_timeout(Some(SOAK_PATIENCE)).unwrap();
                client.stream.set_write_timeout(Some(SOAK_PATIENCE)).unwrap();
                self.converse(Talker::new(client, seed), batches);
            } else {
                let client = Client::<UnixStream>::unix(self.path);
                client.stream.set_read_timeout(Some(SOAK_PATIENCE)).unwrap();
                client.stream.set_write_timeout(Some(SOAK_PATIENCE)).unwrap();
                self.converse(Talker::new(client, seed), batches);
            }
        }
    }

    fn converse(&self, talker: Option<Talker<impl std::io::Read + std::io::Write>>, batches: u64) {
        let Some(mut talker) = talker else {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
            return;
        };
        for _ in 0..batches {
            if self.has_ended() {
                break;
            }
            talker.talk();
        }
        self.answered.fetch_add(talker.answered, Ordering::Relaxed);
    }

    fn misbehave(&self, seed: u64) {
        let mut troublemaker = Troublemaker::new(seed);
        while !self.has_ended() {
            troublemaker.make_trouble(self.server, self.path);
            thread::sleep(Duration::from_millis(2));
        }
        self.trouble.fetch_add(troublemaker.made, Ordering::Relaxed);
    }

    /// Every quarter of a second, something that an operator may do.
    fn operate(&self, seed: u64) {
        let mut random = Random(seed | 1);
        while !self.has_ended() {
            match random.below(8) {
                0 => self.server.while_stopped(|| thread::sleep(Duration::from_millis(20))),
                1 => self.server.signal(Signal::SIGHUP),
                2 => self.server.signal(Signal::SIGPIPE),
                3 => self.ask(b"flush_all\r\n", b"OK\r\n"),
                4 => self.ask(b"flush_all 1\r\n", b"OK\r\n"),
                5 => self.ask(b"lru_crawler metadump all\r\n", b"END\r\n"),
                6 => self.ask(b"stats conns\r\nstats items\r\nstats slabs\r\n", b"END\r\n"),
                _ => self.ask(b"stats\r\nstats settings\r\nstats loop\r\n", b"END\r\n"),
            }
            thread::sleep(Duration::from_millis(250));
        }
    }

    /// Sends, half-closes, and reads all answers. They end with `end` unless the client was rejected.
    fn ask(&self, requests: &[u8], end: &[u8]) {
        let mut client = self.server.tcp();
        client.stream.set_read_timeout(Some(SOAK_PATIENCE)).unwrap();
        let _ = std::io::Write::write_all(&mut client.stream, requests);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        let mut answers = Vec::new();
        let read = std::io::Read::read_to_end(&mut client.stream, &mut answers);
        let rejected = read.is_err() || answers.starts_with(b"ERROR Too many");
        assert!(rejected || answers.ends_with(end), "{}", answers.escape_ascii());
    }
}

fn seconds() -> u64 {
    std::env::var("SOAK_S").map_or(60, |seconds| seconds.parse().unwrap())
}

#[test]
#[ignore = "takes as many seconds as SOAK_S says, 60 without it"]
fn a_soak_leaves_everything_as_it_was() {
    soak(Duration::from_secs(seconds()));
}

/// Checks that the soak test itself works.
#[test]
fn a_short_soak_leaves_everything_as_it_was() {
    soak(Duration::from_secs(3));
}

fn soak(time: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (memory, buffers) = (MEMORY_MIB.to_string(), BUFFER_MIB.to_string());
    let server = Server::start(&[
        "-p",
        "0",
        "-s",
        path.to_str().unwrap(),
        "-m",
        &memory,
        "--buffer-limit",
        &buffers,
        "-c",
        "80",
        "-o",
        "idle_timeout=5",
    ]);
    let descriptors = descriptors_at_rest(&server);
    let soak = Soak {
        server: &server,
        path: &path,
        ended: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        rejected: AtomicU64::new(0),
        trouble: AtomicU64::new(0),
    };
    let begun = Instant::now();
    thread::scope(|scope| {
        let soak = &soak;
        let mut all: Vec<_> =
            (0..TALKERS).map(|seed| scope.spawn(move || soak.behave(seed * 7919 + 17))).collect();
        all.extend(
            (0..TROUBLEMAKERS).map(|seed| scope.spawn(move || soak.misbehave(seed * 104_729 + 99))),
        );
        all.push(scope.spawn(|| soak.operate(4711)));
        // A thread that ends early has failed, and the others stop then.
        while begun.elapsed() < time && !all.iter().any(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
        }
        soak.ended.store(true, Ordering::Relaxed);
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{:?}: {} requests answered, {} misbehaviours, {} rejected",
        begun.elapsed(),
        count(&soak.answered),
        count(&soak.trouble),
        count(&soak.rejected),
    );
    assert!(count(&soak.answered) > 0 && count(&soak.trouble) > 0);
    assert_as_it_was(&server, descriptors, begun.elapsed());
}

/// All clients have closed: only their items are left.
fn assert_as_it_was(server: &Server, descriptors: usize, took: Duration) {
    let mut last = server.tcp();
    until("all clients have closed", SOAK_PATIENCE, || last.figure("curr_connections") == 1);
    assert_eq!(server.descriptors(), descriptors + 1);
    assert_eq!((last.stats("loop")["buffer_bytes"].as_str(), server.threads()), ("0", 1));
    if cfg!(debug_assertions) {
        last.ask(b"debugverify\r\n", b"OK\r\n");
    }
    let store = last.stats("store");
    let figure = |name: &str| store[name].parse::<usize>().unwrap();
    let bound = (MEMORY_MIB + BUFFER_MIB) * MIB + figure("map_bytes") + MARGIN;
    let (resident, peak) = (server.resident(), server.resident_peak());
    let all = last.stats("");
    println!(
        "resident {resident} bytes, peak {peak}, {bound} are allowed; longest turn {} us",
        last.stats("loop")["longest_turn_us"],
    );
    let mut turns: Vec<_> = last.stats("loop").into_iter().collect();
    turns.sort_by_key(|(name, _)| (name.len(), name.clone()));
    for (name, figure) in turns.iter().filter(|(name, _)| name.starts_with("turns_below")) {
        println!("  {name} {figure}");
    }
    for name in [
        "total_connections",
        "rejected_connections",
        "idle_kicks",
        "evictions",
        "get_expired",
        "get_flushed",
        "curr_items",
        "bytes_read",
        "bytes_written",
    ] {
        println!("  {name} {}", all[name]);
    }
    assert!(peak <= bound, "{peak} bytes resident at the peak, {bound} are allowed");
    // Lines that clients can cause are limited to one a second of each kind, and there are few kinds.
    let lines = server.log().lines().count() as u64;
    assert!(lines <= 100 + took.as_secs() * 10, "{lines} log lines in {took:?}");
    last.ask(b"set a 1\nx\nget a\n", b"STORED\nVALUE a 1\nx\nEND\n");
}
