//! All tests but those that need a process of their own (see `Cargo.toml`), one module for each thing
//! that is tested. `cargo test NAME` runs those whose path contains the name: a module's, say.
//!
//! * `conversations`: scripts of requests and answers, cut in every way, here and on real memcached
//! * `binary`: the binary protocol, as far as a script cannot describe it
//! * `differential`: random requests, answered by this server and by memcached
//! * `simple_model`: random streams of the simple dialect against a model of it
//! * `plain_lines`: lines that are parsed in one pass mean what they mean otherwise
//! * `backpressure`: requests that wait for room in the output or for another turn
//! * `store`, `log_edges`, `reclaim`: the store against a model, at its edges, and winning memory back
//! * `flush_prefix`: what the flush of a prefix costs, and how its memory is reclaimed
//! * `memory_limit`: a lower limit of the store's memory, and a higher one again
//! * `snapshot`: the items over a restart, and files that are damaged
//! * `stats`: names and figures beside memcached's
//! * `worst_case_latency`: the longest single operation
//! * `server`: the process, its command line, sockets and files
//! * `faults`, `load`: what the server must survive, and what it may cost
//! * `clients`: clients and tools that were written for memcached
//! * `benchmarks`: parts of the benches
//! * `packaging`: what `.packaging` has: man page, completions, systemd units, recipes
//! * `readme`, `tidy`: the README's promises, and the source's layout
//! * `exercises`: the patches of the exercises fit the source
//!
//! `harness` is what they share.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backpressure;
mod benchmarks;
mod binary;
mod clients;
mod conversations;
mod differential;
mod exercises;
mod faults;
mod flush_prefix;
mod harness;
mod load;
mod log_edges;
mod memory_limit;
mod packaging;
mod plain_lines;
mod readme;
mod reclaim;
mod server;
mod simple_model;
mod snapshot;
mod stats;
mod store;
mod tidy;
mod worst_case_latency;

#[path = "../benches/rig/mod.rs"]
#[allow(dead_code, reason = "the tests use parts of it")]
mod rig;

#[path = "../benches/counts"]
mod counts {
    pub(crate) mod table;
}

#[path = "../benches/footprint"]
#[allow(dead_code, reason = "the tests use parts of it")]
mod footprint {
    pub(crate) mod cases;
}

#[path = "../benches/replay"]
#[allow(dead_code, reason = "the tests use parts of it")]
mod replay {
    pub(crate) mod caches;
    pub(crate) mod drive;
    pub(crate) mod memcached;
    pub(crate) mod model;
    pub(crate) mod queues;
    pub(crate) mod real;
    pub(crate) mod report;
    pub(crate) mod requests;
    pub(crate) mod sessions;
    pub(crate) mod trace;
    pub(crate) mod workloads;
}

#[path = "../benches/versus"]
#[allow(dead_code, reason = "the tests use parts of it")]
mod versus {
    pub(crate) mod answers;
    pub(crate) mod arrivals;
    pub(crate) mod dropping;
    pub(crate) mod keyspace;
    pub(crate) mod ring;
    pub(crate) mod sizes;
    pub(crate) mod tails;
}
