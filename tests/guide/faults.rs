//! The six faults of `tiny`, shown on `tiny` and on this server.
//!
//! Each test prints what the guide's chapter `steps` shows as its output, and fails where the two differ.
//! What is to be one event is sent while the server is stopped. A *witness*, a second client, replaces
//! waiting: events are handled in the order in which they came, so when the witness is answered, the
//! server has had its turn for all that had arrived before.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use nix::unistd::Pid;

use super::{chapter, start_tiny};
use crate::harness::process::{Client, PATIENCE, Server, stored, until, value};

/// A request for a key that no server has, and its answer.
const MISS: (&[u8], &[u8]) = (b"get none\n", b"END\n");
/// Bytes of the value that is asked for many times. `tiny` gets it in one read.
const VALUE_BYTES: usize = 4000;
/// How often a request of at most one read can ask for it.
const KEYS: usize = 2000;

/// What is done with one server, and what is seen.
type Scene = fn(&mut Server, &mut Client<TcpStream>) -> String;

/// Plays the scenes of a fault on both servers, and compares what is seen with the chapter.
fn show(fault: &str, scenes: &[(&str, Scene)]) {
    let mut lines = vec![format!("$ cargo test --test guide -- --nocapture {fault}")];
    for (title, scene) in scenes {
        lines.push((*title).into());
        let mut seen = Vec::new();
        let servers = [("tiny", start_tiny()), ("miocached", Server::start(&["-p", "0"]))];
        for (name, mut server) in servers {
            let mut witness = server.tcp();
            ask_rounds(&mut witness, 1);
            seen.push(scene(&mut server, &mut witness));
            lines.push(format!("  {name:<9}  {}", seen[seen.len() - 1]));
        }
        assert_ne!(seen[0], seen[1], "{title}: the fault does not show");
    }
    println!("{}", lines.join("\n"));
    let shown: String = lines.iter().map(|line| format!("//! {line}\n")).collect();
    assert!(chapter("steps").contains(&shown), "src/guide/steps.rs does not show:\n{shown}");
}

fn ask_rounds(witness: &mut Client<TcpStream>, rounds: usize) {
    for _ in 0..rounds {
        witness.ask(MISS.0, MISS.1);
    }
}

/// What has arrived by now, and whether the server has closed.
fn arrived(client: &mut Client<TcpStream>) -> (Vec<u8>, bool) {
    let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
    client.stream.set_nonblocking(true).unwrap();
    let closed = loop {
        match client.stream.read(&mut piece) {
            Ok(0) => break true,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(error) => panic!("{error}"),
        }
    };
    client.stream.set_nonblocking(false).unwrap();
    (bytes, closed)
}

/// Waits until the server's kernel has all that the client has sent: so many unread bytes, and maybe
/// the FIN. `/proc/net/tcp` has a line for each end, in hexadecimal.
fn until_arrived(client: &Client<TcpStream>, bytes: usize, fin: bool) {
    const CLOSE_WAIT: &str = "08";
    let port = |address: &str| u16::from_str_radix(address.split_once(':').unwrap().1, 16).unwrap();
    let ends = (client.stream.peer_addr().unwrap(), client.stream.local_addr().unwrap());
    until("it has arrived", PATIENCE, || {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().skip(1).any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, queues, ..] = fields[..] else { return false };
            let unread = usize::from_str_radix(queues.split_once(':').unwrap().1, 16).unwrap();
            (port(local), port(remote)) == (ends.0.port(), ends.1.port())
                && unread >= bytes
                && (!fin || state == CLOSE_WAIT)
        })
    });
}

/// Lets these requests of a client arrive as one event.
fn send_at_once(server: &Server, client: &mut Client<TcpStream>, requests: &[u8]) {
    server.while_stopped(|| {
        client.send(requests);
        until_arrived(client, requests.len(), false);
    });
}

