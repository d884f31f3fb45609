//! Random numbers from a seed, and keys as skewed as real caches see them.
//!
//! Every contestant is asked the same things, so nothing here takes entropy from outside.

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and one mix per number.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The same seed gives the same numbers, on every machine.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `limit`; the bias of the multiplication is below `limit` in 2^32.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(((self.bits() >> 32) * u64::from(limit)) >> 32).unwrap_or(0)
    }

    /// The numbers below `count` in a random order (Fisher and Yates).
    pub(crate) fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let limit = u32::try_from(last + 1).unwrap_or(u32::MAX);
            order.swap(last, self.below(limit) as usize);
        }
        order
    }

    /// A number in 0..1, of 53 bits.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number of the exponential law with mean 1: the gap between events that are independent.
    pub(crate) fn exponential(&mut self) -> f64 {
        // 1 minus the fraction is in 0..=1 without the 0, whose logarithm is infinite.
        -(1.0 - self.fraction()).ln()
    }
}

/// A bijection on 64 bits that looks random: neighbours have nothing in common.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Zipf's law over `1..=count`: rank k comes with probability proportional to k^-exponent.
///
/// Sampled by rejection-inversion (Hörmann and Derflinger 1996), which is exact for every exponent
/// above 0. The method of YCSB and most load generators is an approximation and stops at 1.
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    count: f64,
    exponent: f64,
    /// The integral of the hat function at 1.5 less its first column, and at count + 0.5.
    area_first: f64,
    area_last: f64,
    /// Candidates this close below their rank need no further test.
    shortcut: f64,
}

impl Zipf {
    /// A law over `count` ranks.
    pub(crate) fn new(count: u32, exponent: f64) -> Self {
        assert!(count > 0 && exponent > 0.0, "Zipf needs a rank and a positive exponent");
        let mut law = Self {
            count: f64::from(count),
            exponent,
            area_first: 0.0,
            area_last: 0.0,
            shortcut: 0.0,
        };
        law.area_first = law.area(1.5) - 1.0;
        law.area_last = law.area(law.count + 0.5);
        law.shortcut = 2.0 - law.area_inverse(law.area(2.5) - law.weight(2.0));
        law
    }

    /// A rank, 1 the most frequent.
    pub(crate) fn sample(&self, random: &mut Random) -> u32 {
        loop {
            let area = self.area_last + random.fraction() * (self.area_first - self.area_last);
            let position = self.area_inverse(area);
            let rank = position.round().clamp(1.0, self.count);
            if rank - position <= self.shortcut || area >= self.area(rank + 0.5) - self.weight(rank)
            {
                return whole(rank);
            }
        }
    }

    fn weight(&self, position: f64) -> f64 {
        (-self.exponent * position.ln()).exp()
    }

    /// The integral of the weight, in a form that stays exact around exponent 1.
    fn area(&self, position: f64) -> f64 {
        let log = position.ln();
        let power = (1.0 - self.exponent) * log;
        let growth = if power.abs() > 1e-8 { power.exp_m1() / power } else { 1.0 + power / 2.0 };
        growth * log
    }

    fn area_inverse(&self, area: f64) -> f64 {
        // Rounding may carry the product just below -1, where the logarithm ends.
        let product = (area * (1.0 - self.exponent)).max(-1.0);
        let growth =
            if product.abs() > 1e-8 { product.ln_1p() / product } else { 1.0 - product / 2.0 };
        (growth * area).exp()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a rank is between 1 and a u32")]
fn whole(rank: f64) -> u32 {
    rank as u32
}

/// A ring of `length` key indices below `count`, by Zipf's law or, without an exponent, uniform.
///
/// Ranks are scattered over the indices by a multiplication modulo `count`, so that frequent keys
/// are not neighbours in a server that stores in the order of loading.
pub(crate) fn index_ring(length: usize, count: u32, exponent: Option<f64>, seed: u64) -> Vec<u32> {
    /// A prime above every count in use, hence without a common factor.
    const PRIME: u64 = 4_294_967_291;
    let mut random = Random::seeded(seed);
    let law = exponent.map(|exponent| Zipf::new(count, exponent));
    (0..length)
        .map(|_| match &law {
            Some(law) => {
                let rank = u64::from(law.sample(&mut random) - 1);
                u32::try_from(rank * PRIME % u64::from(count)).unwrap_or(0)
            }
            None => random.below(count),
        })
        .collect()
}
