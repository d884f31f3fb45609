//! The requests that are counted, as the server reads them, and the answers that must come.
//!
//! Owns their spelling and how many of them one read brings. Runs nothing.

use std::ops::Range;

use super::frames;

use crate::rig::items::{Answered, in_lap, push_key, push_set};

/// Items that are loaded first. Every case then touches each of them [`LAPS`] times.
pub(crate) const ITEMS: u32 = 100_000;
/// What is subtracted, the load, varies with the hash seed by 7 instructions per item: three laps
/// leave 2 of them in a count.
pub(crate) const LAPS: u32 = 3;
pub(crate) const KEY_BYTES: usize = 36;
pub(crate) const VALUE: [u8; 224] = [b'v'; 224];
/// Requests that one read brings when they are pipelined: as in the benchmark at depth 50. Fifty
/// sets fit into the server's input buffer of 16 KiB, so no request is cut.
const PIPELINED: usize = 50;
const MULTIGET_KEYS: usize = 50;

/// What is counted in one protocol. A connection speaks one alone, so each has a load of its own.
pub(crate) struct Suite {
    /// Stores the items, and is a case itself.
    pub(crate) load: Case,
    /// The cases that need loaded items.
    pub(crate) cases: &'static [Case],
    /// The last request, which is not answered.
    pub(crate) quit: &'static [u8],
}

/// One row of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What is counted, for the table.
    pub(crate) unit: &'static str,
    keys_per_request: usize,
    requests_per_read: usize,
    push_request: fn(&[u64], &mut Vec<u8>),
    /// The second number counts the requests for single items that came before, the load included.
    push_answer: fn(&[u64], u64, &mut Vec<u8>),
}

/// What each read of the server brings, and all answers one after the other.
pub(crate) struct Conversation {
    pub(crate) reads: Vec<Vec<u8>>,
    pub(crate) answers: Vec<u8>,
}

pub(crate) const SUITES: [Suite; 2] = [
    Suite {
        load: pipelined(
            "set-new",
            "pipelined set of a new key, growth of the table included",
            push_sets,
            push_stored,
        ),
        cases: &[
            pipelined("get", "pipelined get", push_get, push_values),
            Case {
                name: "get-alone",
                unit: "get that is alone in its read",
                keys_per_request: 1,
                requests_per_read: 1,
                push_request: push_get,
                push_answer: push_values,
            },
            Case {
                name: "multiget-key",
                unit: "key of a get of 50 keys",
                keys_per_request: MULTIGET_KEYS,
                requests_per_read: 1,
                push_request: push_get,
                push_answer: push_values,
            },
            pipelined("set", "pipelined set of a key that is there", push_sets, push_stored),
            pipelined("mg-v", "pipelined mg <key> v", push_meta_get, push_meta_value),
        ],
        quit: b"quit\r\n",
    },
    Suite {
        load: pipelined(
            "frame-new",
            "pipelined set of a new key in the binary protocol, as set-new",
            frames::push_sets,
            frames::push_stored,
        ),
        cases: &[
            pipelined(
                "frame-get",
                "pipelined get in the binary protocol",
                frames::push_gets,
                frames::push_values,
            ),
            pipelined(
                "frame-set",
                "pipelined set of a key that is there in the binary protocol",
                frames::push_sets,
                frames::push_stored,
            ),
        ],
        quit: &frames::QUIT,
    },
];

const fn pipelined(
    name: &'static str,
    unit: &'static str,
    push_request: fn(&[u64], &mut Vec<u8>),
    push_answer: fn(&[u64], u64, &mut Vec<u8>),
) -> Case {
    let (keys_per_request, requests_per_read) = (1, PIPELINED);
    Case { name, unit, keys_per_request, requests_per_read, push_request, push_answer }
}

impl Case {
    /// Asks for every item once per lap. Each lap has its own order; that of lap 0 is the plain one.
    pub(crate) fn conversation(&self, laps: Range<u32>) -> Conversation {
        let items = |lap| (0..ITEMS).map(move |index| in_lap(lap, index, ITEMS));
        let mut before = u64::from(laps.start) * u64::from(ITEMS);
        let numbers: Vec<u64> = laps.flat_map(items).collect();
        let mut answers = Vec::new();
        let mut reads = Vec::new();
        for in_read in numbers.chunks(self.keys_per_request * self.requests_per_read) {
            let mut read = Vec::new();
            for in_request in in_read.chunks(self.keys_per_request) {
                (self.push_request)(in_request, &mut read);
                (self.push_answer)(in_request, before, &mut answers);
                before += in_request.len() as u64;
            }
            reads.push(read);
        }
        Conversation { reads, answers }
    }
}

fn push_get(numbers: &[u64], output: &mut Vec<u8>) {
    output.extend_from_slice(b"get");
    for &number in numbers {
        output.push(b' ');
        push_key(number, KEY_BYTES, output);
    }
    output.extend_from_slice(b"\r\n");
}

fn push_values(numbers: &[u64], _before: u64, output: &mut Vec<u8>) {
    for &number in numbers {
        output.extend_from_slice(b"VALUE ");
        push_key(number, KEY_BYTES, output);
        output.extend_from_slice(format!(" 0 {}\r\n", VALUE.len()).as_bytes());
        output.extend_from_slice(&VALUE);
        output.extend_from_slice(b"\r\n");
    }
    output.extend_from_slice(b"END\r\n");
}

fn push_sets(numbers: &[u64], output: &mut Vec<u8>) {
    for &number in numbers {
        let key = |output: &mut Vec<u8>| push_key(number, KEY_BYTES, output);
        push_set(key, 0, &VALUE, Answered::Yes, output);
    }
}

fn push_stored(numbers: &[u64], _before: u64, output: &mut Vec<u8>) {
    output.extend_from_slice(&b"STORED\r\n".repeat(numbers.len()));
}

fn push_meta_get(numbers: &[u64], output: &mut Vec<u8>) {
    for &number in numbers {
        output.extend_from_slice(b"mg ");
        push_key(number, KEY_BYTES, output);
        output.extend_from_slice(b" v\r\n");
    }
}

fn push_meta_value(numbers: &[u64], _before: u64, output: &mut Vec<u8>) {
    for _ in numbers {
        output.extend_from_slice(format!("VA {}\r\n", VALUE.len()).as_bytes());
        output.extend_from_slice(&VALUE);
        output.extend_from_slice(b"\r\n");
    }
}
