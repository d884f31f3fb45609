//! Crowds that hold as much buffer memory as they can get and make no progress. Whatever they hold, a
//! `get` of 10 kB, a `set` of 4 kB and `stats` of every other client are answered at once.
//!
//! The bound of three seconds allows for busy machines. If such a crowd could block other clients, these
//! would wait for more than nine.

use std::io::{ErrorKind, Read as _, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, send};

use crate::harness::frames::Frame;
use crate::harness::process::{
    Client, MIB, PATIENCE, Server, have_descriptors, stored, until, value,
};

/// How long the requests of a normal client are measured.
const WATCHED: Duration = Duration::from_secs(2);
const WORST: Duration = Duration::from_secs(3);

/// A client that sends as much of `request` as the server takes, and nothing more.
struct Holder<S> {
    stream: S,
    request: Vec<u8>,
    sent: usize,
}

impl<S: Write> Holder<S> {
    /// Sends up to the first `bytes` of the request.
    fn push(&mut self, bytes: usize) {
        let end = bytes.min(self.request.len());
        while self.sent < end {
            match self.stream.write(&self.request[self.sent..end]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The server has closed it.
                Err(_) => self.sent = self.request.len(),
            }
        }
    }
}

fn tcp_holders(server: &Server, clients: usize, request: &[u8]) -> Vec<Holder<TcpStream>> {
    let holder = |_| {
        let stream = server.tcp().stream;
        stream.set_nonblocking(true).unwrap();
        Holder { stream, request: request.to_vec(), sent: 0 }
    };
    (0..clients).map(holder).collect()
}

