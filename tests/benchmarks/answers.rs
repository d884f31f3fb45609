//! The checker of answers in `versus`, which must find what it is there to find.
//!
//! A bench without a harness runs no tests of its own, so they are here.

use crate::versus::answers::{Answers, Asked, Contents, Pending, Tally};
use crate::versus::keyspace::{COUNTER_PREFIX, Dialect, Keyspace, SMALL_PREFIX, Wire};
use crate::versus::ring::{Popularity, Ring};
use crate::versus::sizes::{Lifetimes, Values};

const KEYS: u32 = 1000;
const VALUE_BYTES: usize = 40;

fn keyspace() -> Keyspace {
    Keyspace {
        prefix: SMALL_PREFIX,
        count: KEYS,
        values: Values::Fixed(VALUE_BYTES),
        lifetimes: Lifetimes::Unlimited,
    }
}

fn wire(dialect: Dialect) -> Wire {
    Wire::new(keyspace(), dialect)
}

/// What a right server says for an item, taken from what a client would store.
fn hit(wire: &Wire, dialect: Dialect, index: u32) -> Vec<u8> {
    let mut set = Vec::new();
    wire.render_set(index, &mut set);
    let data_at = set.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let line = String::from_utf8(set[..data_at].to_vec()).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let (key, size) = (words[1], words[words.len() - 1]);
    let mut hit = match dialect {
        Dialect::Classic => format!("VALUE {key} 0 {size}\r\n"),
        Dialect::Simple => format!("VALUE {key} {size}\n"),
        Dialect::Meta => format!("VA {size}\r\n"),
    }
    .into_bytes();
    hit.extend_from_slice(&set[data_at..]);
    hit
}

/// The size that a `set` announces, which must be that of the value that follows.
fn value_bytes(wire: &Wire, index: u32) -> usize {
    let mut set = Vec::new();
    wire.render_set(index, &mut set);
    let line_end = set.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let line = std::str::from_utf8(&set[..line_end]).unwrap().trim_end();
    let announced: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(set.len() - line_end - 2, announced, "{line}");
    announced
}

struct Outcome {
    tally: Tally,
    lost: bool,
    done: usize,
}

/// Reads `bytes` as the answer to one `get` of `keys` keys and one `set`, in pieces of `piece`.
fn read(wire: &Wire, ring: &Ring, keys: u32, bytes: &[u8], piece: usize) -> Outcome {
    read_as(wire, ring, &[Asked::Get { place: 0, keys }, Asked::Set], bytes, piece)
}

/// Reads `bytes` as the answers to these requests, in pieces of `piece`.
fn read_as(wire: &Wire, ring: &Ring, asked: &[Asked], bytes: &[u8], piece: usize) -> Outcome {
    let mut answers = Answers::default();
    for &asked in asked {
        answers.expect(Pending { asked, since_ns: 0 });
    }
    let (mut tally, mut done, mut lost) = (Tally::default(), 0, false);
    for part in bytes.chunks(piece) {
        let known = (wire, ring, Contents::Checked);
        lost |= answers.advance(part, known, &mut tally, |_, _| done += 1).is_err();
    }
    Outcome { tally, lost, done }
}

#[test]
fn right_answers_pass_however_they_are_cut() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    for (dialect, keys) in [(Dialect::Classic, 3), (Dialect::Simple, 3), (Dialect::Meta, 1)] {
        let wire = wire(dialect);
        let mut bytes: Vec<u8> =
            (0..keys).flat_map(|at| hit(&wire, dialect, ring.at(at))).collect();
        if dialect != Dialect::Meta {
            bytes.extend_from_slice(wire.end);
        }
        bytes.extend_from_slice(wire.stored);
        for piece in 1..=bytes.len() {
            let outcome = read(&wire, &ring, u32::try_from(keys).unwrap(), &bytes, piece);
            assert!(!outcome.lost && outcome.done == 2, "pieces of {piece}");
            let tally = outcome.tally;
            assert_eq!((tally.errors, tally.misses), (0, 0));
            assert_eq!(tally.operations, keys as u64 + 1);
            assert!(piece < bytes.len() || tally.checked == 1, "nothing was compared");
        }
    }
}

