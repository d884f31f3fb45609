//! The peers that a script runs against: a session in memory, this server's process, a real memcached.
//!
//! Each process listens on its own socket in a temporary folder, and is killed by its pid when its value
//! is dropped.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use miocached::config::{Config, DialectMode, MIB, Protocol};
use miocached::engine::{Engine, LeftOut, Now};
use miocached::protocol::{OutputLimit, VERSION_LINE};
use miocached::session::{Session, Stop};
use tempfile::TempDir;

use super::process::{self, PATIENCE};
use super::scripts::{Conversation, assert_same, with_numbers, with_version};

/// An option of a script, its value, the server options for it, and its effect on a [`Config`].
type Switch = (&'static str, &'static str, &'static [&'static str], fn(&mut Config));

/// The `%` lines that set an option of the server. Both servers spell these options alike.
const SWITCHES: [Switch; 9] = [
    ("cas", "off", &["-C"], |config| config.cas_enabled = false),
    ("flush", "off", &["-F"], |config| config.flush_enabled = false),
    ("dump", "off", &["-X"], |config| config.dump_enabled = false),
    ("evict", "off", &["-M"], |config| config.evicts = false),
    ("shutdown", "on", &["-A"], |config| config.shutdown_enabled = true),
    ("detail", "on", &["-D", ":"], |config| config.detail_enabled = true),
    ("delimiter", "/", &["-D", "/"], |config| config.prefix_delimiter = b'/'),
    // For our server alone.
    ("hot-keys", "on", &["--hot-keys"], |config| config.hot_keys = true),
    ("sizes", "on", &["-o", "track_sizes"], |config| config.sizes_tracked = true),
];

/// The arguments of both servers for the `%` lines of this conversation.
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
    if let Some(protocol) = conversation.option("protocol") {
        arguments.extend(["-B".into(), protocol.into()]);
    }
    if let Some(line) = conversation.option("auth") {
        let path = folder.path().join("auth");
        std::fs::write(&path, format!("{line}\n")).unwrap();
        arguments.extend(["-Y".into(), path.to_str().unwrap().into()]);
    }
    arguments
}

/// The version of this server, which replaces `{version}` in scripts.
pub(crate) const VERSION: &str = VERSION_LINE.split_at("VERSION ".len()).1;

/// Limit of turns in a row in which nothing is executed and nothing answered. A driver fails above it. A
/// request needs at most one such turn for each large value in the store, and a thousand while room is
/// reserved for a client that has disconnected.
pub(crate) const STALLS_MAX: u32 = 5_000;

/// A session without a socket. The script moves its clock.
pub(crate) struct InMemory {
    session: Session,
    engine: Engine,
    unread: Vec<u8>,
    high_water: usize,
    now: Now,
    ended: bool,
    /// What is sent is dropped from now on.
    watches: bool,
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
            protocol: match conversation.option("protocol") {
                None => Protocol::Auto,
                Some("ascii") => Protocol::Ascii,
                Some("binary") => Protocol::Binary,
                Some(other) => panic!("no protocol {other}"),
            },
            item_bytes_max: conversation.option("item-max").map_or(MIB, |max| max.parse().unwrap()),
            // Enough for every script. It is small, because every step checks all tables.
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
            watches: false,
        }
    }

    /// Moves the clocks on.
    pub(crate) fn pass(&mut self, seconds: u32) {
        self.now.uptime_s += seconds;
        self.now.unix_s += i64::from(seconds);
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Sends bytes and returns the answers so far. Fails when a command stalls without end. An answer
    /// that is longer than the output limit is written only after its length has been granted, as by a
    /// connection that waits for memory. Values of `high_water` bytes and more are left out of the
    /// output and inserted here.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.unread.extend_from_slice(bytes);
        let mut answers = Vec::new();
        let (mut granted, mut stalls) = (0, 0);
        while !self.ended && !self.watches {
            let mut output = Vec::new();
            let limit = self.high_water.max(granted);
            let high_water = self.high_water;
            let mut room = OutputLimit { high_water, limit, left_out_max: limit, needed: 0 };
            let Self { session, engine, unread, now, .. } = self;
            let (spent, stop) =
                session.advance(unread, &mut output, &mut room, engine, (*now).into());
            unread.drain(..spent);
            if stop == Stop::NeedsValue {
                let LeftOut { value, at } = engine.left_out();
                output.splice(at..at, value.iter().copied());
            }
            engine.verify();
            granted = if output.is_empty() { room.needed } else { 0 };
            let moved = spent > 0 || !output.is_empty();
            stalls = if moved { 0 } else { stalls + 1 };
            assert!(stalls < STALLS_MAX, "it stalls without end at {}", unread.escape_ascii());
            answers.extend(output);
            match stop {
                Stop::NeedsInput => break,
                Stop::NeedsFlush | Stop::NeedsValue | Stop::NeedsServerStats(_) => {}
                Stop::Ended(_) => self.ended = true,
                Stop::Watches(_) => self.watches = true,
            }
        }
        answers
    }
}

