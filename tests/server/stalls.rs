//! Requests that need several turns: a stalled retrieval, and an answer of several writes.

use std::io::Read as _;

use crate::harness::process::{Client, MIB, Server, stored, value};

/// A retrieval stalls between its keys while the client does not read. Bytes that the client sends
/// meanwhile cause turns in which the connection can do nothing.
#[test]
fn bytes_that_arrive_during_a_stall_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _server = Server::start(&["-s", path.to_str().unwrap()]);
    let mut client = Client::unix(&path);
    let (set, block) = stored("a", &value(100_000));
    client.ask(&set, b"STORED\n");
    client.send(&[b"get".as_slice(), &b" a".repeat(50), b"\n"].concat());
    let mut rest: Vec<u8> = b"get a b\n".to_vec();
    let answers = [&block.repeat(50)[..], b"END\n", &block[..], b"END\n"].concat();
    let mut got = vec![0; answers.len()];
    let mut filled = 0;
    while filled < got.len() {
        if !rest.is_empty() {
            client.send(&[rest.remove(0)]);
        }
        let end = got.len().min(filled + 150_000);
        filled += client.stream.read(&mut got[filled..end]).unwrap();
    }
    assert!(got == answers, "the answers are those asked for, in order");
}

/// The kernel may take a large answer in one write. Its buffer must not stay with a connection that is
/// then idle.
#[test]
fn a_large_answer_leaves_no_memory_with_its_connection() {
    let server = Server::start(&["-p", "0", "-I", "8m"]);
    let (set, block) = stored("large", &value(3 * MIB));
    let answer = [&block[..], b"END\n"].concat();
    let mut clients: Vec<_> = (0..40).map(|_| server.tcp()).collect();
    clients[0].ask(&set, b"STORED\n");
    let before = server.resident();
    for client in &mut clients {
        client.ask(b"get large\n", &answer);
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown} bytes stay resident");
}
