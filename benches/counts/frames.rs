//! The requests and answers of the binary protocol.
//!
//! A header has 24 bytes: magic, opcode, length of the key, length of the extras, data type, status,
//! length of the body, opaque and cas id. After it come extras, key and value.

use super::cases::{KEY_BYTES, VALUE};
use crate::rig::items::push_key;

const REQUEST: u8 = 0x80;
const ANSWER: u8 = 0x81;
const GET: u8 = 0x00;
const SET: u8 = 0x01;
/// The cas id of the first item that a server stores.
const FIRST_CAS: u64 = 2;

/// `quitq`, which is not answered.
pub(crate) const QUIT: [u8; 24] = {
    let mut frame = [0; 24];
    (frame[0], frame[1]) = (REQUEST, 0x17);
    frame
};

pub(crate) fn push_gets(numbers: &[u64], output: &mut Vec<u8>) {
    for &number in numbers {
        push_header([REQUEST, GET], [KEY_BYTES, 0, 0], 0, output);
        push_key(number, KEY_BYTES, output);
    }
}

/// The load has stored the items in the order of their numbers.
pub(crate) fn push_values(numbers: &[u64], _before: u64, output: &mut Vec<u8>) {
    for &number in numbers {
        push_header([ANSWER, GET], [0, 4, VALUE.len()], FIRST_CAS + number, output);
        output.extend_from_slice(&[0; 4]);
        output.extend_from_slice(&VALUE);
    }
}

pub(crate) fn push_sets(numbers: &[u64], output: &mut Vec<u8>) {
    for &number in numbers {
        push_header([REQUEST, SET], [KEY_BYTES, 8, VALUE.len()], 0, output);
        output.extend_from_slice(&[0; 8]);
        push_key(number, KEY_BYTES, output);
        output.extend_from_slice(&VALUE);
    }
}

/// All requests before have stored an item, too.
pub(crate) fn push_stored(numbers: &[u64], before: u64, output: &mut Vec<u8>) {
    for cas in (FIRST_CAS + before..).take(numbers.len()) {
        push_header([ANSWER, SET], [0; 3], cas, output);
    }
}

fn push_header(
    [magic, opcode]: [u8; 2],
    [key_bytes, extras_bytes, value_bytes]: [usize; 3],
    cas: u64,
    output: &mut Vec<u8>,
) {
    let number = |bytes| u16::try_from(bytes).expect("keys and values are short");
    let body_bytes = u32::from(number(key_bytes + extras_bytes + value_bytes));
    output.extend_from_slice(&[magic, opcode]);
    output.extend_from_slice(&number(key_bytes).to_be_bytes());
    // Extras are short, so the first byte of their length is that of the data type: 0.
    output.extend_from_slice(&number(extras_bytes).to_le_bytes());
    output.extend_from_slice(&[0; 2]);
    output.extend_from_slice(&body_bytes.to_be_bytes());
    output.extend_from_slice(&[0; 4]);
    output.extend_from_slice(&cas.to_be_bytes());
}
