//! Where cas ids come from: a counter, which is not counted on from what clients choose.

/// The first cas id that is given out, as by memcached 1.6.45.
const FIRST: u64 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct CasIds {
    /// Items have cas ids. Otherwise all of them are 0.
    enabled: bool,
    /// The id given last; the next one is above it. Never given out as 0.
    last: u64,
}

impl CasIds {
    pub(super) const fn new(enabled: bool) -> Self {
        Self { enabled, last: FIRST - 1 }
    }

    /// The next cas id, or 0 where there are none.
    pub(super) const fn next(&mut self) -> u64 {
        if !self.enabled {
            return 0;
        }
        self.last += 1;
        self.last
    }

    /// The cas id that a client chose with `E`, where there are any.
    pub(super) fn given(&self, cas: Option<u64>) -> Option<u64> {
        cas.filter(|_| self.enabled)
    }

    /// That, or the next one.
    pub(super) fn given_or_next(&mut self, cas: Option<u64>) -> u64 {
        self.given(cas).unwrap_or_else(|| self.next())
    }

    /// Takes the last one back, which was not used.
    pub(super) const fn give_back(&mut self) {
        if self.enabled {
            self.last -= 1;
        }
    }
}
