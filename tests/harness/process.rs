//! A real server process and its clients, for the tests that need sockets, signals and files.
//!
//! Starts a server (on free ports, which are read from its log lines), observes it through `/proc`, and
//! ends it. It is always a child process, and never outlives its test. Every wait has a deadline.

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

/// Deadline of things that should take no time. It is generous, for busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// One mebibyte, in bytes.
pub(crate) const MIB: usize = 1 << 20;

/// The server's program with these arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miocached"));
    command.args(arguments);
    command
}

/// Raises the limit on descriptors, for the tests and the servers that they start.
pub(crate) fn have_descriptors(needed: u64) {
    // One thread at a time, so that none lowers the limit that another has raised.
    static LIMIT: Mutex<()> = Mutex::new(());
    let _one = LIMIT.lock().unwrap_or_else(|failed| failed.into_inner());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= needed, "{needed} descriptors are needed, and {hard} is the hard limit");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(needed), hard).unwrap();
}

/// Waits until `condition` holds. Fails with `what` after `patience`.
pub(crate) fn until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A value of all bytes, newlines included, without a short period: a cut, shifted or reordered copy
/// differs from it.
pub(crate) fn value(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + (at >> 8) * 7 + (at >> 16)).to_le_bytes()[0]).collect()
}

/// A `set` of `key`, and the VALUE block that a `get` is answered with.
pub(crate) fn stored(key: &str, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let set = [format!("set {key} {}\n", data.len()).as_bytes(), data, b"\n"].concat();
    let block = [format!("VALUE {key} {}\n", data.len()).as_bytes(), data, b"\n"].concat();
    (set, block)
}

/// A child process that does not outlive its test.
struct Process(Child);

impl Process {
    /// Waits for its exit code. None if a signal has ended it.
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
        // Both fail if it has ended and been waited for already, which is expected.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a program ended, and its output.
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
    // A program may end before it has read its input. Then its output shows that.
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
    /// The log lines of its start. The last one has its limits.
    pub(crate) said: Vec<String>,
    /// Its stderr, until [`Self::drain`] takes it.
    pub(crate) stderr: Option<ChildStderr>,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// A server with these options, whose stderr is collected.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut server = Self::spawn(&mut command(arguments));
        server.drain();
        server
    }

    /// A server whose stderr is read only until it has started.
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

    /// One line of stderr, without its end. It is read byte by byte, so that nothing after it is lost.
    fn line(&mut self) -> String {
        let stderr = self.stderr.as_mut().unwrap();
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut asked = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(PATIENCE).unwrap();
            assert_eq!(poll(&mut asked, timeout), Ok(1), "no line follows {:?}", self.said);
            let mut byte = [0];
            let read = stderr.read(&mut byte).unwrap();
            assert_eq!(read, 1, "it has ended after {:?}", self.said);
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// Collects its stderr from now on, for [`Self::log`].
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

    /// Its log lines since its start.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The addresses and paths on which it has reported to listen.
    pub(crate) fn places(&self) -> Vec<&str> {
        self.said.iter().filter_map(|line| Some(line.split_once("listening on ")?.1)).collect()
    }

    /// The TCP addresses among them.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.places().iter().filter_map(|place| place.parse().ok()).collect()
    }

    /// The address of `--metrics`.
    pub(crate) fn metrics(&self) -> SocketAddr {
        let mut lines = self.said.iter();
        let (_, url) = lines.find_map(|line| line.split_once("metrics at http://")).unwrap();
        url.trim_end_matches('/').parse().unwrap()
    }

    /// A client over TCP, connected to the first address.
    pub(crate) fn tcp(&self) -> Client<TcpStream> {
        Client::tcp(self.addresses()[0])
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    /// Runs `meanwhile` while the server is stopped by SIGSTOP.
    pub(crate) fn while_stopped<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.signal(Signal::SIGSTOP);
        until("the server is stopped", PATIENCE, || self.stat(0) == "T");
        let done = meanwhile();
        self.signal(Signal::SIGCONT);
        done
    }

    /// Waits for its exit code. None if a signal has ended it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.process.wait()
    }

    /// Sends the signal and waits for the exit code.
    pub(crate) fn stop(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.wait()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> usize {
        self.status("VmRSS") * 1024
    }

    /// Peak of resident memory, in bytes.
    pub(crate) fn resident_peak(&self) -> usize {
        self.status("VmHWM") * 1024
    }

    /// How often its main thread has slept: voluntary context switches.
    pub(crate) fn naps(&self) -> usize {
        self.status("voluntary_ctxt_switches")
    }

    pub(crate) fn threads(&self) -> usize {
        self.status("Threads")
    }

    /// CPU time, user and system, in hundredths of a second.
    pub(crate) fn cpu_ticks(&self) -> usize {
        self.stat(11).parse::<usize>().unwrap() + self.stat(12).parse::<usize>().unwrap()
    }

    /// Number of its open descriptors.
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

    /// Locked memory, in bytes.
    pub(crate) fn locked(&self) -> usize {
        self.status("VmLck") * 1024
    }

    /// Size of its address space, in bytes.
    pub(crate) fn address_space(&self) -> usize {
        self.status("VmSize") * 1024
    }

    /// Its user ids (`Uid`), group ids (`Gid`) or supplementary group ids (`Groups`).
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

    /// Field `index` of `/proc/PID/stat`, counted from the field after the name, which may hold spaces.
    fn stat(&self, index: usize) -> String {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(index).unwrap().to_owned()
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
    /// Closes with a reset instead of a FIN.
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

    /// Reads as many bytes as `answers` has, and compares them.
    pub(crate) fn expect(&mut self, answers: &[u8]) {
        let mut read = vec![0; answers.len()];
        let mut filled = 0;
        while filled < read.len() {
            match self.stream.read(&mut read[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                // With a timeout, SIGSTOP and SIGCONT interrupt the call.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    panic!("{error} after {filled} bytes of {}", shown(answers));
                }
            }
        }
        let same = answers.iter().zip(&read[..filled]).take_while(|(a, b)| a == b).count();
        let (expected, got) = (shown(&answers[same..]), shown(&read[same..filled]));
        assert!(same == answers.len(), "after {same} bytes: expected {expected}, got {got}");
    }

    /// Reads one line, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, requests: &[u8], answers: &[u8]) {
        self.send(requests);
        self.expect(answers);
    }

    /// The names and values of `stats` with this argument.
    pub(crate) fn stats(&mut self, topic: &str) -> HashMap<String, String> {
        self.send(format!("stats {topic}\r\n").as_bytes());
        self.read_stats()
    }

    /// The names and values of a `stats` that has been sent.
    fn read_stats(&mut self) -> HashMap<String, String> {
        let mut answer = Vec::new();
        while !answer.ends_with(b"END\r\n") {
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the server closes after {}", shown(&answer));
            answer.extend_from_slice(&bytes[..read]);
        }
        let answer = String::from_utf8(answer).unwrap();
        let figures = answer.lines().filter_map(|line| line.strip_prefix("STAT ")?.split_once(' '));
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

    /// Checks that the server sends nothing more and closes.
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
            // The server has closed with unread bytes.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Ok(bytes) => panic!("got {} instead of the end", shown(&rest[..bytes])),
            Err(error) => panic!("{error} instead of the end"),
        }
    }
}

/// Bytes as text for a failure, cut after 80.
fn shown(bytes: &[u8]) -> String {
    let head = bytes[..bytes.len().min(80)].escape_ascii();
    format!("\"{head}\" ({} bytes)", bytes.len())
}
