//! The cases: how many items of which size, in how much memory.
//!
//! Knows no server, and no way of measuring.

use crate::rig::items::in_lap;

/// What a record of the design takes beside key and value, which are rounded up to 8 bytes with it.
/// A memory that is too small for these records is too small for every server's.
const RECORD_OVERHEAD_BYTES: u64 = 24;
/// More than memcached needs beside key and value, when a quarter of these is added for its slab
/// classes, which are a quarter apart: what fits with this fits.
const FITTING_OVERHEAD_BYTES: u64 = 90;

/// Key and value of all items of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: usize,
}

pub(crate) const SHAPES: [Shape; 2] =
    [Shape { key_bytes: 24, value_bytes: 32 }, Shape { key_bytes: 36, value_bytes: 224 }];

impl Shape {
    /// Bytes that the client brings for one item.
    pub(crate) const fn bytes(self) -> u64 {
        (self.key_bytes + self.value_bytes) as u64
    }
}

/// What is done before measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Every item is stored once, in memory that is large enough.
    Filled,
    /// Every item is stored once and then three times more, each time in another order, in memory
    /// that is too small for them.
    Replaced,
}

impl Treatment {
    /// As the table says it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Filled => "filled, fits",
            Self::Replaced => "full, replaced x3",
        }
    }

    const fn laps(self) -> u32 {
        match self {
            Self::Filled => 1,
            Self::Replaced => 4,
        }
    }
}

/// One row for every server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) treatment: Treatment,
    pub(crate) items: u32,
}

impl Case {
    /// The `-m` of this case. A full store gets nine tenths of what the smallest records would take.
    pub(crate) const fn memory_mib(self) -> u64 {
        let items = self.items as u64;
        match self.treatment {
            Treatment::Filled => {
                (items * (self.shape.bytes() * 5 / 4 + FITTING_OVERHEAD_BYTES)) >> 20
            }
            Treatment::Replaced => {
                let record = (self.shape.bytes() + RECORD_OVERHEAD_BYTES).next_multiple_of(8);
                (items * record * 9 / 10) >> 20
            }
        }
    }

    /// Stores in all.
    pub(crate) const fn stores(self) -> u32 {
        self.items * self.treatment.laps()
    }

    /// Which item the `at`-th store is for.
    pub(crate) fn stored(self, at: u32) -> u64 {
        in_lap(at / self.items, at % self.items, self.items)
    }
}

/// All cases with these numbers of items.
pub(crate) fn all(counts: &[u32]) -> Vec<Case> {
    let mut cases = Vec::new();
    for treatment in [Treatment::Filled, Treatment::Replaced] {
        for shape in SHAPES {
            cases.extend(counts.iter().map(|&items| Case { shape, treatment, items }));
        }
    }
    cases
}
