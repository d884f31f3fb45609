//! The workloads: what is replayed, how much of it, and whether it fits in memory.
//!
//! Sizes follow from `-m`, so that a workload asks the same of every memory. Knows no cache.
//!
//! ## The accelerated clock
//!
//! Values that live ten minutes, eight hours or two days would need a run of days. What matters is
//! how a life compares with the time that an item stays in memory otherwise, so lives are divided by
//! a factor, the *speed-up*, and the requests come at a fixed rate, the same for every server: then the
//! clocks of all servers agree on how many requests a life lasts. Each of the three workloads with
//! one life has its own speed-up, hence stands for a cluster of another request rate:
//!
//! * `twitter-10m`: lives end long before an item would be evicted. Dead items take up the room.
//! * `twitter-8h`: lives end about when items are evicted.
//! * `twitter-2d`: items are evicted before their lives end.
//! * `twitter-mixed`: all three at one speed-up, a third of the keys each.

use std::rc::Rc;

use super::requests::{Lifetimes, Pattern, Recipe, Request, Sizes};
use super::sessions::{Life, Sessions, Wave};
use super::trace::Trace;
use crate::rig::random::Random;

/// Bytes of every made key.
pub(crate) const KEY_BYTES: u32 = 36;
/// What a record of the design takes beside key and value: nothing holds more than this allows.
const RECORD_OVERHEAD_BYTES: f64 = 24.0;
/// What memcached needs at the most beside key and value, slab classes included, in most cases.
const FITTING_OVERHEAD_BYTES: f64 = 100.0;
/// Requests a second where lives end: as fast as every server can surely follow.
const PACED_PER_S: u32 = 100_000;
const MINUTE_S: u32 = 60;
const HOUR_S: u32 = 60 * MINUTE_S;
const DAY_S: u32 = 24 * HOUR_S;

/// Something to replay.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    /// Whether all of it fits in memory, for memcached, too.
    pub(crate) fits: bool,
    /// Whether a run with `--quick` has it.
    pub(crate) quick: bool,
    pub(crate) source: Source,
    /// Requests before counting begins, and requests counted.
    pub(crate) warm: u64,
    pub(crate) counted: u64,
    /// Requests a second, where the clock matters.
    pub(crate) rate_per_s: Option<u32>,
    /// Seconds without a request before counting begins.
    pub(crate) pause_s: u32,
}

/// Where requests come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Out of a recipe; every key that comes again has been stored once before.
    Made(Recipe),
    /// Out of a recipe for items that expire; its residents have been stored before.
    Sessions(Sessions),
    /// Out of a file, into an empty cache.
    Trace(Rc<Trace>),
}

impl Workload {
    /// All requests of this seed, without the loading.
    pub(crate) fn requests(&self, seed: u64) -> Box<dyn Iterator<Item = Request> + '_> {
        match &self.source {
            Source::Made(recipe) => Box::new(recipe.stream(seed)),
            Source::Sessions(recipe) => Box::new(recipe.stream(seed)),
            Source::Trace(trace) => Box::new(trace.requests()),
        }
    }

    /// Whether a client writes what it has missed. A lost session is lost.
    pub(crate) const fn refills(&self) -> bool {
        !matches!(self.source, Source::Sessions(_))
    }

    /// The write of one of the keys to be stored before.
    pub(crate) fn load(&self, key: u64, random: &mut Random) -> Option<Request> {
        match &self.source {
            Source::Made(recipe) => Some(recipe.load(key, random)),
            Source::Sessions(recipe) => Some(recipe.load(key, random)),
            Source::Trace(_) => None,
        }
    }

    /// Keys to be stored before.
    pub(crate) fn keys_loaded(&self) -> u32 {
        match &self.source {
            Source::Made(recipe) => recipe.keys,
            Source::Sessions(recipe) => recipe.residents,
            Source::Trace(_) => 0,
        }
    }

    /// The largest value.
    pub(crate) fn value_bytes_max(&self) -> u32 {
        match &self.source {
            Source::Made(recipe) => recipe.sizes.max(),
            Source::Sessions(recipe) => recipe.sizes.max(),
            Source::Trace(trace) => trace.value_bytes_max(),
        }
    }

    /// A trace that the user named. It is counted from the first request on.
    pub(crate) fn trace(trace: Trace, memory_bytes: u64) -> Self {
        let needed = trace.bytes() as f64 + FITTING_OVERHEAD_BYTES * trace.keys() as f64;
        Self {
            name: "trace",
            what: format!("{} requests of {} keys, from the file", trace.len(), trace.keys()),
            fits: needed <= memory_bytes as f64,
            quick: true,
            warm: 0,
            counted: trace.len(),
            source: Source::Trace(Rc::new(trace)),
            rate_per_s: None,
            pause_s: 0,
        }
    }
}

/// How much there is to hold.
#[derive(Clone, Copy)]
enum Extent {
    /// All records together are this many times as large as the memory.
    Exceeds(f64),
    /// They fill a good half of it with memcached's overhead.
    Fits,
}

