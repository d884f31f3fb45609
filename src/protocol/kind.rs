//! Kinds of requests that more than one protocol has: of stores, arithmetic and figures.

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// Unconditionally.
    Set,
    /// Where there is no item.
    Add,
    /// Where there is an item.
    Replace,
    /// After the value of an item.
    Append,
    /// Before the value of an item.
    Prepend,
    /// Where the item has this cas id.
    Cas(u64),
}

impl StoreMode {
    /// The mode of an `ms` with this [`MetaRequest::mode`](super::MetaRequest::mode).
    #[must_use]
    pub const fn of_meta(letter: u8) -> Option<Self> {
        Some(match letter {
            0 | b'S' => Self::Set,
            b'E' => Self::Add,
            b'R' => Self::Replace,
            b'A' => Self::Append,
            b'P' => Self::Prepend,
            _ => return None,
        })
    }
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `incr`
    Up,
    /// `decr`
    Down,
}

/// Which figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsTopic {
    /// Of the server as a whole.
    Server,
    /// The options.
    Settings,
    /// Of memcached's item classes; here there is one.
    Items,
    /// Of memcached's slab classes; here there is one.
    Slabs,
    /// The number of items of each size.
    Sizes,
    /// Of every connection.
    Conns,
    /// Of the event loop.
    Loop,
    /// Of the store.
    Store,
    /// Of the keys that are fetched most.
    HotKeys,
    /// Set all counters to 0.
    Reset,
    /// Of each prefix of keys.
    Detail(Detail),
}

impl StatsTopic {
    /// The topic of this name, of those that are one word in both protocols.
    pub(super) const fn named(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"settings" => Self::Settings,
            b"items" => Self::Items,
            b"slabs" => Self::Slabs,
            b"sizes" => Self::Sizes,
            b"conns" => Self::Conns,
            b"loop" => Self::Loop,
            b"store" => Self::Store,
            b"hotkeys" => Self::HotKeys,
            b"reset" => Self::Reset,
            _ => return None,
        })
    }
}

/// What `stats detail` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Start counting.
    On,
    /// Stop counting.
    Off,
    /// Show the counts.
    Dump,
    /// Another word, or none.
    Unknown,
}
