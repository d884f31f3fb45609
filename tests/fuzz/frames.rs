//! Generates frames from random bytes, as `grammar` generates lines: mostly well-formed frames of every
//! opcode, and some with one error. The target runs the checks of `session`, `parser` and `cuts`.

use super::grammar::{Source, request, spoil, value};
use super::{cuts, parser, session};

#[test]
fn hold_whatever_comes() {
    bolero::check!(name = "frames").with_max_len(4096).for_each(|input: &[u8]| {
        // Two clients speak binary beside one that speaks text.
        session::run(input, [frame, frame, request]);
        parser::run(input, frame);
        cuts::run(input, frame);
    });
}

const KEYS: [&[u8]; 8] = [b"a", b"b", b"n", b"p:1", b"q::", b"a b", b"\r\n", b"\x80\0"];
const TOPICS: [&str; 14] = [
    "",
    "settings",
    "items",
    "slabs",
    "sizes",
    "conns",
    "loop",
    "store",
    "reset",
    "detail on",
    "detail off",
    "detail dump",
    "detail",
    "nothing",
];
/// Around every limit of an exptime, and what increment creates nothing for.
const EXPTIMES: [u32; 12] = [
    0,
    0,
    0,
    1,
    60,
    2_592_000,
    2_592_001,
    1_800_000_060,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
];
const NUMBERS: [u64; 6] = [0, 1, 7, 1 << 63, u64::MAX - 1, u64::MAX];
const STORES: [u8; 6] = [0x01, 0x02, 0x03, 0x11, 0x12, 0x13];
const EXTENDS: [u8; 4] = [0x0e, 0x0f, 0x19, 0x1a];
const GETS: [u8; 4] = [0x00, 0x09, 0x0c, 0x0d];
const TOUCHES: [u8; 5] = [0x1c, 0x1d, 0x1e, 0x23, 0x24];
const ARITHMETIC: [u8; 4] = [0x05, 0x06, 0x15, 0x16];
const DELETES: [u8; 2] = [0x04, 0x14];
/// Noop, version, SASL and an opcode that is none.
const BARE: [u8; 6] = [0x0a, 0x0b, 0x20, 0x1b, 0x25, 0x0a];
/// Quit and quitq, flush and flushq.
const RARE: [u8; 4] = [0x07, 0x17, 0x08, 0x18];

/// Appends a frame for a client to send to `out`.
pub(crate) fn frame(source: &mut Source<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    let (opcode, extras, key, value) = parts(source);
    let body_bytes = extras.len() + key.len() + value.len();
    let cas = match source.below(8) {
        0..5 => 0,
        // An id that an item may have.
        id @ 5..7 => id as u64 - 3,
        _ => u64::from(source.byte()),
    };
    out.extend([0x80, opcode]);
    out.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
    out.extend([u8::try_from(extras.len()).unwrap(), 0, 0, 0]);
    out.extend(u32::try_from(body_bytes).unwrap().to_be_bytes());
    out.extend([source.byte(); 4]);
    out.extend(cas.to_be_bytes());
    out.extend(extras);
    out.extend(key);
    out.extend(value);
    if source.one_in(24) {
        spoil(source, out, start);
    }
}

fn parts(source: &mut Source<'_>) -> (u8, Vec<u8>, Vec<u8>, Vec<u8>) {
    let none = Vec::new;
    match source.below(16) {
        0..4 => {
            let flags = u32::from(source.byte()).to_be_bytes();
            let extras = [flags, exptime(source)].concat();
            (source.pick(&STORES), extras, key(source), value(source))
        }
        4..6 => (source.pick(&EXTENDS), none(), key(source), value(source)),
        6..9 => (source.pick(&GETS), none(), key(source), none()),
        9 => (source.pick(&TOUCHES), exptime(source).to_vec(), key(source), none()),
        10 | 11 => {
            let mut extras = source.pick(&NUMBERS).to_be_bytes().to_vec();
            extras.extend(source.pick(&NUMBERS).to_be_bytes());
            extras.extend(exptime(source));
            (source.pick(&ARITHMETIC), extras, key(source), none())
        }
        12 => (source.pick(&DELETES), none(), key(source), none()),
        13 => (0x10, none(), source.pick(&TOPICS).into(), none()),
        14 if source.one_in(4) => {
            let extras = if source.below(2) == 0 { none() } else { exptime(source).to_vec() };
            let is_flush = |opcode: u8| opcode & 0x0f == 8;
            let opcode = source.pick(&RARE);
            (opcode, if is_flush(opcode) { extras } else { none() }, none(), none())
        }
        14 => (source.pick(&BARE), none(), none(), none()),
        // Anything, which may end the conversation.
        _ if source.one_in(4) => {
            let length = source.below(24);
            (source.byte(), source.take(length).to_vec(), key(source), value(source))
        }
        _ => (0x21 + source.byte() % 2, none(), b"PLAIN".to_vec(), value(source)),
    }
}

fn exptime(source: &mut Source<'_>) -> [u8; 4] {
    source.pick(&EXPTIMES).to_be_bytes()
}

fn key(source: &mut Source<'_>) -> Vec<u8> {
    match source.byte() {
        byte @ 0..224 => KEYS[usize::from(byte) % KEYS.len()].to_vec(),
        byte @ 224..250 => format!("i{byte}").into_bytes(),
        byte => vec![b'k'; if byte == 255 { 251 } else { usize::from(byte) }],
    }
}
