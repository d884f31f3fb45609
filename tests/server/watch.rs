//! `watch`: the lines that watchers are sent, beside memcached's, and what a watcher may cost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::peers::Memcached;
use crate::harness::process::{Client, MIB, PATIENCE, Server, until};
use crate::harness::scripts::Conversation;

/// A connection that watches, read line by line.
struct Watcher<S> {
    client: Client<S>,
    read: Vec<u8>,
}

impl<S: Read + Write> Watcher<S> {
    fn new(stream: S, words: &str) -> Self {
        let mut client = Client { stream };
        client.ask(format!("watch{words}\r\n").as_bytes(), b"OK\r\n");
        Self { client, read: Vec::new() }
    }

    /// The next line, without its end. None at the end of the input.
    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
                let line = self.read.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            let mut bytes = [0; 65536];
            let read = self.client.stream.read(&mut bytes).unwrap();
            if read == 0 {
                return None;
            }
            self.read.extend_from_slice(&bytes[..read]);
        }
    }

    /// The lines up to the one of a lookup of `key`, without times and numbers that differ.
    fn lines_to(&mut self, key: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().unwrap();
            if line.contains(&format!(" key={key} ")) {
                return lines;
            }
            lines.push(stable(&line));
        }
    }
}

/// A line without its time, its number, and the numbers of descriptors and ports.
fn stable(line: &str) -> String {
    let mut words = line.split(' ');
    let number = |word: &str, name: &str, separators: &[char]| {
        let number = word.strip_prefix(name).unwrap_or_else(|| panic!("{line}"));
        assert!(number.split(separators).all(|part| part.parse::<u64>().is_ok()), "{line}");
    };
    number(words.next().unwrap(), "ts=", &['.']);
    number(words.next().unwrap(), "gid=", &[]);
    let rest = words.map(|word| match word.split_once('=') {
        Some((name @ ("cfd" | "rport"), _)) => format!("{name}=N"),
        _ => word.to_owned(),
    });
    rest.collect::<Vec<_>>().join(" ")
}

/// Requests, and the lines that they cause.
const EVENTS: [(&str, &[&str]); 37] = [
    ("get a\r\n", &["get a not_found 0 0"]),
    ("set a 5 0 3\r\nabc\r\n", &["get a not_found 0 0", "store a stored set 0 3"]),
    ("get a\r\n", &["get a found 1 3"]),
    ("gets a b\r\n", &["get a found 1 3", "get b not_found 0 0"]),
    ("add a 0 0 1\r\nx\r\n", &["get a found 1 3", "store a not_stored add 0 1"]),
    ("replace b 0 0 1\r\nx\r\n", &["get b not_found 0 0", "store b not_stored replace 0 1"]),
    ("append a 0 0 2\r\nde\r\n", &["get a found 1 3", "store a stored append 0 5"]),
    ("prepend a 0 0 2\r\nde\r\n", &["get a found 1 5", "store a stored prepend 0 7"]),
    ("cas a 0 0 1 999\r\nx\r\n", &["get a found 1 7", "store a exists cas 0 1"]),
    ("cas q 0 0 1 1\r\nx\r\n", &["get q not_found 0 0", "store q not_found cas 0 1"]),
    ("set t 0 100 1\r\nx\r\n", &["get t not_found 0 0", "store t stored set 100 1"]),
    ("touch t 0\r\n", &["get t found 1 1"]),
    ("gat -1 t\r\n", &["get t found 1 1"]),
    ("get t\r\n", &["get t expired 0 0"]),
    ("get t\r\n", &["get t not_found 0 0"]),
    ("set u 0 0 1\r\nx\r\n", &["get u not_found 0 0", "store u stored set 0 1"]),
    ("gat -1 u\r\n", &["get u found 1 1"]),
    ("touch u 0\r\n", &["get u expired 0 0"]),
    ("get other\r\n", &["get other not_found 0 0"]),
    ("set n 0 0 2\r\n10\r\n", &["get n not_found 0 0", "store n stored set 0 2"]),
    ("incr n 1000\r\n", &["get n found 1 2"]),
    ("decr none 1\r\n", &["get none not_found 0 0"]),
    ("mg a v\r\n", &["get a found 1 7"]),
    ("mg viv v N30\r\n", &["get viv not_found 0 0"]),
    ("ms x 2\r\nab\r\n", &["get x not_found 0 0", "store x stored set 0 2"]),
    ("ms x 2 MA\r\ncd\r\n", &["get x found 1 2", "store x stored append 0 4"]),
    ("ms x 2 C1\r\nab\r\n", &["get x found 1 4", "store x exists cas 0 2"]),
    ("ms YWJj 1 b\r\nx\r\n", &["get abc not_found 0 0", "store abc stored set 0 1"]),
    (
        "ma new N0 J5\r\n",
        &["get new not_found 0 0", "get new not_found 0 0", "store new stored add 0 1"],
    ),
    ("md x I\r\n", &["get x found 1 4"]),
    (
        "md x x\r\n",
        &["get x found 1 4", "get x found 1 4", "store x stored set 0 0", "deleted x md 0"],
    ),
    ("md x\r\n", &["get x found 1 0", "deleted x md 0"]),
    ("md x\r\n", &["get x not_found 0 0"]),
    ("delete a\r\n", &["get a found 1 7", "deleted a delete 7"]),
    ("delete a\r\n", &["get a not_found 0 0"]),
    ("me n\r\n", &["get n found 1 4"]),
    (
        "set a%b/#~ 0 0 1\r\nx\r\n",
        &["get a%25b%2F%23~ not_found 0 0", "store a%25b%2F%23~ stored set 0 1"],
    ),
];

