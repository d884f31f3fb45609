//! How many items there are of each size, for operators who choose a limit.
//!
//! Kept only where it was asked for: every store then costs a lookup in a tree. Knows no record.

use std::collections::BTreeMap;

/// Sizes are counted in steps of so many bytes, as memcached does.
const STEP_BYTES: usize = 32;

/// See the module. None where it was not asked for.
#[derive(Debug, Default)]
pub(super) struct Sizes(Option<BTreeMap<usize, u64>>);

impl Sizes {
    /// Counts from now on, of an empty store.
    pub(super) fn track(&mut self) {
        self.0.get_or_insert_default();
    }

    /// A record of so many bytes was written.
    pub(super) fn add(&mut self, bytes: usize) {
        if let Some(counts) = &mut self.0 {
            count(counts, bytes);
        }
    }

    /// A record of so many bytes was removed.
    pub(super) fn remove(&mut self, bytes: usize) {
        if let Some(counts) = &mut self.0 {
            uncount(counts, bytes);
        }
    }

    /// Upper bounds of sizes, in bytes, each with the number of its records, the smallest first.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().flatten().map(|(&size, &count)| (size, count))
    }
}

// Apart and cold, so that a store is not slower where it was not asked for.
#[cold]
fn count(counts: &mut BTreeMap<usize, u64>, bytes: usize) {
    *counts.entry(bytes.next_multiple_of(STEP_BYTES)).or_default() += 1;
}

#[cold]
fn uncount(counts: &mut BTreeMap<usize, u64>, bytes: usize) {
    let size = bytes.next_multiple_of(STEP_BYTES);
    let count = counts.get_mut(&size).expect("what is removed was added");
    *count -= 1;
    if *count == 0 {
        counts.remove(&size);
    }
}
