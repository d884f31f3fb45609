//! What one group of connections asks for, and the next request of it.
//!
//! Owns the mix: which key, get or set, how many keys. Knows no socket and no clock.

use std::rc::Rc;

use super::answers::{Asked, Tally};
use super::keyspace::{Dialect, Keyspace, Wire};
use super::ring::{Popularity, Ring};
use crate::rig::random::Random;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The next batch as soon as the last one has been answered.
    Closed,
    /// So many a second, evenly spaced over all connections, whatever becomes of them.
    Fixed { per_second: u64 },
}

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) connections: usize,
    /// Requests sent together on one connection.
    pub(crate) depth: usize,
    pub(crate) keys_per_get: u32,
    /// Of a hundred requests, how many are sets.
    pub(crate) sets_percent: u32,
    pub(crate) keyspace: Keyspace,
    pub(crate) dialect: Dialect,
    pub(crate) popularity: Popularity,
    pub(crate) pace: Pace,
}

/// A load in progress against one server.
pub(crate) struct Flow {
    pub(crate) traffic: Traffic,
    pub(crate) wire: Wire,
    pub(crate) ring: Rc<Ring>,
    pub(crate) tally: Tally,
    place: usize,
    random: Random,
}

impl Flow {
    /// Rings are shared: drawing one takes longer than a window.
    pub(crate) fn new(traffic: Traffic, ring: Rc<Ring>) -> Self {
        let wire = Wire::new(traffic.keyspace, traffic.dialect);
        assert!(!wire.streams() || traffic.depth == 1, "large values go one at a time");
        Self { traffic, wire, ring, tally: Tally::default(), place: 0, random: Random::seeded(0) }
    }

    /// Goes to where the numbered round begins, which is the same for all contestants.
    pub(crate) fn begin(&mut self, round: usize) {
        /// Apart by more than any window consumes, and odd, so that rounds differ.
        const PLACES_PER_ROUND: usize = 1_234_567;
        self.place = round * PLACES_PER_ROUND;
        self.random = Random::seeded(round as u64);
        self.tally = Tally::default();
    }

    /// Appends the next request and says what it was.
    pub(crate) fn render_next(&mut self, output: &mut Vec<u8>) -> Asked {
        let place = self.place;
        if self.random.below(100) < self.traffic.sets_percent {
            self.place += 1;
            self.wire.render_set_head(self.ring.at(place), output);
            if !self.wire.streams() {
                output.extend_from_slice(self.wire.streamed());
            }
            return Asked::Set;
        }
        let keys = self.traffic.keys_per_get;
        self.place += keys as usize;
        self.wire.render_get((place..self.place).map(|place| self.ring.at(place)), output);
        Asked::Get { place, keys }
    }
}
