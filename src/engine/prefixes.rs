//! `stats detail`: counts of what happened to the keys of each prefix.
//!
//! A prefix is the part of a key before the first delimiter; keys without one are not counted. While
//! counting is off, it costs one comparison per command.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::protocol::{KEY_BYTES_MAX, ReplyWriter};

/// Most prefixes that are counted; the keys of others are not. With names of 250 bytes they take less
/// than a megabyte.
const PREFIXES_MAX: usize = 2048;

/// See the module.
#[derive(Debug)]
pub(super) struct Prefixes {
    pub(super) enabled: bool,
    delimiter: u8,
    counts: BTreeMap<Box<[u8]>, Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    gets: u64,
    hits: u64,
    sets: u64,
    deletes: u64,
}

impl Prefixes {
    pub(super) const fn new(config: &Config) -> Self {
        Self {
            enabled: config.detail_enabled,
            delimiter: config.prefix_delimiter,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn count_get(&mut self, key: &[u8], hit: bool) {
        if let Some(counts) = self.of(key) {
            counts.gets += 1;
            counts.hits += u64::from(hit);
        }
    }

    pub(super) fn count_set(&mut self, key: &[u8]) {
        if let Some(counts) = self.of(key) {
            counts.sets += 1;
        }
    }

    pub(super) fn count_delete(&mut self, key: &[u8]) {
        if let Some(counts) = self.of(key) {
            counts.deletes += 1;
        }
    }

    pub(super) fn reset(&mut self) {
        self.counts.clear();
    }

    /// Bytes that [`Self::write`] may write.
    pub(super) fn bytes(&self) -> usize {
        let line = "PREFIX  get  hit  set  del \r\n".len() + 4 * 20;
        self.counts.keys().map(|prefix| prefix.len() + line).sum()
    }

    pub(super) fn write(&self, reply: &mut ReplyWriter<'_>) {
        for (prefix, counts) in &self.counts {
            reply.text(b"PREFIX ");
            reply.text(prefix);
            let Counts { gets, hits, sets, deletes } = counts;
            reply.show(&format_args!(" get {gets} hit {hits} set {sets} del {deletes}\r\n"));
        }
    }

    fn of(&mut self, key: &[u8]) -> Option<&mut Counts> {
        if self.enabled { self.counts_of(key) } else { None }
    }

    /// Separate and cold, so that the hot path calls nothing while counting is off.
    #[cold]
    fn counts_of(&mut self, key: &[u8]) -> Option<&mut Counts> {
        let bytes = key.iter().take(KEY_BYTES_MAX).position(|&byte| byte == self.delimiter)?;
        let prefix = &key[..bytes];
        if !self.counts.contains_key(prefix) {
            if self.counts.len() == PREFIXES_MAX {
                return None;
            }
            self.counts.insert(prefix.into(), Counts::default());
        }
        self.counts.get_mut(prefix)
    }
}
