//! Generates requests from random bytes: mostly valid ones of every command, so that a fuzzer reaches deep
//! code; also some with one error, and raw bytes.
//!
//! Every byte of a [`Source`] is a choice, and missing bytes count as 0. So every input is valid, a shorter
//! input gives fewer requests, and a small change of the input is a small change of the requests.

/// Random bytes, used up from the front.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        byte
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Rarely true, and never after the bytes have been used up.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub(crate) fn pick<T: Copy>(&mut self, table: &[T]) -> T {
        table[self.below(table.len())]
    }

    pub(crate) fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(bytes.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}

const STORES: [&str; 6] = ["set", "add", "replace", "append", "prepend", "cas"];
const METAS: [&str; 6] = ["mg", "ms", "md", "ma", "me", "mn"];
const LINES: [&str; 53] = [
    "version",
    "flush_all",
    "flush_all 0 noreply",
    "flush_all 1",
    "flush_all 61",
    "flush_all -1",
    "flush_prefix p",
    "flush_prefix q:",
    "flush_prefix p noreply",
    "flush_prefix p:1",
    "flush_prefix",
    "stats",
    "stats settings",
    "stats items",
    "stats slabs",
    "stats sizes",
    "stats conns",
    "stats loop",
    "stats store",
    "stats hotkeys",
    "stats reset",
    "stats detail on",
    "stats detail off",
    "stats detail dump",
    "stats detail",
    "stats cachedump 1 0",
    "stats cachedump 1 2",
    "stats nothing",
    "lru_crawler metadump all",
    "lru_crawler mgdump hash",
    "lru_crawler metadump 1",
    "lru_crawler mgdump 7",
    "lru_crawler crawl 1",
    "lru_crawler sleep 1000000",
    "lru mode flat",
    "lru tune 10 25 0.1 2.0",
    "lru tune 4294967295 1 1e400 -0",
    "slabs automove window 3",
    "slabs automove freeratio .5",
    "slabs reassign -1 1",
    "cache_memlimit 8",
    "cache_memlimit 1000000000 noreply",
    "watch",
    "watch fetchers mutations evictions",
    "watch deletions bogus",
    "verbosity 2",
    "verbosity 0 noreply",
    "debugtime p",
    "debugtime r",
    "debugverify",
    "shutdown graceful",
    "quit",
    "GET / HTTP/1.1",
];
const KEYS: [&[u8]; 14] = [
    b"a",
    b"b",
    b"n",
    b"a-_Z",
    b"p:1",
    b"p:2",
    b"q::",
    b"k%\x7f",
    b"\x00\xff\t",
    b"YQ==",
    b"YWI=",
    b"Y*WJj",
    b"noreply",
    b"0",
];
/// A number near a limit, or a wrong one of any kind.
const NUMBERS: [&str; 34] = [
    "2",
    "-1",
    "-2",
    "60",
    "249",
    "250",
    "251",
    "1023",
    "1024",
    "16384",
    "16385",
    "2592000",
    "2592001",
    "1800000000",
    "1800000060",
    "2147483645",
    "2147483646",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "00000000000000000000007",
    "+1",
    "-",
    "0x10",
    "1e3",
    "1\t",
    "",
];
const LENGTHS: [usize; 16] = [0, 1, 2, 7, 8, 20, 21, 64, 130, 250, 251, 400, 950, 1000, 2040, 6000];
const FLAGS: &[u8] = b"bNTRlOPLkstcfvhuqxFCEMJDIkvqtTNCMkvcsftbaBZ09[_!";
const ENDS: [&str; 8] = ["\r\n", "\r\n", "\r\n", "\n", "\n", "\r\r\n", " \r\n", "\r"];

