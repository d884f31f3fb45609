//! The hit ratio after a restart, beside that of a twin that went on.

use miocached::store::{Attributes, NEVER, SaveCursor, SavedBytes, Store, Stored, saved_item};

use crate::replay::requests::{Lifetimes, Pattern, Recipe, Request, Sizes, Stream};

const MIB: usize = 1 << 20;
const NOW_S: u32 = 100;
const KEYS: u32 = 100_000;
const WARM: usize = 600_000;
const COUNTED: usize = 200_000;

struct Cache {
    store: Store,
    hits: u64,
    gets: u64,
}

impl Cache {
    fn new(memory_bytes: usize) -> Self {
        Self { store: Store::new(memory_bytes, true).unwrap(), hits: 0, gets: 0 }
    }

    /// A read that misses is followed by a write.
    fn ask(&mut self, request: Request) {
        let key = format!("{:036}", request.key);
        let key = self.store.hashed_key(key.as_bytes());
        if !request.write {
            self.gets += 1;
            if self.store.get(key, NOW_S).is_some() {
                self.hits += 1;
                return;
            }
        }
        let value = vec![b'v'; request.value_bytes as usize];
        let attributes = Attributes { expires_at_s: NEVER, cas: 1, ..Attributes::default() };
        while self.store.set(key, &value, &attributes, NOW_S) == Stored::NeedsStep {}
    }

    /// The hit ratio of the next requests.
    fn hit_ratio(&mut self, stream: &Stream) -> f64 {
        (self.hits, self.gets) = (0, 0);
        stream.clone().take(COUNTED).for_each(|request| self.ask(request));
        self.hits as f64 / self.gets as f64
    }

    /// A new store with what this one saves.
    fn restarted(&self, memory_bytes: usize) -> Self {
        let mut new = Self::new(memory_bytes);
        new.store.prepare_to_restore(self.store.len() as u64, self.store.bytes());
        let mut cursor = SaveCursor::default();
        // Parts that divide most records.
        let (mut bytes, mut part) = (Vec::new(), vec![0; 500]);
        while !cursor.is_at_end() {
            let saved = self.store.save(&mut cursor, NOW_S, &mut part);
            bytes.extend_from_slice(&part[..saved.bytes]);
        }
        let mut rest = &bytes[..];
        while let SavedBytes::Item(item, bytes) = saved_item(rest) {
            new.store.restore(&item, new.store.hashed_key(item.key), NOW_S);
            rest = &rest[bytes..];
        }
        assert!(rest.is_empty());
        new.store.verify();
        new
    }
}

fn recipe(pattern: Pattern) -> Recipe {
    let (sizes, lifetimes) = (Sizes::LogNormal, Lifetimes::ForEver);
    Recipe { keys: KEYS, pattern, sizes, lifetimes, writes_percent: 10 }
}

/// Within 1 %. In 16 MiB, with 200,000 keys and 3 million requests before the restart, the hit ratios of
/// the next 20,000 to 2 million requests were within 0.15 % of the twin's, with these workloads and with
/// Zipf 0.9 and 1.2.
#[test]
fn the_hit_ratio_is_the_same_after_a_restart() {
    for pattern in [
        Pattern::Zipf { exponent: 1.0 },
        Pattern::Wonders { exponent: 1.0, percent: 20 },
        Pattern::Scans { exponent: 1.0, percent: 20 },
    ] {
        let mut cache = Cache::new(8 * MIB);
        let mut stream = recipe(pattern).stream(1);
        stream.by_ref().take(WARM).for_each(|request| cache.ask(request));
        assert!(cache.store.counters().evictions > 50_000, "the memory is full");
        let mut restarted = cache.restarted(8 * MIB);
        assert_eq!(restarted.store.len(), cache.store.len());
        let mut empty = Cache::new(8 * MIB);
        let (with, without) = (restarted.hit_ratio(&stream), cache.hit_ratio(&stream));
        let cold = empty.hit_ratio(&stream);
        println!("{pattern:?}: {with:.4} restarted, {without:.4} as before, {cold:.4} empty");
        assert!((with / without - 1.0).abs() < 0.01, "{pattern:?}: {with} instead of {without}");
        assert!(cold < 0.97 * without, "{pattern:?}: an empty cache is worse: {cold}");
    }
}

/// With half the memory the items are as good a choice as those of a store that always had so little.
#[test]
fn half_the_memory_keeps_the_valuable_half() {
    let mut stream = recipe(Pattern::Zipf { exponent: 1.0 }).stream(1);
    let (mut cache, mut small) = (Cache::new(8 * MIB), Cache::new(4 * MIB));
    for request in stream.by_ref().take(WARM) {
        cache.ask(request);
        small.ask(request);
    }
    let mut restarted = cache.restarted(4 * MIB);
    let (with, always) = (restarted.hit_ratio(&stream), small.hit_ratio(&stream));
    println!("{with:.4} restarted in half the memory, {always:.4} always had so much");
    assert!(with > 0.98 * always, "{with} instead of {always}");
}
