//! Which item is asked when: drawn beforehand, so that choosing one costs a load from memory.
//!
//! All contestants of a cell walk the same ring from the same place.

use crate::rig::random::index_ring;

/// Zipf's exponent in all skewed cells, as in YCSB.
pub(crate) const ZIPF_EXPONENT: f64 = 0.99;
/// Long enough that a window ends before the ring repeats, short enough (16 MiB) to draw quickly.
const RING_LENGTH_LOG2: u32 = 22;

/// How often which key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Popularity {
    Zipf,
    Uniform,
}

/// Item numbers in the order in which they are asked for.
pub(crate) struct Ring(Vec<u32>);

impl Ring {
    /// A ring over `count` items.
    pub(crate) fn draw(count: u32, popularity: Popularity) -> Self {
        let exponent = match popularity {
            Popularity::Zipf => Some(ZIPF_EXPONENT),
            Popularity::Uniform => None,
        };
        Self(index_ring(1 << RING_LENGTH_LOG2, count, exponent, u64::from(count)))
    }

    /// The item at a place; places go on for ever.
    pub(crate) fn at(&self, place: usize) -> u32 {
        self.0[place & (self.0.len() - 1)]
    }
}
