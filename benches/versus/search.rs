//! The search for the highest rate that a server answers in time.
//!
//! Owns the steps; a probe is somebody else's measurement. Pure.

use crate::rig::failure::Failure;

/// What p99.9 has to stay under.
pub(crate) const P999_NS_LIMIT: u64 = 1_000_000;
/// Windows that one search takes, usually: two strides, three halvings, and failures twice.
pub(crate) const WINDOWS_EXPECTED: u32 = 8;
/// The first stride away from the starting point; each further one goes twice as far.
const STRIDE: f64 = 1.1;
/// The search is over when the limit is known this closely.
const RESOLUTION: f64 = 1.0125;
/// The highest rate that passes, found by `probe`, which takes a rate and returns its p99.9.
///
/// Starts where the limit is expected, so that a search costs little once one has been made, and a
/// wrong expectation only makes it longer; below `least` nothing is looked for. A rate fails only
/// if it fails twice: one hiccup of the machine is longer than the limit, and would otherwise send
/// the whole search the wrong way.
pub(crate) fn highest_rate(
    expected: f64,
    least: f64,
    mut probe: impl FnMut(u64) -> Result<u64, Failure>,
) -> Result<Option<u64>, Failure> {
    let mut passes = |rate: f64| -> Result<bool, Failure> {
        let per_second = whole(rate);
        Ok(probe(per_second)? < P999_NS_LIMIT || probe(per_second)? < P999_NS_LIMIT)
    };
    let (mut low, mut high) = (expected, expected);
    let mut stride = STRIDE;
    let upwards = passes(expected)?;
    loop {
        if upwards {
            high = low * stride;
            if !passes(high)? {
                break;
            }
            low = high;
        } else {
            low = (high / stride).max(least);
            if passes(low)? {
                break;
            }
            if low <= least {
                return Ok(None);
            }
            high = low;
        }
        stride *= stride;
    }
    while high / low > RESOLUTION {
        let middle = (low * high).sqrt();
        if passes(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(whole(low)))
}

/// A rate as a whole number, at least 1.
#[expect(clippy::cast_possible_truncation, reason = "rates are far below 2^53")]
#[expect(clippy::cast_sign_loss, reason = "rates are positive")]
pub(crate) fn whole(rate: f64) -> u64 {
    rate.max(1.0) as u64
}