/// All clients send what the server takes, until it takes no more.
fn settle<S: Write>(crowd: &mut [Holder<S>]) {
    let (mut sent, mut since) = (usize::MAX, Instant::now());
    while since.elapsed() < Duration::from_millis(200) {
        crowd.iter_mut().for_each(|holder| holder.push(usize::MAX));
        let now = crowd.iter().map(|holder| holder.sent).sum();
        if now != sent {
            (sent, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A client with small requests, and the longest time of each kind.
struct Normal {
    client: Client<TcpStream>,
    set: Vec<u8>,
    block: Vec<u8>,
    worst: [Duration; 3],
}

impl Normal {
    fn new(mut client: Client<TcpStream>) -> Self {
        let (set_ten, mut block) = stored("ten", &value(10_000));
        client.ask(&set_ten, b"STORED\n");
        block.extend_from_slice(b"END\n");
        let (set, _) = stored("four", &value(4_000));
        Self { client, set, block, worst: [Duration::ZERO; 3] }
    }

    fn ask(&mut self) {
        for which in 0..3 {
            let begun = Instant::now();
            match which {
                0 => self.client.ask(b"get ten\n", &self.block),
                1 => self.client.ask(&self.set, b"STORED\n"),
                _ => assert!(self.client.figure("curr_connections") > 0),
            }
            self.worst[which] = self.worst[which].max(begun.elapsed());
        }
    }

    /// Sends requests for [`WATCHED`], and checks the longest time of each kind.
    fn assert_undisturbed(&mut self, what: &str) {
        let begun = Instant::now();
        while begun.elapsed() < WATCHED {
            self.ask();
        }
        let [get, set, stats] = self.worst;
        println!("{what}: longest get {get:?}, set {set:?}, stats {stats:?}");
        assert!(self.worst.iter().all(|worst| *worst < WORST), "{what}: {:?}", self.worst);
    }

    /// Bytes that all buffers hold, and their limit without the overdraft.
    fn buffers(&mut self) -> (usize, usize) {
        let figures = self.client.stats("loop");
        let figure = |name: &str| figures[name].parse().unwrap();
        (figure("buffer_bytes"), figure("buffer_bytes_max"))
    }
}

/// The overdraft with an item limit of 1 MiB: the largest request and the largest answer.
const OVERDRAFT: usize = 4 * MIB;

/// `clients` clients send what the server takes of `request`, which has no end. A normal client is
/// served meanwhile, and nothing is held after the crowd has closed.
fn assert_served_beside(what: &str, options: &[&str], clients: usize, request: &[u8]) {
    have_descriptors(2 * clients as u64 + 200);
    let server = Server::start(&[&["-p", "0", "-c", "4000"], options].concat());
    let mut normal = Normal::new(server.tcp());
    let mut crowd = tcp_holders(&server, clients, request);
    settle(&mut crowd);
    normal.assert_undisturbed(what);
    let (held, limit) = normal.buffers();
    println!("{what}: {held} bytes are held, of {limit}");
    assert!(held <= limit + OVERDRAFT, "{what}: {held} bytes are held, of {limit}");
    // A client that comes later is served as well.
    Normal::new(server.tcp()).ask();
    drop(crowd);
    until("nothing is held", PATIENCE, || normal.buffers().0 == 0);
}

fn half_line() -> Vec<u8> {
    [b"get ".as_slice(), &b"key-of-some-length ".repeat(17_000 / 19)].concat()
}

fn half_value(key: &str, announced: usize, sent: usize) -> Vec<u8> {
    [format!("set {key} 0 0 {announced}\r\n").as_bytes(), &value(sent)].concat()
}

#[test]
fn small_requests_are_served_beside_half_lines() {
    assert_served_beside("56 half lines", &[], 56, &half_line());
    assert_served_beside("1,000 half lines", &["--buffer-limit", "1"], 1000, &half_line());
}

#[test]
fn small_requests_are_served_beside_the_beginnings_of_large_values() {
    let request = half_value("a", 1_000_000, 17_000);
    assert_served_beside("56 half values", &[], 56, &request);
    assert_served_beside("1,000 half values", &["--buffer-limit", "1"], 1000, &request);
}

#[test]
fn small_requests_are_served_beside_large_values_that_are_nearly_whole() {
    let request = half_value("a", 900_000, 800_000);
    assert_served_beside("120 large values", &[], 120, &request);
    assert_served_beside("50 large values", &["--buffer-limit", "1"], 50, &request);
}

#[test]
fn small_requests_are_served_beside_half_frames() {
    let frame = |announced: u32, sent: usize| {
        let extras_and_key = Frame { extras: vec![0; 8], ..Frame::request("set") }.key(b"a");
        let frame = Frame { body_bytes: Some(announced + 9), ..extras_and_key };
        [frame.bytes(), value(sent)].concat()
    };
    let (begun, nearly) = (frame(1_000_000, 17_000), frame(900_000, 800_000));
    assert_served_beside("1,000 half frames", &["--buffer-limit", "1"], 1000, &begun);
    assert_served_beside("50 large frames", &["--buffer-limit", "1"], 50, &nearly);
    // A head that never becomes whole.
    let head = Frame { key_bytes: Some(16_000), ..Frame::request("get") };
    let head = [head.bytes(), value(15_000)].concat();
    assert_served_beside("1,500 half heads", &["--buffer-limit", "1"], 1500, &head);
}

/// Each is a small need, and together they are more than the part of the limit for small needs.
#[test]
fn small_requests_are_served_beside_small_values_that_are_nearly_whole() {
    let request = half_value("a", 16_000, 15_900);
    assert_served_beside("1,500 small values", &["--buffer-limit", "1"], 1500, &request);
}

/// A client can hold memory before it has logged in.
#[test]
fn small_requests_are_served_beside_clients_that_have_not_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "user:pass\n").unwrap();
    have_descriptors(5_000);
    let server = Server::start(&["-p", "0", "-c", "4000", "-Y", users.to_str().unwrap()]);
    let mut client = server.tcp();
    client.ask(b"set auth 0 0 9\r\nuser pass\r\n", b"STORED\r\n");
    let mut normal = Normal::new(client);
    let mut crowd = tcp_holders(&server, 2000, &half_value("auth", 1_000_000, 17_000));
    settle(&mut crowd);
    normal.assert_undisturbed("2,000 half values before login");
}

/// Small answers that are not read, and that together are larger than the budget.
#[test]
fn small_requests_are_served_beside_small_answers_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    have_descriptors(2_000);
    let options = ["-p", "0", "-s", path.to_str().unwrap(), "--buffer-limit", "1"];
    let server = Server::start(&options);
    let mut normal = Normal::new(server.tcp());
    let mut crowd: Vec<_> = (0..600)
        .map(|_| {
            let stream = UnixStream::connect(&path).unwrap();
            stream.set_nonblocking(true).unwrap();
            Holder { stream, request: b"get ten\n".repeat(60), sent: 0 }
        })
        .collect();
    settle(&mut crowd);
    normal.assert_undisturbed("600 times 60 small answers unread");
    let (held, limit) = normal.buffers();
    println!("{held} bytes are held, of {limit}");
    assert!(held <= limit, "{held} bytes are held, of {limit}");
    // Clients that read later get all of their answers.
    for holder in &mut crowd {
        let mut client = Client::unix(&path);
        std::mem::swap(&mut client.stream, &mut holder.stream);
        client.stream.set_nonblocking(false).unwrap();
        client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        client.expect(&normal.block.repeat(60));
    }
}

/// Runs `then` while a crowd uses up the budget.
fn with_full_budget(then: impl FnOnce(&Server, &mut Normal)) {
    have_descriptors(4_000);
    let server = Server::start(&["-p", "0", "-c", "4000", "--buffer-limit", "1"]);
    let mut normal = Normal::new(server.tcp());
    let mut crowd = tcp_holders(&server, 1500, &half_value("a", 16_000, 15_900));
    settle(&mut crowd);
    let (held, limit) = normal.buffers();
    assert!(
        held + 48 * 1024 > limit,
        "only {held} of {limit} bytes are held, so the test shows nothing"
    );
    then(&server, &mut normal);
}

#[test]
fn requests_that_come_in_pieces_are_served_with_a_full_budget() {
    with_full_budget(|_, normal| {
        let (set, block) = (normal.set.clone(), normal.block.clone());
        for cut in [1, 10, 3000, set.len() - 1] {
            let begun = Instant::now();
            // A complete request comes before the first piece.
            normal.client.ask(&[b"get ten\n", &set[..cut]].concat(), &block);
            thread::sleep(Duration::from_millis(20));
            normal.client.ask(&set[cut..], b"STORED\n");
            assert!(begun.elapsed() < WORST, "cut at {cut}: {:?}", begun.elapsed());
        }
        // More requests than one turn executes.
        let begun = Instant::now();
        normal.client.ask(&set.repeat(20), &b"STORED\n".repeat(20));
        normal.client.ask(&b"get none\n".repeat(10_000), &b"END\n".repeat(10_000));
        assert!(begun.elapsed() < WORST, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_client_that_half_closes_is_answered_with_a_full_budget() {
    with_full_budget(|server, normal| {
        for end in [&b""[..], b"get te"] {
            let mut client = server.tcp();
            client.send(&[&b"get ten\n".repeat(30), end].concat());
            client.stream.shutdown(Shutdown::Write).unwrap();
            let mut answers = Vec::new();
            client.stream.read_to_end(&mut answers).unwrap();
            assert!(answers == normal.block.repeat(30), "{} bytes", answers.len());
        }
    });
}

/// A peek at received bytes stops before an urgent byte, as a read does, although bytes follow it.
#[test]
fn requests_after_urgent_data_are_served_with_a_full_budget() {
    with_full_budget(|server, normal| {
        for before in [&b"get none\n"[..], b"get no"] {
            server.while_stopped(|| {
                normal.client.send(before);
                let descriptor = normal.client.stream.as_raw_fd();
                assert_eq!(send(descriptor, b"!", MsgFlags::MSG_OOB), Ok(1));
                normal.client.send(b"ne\nget none\n");
            });
            let first: &[u8] = if before.ends_with(b"\n") { b"END\nERROR\n" } else { b"END\n" };
            normal.client.expect(&[first, b"END\n"].concat());
        }
    });
}

/// The kernel frees a received segment only as a whole, so the short rest of a long segment can close
/// the window. Then the client cannot send the end of a request that the server has left in the
/// kernel's buffer.
#[test]
fn long_pipelines_are_served_with_a_full_budget() {
    with_full_budget(|server, normal| {
        for bytes in [9_000, 12_000, 13_500, 15_000, 16_200] {
            let (set, _) = stored("long", &value(bytes));
            let requests = set.repeat(100);
            let stream = &mut normal.client.stream;
            let sent = server.while_stopped(|| {
                stream.set_nonblocking(true).unwrap();
                let sent = stream.write(&requests).unwrap();
                stream.set_nonblocking(false).unwrap();
                sent
            });
            normal.client.ask(&requests[sent..], &b"STORED\n".repeat(100));
        }
    });
}

/// At the stop, the beginning of a request is in the server's buffer and the rest in the kernel's.
#[test]
fn a_stop_with_a_full_budget_is_clean() {
    have_descriptors(4_000);
    let mut server = Server::start(&["-p", "0", "-c", "4000", "--buffer-limit", "1"]);
    let mut normal = Normal::new(server.tcp());
    let mut cut = server.tcp();
    cut.send(&half_line()[..1_500]);
    until("it is read", PATIENCE, || normal.client.figure("bytes_read") > 11_500);
    let mut crowd = tcp_holders(&server, 1500, &half_value("a", 16_000, 15_900));
    settle(&mut crowd);
    cut.send(&half_line()[1_500..3_000]);
    normal.ask();
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
}

/// Clients that wait for memory are counted in `stats` and logged, and all of them are served later.
#[test]
fn clients_that_wait_for_memory_are_counted_and_logged() {
    have_descriptors(1_000);
    let server = Server::start(&["-p", "0"]);
    let mut normal = Normal::new(server.tcp());
    assert_eq!(normal.client.figure("waiting_for_memory"), 0);
    let mut crowd = tcp_holders(&server, 80, &half_value("a", 900_000, 899_999));
    settle(&mut crowd);
    until("some wait", PATIENCE, || normal.client.figure("waiting_for_memory") > 0);
    until("the log says so", PATIENCE, || server.log().contains("clients wait for buffer memory"));
    drop(crowd);
    until("none waits", PATIENCE, || normal.client.figure("waiting_for_memory") == 0);
}

/// Large requests that are all half sent, and together larger than the budget, wait for each other's
/// memory. All of them complete, one after the other.
#[test]
fn large_requests_that_wait_for_each_other_are_all_done() {
    const CLIENTS: usize = 100;
    have_descriptors(1_000);
    let server = Server::start(&["-p", "0", "--buffer-limit", "1"]);
    let request = [&half_value("a", 900_000, 900_000)[..], b"\r\n"].concat();
    let mut crowd = tcp_holders(&server, CLIENTS, &request);
    // All of them begin before the first one can complete.
    crowd.iter_mut().for_each(|holder| holder.push(100_000));
    let begun = Instant::now();
    while crowd.iter().any(|holder| holder.sent < request.len()) {
        crowd.iter_mut().for_each(|holder| holder.push(usize::MAX));
        assert!(begun.elapsed() < PATIENCE, "the server has not read all of them");
        thread::sleep(Duration::from_millis(1));
    }
    for holder in crowd {
        holder.stream.set_nonblocking(false).unwrap();
        let mut client = Client { stream: holder.stream };
        client.expect(b"STORED\r\n");
    }
    println!("{CLIENTS} sets of 900,000 bytes in {:?}", begun.elapsed());
    assert_eq!(server.tcp().figure("cmd_set"), CLIENTS as u64);
}

/// Clients that hold a million bytes each and send 3.4 kB a second count as stalled. They are closed, and
/// their memory goes to a client that waits.
#[test]
fn a_large_set_does_not_wait_for_a_crowd_that_hardly_moves() {
    let server = Server::start(&["-p", "0", "--buffer-limit", "1"]);
    let mut crowd = tcp_holders(&server, 6, &half_value("a", 1_000_000, 999_000));
    crowd.iter_mut().for_each(|holder| holder.push(600_000));
    let mut normal = server.tcp();
    until("the budget is full", PATIENCE, || normal.figure("waiting_for_memory") > 0);
    let (set, _) = stored("large", &value(900_000));
    let waits = thread::spawn(move || {
        let begun = Instant::now();
        normal.stream.set_write_timeout(Some(2 * PATIENCE)).unwrap();
        normal.stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        normal.ask(&set, b"STORED\n");
        begun.elapsed()
    });
    while !waits.is_finished() {
        for holder in &mut crowd {
            holder.push(holder.sent + 1_700);
        }
        thread::sleep(Duration::from_millis(500));
    }
    println!("a large set was done in {:?}", waits.join().unwrap());
    assert!(server.log().contains("closed a client that held"), "{}", server.log());
}

/// A crowd has used all of the budget. After it has closed, the memory goes back to the kernel, although
/// clients with part of a small request stay.
#[test]
fn memory_goes_back_to_the_kernel_after_a_crowd_has_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    have_descriptors(1_000);
    let server = Server::start(&["-p", "0", "-s", path.to_str().unwrap()]);
    let mut normal = Normal::new(server.tcp());
    let (set, _) = stored("large", &value(MIB - 512));
    normal.client.ask(&set, b"STORED\n");
    let before = server.resident();
    let mut crowd = tcp_holders(&server, 60, &half_value("a", 900_000, 899_000));
    settle(&mut crowd);
    let mut unread: Vec<_> = (0..30).map(|_| Client::unix(&path)).collect();
    unread.iter_mut().for_each(|client| client.send(b"get large\n"));
    let mut staying: Vec<_> = (0..10).map(|_| server.tcp()).collect();
    staying.iter_mut().for_each(|client| client.send(&half_value("b", 10_000, 5_000)));
    normal.assert_undisturbed("a crowd");
    let with_crowd = server.resident();
    assert!(with_crowd > before + 30 * MIB, "{with_crowd} bytes with the crowd, {before} before");
    drop((crowd, unread));
    until("the memory is back", PATIENCE, || server.resident() < before + 10 * MIB);
    println!("{before} bytes before, {with_crowd} with the crowd, {} after", server.resident());
}