/// What the made workloads have in common until they say otherwise.
struct Maker {
    memory_bytes: f64,
    /// Requests by key that comes again: before counting, and counted.
    warm_laps: u64,
    counted_laps: u64,
}

impl Maker {
    fn workload(&self, name: &'static str, what: &str, extent: Extent, recipe: Recipe) -> Workload {
        let item_bytes = f64::from(KEY_BYTES) + recipe.sizes.mean();
        let (keys, fits) = match extent {
            Extent::Exceeds(times) => {
                (times * self.memory_bytes / (item_bytes + RECORD_OVERHEAD_BYTES), false)
            }
            Extent::Fits => (0.6 * self.memory_bytes / (item_bytes + FITTING_OVERHEAD_BYTES), true),
        };
        let keys = whole(keys);
        Workload {
            name,
            what: format!("{what}; {keys} keys"),
            fits,
            quick: false,
            source: Source::Made(Recipe { keys, ..recipe }),
            warm: self.warm_laps * u64::from(keys),
            counted: self.counted_laps * u64::from(keys),
            rate_per_s: None,
            pause_s: 0,
        }
    }

    fn reads(&self, name: &'static str, what: &str, extent: Extent, pattern: Pattern) -> Workload {
        self.workload(name, what, extent, Recipe { pattern, ..READS })
    }

    fn zipf(&self, name: &'static str, extent: Extent, exponent: f64) -> Workload {
        let what = format!("reads by Zipf {exponent}");
        self.reads(name, &what, extent, Pattern::Zipf { exponent })
    }

    fn twitter(
        &self,
        name: &'static str,
        extent: Extent,
        what: &str,
        lives: Lifetimes,
    ) -> Workload {
        let recipe = Recipe {
            pattern: Pattern::Zipf { exponent: 1.2 },
            lifetimes: lives,
            writes_percent: 13,
            ..READS
        };
        let what = format!("Twitter's medians, Zipf 1.2, 13 % writes, {what}");
        let rate_per_s = (lives != Lifetimes::ForEver).then_some(PACED_PER_S);
        Workload { rate_per_s, ..self.workload(name, &what, extent, recipe) }
    }

    fn overwrites(&self, name: &'static str, extent: Extent) -> Workload {
        let recipe = Recipe {
            sizes: Sizes::Varying { min: 16, max: 1000 },
            writes_percent: 50,
            pattern: Pattern::Zipf { exponent: 1.0 },
            ..READS
        };
        self.workload(name, "50 % writes of 16 to 1000 bytes, Zipf 1", extent, recipe)
    }

    /// cases.md: what expires while something without an expiry stays.
    fn expiring(&self) -> Vec<Workload> {
        let one_in = |percent: u32| Wave { items: 0, read_at_once_percent: percent };
        vec![
            self.blocked("blocker", 0.0, 0, 0.24),
            self.blocked("blocker-1", 0.0, 1, 0.24),
            self.blocked("blocker-10", 0.0, 10, 0.24),
            self.blocked("blockers", 0.06, 0, 0.24),
            self.blocked("write-mostly", 0.0, 0, 0.5),
            self.sessions("sessions", one_in(0), [(100, 8), (0, 8)]),
            self.sessions("sessions-1", one_in(1), [(100, 8), (0, 8)]),
            self.sessions("sessions-10", one_in(10), [(100, 8), (0, 8)]),
            self.sessions("sessions-mixed", one_in(0), [(80, 5), (20, 60)]),
        ]
    }

    /// Residents at the tail, a memory full of items that expire, and then others, each of which is
    /// read after as many others as fill `distance` of the memory.
    fn blocked(
        &self,
        name: &'static str,
        residents: f64,
        read_at_once_percent: u32,
        distance: f64,
    ) -> Workload {
        let sizes = Sizes::Varying { min: 100, max: 100 };
        let bytes = f64::from(KEY_BYTES) + sizes.mean() + RECORD_OVERHEAD_BYTES;
        let items = |share: f64| whole(share * self.memory_bytes / bytes);
        let first_wave = Wave { items: items(0.9 - residents), read_at_once_percent };
        let read_after = items(distance);
        let share = if distance < 0.5 { 0.85 - residents } else { distance };
        let sessions = Wave { items: items(share), ..Wave::NONE };
        let recipe = Sessions {
            residents: items(residents),
            first_wave,
            first_wave_ttl_s: 2,
            sessions,
            lives: [Life { percent: 100, ttl_s: 600, read_after }; 2],
            sizes,
        };
        Workload {
            name,
            what: format!(
                "{} items for ever, {} that expire, {} new ones, each read after {read_after} more",
                recipe.residents, first_wave.items, sessions.items
            ),
            fits: true,
            quick: false,
            source: Source::Sessions(recipe),
            warm: first_wave.requests(),
            counted: 2 * u64::from(sessions.items),
            rate_per_s: Some(PACED_PER_S),
            pause_s: 4,
        }
    }

