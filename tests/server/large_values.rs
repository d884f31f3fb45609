//! Values that are written straight from the store: whole at every size, on every way to ask for one,
//! and as they were when they were asked for, whatever happens to the item while its reader is slow.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::harness::process::{Client, MIB, PATIENCE, Server, stored, until, value};

/// From here on a value is written apart from the other answers.
const LARGE_BYTES: usize = 64 << 10;

fn start(arguments: &[&str]) -> (tempfile::TempDir, Server, Client<UnixStream>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let all = [&["-p", "0", "-s", path.to_str().unwrap()], arguments].concat();
    let server = Server::start(&all);
    let client = Client::unix(&path);
    (folder, server, client)
}

fn ask_in_every_way(client: &mut Client<impl Read + Write>, data: &[u8]) {
    let bytes = data.len();
    let (set, block) = stored("a", data);
    client.ask(&set, b"STORED\n");
    client.ask(b"set b 1\nx\n", b"STORED\n");
    let small = b"VALUE b 1\nx\n".as_slice();
    client.ask(b"get a\n", &[&block, b"END\n".as_slice()].concat());
    let all = [small, &block, small, &block, &block, small, b"END\n"].concat();
    client.ask(b"get c b a b a c a b\n", &all);
    client.ask(b"get b a c\nget c a\n", &[small, &block, b"END\n", &block, b"END\n"].concat());
    let hit = |line: &str, end: &str| [line.as_bytes(), data, end.as_bytes()].concat();
    let classic = hit(&format!("VALUE a 0 {bytes}\r\n"), "\r\nEND\r\n");
    client.ask(b"get a\r\nget b\n", &[&classic, small, b"END\n".as_slice()].concat());
    client.ask(b"gat 100 a\r\n", &classic);
    let meta = hit(&format!("VA {bytes} t100 ka s{bytes}\r\n"), "\r\n");
    client.ask(b"mg a v t k s\r\nmn\r\nmg c v\r\n", &[&meta, b"MN\r\nEN\r\n".as_slice()].concat());
    // It is answered before it expires.
    client.ask(b"gat -1 a\r\nget a\n", &[&classic, b"END\n".as_slice()].concat());
}

#[test]
fn a_value_of_any_size_comes_whole() {
    let (_folder, server, mut unix) = start(&[]);
    let mut tcp = server.tcp();
    let edges = [LARGE_BYTES - 97, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1];
    for bytes in edges.into_iter().chain([2 * LARGE_BYTES, MIB / 2, MIB - 512]) {
        ask_in_every_way(&mut tcp, &value(bytes));
        ask_in_every_way(&mut unix, &value(bytes));
    }
}

/// Values are kept apart from small answers before and after them, in every order.
#[test]
fn small_answers_stay_in_their_places_beside_large_values() {
    let (_folder, server, mut unix) = start(&[]);
    let (set_large, large) = stored("large", &value(200_000));
    let (set_small, small) = stored("small", &value(30_000));
    unix.ask(&[set_large, set_small].concat(), b"STORED\nSTORED\n");
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    for order in 0..256_u32 {
        for place in 0..4 {
            let (key, block) = match order >> (2 * place) & 3 {
                0 => ("large", &large[..]),
                1 => ("small", &small[..]),
                2 => ("none", &b""[..]),
                _ => ("none large small", &[&large[..], &small[..]].concat()[..]),
            };
            requests.extend(format!("get {key}\n").as_bytes());
            answers.extend([block, b"END\n"].concat());
        }
        server.tcp().ask(&requests, &answers);
        unix.ask(&requests, &answers);
        (requests, answers) = (Vec::new(), Vec::new());
    }
}

/// What the kernel has not taken is the reader's, and not the store's.
#[test]
fn a_pending_value_does_not_change_with_its_item() {
    let (_folder, server, mut slow) = start(&["-m", "8"]);
    let mut other = server.tcp();
    let old = value(MIB - 512);
    let (set, block) = stored("a", &old);
    let mut reversed = old.clone();
    reversed.reverse();
    let overwrite = stored("a", &reversed).0;
    let evict: Vec<u8> =
        (0..20).flat_map(|key| stored(&format!("k{key}"), &value(MIB / 2)).0).collect();
    let changes: [(&[u8], &[u8]); 4] = [
        (&overwrite, b"STORED\n"),
        (b"delete a\r\n", b"DELETED\r\n"),
        (b"append a 0 0 1\r\nx\r\n", b"STORED\r\n"),
        (&evict, &b"STORED\n".repeat(20)),
    ];
    for (change, answer) in changes {
        other.ask(&set, b"STORED\n");
        for request in [&b"get a\n"[..], b"get a a\n"] {
            slow.send(request);
            slow.expect(&block[..1]);
            if request.len() == 6 {
                slow.expect(&block[1..]);
                slow.expect(b"END\n");
            }
        }
        // The first of two is on its way; the second is not looked up before it has gone.
        other.ask(change, answer);
        slow.expect(&block[1..]);
        other.ask(b"get none\n", b"END\n");
        let mut rest = [0];
        slow.stream.read_exact(&mut rest).unwrap();
        // Whatever the second is, it is the item as it was at one moment.
        match &rest {
            b"E" => slow.expect(b"ND\n"),
            _ => {
                let grown = [&old[..], b"x"].concat();
                let data = if change == overwrite { &reversed } else { &grown };
                slow.expect(&stored("a", data).1[1..]);
                slow.expect(b"END\n");
            }
        }
    }
}

#[test]
fn a_reader_that_vanishes_in_a_value_leaves_nothing_behind() {
    let (_folder, server, mut unix) = start(&["-v"]);
    let (set, block) = stored("a", &value(MIB - 512));
    unix.ask(&set, b"STORED\n");
    for gone in 1..=20 {
        let mut client = server.tcp();
        client.send(&b"get a a a a a a a a\n".repeat(4));
        client.expect(&block[..1]);
        client.reset();
        until("the server has noticed", PATIENCE, || {
            server.log().matches(" closed: ").count() == gone
        });
    }
    unix.ask(b"get a\n", &[&block, b"END\n".as_slice()].concat());
    assert_eq!(unix.figure("read_buf_bytes"), 0);
}

/// A value is read in one turn if it is there, and in as many as it takes if it comes in pieces.
#[test]
fn a_value_may_be_cut_at_every_edge_of_the_buffers() {
    const INPUT_BYTES: usize = 16 << 10;
    let (_folder, server, mut unix) = start(&[]);
    let (mut tcp, mut other) = (server.tcp(), server.tcp());
    for bytes in [INPUT_BYTES, LARGE_BYTES, 4 * LARGE_BYTES + 5] {
        let (set, block) = stored("a", &value(bytes));
        let requests = [&set, b"get a\n".as_slice()].concat();
        let answers = [b"STORED\n", &block[..], b"END\n"].concat();
        let around = |place: usize| place.saturating_sub(2)..(place + 3).min(requests.len());
        let line = set.len() - bytes - 1;
        let edges = [1, line, INPUT_BYTES, 2 * INPUT_BYTES, 4 * INPUT_BYTES, set.len()];
        for cut in edges.into_iter().flat_map(around).filter(|&cut| cut > 0) {
            tcp.send(&requests[..cut]);
            unix.send(&requests[..cut]);
            other.ask(b"get none\n", b"END\n");
            tcp.ask(&requests[cut..], &answers);
            unix.ask(&requests[cut..], &answers);
        }
    }
}
