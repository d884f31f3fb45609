//! What holds for a long time: run by `cargo test --release --test load -- --ignored`.

use std::io::Write as _;

use crate::process::{Server, value};

/// A generator of Marsaglia's (2003): enough to mix up keys and sizes.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

/// Nothing fragments and nothing leaks: after a tenth of the stores memory is full, and stays as it
/// is, whatever the sizes.
#[test]
#[ignore = "takes minutes, and means something in release builds"]
fn fifty_million_stores_leave_the_resident_size_as_it_was() {
    const STORES: usize = 50_000_000;
    const BATCH: usize = 1_000;
    let server = Server::start(&["-p", "0", "-m", "64"]);
    let mut client = server.tcp();
    let data = value(8192);
    let mut random = 0x9e37_79b9_7f4a_7c15;
    let mut batch = Vec::new();
    let mut after_a_tenth = 0;
    for stored in (0..STORES).step_by(BATCH) {
        if stored == STORES / 10 {
            after_a_tenth = server.resident();
        }
        batch.clear();
        for _ in 0..BATCH {
            let drawn = next(&mut random);
            // Sizes from 1 byte to 8 KiB, each power of two as likely as the others.
            let bytes = (1 << (drawn % 14)) as usize;
            let bytes = bytes - (drawn >> 8) as usize % bytes.div_ceil(2);
            let key = (drawn >> 24) % 3_000_000;
            write!(batch, "set key-{key} 0 0 {bytes} noreply\r\n").unwrap();
            batch.extend_from_slice(&data[..bytes]);
            batch.extend_from_slice(b"\r\n");
        }
        batch.extend_from_slice(b"get nothing\r\n");
        client.ask(&batch, b"END\r\n");
    }
    let at_the_end = server.resident();
    println!("resident: {after_a_tenth} bytes after a tenth, {at_the_end} at the end");
    assert!(at_the_end.abs_diff(after_a_tenth) * 100 <= after_a_tenth);
}
