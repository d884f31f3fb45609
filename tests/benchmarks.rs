//! Tests of those parts of the benchmarks whose errors would go unnoticed: statistics, random
//! distributions, the checker of answers, models of caches, the parsers of traces and of `/proc`.
//!
//! A bench without a harness cannot run tests, so they are here. `tests/main.rs` includes the modules of
//! the benches.

mod answers;
mod counts;
mod designs;
mod parts;
mod replay;
mod replay_models;
mod statistics;
