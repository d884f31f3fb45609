//! What the tests share: conversations as data, the peers that they run against, and the process of a
//! real server with its clients.

pub(crate) mod frames;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod scripts;