/// A line of the table, written out.
fn written_out(event: &str) -> String {
    let words: Vec<&str> = event.split(' ').collect();
    match words[..] {
        ["get", key, status, class, size] => {
            format!("type=item_get key={key} status={status} clsid={class} cfd=N size={size}")
        }
        ["store", key, status, command, ttl, size] => format!(
            "type=item_store key={key} status={status} cmd={command} ttl={ttl} clsid=1 cfd=N \
             size={size}"
        ),
        ["deleted", key, command, size] => {
            format!("type=deleted key={key} cmd={command} clsid=1 size={size}")
        }
        _ => panic!("{event}"),
    }
}

/// Sends all requests of the table, each with a lookup that marks its end in the log.
fn check_events<S: Read + Write>(mut client: Client<S>, mut watcher: Watcher<S>) {
    for (index, (request, events)) in EVENTS.iter().enumerate() {
        client.send(request.as_bytes());
        client.send(format!("get mark{index}\r\nmn\r\n").as_bytes());
        let mut answer = Vec::new();
        while !answer.ends_with(b"MN\r\n") {
            let mut bytes = [0; 1000];
            let read = client.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "it closes at {request:?}");
            answer.extend_from_slice(&bytes[..read]);
        }
        let expected: Vec<String> = events.iter().map(|event| written_out(event)).collect();
        assert_eq!(watcher.lines_to(&format!("mark{index}")), expected, "{request:?}");
    }
}

const ITEM_EVENTS: &str = " fetchers mutations deletions";

#[test]
fn the_events_of_items_are_shown() {
    let server = Server::start(&["-p", "0"]);
    check_events(server.tcp(), Watcher::new(server.tcp().stream, ITEM_EVENTS));
}

#[test]
fn memcached_shows_the_same_events() {
    let Some(memcached) = Memcached::current_or_skip() else { return };
    let running = memcached.start(&Conversation::default());
    let watcher = Watcher::new(running.connect(), ITEM_EVENTS);
    // Its threads begin to log a little later.
    let mut client = Client { stream: running.connect() };
    let mut first = Watcher { client: Client { stream: running.connect() }, read: Vec::new() };
    first.client.ask(b"watch\r\n", b"OK\r\n");
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    client.ask(b"get first\r\n", b"END\r\n");
    first.lines_to("first");
    let mut watcher = watcher;
    watcher.lines_to("first");
    check_events(client, watcher);
}

