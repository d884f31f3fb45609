//! memcached's options: those that set something, are ignored or are refused; and getopt's rules.

use std::time::{Duration, Instant};

use super::options::assert_refused;
use crate::harness::process::{PATIENCE, Server, run, until};

#[test]
fn unsupported_options_are_refused() {
    for option in ["-S", "--enable-sasl", "-Z", "--enable-ssl"] {
        assert_refused(&["-p", "0", option], "not built with");
    }
    for option in ["-e", "--memory-file"] {
        assert_refused(&["-p", "0", option, "/dev/shm/items"], "-e: this server is not built with");
    }
    for suboption in
        ["ext_path=/tmp/x:1G", "ssl_chain_cert=x", "proxy_config=x", "sock_cookie_id=1"]
    {
        let name = suboption.split('=').next().unwrap();
        assert_refused(&["-p", "0", "-o", &format!("modern,{suboption}")], name);
    }
    for protocol in ["auto", "binary"] {
        assert_refused(&["-p", "0", "-B", protocol, "-Y", "/no/such/file"], "-Y needs -B ascii");
    }
    assert_refused(&["-p", "0", "-o", "no_such_thing"], "no_such_thing");
    assert_refused(&["-p", "0", "-o", "idle_timeout=soon"], "number of seconds");
    assert_refused(&["-p", "0", "-Y", "/no/such/file"], "/no/such/file");
}

/// Refusals that memcached's own tests check.
#[test]
fn what_memcached_refuses_is_refused() {
    assert_refused(&["-c", "-1"], "connection limit");
    assert_refused(&["-c", "0"], "connection limit");
    assert_refused(&["-t", "0"], "-t");
    assert_refused(&["-t", "-1"], "-t");
    assert_refused(&["-R", "0"], "-R");
    assert_refused(&["-I", "1000"], "item size limit");
    assert_refused(&["-I", "256m"], "half of the memory limit");
    // A host name that does not resolve.
    assert_refused(&["-l", "fooble"], "fooble");
    for options in [["-B", "http"], ["-p", "-2"], ["-D", ""]] {
        assert_eq!(run(&options, b"").code, Some(2), "{options:?}");
    }
}

/// The server starts whether or not the kernel has huge pages.
#[test]
fn huge_pages_may_be_asked_for() {
    let server = Server::start(&["-p0", "-L"]);
    server.tcp().ask(b"set a 1\nx\nget a\n", b"STORED\nVALUE a 1\nx\nEND\n");
    assert!(!server.said.iter().any(|line| line.contains("huge")), "{:?}", server.said);
}

#[test]
fn ignored_options_are_named_in_one_warning() {
    let server = Server::start(&[
        "-p0",
        "-t4",
        "-f1.25",
        "-n48",
        "-N1",
        "-U11211",
        "-oslab_chunk_max=16,no_lru_crawler",
        "-o",
        "hashpower=20,idle_timeout=0",
    ]);
    let warnings: Vec<_> = server.said.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{:?}", server.said);
    let ignored = warnings[0].split_once("without effect here: ").unwrap().1;
    assert_eq!(
        ignored,
        "-f 1.25, -n 48, -N 1, -t 4, -U 11211, -o slab_chunk_max=16, -o no_lru_crawler, \
         -o hashpower=20"
    );
}

#[test]
fn supported_and_default_options_cause_no_warning() {
    let server = Server::start(&[
        "-p0",
        "-U0",
        "-t1",
        "-MCFXAWkr",
        "-R20",
        "-b8675",
        "-D:",
        "-Bascii",
        "-c64",
        "-m64",
        "-I",
        "512K",
        "-vv",
        "-o",
        "modern,relaxed_privileges,no_drop_privileges,maxconns_fast,track_sizes,idle_timeout=9",
        "-o",
        "no_maxconns_fast,",
    ]);
    assert!(!server.said.iter().any(|line| line.contains("WARN")), "{:?}", server.said);
    server.tcp().ask(b"get a\n", b"END\n");
}

#[test]
fn repeated_and_shortened_options_follow_getopt() {
    // The last one counts, long names may be shortened, and -- ends the options.
    let server =
        Server::start(&["-p", "1", "-p-1", "--memory-l=32", "--conn-l", "7", "-c", "9", "--"]);
    let limits = server.said.last().unwrap();
    assert!(limits.contains("items 32 MiB") && limits.contains(" 9 connections"), "{limits}");
    assert_eq!(server.addresses().len(), 1);
    assert!(server.addresses()[0].port() > 1);
    // As memcached's own tests combine them.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let path = path.to_str().unwrap();
    let server = Server::start(&["-m", "3", "-I", "1024", "-s", path, "-u", "root", "-U", "5"]);
    assert_eq!(server.places(), [path]);
}

#[test]
fn a_udp_port_alone_is_the_tcp_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start(&["-U", &free.to_string()]);
    assert_eq!(server.addresses()[0].port(), free);
    let warning =
        format!("without effect here: -U {free} (sets only the TCP port; there is no UDP)");
    assert!(server.said.iter().any(|line| line.ends_with(&warning)), "{:?}", server.said);
}

