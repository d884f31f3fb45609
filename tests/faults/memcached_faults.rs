//! What memcached 1.6.43 to 1.6.45 mend: each fault as an input to this server.
//!
//! [`FAULTS`] has every commit from 1.6.42 to 1.6.45 that mends a fault, and CVE-2026-47783, which 1.6.42
//! mends. Most are errors of memory, which safe code has in another form, if at all: a length that is
//! wrong, a count that overflows, a loop without end. So the tests look at answers, at the memory that
//! is held, and at whether the server goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::address_space::limit;
use crate::harness::frames::Frame;
use crate::harness::process::{Client, MIB, PATIENCE, Server, run, until, value};

/// A fault of memcached.
struct Fault {
    /// The commit that mends it, and the subject of that.
    commit: &'static str,
    subject: &'static str,
    trial: Trial,
}

/// How the fault is tried here.
enum Trial {
    /// By these requests and their answers, on one connection.
    Asks(&'static [(&'static str, &'static str)]),
    /// By the test of this name, here or in [`SNAPSHOTS`].
    Test(&'static str),
    /// Not at all: the fault is in this part of memcached, which does not exist here.
    Without(Part),
}

/// A part of memcached that does not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Proxy,
    Tls,
    FlashStorage,
    /// The filter of system calls.
    Seccomp,
}

use Part::{FlashStorage, Proxy, Seccomp, Tls};
use Trial::{Asks, Test, Without};

const fn fault(commit: &'static str, subject: &'static str, trial: Trial) -> Fault {
    Fault { commit, subject, trial }
}

/// The latest first. Left out are two commits that change tests alone (2d51e3647, 170d78739), one that
/// adds a test for another one (f83e3196d), one that changes a comment (a372e0d6c), and one that adds the
/// functions that 17684bfa9 uses (cc36a72a4).
const FAULTS: [Fault; 43] = [
    // 1.6.45
    fault("3c8993087", "proxy: extra warning for user config error", Without(Proxy)),
    fault("7d8ef8fcd", "proto: convert more strto calls", Asks(MISSING_NUMBERS)),
    fault("7c5f1bb4d", "proto: meta preparse F flag fix", Asks(MISSING_CLIENT_FLAGS)),
    fault("b700e7000", "proxy: fix `res:line()` returning wrong response", Without(Proxy)),
    fault("14189cfcb", "proxy: fix overread of spaces for large gets", Without(Proxy)),
    fault("17684bfa9", "ascii: safely convert flag args to numerics", Asks(MISSING_ARGUMENTS)),
    fault("152ddb68f", "ascii: fix unlocked refcount-- on error path", Test("opaques_too_long")),
    fault("3a66ebeb1", "logger: fix null watcher more.", Test("watchers_reset")),
    fault("3099be2d3", "proxy: key filter null byte written to wrong place", Without(Proxy)),
    fault("96327ffb3", "proxy: fix detail len clamp in request logging", Without(Proxy)),
    fault("42fb381bd", "proxy: enforce minimum rate limit", Without(Proxy)),
    fault("93b5e10fd", "ascii: fix refcount leak on `ms` parse error", Test("values_of_bad_ms")),
    fault("5f2b61ae3", "proxy: reserve enough space for proxy BE_EVENT", Without(Proxy)),
    fault(
        "8b852b61f",
        "network: fix segfault on OOM during net read",
        Test("long_get_without_memory"),
    ),
    fault("665d8cb94", "proxy: fix missing default handler in resnull", Without(Proxy)),
    fault("76dc58c6b", "stats: cap stats prefix count at 2^16", Test("many_prefixes")),
    fault("7aa08ac2b", "binprot: GETK against extore can hang worker", Without(FlashStorage)),
    fault("46ba41720", "proxy: fix memory leak after failed request render", Without(Proxy)),
    fault("212c3820c", "proxy: fix underflow in key hash filters", Without(Proxy)),
    fault("3bc58f6ea", "logger: closed worker fix again", Test("watchers_reset")),
    fault("6ab74b585", "ascii: fix crash with invalid automove windows", Asks(AUTOMOVE_WINDOWS)),
    fault("98df965b2", "proxy: fix footgun when excessive backend labels", Without(Proxy)),
    fault("08474d86a", "slabs: fix off by one in slab picker loop", Asks(ANY_SLAB_CLASS)),
    fault("e8364b58b", "ascii: fix potential overrun when given all spaces", Test("spaces")),
    fault("2c2e85b69", "proxy: fix mutator crash in flagcopyall", Without(Proxy)),
    fault("0d77dc6c3", "restart: avoid runaway read with corrupt file", Test(NO_NUMBER)),
    fault("9dcfdef76", "proxy: fix ring hash default mode", Without(Proxy)),
    fault("8a34f076d", "tls: uninitialized string can be used in error", Without(Tls)),
    fault("1b7d78de9", "proxy: fix off by one in request_append", Without(Proxy)),
    fault("e7793811f", "logger: fix use-after-free of closed watcher", Test("watchers_reset")),
    // 1.6.44
    fault("e44dd0b01", "proxy: backends with large values cause overflows", Without(Proxy)),
    // CVE-2026-90698.
    fault(
        "af05c9302",
        "ascii: crash with auth enabled and empty newlines",
        Test("empty_lines_for_auth"),
    ),
    fault("ea35f441f", "crawler: fix potential unlock of unlocked mutex", Test("dumps_reset")),
    fault(
        "7eeac6e9a",
        "crawler: fix buffer overflow on idle client",
        Test("dump_that_is_not_read"),
    ),
    fault("aa352388a", "binprot: allow disabling stats detail", Test("stats_detail_forbidden")),
    // 1.6.43
    fault("e3b7d33ce", "binprot: avoid item refcount overflows", Test("many_answers_of_one_item")),
    fault("cb2aacc0b", "mcmc: upstream bump for security issue", Without(Proxy)),
    fault("822fa941b", "seccomp: allow ppoll in worker sandbox", Without(Seccomp)),
    fault(
        "626673352",
        "core: avoid slab reassignment while holding locks",
        Test("automove_when_full"),
    ),
    fault("e311571de", "lru_crawler: add missing OK\\r\\n prefix to dumps", Asks(EMPTY_DUMPS)),
    fault(
        "1f1d030f6",
        "Avoid unaligned accesses on NEED_ALIGN builds",
        Test("flags_at_every_offset"),
    ),
    fault("3791d9eda", "core: enforce ascii auth more when enabled", Test("auth_allows_no_binary")),
    // 1.6.42
    fault(
        "d13f282b4",
        "Fix timing side-channel in SASL password database authentication",
        Test("users_and_strangers"),
    ),
];

/// The number that is missing is in the next line.
const MISSING_NUMBERS: &[(&str, &str)] = &[
    ("set n 0 0 1\r\n5\r\n", "STORED\r\n"),
    ("touch n\r\n100\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\n"),
    ("touch n \r\n100\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\n"),
    ("incr n\r\n700\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\n"),
    ("decr n  \r\n700\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\n"),
    ("gat\r\n100\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\n"),
    ("gat 100\r\nnine\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\n"),
    ("gats \r\n100 n\r\n", "CLIENT_ERROR bad command line format\r\nERROR\r\n"),
    ("get n\r\n", "VALUE n 0 1\r\n5\r\nEND\r\n"),
];

const MISSING_CLIENT_FLAGS: &[(&str, &str)] = &[
    ("ms a 2 F\r\n12\r\n", "CLIENT_ERROR bad command line format\r\n"),
    ("ms a 2 F \r\n12\r\n", "CLIENT_ERROR bad command line format\r\n"),
    ("ms a 2 S F\r\n12\r\nmg a f\r\n", "CLIENT_ERROR invalid flag\r\nEN\r\n"),
    ("ms a 2 F12\r\n34\r\nmg a f v\r\n", "HD\r\nVA 2 f12\r\n34\r\n"),
];

const MISSING_ARGUMENTS: &[(&str, &str)] = &[
    ("set a 0 0 1\r\nx\r\n", "STORED\r\n"),
    ("mg a N\r\n30\r\n", "CLIENT_ERROR bad token in command line format\r\nERROR\r\n"),
    ("mg a T\r\n30\r\n", "CLIENT_ERROR bad token in command line format\r\nERROR\r\n"),
    ("mg a R\r\n30\r\n", "CLIENT_ERROR bad token in command line format\r\nERROR\r\n"),
    ("md a C\r\n30\r\n", "CLIENT_ERROR bad token in command line format\r\nERROR\r\n"),
    ("md a E\r\n30\r\n", "CLIENT_ERROR bad token in command line format\r\nERROR\r\n"),
    ("ms a 1 C\r\n3\r\n", "CLIENT_ERROR bad token in command line format\r\n"),
    ("ms a 1 T\r\n3\r\n", "CLIENT_ERROR bad token in command line format\r\n"),
    ("ma a N0 J\r\n30\r\n", "CLIENT_ERROR invalid or duplicate flag\r\nERROR\r\n"),
    ("ma a D\r\n30\r\n", "CLIENT_ERROR invalid or duplicate flag\r\nERROR\r\n"),
    ("cas a 0 0 1\r\n3\r\n", "CLIENT_ERROR bad command line format\r\n"),
    ("mg a t v\r\n", "VA 1 t-1\r\nx\r\n"),
];

const AUTOMOVE_WINDOWS: &[(&str, &str)] = &[
    ("slabs automove 1\r\n", "OK\r\n"),
    ("slabs automove window 0\r\n", "CLIENT_ERROR automove window too low or too high\r\n"),
    ("slabs automove window 67108864\r\n", "CLIENT_ERROR automove window too low or too high\r\n"),
    (
        "slabs automove window 4294967295\r\n",
        "CLIENT_ERROR automove window too low or too high\r\n",
    ),
    ("set a 0 0 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n"),
];

const ANY_SLAB_CLASS: &[(&str, &str)] = &[
    ("slabs reassign -1 1\r\n", "CLIENT_ERROR slab reassignment disabled\r\n"),
    ("slabs reassign -1 63\r\n", "CLIENT_ERROR slab reassignment disabled\r\n"),
    ("slabs reassign 64 -1\r\n", "CLIENT_ERROR slab reassignment disabled\r\n"),
];

const EMPTY_DUMPS: &[(&str, &str)] = &[
    ("lru_crawler metadump all\r\n", "OK\r\nEND\r\n"),
    ("lru_crawler metadump hash\r\n", "OK\r\nEND\r\n"),
    ("lru_crawler mgdump hash\r\n", "OK\r\nEN\r\n"),
];

/// The tests of damaged snapshots, which are memcached's memory files here.
const SNAPSHOTS: &str = include_str!("../snapshot/damage.rs");
/// The test there whose files have wrong lengths under right checksums.
const NO_NUMBER: &str = "no_number_in_a_file_is_trusted";

/// Faults that can be tried here. The README has the number.
const TRIED: usize = 24;

#[test]
fn each_fault_of_memcached_is_tried() {
    let server = Server::start(&["-p", "0"]);
    let mut tried = 0;
    for Fault { commit, subject, trial } in &FAULTS {
        // A failure shows this output.
        println!("{commit} {subject}");
        match trial {
            Without(part) => {
                println!("no {part:?} here");
                continue;
            }
            Asks(requests) => {
                let mut client = server.tcp();
                for (request, answer) in *requests {
                    client.ask(request.as_bytes(), answer.as_bytes());
                }
                client.ask(b"flush_all\r\nmn\r\n", b"OK\r\nMN\r\n");
            }
            Test(name) => {
                let test = format!("#[test]\nfn {name}() {{");
                let tests = [include_str!("memcached_faults.rs"), SNAPSHOTS];
                assert!(tests.iter().any(|text| text.contains(&test)), "there is no {name}");
            }
        }
        tried += 1;
    }
    assert_eq!(tried, TRIED);
}

/// A server that has stored `a`, and a client of it.
fn server_with_a(options: &[&str]) -> (Server, Client<TcpStream>) {
    let server = Server::start(&[&["-p", "0"], options].concat());
    let mut client = server.tcp();
    client.ask(b"set a 0 0 1\r\nx\r\n", b"STORED\r\n");
    (server, client)
}

const FOUND: &[u8] = b"VALUE a 0 1\r\nx\r\nEND\r\n";

/// Each refused request dropped a reference that it did not hold: 2^16 of them wrapped the count.
#[test]
fn opaques_too_long() {
    let (server, mut client) = server_with_a(&[]);
    let request = [b"mg a v O".as_slice(), &[b'o'; 32], b"\r\n"].concat();
    for _ in 0..70 {
        client.send(&request.repeat(1000));
        client.expect(&b"CLIENT_ERROR opaque token too long\r\n".repeat(1000));
    }
    client.ask(b"get a\r\nset a 0 0 1\r\ny\r\n", &[FOUND, b"STORED\r\n"].concat());
    server.tcp().ask(b"mg a v\r\n", b"VA 1\r\ny\r\n");
}

/// Clients that watch are reset while lines are written for them, and others go on.
#[test]
fn watchers_reset() {
    let (server, mut client) = server_with_a(&["-o", "watcher_logbuf_size=2"]);
    let watcher = || {
        let mut watcher = server.tcp();
        watcher.ask(b"watch fetchers connevents\r\n", b"OK\r\n");
        watcher
    };
    let mut stays = watcher();
    for _ in 0..20 {
        let crowd: Vec<_> = (0..19).map(|_| watcher()).collect();
        client.send(&b"get a\r\n".repeat(50));
        // Some are reset before the lines, some after, and some with lines that they have not read.
        crowd.into_iter().for_each(Client::reset);
        client.expect(&FOUND.repeat(50));
        until("they are gone", PATIENCE, || client.figure("log_watchers") == 1);
    }
    client.ask(b"get last\r\n", b"END\r\n");
    let mut lines = String::new();
    while !lines.contains("key=last ") {
        let mut bytes = [0; 4096];
        let read = stays.stream.read(&mut bytes).unwrap();
        assert!(read > 0, "{lines}");
        lines.push_str(str::from_utf8(&bytes[..read]).unwrap());
        // A slow watcher gets the number of lines that it has missed, and the later ones.
        client.ask(b"get last\r\n", b"END\r\n");
    }
    let is_whole = |line: &str| line.starts_with("ts=") || line.starts_with("skipped=");
    let (whole, _) = lines.rsplit_once('\n').unwrap();
    assert!(whole.lines().all(is_whole), "{lines}");
}

/// The memory for each value was lost. Here it would be that of the buffers, or of the store.
#[test]
fn values_of_bad_ms() {
    const VALUE_BYTES: usize = 500_000;
    let (server, mut client) = server_with_a(&["-m", "16"]);
    let data = value(VALUE_BYTES);
    let opaque = "o".repeat(32);
    let refused = [
        (format!("O{opaque}"), "CLIENT_ERROR opaque token too long\r\n"),
        ("MX".into(), "CLIENT_ERROR invalid mode for ms M token\r\n"),
        ("T".into(), "CLIENT_ERROR bad token in command line format\r\n"),
    ];
    for (flag, answer) in refused.iter().cycle().take(150) {
        let line = format!("ms a {VALUE_BYTES} {flag}\r\n");
        client.send(line.as_bytes());
        client.send(&data);
        client.ask(b"\r\n", answer.as_bytes());
    }
    client.ask(b"get a\r\n", FOUND);
    assert_eq!((client.figure("evictions"), client.figure("curr_items")), (0, 1));
    let peak = server.resident_peak();
    assert!(peak < 32 * MIB, "{peak} bytes");
}

/// A `get` whose keys do not end, when there is no memory left for a longer buffer.
#[test]
fn long_get_without_memory() {
    let (server, mut normal) = server_with_a(&["-m", "16"]);
    limit(&server, 3 * MIB);
    let keys = b" a".repeat(500_000);
    for _ in 0..20 {
        let mut client = server.tcp();
        // The server may close before it has read everything.
        let _ = client.stream.write_all(&[b"get", &keys[..]].concat());
        normal.ask(b"get a\r\n", FOUND);
        drop(client);
    }
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.tcp();
            let _ = client.stream.write_all(&[b"get", &keys[..]].concat());
            client
        })
        .collect();
    until("the log says so", PATIENCE, || server.log().contains("no memory for its buffers"));
    normal.ask(b"get a\r\n", FOUND);
    drop(clients);
    normal.ask(b"get a\r\n", FOUND);
}

