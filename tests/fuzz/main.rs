//! Fuzzing: for all inputs, cuts and waits of clients, nothing panics and every invariant holds.
//!
//! * `session`: whole conversations of several clients, with a moving clock and a full store
//! * `parser`: the parser alone
//! * `cuts`: the answers do not depend on how the input is cut
//! * `frames`: the same three over the binary protocol
//! * `http`: the heads of HTTP requests
//! * `grammar`: generates requests for the first three
//!
//! `cargo test` runs the corpora under `tests/fuzz/__fuzz__` and a second of random inputs for each
//! target. libFuzzer runs the same functions for any time, guided by coverage, on the same stable
//! toolchain:
//!
//! ```sh
//! .ci/fuzz session -max_total_time=3600
//! ```
//! A bug that it finds becomes a script in `tests/scripts`, or a unit test. A random input that fails is
//! reported as a number: `BOLERO_RANDOM_SEED=number cargo test --test fuzz` repeats it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cuts;
mod frames;
mod grammar;
mod http;
mod parser;
mod session;

/// Limit of steps in a row in which a request is neither executed nor answered. Room for a large value
/// takes up to one step for each large value in the store, and is reserved for a thousand steps for a
/// client that has disconnected.
pub(crate) const STALLS_MAX: u32 = 5000;
