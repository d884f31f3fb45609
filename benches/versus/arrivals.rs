//! When the requests of an open loop are due: at random, independent of each other.
//!
//! A Poisson process: gaps are exponential. Evenly spaced requests never meet each other, so a server
//! would look better in its tail than it is with clients that know nothing of one another. Pure.

use crate::rig::random::Random;

/// The due moments of one window, in nanoseconds from its start.
pub(crate) struct Arrivals {
    random: Random,
    mean_gap_ns: f64,
    due_ns: f64,
}

impl Arrivals {
    /// The same sequence for the same round and rate, whichever server is asked.
    pub(crate) fn begin(round: usize, per_second: u64) -> Self {
        /// Apart from the seeds of the request mix, which are the rounds themselves.
        const SEED: u64 = 0x6172_7269_7661_6c73;
        let mut arrivals = Self {
            random: Random::seeded(SEED ^ round as u64),
            mean_gap_ns: 1e9 / per_second as f64,
            due_ns: 0.0,
        };
        arrivals.advance();
        arrivals
    }

    /// When the next request is due.
    #[expect(clippy::cast_possible_truncation, reason = "nanoseconds of a window, far below 2^53")]
    #[expect(clippy::cast_sign_loss, reason = "time goes forward from 0")]
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns as u64
    }

    /// Goes on to the request after it.
    pub(crate) fn advance(&mut self) {
        self.due_ns += self.mean_gap_ns * self.random.exponential();
    }
}
