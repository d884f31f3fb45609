//! Snapshots: the items of a server that stops, in a file, for the one that starts next (`--snapshot`).
//!
//! ```text
//!  0                          1 MiB                      2 MiB
//! +--------+----------------+-+--------+------------------+--------+---------+
//! | header | records        | | header | ..ord | records  | header | records |
//! +--------+----------------+-+--------+------------------+--------+---------+
//!   checksum of its block      where the first whole record begins   the last block, as long as it is
//! ```
//! * `block`: the header, its checks, the checksum
//! * `write`, `read`: the blocks of an engine into a file, and out of one
//! * `file`: names, locks, renames; the only part that knows a path
//! * `progress`: how often a long run is logged
//!
//! All blocks but the last one have the same size, and each has all that is needed to read it. So a
//! damaged block costs its own records, and those that reach into it. A length in the file is used only
//! after the checksum is right, and then only within its block.
//!
//! **A snapshot is used once.** It is removed before the server that has read it serves the first
//! request. Otherwise a later start, after a crash, would read it a second time, and serve items that
//! have been changed or deleted since. After a crash the cache is empty; that is slow and never wrong.
//! For the same reason a snapshot of another version is removed, and two servers cannot have the same
//! file.

mod block;
mod file;
mod progress;
mod read;
mod write;

pub use block::{BLOCK_BYTES, seal};
pub use file::{SnapshotError, SnapshotFile};
pub use read::{Loaded, read};
pub use write::{Written, write};
