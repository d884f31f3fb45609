//! Cas ids: a counter. Ids that clients choose with `E` do not move it.

/// The first cas id, as in memcached 1.6.45.
const FIRST: u64 = 2;
/// More ids than any process counts: 4 million stores a second for 36,000 years.
const COUNTED_MAX: u64 = 1 << 62;

/// See the module.
#[derive(Debug)]
pub(super) struct CasIds {
    /// Items have cas ids. Otherwise all of them are 0.
    enabled: bool,
    /// The last id; the next one is above it.
    last: u64,
}

impl CasIds {
    pub(super) const fn new(enabled: bool) -> Self {
        Self { enabled, last: FIRST - 1 }
    }

    /// The last id.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Goes on after the last id of an earlier process. One that no process can have reached by counting
    /// is ignored.
    pub(super) fn go_on_after(&mut self, last: u64) {
        if last <= COUNTED_MAX {
            self.last = self.last.max(last);
        }
    }

    /// The next cas id, or 0 where there are none.
    pub(super) const fn next(&mut self) -> u64 {
        if !self.enabled {
            return 0;
        }
        self.last += 1;
        self.last
    }

    /// The cas id that a client chose with `E`, unless cas ids are disabled.
    pub(super) fn given(&self, cas: Option<u64>) -> Option<u64> {
        cas.filter(|_| self.enabled)
    }

    /// The cas id that a client chose, or the next one.
    pub(super) fn given_or_next(&mut self, cas: Option<u64>) -> u64 {
        self.given(cas).unwrap_or_else(|| self.next())
    }

    /// Takes back the last one, which was not used.
    pub(super) const fn give_back(&mut self) {
        if self.enabled {
            self.last -= 1;
        }
    }
}
