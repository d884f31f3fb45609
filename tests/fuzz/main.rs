//! Fuzzing: whatever a client sends, cuts and waits for, nothing panics and every invariant holds.
//!
//! * `session`: whole conversations of several clients, with a clock that moves and a store that is full
//! * `parser`: the parser alone
//! * `cuts`: the same bytes in one piece and byte by byte are answered the same
//! * `grammar`: what all three make requests of
//!
//! `cargo test` runs the corpora under `tests/fuzz/__fuzz__` and a second of random inputs for each
//! target. For as long as is wanted, and guided by which code an input reaches, libFuzzer runs the same
//! functions, on the same stable toolchain:
//!
//! ```sh
//! .ci/fuzz session -max_total_time=3600
//! ```
//! What it finds becomes a script below `tests/scripts`, or a test beside what was wrong. A random
//! input that fails is reported as a number: `BOLERO_RANDOM_SEED=number cargo test --test fuzz` repeats it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cuts;
mod grammar;
mod parser;
mod session;

/// Steps that a request may take which neither reads nor answers. Room for a large value is made in
/// as many steps as there are large values in the store, and a client that has left is waited for
/// during a thousand.
pub(crate) const STALLS_MAX: u32 = 5000;
