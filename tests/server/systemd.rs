//! What a service manager does with the server: it passes sockets to it, and receives its reports.
//!
//! `inherit.py` passes sockets as systemd does. `systemd-socket-activate` is systemd's own program for
//! that; the test of it is skipped where it is not installed.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use super::daemon::Daemon;
use crate::clients::has;
use crate::harness::process::{Client, MIB, PATIENCE, Server, command, stored, until, value};

/// The server with these options, as a program that inherits sockets of these kinds.
fn inheriting(kinds: &[&str], options: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/inherit.py");
    let mut python = Command::new("python3");
    python.arg(script).args(kinds).arg("--").arg(env!("CARGO_BIN_EXE_miocached")).args(options);
    python.env_remove("LISTEN_PID");
    python
}

#[test]
fn inherited_sockets_are_served_instead_of_own_ones() {
    if !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, own) = (folder.path().join("socket"), folder.path().join("own"));
    let kinds = ["tcp", &format!("unix:{}", path.display())];
    let options = ["-p", "1", "-l", "192.0.2.1", "-s", own.to_str().unwrap(), "-v"];
    let mut server = Server::spawn(&mut inheriting(&kinds, &options));
    server.drain();
    let said = server.said.join("\n");
    assert!(said.contains("2 inherited sockets: -p, -l, -s, -a and -b have no effect"), "{said}");
    let places: Vec<String> = server.places().iter().map(ToString::to_string).collect();
    assert_eq!(places.len(), 2, "{said}");
    assert_eq!(places[1], path.to_str().unwrap());
    assert!(!own.exists());
    let mut unix = Client::unix(&path);
    unix.ask(b"set a 1\nx\n", b"STORED\n");
    let mut tcp = server.tcp();
    tcp.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    // The figures show the sockets that are served.
    let settings = tcp.stats("settings");
    assert_eq!(settings["tcpport"], server.addresses()[0].port().to_string());
    assert_eq!(settings["inter"], "127.0.0.1");
    assert_eq!(settings["domain_socket"], path.to_str().unwrap());
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(settings["umask"], format!("{mode:o}"));
    let shown: Vec<String> = tcp.stats("conns").into_values().collect();
    let listener = format!("tcp:{}", server.addresses()[0]);
    let unix_name = format!("unix:{}", path.display());
    for (name, times) in [(&listener, 2), (&unix_name, 3)] {
        // A listener and a TCP connection show it once, and a connection to a Unix socket twice.
        let counted = shown.iter().filter(|value| *value == name).count();
        assert_eq!(counted, times, "{name} in {shown:?}");
    }
    until("the log has the client", PATIENCE, || server.log().contains("from 127.0.0.1:"));
    // Its creator removes the file, not the server.
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert!(path.exists());
}

#[test]
fn abstract_sockets_and_ipv6_are_inherited() {
    if !has("python3") || TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let name = format!("miocached-test-{}", std::process::id());
    let server = Server::spawn(&mut inheriting(&[&format!("unix:@{name}"), "tcp6"], &[]));
    assert_eq!(server.places()[0], format!("@{name}"));
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut client = Client { stream: UnixStream::connect_addr(&address).unwrap() };
    let shown = client.stats("conns");
    let unix_name = format!("unix:@{name}");
    assert_eq!(shown.values().filter(|value| **value == unix_name).count(), 3, "{shown:?}");
    assert_eq!(client.stats("settings")["domain_socket"], format!("@{name}"));
    server.tcp().ask(b"get a\n", b"END\n");
}

#[test]
fn inherited_descriptors_that_cannot_be_served_are_refused() {
    if !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |kind: &str| format!("{kind}:{}", folder.path().join(kind).display());
    let (datagram, sequence) = (in_folder("datagram"), in_folder("sequence"));
    for (kinds, why) in [
        (["tcp", "udp"], "inherited socket 2 of 2: not a TCP or Unix stream socket"),
        (["udp", "tcp"], "inherited socket 1 of 2: not a TCP or Unix stream socket"),
        (["tcp", &datagram], "not a TCP or Unix stream socket"),
        (["tcp", &sequence], "not a TCP or Unix stream socket"),
        (["tcp", "file"], "not a TCP or Unix stream socket"),
        (["tcp", "bound"], "it does not listen"),
        (["tcp", "connection"], "it does not listen"),
    ] {
        let ended = inheriting(&kinds, &[]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), said.lines().count()), (Some(1), 1), "{kinds:?}: {said}");
        assert!(said.starts_with("miocached: ") && said.contains(why), "{kinds:?}: {said}");
    }
    // More are promised than there are.
    let mut fewer = command(&["-p", "0"]);
    fewer.env("LISTEN_FDS", "1").env_remove("LISTEN_PID").stdin(Stdio::null());
    let said = String::from_utf8(fewer.output().unwrap().stderr).unwrap();
    assert!(said.contains("inherited socket 1 of 1") && said.lines().count() == 1, "{said}");
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    if !has("python3") {
        return;
    }
    let server = Server::spawn(inheriting(&["udp"], &["-p", "0"]).env("LISTEN_PID", "1"));
    assert!(!server.said.join("\n").contains("inherited"), "{:?}", server.said);
    server.tcp().ask(b"get a\n", b"END\n");
    let none = Server::spawn(&mut inheriting(&[], &["-p", "0"]));
    none.tcp().ask(b"get a\n", b"END\n");
}

