//! Well-behaved clients for the soak test: they send requests of all kinds in a random order and check
//! every answer. The bytes of a value depend on its key and length, so a value that was cut, moved or
//! confused with another is detected. Other clients and evictions change which items exist, so a miss
//! is always a valid answer.

use std::io::{BufRead as _, BufReader, Read, Write};

use crate::harness::process::Client;

/// Number of keys, which all clients share.
const KEYS: u64 = 200_000;
/// The largest value, in bytes.
pub(crate) const LARGE_BYTES_MAX: u64 = 900_000;

/// Marsaglia's xorshift generator (2003).
#[derive(Clone, Copy)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The value of this key with this length.
pub(crate) fn bytes_of(key: u64, bytes: u64) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + (at >> 8) * 7 + key * 13 + bytes).to_le_bytes()[0]).collect()
}

/// What an answer must be.
enum Expected {
    /// One of these lines.
    Line(&'static [&'static str]),
    /// Any number of VALUE blocks, then this line.
    Values(&'static str),
    /// A meta hit with its value, a miss, or nothing.
    Meta,
    /// A number, or `NOT_FOUND`.
    Number,
}

/// One well-behaved client.
pub(crate) struct Talker<S: Read + Write> {
    reader: BufReader<S>,
    random: Random,
    /// Requests that have been answered.
    pub(crate) answered: u64,
}

impl<S: Read + Write> Talker<S> {
    /// None if the server has rejected the client.
    pub(crate) fn new(client: Client<S>, seed: u64) -> Option<Self> {
        let reader = BufReader::new(client.stream);
        let mut talker = Self { reader, random: Random(seed | 1), answered: 0 };
        // The write of a rejected client may fail.
        let _ = talker.reader.get_mut().write_all(b"version\r\n");
        let mut line = Vec::new();
        let read = talker.reader.read_until(b'\n', &mut line);
        let accepted = read.is_ok() && line.starts_with(b"VERSION ");
        assert!(accepted || line.is_empty() || line.starts_with(b"ERROR Too many"), "{line:?}");
        accepted.then_some(talker)
    }

    /// Sends a batch of requests, and checks all answers.
    pub(crate) fn talk(&mut self) {
        let (mut requests, mut expected) = (Vec::new(), Vec::new());
        if self.random.below(20) == 0 {
            self.large(&mut requests, &mut expected);
        } else {
            for _ in 0..=self.random.below(40) {
                self.small(&mut requests, &mut expected);
            }
        }
        self.reader.get_mut().write_all(&requests).unwrap();
        for expected in expected {
            self.answer(&expected);
            self.answered += 1;
        }
    }

    fn key(&mut self) -> u64 {
        // Some keys are requested far more often than others.
        let range = [100, 10_000, KEYS][usize::try_from(self.random.below(3)).unwrap()];
        self.random.below(range)
    }

    fn large(&mut self, requests: &mut Vec<u8>, expected: &mut Vec<Expected>) {
        let (key, bytes) = (self.random.below(100), self.random.below(LARGE_BYTES_MAX));
        if self.random.below(2) == 0 {
            write!(requests, "set large-{key} 0 0 {bytes}\r\n").unwrap();
            requests.extend(bytes_of(key, bytes));
            requests.extend(b"\r\n");
            expected.push(Expected::Line(&["STORED"]));
        } else {
            writeln!(requests, "get large-{key} large-{} large-none", key / 2).unwrap();
            expected.push(Expected::Values("END"));
        }
    }

    fn small(&mut self, requests: &mut Vec<u8>, expected: &mut Vec<Expected>) {
        let (key, bytes) = (self.key(), self.random.below(500));
        let data = bytes_of(key, bytes);
        let ttl = [0, 0, 0, 1, 2, 60, -1][usize::try_from(self.random.below(7)).unwrap()];
        let mut store = |line: String, answers| {
            requests.extend(line.as_bytes());
            requests.extend(&data);
            requests.extend(if line.ends_with("\r\n") { &b"\r\n"[..] } else { b"\n" });
            expected.push(Expected::Line(answers));
        };
        match self.random.below(16) {
            0 | 1 => store(format!("set k-{key} {bytes}\n"), &["STORED"]),
            2 => store(format!("set k-{key} 7 {ttl} {bytes}\r\n"), &["STORED"]),
            3 => store(format!("add k-{key} 0 {ttl} {bytes}\r\n"), &["STORED", "NOT_STORED"]),
            4 => store(format!("replace k-{key} 0 0 {bytes}\r\n"), &["STORED", "NOT_STORED"]),
            5 => store(format!("ms k-{key} {bytes} T60\r\n"), &["HD"]),
            other => {
                let (request, answer) = match other {
                    6 => (format!("delete k-{key}\r\n"), DELETED),
                    7 => (format!("touch k-{key} 30\r\n"), TOUCHED),
                    8 => (format!("gat 30 k-{key}\r\n"), Expected::Values("END")),
                    9 => (format!("mg k-{key} v k\r\n"), Expected::Meta),
                    10 => (format!("incr n-{} 3\r\n", key % 50), Expected::Number),
                    11 => (format!("add n-{} 0 5 1\r\n1\r\n", key % 50), ADDED),
                    12 => (format!("get k-{key} k-{} k-{}\r\n", key / 2, key / 3), VALUES),
                    _ => (format!("get k-{key} k-{}\n", key / 2), VALUES),
                };
                requests.extend(request.as_bytes());
                expected.push(answer);
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).unwrap();
        assert!(line.ends_with(b"\n"), "the server has closed a well-behaved client");
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    fn answer(&mut self, expected: &Expected) {
        let line = self.line();
        match expected {
            Expected::Line(lines) => assert!(lines.contains(&line.as_str()), "{line:?}"),
            Expected::Number => {
                assert!(line == "NOT_FOUND" || line.parse::<u64>().is_ok(), "{line}")
            }
            Expected::Values(end) => {
                let mut line = line;
                while line != *end {
                    let words: Vec<&str> = line.split(' ').collect();
                    let ["VALUE", key, .., bytes] = words[..] else {
                        panic!("{line:?} is no value");
                    };
                    self.value(key, bytes);
                    line = self.line();
                }
            }
            Expected::Meta if line.starts_with("EN k") => {}
            Expected::Meta => {
                let words: Vec<&str> = line.split(' ').collect();
                let ["VA", bytes, key] = words[..] else { panic!("{line:?} is no meta hit") };
                self.value(key.strip_prefix('k').unwrap(), bytes);
            }
        }
    }

    /// Reads and checks the value after the line that announces it.
    fn value(&mut self, key: &str, bytes: &str) {
        let bytes: u64 = bytes.parse().unwrap();
        let mut data = vec![0; usize::try_from(bytes).unwrap()];
        self.reader.read_exact(&mut data).unwrap();
        let number = key.rsplit_once('-').unwrap().1.parse().unwrap();
        assert!(data == bytes_of(number, bytes), "{key} has {bytes} bytes that are not its own");
        assert_eq!(self.line(), "");
    }
}

const DELETED: Expected = Expected::Line(&["DELETED", "NOT_FOUND"]);
const TOUCHED: Expected = Expected::Line(&["TOUCHED", "NOT_FOUND"]);
const ADDED: Expected = Expected::Line(&["STORED", "NOT_STORED"]);
const VALUES: Expected = Expected::Values("END");
