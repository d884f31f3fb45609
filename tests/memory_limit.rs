//! `cache_memlimit`: a lower limit of memory while the server runs, and a higher one again.

use miocached::store::{Attributes, Marks, NEVER, Store, Stored};

const MIB: usize = 1 << 20;
const NOW_S: u32 = 100;
/// The most bytes of records that one call may pass to make room: a step of each log, and a record.
const STEP_BYTES_MAX: u64 = 4 * (64 << 10);

fn attributes() -> Attributes {
    Attributes { flags: 0, expires_at_s: NEVER, cas: 1, marks: Marks::default() }
}

/// Stores the items `from..to`, each of `bytes`.
fn fill(store: &mut Store, numbers: std::ops::Range<u32>, bytes: usize) {
    let value = vec![b'v'; bytes];
    for number in numbers {
        let key = number.to_be_bytes();
        let key = store.hashed_key(&key);
        while store.set(key, &value, &attributes(), NOW_S) == Stored::NeedsStep {}
    }
}

fn has(store: &mut Store, number: u32) -> bool {
    let key = number.to_be_bytes();
    let key = store.hashed_key(&key);
    store.get(key, NOW_S).is_some()
}

/// Lookups of a key that is not there, until the store has no more work. Returns their number.
fn settle(store: &mut Store, bytes: u64) -> u32 {
    for calls in 0..100_000 {
        if store.bytes() <= bytes {
            return calls;
        }
        let before = store.bytes();
        assert!(!has(store, u32::MAX));
        assert!(before - store.bytes() <= STEP_BYTES_MAX, "a call makes one step");
        if calls % 16 == 0 {
            store.verify();
        }
    }
    panic!("the store does not become smaller");
}

#[test]
fn a_lower_limit_evicts_in_steps() {
    let mut store = Store::new(32 * MIB, true).unwrap();
    fill(&mut store, 0..100_000, 400);
    assert!(store.bytes() > 31 * MIB as u64);
    assert!(store.limit_memory(8 * MIB));
    let calls = settle(&mut store, 8 * MIB as u64);
    assert!(calls > 100, "{calls} calls");
    store.verify();
    // Not more than that is evicted, and the latest items stay.
    assert!(store.bytes() > 7 * MIB as u64, "{}", store.bytes());
    assert!((99_000..100_000).filter(|&number| has(&mut store, number)).count() > 900);
    // From then on the limit holds, over several laps.
    for round in 1..20 {
        fill(&mut store, 100_000 * round..100_000 * round + 20_000, 400);
        assert!(store.bytes() <= 8 * MIB as u64, "{} in round {round}", store.bytes());
        assert!(store.bytes() > 7 * MIB as u64, "{} in round {round}", store.bytes());
        store.verify();
    }
}

#[test]
fn what_was_read_survives_a_lower_limit() {
    let mut store = Store::new(32 * MIB, true).unwrap();
    fill(&mut store, 0..60_000, 400);
    for number in (0..60_000).step_by(60) {
        assert!(has(&mut store, number) && has(&mut store, number));
    }
    assert!(store.limit_memory(16 * MIB));
    settle(&mut store, 16 * MIB as u64);
    let kept = (0..60_000).step_by(60).filter(|&number| has(&mut store, number)).count();
    let others = (1..60_000).step_by(60).filter(|&number| has(&mut store, number)).count();
    assert!(kept > 900 && others < 700, "{kept} of 1000 that were read, {others} of the others");
}

#[test]
fn a_higher_limit_applies_at_once() {
    let mut store = Store::new(32 * MIB, true).unwrap();
    assert!(store.limit_memory(8 * MIB));
    fill(&mut store, 0..100_000, 400);
    assert!(store.bytes() <= 8 * MIB as u64);
    for (mib, round) in [(16, 1), (32, 2), (8, 3), (32, 4)] {
        assert!(store.limit_memory(mib * MIB));
        fill(&mut store, 1_000_000 * round..1_000_000 * round + 100_000, 400);
        let bytes = store.bytes();
        assert!(bytes <= (mib * MIB) as u64, "{bytes} of {mib} MiB");
        assert!(bytes > ((mib - 1) * MIB) as u64, "{bytes} of {mib} MiB");
        store.verify();
    }
}

#[test]
fn large_values_keep_to_a_lower_limit() {
    let mut store = Store::new(32 * MIB, true).unwrap();
    fill(&mut store, 0..40, 900_000);
    assert!(store.limit_memory(10 * MIB));
    for round in 1..10 {
        fill(&mut store, 100 * round..100 * round + 20, 900_000);
        fill(&mut store, 1_000_000 * round..1_000_000 * round + 5_000, 300);
        assert!(store.bytes() <= 10 * MIB as u64, "{} in round {round}", store.bytes());
        store.verify();
    }
    // A value that is too large for what is left is refused, as one that never fits.
    let key = store.hashed_key(b"large");
    let value = vec![b'v'; 6 * MIB];
    assert_eq!(store.set(key, &value, &attributes(), NOW_S), Stored::NoRoom);
}

/// The room that was reserved for it would be all of main.
#[test]
fn a_large_value_that_no_longer_fits_evicts_no_others() {
    let mut store = Store::new(32 * MIB, true).unwrap();
    fill(&mut store, 0..100_000, 400);
    let value = vec![b'v'; 12 * MIB];
    let key = b"large";
    let set = |store: &mut Store| {
        let key = store.hashed_key(key);
        store.set(key, &value, &attributes(), NOW_S)
    };
    assert_eq!(set(&mut store), Stored::NeedsStep);
    assert!(store.limit_memory(8 * MIB));
    assert_eq!(set(&mut store), Stored::NeedsStep);
    settle(&mut store, 8 * MIB as u64);
    // These items are in main, and become longer.
    assert!((60_000..61_000).all(|number| has(&mut store, number)));
    fill(&mut store, 60_000..64_000, 500);
    assert!(store.bytes() > 5 * MIB as u64, "{}", store.bytes());
    assert_eq!(set(&mut store), Stored::NoRoom);
    store.verify();
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    let mut store = Store::new(32 * MIB, true).unwrap();
    assert!(!store.limit_memory(33 * MIB));
    assert!(store.limit_memory(32 * MIB));
    // Without evictions nothing could make the room.
    let mut store = Store::new(32 * MIB, false).unwrap();
    assert!(!store.limit_memory(16 * MIB));
    assert!(store.limit_memory(32 * MIB));
}
