//! Faults and hostile clients, against the real process. What a server must survive, and where that
//! is shown; "large" sizes wait for `cargo test --release --test all -- --ignored faults:: load::`.
//!
//! | fault | shown by |
//! |---|---|
//! | 10,000 idle connections, some of them then active | `idle` here; what the limit on descriptors becomes: server/daemon.rs |
//! | connections beyond `-c` | served again when one leaves: server/shutdown_and_limits.rs, server/option_compat.rs; counted: `connection_limits` |
//! | out of descriptors | with clients: server/shutdown_and_limits.rs; with none: `connection_limits` |
//! | a slow reader of 1 GiB | load.rs, server/streams.rs |
//! | buffers held by clients that do not move | `buffer_memory` |
//! | no more address space | `address_space` |
//! | `stats` that are not read | `tests/stats.rs` |
//! | a thousand unfinished sets and unread gets | load/crowds.rs, the two crowds at once: `crowds`, large |
//! | slow writers, with and without `idle_timeout` | `slow` |
//! | bytes that are no request | `hostile`; what each is answered: tests/scripts |
//! | clients that die, reset, half-close | server/streams.rs; without a leak: `churn` |
//! | data and FIN in one edge | server/streams.rs |
//! | SIGSTOP, closed or full stderr | server/shutdown_and_limits.rs, server/streams.rs |
//! | more behind `quit` or a fault than was to be read | `lingering_close` |
//! | strace attached (EINTR), SIGPIPE | `signals` |
//! | clock steps | `clocks` |
//! | SIGTERM under full load | `signals`; with answers pending: server/shutdown_and_limits.rs |
//! | memory flat for 100 million operations | load/endurance.rs, large |
//! | one connection sends without pause | `fairness` |
//! | 20,000 connections in a minute | `churn` |
//! | all of it at once | `soak`, large: for as many seconds as `SOAK_S` says, 60 without it |

mod address_space;
mod buffer_memory;
mod churn;
mod clocks;
mod connection_limits;
mod fairness;
mod hostile;
mod idle;
mod lingering_close;
mod signals;
mod slow;
mod soak;
mod talkers;
mod troublemakers;

use crate::harness::process::{PATIENCE, Server, until};

/// Descriptors of a server that has started altogether and has no client.
pub(crate) fn descriptors_at_rest(server: &Server) -> usize {
    let mut client = server.tcp();
    client.ask(b"get a\n", b"END\n");
    let descriptors = server.descriptors() - 1;
    drop(client);
    until("it is alone", PATIENCE, || server.descriptors() == descriptors);
    descriptors
}
