//! The life of the Unix socket's file: made, replaced, refused, removed.

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
fn the_file_goes_with_the_server() {
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
fn a_stale_file_is_replaced() {
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
fn a_live_one_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&options(&path));
    let mut client = Client::unix(&path);
    client.ask(b"set a 1\nx\n", b"STORED\n");
    assert_refused(&options(&path));
    client.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    Client::unix(&path).ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    // One that is alive but does not take clients at the moment is alive all the same.
    server.while_stopped(|| assert_refused(&options(&path)));
    Client::unix(&path).ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
}

#[test]
fn what_is_no_socket_is_left_alone() {
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
fn what_others_have_put_there_since_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut server = Server::start(&options(&path));
    fs::rename(&path, folder.path().join("moved")).unwrap();
    let _others = UnixListener::bind(&path).unwrap();
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert!(path.exists());
    // Nor is it an error when the file is gone altogether.
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

/// A backlog that is full refuses a client that does not wait, and makes one wait that does.
#[test]
fn a_live_one_whose_backlog_is_full_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let owner = UnixListener::bind(&path).unwrap();
    listen(&owner, Backlog::new(0).unwrap()).unwrap();
    let mut waiting = Vec::new();
    // mio's sockets do not wait.
    while let Ok(client) = mio::net::UnixStream::connect(&path) {
        waiting.push(client);
        assert!(waiting.len() < 100, "the backlog has no end");
    }
    assert_refused(&options(&path));
    assert!(path.exists());
    assert!(owner.accept().is_ok());
}

/// Reading a FIFO waits for a writer. Neither a start nor a running server does.
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
    until("the log says so", PATIENCE, || server.log().contains("the users stay as they were"));
    Client::unix(&path).ask(b"set auth 0 0 9\r\nuser pass\r\n", b"STORED\r\n");
}