#[test]
fn many_prefixes() {
    let (server, mut client) = server_with_a(&[]);
    client.ask(b"stats detail on\r\n", b"OK\r\n");
    let before = server.resident();
    for thousand in 0..100 {
        let gets: String = (0..1000).map(|one| format!("get {thousand}-{one}:x\r\n")).collect();
        client.ask(gets.as_bytes(), &b"END\r\n".repeat(1000));
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 4 * MIB, "{grown} bytes more for prefixes");
    let counted = client.stats("detail dump");
    drop(counted);
    client.ask(b"stats detail off\r\nget a\r\n", &[b"OK\r\n", FOUND].concat());
}

/// Spaces without an end of line. memcached looked for a `get` beyond the end of its buffer. A line that
/// may become one of the simple dialect is longer.
#[test]
fn spaces() {
    for (dialect, counts) in [("classic", &[4095, 14_000, 65_535][..]), ("auto", &[MIB + 2])] {
        let (server, mut client) = server_with_a(&["--dialect", dialect]);
        for &count in counts {
            let mut spaces = server.tcp();
            // The server may close before it has read everything.
            let _ = spaces.stream.write_all(&b" ".repeat(count));
            spaces.expect_end();
            client.ask(b"get a\r\n", FOUND);
        }
    }
}

