//! What the tests share: conversations as data, the peers that can have them, and a real server's
//! process with its clients.

pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod scripts;
