//! A user's own trace: a plain text file with a key and a value's size per line.
//!
//! Lines are reads, in their order; empty ones and those that begin with `#` say nothing. Owns the
//! names of the keys, so that the rest of the bench can count in numbers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::requests::Request;
use crate::rig::failure::{Doing, Failure};

/// A trace is held in memory, with 8 bytes a line and its keys beside.
const LINES_MAX: usize = 100_000_000;
/// The classic dialect's longest key.
const KEY_BYTES_MAX: usize = 250;
/// Servers refuse more than 1 MiB by default, and are then asked again; this is only a guard against
/// a column that is no size.
const VALUE_BYTES_MAX: u32 = 16 << 20;

/// A trace as it was read.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Names by number.
    keys: Vec<Box<[u8]>>,
    /// The size that each key had last.
    sizes: Vec<u32>,
    lines: Vec<(u32, u32)>,
}

impl Trace {
    /// Reads all of a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).doing(|| format!("opening the trace {}", path.display()))?;
        Self::parse(BufReader::new(file))
            .map_err(|Failure(why)| Failure(format!("the trace {}: {why}", path.display())))
    }

    /// Reads lines.
    pub(crate) fn parse(input: impl BufRead) -> Result<Self, Failure> {
        let mut trace = Self::default();
        let mut numbers: HashMap<Box<[u8]>, u32> = HashMap::new();
        for (at, line) in input.lines().enumerate() {
            let line = line.doing(|| format!("line {}", at + 1))?;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, size) = key_and_size(line)
                .map_err(|why| Failure(format!("line {}: {why}: {line:?}", at + 1)))?;
            if trace.lines.len() == LINES_MAX {
                return Err(Failure(format!("it has more than {LINES_MAX} lines")));
            }
            let number = match numbers.get(key.as_bytes()) {
                Some(&number) => number,
                None => {
                    let number =
                        u32::try_from(trace.keys.len()).doing(|| "counting keys".into())?;
                    numbers.insert(key.as_bytes().into(), number);
                    trace.keys.push(key.as_bytes().into());
                    trace.sizes.push(size);
                    number
                }
            };
            trace.sizes[number as usize] = size;
            trace.lines.push((number, size));
        }
        if trace.lines.is_empty() {
            return Err(Failure("it has no requests".to_string()));
        }
        Ok(trace)
    }

    /// Number of requests.
    pub(crate) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Number of different keys.
    pub(crate) fn keys(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Bytes of all keys and their values, as large as they were last.
    pub(crate) fn bytes(&self) -> u64 {
        let keys: u64 = self.keys.iter().map(|key| key.len() as u64).sum();
        keys + self.sizes.iter().map(|&size| u64::from(size)).sum::<u64>()
    }

    /// The largest value.
    pub(crate) fn value_bytes_max(&self) -> u32 {
        self.lines.iter().map(|&(_, size)| size).max().unwrap_or(0)
    }

    /// The key of a number that stands in one of the requests.
    pub(crate) fn key(&self, number: u64) -> &[u8] {
        usize::try_from(number).ok().and_then(|at| self.keys.get(at)).map_or(b"?", |key| key)
    }

    /// All requests, in their order.
    pub(crate) fn requests(&self) -> impl Iterator<Item = Request> {
        self.lines.iter().map(|&(key, value_bytes)| Request {
            key: u64::from(key),
            value_bytes,
            ttl_s: 0,
            write: false,
        })
    }
}

fn key_and_size(line: &str) -> Result<(&str, u32), &'static str> {
    let mut words = line.split_ascii_whitespace();
    let (Some(key), Some(size), None) = (words.next(), words.next(), words.next()) else {
        return Err("a key and a size are expected");
    };
    if key.len() > KEY_BYTES_MAX || key.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("a key has 1 to 250 bytes, none of them a control character");
    }
    match size.parse() {
        Ok(size) if size <= VALUE_BYTES_MAX => Ok((key, size)),
        Ok(_) => Err("no server takes a value as large"),
        Err(_) => Err("the size is no number"),
    }
}
