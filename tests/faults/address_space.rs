//! A process at its limit of address space (`ulimit -v`): a client whose buffers cannot be allocated is
//! closed, and the server goes on.

use std::io::{ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::harness::process::{Client, MIB, PATIENCE, Server, stored, until, value};

/// Limits the address space of the server to its current size and `more` bytes.
pub(super) fn limit(server: &Server, more: usize) {
    let address_space = (server.address_space() + more).to_string();
    let pid = server.pid().to_string();
    let limit = format!("--as={address_space}:{address_space}");
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
}

#[test]
fn only_a_client_whose_request_gets_no_memory_is_closed() {
    let server = Server::start(&["-p", "0", "-m", "16"]);
    let mut normal = server.tcp();
    normal.ask(b"set a 1\nx\nget a\n", b"STORED\nVALUE a 1\nx\nEND\n");
    limit(&server, 3 * MIB);
    let request = [b"set large 0 0 1000000\r\n".as_slice(), &value(999_000)].concat();
    let mut crowd: Vec<_> = (0..20).map(|_| server.tcp()).collect();
    for client in &mut crowd {
        // The server closes some of them while they send.
        if let Err(error) = client.stream.write_all(&request) {
            assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind()));
        }
        normal.ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    }
    until("the log says so", PATIENCE, || server.log().contains("no memory for its buffers"));
    drop(crowd);
    normal.ask(b"get a large\n", b"VALUE a 1\nx\nEND\n");
}

#[test]
fn only_a_client_whose_answer_gets_no_memory_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::start(&["-p", "0", "-m", "16", "-s", path.to_str().unwrap()]);
    let mut normal = server.tcp();
    let (set, block) = stored("large", &value(MIB - 512));
    normal.ask(&set, b"STORED\n");
    limit(&server, 3 * MIB);
    let mut crowd: Vec<Client<UnixStream>> = (0..20).map(|_| Client::unix(&path)).collect();
    for client in &mut crowd {
        client.send(b"get large\n");
        normal.ask(b"get a\n", b"END\n");
    }
    until("the log says so", PATIENCE, || server.log().contains("no memory for its buffers"));
    drop(crowd);
    until("they are gone", PATIENCE, || normal.figure("curr_connections") == 1);
    normal.ask(b"get large\n", &[&block[..], b"END\n"].concat());
}