#[test]
fn a_daemon_serves_inherited_sockets() {
    if !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, pid_file) = (folder.path().join("socket"), folder.path().join("pid"));
    let options = ["-d", "-P", pid_file.to_str().unwrap()];
    let mut started = inheriting(&[&format!("unix:{}", path.display())], &options);
    assert!(started.stdin(Stdio::null()).output().unwrap().status.success());
    let daemon = Daemon::of(&pid_file);
    Client::unix(&path).ask(b"get a\n", b"END\n");
    drop(daemon);
}

/// systemd's own program for socket activation starts the server when the first client connects.
#[test]
fn systemd_socket_activate() {
    if !has("systemd-socket-activate") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut activated = Command::new("systemd-socket-activate");
    activated.arg("-l").arg(&path).arg(env!("CARGO_BIN_EXE_miocached")).args(["-p", "0"]);
    let first = thread::spawn({
        let path = path.clone();
        move || {
            until("the socket is there", PATIENCE, || UnixStream::connect(&path).is_ok());
            // The server that this client starts answers it.
            let mut client = Client::unix(&path);
            client.ask(b"set a 1\nx\n", b"STORED\n");
            client
        }
    });
    let mut server = Server::spawn(&mut activated);
    first.join().unwrap().ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    assert_eq!(server.places(), [path.to_str().unwrap()]);
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
}

/// A service manager's end of the socket for reports.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn at(path: &Path) -> Self {
        Self::of(UnixDatagram::bind(path).unwrap())
    }

    fn of(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    /// The lines of the next report.
    fn report(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).lines().map(ToString::to_string).collect()
    }

    fn is_silent(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        self.socket.recv(&mut [0; 16]).is_err()
    }
}

fn reporting(to: &str, options: &[&str]) -> Command {
    let mut command = command(options);
    command.env("NOTIFY_SOCKET", to);
    command
}

/// The moment on the clock that systemd reads, in microseconds.
fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000
}

#[test]
fn start_reload_and_stop_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::at(&path);
    let mut server = Server::spawn(&mut reporting(path.to_str().unwrap(), &["-p", "0"]));
    let address = server.addresses()[0];
    let ready = ["READY=1".to_string(), format!("STATUS=Listening on {address}")];
    assert_eq!(manager.report(), ready);
    server.tcp().ask(b"get a\n", b"END\n");
    for _ in 0..2 {
        let before = monotonic_us();
        server.signal(Signal::SIGHUP);
        let reloading = manager.report();
        let after = monotonic_us();
        assert_eq!((reloading.len(), reloading[0].as_str()), (2, "RELOADING=1"), "{reloading:?}");
        let at: i64 = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..=after).contains(&at), "{before} {at} {after}");
        assert_eq!(manager.report(), ready);
    }
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert_eq!(manager.report(), ["STOPPING=1"]);
    assert!(manager.is_silent());
}

/// A stop is the last report: a reload that comes during it would report the server as ready again.
#[test]
fn a_stopping_server_is_not_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::at(&path);
    let mut server = Server::spawn(&mut reporting(path.to_str().unwrap(), &["-p", "0"]));
    assert_eq!(manager.report()[0], "READY=1");
    // The stop waits for this client, which does not read its answers.
    let (mut deaf, mut asking) = (server.tcp(), server.tcp());
    asking.ask(&stored("a", &value(MIB - 512)).0, b"STORED\n");
    deaf.send(format!("get{}\n", " a".repeat(20)).as_bytes());
    until("its send buffer is full", PATIENCE, || {
        asking.stats("conns").values().any(|wait| wait == "reader")
    });
    server.signal(Signal::SIGTERM);
    assert_eq!(manager.report(), ["STOPPING=1"]);
    server.signal(Signal::SIGHUP);
    assert_eq!(server.wait(), Some(0));
    assert!(manager.is_silent());
}

#[test]
fn reports_go_to_an_abstract_name_too() {
    let name = format!("miocached-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::of(UnixDatagram::bind_addr(&address).unwrap());
    let _server = Server::spawn(&mut reporting(&format!("@{name}"), &["-p", "0"]));
    assert_eq!(manager.report()[0], "READY=1");
}

#[test]
fn reports_that_cannot_be_sent_are_lost_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    // The queue is full, so that a blocking report would wait forever.
    let _manager = Manager::at(&path);
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"x", &path).is_ok() {}
    let gone = folder.path().join("gone");
    for name in [path.to_str().unwrap(), gone.to_str().unwrap(), "vsock:2:1", "relative", ""] {
        let mut server = Server::spawn(&mut reporting(name, &["-p", "0"]));
        server.drain();
        server.tcp().ask(b"get a\n", b"END\n");
        let is_named = |log: &str| {
            log.contains("cannot report to the service manager")
                || log.contains(&format!("NOTIFY_SOCKET {name} is ignored"))
        };
        until("it is logged", PATIENCE, || is_named(&server.log()));
        assert_eq!(server.stop(Signal::SIGTERM), Some(0), "{name}");
    }
}

#[test]
fn a_daemon_reports_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, pid_file) = (folder.path().join("notify"), folder.path().join("pid"));
    let manager = Manager::at(&path);
    let options = ["-d", "-p", "0", "-P", pid_file.to_str().unwrap()];
    let mut started = reporting(path.to_str().unwrap(), &options);
    let ended = started.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("NOTIFY_SOCKET is ignored because of -d"), "{said}");
    drop(Daemon::of(&pid_file));
    assert!(manager.is_silent());
}
