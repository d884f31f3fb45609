//! Hot keys: which keys are fetched most, and about how often, from a sample of the requests.
//!
//! ```text
//!  fetch --every n-th, n random--> sketch since the start     each sketch: 64 sets of 8 counters,
//!                                  sketch of even windows     and the keys of its 20 leaders
//!                                  sketch of odd windows
//! ```
//! A sketch is Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and
//! top-k elements in data streams", ICDT 2005) in sets, as the lines of a processor's cache are. A key
//! belongs to one set, by its hash. If it has none of the set's counters, it takes over the smallest one,
//! whose count becomes the bound of its error. So a count is never too low, and a key that has more than
//! an eighth of its set's requests always has a counter. Only the keys with the largest counts, the
//! leaders, are kept as bytes; a counter has 32 bits of its key's hash.
//!
//! Fetches are counted, whether they hit or miss: `get`, `gets`, `gat`, `gats`, `mg` and the
//! binary fetches. Stores and other changes are not. Keys above [`KEY_BYTES_MAX`], which only the simple
//! dialect has, are left out, as in dumps.
//!
//! The gaps between samples are random, because with a fixed gap a workload in a cycle would always show
//! the same keys. Their mean, the stride, follows the traffic: see `SAMPLES_PER_STRIDE`. Nothing is
//! allocated after the start.

use std::cmp::Reverse;

use super::{HashedKey, Now};
use crate::protocol::KEY_BYTES_MAX;

/// Seconds of a window. The recent span is the present window and the one before it: from one window to
/// two.
const WINDOW_S: u32 = 10;
/// Samples of one second after which the stride doubles; and each second begins with half of the stride
/// that the last one ended with. So a busy server takes 4,096 to 12,288 samples a second, however many
/// fetches it has, and one with fewer fetches counts all of them. A sample takes 370 instructions
/// (callgrind): less than 5 million a second, and some 0.2 % of what 2 million pipelined gets take.
const SAMPLES_PER_STRIDE: u32 = 4096;
/// Limit of the stride. With it, 8,192 samples stand for 500 million fetches.
const STRIDE_MAX: u32 = 1 << 16;
/// The error that is shown includes so many standard deviations of the sampling. 997 of 1,000 counts
/// differ by less.
const DEVIATIONS: u64 = 3;

/// Counters in a set, and sets in a sketch. With Zipf 0.99 and a million keys, the counts of the smallest
/// counters are some 0.15 % of all requests, and the tenth key has 0.7 %.
const WAYS: usize = 8;
const SETS: usize = 64;
/// Keys that a sketch may show.
pub(super) const LEADERS: usize = 20;
/// Limit of all sketches' memory, in bytes.
const BYTES_MAX: usize = 64 << 10;

const _: () = assert!(size_of::<HotKeys>() <= BYTES_MAX);
const _: () = assert!(KEY_BYTES_MAX <= u8::MAX as usize);

/// Counts fetches, and passes a sample of them to [`HotKeys`], unless hot keys are off.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Fetches until the next sample. Without hot keys it is so large that it never becomes 0, so that a
    /// fetch needs no other branch.
    until_sample: u64,
    hot_keys: Option<Box<HotKeys>>,
}

/// The keys that are fetched most.
#[derive(Debug)]
pub struct HotKeys {
    pace: Pace,
    since_start: Sketch,
    /// Each is emptied every second window, and counts for two.
    recent: [Sketch; 2],
    /// The second from which on `since_start` counts.
    start_s: u32,
}

/// The hot keys of a span of time.
#[derive(Clone, Copy, Debug)]
pub struct HotSpan<'h> {
    /// Seconds since it began, at least 1.
    pub seconds: u32,
    /// None if there was no fetch.
    sketch: Option<&'h Sketch>,
}

/// One of the hot keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotKey<'h> {
    /// The key, which may have any bytes.
    pub key: &'h [u8],
    /// An estimate of its fetches.
    pub requests: u64,
    /// The estimate is probably not wrong by more than this.
    pub error: u64,
}

/// How often a sample is taken.
#[derive(Debug)]
struct Pace {
    /// The mean gap between two samples, in fetches, and so the weight of a sample.
    stride: u32,
    /// Samples of this second until the stride doubles.
    samples_left: u32,
    /// The second of the last sample.
    second_s: u32,
    /// The state of a xorshift generator, never 0.
    random: u64,
}

