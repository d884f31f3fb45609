//! Crowds of clients that stop at the worst moment: all buffers together stay within their budget, and
//! other clients are served.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::assert_undisturbed;
use crate::harness::process::{
    Client, MIB, PATIENCE, Server, have_descriptors, stored, until, value,
};

/// The budget of the buffers, and what the rest of the server may grow by after its start.
const BUDGET: usize = 64 * MIB;
const MARGIN: usize = 8 * MIB;
/// Stalled clients that hold the budget are closed, the first after ten seconds.
const IN_THE_END: Duration = Duration::from_secs(30);
/// So many clients with values of 1 MiB more than fill a budget of 12 MiB: half of it is the overdraft of
/// one client, and the others have to wait.
const SMALL_BUDGET_MIB: usize = 12;
const SMALL_CROWD: usize = 9;

/// Two crowds at a time would need twice the memory and twice the time.
static ONE_CROWD: Mutex<()> = Mutex::new(());

/// A server for the crowd. The descriptor limit is raised before the start, for both ends of its
/// connections: the child inherits it.
fn server(buffer_mib: usize, options: &[&str]) -> Server {
    have_descriptors(3_000);
    let buffer_mib = buffer_mib.to_string();
    let limits = ["-p", "0", "-c", "2500", "-I", "2m", "--buffer-limit", &buffer_mib];
    Server::start(&[&limits, options].concat())
}

/// One client that sends all but the last byte of its request, as fast as the server takes it.
struct Stopping {
    client: Client<TcpStream>,
    sent: usize,
    closed: bool,
}

impl Stopping {
    fn new(server: &Server) -> Self {
        let client = server.tcp();
        client.stream.set_nonblocking(true).unwrap();
        // With a small send buffer, bytes that the server does not read stay with the client.
        setsockopt(&client.stream, sockopt::SndBuf, &16_384).unwrap();
        Self { client, sent: 0, closed: false }
    }

    fn push(&mut self, request: &[u8]) {
        while !self.closed && self.sent < request.len() - 1 {
            match self.client.stream.write(&request[self.sent..request.len() - 1]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.closed = true,
            }
        }
    }
}