#[test]
fn empty_lines_for_auth() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth");
    std::fs::write(&path, "user:secret\n").unwrap();
    let server = Server::start(&["-p", "0", "-Y", path.to_str().unwrap()]);
    for empty in [&b"\n"[..], b"\r\n", b"\n\n\n\n", b"\r\n\r\n\r\n", b" \n", b"\0\r\n", b"set\r\n"]
    {
        for times in [1, 1000] {
            let mut client = server.tcp();
            client.send(&empty.repeat(times));
            client.expect_end();
        }
    }
    let login = b"set x 0 0 11\r\nuser secret\r\nget a\r\n";
    server.tcp().ask(login, b"STORED\r\nEND\r\n");
}

/// Stores so many items of 100 bytes that their list takes some megabytes.
fn store_many(client: &mut Client<TcpStream>, items: u32) {
    let data = "d".repeat(100);
    let sets: String =
        (0..items).map(|item| format!("set key-{item} 0 0 100 noreply\r\n{data}\r\n")).collect();
    client.ask(&[sets.as_bytes(), b"mn\r\n"].concat(), b"MN\r\n");
}

/// A client that ends while its list is written.
#[test]
fn dumps_reset() {
    let (server, mut client) = server_with_a(&[]);
    store_many(&mut client, 20_000);
    for times in 0..50 {
        let mut dump = server.tcp();
        dump.ask(b"lru_crawler metadump all\r\n", b"OK\r\n");
        if times % 2 == 0 {
            dump.expect(b"key=");
        }
        dump.reset();
        client.ask(b"get a\r\n", FOUND);
    }
    until("they are gone", PATIENCE, || client.figure("curr_connections") == 1);
    assert_eq!(dumped(&mut client), 20_001);
}