/// Counts of a span of time.
#[derive(Debug)]
struct Sketch {
    /// The number of the window in which it began. Unused in the sketch since the start.
    window: u32,
    /// All fetches.
    requests: u64,
    /// The largest weight of a sample.
    stride_max: u32,
    sets: [Set; SETS],
    /// The smallest upper bound of a leader.
    least: u64,
    leaders: [Leader; LEADERS],
    keys: [Key; LEADERS],
}

/// The counters of those keys whose hash selects this set. An unused one is 0.
#[derive(Clone, Copy, Debug)]
struct Set {
    tags: [u32; WAYS],
    /// Upper bounds of the keys' counts.
    at_most: [u64; WAYS],
    /// By how much each may be too high.
    errors: [u64; WAYS],
}

/// One of the largest counts. An unused one is 0.
#[derive(Clone, Copy, Debug)]
struct Leader {
    hash: u64,
    at_most: u64,
    at_least: u64,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    length: u8,
    bytes: [u8; KEY_BYTES_MAX],
}

impl Sampler {
    pub(super) fn new(enabled: bool) -> Self {
        let hot_keys = enabled.then(|| Box::new(HotKeys::new()));
        Self { until_sample: if enabled { 1 } else { u64::MAX }, hot_keys }
    }

    pub(super) fn hot_keys(&self) -> Option<&HotKeys> {
        self.hot_keys.as_deref()
    }

    /// Counts a fetch of this key.
    #[inline]
    pub(super) fn count(&mut self, key: HashedKey<'_>, now: Now) {
        self.until_sample -= 1;
        if self.until_sample == 0 {
            self.until_sample = self.sample(key.hash(), key.bytes(), now.uptime_s);
        }
    }

    #[cold]
    #[inline(never)]
    fn sample(&mut self, hash: u64, key: &[u8], now_s: u32) -> u64 {
        self.hot_keys.as_mut().map_or(u64::MAX, |hot_keys| hot_keys.sample(hash, key, now_s))
    }

    /// Begins to count those since the start anew.
    pub(super) fn reset(&mut self, now: Now) {
        if let Some(hot_keys) = &mut self.hot_keys {
            hot_keys.since_start.clear(0);
            hot_keys.start_s = now.uptime_s;
        }
    }
}

impl HotKeys {
    /// Nothing has been counted yet.
    const fn new() -> Self {
        Self {
            pace: Pace { stride: 1, samples_left: 0, second_s: 0, random: 0x9e37_79b9_7f4a_7c15 },
            since_start: Sketch::EMPTY,
            recent: [Sketch::EMPTY; 2],
            start_s: Now::FIRST_S,
        }
    }

    /// The keys that were fetched most in the last 10 to 20 seconds.
    #[must_use]
    pub fn recent(&self, now: Now) -> HotSpan<'_> {
        let window = window_of(now.uptime_s);
        // A sketch that began earlier has not been emptied, because nothing has been counted since.
        let before = window - 1;
        let sketch = &self.recent[index_of(before)];
        let began_s = (before.saturating_sub(2) * WINDOW_S).max(Now::FIRST_S);
        HotSpan {
            seconds: now.uptime_s.saturating_sub(began_s).max(1),
            sketch: (sketch.window == before).then_some(sketch),
        }
    }

    /// The keys that were fetched most since the start, or since the last `stats reset`.
    #[must_use]
    pub fn since_start(&self, now: Now) -> HotSpan<'_> {
        let seconds = now.uptime_s.saturating_sub(self.start_s).max(1);
        HotSpan { seconds, sketch: Some(&self.since_start) }
    }

    /// Counts one fetch in place of a stride of them. Returns the gap to the next sample.
    fn sample(&mut self, hash: u64, key: &[u8], now_s: u32) -> u64 {
        let weight = self.pace.stride;
        let window = window_of(now_s);
        for began in [window - 1, window] {
            let sketch = &mut self.recent[index_of(began)];
            if sketch.window != began {
                sketch.clear(began);
            }
            sketch.count(hash, key, weight);
        }
        self.since_start.count(hash, key, weight);
        self.pace.next_gap(now_s)
    }
}

/// The number of a second's window, from 2 on, so that there are windows before the first.
const fn window_of(second_s: u32) -> u32 {
    second_s / WINDOW_S + 2
}

