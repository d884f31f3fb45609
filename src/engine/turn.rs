//! What a request is executed with: the time, and the server's figures where there are some.

use super::server_stats::NO_NETWORK;
use super::{Now, ServerStats};

/// The context that one turn of a connection hands down to every request in it.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'s> {
    /// Read from the clocks once per turn.
    pub now: Now,
    /// The figures that `stats` needs of the network. `None` as long as no snapshot has been taken:
    /// a command that needs one then stays in the input, and `NeedsServerStats` is returned.
    pub server: Option<&'s ServerStats>,
}

/// A turn without a network, which answers `stats` with what there is.
impl From<Now> for Turn<'_> {
    fn from(now: Now) -> Self {
        Self { now, server: Some(&NO_NETWORK) }
    }
}