/// Reads a whole list. Returns the number of its lines.
fn dumped(client: &mut Client<TcpStream>) -> usize {
    client.ask(b"lru_crawler metadump all\r\n", b"OK\r\n");
    let mut list = Vec::new();
    while !list.ends_with(b"END\r\n") {
        let mut bytes = [0; 65536];
        let read = client.stream.read(&mut bytes).unwrap();
        assert!(read > 0, "it closes after {} bytes", list.len());
        list.extend_from_slice(&bytes[..read]);
    }
    let lines = list.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"key="));
    lines.inspect(|line| assert!(line.ends_with(b" "), "{}", line.escape_ascii())).count()
}

/// A client that asks for a list and reads it late: nothing is written beyond its buffer, no line is
/// lost, and it keeps no one else waiting.
#[test]
fn dump_that_is_not_read() {
    let (server, mut client) = server_with_a(&[]);
    store_many(&mut client, 100_000);
    let before = server.resident();
    let mut slow: Vec<_> = (0..4).map(|_| server.tcp()).collect();
    for dump in &mut slow {
        dump.send(b"lru_crawler metadump all\r\n");
    }
    for _ in 0..1000 {
        client.ask(b"get a\r\n", FOUND);
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 2 * MIB, "{grown} bytes more for lists");
    for dump in &mut slow {
        dump.expect(b"OK\r\nkey=");
        let mut list = Vec::new();
        while !list.ends_with(b"END\r\n") {
            let mut bytes = [0; 65536];
            let read = dump.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "it closes after {} bytes", list.len());
            list.extend_from_slice(&bytes[..read]);
        }
        assert_eq!(list.iter().filter(|&&byte| byte == b'\n').count(), 100_002);
    }
}