/// Five gets in a row, so that a size taken for another's shifts everything after it.
#[test]
fn values_of_different_sizes_are_stepped_over_exactly() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let keyspace = Keyspace { values: Values::Twitter, ..keyspace() };
    for dialect in [Dialect::Classic, Dialect::Meta] {
        let wire = Wire::new(keyspace, dialect);
        let mut bytes = Vec::new();
        for place in 0..5 {
            bytes.extend(hit(&wire, dialect, ring.at(place)));
            if dialect == Dialect::Classic {
                bytes.extend_from_slice(wire.end);
            }
        }
        let asked: Vec<Asked> = (0..5).map(|place| Asked::Get { place, keys: 1 }).collect();
        for piece in [1, 7, 100, bytes.len()] {
            let outcome = read_as(&wire, &ring, &asked, &bytes, piece);
            assert!(!outcome.lost && outcome.done == 5, "pieces of {piece}");
            assert_eq!((outcome.tally.errors, outcome.tally.misses), (0, 0));
        }
        let other =
            (1..).find(|&at| value_bytes(&wire, ring.at(at)) != value_bytes(&wire, ring.at(0)));
        let mut wrong = hit(&wire, dialect, ring.at(other.unwrap()));
        wrong.extend_from_slice(wire.end);
        wrong.resize(wrong.len() + (64 << 10), b'x');
        let outcome = read_as(&wire, &ring, &asked, &wrong, wrong.len());
        assert!(outcome.lost || outcome.tally.errors > 0);
    }
}

#[test]
fn the_meta_dialect_has_misses_of_its_own_and_a_value_names_its_key() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let wire = wire(Dialect::Meta);
    let tally = read(&wire, &ring, 1, b"EN\r\nHD\r\n", 3).tally;
    assert_eq!((tally.errors, tally.misses, tally.operations), (0, 1, 2));
    let right = [&hit(&wire, Dialect::Meta, ring.at(0))[..], b"HD\r\n"].concat();
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        let outcome = read(&wire, &ring, 1, &wrong, wrong.len());
        let found = outcome.lost || outcome.tally.errors > 0 || outcome.done < 2;
        assert!(found, "byte {at} may be anything");
    }
    let not_ours = hit(&wire, Dialect::Meta, ring.at(1));
    assert_eq!(read(&wire, &ring, 1, &not_ours, not_ours.len()).tally.errors, 1);
}

#[test]
fn deletes_touches_and_refills_are_judged_by_their_lines() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let wire = wire(Dialect::Classic);
    let asked = [Asked::Delete, Asked::Set, Asked::Touch, Asked::Refill];
    for (bytes, misses, errors) in [
        (&b"DELETED\r\nSTORED\r\nTOUCHED\r\nSTORED\r\n"[..], 0, 0),
        (b"NOT_FOUND\r\nSTORED\r\nNOT_FOUND\r\nSTORED\r\n", 2, 0),
        (b"TOUCHED\r\nSTORED\r\nDELETED\r\nSTORED\r\n", 0, 2),
        (b"DELETED\r\nNOT_FOUND\r\nTOUCHED\r\nSERVER_ERROR object too large\r\n", 0, 2),
    ] {
        for piece in [1, 5, bytes.len()] {
            let outcome = read_as(&wire, &ring, &asked, bytes, piece);
            let tally = outcome.tally;
            assert!(!outcome.lost && outcome.done == 4, "{}", bytes.escape_ascii());
            assert_eq!((tally.misses, tally.errors), (misses, errors), "{}", bytes.escape_ascii());
            // A refill is part of the operation that missed.
            assert_eq!((tally.requests, tally.operations), (3, 3));
        }
    }
}