/// Sends a long request in pieces, and lets the server read most of them one by one.
fn send_in_pieces(
    client: &mut Client<TcpStream>,
    witness: &mut Client<TcpStream>,
    bytes: &[u8],
    piece_bytes: usize,
) {
    for piece in bytes.chunks(piece_bytes) {
        client.send(piece);
        ask_rounds(witness, 1);
    }
}

/// A client that has stored a value, a request for it so many times, and the answer.
fn with_value(server: &Server, times: usize) -> (Client<TcpStream>, Vec<u8>, Vec<u8>) {
    let mut client = server.tcp();
    let (set, block) = stored("a", &value(VALUE_BYTES));
    client.ask(&set, b"STORED\n");
    let get = [&b"get"[..], &b" a".repeat(times), b"\n"].concat();
    (client, get, [&block.repeat(times)[..], b"END\n"].concat())
}

/// Nanoseconds of CPU time of a process so far.
fn cpu_ns(server: &Server) -> i128 {
    let pid = Pid::from_raw(server.pid().cast_signed());
    let clock = nix::time::clock_getcpuclockid(pid).unwrap();
    let time = clock.now().unwrap();
    i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec())
}

#[test]
fn one_read() {
    show(
        "one_read",
        &[
            ("2000 requests in one write", |server, witness| {
                let mut client = server.tcp();
                send_at_once(server, &mut client, &b"get a\n".repeat(2000));
                ask_rounds(witness, 3);
                format!("{} answers", arrived(&mut client).0.len() / b"END\n".len())
            }),
            ("a request, and the end of input with it", |server, witness| {
                let mut client = server.tcp();
                server.while_stopped(|| {
                    client.send(b"get a\n");
                    client.stream.shutdown(Shutdown::Write).unwrap();
                    until_arrived(&client, b"get a\n".len(), true);
                });
                client.expect(b"END\n");
                ask_rounds(witness, 3);
                let (_, closed) = arrived(&mut client);
                format!("an answer, and the connection {}", if closed { "ends" } else { "stays" })
            }),
        ],
    );
}

/// Sets the limit on descriptors of a running server.
fn limit_descriptors(server: &Server, descriptors: usize) {
    let (pid, soft) = (server.pid().to_string(), format!("--nofile={descriptors}:"));
    assert!(Command::new("prlimit").args(["--pid", &pid, &soft]).status().unwrap().success());
}

#[test]
fn one_accept() {
    show(
        "one_accept",
        &[
            ("5 clients connect at once, and send a request each", |server, witness| {
                let mut clients = server.while_stopped(|| {
                    let mut clients: Vec<_> = (0..5).map(|_| server.tcp()).collect();
                    clients.iter_mut().for_each(|client| client.send(b"get a\n"));
                    clients.iter().for_each(|client| until_arrived(client, 6, false));
                    clients
                });
                ask_rounds(witness, 3);
                let answered = clients.iter_mut().filter_map(|client| {
                    let (answer, _) = arrived(client);
                    (answer == b"END\n").then_some(())
                });
                format!("{} answered", answered.count())
            }),
            ("a client connects when no descriptor is free", |server, witness| {
                limit_descriptors(server, 3);
                let mut client = server.while_stopped(|| {
                    let mut client = server.tcp();
                    client.send(b"get a\n");
                    until_arrived(&client, 6, false);
                    client
                });
                // The answer may be the end of the process.
                let asked = std::io::Write::write_all(&mut witness.stream, MISS.0);
                let answered = asked.and_then(|()| witness.stream.read(&mut [0; 4]));
                if !matches!(answered, Ok(4)) {
                    assert!(server.wait() != Some(0));
                    return "the server has ended".into();
                }
                assert_eq!(arrived(&mut client), (Vec::new(), false));
                limit_descriptors(server, 100);
                client.expect(b"END\n");
                "others are served, and so is this one when a descriptor is free".into()
            }),
        ],
    );
}

