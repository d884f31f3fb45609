//! The hash of keys: an almost universal one, with random numbers of this process.
//!
//! ```text
//! sum  = length + (a0 + word 0) (b0 + word 1) + (a1 + word 2) (b1 + word 3) + ..      128 bits
//! hash = mix(upper 64 bits of (c + d * lower half of sum + e * upper half of sum))
//! ```
//! The letters are random numbers, of 64 bits in the first line and 128 in the second. The first line is
//! NH (Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC", CRYPTO 1999): the sums of two different keys
//! that were chosen without the random numbers are equal with a probability below 2^-62. The second is
//! strongly universal (Dietzfelbinger, 1996): the hashes of two different sums are independent and
//! uniform. So for any two keys, whatever their pattern, n bits of their hashes are equal once in 2^n
//! processes. `mix` is a bijection and changes nothing of that; without it, keys that count upwards
//! would fill the tables in a pattern.
//!
//! The random numbers are not hidden from a client that sees many hashes. No answer contains a hash, but
//! the order in which keys are listed (`lru_crawler metadump`) depends on some bits. A table's limit
//! bounds what a client can do that has learnt from it which keys share a table (see `map`).
//!
//! Instructions for a key of 36 bytes: 174 with std's SipHash-1-3, which also hides its seed;
//! 67 with this one (callgrind). wyhash, rapidhash and foldhash xor the halves of products, and no such
//! probability is known of them: in foldhash 0.2, 8 bytes of 0 and 8 bytes of 255 have the same hash with
//! one in 2^27 seeds (its issue 50).

use std::hash::{BuildHasher as _, RandomState};

const WORD_BYTES: usize = size_of::<u64>();
const PAIR_BYTES: usize = 2 * WORD_BYTES;
/// Pairs of words in the longest key that is hashed here, before its last bytes.
const PAIRS_MAX: usize = 15;
/// Longer keys are hashed by SipHash. Only the simple dialect has such keys.
const KEY_BYTES_MAX: usize = PAIR_BYTES * (PAIRS_MAX + 1) - 1;

/// The random numbers of all hashes.
#[derive(Debug)]
pub(super) struct Seed {
    /// For the pairs of words from the key's start.
    pairs: [[u64; 2]; PAIRS_MAX],
    /// For the last pair, which ends where the key ends.
    last: [u64; 2],
    base: u128,
    /// For the halves of the sum.
    halves: [u128; 2],
    /// For keys above [`KEY_BYTES_MAX`].
    long: RandomState,
}

impl Seed {
    /// Random numbers: SipHashes, whose seed std has from the operating system.
    pub(super) fn random() -> Self {
        let source = RandomState::new();
        let mut count = 0u64;
        let mut word = || {
            count += 1;
            source.hash_one(count)
        };
        let mut pair = || [word(), word()];
        Self {
            pairs: std::array::from_fn(|_| pair()),
            last: pair(),
            base: join(pair()),
            halves: [join(pair()), join(pair())],
            long: RandomState::new(),
        }
    }

    /// The hash of a key.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        if key.len() > KEY_BYTES_MAX {
            return self.hash_long(key);
        }
        // The last pair overlaps the one before it, so that no byte after the key is read.
        let last = match (key.last_chunk(), key.first_chunk(), key.last_chunk()) {
            (Some(&last), ..) => u128::from_le_bytes(last),
            (None, Some(&first), Some(&last)) => {
                join([u64::from_le_bytes(first), u64::from_le_bytes(last)])
            }
            _ => short_key(key),
        };
        let mut sum = (key.len() as u128).wrapping_add(product(last, self.last));
        for (&pair, &random) in key.as_chunks().0.iter().zip(&self.pairs) {
            sum = sum.wrapping_add(product(u128::from_le_bytes(pair), random));
        }
        let [low, high] = split(sum);
        let [times_low, times_high] = self.halves;
        let hash = self
            .base
            .wrapping_add(times_low.wrapping_mul(u128::from(low)))
            .wrapping_add(times_high.wrapping_mul(u128::from(high)));
        mix(split(hash)[1])
    }

    #[cold]
    fn hash_long(&self, key: &[u8]) -> u64 {
        self.long.hash_one(key)
    }
}

/// The two words of a pair.
#[allow(clippy::cast_possible_truncation, reason = "cut to halves on purpose")]
const fn split(pair: u128) -> [u64; 2] {
    [pair as u64, (pair >> u64::BITS) as u64]
}

/// A pair of two words.
const fn join([low, high]: [u64; 2]) -> u128 {
    low as u128 | (high as u128) << u64::BITS
}

fn product(pair: u128, random: [u64; 2]) -> u128 {
    let [low, high] = split(pair);
    let factor = |word: u64, random: u64| u128::from(word.wrapping_add(random));
    factor(low, random[0]) * factor(high, random[1])
}

/// A key that is shorter than a word, as a pair.
fn short_key(key: &[u8]) -> u128 {
    key.iter().fold(0, |pair, &byte| pair << 8 | u128::from(byte))
}

