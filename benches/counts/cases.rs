//! The requests that are counted, as the server reads them, and the answers that must come.
//!
//! Owns their spelling and how many of them one read brings. Runs nothing.

use std::ops::Range;

use crate::rig::items::{Answered, in_lap, push_key, push_set};

/// Items that are loaded first. Every case then touches each of them [`LAPS`] times.
pub(crate) const ITEMS: u32 = 100_000;
/// What is subtracted, the load, varies with the hash seed by 7 instructions per item: three laps
/// leave 2 of them in a count.
pub(crate) const LAPS: u32 = 3;
const KEY_BYTES: usize = 36;
const VALUE: [u8; 224] = [b'v'; 224];
/// Requests that one read brings when they are pipelined: as in the benchmark at depth 50. Fifty
/// sets fit into the server's input buffer of 16 KiB, so no request is cut.
const PIPELINED: usize = 50;
const MULTIGET_KEYS: usize = 50;

/// One row of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What is counted, for the table.
    pub(crate) unit: &'static str,
    keys_per_request: usize,
    requests_per_read: usize,
    push_request: fn(&[u64], &mut Vec<u8>),
    push_answer: fn(&[u64], &mut Vec<u8>),
}

/// What each read of the server brings, and all answers one after the other.
pub(crate) struct Conversation {
    pub(crate) reads: Vec<Vec<u8>>,
    pub(crate) answers: Vec<u8>,
}

/// Stores the items, and is a case itself.
pub(crate) const LOAD: Case = Case {
    name: "set-new",
    unit: "pipelined set of a new key, growth of the table included",
    keys_per_request: 1,
    requests_per_read: PIPELINED,
    push_request: push_sets,
    push_answer: push_stored,
};

/// The cases that need loaded items.
pub(crate) const CASES: [Case; 5] = [
    Case {
        name: "get",
        unit: "pipelined get",
        keys_per_request: 1,
        requests_per_read: PIPELINED,
        push_request: push_get,
        push_answer: push_values,
    },
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
    Case {
        name: "set",
        unit: "pipelined set of a key that is there",
        keys_per_request: 1,
        requests_per_read: PIPELINED,
        push_request: push_sets,
        push_answer: push_stored,
    },
    Case {
        name: "mg-v",
        unit: "pipelined mg <key> v",
        keys_per_request: 1,
        requests_per_read: PIPELINED,
        push_request: push_meta_get,
        push_answer: push_meta_value,
    },
];

impl Case {
    /// Asks for every item once per lap. Each lap has its own order; that of lap 0 is the plain one.
    pub(crate) fn conversation(&self, laps: Range<u32>) -> Conversation {
        let items = |lap| (0..ITEMS).map(move |index| in_lap(lap, index, ITEMS));
        let numbers: Vec<u64> = laps.flat_map(items).collect();
        let mut answers = Vec::new();
        let mut reads = Vec::new();
        for in_read in numbers.chunks(self.keys_per_request * self.requests_per_read) {
            let mut read = Vec::new();
            for in_request in in_read.chunks(self.keys_per_request) {
                (self.push_request)(in_request, &mut read);
                (self.push_answer)(in_request, &mut answers);
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

fn push_values(numbers: &[u64], output: &mut Vec<u8>) {
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

fn push_stored(numbers: &[u64], output: &mut Vec<u8>) {
    output.extend_from_slice(&b"STORED\r\n".repeat(numbers.len()));
}

fn push_meta_get(numbers: &[u64], output: &mut Vec<u8>) {
    for &number in numbers {
        output.extend_from_slice(b"mg ");
        push_key(number, KEY_BYTES, output);
        output.extend_from_slice(b" v\r\n");
    }
}

fn push_meta_value(numbers: &[u64], output: &mut Vec<u8>) {
    for _ in numbers {
        output.extend_from_slice(format!("VA {}\r\n", VALUE.len()).as_bytes());
        output.extend_from_slice(&VALUE);
        output.extend_from_slice(b"\r\n");
    }
}
