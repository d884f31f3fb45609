//! A histogram of item sizes, for operators who choose a limit.
//!
//! It is kept only on request, because it costs each store a lookup in a tree. Knows no record.

use std::collections::BTreeMap;

/// Width of a size class in bytes, as in memcached.
const STEP_BYTES: usize = 32;

/// See the module. None if sizes are not tracked.
#[derive(Debug, Default)]
pub(super) struct Sizes(Option<BTreeMap<usize, u64>>);

impl Sizes {
    /// Starts counting, in an empty store.
    pub(super) fn track(&mut self) {
        self.0.get_or_insert_default();
    }

    /// Counts a record of so many bytes that was written.
    pub(super) fn add(&mut self, bytes: usize) {
        if let Some(counts) = &mut self.0 {
            count(counts, bytes);
        }
    }

    /// Uncounts a record of so many bytes that was removed.
    pub(super) fn remove(&mut self, bytes: usize) {
        if let Some(counts) = &mut self.0 {
            uncount(counts, bytes);
        }
    }

    /// The upper bound of each class in bytes and its number of records, in ascending order.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().flatten().map(|(&size, &count)| (size, count))
    }
}

// These two are separate and cold, so that they do not slow down a store that does not track sizes.
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
