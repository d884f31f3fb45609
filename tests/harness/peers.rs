//! Those whom a script can be told to: a session in memory, our server's process, real memcached.
//!
//! Processes are started on sockets of their own in a temporary folder and ended, by pid, when the
//! value that stands for them is dropped.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use miocached::config::{Config, DialectMode, MIB};
use miocached::engine::{Engine, Now};
use miocached::protocol::{OutputLimit, VERSION_LINE};
use miocached::session::{Session, Stop};
use tempfile::TempDir;

use super::process::{self, PATIENCE};
use super::scripts::{Conversation, assert_same, with_numbers, with_version};

/// An option of a script, its value, what servers call it, and what it is in a configuration.
type Switch = (&'static str, &'static str, &'static [&'static str], fn(&mut Config));

/// What a `%` line of this name and value turns on or off, as both servers spell it and as the
/// library does.
const SWITCHES: [Switch; 7] = [
    ("cas", "off", &["-C"], |config| config.cas_enabled = false),
    ("flush", "off", &["-F"], |config| config.flush_enabled = false),
    ("dump", "off", &["-X"], |config| config.dump_enabled = false),
    ("evict", "off", &["-M"], |config| config.evicts = false),
    ("shutdown", "on", &["-A"], |config| config.shutdown_enabled = true),
    ("detail", "on", &["-D", ":"], |config| config.detail_enabled = true),
    ("sizes", "on", &["-o", "track_sizes"], |config| config.sizes_tracked = true),
];

/// The arguments that both servers get for this conversation's `%` lines.
fn arguments(conversation: &Conversation, folder: &TempDir) -> Vec<String> {
    let mut arguments = Vec::new();
    for (name, value, switch, _) in SWITCHES {
        if let Some(chosen) = conversation.option(name) {
            assert_eq!(chosen, value, "{}: % {name}", conversation.name);
            arguments.extend(switch.iter().map(ToString::to_string));
        }
    }
    if let Some(bytes) = conversation.option("item-max") {
        arguments.extend(["-I".into(), bytes.into()]);
    }
    if let Some(line) = conversation.option("auth") {
        let path = folder.path().join("auth");
        std::fs::write(&path, format!("{line}\n")).unwrap();
        arguments.extend(["-Y".into(), path.to_str().unwrap().into()]);
    }
    arguments
}

/// Our version as a script's `{version}` means it.
pub(crate) const VERSION: &str = VERSION_LINE.split_at("VERSION ".len()).1;

/// Turns that may pass in which nothing is read and nothing answered, before a driver gives up. The
/// most that a request takes is one for each large value in the store, and a thousand for a client
/// that has left.
pub(crate) const STALLS_MAX: u32 = 5_000;

/// A session without a socket, on a clock that the script moves.
pub(crate) struct InMemory {
    session: Session,
    engine: Engine,
    unread: Vec<u8>,
    high_water: usize,
    now: Now,
    ended: bool,
}

