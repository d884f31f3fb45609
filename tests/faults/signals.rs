//! Signals and a tracer, in the middle of work.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::descriptors_at_rest;
use crate::process::{Client, MIB, PATIENCE, Server, stored, until, value};

/// The signal of a closed pipe, sent by somebody, and the error of one, met by the server itself.
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
        // The answer is on its way, and nobody is there for the rest of it.
        unix.expect(&block[..1]);
        tcp.expect(&block[..1]);
        drop(unix);
        tcp.reset();
        client.ask(b"get a\n", &[&block[..], b"END\n"].concat());
        until("both are gone", PATIENCE, || closed() == before + 2 * round);
    }
    assert_eq!(server.descriptors(), descriptors + 1);
}

/// A tracer that comes and goes interrupts whatever system call the server is in.
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
            println!("skipped: this machine lets nobody trace");
            return;
        }
        // It is waiting now, and is interrupted in that.
        thread::sleep(Duration::from_millis(50));
        kill(Pid::from_raw(tracer.id().cast_signed()), Signal::SIGINT).unwrap();
        tracer.wait().unwrap();
        client.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    }
    waiting.ask(b"x\n", b"STORED\n");
    assert!(server.log().is_empty() || !server.log().contains("failed"), "{}", server.log());
}

/// The server is told to stop while everybody asks as fast as can be: it is gone within a second,
/// exits well, and nobody has been given half an answer.
#[test]
fn under_full_load_it_stops_within_a_second_and_cuts_no_answer() {
    const CLIENTS: usize = 8;
    const BATCH: usize = 200;
    let mut server = Server::start(&["-p", "0"]);
    let (set, block) = stored("a", &value(1_000));
    server.tcp().ask(&set, b"STORED\n");
    let answer = [&block[..], b"END\n"].concat();
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (mut client, answered, answer) = (server.tcp(), &answered, &answer);
                scope.spawn(move || {
                    let requests = b"get a\n".repeat(BATCH);
                    let mut bytes = vec![0; answer.len() * BATCH];
                    let mut got = 0;
                    loop {
                        // It hangs up in the end, in the middle of whatever we are doing.
                        let _ = std::io::Write::write_all(&mut client.stream, &requests);
                        let mut filled = 0;
                        while filled < bytes.len() {
                            match client.stream.read(&mut bytes[filled..]) {
                                Ok(read @ 1..) => filled += read,
                                Ok(0) | Err(_) => {
                                    got += filled;
                                    return (got, bytes[..filled].to_vec());
                                }
                            }
                        }
                        got += filled;
                        answered.fetch_add(BATCH, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        until("the load is full", PATIENCE, || answered.load(Ordering::Relaxed) > 100 * BATCH);
        let begun = Instant::now();
        assert_eq!(server.stop(Signal::SIGTERM), Some(0));
        let took = begun.elapsed();
        println!("stopped in {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        for client in clients {
            let (got, last) = client.join().unwrap();
            assert_eq!(got % answer.len(), 0, "half an answer behind {got} bytes");
            let whole = answer.repeat(last.len() / answer.len());
            assert!(last == whole, "the last answers are not those asked for");
        }
    });
}
