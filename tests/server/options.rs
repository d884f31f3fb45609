//! The command line: exit codes, messages on stderr, and the addresses on which the server listens.

use std::net::{Ipv6Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;

use miocached::protocol::VERSION_LINE;

use crate::harness::process::{Client, MIB, PATIENCE, Server, run, until};

#[test]
fn help_and_version_exit_0() {
    let number = VERSION_LINE.trim_start_matches("VERSION ");
    let version = format!("miocached {number} (own version {})", env!("CARGO_PKG_VERSION"));
    for asks in ["-h", "--help"] {
        let ended = run(&[asks], b"");
        let help = String::from_utf8(ended.stdout).unwrap();
        // Scripts read the second word of this line, or a number in it, as memcached's version.
        assert_eq!(help.lines().next(), Some(version.as_str()), "{asks}");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{asks}");
        for option in [
            "--port",
            "--udp-port",
            "--listen",
            "--unix-socket",
            "--unix-mask",
            "--metrics",
            "--listen-backlog",
            "--conn-limit",
            "--memory-limit",
            "--disable-evictions",
            "--max-item-size",
            "--buffer-limit",
            "--lock-memory",
            "--max-reqs-per-event",
            "--dialect",
            "--protocol",
            "--disable-cas",
            "--disable-flush-all",
            "--disable-dumping",
            "--disable-watch",
            "--enable-shutdown",
            "--auth-file",
            "--extended",
            "--user",
            "--daemon",
            "--pidfile",
            "--snapshot",
            "--enable-coredumps",
            "--stdio",
            "--trace-file",
            "--verbose",
            "--license",
            "--threads",
            "--version",
            "--help",
        ] {
            assert!(help.contains(option), "{asks} does not tell of {option}:\n{help}");
        }
    }
    for asks in ["-V", "--version"] {
        let ended = run(&[asks], b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{asks}");
        assert_eq!(String::from_utf8(ended.stdout).unwrap().trim_end(), version, "{asks}");
    }
}

#[test]
fn options_that_do_not_parse_exit_2() {
    let cases: [&[&str]; 8] = [
        &["--no-such-option"],
        &["argument"],
        &["-p", "65536"],
        &["-c", "many"],
        &["-I", "1.5m"],
        &["-a", "888"],
        &["--dialect", "klingon"],
        &["-m"],
    ];
    for options in cases {
        let ended = run(options, b"");
        assert_eq!(ended.code, Some(2), "{options:?}: {}", ended.stderr);
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{options:?}: {ended:?}");
    }
}

/// Checks for exit code 1 and one line on stderr, which contains `why`.
pub(crate) fn assert_refused(options: &[&str], why: &str) {
    let ended = run(options, b"");
    assert_eq!(ended.code, Some(1), "{options:?}: {}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{options:?}: {}", ended.stderr);
    let said = &ended.stderr;
    assert!(said.starts_with("miocached: ") && said.contains(why), "{options:?}: {said}");
    assert_eq!(ended.stdout, b"", "{options:?}");
}

#[test]
fn what_cannot_be_had_exits_1_with_one_line() {
    assert_refused(&["-p", "0", "-c", "0"], "connection limit");
    assert_refused(&["-p", "0", "-m", "0"], "memory limit");
    assert_refused(&["-p", "0", "-m", "99999999999999999"], "--memory-limit");
    assert_refused(&["-p", "0", "-I", "1"], "item size limit");
    assert_refused(&["-p", "0", "-I", "33m"], "half of the memory limit");
    assert_refused(&["-p", "0", "-m", "3", "-I", "2m"], "half of the memory limit");
    assert_refused(&["-p", "0", "-m", "9999", "-I", "1025m"], "1 GiB");
    assert_refused(&["-p", "0", "--buffer-limit", "0"], "buffer limit");
    assert_refused(&["-l", "127.0.0.1:port"], "127.0.0.1:port");
    assert_refused(&["-l", "127.0.0.1:65536"], "127.0.0.1:65536");
    assert_refused(&["-l", ""], "cannot listen");
    // A name with an empty label, which is not sent to any name server.
    assert_refused(&["-l", "no..host:0"], "no..host");
    // An address reserved for documentation, which no machine has.
    assert_refused(&["-l", "192.0.2.1:0"], "192.0.2.1:0");
    assert_refused(&["-s", "/no/such/folder/socket"], "/no/such/folder/socket");
    // Longer than the kernel accepts.
    let long = format!("/tmp/{}", "x".repeat(200));
    assert_refused(&["-s", &long], &long);
    // --stdio has the same limits.
    assert_refused(&["--stdio", "-c", "0"], "connection limit");
}

#[test]
fn an_address_in_use_exits_1_with_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_refused(&["-l", &address], &address);
    assert_refused(&["-p", &port], &address);
}

/// If an address is in use, the server does not start, although it could listen on the others.
#[test]
fn an_address_in_use_after_a_free_one_is_one_line_too() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_refused(&["-l", "127.0.0.1:0", "-l", &address], &address);
}