#[test]
fn a_watcher_sees_only_what_it_asked_for() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    let mut all = Watcher::new(server.tcp().stream, "");
    let mut stores = Watcher::new(server.tcp().stream, " mutations rawcmds sysevents proxyreqs");
    client.ask(b"set a 0 0 1\r\nx\r\nget a\r\n", b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
    client.ask(b"set mark 0 0 1\r\nx\r\nget mark\r\n", b"STORED\r\nVALUE mark 0 1\r\nx\r\nEND\r\n");
    assert_eq!(
        all.lines_to("mark"),
        [written_out("get a not_found 0 0"), written_out("get a found 1 1")]
    );
    assert_eq!(stores.lines_to("mark"), [written_out("store a stored set 0 1")]);
    assert_eq!(client.figure("log_watchers"), 2);
    assert_eq!(client.stats("conns").values().filter(|state| *state == "conn_watch").count(), 2);
    // What a watcher sends has no effect, and when it closes, it watches no more.
    all.client.send(b"set b 0 0 1\r\nx\r\n");
    drop(all);
    drop(stores);
    until("the watchers are gone", PATIENCE, || client.figure("log_watchers") == 0);
    client.ask(b"get b\r\n", b"END\r\n");
}

#[test]
fn evictions_are_shown() {
    let server = Server::start(&["-p", "0", "-m", "8"]);
    let mut client = server.tcp();
    let store = |client: &mut Client<TcpStream>, from: u32| {
        for number in from..from + 5_000 {
            let line = format!("set k{number} 0 600 1000 noreply\r\n{number:01000}\r\n");
            client.send(line.as_bytes());
        }
        client.ask(b"mn\r\n", b"MN\r\n");
    };
    store(&mut client, 0);
    store(&mut client, 10_000);
    let mut watcher = Watcher::new(server.tcp().stream, " evictions");
    let before = client.figure("evictions");
    client.send(b"set one 0 0 1000 noreply\r\n");
    client.send(&[&[b'x'; 1000][..], b"\r\nmn\r\n"].concat());
    client.expect(b"MN\r\n");
    let evicted = client.figure("evictions") - before;
    assert!(evicted > 0);
    for _ in 0..evicted {
        let line = watcher.line().unwrap();
        let shown = stable(&line);
        assert!(shown.starts_with("type=eviction key=k"), "{line}");
        assert!(shown.contains(" fetch=no ttl="), "{line}");
        assert!(shown.ends_with(" clsid=1 size=1000"), "{line}");
    }
}

#[test]
fn connections_are_shown() {
    let server = Server::start(&["-p", "0", "-o", "idle_timeout=1"]);
    let mut watcher = Watcher::new(server.tcp().stream, " connevents");
    let opened = "type=conn_new rip=127.0.0.1 rport=N transport=tcp cfd=N";
    let closed = |reason: &str| {
        format!("type=conn_close rip=127.0.0.1 rport=N transport=tcp reason={reason} cfd=N")
    };
    let quits: [(&[u8], &str); 3] =
        [(b"quit\r\n", "normal"), (b"GET / HTTP/1.1\r\n", "error"), (b"", "idle_timeout")];
    for (sent, reason) in quits {
        let mut client = server.tcp();
        client.send(sent);
        client.expect_end();
        assert_eq!(stable(&watcher.line().unwrap()), opened);
        assert_eq!(stable(&watcher.line().unwrap()), closed(reason));
    }
    // A watcher is not idle.
    drop(server.tcp());
    assert_eq!(stable(&watcher.line().unwrap()), opened);
    assert_eq!(stable(&watcher.line().unwrap()), closed("normal"));
}

/// The end of one is an event for the others, which end in the same turn of the event loop.
#[test]
fn watchers_end_in_one_turn() {
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    let mut stays = Watcher::new(server.tcp().stream, " connevents");
    let watcher = || Watcher::new(server.tcp().stream, " connevents");
    let crowd: Vec<_> = (0..10).map(|_| watcher()).collect();
    server.while_stopped(|| crowd.into_iter().for_each(|watcher| watcher.client.reset()));
    until("they are gone", PATIENCE, || client.figure("log_watchers") == 1);
    let mut ends = 0;
    while ends < 10 {
        let line = stable(&stays.line().unwrap());
        ends += usize::from(line.starts_with("type=conn_close ") && line.contains("=error "));
    }
}