/// Pushes until the server takes no more.
fn settle(crowd: &mut [Stopping], request: &[u8]) {
    let (mut sent, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(300) {
        crowd.iter_mut().for_each(|client| client.push(request));
        let now = crowd.iter().map(|client| client.sent).sum();
        if now != sent {
            (sent, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs `meanwhile` while each client of the crowd goes on sending, `bytes` more of the request at a time.
fn while_pushing(crowd: &mut [Stopping], request: &[u8], bytes: usize, meanwhile: impl FnOnce()) {
    /// Stops the pushing even if the test fails. Otherwise the scope would wait for ever.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for client in &mut *crowd {
                    client.push(&request[..request.len().min(client.sent + 1 + bytes)]);
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        let _done = Done(&done);
        meanwhile();
    });
}

/// Round trips of a normal client, until the crowd has taken the memory that it can get.
fn assert_undisturbed_until_full(server: &Server, normal: &mut Client<TcpStream>, before: usize) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_undisturbed(normal, "beside the crowd");
    }
    // A crowd that holds less than the budget would show nothing.
    until("the budget is used", PATIENCE, || server.resident() > before + BUDGET / 2);
    let peak = server.resident_peak();
    let bound = before + BUDGET + MARGIN;
    println!("{before} bytes before, peak {peak}, {bound} are allowed");
    assert!(peak <= bound, "{peak} bytes resident, {bound} are allowed");
}

#[test]
fn a_thousand_values_one_byte_short_stay_within_the_budget() {
    let _one = ONE_CROWD.lock().unwrap_or_else(|failed| failed.into_inner());
    let server = server(64, &[]);
    let mut normal = server.tcp();
    assert_undisturbed(&mut normal, "before the crowd");
    let before = server.resident();
    let (request, _) = stored("crowd", &value(MIB));
    let mut crowd: Vec<_> = (0..1000).map(|_| Stopping::new(&server)).collect();
    while_pushing(&mut crowd, &request, request.len(), || {
        assert_undisturbed_until_full(&server, &mut normal, before);
    });
    drop(crowd);
    // No value of the crowd was stored, and its memory is free again.
    let (set, block) = stored("normal", &value(MIB));
    normal.ask(&set, b"STORED\n");
    normal.ask(b"get crowd normal\n", &[&block[..], b"END\n"].concat());
}

/// Over a Unix socket: the kernel's buffers of a TCP socket on the loopback take two such values.
#[test]
fn three_hundred_values_unread_stay_within_the_budget() {
    let _one = ONE_CROWD.lock().unwrap_or_else(|failed| failed.into_inner());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = server(64, &["-s", path.to_str().unwrap()]);
    let (set, block) = stored("large", &value(MIB));
    let answer = [&block[..], b"END\n"].concat();
    let mut normal = server.tcp();
    normal.ask(&set, b"STORED\n");
    let before = server.resident();
    let mut crowd = deaf(&path, 300);
    assert_undisturbed_until_full(&server, &mut normal, before);
    // Clients that read later get their answers whole, in any order.
    for client in &mut crowd {
        client.expect(&answer);
    }
    let (peak, bound) = (server.resident_peak(), before + BUDGET + MARGIN);
    assert!(peak <= bound, "{peak} bytes resident, {bound} are allowed");
    normal.ask(b"get large\n", &answer);
}

/// Both crowds at once, each as large as memcached's default limit on connections.
#[test]
#[ignore = "takes most of a minute"]
fn a_thousand_values_one_byte_short_and_a_thousand_unread_stay_within_the_budget() {
    const CROWD: usize = 1024;
    let _one = ONE_CROWD.lock().unwrap_or_else(|failed| failed.into_inner());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = server(64, &["-s", path.to_str().unwrap()]);
    let (set, block) = stored("large", &value(MIB));
    let mut normal = server.tcp();
    normal.ask(&set, b"STORED\n");
    let before = server.resident();
    let (request, _) = stored("crowd", &value(MIB));
    let unread = deaf(&path, CROWD);
    let mut crowd: Vec<_> = (0..CROWD).map(|_| Stopping::new(&server)).collect();
    while_pushing(&mut crowd, &request, request.len(), || {
        assert_undisturbed_until_full(&server, &mut normal, before);
        // Some of them have to be closed before memory is free again.
        let begun = Instant::now();
        while begun.elapsed() < IN_THE_END {
            assert_undisturbed(&mut normal, "beside both crowds");
        }
    });
    let (peak, bound) = (server.resident_peak(), before + BUDGET + MARGIN);
    assert!(peak <= bound, "{peak} bytes resident, {bound} are allowed");
    assert!(server.log().contains("closed a client that held"), "{}", server.log());
    drop((crowd, unread));
    normal.ask(b"get crowd large\n", &[&block[..], b"END\n"].concat());
}

/// Clients that request a value larger than the kernel's buffers, and do not read it.
fn deaf(path: &Path, clients: usize) -> Vec<Client<UnixStream>> {
    let ask = |_| {
        let mut client = Client::unix(path);
        client.send(b"get large\n");
        client
    };
    (0..clients).map(ask).collect()
}

/// The budget is full of requests that stop, or nearly stop: `stop` bytes before their end, each sends
/// only `trickle` bytes every few milliseconds. A normal client's large request completes all the same,
/// after stalled clients have been closed.
fn assert_done_in_the_end(stop: usize, trickle: usize) {
    let server = server(SMALL_BUDGET_MIB, &[]);
    let (set, block) = stored("normal", &value(MIB));
    let (request, _) = stored("crowd", &value(MIB));
    let mut normal = server.tcp();
    normal.ask(b"get small\n", b"END\n");
    let mut crowd: Vec<_> = (0..SMALL_CROWD).map(|_| Stopping::new(&server)).collect();
    settle(&mut crowd, &request[..request.len() - stop]);
    while_pushing(&mut crowd, &request, trickle, || {
        normal.stream.set_write_timeout(Some(IN_THE_END)).unwrap();
        normal.stream.set_read_timeout(Some(IN_THE_END)).unwrap();
        let begun = Instant::now();
        normal.ask(&set, b"STORED\n");
        println!("a large set was done in {:?}", begun.elapsed());
    });
    until("it is logged", PATIENCE, || server.log().contains("closed a client that held"));
    drop(crowd);
    normal.ask(b"get normal crowd\n", &[&block[..], b"END\n"].concat());
}

#[test]
fn a_large_set_is_done_in_the_end_beside_values_one_byte_short() {
    assert_done_in_the_end(0, usize::MAX / 2);
}

/// A client that sends 200 bytes a second counts as stalled.
#[test]
fn a_large_set_is_done_in_the_end_beside_values_that_trickle() {
    assert_done_in_the_end(100_000, 1);
}

#[test]
fn a_large_get_is_done_in_the_end_beside_values_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = server(SMALL_BUDGET_MIB, &["-s", path.to_str().unwrap()]);
    let (set, block) = stored("large", &value(MIB));
    let mut normal = server.tcp();
    normal.ask(&set, b"STORED\n");
    let crowd = deaf(&path, SMALL_CROWD);
    // After these round trips, the requests of the crowd have been read.
    assert_undisturbed(&mut normal, "beside the crowd");
    normal.stream.set_read_timeout(Some(IN_THE_END)).unwrap();
    let begun = Instant::now();
    normal.ask(b"get large\n", &[&block[..], b"END\n"].concat());
    println!("a large get was done in {:?}", begun.elapsed());
    drop(crowd);
    until("it is logged", PATIENCE, || server.log().contains("closed a client that held"));
}
