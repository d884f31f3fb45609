//! A plain blocking client, for everything around a measurement: is it there, which version, fill it.
//!
//! Never part of a measured window. Speaks the classic dialect only.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::failure::{Doing, Failure};
use super::server::Endpoint;

/// No server takes this long for what is asked here; one that does is broken.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of `set` commands handed to the kernel at once.
const FILL_BATCH_BYTES: usize = 256 << 10;
const VERSION: &[u8] = b"version\r\n";

/// One connection. A `File`, because reading and writing a descriptor is all that is needed, and
/// both kinds of socket turn into one.
pub(crate) struct Client(BufReader<File>);

impl Client {
    /// Connects, with a limit on every later wait.
    pub(crate) fn connect(endpoint: &Endpoint) -> Result<Self, Failure> {
        let socket: io::Result<OwnedFd> = match endpoint {
            Endpoint::Tcp(address) => TcpStream::connect(address).and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
                stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
                Ok(stream.into())
            }),
            Endpoint::Unix(path) => UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
                stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
                Ok(stream.into())
            }),
        };
        let socket = socket.doing(|| format!("connecting to {endpoint}"))?;
        Ok(Self(BufReader::new(File::from(socket))))
    }

    /// What the server says to `version`.
    pub(crate) fn version(&mut self) -> Result<String, Failure> {
        self.send(VERSION)?;
        self.version_answer()
    }

    fn version_answer(&mut self) -> Result<String, Failure> {
        loop {
            let line = self.line()?;
            match line.strip_prefix("VERSION ") {
                Some(version) => return Ok(version.to_string()),
                // An answer to something sent before, as an error in spite of `noreply`.
                None if line.contains("ERROR") => return Err(Failure(line)),
                None => {}
            }
        }
    }

    /// Stores `count` items, as fast as the server takes them. `render` appends the n-th `set`,
    /// which must say `noreply`. Returns when the last one has been executed.
    ///
    /// Requests of one connection are answered in order, so an answer to `version` comes after every
    /// store before it. One is asked for with each batch and awaited after the next one has been
    /// sent: a server that ignores `noreply`, as pogocache does, would else fill the socket with
    /// answers until both ends wait for each other.
    pub(crate) fn fill(
        &mut self,
        count: u32,
        mut render: impl FnMut(u32, &mut Vec<u8>),
    ) -> Result<(), Failure> {
        let mut batch = Vec::with_capacity(2 * FILL_BATCH_BYTES);
        let mut is_unanswered = false;
        for number in 0..count {
            render(number, &mut batch);
            if batch.len() >= FILL_BATCH_BYTES || number + 1 == count {
                batch.extend_from_slice(VERSION);
                self.send(&batch)?;
                batch.clear();
                if is_unanswered {
                    self.version_answer()?;
                }
                is_unanswered = true;
            }
        }
        if is_unanswered {
            self.version_answer()?;
        }
        Ok(())
    }

    /// One number out of `stats`, by its name.
    pub(crate) fn stat(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        self.send(b"stats\r\n")?;
        let mut found = None;
        loop {
            let line = self.line()?;
            // A server that has no `stats` says ERROR, and then there is no such number.
            if line == "END" || line == "ERROR" {
                return Ok(found);
            }
            let mut words = line.split(' ').skip(1);
            if words.next() == Some(name) {
                found = words.next().and_then(|word| word.parse().ok());
            }
        }
    }

    /// Hands all of `bytes` to the kernel.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.get_mut().write_all(bytes).doing(|| "sending to the server".into())
    }

    /// What the server has sent and has not been read yet.
    pub(crate) fn input(&mut self) -> &mut impl BufRead {
        &mut self.0
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let length = self.0.read_line(&mut line).doing(|| "reading an answer".into())?;
        if length == 0 {
            return Err(Failure("the server closed the connection".to_string()));
        }
        Ok(line.trim_end().to_string())
    }
}
