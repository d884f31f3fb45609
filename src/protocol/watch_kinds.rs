//! The kinds of events that `watch` asks for: a set of them, in one byte.

/// A set of kinds. The default is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchKinds(u8);

impl WatchKinds {
    /// Lookups of any command.
    pub const FETCHERS: Self = Self(1 << 0);
    /// Stores.
    pub const MUTATIONS: Self = Self(1 << 1);
    /// Items that are evicted.
    pub const EVICTIONS: Self = Self(1 << 2);
    /// Connections that are opened and closed.
    pub const CONNEVENTS: Self = Self(1 << 3);
    /// Items that are deleted.
    pub const DELETIONS: Self = Self(1 << 4);

    /// The kind that a word of `watch` names. It is empty for a kind of which nothing is ever shown:
    /// memcached itself logs no raw commands, and the others come from parts that do not exist here.
    #[must_use]
    pub const fn of_word(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"fetchers" => Self::FETCHERS,
            b"mutations" => Self::MUTATIONS,
            b"evictions" => Self::EVICTIONS,
            b"connevents" => Self::CONNEVENTS,
            b"deletions" => Self::DELETIONS,
            b"rawcmds" | b"sysevents" | b"proxyreqs" | b"proxyevents" | b"proxyuser" => Self(0),
            _ => return None,
        })
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Do the sets have a kind in common?
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
