//! Streams: half-closed connections, urgent data, slow readers, cut requests, and a stderr that is closed
//! or full.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt};

use crate::harness::process::{Client, MIB, PATIENCE, Server, command, stored, until, value};

#[test]
fn a_half_closed_client_gets_all_its_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&["-p", "0", "-s", path.to_str().unwrap()]);
    let (set, block) = stored("a", &value(MIB - 512));
    let requests = [&set, &b"get a a a a a a a a\n"[..]].concat();
    let answers = [b"STORED\n".as_slice(), &block.repeat(8), b"END\n"].concat();
    let mut client = server.tcp();
    client.send(&requests);
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.expect(&answers);
    client.expect_end();
    let mut client = Client::unix(&path);
    client.send(&requests);
    client.stream.shutdown(Shutdown::Write).unwrap();
    client.expect(&answers);
    client.expect_end();
}

/// The server is stopped while the client writes, so that one edge reports everything: more bytes than
/// one read takes, and the FIN after them.
#[test]
fn data_and_fin_may_come_in_one_edge() {
    const REQUESTS: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&["-p", "0", "-s", path.to_str().unwrap()]);
    let (requests, answers) = (b"get key\n".repeat(REQUESTS), b"END\n".repeat(REQUESTS));
    let (mut tcp, mut unix) = (server.tcp(), Client::unix(&path));
    // After a round trip the edge is not the first one of a new connection.
    tcp.ask(b"get a\n", b"END\n");
    unix.ask(b"get a\n", b"END\n");
    server.while_stopped(|| {
        tcp.send(&requests);
        tcp.stream.shutdown(Shutdown::Write).unwrap();
        unix.send(&requests);
        unix.stream.shutdown(Shutdown::Write).unwrap();
    });
    tcp.expect(&answers);
    tcp.expect_end();
    unix.expect(&answers);
    unix.expect_end();
    // The same on new connections.
    let (mut tcp, mut unix) = server.while_stopped(|| {
        let (mut tcp, mut unix) = (server.tcp(), Client::unix(&path));
        tcp.send(&requests);
        tcp.stream.shutdown(Shutdown::Write).unwrap();
        unix.send(&requests);
        unix.stream.shutdown(Shutdown::Write).unwrap();
        (tcp, unix)
    });
    tcp.expect(&answers);
    tcp.expect_end();
    unix.expect(&answers);
    unix.expect_end();
}

/// A short request and the FIN in one edge: after the short read, the server has to read on.
#[test]
fn a_short_request_and_fin_in_one_edge_end_the_connection() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    client.ask(b"get a\n", b"END\n");
    server.while_stopped(|| {
        client.send(b"get a\n");
        client.stream.shutdown(Shutdown::Write).unwrap();
    });
    client.expect(b"END\n");
    client.expect_end();
}

fn send_urgent(stream: &TcpStream) {
    assert_eq!(send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
}

/// A read stops before an urgent byte, and is short although bytes follow.
#[test]
fn requests_after_urgent_data_are_answered() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    for _ in 0..20 {
        client.send(b"get a\n");
        send_urgent(&client.stream);
        client.send(b"get b\n");
        client.expect(b"END\nEND\n");
    }
    // All in one edge, with more bytes before the urgent byte than one read takes.
    let requests = b"get key\n".repeat(3_000);
    server.while_stopped(|| {
        client.send(&requests);
        send_urgent(&client.stream);
        client.send(&requests);
    });
    client.expect(&b"END\n".repeat(6_000));
    // With urgent data alone the server neither spins nor closes.
    send_urgent(&client.stream);
    client.ask(b"get a\n", b"END\n");
    send_urgent(&client.stream);
    let ticks = server.cpu_ticks();
    let naps = server.naps();
    until("a hundred round trips of another client", PATIENCE, || {
        server.tcp().ask(b"get a\n", b"END\n");
        server.naps() > naps + 100
    });
    let spent = server.cpu_ticks() - ticks;
    assert!(spent < 50, "{spent} hundredths of a second for a hundred round trips");
}

/// Sends one request and then many, all with large answers, and reads late and slowly.
fn read_late(server: &Server, mut slow: Client<impl Read + Write>) {
    const TIMES: usize = 16;
    let (set, block) = stored("a", &value(MIB - 512));
    slow.ask(&set, b"STORED\n");
    slow.send(format!("get{}\n", " a".repeat(TIMES)).as_bytes());
    slow.send(&b"get a\nget b\n".repeat(TIMES));
    // Other clients are served before it reads on.
    slow.expect(&block[..1]);
    let mut other = server.tcp();
    for _ in 0..100 {
        other.ask(b"get b\n", b"END\n");
    }
    slow.expect(&block[1..]);
    for _ in 1..TIMES {
        slow.expect(&block);
        other.ask(b"get b\n", b"END\n");
    }
    slow.expect(b"END\n");
    for _ in 0..TIMES {
        slow.expect(&block);
        slow.expect(b"END\nEND\n");
    }
}