#[test]
fn stats_detail_forbidden() {
    let (_server, mut client) = server_with_a(&["-X", "-D", ":"]);
    let mut binary = _server.tcp();
    for topic in ["detail on", "detail off", "detail dump", "detail dumped", "detail"] {
        let request = Frame::request("stat").key(topic.as_bytes()).bytes();
        let not_found = Frame { status: 1, value: b"Not found".to_vec(), ..Frame::new(0x81, 0x10) };
        binary.ask(&request, &not_found.bytes());
    }
    client.ask(b"get a\r\n", FOUND);
}

/// An item had a count of 16 bits for the answers that hold it.
#[test]
fn many_answers_of_one_item() {
    const GETS: usize = 100_000;
    let (server, mut client) = server_with_a(&["-m", "16"]);
    let mut slow = server.tcp();
    let get = Frame::request("get").key(b"a").bytes();
    let sending = slow.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || (&sending).write_all(&get.repeat(GETS)).unwrap());
    // Meanwhile the item is replaced and deleted, and others take its place.
    for _ in 0..50 {
        client.ask(b"get a\r\nset a 0 0 1\r\ny\r\n", &[FOUND, b"STORED\r\n"].concat());
        client.ask(b"delete a\r\nset a 0 0 1\r\nx\r\n", b"DELETED\r\nSTORED\r\n");
        store_many(&mut client, 100);
    }
    let mut answers = 0;
    let mut read = Vec::new();
    while answers < GETS {
        let mut bytes = [0; 65536];
        let more = slow.stream.read(&mut bytes).unwrap();
        assert!(more > 0, "it closes after {answers} answers");
        read.extend_from_slice(&bytes[..more]);
        let mut rest = &read[..];
        while let Some((frame, after)) = Frame::split_from(rest) {
            let is_missing = frame.status == 1 && frame.value == b"Not found";
            assert!(is_missing || [&b"x"[..], b"y"].contains(&&frame.value[..]), "{frame:?}");
            (rest, answers) = (after, answers + 1);
        }
        read = rest.to_vec();
    }
    sender.join().unwrap();
    client.ask(b"get a\r\n", FOUND);
}