#[test]
fn busy_write() {
    show(
        "busy_write",
        &[("a client asks for 8 MB and does not read; another client asks", |server, witness| {
            let (mut slow, get, answer) = with_value(server, KEYS);
            let before = server.cpu_ticks();
            send_at_once(server, &mut slow, &get);
            witness.send(MISS.0);
            witness.stream.set_nonblocking(true).unwrap();
            let (mut answered, mut spun) = (false, false);
            until("it has answered, or used half a second of CPU", PATIENCE, || {
                answered = witness.stream.peek(&mut [0; 4]).is_ok();
                spun = server.cpu_ticks() - before >= 50;
                answered || spun
            });
            witness.stream.set_nonblocking(false).unwrap();
            slow.expect(&answer);
            witness.expect(MISS.1);
            if answered {
                "answered at once".into()
            } else {
                "not answered in 0.5 s of CPU time, but after the first has read".into()
            }
        })],
    );
}

/// Whether memory has grown by `bytes`, or by hardly anything.
fn growth(server: &Server, before: usize, bytes: usize) -> String {
    let grown = server.resident_peak() - before;
    match grown / 1_000_000 {
        0..4 => "less than 4 MB of memory".into(),
        _ if grown >= bytes => format!("more than {} MB of memory", bytes / 1_000_000),
        _ => format!("{grown} bytes of memory"),
    }
}

#[test]
fn no_limits() {
    show(
        "no_limits",
        &[
            ("8 MB of a value that is to have 1 GB", |server, witness| {
                let mut client = server.tcp();
                client.send(b"set a 1000000000\n");
                let before = server.resident();
                send_in_pieces(&mut client, witness, &vec![b'x'; 8_000_000], 4096);
                growth(server, before, 7_000_000)
            }),
            ("a request of 4 kB for 8 MB", |server, witness| {
                let (mut client, get, _) = with_value(server, KEYS);
                let before = server.resident();
                send_at_once(server, &mut client, &get);
                witness.send(MISS.0);
                witness.stream.set_nonblocking(true).unwrap();
                until(
                    "the requests are executed, or the other client is answered",
                    PATIENCE,
                    || {
                        witness.stream.peek(&mut [0; 4]).is_ok()
                            || server.resident_peak() - before >= 7_000_000
                    },
                );
                growth(server, before, 7_000_000)
            }),
        ],
    );
}

#[test]
fn from_the_start() {
    const PIECES: usize = 2000;
    show(
        "from_the_start",
        &[("a line of 1 MB in 2000 pieces", |server, witness| {
            let mut client = server.tcp();
            let line = [&b"get "[..], &vec![b'k'; 1_000_000][..]].concat();
            let (first, second) = line.split_at(line.len() / 2);
            let [began, halfway, ended] = [b"", first, second].map(|half| {
                send_in_pieces(&mut client, witness, half, line.len() / PIECES);
                cpu_ns(server)
            });
            client.ask(b"\n", b"END\n");
            let more = if 2 * (ended - halfway) > 3 * (halfway - began) { "more" } else { "less" };
            format!("the second half takes {more} than 1.5 times the CPU time of the first")
        })],
    );
}

#[test]
fn hard_close() {
    show(
        "hard_close",
        &[("a request for 1 MB, `quit`, and 40 kB more", |server, witness| {
            let (mut client, get, answer) = with_value(server, 250);
            send_at_once(server, &mut client, &[&get[..], b"quit\n", &[b'x'; 40_000]].concat());
            ask_rounds(witness, 3);
            let mut answers = Vec::new();
            match client.stream.read_to_end(&mut answers) {
                Ok(_) => {
                    assert!(answers == answer, "{} bytes", answers.len());
                    "the whole answer, then the end".into()
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                    assert!(answers.len() < answer.len() / 2, "{} bytes", answers.len());
                    "a reset, and less than half of the answer".into()
                }
            }
        })],
    );
}
