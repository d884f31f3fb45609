//! Resident memory over many stores. Run by `cargo test --release --test all -- --ignored load::`.

use std::io::Write as _;

use crate::harness::process::{MIB, Server, value};

/// Values of this many bytes fit into an item of 1 MiB.
const VALUE_BYTES_MAX: u64 = (MIB - 512) as u64;
/// Requests in a batch, and the bytes after which a batch ends earlier.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 2 * MIB;

/// Marsaglia's xorshift generator (2003), for keys and sizes.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

/// A size from 1 byte to the largest possible.
fn bytes_of_a_value(drawn: u64) -> u64 {
    if drawn.is_multiple_of(2) {
        // Up to 8 KiB, each power of two as likely as the others.
        let bytes = 1_u64 << ((drawn >> 1 & 0xff) % 14);
        bytes - (drawn >> 9) % bytes.div_ceil(2)
    } else {
        // Each power of two half as likely as the one below, so that all have the same share of bytes.
        let bytes = 1_u64 << (drawn >> 1).trailing_zeros().min(20);
        (bytes + (drawn >> 24) % bytes).min(VALUE_BYTES_MAX)
    }
}

/// Adds requests to the batch, all without an answer. Returns their number.
fn fill(batch: &mut Vec<u8>, data: &[u8], random: &mut u64) -> usize {
    for requests in 0..BATCH {
        if batch.len() > BATCH_BYTES {
            return requests;
        }
        let (drawn, key) = (next(random), next(random) % 3_000_000);
        match drawn >> 60 {
            0 => write!(batch, "delete key-{key} noreply\r\n").unwrap(),
            1 => write!(batch, "touch key-{key} 1000 noreply\r\n").unwrap(),
            // A read item gets a second chance; incr also increments it if it is a number.
            2 => write!(batch, "incr key-{key} 1 noreply\r\n").unwrap(),
            kind => {
                let bytes = bytes_of_a_value(drawn);
                let (exptime, verb) =
                    (if kind == 3 { 1 } else { 0 }, if kind == 4 { "add" } else { "set" });
                write!(batch, "{verb} key-{key} 0 {exptime} {bytes} noreply\r\n").unwrap();
                batch.extend_from_slice(&data[..usize::try_from(bytes).unwrap()]);
                batch.extend_from_slice(b"\r\n");
            }
        }
    }
    BATCH
}

/// No fragmentation and no leak: after a tenth of the requests memory is full, and then its size is
/// constant for all value sizes.
fn endure(requests: usize, memory_mib: usize) {
    let server = Server::start(&["-p", "0", "-m", &memory_mib.to_string()]);
    let mut client = server.tcp();
    let data = value(MIB);
    let mut random = 0x9e37_79b9_7f4a_7c15;
    let mut batch = Vec::new();
    let (mut done, mut after_a_tenth) = (0, 0);
    while done < requests {
        batch.clear();
        done += fill(&mut batch, &data, &mut random);
        batch.extend_from_slice(b"get nothing\r\n");
        client.send(&batch);
        client.expect(b"END\r\n");
        if after_a_tenth == 0 && done >= requests / 10 {
            after_a_tenth = server.resident();
        }
    }
    let at_the_end = server.resident();
    println!(
        "{done} requests: resident {after_a_tenth} bytes after a tenth, {at_the_end} at the end; {} \
         evictions, {} bytes read",
        client.figure("evictions"),
        client.figure("bytes_read"),
    );
    assert!(client.figure("evictions") > 0, "memory has never been full");
    // The allocator may keep the buffer of one large value, or may just have freed it.
    let most = after_a_tenth / 100 + 2 * MIB;
    assert!(at_the_end.abs_diff(after_a_tenth) <= most, "it changed by more than {most} bytes");
}

#[test]
fn four_hundred_thousand_requests_leave_the_resident_size_as_it_was() {
    endure(400_000, 8);
}

#[test]
#[ignore = "takes minutes, and means something in release builds"]
fn a_hundred_million_requests_leave_the_resident_size_as_it_was() {
    endure(100_000_000, 64);
}