/// A function that appends a request or other bytes to its second argument.
pub(crate) type Speak = fn(&mut Source<'_>, &mut Vec<u8>);

/// Appends a line, with its value, or other bytes to `out`.
pub(crate) fn request(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    match source.below(16) {
        0..4 => store(source, out),
        4..6 => retrieve(source, out),
        6..10 => meta(source, out),
        10 => count_or_touch(source, out),
        11 => simple(source, out),
        12 => {
            out.extend(source.pick(&LINES).bytes());
            end(source, out);
        }
        13 => {
            words(
                source,
                out,
                &[
                    "debugtime",
                    "flush_all",
                    "flush_prefix",
                    "stats",
                    "verbosity",
                    "delete",
                    "touch",
                    "cache_memlimit",
                    "slabs automove",
                    "slabs automove window",
                    "lru tune 1 1 1",
                    "lru_crawler sleep",
                    "watch",
                ],
            );
            number(source, out);
            end(source, out);
        }
        14 => {
            words(source, out, &["set", "add", "x", "lru_crawler", "stats", "mg"]);
            for _ in 0..source.below(8) {
                let length = source.pick(&LENGTHS);
                out.extend([b' '].repeat(1 + length % 2));
                out.resize(out.len() + length, b'w');
            }
            end(source, out);
        }
        _ => {
            let length = source.below(64);
            out.extend(source.take(length));
        }
    }
    if source.one_in(16) {
        spoil(source, out, start);
    }
}

fn words(source: &mut Source<'_>, out: &mut Vec<u8>, table: &[&str]) {
    out.extend(source.pick(table).bytes());
    out.push(b' ');
}

fn key(source: &mut Source<'_>, out: &mut Vec<u8>) {
    match source.byte() {
        byte @ 0..128 => out.extend(KEYS[usize::from(byte) % KEYS.len()]),
        byte @ 128..240 => out.extend(format!("i{byte}").bytes()),
        byte => {
            let length = [248, 249, 250, 251, 254, 255, 256, 700];
            let bytes = length[usize::from(byte) % length.len()];
            out.resize(out.len() + bytes, b'k');
        }
    }
}

fn number(source: &mut Source<'_>, out: &mut Vec<u8>) {
    match source.byte() {
        small @ 0..192 => out.extend((small / 8).to_string().bytes()),
        byte => out.extend(NUMBERS[usize::from(byte) % NUMBERS.len()].bytes()),
    }
}

pub(crate) fn value(source: &mut Source<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    match source.below(8) {
        0 | 1 => number(source, &mut value),
        2 => {
            let length = source.below(24);
            value.extend(source.take(length));
        }
        3 => value.extend(b"user password"),
        4 => value.extend(b"get a\r\nset b 0 0 1\r\n"),
        _ => value.resize(source.pick(&LENGTHS), source.byte()),
    }
    value
}

/// Mostly the true length of the data.
fn count(source: &mut Source<'_>, out: &mut Vec<u8>, bytes: usize) {
    match source.byte() {
        0..240 => out.extend(bytes.to_string().bytes()),
        byte @ 240..248 => {
            let wrong = (bytes + usize::from(byte % 4)).saturating_sub(2);
            out.extend(wrong.to_string().bytes());
        }
        _ => number(source, out),
    }
}

fn end(source: &mut Source<'_>, out: &mut Vec<u8>) {
    match source.byte() {
        0..208 => out.extend(b"\r\n"),
        byte => out.extend(ENDS[usize::from(byte) % ENDS.len()].bytes()),
    }
}

fn store(source: &mut Source<'_>, out: &mut Vec<u8>) {
    words(source, out, &STORES);
    key(source, out);
    let value = value(source);
    for _ in 0..2 {
        out.push(b' ');
        number(source, out);
    }
    out.push(b' ');
    count(source, out, value.len());
    match source.below(8) {
        0..5 => {}
        5 => out.extend(b" noreply"),
        6 => {
            out.push(b' ');
            number(source, out);
        }
        _ => out.extend(b" 3 noreply"),
    }
    end(source, out);
    out.extend(value);
    end(source, out);
}

fn retrieve(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let verb = source.pick(&["get", "gets", "gat", "gats"]);
    out.extend(verb.bytes());
    if verb.starts_with("ga") {
        out.push(b' ');
        number(source, out);
    }
    for _ in 0..source.below(6) {
        out.extend(b"  ".iter().take(1 + source.below(2)));
        key(source, out);
    }
    end(source, out);
}

fn count_or_touch(source: &mut Source<'_>, out: &mut Vec<u8>) {
    words(source, out, &["incr", "decr", "touch", "delete", "incr", "decr"]);
    key(source, out);
    if !source.one_in(8) {
        out.push(b' ');
        number(source, out);
    }
    if source.one_in(8) {
        out.extend(b" noreply");
    }
    end(source, out);
}

fn simple(source: &mut Source<'_>, out: &mut Vec<u8>) {
    if source.below(2) == 0 {
        out.extend(b"get");
        for _ in 0..source.below(4) {
            out.push(b' ');
            key(source, out);
        }
    } else {
        let value = value(source);
        out.extend(b"set ");
        key(source, out);
        out.push(b' ');
        count(source, out, value.len());
        out.push(b'\n');
        out.extend(value);
    }
    out.push(b'\n');
}

fn meta(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let verb = source.pick(&METAS);
    words(source, out, &[verb]);
    key(source, out);
    let value = if verb == "ms" { value(source) } else { Vec::new() };
    if verb == "ms" {
        out.push(b' ');
        count(source, out, value.len());
    }
    for _ in 0..source.below(7) {
        let flag = source.pick(FLAGS);
        out.extend([b' ', flag]);
        match flag {
            b'N' | b'T' | b'R' | b'C' | b'E' | b'J' | b'D' | b'F' => number(source, out),
            b'M' => out.push(source.pick(b"SEARPIDi+-q")),
            b'O' => out.resize(out.len() + source.below(40), b'o'),
            _ => {}
        }
    }
    end(source, out);
    if verb == "ms" {
        out.extend(value);
        end(source, out);
    }
}

/// Puts one error into the bytes from `start` on.
pub(crate) fn spoil(source: &mut Source<'_>, out: &mut Vec<u8>, start: usize) {
    if start == out.len() {
        return;
    }
    let at = start + source.below((out.len() - start).min(256));
    match source.below(5) {
        0 => out[at] = source.byte(),
        1 => out.insert(at, source.byte()),
        2 => {
            out.remove(at);
        }
        3 => out.truncate(at),
        _ => out.extend_from_within(at..),
    }
}
