//! The ghost: fingerprints of keys that were evicted from probation unread.
//!
//! A key that is stored again soon after was evicted too early, so its record enters main at once. The
//! fingerprints are in sets of eight, youngest first, which are allocated at the start. Each has an
//! age: it no longer counts after as many evictions as there are items. Knows no record and no key.

/// The ghost takes one byte of this many of the store's memory.
///
/// With records of 300 bytes it then holds as many keys as four tenths of the items (the table in
/// `policy` shows the effect of a smaller one). A larger ghost lets more records into main that are not
/// read again, and takes memory from the records. In models a ghost of half the items has 0.98 of the
/// misses of one of all items, and one of twice the items 1.08 (the median of eleven workloads, see
/// benches/replay/model.rs).
pub(super) const MEMORY_PER_GHOST: usize = 192;
/// Fingerprints in a set.
const SET_ITEMS: usize = 8;
/// Number of ages that pass while as many keys are evicted as the ghost has entries.
const AGES: u64 = 64;
/// Number of an entry's lowest bits, which are its age. The others are the fingerprint.
const AGE_BITS: u32 = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Ghost {
    /// An empty entry is 0.
    sets: Box<[[u32; SET_ITEMS]]>,
    /// Number of keys that were added.
    evicted: u64,
}

impl Ghost {
    /// An empty ghost.
    pub(super) fn new(bytes: usize) -> Self {
        let sets = bytes / size_of::<[u32; SET_ITEMS]>();
        Self { sets: vec![[0; SET_ITEMS]; sets].into(), evicted: 0 }
    }

    /// Number of evicted keys after which the next age begins.
    const fn age_items(&self) -> u64 {
        (self.sets.len() * SET_ITEMS) as u64 / AGES + 1
    }

    /// Adds a key that is evicted.
    pub(super) fn add(&mut self, hash: u64) {
        if self.sets.is_empty() {
            return;
        }
        self.evicted += 1;
        let age = self.age();
        let set = &mut self.sets[set_of(hash, self.sets.len())];
        set.copy_within(..SET_ITEMS - 1, 1);
        set[0] = fingerprint(hash) | age;
    }

    /// Was this key evicted, and not more than about `items` others since? If so, its entry is removed.
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

    /// The age of an entry that is added now.
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

/// The upper 24 bits of a hash, in the upper bits of an entry. The lowest of them is always 1, so that
/// no fingerprint is 0.
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
        ghost.add(hash(1));
        assert!(!ghost.recall(hash(2), 1000));
        assert!(ghost.recall(hash(1), 1000));
        assert!(!ghost.recall(hash(1), 1000));
        ghost.add(hash(1));
        for n in 2..2000 {
            ghost.add(hash(n));
        }
        // The entry still exists, but among a hundred items it is too old.
        assert!(!ghost.recall(hash(1), 100));
        assert!(ghost.recall(hash(1), 2000));
        for n in 2000..200_000 {
            ghost.add(hash(n));
        }
        assert!(!ghost.recall(hash(2), usize::MAX));
    }
}
