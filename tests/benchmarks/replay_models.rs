//! The models of `replay`: LRU, memcached, the sweep for expired items, and the streams of sessions that it
//! is measured with.
//!
//! A bench without a harness runs no tests of its own, so they are here.

use crate::replay::caches::Cache;
use crate::replay::drive::Tally;
use crate::replay::model::{Design, Lru, Model, Size};
use crate::replay::requests::{Request, Sizes};
use crate::replay::sessions::{Life, Sessions, Wave};
use crate::rig::random::Random;
use crate::rig::stop::Stop;

const MIB: u64 = 1 << 20;

/// LRU written plainly, and slow.
struct Naive {
    memory_bytes_max: u64,
    /// The least recently used one first: key, bytes, end of life.
    items: Vec<(u64, u64, Option<u32>)>,
}

impl Model for Naive {
    fn get(&mut self, key: u64, now_s: u32) -> bool {
        let Some(at) = self.items.iter().position(|item| item.0 == key) else { return false };
        let item = self.items.remove(at);
        let live = item.2.is_none_or(|ends_at_s| ends_at_s > now_s);
        if live {
            self.items.push(item);
        }
        live
    }

    fn set(&mut self, key: u64, size: Size, expires_at_s: Option<u32>, _now_s: u32) -> bool {
        self.items.retain(|item| item.0 != key);
        if size.record_bytes() > self.memory_bytes_max {
            return false;
        }
        self.items.push((key, size.record_bytes(), expires_at_s));
        while self.bytes() > self.memory_bytes_max {
            self.items.remove(0);
        }
        true
    }

    fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.1).sum()
    }
}

#[test]
fn the_model_of_lru_is_lru() {
    let mut naive = Naive { memory_bytes_max: 4096, items: Vec::new() };
    let mut lru = Lru::new(4096);
    let mut random = Random::seeded(4);
    for step in 0..50_000 {
        let (key, now_s) = (u64::from(random.below(60)), 1 + step / 100);
        if random.below(2) == 0 {
            assert_eq!(lru.get(key, now_s), naive.get(key, now_s), "step {step}");
        } else {
            // One in ten is larger than everything.
            let value_bytes = random.below(10).pow(4);
            let size = Size { key_bytes: 36, value_bytes };
            let ends_at_s = (random.below(3) == 0).then(|| now_s + random.below(5));
            let stored = lru.set(key, size, ends_at_s, now_s);
            assert_eq!(stored, naive.set(key, size, ends_at_s, now_s), "step {step}");
        }
        assert_eq!(lru.bytes(), naive.bytes(), "step {step}");
    }
}

fn sessions() -> Sessions {
    Sessions {
        residents: 3,
        first_wave: Wave { items: 250, read_at_once_percent: 10 },
        first_wave_ttl_s: 2,
        sessions: Wave { items: 1000, read_at_once_percent: 1 },
        lives: [
            Life { percent: 80, ttl_s: 5, read_after: 100 },
            Life { percent: 20, ttl_s: 60, read_after: 400 },
        ],
        sizes: Sizes::LogNormal,
    }
}

#[test]
fn every_session_is_stored_once_and_read_once_before_it_expires() {
    let recipe = sessions();
    let first_wave: Vec<Request> =
        recipe.stream(1).take(usize::try_from(recipe.first_wave.requests()).unwrap()).collect();
    assert_eq!(first_wave.len(), 250 + 30);
    assert!(first_wave.iter().all(|request| request.ttl_s == 2));
    let rest: Vec<Request> = recipe.stream(1).skip(first_wave.len()).collect();
    assert_eq!(rest.len(), 1000 + 10 + 1000);
    assert_eq!(rest.iter().filter(|request| request.write && request.ttl_s == 60).count(), 200);
    // The later ones are followed by reads alone.
    let stores = rest.iter().enumerate().filter(|(_, request)| request.write);
    for (at, store) in stores.take(500) {
        let later = rest[at + 1..].iter().enumerate().filter(|(_, later)| later.key == store.key);
        let reads: Vec<usize> = later
            .map(|(after, later)| {
                assert_eq!(*later, Request { write: false, ..*store });
                after
            })
            .collect();
        let last = *reads.last().unwrap();
        // Between them as many were stored, and of those before no more than twice as many read.
        let read_after = if store.ttl_s == 5 { 100 } else { 400 };
        assert!((read_after..=read_after * 5 / 2).contains(&last), "{store:?} after {last}");
        assert!(reads.len() == 1 || (reads.len() == 2 && reads[0] == 0));
    }
}

/// Misses and reads of a model in a workload of this bench.
fn replayed(name: &str, design: Design) -> Tally {
    let memory_bytes = 16 * MIB;
    let workloads = crate::replay::workloads::all(memory_bytes, false);
    let workload = workloads.iter().find(|workload| workload.name == name).unwrap();
    let mut cache = Cache::Model(design.build(memory_bytes));
    crate::replay::drive::replay(workload, &mut cache, 1, &Stop::default()).unwrap()
}

#[test]
fn a_sweep_reclaims_expired_items_before_live_ones_are_evicted() {
    for name in ["blockers", "write-mostly", "sessions-mixed"] {
        for design in [Design::Memcached, Design::S3Fifo10Hand] {
            let tally = replayed(name, design);
            assert!(tally.misses * 20 < tally.reads, "{name}, {design:?}: {tally:?}");
        }
        let tally = replayed(name, Design::S3Fifo10);
        assert!(tally.misses * 2 > tally.reads, "{name}: {tally:?}");
    }
}

#[test]
fn the_model_of_memcached_has_its_classes_and_its_lists() {
    let size = Size { key_bytes: 36, value_bytes: 300 };
    let class_items = 64 * (MIB / 480);
    let mut model = Design::Memcached.build(64 * MIB);
    // 395 bytes need a chunk of 480, as in `stats slabs` of a real one.
    (0..class_items).for_each(|key| assert!(model.set(key, size, None, 1)));
    assert!((0..class_items).all(|key| model.get(key, 1)));
    assert_eq!(model.bytes(), 64 * MIB);
    // Read twice: they are kept, and of the others the oldest go.
    assert!((0..100).all(|key| model.get(key, 1)));
    (class_items..2 * class_items - 1000).for_each(|key| assert!(model.set(key, size, None, 1)));
    assert!((0..100).all(|key| model.get(key, 1)));
    assert!(!(100..200).any(|key| model.get(key, 1)));
    // Another class has a page of its own, and no more when there is none.
    let small = Size { key_bytes: 36, value_bytes: 1 };
    (0..2 * (MIB / 96)).for_each(|key| assert!(model.set(1 << 32 | key, small, None, 1)));
    assert_eq!(model.bytes(), 65 * MIB);
    assert!(!model.set(0, Size { key_bytes: 36, value_bytes: 1 << 20 }, None, 1));
    assert!(!model.get(0, 1));
}
