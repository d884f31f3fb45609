//! Faults and hostile clients, against the real process. What a server must survive, and where that
//! is shown; "large" sizes wait for `cargo test --release --test faults --test load -- --ignored`.
//!
//! | fault | shown by |
//! |---|---|
//! | connections beyond `-c` | served again when one leaves: server/endings.rs, server/fates.rs; counted: `doors` |
//! | out of descriptors | with clients: server/endings.rs; with none: `doors` |
//! | a slow reader of 1 GiB | load.rs, server/streams.rs |
//! | slow writers, with and without `idle_timeout` | `slow` |
//! | data and FIN in one edge | server/streams.rs |
//! | SIGSTOP, closed or full stderr | server/endings.rs, server/streams.rs |
//! | memory flat for 100 million operations | load/endurance.rs, large |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod process;

#[path = "faults/doors.rs"]
mod doors;
#[path = "faults/slow.rs"]
mod slow;

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