/// A line gives the number of those that it has missed, and it holds no more than it may.
#[test]
fn a_watcher_that_does_not_read_loses_lines() {
    let server = Server::start(&["-p", "0", "-o", "watcher_logbuf_size=64"]);
    let mut client = server.tcp();
    let mut slow = Watcher::new(server.tcp().stream, "");
    let resident = server.resident();
    let key = "k".repeat(200);
    let mut requests = 0;
    until("lines are lost", PATIENCE, || {
        for _ in 0..1000 {
            client.ask(format!("get {key}\r\n").as_bytes(), b"END\r\n");
        }
        requests += 1000;
        client.figure("log_watcher_skipped") > 1000
    });
    assert!(server.resident() < resident + 2 * MIB);
    let skipped = client.figure("log_watcher_skipped");
    assert_eq!(client.figure("log_watcher_sent") + skipped, requests);
    // Once it reads, it gets their number, and the lines that follow.
    let (mut reported, mut seen) = (0, 0);
    until("it has caught up", PATIENCE, || {
        client.ask(b"get mark\r\n", b"END\r\n");
        requests += 1;
        slow.client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        loop {
            let mut bytes = [0; 65536];
            match slow.client.stream.read(&mut bytes) {
                Ok(read) => slow.read.extend_from_slice(&bytes[..read]),
                Err(_) => break,
            }
        }
        while slow.read.contains(&b'\n') {
            let line = slow.line().unwrap();
            match line.strip_prefix("skipped=") {
                Some(number) => reported += number.parse::<u64>().unwrap(),
                None => seen += 1,
            }
        }
        reported + seen == requests
    });
    assert!(reported >= skipped, "{reported} of {skipped}");
}

#[test]
fn watching_is_limited_and_can_be_forbidden() {
    let server = Server::start(&["-p", "0"]);
    let watchers: Vec<_> = (0..20).map(|_| Watcher::new(server.tcp().stream, "")).collect();
    let too_many = b"WATCHER_TOO_MANY log watcher limit reached\r\n";
    server.tcp().ask(b"watch\r\n", too_many);
    drop(watchers);
    let mut client = server.tcp();
    until("the watchers are gone", PATIENCE, || client.figure("log_watchers") == 0);
    client.ask(b"watch bogus\r\nwatch noreply\r\n", b"ERROR\r\nERROR\r\n");
    Watcher::new(client.stream, " evictions");
    let forbidden = Server::start(&["-p", "0", "-W"]);
    let refusal = b"CLIENT_ERROR watch commands not allowed\r\n";
    forbidden.tcp().ask(b"watch\r\n", refusal);
    forbidden.tcp().ask(b"watch bogus\r\n", refusal);
}

/// Lines of one turn above the log's limit are lost, and counted for the watcher.
#[test]
fn a_burst_of_events_is_limited() {
    let server = Server::start(&["-p", "0", "-o", "watcher_logbuf_size=64"]);
    let mut client = server.tcp();
    let mut watcher = Watcher::new(server.tcp().stream, "");
    let line = format!("get{}\r\n", " a".repeat(10_000));
    client.ask(line.as_bytes(), b"END\r\n");
    client.ask(b"get mark\r\n", b"END\r\n");
    let (mut seen, mut lost) = (0, 0);
    loop {
        let line = watcher.line().unwrap();
        if line.contains("key=mark ") {
            break;
        }
        match line.strip_prefix("skipped=") {
            Some(number) => lost += number.parse::<u32>().unwrap(),
            None => seen += 1,
        }
    }
    assert_eq!(seen + lost, 10_000);
    assert!(seen > 300 && lost > 1000, "{seen} seen, {lost} lost");
    assert_eq!(client.figure("log_watcher_skipped"), u64::from(lost));
    let dropped = client.figure("log_worker_dropped");
    assert!(1000 < dropped && dropped <= u64::from(lost), "{dropped} of {lost}");
}

/// The watcher is sent a line about the client that closes before it in the same turn of the loop, and
/// so has something to do once more. Then it closes itself.
#[test]
fn a_watcher_that_closes_after_another_client_gets_no_further_turn() {
    let server = Server::start(&["-p", "0"]);
    let (mut first, mut witness) = (server.tcp(), server.tcp());
    first.ask(b"get a\n", b"END\n");
    let watcher = Watcher::new(server.tcp().stream, " connevents");
    server.while_stopped(|| {
        drop(first);
        drop(watcher);
    });
    for _ in 0..3 {
        witness.ask(b"get a\n", b"END\n");
    }
    assert_eq!(witness.figure("curr_connections"), 1);
}
