//! `--trace-file`: a file that the viewers of Chrome's trace event format open.
//!
//! The format: `{"traceEvents": [...]}`. Slices (`X`) of one track, which is a `tid`, are nested or apart;
//! instants (`i`) have a scope; metadata (`M`) names processes and tracks. Times are microseconds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use super::metrics::get;
use super::options::assert_refused;
use crate::harness::process::{MIB, PATIENCE, Server, stored, until, value};

/// A slice or an instant (`to_ns` is None).
#[derive(Clone, Debug, PartialEq)]
struct Mark {
    name: String,
    from_ns: u64,
    to_ns: Option<u64>,
    args: Value,
}

/// A trace: the marks of each track, in their order in the file, and the names of the tracks.
struct Trace {
    tracks: BTreeMap<u64, Vec<Mark>>,
    names: BTreeMap<u64, String>,
    dropped_steps: u64,
}

/// A time in nanoseconds, of which the file has microseconds with three decimals.
fn ns(time: &Value) -> u64 {
    let us = time.as_f64().unwrap_or_else(|| panic!("{time} is no time"));
    assert!(us >= 0.0, "{us}");
    format!("{:.0}", us * 1000.0).parse().unwrap()
}

impl Trace {
    /// Reads a trace, and checks all that the format asks for.
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["displayTimeUnit"], "ns");
        let dropped_steps = json["otherData"]["dropped_steps"].as_u64().unwrap();
        let mut trace = Self { tracks: BTreeMap::new(), names: BTreeMap::new(), dropped_steps };
        let mut pid = None;
        for event in json["traceEvents"].as_array().unwrap() {
            assert_eq!(*pid.get_or_insert(event["pid"].as_u64().unwrap()), event["pid"], "{event}");
            let tid = event["tid"].as_u64().unwrap();
            let name = event["name"].as_str().unwrap().to_owned();
            let args = event["args"].clone();
            assert!(args.is_object(), "{event}");
            let to_ns = match event["ph"].as_str().unwrap() {
                "M" => {
                    if name == "thread_name" {
                        let track = args["name"].as_str().unwrap().to_owned();
                        assert_eq!(trace.names.insert(tid, track), None, "{event}: named twice");
                    }
                    continue;
                }
                "X" => Some(ns(&event["ts"]) + ns(&event["dur"])),
                "i" => {
                    assert_eq!(event["s"], "t", "{event}");
                    None
                }
                phase => panic!("phase {phase} in {event}"),
            };
            let mark = Mark { name, from_ns: ns(&event["ts"]), to_ns, args };
            trace.tracks.entry(tid).or_default().push(mark);
        }
        trace.assert_nested();
        trace
    }

    /// The slices of a track begin in their order in the file; each is within the one before it or
    /// after it. Each track has a name.
    fn assert_nested(&self) {
        for (tid, marks) in &self.tracks {
            assert!(self.names.contains_key(tid), "track {tid} has no name");
            let mut open: Vec<u64> = Vec::new();
            let mut last_ns = 0;
            for mark in marks {
                assert!(mark.from_ns >= last_ns, "track {tid} goes back at {mark:?}");
                last_ns = mark.from_ns;
                let Some(to_ns) = mark.to_ns else { continue };
                open.retain(|&end_ns| end_ns > mark.from_ns);
                assert!(open.iter().all(|&end_ns| to_ns <= end_ns), "track {tid}: {mark:?}");
                open.push(to_ns);
            }
        }
    }

    fn event_loop(&self) -> &[Mark] {
        &self.tracks[&1]
    }

    /// The track of the connection whose client has this port.
    fn connection(&self, port: u16) -> &[Mark] {
        let is_its = |marks: &&Vec<Mark>| marks.iter().any(|mark| mark.args["peer_port"] == port);
        self.tracks.values().find(is_its).unwrap()
    }
}

/// The marks of this name.
fn named<'m>(marks: &'m [Mark], name: &str) -> Vec<&'m Mark> {
    marks.iter().filter(|mark| mark.name == name).collect()
}

