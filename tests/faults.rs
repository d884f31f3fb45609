//! Faults and hostile clients, against the real process: what a server must survive, and the test of
//! each. "Large" sizes run only by `cargo test --release --test all -- --ignored faults:: load::`.
//!
//! | fault | test |
//! |---|---|
//! | 10,000 idle connections, some of them then active | `idle`; a limit on descriptors below `-c`: server/daemon.rs |
//! | connections beyond `-c` | accepted again when one closes: server/shutdown_and_limits.rs, server/option_compat.rs; counted: `connection_limits` |
//! | out of descriptors | at the start: server/daemon.rs; with connections: server/shutdown_and_limits.rs; without: `connection_limits` |
//! | a slow reader of 1 GiB | load.rs, server/streams.rs |
//! | buffers held by clients that make no progress | `buffer_memory` |
//! | no address space left | `address_space` |
//! | `stats` that are not read | `tests/stats.rs` |
//! | a thousand unfinished sets and unread gets | load/crowds.rs, the two crowds at once: `crowds`, large |
//! | slow writers, with and without `idle_timeout` | `slow` |
//! | invalid requests | `hostile`; the answers: tests/scripts |
//! | what memcached 1.6.43 to 1.6.45 mend | `memcached_faults` |
//! | clients that die, reset, half-close | server/streams.rs; no leak: `churn` |
//! | data and FIN in one edge | server/streams.rs |
//! | SIGSTOP, closed or full stderr | server/shutdown_and_limits.rs, server/streams.rs |
//! | bytes after `quit` or after a fatal error | `lingering_close` |
//! | strace attached (EINTR), SIGPIPE | `signals` |
//! | clock steps | `clocks` |
//! | SIGTERM under full load | `signals`; with answers pending: server/shutdown_and_limits.rs |
//! | memory stays constant over 100 million operations | load/endurance.rs, large |
//! | one connection sends without pause | `fairness` |
//! | 20,000 connections in a minute | `churn` |
//! | slow and hostile clients of the metrics address | `http_clients` |
//! | all of these at once | `soak`, large: `SOAK_S` seconds, by default 60 |

mod address_space;
mod buffer_memory;
mod churn;
mod clocks;
mod connection_limits;
mod fairness;
mod hostile;
mod http_clients;
mod idle;
mod lingering_close;
mod memcached_faults;
mod signals;
mod slow;
mod soak;
mod talkers;
mod troublemakers;

use crate::harness::process::{PATIENCE, Server, until};

/// Number of descriptors of a server that has finished its start and has no client.
pub(crate) fn descriptors_at_rest(server: &Server) -> usize {
    let mut client = server.tcp();
    client.ask(b"get a\n", b"END\n");
    let descriptors = server.descriptors() - 1;
    drop(client);
    until("its descriptor is free", PATIENCE, || server.descriptors() == descriptors);
    descriptors
}
