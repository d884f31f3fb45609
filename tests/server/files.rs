//! The file of a Unix socket: when it is created, replaced, refused and removed.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::socket::{Backlog, listen};

use crate::harness::process::{Client, PATIENCE, Server, run, until};

fn options(path: &Path) -> [&str; 2] {
    ["-s", path.to_str().unwrap()]
}

#[track_caller]
fn assert_refused(options: &[&str]) {
    let ended = run(options, b"");
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{}", ended.stderr);
}

#[test]
fn the_socket_file_is_removed_at_exit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start(&options(&path));
        Client::unix(&path).ask(b"get a\n", b"END\n");
        assert_eq!(server.stop(signal), Some(0), "{signal}");
        assert!(!path.exists(), "{signal}");
    }
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut killed = Server::start(&options(&path));
    assert_eq!(killed.stop(Signal::SIGKILL), None);
    assert!(path.exists());
    let mut server = Server::start(&options(&path));
    Client::unix(&path).ask(b"get a\n", b"END\n");
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_socket_with_a_listener_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&options(&path));
    let mut client = Client::unix(&path);
    client.ask(b"set a 1\nx\n", b"STORED\n");
    assert_refused(&options(&path));
    client.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    Client::unix(&path).ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    // A stopped server, which accepts no clients now, still listens.
    server.while_stopped(|| assert_refused(&options(&path)));
    Client::unix(&path).ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
}

#[test]
fn a_file_that_is_no_socket_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    assert_refused(&options(&path));
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    assert_refused(&options(folder.path()));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_refused(&options(&link));
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn a_file_that_has_replaced_the_socket_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut server = Server::start(&options(&path));
    fs::rename(&path, folder.path().join("moved")).unwrap();
    let _others = UnixListener::bind(&path).unwrap();
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert!(path.exists());
    // A missing file is no error, either.
    let path = folder.path().join("another");
    let mut server = Server::start(&options(&path));
    fs::remove_file(&path).unwrap();
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn a_start_that_fails_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_refused(&["-s", path.to_str().unwrap(), "-l", &address]);
    assert!(!path.exists());
}

/// If the backlog is full, a blocking connect waits, and a non-blocking one fails with EAGAIN.
#[test]
fn a_socket_whose_backlog_is_full_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let owner = UnixListener::bind(&path).unwrap();
    listen(&owner, Backlog::new(0).unwrap()).unwrap();
    let mut waiting = Vec::new();
    // mio connects without blocking.
    while let Ok(client) = mio::net::UnixStream::connect(&path) {
        waiting.push(client);
        assert!(waiting.len() < 100, "the backlog is unlimited");
    }
    assert_refused(&options(&path));
    assert!(path.exists());
    assert!(owner.accept().is_ok());
}

/// Opening a FIFO for reading blocks until a process opens it for writing. Neither the start nor the
/// running server must block.
#[test]
fn a_fifo_as_auth_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, users) = (folder.path().join("socket"), folder.path().join("users"));
    nix::unistd::mkfifo(&users, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let options = ["-p", "0", "-s", path.to_str().unwrap(), "-Y", users.to_str().unwrap()];
    assert_refused(&options);
    fs::remove_file(&users).unwrap();
    fs::write(&users, "user:pass\n").unwrap();
    let server = Server::start(&options);
    fs::remove_file(&users).unwrap();
    nix::unistd::mkfifo(&users, nix::sys::stat::Mode::S_IRWXU).unwrap();
    server.signal(Signal::SIGHUP);
    until("it is logged", PATIENCE, || server.log().contains("the users stay as they were"));
    Client::unix(&path).ask(b"set auth 0 0 9\r\nuser pass\r\n", b"STORED\r\n");
}