/// The index of the sketch that begins with this window.
const fn index_of(window: u32) -> usize {
    (window % 2) as usize
}

impl Pace {
    /// Counts a sample. Returns the fetches until the next one.
    fn next_gap(&mut self, now_s: u32) -> u64 {
        if now_s != self.second_s {
            let halvings = now_s.saturating_sub(self.second_s).clamp(1, u32::BITS - 1);
            self.stride = (self.stride >> halvings).max(1);
            (self.second_s, self.samples_left) = (now_s, SAMPLES_PER_STRIDE);
        } else if self.samples_left == 0 {
            self.stride = (self.stride * 2).min(STRIDE_MAX);
            self.samples_left = SAMPLES_PER_STRIDE;
        }
        self.samples_left = self.samples_left.saturating_sub(1);
        // From 1 to twice the stride less 1, each with the same probability.
        let gaps = u64::from(2 * self.stride - 1);
        1 + (((self.next_random() >> 32) * gaps) >> 32)
    }

    /// xorshift64 (Marsaglia, 2003).
    const fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

impl Sketch {
    const EMPTY: Self = Self {
        window: 0,
        requests: 0,
        stride_max: 1,
        sets: [Set { tags: [0; WAYS], at_most: [0; WAYS], errors: [0; WAYS] }; SETS],
        least: 0,
        leaders: [Leader { hash: 0, at_most: 0, at_least: 0 }; LEADERS],
        keys: [Key { length: 0, bytes: [0; KEY_BYTES_MAX] }; LEADERS],
    };

    /// Forgets everything. Not by assigning `EMPTY`, of which the program would have to contain a copy.
    fn clear(&mut self, window: u32) {
        (self.window, self.requests, self.stride_max, self.least) = (window, 0, 1, 0);
        for Set { tags, at_most, errors } in &mut self.sets {
            tags.fill(0);
            at_most.fill(0);
            errors.fill(0);
        }
        self.leaders.fill(Leader { hash: 0, at_most: 0, at_least: 0 });
    }

    /// Counts a sample of this weight.
    fn count(&mut self, hash: u64, key: &[u8], weight: u32) {
        self.requests += u64::from(weight);
        self.stride_max = self.stride_max.max(weight);
        if key.len() <= KEY_BYTES_MAX {
            let set = (hash >> 32) as usize % SETS;
            let (at_most, error) = self.sets[set].add(hash, weight.into());
            if at_most > self.least {
                self.lead(hash, key, (at_most, at_most - error), weight);
            }
        }
    }

    /// Updates a leader, or makes the key one in place of the last.
    fn lead(&mut self, hash: u64, key: &[u8], (at_most, at_least): (u64, u64), weight: u32) {
        let is_key = |leader: &Leader| leader.at_most > 0 && leader.hash == hash;
        if let Some(leader) = self.leaders.iter_mut().find(|leader| is_key(leader)) {
            // The key may have lost its counter meanwhile. What was known before still holds.
            leader.at_least = at_least.max(leader.at_least + u64::from(weight));
            leader.at_most = at_most;
        } else {
            let counts = self.leaders.map(|leader| leader.at_most);
            let last = index_of_least(&counts);
            self.leaders[last] = Leader { hash, at_most, at_least };
            let slot = &mut self.keys[last];
            slot.bytes[..key.len()].copy_from_slice(key);
            slot.length = u8::try_from(key.len()).expect("no counted key is longer");
        }
        self.least = self.leaders.iter().map(|leader| leader.at_most).min().unwrap_or_default();
    }

    fn hot_key(&self, index: usize) -> HotKey<'_> {
        let Leader { at_most, at_least, .. } = self.leaders[index];
        let Key { length, ref bytes } = self.keys[index];
        // A fetch is counted with one in `stride` of probability, so each adds a variance of stride - 1.
        let variance = at_most.saturating_mul(u64::from(self.stride_max - 1));
        HotKey {
            key: &bytes[..usize::from(length)],
            requests: at_most.midpoint(at_least),
            error: (at_most - at_least).div_ceil(2) + DEVIATIONS * variance.isqrt(),
        }
    }
}

