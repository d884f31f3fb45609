//! Faults and hostile clients, against the real process. What a server must survive, and where that
//! is shown; "large" sizes wait for `cargo test --release --test faults --test load -- --ignored`.
//!
//! | fault | shown by |
//! |---|---|
//! | 10,000 idle connections, some of them then active | `idle` here; what the limit on descriptors becomes: server/daemon.rs |
//! | connections beyond `-c` | served again when one leaves: server/endings.rs, server/fates.rs; counted: `doors` |
//! | out of descriptors | with clients: server/endings.rs; with none: `doors` |
//! | a slow reader of 1 GiB | load.rs, server/streams.rs |
//! | a thousand unfinished sets and unread gets | load/crowds.rs, the two crowds at once: `crowds`, large |
//! | slow writers, with and without `idle_timeout` | `slow` |
//! | bytes that are no request | `hostile`; what each is answered: tests/scripts |
//! | clients that die, reset, half-close | server/streams.rs; without a leak: `churn` |
//! | data and FIN in one edge | server/streams.rs |
//! | SIGSTOP, closed or full stderr | server/endings.rs, server/streams.rs |
//! | more behind `quit` or a fault than was to be read | `endings` |
//! | strace attached (EINTR), SIGPIPE | `signals` |
//! | clock steps | `clocks` |
//! | SIGTERM under full load | `signals`; with answers pending: server/endings.rs |
//! | memory flat for 100 million operations | load/endurance.rs, large |
//! | one connection sends without pause | `fairness` |
//! | 20,000 connections in a minute | `churn` |
//! | all of it at once | `soak`, large: for as many seconds as `SOAK_S` says, 60 without it |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod process;

#[path = "faults/churn.rs"]
mod churn;
#[path = "faults/clocks.rs"]
mod clocks;
#[path = "faults/doors.rs"]
mod doors;
#[path = "faults/endings.rs"]
mod endings;
#[path = "faults/fairness.rs"]
mod fairness;
#[path = "faults/hostile.rs"]
mod hostile;
#[path = "faults/idle.rs"]
mod idle;
#[path = "faults/signals.rs"]
mod signals;
#[path = "faults/slow.rs"]
mod slow;
#[path = "faults/soak.rs"]
mod soak;
#[path = "faults/talkers.rs"]
mod talkers;
#[path = "faults/troublemakers.rs"]
mod troublemakers;

use process::{PATIENCE, Server, until};

/// Descriptors of a server that has started altogether and has no client.
pub(crate) fn descriptors_at_rest(server: &Server) -> usize {
    let mut client = server.tcp();
    client.ask(b"get a\n", b"END\n");
    let descriptors = server.descriptors() - 1;
    drop(client);
    until("it is alone", PATIENCE, || server.descriptors() == descriptors);
    descriptors
}