    /// Sessions without an end, which fill half of the memory, each read after three quarters of
    /// its life, and some at once; and one item for ever. Lives are percent and seconds.
    fn sessions(&self, name: &'static str, wave: Wave, lives: [(u32, u32); 2]) -> Workload {
        let sizes = Sizes::LogNormal;
        let bytes = f64::from(KEY_BYTES) + sizes.mean() + RECORD_OVERHEAD_BYTES;
        let items = self.memory_bytes / bytes;
        let mean_s: f64 = lives.iter().map(|&(percent, s)| f64::from(percent * s) / 100.0).sum();
        let per_s = whole(items / 2.0 / mean_s);
        let life = |(percent, ttl_s)| Life { percent, ttl_s, read_after: per_s * ttl_s * 3 / 4 };
        let recipe = Sessions {
            residents: whole(0.02 * items),
            first_wave: Wave::NONE,
            first_wave_ttl_s: 0,
            sessions: Wave { items: u32::MAX, ..wave },
            lives: lives.map(life),
            sizes,
        };
        // 2 requests by session, and as many as are read at once.
        let requests =
            |sessions: f64| whole(sessions * (2.0 + f64::from(wave.read_at_once_percent) / 100.0));
        let lives = lives.map(|(percent, s)| format!("{percent} % live {s} s"));
        Workload {
            name,
            what: format!(
                "{per_s} sessions a second, of which {}; {} % read at once",
                lives.join(", "),
                wave.read_at_once_percent
            ),
            fits: true,
            quick: false,
            source: Source::Sessions(recipe),
            warm: u64::from(requests(3.0 * items)),
            counted: u64::from(requests(2.0 * items)),
            rate_per_s: Some(requests(f64::from(per_s))),
            pause_s: 0,
        }
    }
}

const READS: Recipe = Recipe {
    keys: 0,
    pattern: Pattern::Loop,
    sizes: Sizes::LogNormal,
    lifetimes: Lifetimes::ForEver,
    writes_percent: 0,
};

/// All made workloads for this much memory.
///
/// Counting begins late, when those who stay have been found: of what was loaded first nothing is
/// known, and a design that needs a queue's whole lap to find out looks worse than it is. (S3-FIFO at
/// 10 % has 1.12 of LRU's misses by Zipf 1.2 after two laps of requests, 0.85 after twenty.) Quick
/// ones are too short for that, and no more than a check that everything works.
pub(crate) fn all(memory_bytes: u64, quick: bool) -> Vec<Workload> {
    let (warm_laps, counted_laps) = if quick { (1, 2) } else { (12, 4) };
    let make = Maker { memory_bytes: memory_bytes as f64, warm_laps, counted_laps };
    let (exceeds, fits) = (Extent::Exceeds(4.0), Extent::Fits);
    let lives =
        |speed_up: u32| [10 * MINUTE_S, 8 * HOUR_S, 2 * DAY_S].map(|life_s| life_s / speed_up);
    let [ten_minutes, _, _] = lives(120);
    let [_, eight_hours, _] = lives(2400);
    let [_, _, two_days] = lives(2880);
    let paced = Extent::Exceeds(3.0);
    let mut all = vec![
        make.zipf("zipf-0.9", exceeds, 0.9),
        make.zipf("zipf-1.0", exceeds, 1.0),
        make.zipf("zipf-1.0-fits", fits, 1.0),
        make.zipf("zipf-1.2", exceeds, 1.2),
        make.reads(
            "one-hit",
            "Zipf 1, but 20 % of the requests are for keys that never come again",
            Extent::Exceeds(2.0),
            Pattern::Wonders { exponent: 1.0, percent: 20 },
        ),
        make.reads("loop", "a loop over all keys", Extent::Exceeds(1.25), Pattern::Loop),
        make.reads("loop-fits", "a loop over all keys", fits, Pattern::Loop),
        make.reads(
            "scans",
            "Zipf 1, but 30 % of the requests are a scan over as many other keys",
            Extent::Exceeds(2.0),
            Pattern::Scans { exponent: 1.0, percent: 30 },
        ),
        make.twitter(
            "twitter-10m",
            paced,
            "lives of 10 min divided by 120",
            Lifetimes::All(ten_minutes),
        ),
        make.twitter(
            "twitter-8h",
            paced,
            "lives of 8 h divided by 2400",
            Lifetimes::All(eight_hours),
        ),
        make.twitter(
            "twitter-2d",
            paced,
            "lives of 2 days divided by 2880",
            Lifetimes::All(two_days),
        ),
        make.twitter(
            "twitter-mixed",
            paced,
            "lives of 10 min, 8 h, 2 days divided by 120",
            Lifetimes::Thirds(lives(120)),
        ),
        make.twitter("twitter-fits", fits, "without an end", Lifetimes::ForEver),
        make.overwrites("overwrites", Extent::Exceeds(2.0)),
        make.overwrites("overwrites-fits", fits),
    ];
    all.extend(make.expiring());
    for workload in &mut all {
        let name = workload.name;
        workload.quick = ["zipf-1.0", "zipf-1.0-fits", "twitter-10m", "overwrites"].contains(&name);
    }
    all
}

#[expect(clippy::cast_possible_truncation, reason = "keys of as many bytes as a machine has")]
fn whole(keys: f64) -> u32 {
    keys.clamp(1.0, f64::from(u32::MAX)) as u32
}