impl Set {
    /// Counts a key of this set. Returns the upper bound of its count, and by how much that may be too
    /// high.
    #[allow(clippy::cast_possible_truncation, reason = "a part of the hash is enough")]
    fn add(&mut self, hash: u64, weight: u64) -> (u64, u64) {
        let tag = hash as u32;
        let way = match self.tags.iter().position(|&other| other == tag) {
            Some(way) => way,
            None => {
                let way = index_of_least(&self.at_most);
                (self.tags[way], self.errors[way]) = (tag, self.at_most[way]);
                way
            }
        };
        self.at_most[way] += weight;
        (self.at_most[way], self.errors[way])
    }
}

fn index_of_least<const N: usize>(counts: &[u64; N]) -> usize {
    let mut least = 0;
    for index in 1..N {
        if counts[index] < counts[least] {
            least = index;
        }
    }
    least
}

impl<'h> HotSpan<'h> {
    /// An estimate of all fetches.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.sketch.map_or(0, |sketch| sketch.requests)
    }

    /// Up to 20 keys, those with most fetches first. A key whose estimate is not above its error is left
    /// out.
    pub fn keys(&self) -> impl Iterator<Item = HotKey<'h>> + use<'h> {
        let sketch = self.sketch;
        let mut order = std::array::from_fn::<_, LEADERS, _>(|index| {
            (sketch.map_or(0, |sketch| sketch.hot_key(index).requests), index)
        });
        order.sort_unstable_by_key(|&(requests, index)| (Reverse(requests), index));
        order.into_iter().filter_map(move |(_, index)| {
            sketch.map(|sketch| sketch.hot_key(index)).filter(|hot| hot.requests > hot.error)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Hot keys, and beside them the true counts.
    struct Counted {
        hot_keys: Box<HotKeys>,
        until_sample: u64,
        samples: u64,
        all: BTreeMap<Vec<u8>, u64>,
    }

    impl Counted {
        fn new() -> Self {
            let all = BTreeMap::new();
            Self { hot_keys: Box::new(HotKeys::new()), until_sample: 1, samples: 0, all }
        }

        fn fetch(&mut self, key: &[u8], now_s: u32) {
            self.until_sample -= 1;
            if self.until_sample == 0 {
                self.samples += 1;
                self.until_sample = self.hot_keys.sample(hash(key), key, now_s);
            }
            *self.all.entry(key.to_vec()).or_default() += 1;
        }

        /// Checks every key that is shown, and returns them.
        fn checked(&self, span: HotSpan<'_>) -> Vec<Vec<u8>> {
            let check = |hot: HotKey<'_>| {
                let actual = self.all[hot.key];
                assert!(
                    actual.abs_diff(hot.requests) <= hot.error,
                    "{actual} are shown as {hot:?}"
                );
                hot.key.to_vec()
            };
            span.keys().map(check).collect()
        }
    }

    /// FNV-1a, mixed.
    fn hash(key: &[u8]) -> u64 {
        let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, step);
        (hash ^ hash >> 32).wrapping_mul(0x9fb2_1c65_1e98_df25)
    }

    const fn at(uptime_s: u32) -> Now {
        Now { uptime_s, unix_s: 1_700_000_000 }
    }

    /// Ranks from 0 on, of which each is drawn in proportion to its place to the power of -0.99.
    fn zipf(ranks: u32) -> impl FnMut() -> usize {
        let mut sum = 0.0;
        let sums: Vec<f64> = (1..=ranks)
            .map(|rank| {
                sum += f64::from(rank).powf(-0.99);
                sum
            })
            .collect();
        let mut random = Pace { stride: 1, samples_left: 0, second_s: 0, random: 77 };
        move || {
            let share = (random.next_random() >> 11) as f64 / (1u64 << 53) as f64;
            sums.partition_point(|&below| below <= share * sum).min(sums.len() - 1)
        }
    }

    #[test]
    fn the_keys_that_are_fetched_most_are_found() {
        // So many fetches a second that one in some 16 is a sample.
        const PER_SECOND: u32 = 100_000;
        let (mut counted, mut next) = (Counted::new(), zipf(100_000));
        for second_s in 10..20 {
            for _ in 0..PER_SECOND {
                counted.fetch(format!("user:{}", next()).as_bytes(), second_s);
            }
        }
        assert!(counted.samples < 200_000, "{} samples", counted.samples);
        let hottest: Vec<_> = (0..10).map(|rank| format!("user:{rank}").into_bytes()).collect();
        let hot_keys = &counted.hot_keys;
        for span in [hot_keys.since_start(at(20)), hot_keys.recent(at(20))] {
            let found = counted.checked(span);
            assert!(hottest.iter().all(|key| found[..15].contains(key)), "{found:?}");
            assert_eq!(found[..3], hottest[..3]);
            let all = u64::from(PER_SECOND) * 10;
            assert!(span.requests().abs_diff(all) < all / 20, "{} of {all}", span.requests());
        }
    }

    #[test]
    fn a_few_fetches_are_counted_exactly() {
        let mut counted = Counted::new();
        for round in 0..60 {
            for key in 0..=round % 20 {
                counted.fetch(&[key], 2 + u32::from(round) / 6);
            }
        }
        let hot_keys = &counted.hot_keys;
        let span = hot_keys.since_start(at(12));
        let found: Vec<_> = span.keys().collect();
        assert_eq!(counted.checked(span), (0..20).map(|key| vec![key]).collect::<Vec<_>>());
        assert!(found.iter().all(|hot| hot.error == 0), "{found:?}");
        assert_eq!(span.requests(), counted.all.values().sum::<u64>());
    }

    /// With a fixed gap of 16 between samples, all samples would be of one key.
    #[test]
    fn keys_that_are_fetched_in_a_cycle_are_all_found() {
        let mut counted = Counted::new();
        for fetch in 0..2_000_000u32 {
            counted.fetch(format!("key {}", fetch % 16).as_bytes(), 2 + fetch / 500_000);
        }
        assert_eq!(counted.checked(counted.hot_keys.since_start(at(6))).len(), 16);
    }

    #[test]
    fn a_window_forgets() {
        let mut counted = Counted::new();
        let recent = |counted: &Counted, now_s| counted.checked(counted.hot_keys.recent(at(now_s)));
        counted.fetch(b"a", 2);
        assert_eq!(recent(&counted, 2), [b"a"]);
        counted.fetch(b"b", 12);
        assert_eq!(recent(&counted, 19), [b"a", b"b"]);
        // That of `a` was the window before the last.
        assert_eq!(recent(&counted, 20), [b"b"]);
        counted.fetch(b"c", 23);
        assert_eq!(recent(&counted, 23), [b"b", b"c"]);
        // Without a fetch nothing is emptied, and nothing old is shown.
        assert_eq!(recent(&counted, 39), [b"c"]);
        assert_eq!(recent(&counted, 40).len(), 0);
        counted.fetch(b"d", 1000);
        assert_eq!(recent(&counted, 1000), [b"d"]);
        // A clock that is turned back, as `debugtime` can.
        counted.fetch(b"e", 30);
        assert_eq!(recent(&counted, 30), [b"e"]);
        assert_eq!(counted.checked(counted.hot_keys.since_start(at(1000))).len(), 5);
        assert_eq!(counted.hot_keys.recent(at(29)).seconds, 19);
    }

    /// However many requests there are, the samples of a second are bounded.
    #[test]
    fn samples_follow_the_traffic() {
        let mut counted = Counted::new();
        for second_s in 2..6 {
            let before = counted.samples;
            for _ in 0..1_000_000 {
                counted.fetch(b"a", second_s);
            }
            let samples = counted.samples - before;
            let expected = if second_s == 2 { 4_096 * 7..4_096 * 8 } else { 4_096..12_289 };
            assert!(expected.contains(&samples), "{samples} samples");
        }
        // A second later some are left out still, and after a while none.
        for _ in 0..1_000 {
            counted.fetch(b"b", 60);
        }
        let before = counted.samples;
        for _ in 0..1_000 {
            counted.fetch(b"c", 61);
        }
        assert_eq!(counted.samples - before, 1_000);
    }

    #[test]
    fn keys_of_all_lengths_are_shown() {
        let mut counted = Counted::new();
        let longest = [b'k'; KEY_BYTES_MAX];
        for key in [&longest[..], &longest[1..], b"k", b"\r\n \0"] {
            counted.fetch(key, 2);
        }
        assert_eq!(counted.checked(counted.hot_keys.since_start(at(3))).len(), 4);
        counted.fetch(&[b'k'; KEY_BYTES_MAX + 1], 2);
        assert_eq!(counted.checked(counted.hot_keys.since_start(at(3))).len(), 4);
        assert_eq!(counted.hot_keys.since_start(at(3)).requests(), 5);
    }
}