/// In memcached, moves of slab pages at an eviction could wait for themselves.
#[test]
fn automove_when_full() {
    let (_server, mut client) = server_with_a(&["-m", "8", "-o", "slab_automove=2"]);
    client.ask(b"slabs automove 2\r\n", b"OK\r\n");
    for kib in [1, 4, 16, 64, 256, 1, 256, 4] {
        let data = "d".repeat(kib << 10);
        for item in 0..(16 << 10) / kib {
            let line = format!("set {kib}-{item} 0 0 {} noreply\r\n{data}\r\n", data.len());
            client.send(line.as_bytes());
        }
        client.ask(b"mn\r\n", b"MN\r\n");
    }
    assert!(client.figure("evictions") > 0);
    client.ask(b"set a 0 0 1\r\nx\r\nget a\r\n", &[b"STORED\r\n", FOUND].concat());
}

/// Keys of every length, so that flags and values begin at every offset.
#[test]
fn flags_at_every_offset() {
    let (_server, mut client) = server_with_a(&[]);
    for (bytes, flags) in (1..=250).zip((0..8).cycle().map(|number| 0x0102_0304 * (number + 1))) {
        let key = "k".repeat(bytes);
        let requests = format!("set {key} {flags} 0 2\r\nab\r\nget {key}\r\nmg {key} f v\r\n");
        let answers =
            format!("STORED\r\nVALUE {key} {flags} 2\r\nab\r\nEND\r\nVA 2 f{flags}\r\nab\r\n");
        client.ask(requests.as_bytes(), answers.as_bytes());
    }
}

