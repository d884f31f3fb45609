//! Streams of items that expire: each is stored once, and read once before its end.
//!
//! What expires has to give its memory back before anything live is evicted. So it is live items that
//! fit in memory here, and every miss but few is memory held by dead ones. Three kinds of items, in
//! their order: *residents* are loaded first, never expire and are never read; the *first wave* is
//! stored and expires, without being read later; *sessions* follow. Knows no cache.

use std::iter::once;

use super::requests::{Request, Sizes};
use crate::rig::random::Random;

/// Keys of each kind are numbered from here on.
const FIRST_WAVE_FROM: u64 = 1 << 40;
const SESSIONS_FROM: u64 = 1 << 41;

/// What such a stream is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sessions {
    pub(crate) residents: u32,
    pub(crate) first_wave: Wave,
    pub(crate) first_wave_ttl_s: u32,
    /// As many sessions, or an endless stream of them.
    pub(crate) sessions: Wave,
    pub(crate) lives: [Life; 2],
    pub(crate) sizes: Sizes,
}

/// Items stored one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wave {
    pub(crate) items: u32,
    /// So many of a hundred are read right after they were stored.
    pub(crate) read_at_once_percent: u32,
}

/// How long a share of the sessions lives, and when each of them is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// Of a hundred sessions.
    pub(crate) percent: u32,
    pub(crate) ttl_s: u32,
    /// Sessions that are stored between its own storing and its reading.
    pub(crate) read_after: u32,
}

impl Wave {
    pub(crate) const NONE: Self = Self { items: 0, read_at_once_percent: 0 };

    const fn is_read_at_once(self, at: u32) -> bool {
        at % 100 < self.read_at_once_percent
    }

    /// Requests of this wave, later reads not counted.
    pub(crate) fn requests(self) -> u64 {
        let rest = (self.items % 100).min(self.read_at_once_percent);
        u64::from(self.items + self.items / 100 * self.read_at_once_percent + rest)
    }
}

impl Sessions {
    /// A write of a resident, as loading needs it.
    pub(crate) fn load(self, key: u64, random: &mut Random) -> Request {
        Request { key, value_bytes: self.sizes.draw(key, random), ttl_s: 0, write: true }
    }

    /// All requests after the loading.
    pub(crate) fn stream(self, seed: u64) -> impl Iterator<Item = Request> {
        let mut random = Random::seeded(seed);
        let mut request = move |key: u64, ttl_s: u32, write: bool| {
            let value_bytes = self.sizes.draw(key, &mut random);
            Request { key, value_bytes, ttl_s, write }
        };
        let mut sessions_request = request.clone();
        let first_wave = (0..self.first_wave.items).flat_map(move |at| {
            let key = FIRST_WAVE_FROM + u64::from(at);
            let store = request(key, self.first_wave_ttl_s, true);
            let read = self.first_wave.is_read_at_once(at);
            once(store).chain(read.then_some(Request { write: false, ..store }))
        });
        let sessions = (0..self.steps()).flat_map(move |at| {
            let stores = at < self.sessions.items;
            let reads_at_once = stores && self.sessions.is_read_at_once(at);
            let store = stores.then_some((at, true));
            let read = reads_at_once.then_some((at, false));
            let later = [0, 1].map(|kind| {
                let of = at.checked_sub(self.lives[kind].read_after);
                let of = of.filter(|of| *of < self.sessions.items && self.kind(*of) == kind);
                of.map(|of| (of, false))
            });
            let steps = store.into_iter().chain(read).chain(later.into_iter().flatten());
            let requests: Vec<Request> = steps
                .map(|(of, write)| {
                    let key = SESSIONS_FROM + u64::from(of);
                    sessions_request(key, self.lives[self.kind(of)].ttl_s, write)
                })
                .collect();
            requests
        });
        first_wave.chain(sessions)
    }

    /// Sessions and the reads after the last of them.
    fn steps(self) -> u32 {
        let [one, other] = self.lives.map(|life| life.read_after);
        self.sessions.items.saturating_add(one.max(other))
    }

    /// Which of the lives a session has.
    fn kind(self, at: u32) -> usize {
        // Without a factor in common with 100, so the kinds alternate in their shares.
        const STEP: u32 = 37;
        usize::from(at % 100 * STEP % 100 >= self.lives[0].percent)
    }
}
