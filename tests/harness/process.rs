//! A real server process and its clients, for the tests that need sockets, signals and files.
//!
//! Owns how a server is started (on free ports, read from what it says on stderr), watched (through
//! `/proc`) and ended: only ever our own child, and never left behind. Knows nothing of what the
//! tests ask of it. Every wait has a deadline.

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;

/// How long anything may take that should take no time: generous, for machines that are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// One mebibyte, in bytes.
pub(crate) const MIB: usize = 1 << 20;

/// The server's program with these arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miocached"));
    command.args(arguments);
    command
}

/// Lets us, and the servers we start, have as many descriptors as this test needs.
pub(crate) fn have_descriptors(needed: u64) {
    // One at a time, so that none lowers what another one has raised.
    static LIMIT: Mutex<()> = Mutex::new(());
    let _one = LIMIT.lock().unwrap_or_else(|failed| failed.into_inner());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= needed, "{needed} descriptors are needed, and {hard} is the hard limit");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(needed), hard).unwrap();
}

/// Waits for a condition, and fails with `what` when it does not come.
pub(crate) fn until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes that look like nothing in particular, newlines and all, so that a value that was cut,
/// moved or mixed up is not mistaken for itself.
pub(crate) fn value(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + (at >> 8) * 7 + (at >> 16)).to_le_bytes()[0]).collect()
}

/// A `set` of `key`, and the block with which a `get` answers.
pub(crate) fn stored(key: &str, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let set = [format!("set {key} {}\n", data.len()).as_bytes(), data, b"\n"].concat();
    let block = [format!("VALUE {key} {}\n", data.len()).as_bytes(), data, b"\n"].concat();
    (set, block)
}

/// A child that does not outlive its test.
struct Process(Child);

impl Process {
    /// Its exit code; none when a signal has ended it.
    fn wait(&mut self) -> Option<i32> {
        let mut ended = None;
        until("the server exits", PATIENCE, || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended and been waited for already, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a program ended, and all it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs the program with this input until it ends.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    let mut stdin = process.0.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that does not want its input shows in its answers.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let (stdout, stderr) = (process.0.stdout.take().unwrap(), process.0.stderr.take().unwrap());
    let (stdout, stderr) = (collect(stdout), collect(stderr));
    let code = process.wait();
    writer.join().unwrap();
    let stderr = String::from_utf8(stderr.join().unwrap()).unwrap();
    Ended { code, stdout: stdout.join().unwrap(), stderr }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// A running server.
pub(crate) struct Server {
    process: Process,
    /// The lines of its start, up to and with its limits.
    pub(crate) said: Vec<String>,
    /// Its stderr, until somebody takes it.
    pub(crate) stderr: Option<ChildStderr>,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// A server with these options, which can say on stderr whatever it likes.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut server = Self::spawn(&mut command(arguments));
        server.drain();
        server
    }

    /// A server whose stderr nobody reads any more once it has started.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let stderr = process.0.stderr.take();
        let log = Arc::default();
        let mut server = Self { process, said: Vec::new(), stderr, log };
        while !server.said.last().is_some_and(|line| line.contains("limits: ")) {
            let line = server.line();
            server.said.push(line);
        }
        server
    }

    /// One line of stderr, without its end. Byte by byte, so that none behind it is taken.
    fn line(&mut self) -> String {
        let stderr = self.stderr.as_mut().unwrap();
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut asked = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(PATIENCE).unwrap();
            assert_eq!(poll(&mut asked, timeout), Ok(1), "it says nothing behind {:?}", self.said);
            let mut byte = [0];
            let read = stderr.read(&mut byte).unwrap();
            assert_eq!(read, 1, "it has ended behind {:?}", self.said);
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// From now on what it says on stderr is taken, and found in [`Self::log`].
    pub(crate) fn drain(&mut self) {
        let mut stderr = self.stderr.take().unwrap();
        let log = Arc::clone(&self.log);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut bytes) {
                log.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
    }

    /// What it has said since its start.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The places it says that it listens on.
    pub(crate) fn places(&self) -> Vec<&str> {
        self.said.iter().filter_map(|line| Some(line.split_once("listening on ")?.1)).collect()
    }

    /// The TCP addresses among them.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.places().iter().filter_map(|place| place.parse().ok()).collect()
    }

    /// A client over TCP, by the first address.
    pub(crate) fn tcp(&self) -> Client<TcpStream> {
        Client::tcp(self.addresses()[0])
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    /// Stops it as a debugger would, while `meanwhile` is done.
    pub(crate) fn while_stopped<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.signal(Signal::SIGSTOP);
        until("the server is stopped", PATIENCE, || self.stat(0) == "T");
        let done = meanwhile();
        self.signal(Signal::SIGCONT);
        done
    }

    /// Waits for its end: the exit code, none when a signal ended it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.process.wait()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.wait()
    }

