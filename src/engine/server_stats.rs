//! Figures of the server that only the network knows, as plain data for `stats`.
//!
//! The network takes such a snapshot for the command that needs one, and drops it after the turn of
//! the connection that sent the command. So no client is answered from another's snapshot.

use crate::trace::Wait;

/// How much of [`ServerStats`] a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsScope {
    /// Everything but the list of connections.
    General,
    /// The list of connections, too.
    WithConnections,
}

/// A snapshot of what only the network knows.
#[derive(Clone, Debug)]
pub struct ServerStats {
    /// The process id.
    pub pid: u32,
    /// Processor time of the process in user mode, in microseconds.
    pub user_us: u64,
    /// Processor time of the process in the kernel, in microseconds.
    pub system_us: u64,
    /// Open client connections.
    pub curr_connections: usize,
    /// Connections that the slab has room for without allocating.
    pub connection_structures: usize,
    /// New connections are accepted.
    pub accepting: bool,
    /// The first TCP port listened on, or 0.
    pub tcp_port: u16,
    /// What all buffers hold above their allowances, and may hold, in bytes.
    pub buffer_bytes: (usize, usize),
    /// Connections that wait for buffer memory.
    pub waiting_for_memory: usize,
    /// One entry for each listener and connection, in a snapshot
    /// [`WithConnections`](StatsScope::WithConnections).
    pub connections: Option<Vec<ConnectionStats>>,
    /// Turns of the event loop so far.
    pub turns: u64,
}

/// The figures where there is no network: no listener, no connection.
pub static NO_NETWORK: ServerStats = ServerStats {
    pid: 0,
    user_us: 0,
    system_us: 0,
    curr_connections: 0,
    connection_structures: 0,
    accepting: false,
    tcp_port: 0,
    buffer_bytes: (0, 0),
    waiting_for_memory: 0,
    connections: Some(Vec::new()),
    turns: 0,
};

impl ServerStats {
    /// The snapshot answers commands that need this much.
    #[must_use]
    pub const fn covers(&self, scope: StatsScope) -> bool {
        match scope {
            StatsScope::General => true,
            StatsScope::WithConnections => self.connections.is_some(),
        }
    }
}

/// What `stats conns` shows of one connection or listener.
#[derive(Clone, Debug)]
pub struct ConnectionStats {
    /// Its file descriptor.
    pub descriptor: i32,
    /// The peer's address, such as `tcp:127.0.0.1:4711`; a listener's own.
    pub address: String,
    /// The address it was accepted at; none for a listener.
    pub listen_address: Option<String>,
    /// In memcached's words, such as `conn_parse_cmd`.
    pub state: &'static str,
    /// Seconds since its last request.
    pub idle_s: u64,
    /// What it waits for; none for a listener.
    pub wait: Option<WaitStats>,
}

/// What a connection waits for, and what it holds meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStats {
    /// What it waits for.
    pub wait: Wait,
    /// Milliseconds since it last moved: executed a request, or got bytes of a value, or its client took
    /// bytes of an answer.
    pub since_ms: u64,
    /// Bytes of answers that the kernel has not taken.
    pub unsent_bytes: usize,
    /// Bytes of its buffers, those within its allowance aside.
    pub buffer_bytes: usize,
    /// Bytes of buffers that it has to hold in all before it can go on; 0 where it does not wait for
    /// memory.
    pub wanted_bytes: usize,
}
