//! The parts of the benchmarks that can be wrong unnoticed: statistics, random laws, the checker of
//! answers, models of caches, the reading of traces and of `/proc`.
//!
//! A bench without a harness runs no tests of its own, so they are here; `tests/main.rs` includes the
//! benches' modules.

mod answers;
mod counts;
mod designs;
mod parts;
mod replay;
mod replay_models;
mod statistics;
