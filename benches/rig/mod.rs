//! What every benchmark against a running server needs, and nothing that one of them measures.
//!
//! Owns processes and facts about them: finding memcached, starting servers on loopback and pinning
//! them, filling them, the kernel's accounting of them, the machine they ran on, and the statistics
//! that all tables share. Knows no cell, no load and no report.
//!
//! Used by path (`#[path = "rig/mod.rs"] mod rig;`); no bench uses all of it.

pub(crate) mod accounting;
pub(crate) mod binary;
pub(crate) mod bootstrap;
pub(crate) mod client;
pub(crate) mod cpus;
pub(crate) mod failure;
pub(crate) mod items;
pub(crate) mod machine;
pub(crate) mod pipeline;
pub(crate) mod priority;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod random;
pub(crate) mod server;
pub(crate) mod statistics;
pub(crate) mod stop;
