//! Streams of requests, made from a seed: which key, how large, read or written, for how long.
//!
//! The same seed gives every cache the same stream. Knows no cache, and does not know what is
//! measured with it.

use crate::rig::random::{Random, Zipf, mix};

/// Median of the log-normal sizes: the median of Twitter's 53 published cache clusters (Yang, Yue,
/// Rashmi, OSDI 2020), as are the key's 36 bytes, the 13 % of writes and Zipf's exponent of 1.2.
const VALUE_BYTES_MEDIAN: f64 = 224.0;
/// Largest of them. One value in a thousand is as large, which decides how wide the law is.
pub(crate) const VALUE_BYTES_TAIL: u32 = 5120;
/// ln(5120 / 224) by 3.09, the deviation that one in a thousand of a normal law exceeds.
const SIGMA: f64 = 1.012;
/// Keys that a mean size is taken over.
const MEAN_SAMPLES: u32 = 10_000;
/// Keys read only once have numbers from here on, and scanned ones half as high: apart from all
/// others, whose numbers are below 2^32.
const WONDERS_FROM: u64 = 1 << 48;
const SCANNED_FROM: u64 = 1 << 40;

/// One step of a client. A read that misses is followed by a write of the same key, size and time
/// to live: that is cache-aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) key: u64,
    pub(crate) value_bytes: u32,
    /// Seconds from the write on; 0 is for ever.
    pub(crate) ttl_s: u32,
    pub(crate) write: bool,
}

impl Request {
    /// What a client writes when this read has missed.
    pub(crate) const fn as_fill(self) -> Self {
        Self { write: true, ..self }
    }
}

/// In which order keys are asked for. Percentages are of all requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pattern {
    /// Zipf's law over all keys.
    Zipf { exponent: f64 },
    /// The same, and between them keys that come once and never again.
    Wonders { exponent: f64, percent: u32 },
    /// The same, and beside them a scan over as many other keys, one after the other, again and
    /// again.
    Scans { exponent: f64, percent: u32 },
    /// All keys, one after the other, again and again.
    Loop,
}

/// How large values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// Log-normal over the keys; a key's value always has the same size.
    LogNormal,
    /// Uniform between these, drawn for every request: an overwrite changes the size.
    Varying { min: u32, max: u32 },
}

impl Sizes {
    /// The size of the next value under this key.
    pub(crate) fn draw(self, key: u64, random: &mut Random) -> u32 {
        match self {
            Self::LogNormal => {
                let mut random = Random::seeded(key);
                // Box and Muller: two uniform numbers make a normal one.
                let radius = (-2.0 * (1.0 - random.fraction()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * random.fraction()).cos();
                let bytes = VALUE_BYTES_MEDIAN * (SIGMA * normal).exp();
                whole(bytes.clamp(1.0, f64::from(VALUE_BYTES_TAIL)))
            }
            Self::Varying { min, max } => min + random.below(max - min + 1),
        }
    }

    /// The mean size, over keys.
    pub(crate) fn mean(self) -> f64 {
        let mut random = Random::seeded(0);
        let draws = (0..MEAN_SAMPLES).map(|key| f64::from(self.draw(u64::from(key), &mut random)));
        draws.sum::<f64>() / f64::from(MEAN_SAMPLES)
    }

    /// The largest size.
    pub(crate) const fn max(self) -> u32 {
        match self {
            Self::LogNormal => VALUE_BYTES_TAIL,
            Self::Varying { max, .. } => max,
        }
    }
}

/// How long values live, in seconds of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetimes {
    ForEver,
    All(u32),
    /// A third of the keys each.
    Thirds([u32; 3]),
}

impl Lifetimes {
    fn of(self, key: u64) -> u32 {
        match self {
            Self::ForEver => 0,
            Self::All(ttl_s) => ttl_s,
            // Mixed once more, so that what a key's size depends on is not what its life does.
            Self::Thirds(lives) => lives[(mix(!key) % 3) as usize],
        }
    }
}

/// What a made stream is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Recipe {
    /// Keys that come again.
    pub(crate) keys: u32,
    pub(crate) pattern: Pattern,
    pub(crate) sizes: Sizes,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) writes_percent: u32,
}

impl Recipe {
    /// The endless stream of this seed.
    pub(crate) fn stream(self, seed: u64) -> Stream {
        let law = match self.pattern {
            Pattern::Zipf { exponent }
            | Pattern::Wonders { exponent, .. }
            | Pattern::Scans { exponent, .. } => Some(Zipf::new(self.keys, exponent)),
            Pattern::Loop => None,
        };
        Stream { recipe: self, law, random: Random::seeded(seed), wonders: 0, steps: 0 }
    }

    /// A write of one key, as loading needs it.
    pub(crate) fn load(self, key: u64, random: &mut Random) -> Request {
        self.request(key, true, random)
    }

    fn request(self, key: u64, write: bool, random: &mut Random) -> Request {
        let value_bytes = self.sizes.draw(key, random);
        Request { key, value_bytes, ttl_s: self.lifetimes.of(key), write }
    }
}

/// The requests of a recipe.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    recipe: Recipe,
    law: Option<Zipf>,
    random: Random,
    /// Keys given that never come again, and steps of the loop or the scan.
    wonders: u64,
    steps: u64,
}

impl Stream {
    fn key(&mut self) -> u64 {
        let aside = match self.recipe.pattern {
            Pattern::Wonders { percent, .. } | Pattern::Scans { percent, .. } => {
                self.random.below(100) < percent
            }
            Pattern::Zipf { .. } | Pattern::Loop => false,
        };
        match (&self.law, self.recipe.pattern) {
            (Some(_), Pattern::Wonders { .. }) if aside => {
                self.wonders += 1;
                WONDERS_FROM + self.wonders
            }
            (Some(_), Pattern::Scans { .. }) if aside => SCANNED_FROM + self.step(),
            (Some(law), _) => u64::from(law.sample(&mut self.random) - 1),
            (None, _) => self.step(),
        }
    }

    /// The next key of a scan over as many keys as the recipe has.
    fn step(&mut self) -> u64 {
        self.steps += 1;
        self.steps % u64::from(self.recipe.keys)
    }
}

impl Iterator for Stream {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let key = self.key();
        let write = self.random.below(100) < self.recipe.writes_percent;
        Some(self.recipe.request(key, write, &mut self.random))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a size is at most a u32")]
fn whole(bytes: f64) -> u32 {
    bytes as u32
}
