//! Flushed prefixes: which prefixes of keys were flushed, and up to which position of each log.
//!
//! The prefix of a key is the part before its first delimiter. As the flush of all items (see `flush`),
//! that of a prefix is a position in each log: records of the prefix below it are flushed. A record is
//! moved only while it is live, so a flushed one stays below that position, and what is written or moved
//! later is above it. So a flush takes constant time, and records need no field for it.
//!
//! Until no prefix is left, each lookup of a record that was written before the last flush checks its
//! prefix, which takes some 250 instructions; a get has 900 (callgrind). A prefix is dropped when the sweep
//! has read every record since the flush: then no flushed record of it is left. That takes two laps, so at
//! most two minutes, if there is enough traffic. Prefixes are kept as hashes of 64 bits. If two had the
//! same, items of the one would be flushed with the other.

use hashbrown::HashTable;

use super::arena::{Arena, OutOfMemory};
use super::hash::Seed;
use super::log::Log;
use super::record::Record;

/// Limit of the prefixes between two laps of the sweep: half of what fits in 8,192 slots, which take 264
/// KiB. A slot may count as taken after its prefix was dropped. A table that is more than half full then
/// is doubled instead of rebuilt in its memory.
const PREFIXES_MAX: usize = 3584;
/// A longer prefix cannot be flushed.
pub const PREFIX_BYTES_MAX: usize = 250;

/// See the module.
pub(super) struct FlushedPrefixes {
    /// The byte that ends a prefix.
    delimiter: u8,
    seed: Seed,
    /// Its memory is allocated at the first flush of a prefix.
    prefixes: HashTable<FlushedPrefix>,
    /// The highest positions of all prefixes, by log. 0 if there are none.
    flushed_to: [u64; 2],
    /// Laps of the sweep that have ended.
    laps: u64,
}

struct FlushedPrefix {
    hash: u64,
    /// Records of the prefix below these positions are flushed, by log.
    flushed_to: [u64; 2],
    /// When so many laps have ended, no such record is left.
    ends_with_lap: u64,
}

impl FlushedPrefixes {
    pub(super) fn new() -> Self {
        Self {
            delimiter: b':',
            seed: Seed::random(),
            prefixes: HashTable::new(),
            flushed_to: [0; 2],
            laps: 0,
        }
    }

    pub(super) const fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = delimiter;
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// A log with its tail below this position may hold flushed records.
    pub(super) const fn flushed_to(&self, queue: usize) -> u64 {
        self.flushed_to[queue]
    }

    /// There is no place for this prefix until the sweep has ended a lap or two.
    pub(super) fn is_full_for(&self, prefix: &[u8]) -> bool {
        let hash = self.seed.hash(prefix);
        self.prefixes.len() >= PREFIXES_MAX
            && self.prefixes.find(hash, |flushed| flushed.hash == hash).is_none()
    }

    /// Flushes a prefix up to these positions. `is_between_laps` says whether the sweep is about to begin
    /// a lap: that lap will read every record. Otherwise the next one will.
    ///
    /// # Errors
    /// When there is no memory for the table.
    pub(super) fn add(
        &mut self,
        prefix: &[u8],
        flushed_to: [u64; 2],
        is_between_laps: bool,
    ) -> Result<(), OutOfMemory> {
        let hash = self.seed.hash(prefix);
        let ends_with_lap = self.laps + if is_between_laps { 1 } else { 2 };
        let flushed = FlushedPrefix { hash, flushed_to, ends_with_lap };
        if self.prefixes.allocation_size() == 0 {
            let reserved = self.prefixes.try_reserve(2 * PREFIXES_MAX, |flushed| flushed.hash);
            reserved.map_err(|_| OutOfMemory)?;
        }
        match self.prefixes.find_mut(hash, |flushed| flushed.hash == hash) {
            Some(earlier) => *earlier = flushed,
            None => {
                self.prefixes.insert_unique(hash, flushed, |flushed| flushed.hash);
            }
        }
        self.flushed_to = flushed_to;
        Ok(())
    }

    /// Was the record, which is in this log, written before its prefix was flushed? Costs little for a
    /// record that was written after the last flush.
    pub(super) fn is_flushed(
        &self,
        record: &Record,
        (queue, log): (usize, &Log),
        arena: &Arena,
    ) -> bool {
        let position = log.position(record.offset);
        position < self.flushed_to[queue]
            && self.position_of(record.key(arena), queue).is_some_and(|to| position < to)
    }

    /// The position up to which records with the prefix of this key are flushed.
    fn position_of(&self, key: &[u8], queue: usize) -> Option<u64> {
        let beginning = &key[..key.len().min(PREFIX_BYTES_MAX + 1)];
        let bytes = memchr::memchr(self.delimiter, beginning)?;
        let hash = self.seed.hash(&key[..bytes]);
        let flushed = self.prefixes.find(hash, |flushed| flushed.hash == hash)?;
        Some(flushed.flushed_to[queue])
    }

    /// The sweep has ended a lap. Drops the prefixes that have no flushed record left.
    pub(super) fn end_lap(&mut self) {
        self.laps += 1;
        let laps = self.laps;
        self.prefixes.retain(|flushed| flushed.ends_with_lap > laps);
        if self.prefixes.is_empty() {
            self.flushed_to = [0; 2];
        }
    }

    /// Drops all prefixes, because all records were flushed.
    pub(super) fn clear(&mut self) {
        self.prefixes.clear();
        self.flushed_to = [0; 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot counts as taken after a removal, until its table is rebuilt.
    #[test]
    fn the_table_keeps_its_memory_while_prefixes_come_and_go() {
        let mut prefixes = FlushedPrefixes::new();
        let mut bytes = Vec::new();
        for number in 0..20 * PREFIXES_MAX {
            let prefix = number.to_string();
            // Each lap drops the older half of a full table.
            if number % (PREFIXES_MAX / 2) == 0 {
                prefixes.end_lap();
            }
            let added = prefixes.add(prefix.as_bytes(), [1, 1], false);
            assert_eq!(added, Ok(()));
            bytes.push(prefixes.prefixes.allocation_size());
        }
        assert!(bytes.iter().all(|&now| now == bytes[0]), "{} to {:?}", bytes[0], bytes.last());
    }
}
