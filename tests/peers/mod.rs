//! Those whom a script can be told to: a session in memory, our server's process, real memcached.
//!
//! Processes are started on sockets of their own in a temporary folder and ended, by pid, when the
//! value that stands for them is dropped.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use miocached::config::{Config, DialectMode, MIB};
use miocached::engine::{Engine, Now};
use miocached::protocol::{Room, VERSION_LINE};
use miocached::session::{Session, Stop};
use tempfile::TempDir;

use crate::harness::{Conversation, assert_same, with_version};
use crate::process::{self, PATIENCE};

/// Our version as a script's `{version}` means it.
pub(crate) const VERSION: &str = VERSION_LINE.split_at("VERSION ".len()).1;

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
        let config = Config {
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

    /// Sends bytes and returns all that is answered so far.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.unread.extend_from_slice(bytes);
        let mut answers = Vec::new();
        while !self.ended {
            let mut output = Vec::new();
            let mut room = Room { high_water: self.high_water, ..Room::UNBOUNDED };
            let Self { session, engine, unread, now, .. } = self;
            let (spent, stop) = session.advance(unread, &mut output, &mut room, engine, *now);
            unread.drain(..spent);
            engine.verify();
            answers.extend(output);
            match stop {
                Stop::NeedsInput => break,
                Stop::NeedsFlush => {}
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
) {
    let mut closed = false;
    for step in &conversation.steps {
        let place = format!("{} line {}", conversation.name, step.line);
        let expect = step.expect_old.as_ref().filter(|_| old).unwrap_or(&step.expect);
        let expect = with_version(expect, version);
        // A server that hangs up may do so before it has read all.
        let sent = stream.write_all(&step.send);
        assert!(sent.is_ok() || step.closes, "{place}: {sent:?}");
        let mut got = vec![0; expect.len()];
        let mut filled = 0;
        while filled < got.len() {
            match stream.read(&mut got[filled..]) {
                Ok(bytes @ 1..) => filled += bytes,
                _ => break,
            }
        }
        assert_same(&place, &got[..filled], &expect);
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
        let mut arguments = vec!["-p", "0", "-s", socket.to_str().unwrap()];
        for (name, option) in [("dialect", "--dialect"), ("item-max", "-I")] {
            if let Some(value) = conversation.option(name) {
                arguments.extend([option, value]);
            }
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
}

impl Memcached {
    /// None when it is not installed.
    pub(crate) fn find() -> Option<Self> {
        let program = std::env::var("MEMCACHED").unwrap_or_else(|_| "memcached".into());
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
        let mut command = Command::new(&self.program);
        command.args(["-u", "root", "-t", "1", "-s"]).arg(folder.path().join("socket"));
        if let Some(bytes) = conversation.option("item-max") {
            command.args(["-I", bytes]);
        }
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        RunningMemcached { child, folder }
    }
}

impl RunningMemcached {
    pub(crate) fn connect(&self) -> UnixStream {
        connect_unix(&self.folder)
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
