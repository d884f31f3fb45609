//! The ghost: fingerprints of keys that were evicted from probation unread.
//!
//! A key that comes back soon was evicted too early, and goes to main at once. Sets of
//! eight fingerprints, youngest first, laid out at the start; each remembers roughly when it was added,
//! so that it is forgotten after as many others as there are items. Knows no record and no key.

/// Of the store's memory, one byte in so many is the ghost's.
///
/// With records of 300 bytes it then remembers as many keys as four tenths of the items (the table in
/// `policy` shows what a smaller one does). In models a ghost of half the items has 0.98 of the misses of
/// one of all items, and one of twice as many 1.08 (the median of eleven workloads, see
/// benches/replay/model.rs): a longer memory takes more into main that is not worth it, and takes room
/// from the records.
pub(super) const MEMORY_PER_GHOST: usize = 192;
/// Fingerprints in a set.
const SET_ITEMS: usize = 8;
/// Into so many ages is the time divided in which all of the ghost is written once.
const AGES: u64 = 64;
/// An entry's lowest bits are its age, the others the fingerprint.
const AGE_BITS: u32 = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Ghost {
    /// An entry is 0 where there is none.
    sets: Box<[[u32; SET_ITEMS]]>,
    /// How many keys were evicted.
    evicted: u64,
}

impl Ghost {
    /// One that remembers nothing yet.
    pub(super) fn new(bytes: usize) -> Self {
        let sets = bytes / size_of::<[u32; SET_ITEMS]>();
        Self { sets: vec![[0; SET_ITEMS]; sets].into(), evicted: 0 }
    }

    /// Keys that are evicted while one age passes.
    const fn age_items(&self) -> u64 {
        (self.sets.len() * SET_ITEMS) as u64 / AGES + 1
    }

    /// Remembers a key that is evicted.
    pub(super) fn remember(&mut self, hash: u64) {
        if self.sets.is_empty() {
            return;
        }
        self.evicted += 1;
        let age = self.age();
        let set = &mut self.sets[set_of(hash, self.sets.len())];
        set.copy_within(..SET_ITEMS - 1, 1);
        set[0] = fingerprint(hash) | age;
    }

    /// Was this key evicted, and not more than `items` others since? It is forgotten then.
    pub(super) fn recall(&mut self, hash: u64, items: usize) -> bool {
        if self.sets.is_empty() {
            return false;
        }
        let age = self.age();
        let oldest = items as u64 / self.age_items() + 1;
        let set = &mut self.sets[set_of(hash, self.sets.len())];
        for entry in set {
            let ages = age.wrapping_sub(*entry) & ((1 << AGE_BITS) - 1);
            if *entry >> AGE_BITS == fingerprint(hash) >> AGE_BITS && u64::from(ages) <= oldest {
                *entry = 0;
                return true;
            }
        }
        false
    }

    /// What is written at an entry now.
    #[allow(clippy::cast_possible_truncation, reason = "cut to its bits on purpose")]
    const fn age(&self) -> u32 {
        (self.evicted / self.age_items()) as u32 & ((1 << AGE_BITS) - 1)
    }
}

/// The set of a hash, by its lower half.
#[allow(clippy::cast_possible_truncation, reason = "a share of the number of sets")]
const fn set_of(hash: u64, sets: usize) -> usize {
    (((hash & 0xffff_ffff) * sets as u64) >> 32) as usize
}

/// The upper 24 bits of a hash, never 0, in the upper bits of an entry.
#[allow(clippy::cast_possible_truncation, reason = "cut to its bits on purpose")]
const fn fingerprint(hash: u64) -> u32 {
    ((hash >> 32) as u32 & !((1 << AGE_BITS) - 1)) | 1 << AGE_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recalled_once_and_not_for_ever() {
        let mut ghost = Ghost::new(64 * 1024);
        let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ghost.remember(hash(1));
        assert!(!ghost.recall(hash(2), 1000));
        assert!(ghost.recall(hash(1), 1000));
        assert!(!ghost.recall(hash(1), 1000));
        ghost.remember(hash(1));
        for n in 2..2000 {
            ghost.remember(hash(n));
        }
        // It is still there, but with a hundred items that is too long ago.
        assert!(!ghost.recall(hash(1), 100));
        assert!(ghost.recall(hash(1), 2000));
        for n in 2000..200_000 {
            ghost.remember(hash(n));
        }
        assert!(!ghost.recall(hash(2), usize::MAX));
    }
}