    /// Bytes of memory that are resident now.
    pub(crate) fn resident(&self) -> usize {
        self.status("VmRSS") * 1024
    }

    /// Bytes of memory that have been resident at the worst moment.
    pub(crate) fn resident_peak(&self) -> usize {
        self.status("VmHWM") * 1024
    }

    /// How often its (main) thread has gone to sleep, and so been woken.
    pub(crate) fn naps(&self) -> usize {
        self.status("voluntary_ctxt_switches")
    }

    pub(crate) fn threads(&self) -> usize {
        self.status("Threads")
    }

    /// Hundredths of a second that it has computed.
    pub(crate) fn cpu_ticks(&self) -> usize {
        self.stat(11).parse::<usize>().unwrap() + self.stat(12).parse::<usize>().unwrap()
    }

    /// Descriptors that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The number that its next descriptor will have.
    pub(crate) fn lowest_free_descriptor(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let open: Vec<usize> = open
            .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
            .collect();
        (0..).find(|number| !open.contains(number)).unwrap()
    }

    /// Bytes of memory that cannot be swapped out.
    pub(crate) fn locked(&self) -> usize {
        self.status("VmLck") * 1024
    }

    /// Bytes of its address space.
    pub(crate) fn address_space(&self) -> usize {
        self.status("VmSize") * 1024
    }

    /// Its users (`Uid`), its groups (`Gid`) or its further ones (`Groups`), by number.
    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        self.status_line(name).split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    fn status(&self, name: &str) -> usize {
        self.status_line(name).split_whitespace().next().unwrap().parse().unwrap()
    }

    fn status_line(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| *known == name).unwrap().1.to_owned()
    }

    /// Field `at` of `/proc/PID/stat`, counted from behind the name, which may hold spaces.
    fn stat(&self, at: usize) -> String {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(at).unwrap().to_owned()
    }
}

/// One connection to a server.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
}

impl Client<TcpStream> {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }
}

impl Client<TcpStream> {
    /// Goes without a word: a reset instead of an orderly end.
    pub(crate) fn reset(self) {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.stream, sockopt::Linger, &linger).unwrap();
    }
}

impl Client<UnixStream> {
    pub(crate) fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, requests: &[u8]) {
        self.stream.write_all(requests).unwrap();
    }

    /// Reads as many bytes as these, which must be these.
    pub(crate) fn expect(&mut self, answers: &[u8]) {
        let mut read = vec![0; answers.len()];
        let mut filled = 0;
        while filled < read.len() {
            match self.stream.read(&mut read[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                // With a timeout set, being stopped for a moment ends the call.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    panic!("{error} behind {filled} bytes of {}", shown(answers));
                }
            }
        }
        let same = answers.iter().zip(&read[..filled]).take_while(|(a, b)| a == b).count();
        let (expected, got) = (shown(&answers[same..]), shown(&read[same..filled]));
        assert!(same == answers.len(), "behind {same} bytes: expected {expected}, got {got}");
    }

    pub(crate) fn ask(&mut self, requests: &[u8], answers: &[u8]) {
        self.send(requests);
        self.expect(answers);
    }

    /// The figures that `stats` and this topic tell.
    pub(crate) fn stats(&mut self, topic: &str) -> HashMap<String, String> {
        self.send(format!("stats {topic}\r\n").as_bytes());
        self.read_stats()
    }

    /// The figures of a `stats` that has been sent.
    fn read_stats(&mut self) -> HashMap<String, String> {
        let mut told = Vec::new();
        while !told.ends_with(b"END\r\n") {
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the server hangs up behind {}", shown(&told));
            told.extend_from_slice(&bytes[..read]);
        }
        let told = String::from_utf8(told).unwrap();
        let figures = told.lines().filter_map(|line| line.strip_prefix("STAT ")?.split_once(' '));
        figures.map(|(name, figure)| (name.to_owned(), figure.to_owned())).collect()
    }

    /// One number of plain `stats`.
    pub(crate) fn figure(&mut self, name: &str) -> u64 {
        self.stats("")[name].parse().unwrap()
    }

    /// One number of a plain `stats` that has been sent.
    pub(crate) fn read_figure(&mut self, name: &str) -> u64 {
        self.read_stats()[name].parse().unwrap()
    }

    /// Nothing more comes, and the server has hung up.
    pub(crate) fn expect_end(&mut self) {
        let mut rest = [0; 100];
        let read = loop {
            match self.stream.read(&mut rest) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => {}
            // It hung up with something of ours unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Ok(bytes) => panic!("got {} instead of the end", shown(&rest[..bytes])),
            Err(error) => panic!("{error} instead of the end"),
        }
    }
}

/// Bytes as a failure shows them.
fn shown(bytes: &[u8]) -> String {
    let head = bytes[..bytes.len().min(80)].escape_ascii();
    format!("\"{head}\" ({} bytes)", bytes.len())
}