/// A stream that can be half-closed.
pub(crate) trait Stream: Read + Write {
    /// Shuts down the sending side.
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

/// Runs a whole conversation over a socket, and checks that nothing unexpected follows.
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
        // A server that closes may do so before it has read everything.
        let sent = stream.write_all(&step.send);
        assert!(sent.is_ok() || step.closes, "{place}: {sent:?}");
        let (mut got, mut piece) = (Vec::new(), [0; 16384]);
        // A number may be longer or shorter than the `{number}` that stands for it.
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
    // A peer that closes with unread bytes resets the connection, which counts as the end, too.
    let end = stream.read_to_end(&mut more);
    assert!(end.is_ok() || closed, "{}: no end: {end:?}", conversation.name);
    assert_same(&format!("{}: after the last answer", conversation.name), &more, b"");
}

/// This server, as a process.
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
    /// As it reports it, for example `1.6.18`.
    pub(crate) version: String,
}

/// A running memcached.
pub(crate) struct RunningMemcached {
    child: Child,
    folder: TempDir,
    /// Seconds by which its clock was moved the last time.
    moved_s: i64,
}

impl Memcached {
    /// None if it is not installed. The test is to be skipped then; under CI it fails.
    pub(crate) fn find_or_skip() -> Option<Self> {
        let found = Self::find();
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "memcached is not installed");
            println!("SKIPPED: memcached is not installed (Debian: apt-get install memcached)");
        }
        found
    }

    /// None if none of 1.6.45 or later is installed. The test is to be skipped then.
    pub(crate) fn current_or_skip() -> Option<Self> {
        let found = Self::find().filter(|memcached| !memcached.is_old());
        if found.is_none() {
            println!("SKIPPED: no memcached of 1.6.45 or later (MEMCACHED=path names one)");
        }
        found
    }

    fn find() -> Option<Self> {
        Self::at(std::env::var("MEMCACHED").unwrap_or_else(|_| "memcached".into()))
    }

    /// None if the program does not exist.
    pub(crate) fn at(program: String) -> Option<Self> {
        let output = Command::new(&program).arg("-V").output().ok()?;
        let text = String::from_utf8(output.stdout).unwrap();
        let version = text.trim().rsplit(' ').next().unwrap().to_string();
        Some(Self { program, version })
    }

    /// Whether it is older than 1.6.45, whose answers the scripts have.
    pub(crate) fn is_old(&self) -> bool {
        let patch = self.version.rsplit('.').next().and_then(|patch| patch.parse().ok());
        patch.is_none_or(|patch: u32| patch < 45)
    }

    pub(crate) fn start(&self, conversation: &Conversation) -> RunningMemcached {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("socket");
        let running = self.spawn(conversation, folder, &["-s", socket.to_str().unwrap()]);
        let speaks_text = conversation.option("protocol") != Some("binary");
        if self.is_old() && speaks_text && !conversation.needs_process() {
            // Its first cas id is 1, and that of a newer memcached is 2.
            running.command("set a 0 0 0\r\n\r\n", "STORED\r\n");
            running.command("delete a\r\n", "DELETED\r\n");
        }
        running
    }

    /// Starts it on a free TCP port instead.
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
        // Its background thread keeps a reference to an item that was read, and memcached does not
        // change a number in place while a reference to it exists.
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

    /// Its TCP address.
    pub(crate) fn address(&self) -> SocketAddr {
        let mut port = None;
        process::until("it has written its port", PATIENCE, || {
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

    /// Moves its stopped clock. memcached adds the argument of `debugtime` to the earlier ones, and moves
    /// its clock by the sum.
    pub(crate) fn pass(&mut self, seconds: u32) {
        if seconds > 0 {
            let more_s = i64::from(seconds) - self.moved_s;
            assert!(self.command(&format!("debugtime {more_s}\r\n"), "OK\r\n"));
            self.moved_s = seconds.into();
        }
    }

    /// Sends a command on a new connection. Returns whether the answer is `answer`.
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

/// Connects as soon as the server listens.
fn connect_unix(folder: &TempDir) -> UnixStream {
    let mut connected = None;
    process::until("the server listens", PATIENCE, || {
        connected = UnixStream::connect(folder.path().join("socket")).ok();
        connected.is_some()
    });
    let stream = connected.unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
