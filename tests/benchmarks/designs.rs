//! The designs on paper that `replay` compares: each keeps to its memory and to its promises.

use clap::ValueEnum as _;

use crate::replay::model::{Design, Size};

const MEMORY_BYTES: u64 = 1 << 20;

/// From a few bytes to some thousand, in no order.
fn size(number: u64) -> Size {
    let value_bytes = number.wrapping_mul(0x9e37_79b9) % 3000;
    Size { key_bytes: 24, value_bytes: u32::try_from(value_bytes).unwrap() }
}

#[test]
fn every_design_keeps_to_its_memory_and_finds_what_was_just_stored() {
    for design in Design::value_variants() {
        let mut model = design.build(MEMORY_BYTES);
        for number in 0..20_000u64 {
            let key = number * number % 3_001;
            assert!(model.set(key, size(number), Some(100), 50));
            assert!(model.get(key, 99), "{design:?}: {key}");
            // memcached gives every slab class its first page beyond any limit.
            let is_bounded = *design != Design::Memcached;
            assert!(!is_bounded || model.bytes() <= MEMORY_BYTES, "{design:?}");
        }
        let last = 19_999 * 19_999 % 3_001;
        assert!(!model.get(last, 100), "{design:?}: it expires");
    }
}

#[test]
fn every_design_keeps_all_of_what_fits() {
    for design in Design::value_variants() {
        let mut model = design.build(MEMORY_BYTES);
        for number in 0..2_000 {
            model.set(number % 400, size(number % 400), None, 50);
        }
        assert!((0..400).all(|key| model.get(key, 51)), "{design:?}");
    }
}
