//! The memory for items: which limits are accepted, and how clients are served when it is full.

use std::net::TcpStream;

use crate::harness::process::{Client, MIB, Server, run, value};

#[test]
fn more_memory_than_the_store_can_address_is_refused() {
    let ended = run(&["-p", "0", "-m", "32769"], b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("at most 32 GiB"), "{}", ended.stderr);
}

#[test]
fn an_item_limit_that_does_not_fit_is_lowered_with_a_warning() {
    let server = Server::start(&["-p", "0", "-m", "8", "-I", "4m"]);
    let said = server.said.join("\n");
    assert!(said.contains("WARN") && said.contains("instead of 4194304"), "{said}");
    let mut client = server.tcp();
    let announced = format!("set large {}\n", 7 * MIB / 2);
    let request = [announced.as_bytes(), &value(7 * MIB / 2), b"\n"].concat();
    client.ask(&request, b"SERVER_ERROR object too large for cache\n");
}

/// Making room for a large value takes several turns. The client is then answered, although it sends
/// nothing more.
#[test]
fn a_large_value_is_stored_in_full_memory_while_others_are_served() {
    let server = Server::start(&["-p", "0", "-m", "8"]);
    let (mut small, mut large) = (server.tcp(), server.tcp());
    for thousand in 0..100 {
        let mut requests = String::new();
        for number in 0..1000 {
            let key = thousand * 1000 + number;
            requests += &format!("set k{key} 0 0 40 noreply\r\n{key:040}\r\n");
        }
        small.send(requests.as_bytes());
    }
    let last = format!("VALUE k99999 0 40\r\n{:040}\r\nEND\r\n", 99_999);
    small.ask(b"get k99999\r\n", last.as_bytes());
    let bytes = value(MIB - 100);
    let stored = [format!("set v {}\n", bytes.len()).as_bytes(), &bytes, b"\n"].concat();
    let found = [format!("VALUE v {}\n", bytes.len()).as_bytes(), &bytes, b"\nEND\n"].concat();
    for _ in 0..10 {
        large.send(&stored);
        small.ask(b"get k99999\r\n", last.as_bytes());
        large.expect(b"STORED\n");
        large.ask(b"get v\n", &found);
    }
}

/// `stats` shows the limit at once, and the items keep to it.
#[test]
fn a_lower_limit_is_shown_and_kept() {
    let server = Server::start(&["-p", "0", "-m", "32"]);
    let mut client = server.tcp();
    let fill = |client: &mut Client<TcpStream>, from: u32| {
        for number in from..from + 60_000 {
            client.send(format!("set k{number} 0 0 500 noreply\r\n{number:0500}\r\n").as_bytes());
        }
        client.ask(b"mn\r\n", b"MN\r\n");
    };
    fill(&mut client, 0);
    for (mib, from) in [(8, 100_000), (16, 200_000), (32, 300_000)] {
        client.ask(format!("cache_memlimit {mib}\r\n").as_bytes(), b"OK\r\n");
        let limit_bytes = (mib * MIB).to_string();
        assert_eq!(client.stats("")["limit_maxbytes"], limit_bytes);
        assert_eq!(client.stats("settings")["maxbytes"], limit_bytes);
        fill(&mut client, from);
        let bytes: usize = client.stats("")["bytes"].parse().unwrap();
        assert!((mib - 1) * MIB < bytes && bytes <= mib * MIB, "{bytes} with {mib} MiB");
    }
    let refused = b"MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";
    client.ask(b"cache_memlimit 33\r\n", refused);
}