/// A bijection that makes the lower bits depend on all bits.
const fn mix(hash: u64) -> u64 {
    let product = (hash ^ hash >> 32).wrapping_mul(0x9fb2_1c65_1e98_df25);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Groups that a set of keys is spread over, by any ten bits of their hashes.
    const GROUPS: usize = 1 << 10;
    const MEAN: usize = 96;
    /// Bits that choose a slot, a table and a tag in the map.
    const SHIFTS: [u32; 3] = [0, 20, 54];

    /// The most keys of a group, for each of [`SHIFTS`].
    fn largest_groups(keys: &[Vec<u8>], seed: &Seed) -> [usize; 3] {
        SHIFTS.map(|shift| {
            let mut groups = [0; GROUPS];
            for key in keys {
                let group = (seed.hash(key) >> shift) % GROUPS as u64;
                groups[usize::try_from(group).expect("there are few groups")] += 1;
            }
            groups.into_iter().max().unwrap_or_default()
        })
    }

    /// Sets of keys with a pattern: what clients have, and what floods hashes that are too simple.
    fn patterns() -> Vec<(&'static str, Vec<Vec<u8>>)> {
        let count = GROUPS * MEAN;
        let set = |key: &dyn Fn(usize) -> Vec<u8>| (0..count).map(key).collect::<Vec<_>>();
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        vec![
            ("a number at the end", set(&|n| format!("user:profile:{n}").into())),
            ("a number of 36 digits", set(&|n| format!("{n:036}").into())),
            ("a number at the start", set(&|n| format!("{n:08}:session:of:some:user").into())),
            ("a short number", set(&|n| n.to_string().into())),
            ("a word of 8 bytes", set(&|n| words(&[n as u64]))),
            ("its upper half", set(&|n| words(&[(n as u64) << 40]))),
            ("two equal words", set(&|n| words(&[n as u64; 2]))),
            ("four equal words", set(&|n| words(&[n as u64; 4]))),
            ("a word and its complement", set(&|n| words(&[n as u64, !(n as u64)]))),
            // A word that meets a secret of wyhash's default makes the other word's hash 0.
            ("beside a secret", set(&|n| words(&[0xa076_1d64_78bd_642f, n as u64, 0, n as u64]))),
            // Murmur's words differ so that a difference cancels out.
            (
                "differences that cancel",
                set(&|n| words(&[(n as u64) << 32, 0u64.wrapping_sub(n as u64)])),
            ),
            // 256 keys of each length, which have one byte only.
            ("lengths", set(&|n| vec![n.to_le_bytes()[1]; n % 240 + 2])),
            (
                "bytes that are 0 or 255",
                set(&|n| {
                    (0..36).map(|bit| if n >> (bit % 17) & 1 == 0 { 0 } else { 255 }).collect()
                }),
            ),
        ]
    }

    #[test]
    fn no_pattern_fills_a_table() {
        for (name, keys) in patterns() {
            let keys: Vec<_> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            for _ in 0..4 {
                let largest = largest_groups(&keys, &Seed::random());
                // The largest of random groups has some 130 keys; twice the mean are ten deviations.
                assert!(largest.into_iter().all(|keys| keys < 2 * MEAN), "{name}: {largest:?}");
            }
        }
    }

    /// Pairs of keys that differ in every byte or in their length alone. Ten bits of their hashes are
    /// compared, so this finds a pair that collides with one seed in some thousand.
    #[test]
    fn no_pair_collides_with_many_seeds() {
        const BITS: u32 = 10;
        let pairs: [(&[u8], &[u8]); 6] = [
            (&[0; 8], &[255; 8]),
            (&[0; 16], &[255; 16]),
            (&[0; 36], &[255; 36]),
            (&[0; 9], &[0; 16]),
            (b"a", b"a\0"),
            (&[0; 240], &[0; 255]),
        ];
        let seeds: Vec<Seed> = (0..1 << 15).map(|_| Seed::random()).collect();
        for (one, other) in pairs {
            let equal = |seed: &&Seed| (seed.hash(one) ^ seed.hash(other)) >> (64 - BITS) == 0;
            let equals = seeds.iter().filter(equal).count();
            // 32 are expected; 80 are more than eight deviations above.
            assert!(equals < 80, "{one:?} and {other:?}: {equals} of {}", seeds.len());
        }
    }

    #[test]
    fn every_byte_of_a_key_counts() {
        let seed = Seed::random();
        for length in 0..=2 * KEY_BYTES_MAX {
            let key = vec![b'k'; length];
            let mut hashes = BTreeSet::from([seed.hash(&key), seed.hash(&vec![b'k'; length + 1])]);
            for at in 0..length {
                let mut other = key.clone();
                other[at] ^= 1;
                hashes.insert(seed.hash(&other));
            }
            assert_eq!(hashes.len(), length + 2, "of a key of {length} bytes");
        }
    }
}