#[test]
fn the_start_logs_each_listener_and_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let path = path.to_str().unwrap();
    let listens = ["-l", "127.0.0.1:0,127.0.0.1:0", "-l", "127.0.0.1", "-p", "0", "-s", path];
    let limits = ["-m", "32", "-I", "512k", "-c", "77", "--buffer-limit", "9"];
    let server = Server::start(&[&listens[..], &limits[..]].concat());
    assert_eq!(server.said.len(), 5, "{:?}", server.said);
    assert_eq!(server.places().len(), 4, "{:?}", server.said);
    assert_eq!(server.places()[3], path);
    // Test suites of clients wait for these words, which are memcached's.
    assert!(server.said[0].contains("server listening on 127.0.0.1:"), "{:?}", server.said);
    let limits = server.said.last().unwrap();
    for limit in ["items 32 MiB", "512 KiB", "77 connections", "buffers 9 MiB"] {
        assert!(limits.contains(limit), "{limits}");
    }
    let addresses = server.addresses();
    assert_eq!(addresses.len(), 3);
    for (at, address) in addresses.iter().enumerate() {
        assert!(address.ip().is_loopback() && address.port() > 0, "{address}");
        assert!(!addresses[..at].contains(address), "{addresses:?}");
        // All listeners serve the same map.
        let mut client = Client::tcp(*address);
        client.ask(format!("set key{at} 1\n{at}\n").as_bytes(), b"STORED\n");
    }
    let mut client = Client::unix(path.as_ref());
    client
        .ask(b"get key0 key1 key2\n", b"VALUE key0 1\n0\nVALUE key1 1\n1\nVALUE key2 1\n2\nEND\n");
}

#[test]
fn port_0_is_a_free_port_of_127_0_0_1_alone() {
    let server = Server::start(&["-p", "0"]);
    let other = Server::start(&["-p", "0"]);
    assert_eq!((server.addresses().len(), server.places().len()), (1, 1));
    assert_eq!(server.addresses()[0].ip().to_string(), "127.0.0.1");
    assert_ne!(server.addresses(), other.addresses());
    // Two servers have two maps.
    server.tcp().ask(b"set a 1\nx\n", b"STORED\n");
    other.tcp().ask(b"get a\n", b"END\n");
}

#[test]
fn ipv6_is_listened_on_and_means_itself_alone() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let server = Server::start(&["-l", "[::1]:0"]);
    assert_eq!(server.addresses()[0].ip(), Ipv6Addr::LOCALHOST);
    server.tcp().ask(b"get a\n", b"END\n");
    // The wildcard address of IPv6 does not include IPv4, so both can have the same port.
    let both = Server::start(&["-l", "[::]:0"]);
    let port = both.addresses()[0].port();
    let v4 = TcpListener::bind(("127.0.0.1", port));
    assert!(v4.is_ok(), "[::]:{port} took IPv4 as well");
    Client::tcp((Ipv6Addr::LOCALHOST, port).into()).ask(b"get a\n", b"END\n");
}

#[test]
fn host_names_are_resolved() {
    let server = Server::start(&["-l", "localhost:0"]);
    assert!(!server.addresses().is_empty());
    for address in server.addresses() {
        assert!(address.ip().is_loopback());
        Client::tcp(address).ask(b"get a\n", b"END\n");
    }
}

#[test]
fn a_unix_socket_alone_means_no_tcp() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let alone = Server::start(&["-s", path.to_str().unwrap()]);
    assert_eq!(alone.places(), [path.to_str().unwrap()]);
    Client::unix(&path).ask(b"get a\n", b"END\n");
    drop(alone);
    let both = Server::start(&["-s", path.to_str().unwrap(), "-p", "0"]);
    assert_eq!((both.places().len(), both.addresses().len()), (2, 1));
    Client::unix(&path).ask(b"set a 1\nx\n", b"STORED\n");
    both.tcp().ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
}

#[test]
fn the_mask_is_the_mode_of_the_socket_file() {
    let folder = tempfile::tempdir().unwrap();
    for (options, expected) in [
        (&[][..], 0o700),
        (&["-a", "770"], 0o770),
        (&["-a", "777"], 0o777),
        (&["-a", "0600"], 0o600),
    ] {
        let path = folder.path().join(format!("socket{expected}"));
        let _server = Server::start(&[&["-s", path.to_str().unwrap()], options].concat());
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, expected, "{options:?}");
    }
}

#[test]
fn the_item_limit_is_the_one_asked_for() {
    let data = vec![b'x'; MIB + MIB / 2];
    let set = [format!("set a {}\n", data.len()).as_bytes(), &data, b"\n"].concat();
    let server = Server::start(&["-p", "0", "-I", "2m"]);
    server.tcp().ask(&set, b"STORED\n");
    let server = Server::start(&["-p", "0"]);
    server.tcp().ask(&set, b"SERVER_ERROR object too large for cache\n");
}

#[test]
fn v_shows_connections_and_vv_every_step() {
    let logged = |options: &[&str]| {
        let server = Server::start(&[&["-p", "0"], options].concat());
        let mut client = server.tcp();
        client.ask(b"get nope\r\nquit\r\n", b"END\r\n");
        client.expect_end();
        // The second client's answer comes after all log lines about the first.
        server.tcp().ask(b"get a\n", b"END\n");
        if !options.is_empty() {
            until("the log tells of the end", PATIENCE, || server.log().contains("#0 closed"));
        }
        server.log()
    };
    let (silent, debug, trace) = (logged(&[]), logged(&["-v"]), logged(&["-vv"]));
    assert!(!silent.contains("#0"), "{silent}");
    assert!(debug.contains("#0 connected from 127.0.0.1:"), "{debug}");
    assert!(debug.contains("#0 closed: the client sent quit"), "{debug}");
    assert!(!debug.contains("nope"), "{debug}");
    for step in ["#0 reads 16 bytes", "classic get \"nope\"", "miss \"nope\"", "#0 writes 5 of 5"] {
        assert!(trace.contains(step), "{step} is not in {trace}");
    }
}