impl InMemory {
    pub(crate) fn new(conversation: &Conversation, high_water: usize) -> Self {
        let mut config = Config {
            dialect: match conversation.option("dialect") {
                None => DialectMode::Auto,
                Some("simple") => DialectMode::Simple,
                Some("classic") => DialectMode::Classic,
                Some(other) => panic!("no dialect {other}"),
            },
            item_bytes_max: conversation.option("item-max").map_or(MIB, |max| max.parse().unwrap()),
            // Room for all that a script stores; every table is looked at after every step.
            memory_bytes_max: 8 * MIB,
            ..Config::default()
        };
        for (name, _, _, choose) in SWITCHES {
            if conversation.option(name).is_some() {
                choose(&mut config);
            }
        }
        Self {
            session: Session::new(&config),
            engine: Engine::new(&config).unwrap(),
            unread: Vec::new(),
            high_water,
            now: Now { uptime_s: Now::FIRST_S, unix_s: 1_800_000_000 },
            ended: false,
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, seconds: u32) {
        self.now.uptime_s += seconds;
        self.now.unix_s += i64::from(seconds);
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Sends bytes and returns all that is answered so far. Fails when a command stalls without end.
    /// No answer is written for which there is
    /// no room until its room has been granted, as by a network whose buffers are full.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.unread.extend_from_slice(bytes);
        let mut answers = Vec::new();
        let (mut granted, mut stalls) = (0, 0);
        while !self.ended {
            let mut output = Vec::new();
            let limit = self.high_water.max(granted);
            let mut room = OutputLimit { high_water: self.high_water, limit, needed: 0 };
            let Self { session, engine, unread, now, .. } = self;
            let (spent, stop) =
                session.advance(unread, &mut output, &mut room, engine, (*now).into());
            unread.drain(..spent);
            engine.verify();
            granted = if output.is_empty() { room.needed } else { 0 };
            let moved = spent > 0 || !output.is_empty();
            stalls = if moved { 0 } else { stalls + 1 };
            assert!(stalls < STALLS_MAX, "it stalls without end at {}", unread.escape_ascii());
            answers.extend(output);
            match stop {
                Stop::NeedsInput => break,
                Stop::NeedsFlush | Stop::NeedsServerStats(_) => {}
                Stop::Ended(_) => self.ended = true,
            }
        }
        answers
    }
}

/// A stream that can be half-closed.
pub(crate) trait Stream: Read + Write {
    /// Says that no more will be sent.
    fn finish(&self);
}

impl Stream for TcpStream {
    fn finish(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Stream for UnixStream {
    fn finish(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Has a whole conversation over a socket, and sees to it that nothing unexpected follows.
pub(crate) fn converse(
    stream: &mut dyn Stream,
    conversation: &Conversation,
    version: &str,
    old: bool,
    mut pass: impl FnMut(u32),
) {
    let mut closed = false;
    for step in &conversation.steps {
        pass(step.passes_s);
        let place = format!("{} line {}", conversation.name, step.line);
        let expect = step.expect_old.as_ref().filter(|_| old).unwrap_or(&step.expect);
        let expect = with_version(expect, version);
        // A server that hangs up may do so before it has read all.
        let sent = stream.write_all(&step.send);
        assert!(sent.is_ok() || step.closes, "{place}: {sent:?}");
        let (mut got, mut piece) = (Vec::new(), [0; 16384]);
        // Numbers that are not looked at may be longer or shorter than what stands for them.
        while let missing @ 1.. = expect.len().saturating_sub(with_numbers(&got, &expect).len()) {
            match stream.read(&mut piece[..missing.min(16384)]) {
                Ok(bytes @ 1..) => got.extend_from_slice(&piece[..bytes]),
                _ => break,
            }
        }
        assert_same(&place, &got, &expect);
        closed = step.closes;
    }
    if !closed {
        stream.finish();
    }
    let mut more = Vec::new();
    // A peer that hung up on unread bytes resets the connection, which is an end as well.
    let end = stream.read_to_end(&mut more);
    assert!(end.is_ok() || closed, "{}: no end: {end:?}", conversation.name);
    assert_same(&format!("{}: behind the last answer", conversation.name), &more, b"");
}

/// Our own server, as a process.
pub(crate) struct Ours {
    server: process::Server,
    folder: TempDir,
}

impl Ours {
    pub(crate) fn start(conversation: &Conversation) -> Self {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("socket");
        let chosen = arguments(conversation, &folder);
        let mut arguments = vec!["-p", "0", "-s", socket.to_str().unwrap()];
        arguments.extend(chosen.iter().map(String::as_str));
        if let Some(dialect) = conversation.option("dialect") {
            arguments.extend(["--dialect", dialect]);
        }
        Self { server: process::Server::start(&arguments), folder }
    }

    pub(crate) fn connect(&self, by_tcp: bool) -> Box<dyn Stream> {
        if by_tcp {
            Box::new(self.server.tcp().stream)
        } else {
            Box::new(connect_unix(&self.folder))
        }
    }
}

/// Debian's memcached, or the one that `MEMCACHED` names.
pub(crate) struct Memcached {
    program: String,
    /// As it tells it, such as `1.6.18`.
    pub(crate) version: String,
}

/// A memcached that runs.
pub(crate) struct RunningMemcached {
    child: Child,
    folder: TempDir,
    /// By how much its clock was moved the last time, in seconds.
    moved_s: i64,
}

impl Memcached {
    /// None when it is not installed.
    pub(crate) fn find() -> Option<Self> {
        Self::at(std::env::var("MEMCACHED").unwrap_or_else(|_| "memcached".into()))
    }

    /// None when there is no such program.
    pub(crate) fn at(program: String) -> Option<Self> {
        let output = Command::new(&program).arg("-V").output().ok()?;
        let text = String::from_utf8(output.stdout).unwrap();
        let version = text.trim().rsplit(' ').next().unwrap().to_string();
        Some(Self { program, version })
    }

    /// Older than the memcached whose answers the scripts tell?
    pub(crate) fn is_old(&self) -> bool {
        let patch = self.version.rsplit('.').next().and_then(|patch| patch.parse().ok());
        patch.is_none_or(|patch: u32| patch < 45)
    }

    pub(crate) fn start(&self, conversation: &Conversation) -> RunningMemcached {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("socket");
        let running = self.spawn(conversation, folder, &["-s", socket.to_str().unwrap()]);
        if self.is_old() && !conversation.needs_process() {
            // Its first cas id is 1, where a newer one's is 2.
            running.command("set a 0 0 0\r\n\r\n", "STORED\r\n");
            running.command("delete a\r\n", "DELETED\r\n");
        }
        running
    }

    /// One that has a free port instead.
    pub(crate) fn start_on_tcp(&self, conversation: &Conversation) -> RunningMemcached {
        let folder = TempDir::new().unwrap();
        self.spawn(conversation, folder, &["-l", "127.0.0.1", "-p", "-1"])
    }

    fn spawn(
        &self,
        conversation: &Conversation,
        folder: TempDir,
        place: &[&str],
    ) -> RunningMemcached {
        let mut command = Command::new(&self.program);
        command.args(["-u", "root", "-t", "1"]).args(place);
        // Its background thread holds an item for a while that was read, and a number that is held is
        // not written in place.
        command.args(["-o", "no_lru_maintainer"]);
        command.args(arguments(conversation, &folder));
        command.env("MEMCACHED_PORT_FILENAME", folder.path().join("ports"));
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        RunningMemcached { child, folder, moved_s: 0 }
    }
}

impl RunningMemcached {
    pub(crate) fn connect(&self) -> UnixStream {
        connect_unix(&self.folder)
    }

    /// Where it listens, if that is on TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        let mut port = None;
        process::until("it tells its port", PATIENCE, || {
            let ports = std::fs::read_to_string(self.folder.path().join("ports"));
            port = ports.ok().and_then(|ports| ports.trim().rsplit(' ').next()?.parse().ok());
            port.is_some()
        });
        SocketAddr::from(([127, 0, 0, 1], port.unwrap()))
    }

    /// Stops its clock. Only a debug build of memcached can do that.
    pub(crate) fn stop_clock(&self) -> bool {
        self.command("debugtime p\r\n", "OK\r\n")
    }

    /// Moves its stopped clock. What `debugtime` is told is put on top of what it was told before,
    /// and the sum is the way that the clock goes.
    pub(crate) fn pass(&mut self, seconds: u32) {
        if seconds > 0 {
            let told_s = i64::from(seconds) - self.moved_s;
            assert!(self.command(&format!("debugtime {told_s}\r\n"), "OK\r\n"));
            self.moved_s = seconds.into();
        }
    }

    /// Says something on a connection of its own. Is it answered like this?
    fn command(&self, command: &str, answer: &str) -> bool {
        let mut stream = self.connect();
        stream.write_all(command.as_bytes()).unwrap();
        stream.finish();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        got == answer
    }
}

impl Drop for RunningMemcached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects as soon as somebody listens.
fn connect_unix(folder: &TempDir) -> UnixStream {
    let mut connected = None;
    process::until("somebody listens", PATIENCE, || {
        connected = UnixStream::connect(folder.path().join("socket")).ok();
        connected.is_some()
    });
    let stream = connected.unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
