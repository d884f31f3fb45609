//! Signals and a tracer while the server works.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::descriptors_at_rest;
use crate::harness::process::{Client, MIB, PATIENCE, Server, stored, until, value};

/// SIGPIPE from another process, and writes that fail with EPIPE or ECONNRESET.
#[test]
fn a_broken_pipe_ends_one_connection_and_not_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&["-p", "0", "-s", path.to_str().unwrap(), "-v"]);
    let descriptors = descriptors_at_rest(&server);
    let mut client = server.tcp();
    let (set, block) = stored("a", &value(MIB - 512));
    client.ask(&set, b"STORED\n");
    let closed = || server.log().matches(" closed: ").count();
    let before = closed();
    for round in 1..=10 {
        server.signal(Signal::SIGPIPE);
        let (mut unix, mut tcp) = (Client::unix(&path), server.tcp());
        unix.send(b"get a a a a\n");
        tcp.send(b"get a a a a\n");
        // The clients close in the middle of an answer.
        unix.expect(&block[..1]);
        tcp.expect(&block[..1]);
        drop(unix);
        tcp.reset();
        client.ask(b"get a\n", &[&block[..], b"END\n"].concat());
        until("both are closed", PATIENCE, || closed() == before + 2 * round);
    }
    assert_eq!(server.descriptors(), descriptors + 1);
}

/// Attaching and detaching a tracer interrupts the current system call (EINTR).
#[test]
fn a_tracer_may_come_and_go() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is missing, and CI must not skip");
        println!("skipped: strace is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["-p", "0"]);
    let (mut client, mut waiting) = (server.tcp(), server.tcp());
    client.ask(b"set a 1\nx\n", b"STORED\n");
    waiting.send(b"set b 1\n");
    let pid = server.pid().to_string();
    for round in 0..3 {
        let calls = folder.path().join(round.to_string());
        let mut strace = Command::new("strace");
        strace.args(["-q", "-p", &pid, "-o"]).arg(&calls).stderr(Stdio::piped());
        let mut tracer = strace.spawn().unwrap();
        let mut attached = true;
        until("the tracer sees it", PATIENCE, || {
            client.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
            attached = tracer.try_wait().unwrap().is_none();
            !attached || std::fs::metadata(&calls).is_ok_and(|calls| calls.len() > 0)
        });
        if !attached {
            let mut why = String::new();
            tracer.stderr.unwrap().read_to_string(&mut why).unwrap();
            assert!(why.contains("ermitted"), "{why}");
            println!("skipped: tracing is not permitted here");
            return;
        }
        // The server waits in its poll, which the tracer interrupts when it detaches.
        thread::sleep(Duration::from_millis(50));
        kill(Pid::from_raw(tracer.id().cast_signed()), Signal::SIGINT).unwrap();
        tracer.wait().unwrap();
        client.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    }
    waiting.ask(b"x\n", b"STORED\n");
    assert!(server.log().is_empty() || !server.log().contains("failed"), "{}", server.log());
}

/// Sends requests without waiting for answers, until the server closes. Returns all answers.
fn ask_without_pause(client: Client<TcpStream>, requests: &[u8], got: &AtomicUsize) -> Vec<u8> {
    let mut reader = client.stream.try_clone().unwrap();
    let mut writer = client.stream;
    thread::scope(|scope| {
        scope.spawn(move || while writer.write_all(requests).is_ok() {});
        let mut answers = Vec::new();
        let mut bytes = vec![0; 1 << 16];
        // A reset after the last answer counts as the end, too.
        while let Ok(read @ 1..) = reader.read(&mut bytes) {
            answers.extend_from_slice(&bytes[..read]);
            got.fetch_add(read, Ordering::Relaxed);
        }
        // The writer may be blocked, because the server reads no more.
        let _ = reader.shutdown(Shutdown::Both);
        answers
    })
}

/// SIGTERM while all clients send as fast as they can: the server exits with 0 within a second, and no
/// client gets part of an answer. The test is repeated, because it depends on chance which bytes are
/// where at that moment.
#[test]
fn a_stop_under_full_load_takes_less_than_a_second_and_cuts_no_answer() {
    (0..5).for_each(|_| stop_under_full_load());
}

fn stop_under_full_load() {
    const CLIENTS: usize = 6;
    let mut server = Server::start(&["-p", "0"]);
    let (set, block) = stored("a", &value(1_000));
    server.tcp().ask(&set, b"STORED\n");
    let (answer, requests) = ([&block[..], b"END\n"].concat(), b"get a\n".repeat(50));
    let got = AtomicUsize::new(0);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.ask(b"get b\n", b"END\n");
    }
    thread::scope(|scope| {
        let (requests, got) = (&requests, &got);
        let ask = move |client| ask_without_pause(client, requests, got);
        let clients: Vec<_> =
            clients.into_iter().map(|client| scope.spawn(move || ask(client))).collect();
        until("the load is full", PATIENCE, || got.load(Ordering::Relaxed) > 8 * MIB);
        let begun = Instant::now();
        assert_eq!(server.stop(Signal::SIGTERM), Some(0));
        let took = begun.elapsed();
        println!("it stopped in {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        for client in clients {
            let got = client.join().unwrap();
            let cut = got.len() % answer.len();
            assert_eq!(cut, 0, "part of an answer after {} whole ones", got.len() / answer.len());
            assert!(got.chunks_exact(answer.len()).all(|got| got == answer));
        }
    });
}
