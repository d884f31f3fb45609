//! Single gets and sets in batches on one connection, with what came of each.
//!
//! For counting hits and misses, not for measuring time. Owns the requests of one batch and the
//! reading of their answers. Does not check values: `versus` does that.

use std::io::{BufRead, ErrorKind};
use std::ops::Range;

use super::client::Client;
use super::failure::{Doing, Failure};
use super::items::{Answered, push_set};
use super::server::Endpoint;

/// Bytes of values that may be asked for in one batch, unless that is its last request. The whole
/// batch is sent before the first answer is read, which ends well as long as the kernel takes all of
/// the answers: beyond that both ends would wait for each other.
pub(crate) const BATCH_BYTES_MAX: usize = 64 << 10;

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Hit,
    Miss,
    Stored,
    /// The server would not store it: too large, or out of memory.
    Refused,
}

/// A request without an answer yet.
enum Asked {
    /// With the place of its key in the output.
    Get(Range<usize>),
    Set,
}

/// One connection, and a batch in the making.
pub(crate) struct Pipeline {
    client: Client,
    output: Vec<u8>,
    asked: Vec<Asked>,
    line: Vec<u8>,
    /// Bytes of which every value is a beginning.
    filler: Vec<u8>,
}

impl Pipeline {
    /// Connects; no value will be larger than `value_bytes_max`.
    pub(crate) fn connect(endpoint: &Endpoint, value_bytes_max: usize) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::connect(endpoint)?,
            output: Vec::new(),
            asked: Vec::new(),
            line: Vec::new(),
            filler: vec![b'v'; value_bytes_max],
        })
    }

    /// Adds a `get` of the key that `push` appends.
    pub(crate) fn get(&mut self, push: impl FnOnce(&mut Vec<u8>)) {
        self.output.extend_from_slice(b"get ");
        let start = self.output.len();
        push(&mut self.output);
        self.asked.push(Asked::Get(start..self.output.len()));
        self.output.extend_from_slice(b"\r\n");
    }

    /// Adds a `set` of the key that `push` appends.
    pub(crate) fn set(
        &mut self,
        push: impl FnOnce(&mut Vec<u8>),
        value_bytes: usize,
        exptime_s: u32,
    ) {
        let value = &self.filler[..value_bytes];
        push_set(push, exptime_s, value, Answered::Yes, &mut self.output);
        self.asked.push(Asked::Set);
    }

    /// Sends the batch and says what came of each request, in their order.
    pub(crate) fn run(&mut self, mut outcome: impl FnMut(Outcome)) -> Result<(), Failure> {
        self.client.send(&self.output)?;
        for asked in &self.asked {
            let answered = match asked {
                Asked::Get(key) => {
                    take_hit(self.client.input(), &mut self.line, &self.output[key.clone()])?
                }
                Asked::Set => take_stored(self.client.input(), &mut self.line)?,
            };
            outcome(answered);
        }
        self.asked.clear();
        self.output.clear();
        Ok(())
    }
}

fn take_hit(input: &mut impl BufRead, line: &mut Vec<u8>, key: &[u8]) -> Result<Outcome, Failure> {
    take_line(input, line)?;
    if line == b"END\r\n" {
        return Ok(Outcome::Miss);
    }
    let bytes = value_bytes(line, key).ok_or_else(|| unexpected("a get", line))?;
    skip(input, bytes + 2)?;
    take_line(input, line)?;
    if line == b"END\r\n" { Ok(Outcome::Hit) } else { Err(unexpected("a get", line)) }
}

/// The length that a `VALUE <key> <flags> <bytes>` line for this key announces.
fn value_bytes(line: &[u8], key: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(b"VALUE ")?.strip_prefix(key)?.strip_prefix(b" ")?;
    let rest = std::str::from_utf8(rest).ok()?.strip_suffix("\r\n")?;
    rest.split(' ').nth(1)?.parse().ok()
}

fn take_stored(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<Outcome, Failure> {
    take_line(input, line)?;
    match line.as_slice() {
        b"STORED\r\n" => Ok(Outcome::Stored),
        refusal if refusal.starts_with(b"SERVER_ERROR ") => Ok(Outcome::Refused),
        _ => Err(unexpected("a set", line)),
    }
}

fn take_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<(), Failure> {
    line.clear();
    input.read_until(b'\n', line).doing(|| "reading an answer".into())?;
    if line.ends_with(b"\n") {
        return Ok(());
    }
    Err(Failure("the server closed the connection".to_string()))
}

fn skip(input: &mut impl BufRead, mut bytes: usize) -> Result<(), Failure> {
    while bytes > 0 {
        let here = match input.fill_buf() {
            Ok([]) => return Err(Failure("the server closed the connection".to_string())),
            Ok(available) => available.len().min(bytes),
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(error).doing(|| "reading a value".into()),
        };
        input.consume(here);
        bytes -= here;
    }
    Ok(())
}

fn unexpected(request: &str, line: &[u8]) -> Failure {
    let line = String::from_utf8_lossy(line);
    Failure(format!("the answer to {request} is {:?}", line.trim_end()))
}
