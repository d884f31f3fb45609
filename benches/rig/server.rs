//! A server process of ours: started on loopback or a Unix socket, pinned, and ended with its owner.
//!
//! Owns the child and the folder of its socket. The process lives as long as its [`Server`]: dropping
//! that kills it, on every path, panics included. Knows no protocol beyond `version`.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::client::Client;
use super::cpus::Placement;
use super::failure::{Doing, Failure};
use super::program::Program;

/// What pogocache's version begins with.
pub(crate) const POGOCACHE: &str = "pogocache ";
/// From start to the first answer; generous, for a server may allocate gigabytes first.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// Between two attempts to reach a starting server.
const START_RETRY: Duration = Duration::from_millis(2);
/// A free port can be taken by another process before the server binds it.
const START_ATTEMPTS: u32 = 3;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Unix(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// Which kind of socket a server is to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Unix,
}

/// What a server is started with; the option names are memcached's, and miocached takes the same.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) transport: Transport,
    /// `-m`
    pub(crate) memory_mib: u64,
    /// `-c`
    pub(crate) connections_max: usize,
    /// `-I`, as written on the command line; the server's own default where there is none.
    pub(crate) item_bytes_max: Option<&'static str>,
    /// Further arguments, as they are.
    pub(crate) extra: Vec<String>,
}

impl Launch {
    /// The command line after the program's name, without where to listen.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "-m".to_string(),
            self.memory_mib.to_string(),
            "-c".to_string(),
            self.connections_max.to_string(),
        ];
        if let Some(size) = self.item_bytes_max {
            arguments.extend(["-I".to_string(), size.to_string()]);
        }
        arguments.extend(self.extra.iter().cloned());
        arguments
    }

    /// The same for pogocache, whose options have other names and which has no `-I`.
    fn pogocache_arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "-m".to_string(),
            self.memory_mib.to_string(),
            "--maxconns".to_string(),
            self.connections_max.to_string(),
        ];
        arguments.extend(self.extra.iter().cloned());
        arguments
    }
}

/// A running server that ends with this value.
pub(crate) struct Server {
    child: Child,
    endpoint: Endpoint,
    /// Its stderr: a file and not a pipe, for a full pipe would stop the server.
    errors: File,
    /// Holds the Unix socket; goes after the process.
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts `program` and waits until it answers.
    pub(crate) fn start(
        program: &Program,
        launch: &Launch,
        placement: Placement,
    ) -> Result<Self, Failure> {
        let pogocache = program.version.starts_with(POGOCACHE);
        Self::start_as(launch.transport, placement, |endpoint| {
            let mut command = Command::new(&program.path);
            if pogocache {
                command.args(launch.pogocache_arguments());
            } else {
                command.args(program.user_arguments()).args(launch.arguments());
            }
            match endpoint {
                Endpoint::Tcp(address) => {
                    let host = if pogocache { "-h" } else { "-l" };
                    command.args([host, &address.ip().to_string()]);
                    command.args(["-p", &address.port().to_string()]);
                }
                Endpoint::Unix(path) => {
                    command.arg("-s").arg(path);
                    if pogocache {
                        // Without a port it would listen on its default one as well.
                        command.args(["-p", "0"]);
                    }
                }
            }
            command
        })
    }

    /// Starts any command that listens at the endpoint that it is given and answers `version`.
    pub(crate) fn start_as(
        transport: Transport,
        placement: Placement,
        command_for: impl Fn(&Endpoint) -> Command,
    ) -> Result<Self, Failure> {
        let mut attempt = 1;
        loop {
            let (endpoint, folder) = free_endpoint(transport)?;
            let errors = tempfile::tempfile().doing(|| "making a file for stderr".into())?;
            let stderr = errors.try_clone().doing(|| "sharing the file for stderr".into())?;
            let mut command = command_for(&endpoint);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
            let child = placement
                .on_server_cpu(|| command.spawn())?
                .doing(|| format!("starting {}", command.get_program().to_string_lossy()))?;
            let mut server = Self { child, endpoint, errors, _folder: folder };
            match server.wait_until_ready() {
                Ok(()) => return Ok(server),
                Err(failure) if attempt == START_ATTEMPTS => return Err(failure),
                Err(_) => attempt += 1,
            }
        }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its process id, for the kernel's accounting.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the process (SIGSTOP): its timers and background threads take no CPU time until
    /// [`Self::resume`]. The kernel still completes connections to it, and keeps what is sent.
    pub(crate) fn pause(&self) -> Result<(), Failure> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets the process go on (SIGCONT).
    pub(crate) fn resume(&self) -> Result<(), Failure> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.pid()).doing(|| format!("process id {}", self.pid()))?;
        kill(Pid::from_raw(pid), signal).doing(|| format!("sending {signal} to a server"))
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_TIME_MAX;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                let said = self.said();
                return Err(Failure(format!("the server ended at once, {status}: {said}")));
            }
            let answer = Client::connect(&self.endpoint).and_then(|mut client| client.version());
            match answer {
                Ok(_) => return Ok(()),
                Err(failure) if Instant::now() > deadline => {
                    return Err(Failure(format!("the server does not answer: {failure}")));
                }
                Err(_) => std::thread::sleep(START_RETRY),
            }
        }
    }

    fn said(&mut self) -> String {
        let mut text = String::new();
        let read = self.errors.rewind().and_then(|()| self.errors.read_to_string(&mut text));
        read.map_or_else(|error| error.to_string(), |_| text.trim().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_endpoint(transport: Transport) -> Result<(Endpoint, Option<TempDir>), Failure> {
    match transport {
        Transport::Tcp => {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .and_then(|listener| listener.local_addr())
                .doing(|| "looking for a free port on loopback".into())?;
            Ok((Endpoint::Tcp(address), None))
        }
        Transport::Unix => {
            let folder = tempfile::tempdir().doing(|| "making a folder for a socket".into())?;
            Ok((Endpoint::Unix(folder.path().join("socket")), Some(folder)))
        }
    }
}