/// `-Y` could be turned off by an address that speaks binary.
#[test]
fn auth_allows_no_binary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth");
    std::fs::write(&path, "user:secret\n").unwrap();
    let path = path.to_str().unwrap();
    for refused in [
        &["-B", "binary"][..],
        &["-B", "auto"],
        &["-l", "proto[binary]:127.0.0.1"],
        &["-l", "proto[negotiating]:127.0.0.1"],
    ] {
        let ended = run(&[&["-p", "0", "-Y", path], refused].concat(), b"");
        assert!(ended.code.is_some_and(|code| code > 0), "{refused:?}: {ended:?}");
    }
    let server = Server::start(&["-p", "0", "-Y", path]);
    let mut client = server.tcp();
    let frame = Frame::request("get").key(b"a").bytes();
    client.ask(&[&frame[..], b"\r\n"].concat(), b"CLIENT_ERROR unauthenticated\r\n");
}

/// CVE-2026-47783: the time of an answer showed which user names exist. Here every user is compared, in
/// constant time (`engine/auth.rs`); the answers, too, are the same.
#[test]
fn users_and_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth");
    let users: String = (0..8).map(|user| format!("user{user}:secret{user}\n")).collect();
    std::fs::write(&path, users).unwrap();
    let server = Server::start(&["-p", "0", "-Y", path.to_str().unwrap()]);
    let mut client = server.tcp();
    for guess in ["user0 secret1", "user7 secret0", "user9 secret0", "user0 secretX"] {
        let set = format!("set x 0 0 13\r\n{guess}\r\n");
        client.ask(set.as_bytes(), b"CLIENT_ERROR authentication failure\r\n");
    }
    for user in 0..8 {
        let set = format!("set x 0 0 13\r\nuser{user} secret{user}\r\nget a\r\n");
        server.tcp().ask(set.as_bytes(), b"STORED\r\nEND\r\n");
    }
}