/// The first option decides: test suites probe for TLS with `--enable-ssl --version`.
#[test]
fn options_count_in_the_order_given() {
    let refused: [&[&str]; 6] = [
        &["--enable-ssl", "--version"],
        &["-Z", "-h"],
        &["-e", "/dev/shm/items", "-V"],
        &["-o", "proxy_config=x", "--version"],
        &["-e", "/dev/shm/items", "--help"],
        &["-c", "0", "--version"],
    ];
    for options in refused {
        assert_refused(options, "");
    }
    assert_eq!(run(&["-m", "64M", "--version"], b"").code, Some(2));
    for options in [["--version", "--enable-ssl"], ["-h", "-Z"], ["-V", "--no-such-option"]] {
        let ended = run(&options, b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{options:?}");
    }
}

#[test]
fn values_may_follow_white_space_and_may_not_end_in_junk() {
    let server = Server::start(&["-p 0", "-m 8", "--max-item-size= 1m", "-o idle_timeout= 9"]);
    let limits = server.said.last().unwrap();
    assert!(limits.contains("items 8 MiB, one item 1024 KiB"), "{limits}");
    assert_eq!(server.tcp().stats("settings")["idle_timeout"], "9");
    for junk in [&["-m 64M"][..], &["-m", "64 "], &["-p 0x1"], &["--conn-limit= 1e3"]] {
        assert_eq!(run(junk, b"").code, Some(2), "{junk:?}");
    }
}

/// memcached's test suite searches the output of `-h` for the names of features.
#[test]
fn the_short_help_names_no_missing_feature() {
    let help = String::from_utf8(run(&["-h"], b"").stdout).unwrap().to_lowercase();
    for word in ["sasl", "ssl", "tls", "ext_path", "proxy_config", "no_drop_privileges"] {
        assert!(!help.contains(word), "{word} is in {help}");
    }
}

/// An operator finds in `--help` what the server does with each option of memcached.
#[test]
fn the_long_help_lists_ignored_and_refused_options() {
    let help = String::from_utf8(run(&["--help"], b"").stdout).unwrap();
    for (option, fate) in [("--slab-min-size", "Ignored"), ("--enable-ssl", "Refused")] {
        let text = help.split_once(option).unwrap().1;
        assert!(text.lines().nth(1).unwrap().trim().starts_with(fate), "{option}: {help}");
    }
    for suboption in ["idle_timeout", "modern", "slab_automove_window", "ext_*", "proxy_config"] {
        let listed = help.lines().any(|line| line.starts_with(&format!("  {suboption} ")));
        assert!(listed, "{suboption} is not in {help}");
    }
    let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 100, "{longest} columns");
}

#[test]
fn the_license_is_printed() {
    for asks in ["-i", "--license"] {
        let ended = run(&[asks], b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{asks}");
        let text = String::from_utf8(ended.stdout).unwrap();
        assert!(text.contains("Permission is hereby granted"), "{text}");
    }
}

#[test]
fn only_idle_clients_are_closed_and_nothing_is_sent_to_them() {
    let server = Server::start(&["-p", "0", "-o", "idle_timeout=1", "-v"]);
    let (mut idle, mut busy, mut half) = (server.tcp(), server.tcp(), server.tcp());
    let begun = Instant::now();
    idle.ask(b"get a\n", b"END\n");
    // Part of a line does not count as a request.
    half.send(b"get a");
    while begun.elapsed() < Duration::from_millis(2600) {
        busy.ask(b"get a\n", b"END\n");
        std::thread::sleep(Duration::from_millis(20));
    }
    idle.expect_end();
    half.expect_end();
    busy.ask(b"get a\n", b"END\n");
    assert_eq!(server.log().matches("closed: it was idle").count(), 2, "{}", server.log());
    // The timer alone wakes the server for the last client.
    busy.expect_end();
    until("all are closed", PATIENCE, || server.log().matches("it was idle").count() == 3);
    let naps = server.naps();
    std::thread::sleep(Duration::from_millis(1500));
    // The server may still have been awake when it logged the last close.
    assert!(server.naps() - naps <= 1, "it wakes up without clients");
}

/// A client that is slow to take its answer is not idle.
#[test]
fn a_client_with_an_unsent_answer_is_not_idle() {
    let server = Server::start(&["-p", "0", "-o", "idle_timeout=1"]);
    let mut client = server.tcp();
    let data = crate::harness::process::value(1_000_000);
    let (set, block) = crate::harness::process::stored("a", &data);
    client.ask(&set, b"STORED\n");
    const TIMES: usize = 20;
    client.send(format!("get{}\n", " a".repeat(TIMES)).as_bytes());
    std::thread::sleep(Duration::from_millis(2500));
    for _ in 0..TIMES {
        client.expect(&block);
    }
    client.expect(b"END\n");
}

#[test]
fn with_no_maxconns_fast_clients_wait_at_the_limit() {
    let server = Server::start(&["-p", "0", "-c", "2", "-o", "no_maxconns_fast"]);
    let (mut first, mut second) = (server.tcp(), server.tcp());
    first.ask(b"get a\n", b"END\n");
    second.ask(b"get a\n", b"END\n");
    let mut waiting = [server.tcp(), server.tcp(), server.tcp()];
    for client in &mut waiting {
        client.send(b"get a\n");
        client.stream.set_nonblocking(true).unwrap();
    }
    let naps = server.naps();
    std::thread::sleep(Duration::from_millis(500));
    assert!(server.naps() - naps <= 5, "it does not sleep");
    for client in &waiting {
        let error = client.stream.peek(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
    first.ask(b"get a\n", b"END\n");
    // Each close lets the server accept the next client, in the order of their connecting.
    let mut open = vec![first, second];
    for client in waiting {
        drop(open.pop());
        client.stream.set_nonblocking(false).unwrap();
        let mut client = client;
        client.expect(b"END\n");
        open.push(client);
    }
    assert!(server.log().contains("connection limit reached"), "{}", server.log());
}