/// The slices within a slice.
fn within<'m>(marks: &'m [Mark], outer: &Mark) -> Vec<&'m str> {
    let is_in = |mark: &&Mark| {
        let begins_in = mark.from_ns >= outer.from_ns && mark.to_ns.is_some();
        *mark != outer && begins_in && mark.to_ns <= outer.to_ns
    };
    marks.iter().filter(is_in).map(|mark| mark.name.as_str()).collect()
}

#[test]
fn a_trace_shows_turns_reads_writes_and_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let mut server = Server::start(&["-p", "0", "--trace-file", path.to_str().unwrap()]);
    let (mut fast, mut slow) = (server.tcp(), server.tcp());
    let (set, block) = stored("a", &value(MIB - 512));
    fast.ask(&set, b"STORED\n");
    slow.send(format!("get{}\n", " a".repeat(20)).as_bytes());
    for _ in 0..20 {
        fast.ask(b"get b\n", b"END\n");
    }
    until("the slow reader's send buffer is full", PATIENCE, || {
        fast.stats("conns").values().any(|wait| wait == "reader")
    });
    slow.expect(&[block.repeat(20), b"END\n".to_vec()].concat());
    let [fast_port, slow_port] =
        [&fast, &slow].map(|client| client.stream.local_addr().unwrap().port());
    drop(slow);
    fast.ask(b"quit\n", b"");
    fast.expect_end();
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    until("it is logged", PATIENCE, || server.log().contains("the trace file is complete"));

    let trace = Trace::read(&path);
    assert_eq!((trace.dropped_steps, trace.names[&1].as_str()), (0, "event loop"));
    let turns = named(trace.event_loop(), "turn");
    assert!(turns.len() > 20 && named(trace.event_loop(), "poll").len() >= turns.len());
    for (index, turn) in turns.iter().enumerate() {
        assert_eq!(turn.args["turn"], index as u64 + 1);
    }
    assert_eq!(named(trace.event_loop(), "SIGTERM").len(), 1);

    // A turn of a fast client has three steps.
    let fast = trace.connection(fast_port);
    let short = named(fast, "turn")
        .into_iter()
        .filter(|turn| within(fast, turn) == ["read", "execute", "write"]);
    assert!(short.count() >= 20, "{fast:#?}");
    assert_eq!(named(fast, "closed")[0].args["reason"], "the client sent quit");

    let slow = trace.connection(slow_port);
    assert_eq!(named(slow, "closed")[0].args["reason"], "its input ended");
    let waits = named(slow, "waits for its client to read");
    let unsent = |wait: &&Mark| wait.args["unsent_bytes"].as_u64().unwrap();
    assert!(waits.iter().any(|wait| unsent(wait) > 100_000), "{waits:#?}");
    let written = |name: &str| -> u64 {
        let writes = named(slow, name);
        writes.iter().map(|write| write.args["bytes"].as_u64().unwrap()).sum()
    };
    assert_eq!(written("write") + written("write in part"), 20 * block.len() as u64 + 4);
    assert!(!named(slow, "writable").is_empty());
}

#[test]
fn a_trace_shows_evictions_timers_and_waits_for_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let text = path.to_str().unwrap();
    let arguments = ["-p", "0", "-m", "4", "--buffer-limit", "1", "-o", "idle_timeout=1"];
    let server = Server::start(&[&arguments[..], &["--trace-file", text]].concat());
    let mut client = server.tcp();
    for index in 0..100 {
        client.ask(&stored(&format!("key{index}"), &value(100_000)).0, b"STORED\n");
    }
    let crowd = super::waits::crowd(&server);
    until("a connection waits for memory", PATIENCE, || client.figure("waiting_for_memory") > 0);
    client.expect_end();
    drop(crowd);
    let mut asking = server.tcp();
    until("none waits", PATIENCE, || asking.figure("waiting_for_memory") == 0);
    server.signal(Signal::SIGUSR2);
    until("it is written", PATIENCE, || server.log().contains("the trace file is complete"));

    let trace = Trace::read(&path);
    let all = || trace.tracks.values().flatten();
    let evicted: u64 = all()
        .filter(|mark| mark.name == "evicts")
        .map(|mark| mark.args["items"].as_u64().unwrap())
        .sum();
    assert_eq!(evicted, asking.figure("evictions"));
    assert!(evicted > 30);
    for name in [
        "no buffer memory",
        "waits for buffer memory",
        "memory granted",
        "deadline",
        "closed by the peer",
    ] {
        assert!(all().any(|mark| mark.name == name), "no {name}");
    }
    assert_eq!(named(trace.event_loop(), "SIGUSR2").len(), 1);
    // The file is written anew, with the steps since then.
    server.signal(Signal::SIGUSR2);
    until("it is written again", PATIENCE, || {
        server.log().matches("the trace file is complete").count() == 2
    });
    assert_eq!(named(Trace::read(&path).event_loop(), "SIGUSR2").len(), 2);
}