#[test]
fn a_counter_answers_with_its_own_number() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let keyspace = Keyspace { prefix: COUNTER_PREFIX, values: Values::Counters, ..keyspace() };
    let wire = Wire::new(keyspace, Dialect::Classic);
    let first = |index: u32| {
        let mut set = Vec::new();
        wire.render_set(index, &mut set);
        let lines: Vec<String> =
            String::from_utf8(set).unwrap().lines().map(str::to_string).collect();
        lines[1].parse::<u64>().unwrap()
    };
    let judged = |answer: String| {
        let asked = [Asked::Increment { index: 7 }];
        let outcome = read_as(&wire, &ring, &asked, answer.as_bytes(), 3);
        assert!(!outcome.lost && outcome.done == 1, "{answer}");
        (outcome.tally.errors, outcome.tally.misses)
    };
    assert_eq!(first(7).to_string().len(), value_bytes(&wire, 7));
    assert_eq!(judged(format!("{}\r\n", first(7) + 1)), (0, 0));
    assert_eq!(judged(format!("{}\r\n", first(7) + 99_999_999)), (0, 0));
    assert_eq!(judged("NOT_FOUND\r\n".to_string()), (0, 1));
    assert_eq!(judged(format!("{}\r\n", first(8) + 1)), (1, 0));
    assert_eq!(judged(format!("{} \r\n", first(7) + 1)), (1, 0));
    assert_eq!(judged("1\r\n".to_string()), (1, 0));
    assert_eq!(judged("CLIENT_ERROR cannot increment\r\n".to_string()), (1, 0));
}

#[test]
fn a_missing_key_is_a_miss_and_not_an_error() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let wire = wire(Dialect::Classic);
    let mut bytes = hit(&wire, Dialect::Classic, ring.at(1));
    bytes.extend_from_slice(b"END\r\nSTORED\r\n");
    let tally = read(&wire, &ring, 3, &bytes, bytes.len()).tally;
    assert_eq!((tally.errors, tally.misses, tally.checked), (0, 2, 1));
}

#[test]
fn wrong_answers_are_found() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let wire = wire(Dialect::Classic);
    let right = [&hit(&wire, Dialect::Classic, ring.at(0))[..], b"END\r\nSTORED\r\n"].concat();
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        let outcome = read(&wire, &ring, 1, &wrong, wrong.len());
        // Without its last line end, the last answer is never complete.
        let found = outcome.lost || outcome.tally.errors > 0 || outcome.done < 2;
        assert!(found, "byte {at} may be anything");
    }
    let value_at = right.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let mut longer = right.clone();
    longer.insert(value_at, b'x');
    let mut shorter = right.clone();
    shorter.remove(value_at);
    let mut too_much = right.clone();
    too_much.extend_from_slice(b"END\r\n");
    for wrong in [longer, shorter, too_much] {
        let outcome = read(&wire, &ring, 1, &wrong, wrong.len());
        assert!(outcome.lost || outcome.tally.errors > 0, "{}", wrong.escape_ascii());
    }
}

#[test]
fn an_error_line_is_counted_and_quoted() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let bytes = b"END\r\nSERVER_ERROR something else\r\n";
    let outcome = read(&wire(Dialect::Classic), &ring, 1, bytes, 7);
    assert_eq!((outcome.tally.errors, outcome.tally.refused, outcome.done), (1, 0, 2));
    assert!(outcome.tally.first_error.unwrap().contains("something else"));
}

#[test]
fn a_set_refused_for_want_of_memory_is_no_wrong_answer() {
    let ring = Ring::draw(KEYS, Popularity::Uniform);
    let bytes = b"END\r\nSERVER_ERROR out of memory storing object\r\n";
    let outcome = read(&wire(Dialect::Classic), &ring, 1, bytes, 7);
    assert_eq!((outcome.tally.errors, outcome.tally.refused, outcome.done), (0, 1, 2));
}
