//! How large values are, and how long items live: laws that give each key its own share.
//!
//! Everything follows from a key's scattered number, so that generator, checker and floor agree
//! without a table of keys. Pure.

/// Bytes of the digits that every value starts with; no value is smaller.
pub(crate) const DIGIT_BYTES: usize = 16;
/// Decimal digits of a counter, however often it is incremented.
pub(crate) const COUNTER_BYTES: usize = 19;
/// Classes of equal frequency into which a law is cut; a power of two.
pub(crate) const CLASSES: usize = 4096;
/// Twitter's clusters: half of all values are at most this large,
const MEDIAN_BYTES: f64 = 224.0;
/// nine tenths at most this (4.7 KiB),
const P90_BYTES: f64 = 4813.0;
/// and the largest is this, so that one value in flight does not decide over a window.
const LARGEST_BYTES: usize = 64 << 10;

/// What the values of a keyspace are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// All of so many bytes.
    Fixed(usize),
    /// Each key has a size of its own, log-logistic with the median and the 90th percentile of
    /// Twitter's clusters.
    Twitter,
    /// Decimal numbers, for `incr`.
    Counters,
}

impl Values {
    /// The size of each class; keys fall into all of them equally often.
    pub(crate) fn sizes(self) -> Vec<usize> {
        match self {
            Self::Fixed(size) => vec![size],
            Self::Counters => vec![COUNTER_BYTES],
            Self::Twitter => (0..CLASSES).map(twitter_bytes).collect(),
        }
    }

    /// Bytes of the average value.
    pub(crate) fn mean_bytes(self) -> usize {
        let sizes = self.sizes();
        sizes.iter().sum::<usize>() / sizes.len()
    }

    /// As the report says it.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Fixed(size) => format!("values of {size} bytes"),
            Self::Twitter => {
                let mean = self.mean_bytes();
                format!(
                    "value sizes as in Twitter's clusters (median {MEDIAN_BYTES}, p90 {P90_BYTES}, \
                     mean {mean}, at most {LARGEST_BYTES} bytes)"
                )
            }
            Self::Counters => format!("decimal values of {COUNTER_BYTES} digits"),
        }
    }
}

/// The value size in the middle of a class.
///
/// A log-logistic law has the same body as a log-normal one, a slightly heavier tail, and a quantile
/// function in closed form: `median * odds ^ shape`.
#[expect(clippy::cast_possible_truncation, reason = "clamped to a small range")]
#[expect(clippy::cast_sign_loss, reason = "a size is positive")]
fn twitter_bytes(class: usize) -> usize {
    /// Odds of nine to one at the 90th percentile.
    const P90_ODDS: f64 = 9.0;
    let shape = (P90_BYTES / MEDIAN_BYTES).ln() / P90_ODDS.ln();
    let probability = (class as f64 + 0.5) / CLASSES as f64;
    let bytes = MEDIAN_BYTES * (probability / (1.0 - probability)).powf(shape);
    (bytes.round() as usize).clamp(DIGIT_BYTES, LARGEST_BYTES)
}

/// When the items of a keyspace expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetimes {
    /// Never.
    Unlimited,
    /// Half of the keys never, a quarter after 2 seconds, a quarter after 120. Nothing in between:
    /// servers are loaded one after another, so items would expire within the windows of those
    /// loaded first, and after the windows of those loaded last. A window that is to see items
    /// expire warms up for longer than 2 seconds (`Schedule::Expiring`).
    Mixed,
}

impl Lifetimes {
    /// The exptime of a key's items in seconds, 0 for never.
    pub(crate) fn exptime_s(self, scattered: u64) -> u32 {
        match (self, scattered >> 62) {
            (Self::Mixed, 2) => 2,
            (Self::Mixed, 3) => 120,
            (Self::Mixed | Self::Unlimited, _) => 0,
        }
    }
}