/// The metrics address shows the last second.
#[test]
fn the_last_second_is_shown_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let text = path.to_str().unwrap();
    let server = Server::start(&["-p", "0", "--metrics", "127.0.0.1:0", "--trace-file", text]);
    let mut client = server.tcp();
    for _ in 0..1000 {
        client.ask(b"mn\r\n", b"MN\r\n");
    }
    let answer = get(&server, "/trace");
    assert_eq!(answer.status, 200);
    let shown = folder.path().join("shown.json");
    fs::write(&shown, answer.body).unwrap();
    let trace = Trace::read(&shown);
    // 2,048 steps of seven in a turn, if they took less than a second.
    let turns = named(trace.event_loop(), "turn");
    assert!((1..=300).contains(&turns.len()), "{} turns", turns.len());
    assert!(trace.dropped_steps > 4000, "{}", trace.dropped_steps);
    until("nothing has happened for a second", PATIENCE, || {
        fs::write(&shown, get(&server, "/trace").body).unwrap();
        !Trace::read(&shown).names.contains_key(&10)
    });
    let off = Server::start(&["-p", "0", "--metrics", "127.0.0.1:0"]);
    assert_eq!(get(&off, "/trace").body, "{\"enabled\":false,\"traceEvents\":[]}\n");
}

/// The oldest steps are dropped, and the file is whole nevertheless.
#[test]
fn a_long_trace_has_the_last_steps() {
    const ROUNDS: usize = 45_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let mut server = Server::start(&["-p", "0", "--trace-file", path.to_str().unwrap()]);
    let mut client = server.tcp();
    let before = server.resident();
    for _ in 0..ROUNDS {
        client.ask(b"mn\r\n", b"MN\r\n");
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 9 * MIB, "{grown} bytes for the steps");
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    let trace = Trace::read(&path);
    // A turn has seven steps, and 2^18 are kept.
    assert!((40_000..60_000).contains(&trace.dropped_steps), "{} dropped", trace.dropped_steps);
    let turns = named(trace.event_loop(), "turn");
    assert!((37_000..ROUNDS).contains(&turns.len()), "{} turns", turns.len());
    assert!(turns.last().unwrap().args["turn"].as_u64().unwrap() >= ROUNDS as u64);
}

#[test]
fn a_trace_file_that_cannot_be_written_is_refused() {
    assert_refused(&["-p", "0", "--trace-file", "/no/such/folder/trace"], "/no/such/folder/trace");
    // Opening a FIFO that nothing reads would block the start, and no signal would end it.
    let folder = tempfile::tempdir().unwrap();
    let [fifo, snapshot] = ["fifo", "snapshot"].map(|name| folder.path().join(name));
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let reader = File::options().read(true).write(true).open(&fifo).unwrap();
    for path in [&fifo, folder.path(), Path::new("/dev/null")] {
        assert_refused(&["-p", "0", "--trace-file", path.to_str().unwrap()], "cannot write");
    }
    drop(reader);
    assert_refused(&["-p", "0", "--trace-file", fifo.to_str().unwrap()], "cannot write");
    // This is found before the snapshot is read, which may take minutes.
    let snapshot = snapshot.to_str().unwrap();
    assert_refused(
        &["-p", "0", "--snapshot", snapshot, "--trace-file", "/dev/null"],
        "cannot write",
    );
    // The trace would empty the snapshot.
    assert_refused(&["-p", "0", "--snapshot", snapshot, "--trace-file", snapshot], "one file");
}
