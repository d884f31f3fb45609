//! The soak: clients that behave and clients that do not, with signals, flushes and full limits in
//! between, for as long as is wanted. What must be true at the end is what was true at the start.
//!
//! `SOAK_S=1800 cargo test --test all -- --ignored --nocapture a_soak` soaks for half an hour. In
//! builds with debug assertions the store is then gone through, too.

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
/// What the program itself may take, and what is between it and the kernel.
const MARGIN: usize = 8 * MIB;
/// Somebody who behaves may have to wait until those who hold the buffers have been closed.
const SOAK_PATIENCE: Duration = Duration::from_secs(60);

/// What everybody shares.
struct Soak<'a> {
    server: &'a Server,
    path: &'a Path,
    over: AtomicBool,
    answered: AtomicU64,
    turned_away: AtomicU64,
    trouble: AtomicU64,
}

impl Soak<'_> {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Talks over TCP, then over the Unix socket, and so on, on a new connection now and then.
    fn behave(&self, seed: u64) {
        let mut random = Random(seed | 1);
        while !self.is_over() {
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
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
            return;
        };
        for _ in 0..batches {
            if self.is_over() {
                break;
            }
            talker.talk();
        }
        self.answered.fetch_add(talker.answered, Ordering::Relaxed);
    }

    fn misbehave(&self, seed: u64) {
        let mut troublemaker = Troublemaker::new(seed);
        while !self.is_over() {
            troublemaker.make_trouble(self.server, self.path);
            thread::sleep(Duration::from_millis(2));
        }
        self.trouble.fetch_add(troublemaker.made, Ordering::Relaxed);
    }

    /// What an operator may do to a server, every quarter of a second.
    fn operate(&self, seed: u64) {
        let mut random = Random(seed | 1);
        while !self.is_over() {
            match random.below(8) {
                0 => self.server.while_stopped(|| thread::sleep(Duration::from_millis(20))),
                1 => self.server.signal(Signal::SIGHUP),
                2 => self.server.signal(Signal::SIGPIPE),
                3 => self.tell(b"flush_all\r\n", b"OK\r\n"),
                4 => self.tell(b"flush_all 1\r\n", b"OK\r\n"),
                5 => self.tell(b"lru_crawler metadump all\r\n", b"END\r\n"),
                6 => self.tell(b"stats conns\r\nstats items\r\nstats slabs\r\n", b"END\r\n"),
                _ => self.tell(b"stats\r\nstats settings\r\nstats loop\r\n", b"END\r\n"),
            }
            thread::sleep(Duration::from_millis(250));
        }
    }

    /// Sends and half-closes, and reads to the end, which must be this unless it was turned away.
    fn tell(&self, requests: &[u8], end: &[u8]) {
        let mut client = self.server.tcp();
        client.stream.set_read_timeout(Some(SOAK_PATIENCE)).unwrap();
        let _ = std::io::Write::write_all(&mut client.stream, requests);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        let mut answers = Vec::new();
        let read = std::io::Read::read_to_end(&mut client.stream, &mut answers);
        let turned_away = read.is_err() || answers.starts_with(b"ERROR Too many");
        assert!(turned_away || answers.ends_with(end), "{}", answers.escape_ascii());
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

/// Enough to see that the soak itself works.
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
        over: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        turned_away: AtomicU64::new(0),
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
        // When one of them has failed, the others need not go on.
        while begun.elapsed() < time && !all.iter().any(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
        }
        soak.over.store(true, Ordering::Relaxed);
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{:?}: {} requests answered, {} times trouble, {} times turned away",
        begun.elapsed(),
        count(&soak.answered),
        count(&soak.trouble),
        count(&soak.turned_away),
    );
    assert!(count(&soak.answered) > 0 && count(&soak.trouble) > 0);
    assert_as_it_was(&server, descriptors, begun.elapsed());
}

/// Everybody has gone: nothing is left of them but items.
fn assert_as_it_was(server: &Server, descriptors: usize, took: Duration) {
    let mut last = server.tcp();
    until("everybody has gone", SOAK_PATIENCE, || last.figure("curr_connections") == 1);
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
        "resident {resident} bytes, {peak} at the worst, {bound} are allowed; longest turn {} us",
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
    assert!(peak <= bound, "{peak} bytes resident at the worst, {bound} are allowed");
    // What clients can cause is said once a second and kind, and there are few kinds.
    let lines = server.log().lines().count() as u64;
    assert!(lines <= 100 + took.as_secs() * 10, "{lines} log lines in {took:?}");
    last.ask(b"set a 1\nx\nget a\n", b"STORED\nVALUE a 1\nx\nEND\n");
}
