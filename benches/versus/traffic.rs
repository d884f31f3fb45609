//! What one group of connections asks for, and the next request of it.
//!
//! Owns the mix: which key, which command, how many keys. Knows no socket and no clock.

use std::rc::Rc;

use super::answers::{Asked, Tally};
use super::keyspace::{Dialect, Keyspace, Wire};
use super::ring::{Popularity, Ring};
use super::sizes::Values;
use crate::rig::random::Random;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The next batch as soon as the last one has been answered.
    Closed,
    /// So many a second on average, due at random moments, whatever becomes of them.
    Fixed { per_second: u64 },
}

/// Which commands are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Gets, and sets as often as `sets_percent` says.
    GetsAndSets,
    /// Gets of one key; each miss is followed by a set of it on the same connection.
    CacheAside,
    /// A delete, then a set of the same key, so that the next delete finds it.
    DeletesAndSets,
    Touches,
    Increments,
}

/// How long a connection lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// As long as the cell.
    Lasting,
    /// For one request; then `quit`, and the server closes it.
    PerRequest,
}

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) connections: usize,
    /// Requests sent together on one connection.
    pub(crate) depth: usize,
    pub(crate) work: Work,
    pub(crate) keys_per_get: u32,
    /// Of a hundred requests, how many are sets.
    pub(crate) sets_percent: u32,
    pub(crate) session: Session,
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
    /// The item that was deleted last and is to be set again.
    deleted: Option<u32>,
    random: Random,
}

impl Flow {
    /// Rings are shared: drawing one takes longer than a window.
    pub(crate) fn new(traffic: Traffic, ring: Rc<Ring>) -> Self {
        let wire = Wire::new(traffic.keyspace, traffic.dialect);
        let mixed = traffic.work == Work::GetsAndSets;
        assert!(!wire.streams() || (traffic.depth == 1 && mixed), "large values go one at a time");
        let one_key = traffic.keys_per_get == 1;
        assert!(
            one_key || (wire.has_one_size() && !wire.hit_ends_get()),
            "hits of several keys are recognised by their keys, and stepped over by their size"
        );
        assert!(traffic.work != Work::CacheAside || one_key, "a miss must be of a known key");
        assert!(
            traffic.work != Work::DeletesAndSets || traffic.depth.is_multiple_of(2),
            "a delete and its set are sent together"
        );
        let counters = traffic.keyspace.values == Values::Counters;
        assert_eq!(counters, traffic.work == Work::Increments, "counters are for incr");
        Self {
            traffic,
            wire,
            ring,
            tally: Tally::default(),
            place: 0,
            deleted: None,
            random: Random::seeded(0),
        }
    }

    /// Goes to where the numbered round begins, which is the same for all contestants.
    pub(crate) fn begin(&mut self, round: usize) {
        /// Apart by more than any window consumes, and odd, so that rounds differ.
        const PLACES_PER_ROUND: usize = 1_234_567;
        self.place = round * PLACES_PER_ROUND;
        self.deleted = None;
        self.random = Random::seeded(round as u64);
        self.tally = Tally::default();
    }

    /// Appends the next request and says what it was.
    pub(crate) fn render_next(&mut self, output: &mut Vec<u8>) -> Asked {
        match self.traffic.work {
            Work::GetsAndSets if self.random.below(100) < self.traffic.sets_percent => {
                let index = self.next_index();
                self.wire.render_set(index, output);
                Asked::Set
            }
            Work::GetsAndSets | Work::CacheAside => {
                let (place, keys) = (self.place, self.traffic.keys_per_get);
                self.place += keys as usize;
                self.wire.render_get((place..self.place).map(|place| self.ring.at(place)), output);
                Asked::Get { place, keys }
            }
            Work::DeletesAndSets => {
                if let Some(index) = self.deleted.take() {
                    self.wire.render_set(index, output);
                    return Asked::Set;
                }
                let index = self.next_index();
                self.deleted = Some(index);
                self.wire.render_delete(index, output);
                Asked::Delete
            }
            Work::Touches => {
                let index = self.next_index();
                self.wire.render_touch(index, output);
                Asked::Touch
            }
            Work::Increments => {
                let index = self.next_index();
                self.wire.render_incr(index, output);
                Asked::Increment { index }
            }
        }
    }

    fn next_index(&mut self) -> u32 {
        self.place += 1;
        self.ring.at(self.place - 1)
    }
}
