//! What the tests share: conversations as data, the peers that they run against, the process of a
//! real server with its clients, and a browser.

pub(crate) mod browser;
pub(crate) mod frames;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod scripts;