#[test]
fn a_slow_reader_gets_everything_intact() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&["-p", "0", "-s", path.to_str().unwrap()]);
    let slow = server.tcp();
    setsockopt(&slow.stream, sockopt::RcvBuf, &32_768).unwrap();
    read_late(&server, slow);
    // With a small send buffer each value takes many writes, and the requests after it wait through
    // turns that only write.
    read_late(&server, Client::unix(&path));
}

#[test]
fn a_value_cut_by_a_client_that_vanishes_is_not_stored() {
    let server = Server::start(&["-p", "0", "-v"]);
    let mut other = server.tcp();
    other.ask(b"set old 3\nyes\n", b"STORED\n");
    let (set, _) = stored("new", &value(100_000));
    let mut gone = 0;
    for cut in [9, 12, 20_000, set.len() - 1] {
        let mut set_old = set.clone();
        set_old[4..7].copy_from_slice(b"old");
        for request in [&set, &set_old] {
            let abruptly = cut % 2 == 0;
            let mut client = server.tcp();
            client.send(&request[..cut]);
            if abruptly {
                // A reset instead of a FIN.
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(&client.stream, sockopt::Linger, &linger).unwrap();
            }
            drop(client);
            gone += 1;
            until("the server has noticed", PATIENCE, || {
                server.log().matches(" closed: ").count() == gone
            });
            other.ask(b"get new old\n", b"VALUE old 3\nyes\nEND\n");
        }
    }
}

/// Sets, gets and new connections, all of which cause log lines with `-vv`.
fn converse(server: &Server, times: usize) {
    for _ in 0..times {
        let mut client = server.tcp();
        for _ in 0..20 {
            client.ask(b"set a 1\nx\nget a\n", b"STORED\nVALUE a 1\nx\nEND\n");
        }
    }
}

#[test]
fn a_closed_stderr_does_not_end_the_server() {
    let mut server = Server::spawn(&mut command(&["-p", "0", "-vv"]));
    drop(server.stderr.take());
    converse(&server, 10);
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn a_start_without_stderr_does_not_end_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let binary = env!("CARGO_BIN_EXE_miocached");
    let mut child = std::process::Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 2>&-", binary, "-vv", "-s", path.to_str().unwrap()])
        .spawn()
        .unwrap();
    until("it listens", PATIENCE, || UnixStream::connect(&path).is_ok());
    Client::unix(&path).ask(b"get a\n", b"END\n");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Writing beyond RLIMIT_FSIZE raises SIGXFSZ, which ends a process that does not handle it.
#[test]
fn a_log_file_at_its_size_limit_does_not_end_the_server() {
    const LIMIT_BYTES: u64 = 16 << 10;
    let folder = tempfile::tempdir().unwrap();
    let (socket, log) = (folder.path().join("socket"), folder.path().join("log"));
    let mut limited = std::process::Command::new("prlimit");
    limited.arg(format!("--fsize={LIMIT_BYTES}")).arg(env!("CARGO_BIN_EXE_miocached"));
    limited.args(["-vv", "-s", socket.to_str().unwrap()]);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
    let mut child = limited.stderr(file).spawn().unwrap();
    until("it listens", PATIENCE, || UnixStream::connect(&socket).is_ok());
    let size = || std::fs::metadata(&log).unwrap().len();
    let mut client = Client::unix(&socket);
    until("the log is full", PATIENCE, || {
        client.ask(b"get a\n", b"END\n");
        size() >= LIMIT_BYTES
    });
    for _ in 0..20 {
        client.ask(b"get a\n", b"END\n");
    }
    // After the file is truncated, logging goes on, with a line about the dropped lines.
    std::fs::write(&log, "").unwrap();
    client.ask(b"get a\n", b"END\n");
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("log lines dropped") && text.contains("miss \"a\""), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A request of the metrics address may have a path of 8 KiB: more than the page of a pipe that poll(2) has
/// found room for. Its control characters would be the terminal's.
#[test]
fn a_long_path_does_not_stop_a_server_with_a_full_stderr() {
    let mut server = Server::spawn(&mut command(&["-p", "0", "-vv", "--metrics", "0"]));
    for length in (7000..8000).step_by(13) {
        let path = format!("/\u{9b}{}", "x".repeat(length));
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut client = Client::tcp(server.metrics());
        client.ask(request.as_bytes(), b"HTTP/1.1 404 Not Found\r\n");
    }
    server.tcp().ask(b"get a\n", b"END\n");
    server.drain();
    until("it is logged", PATIENCE, || server.log().contains("asked for /"));
    assert!(!server.log().contains('\u{9b}'));
}

#[test]
fn a_full_stderr_does_not_stop_the_server() {
    let mut server = Server::spawn(&mut command(&["-p", "0", "-vv"]));
    // Several times the capacity of a pipe.
    converse(&server, 100);
    // When the pipe is read again, logging goes on, with a line about the dropped lines.
    server.drain();
    let deadline = Instant::now() + Duration::from_millis(500);
    while Instant::now() < deadline {
        converse(&server, 1);
    }
    until("the reader has caught up", PATIENCE, || {
        let before = server.log().len();
        thread::sleep(Duration::from_millis(50));
        server.log().len() == before
    });
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    until("the last line is there", PATIENCE, || server.log().contains("stopping"));
    assert!(server.log().contains("log lines dropped"));
}
