//! What only the network knows of the server, as plain data for `stats`.
//!
//! The network fills it in when it is asked to, and never on its own.

/// What only the network knows.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    /// There is a network that can be asked. Without one, everything below stays as it is.
    pub attached: bool,
    /// A command waits for these to be refreshed.
    pub asked: bool,
    /// It wants `connections`, too.
    pub connections_asked: bool,
    /// They have been refreshed, and no command has told them since.
    pub fresh: bool,
    /// The process.
    pub pid: u32,
    /// Processor time of the process, in microseconds.
    pub user_us: u64,
    /// The same, within the kernel.
    pub system_us: u64,
    /// Clients that are connected.
    pub curr_connections: usize,
    /// Connections that there is memory for without asking for more.
    pub connection_structures: usize,
    /// New clients are accepted.
    pub accepting: bool,
    /// The first TCP port listened on, or 0.
    pub tcp_port: u16,
    /// What all buffers hold above their allowances, and may hold, in bytes.
    pub buffer_bytes: (usize, usize),
    /// What each connection does.
    pub connections: Option<Vec<ConnectionVitals>>,
    /// Turns of the event loop so far.
    pub turns: u64,
}

/// What is told of one connection, or of a listener.
#[derive(Clone, Debug)]
pub struct ConnectionVitals {
    /// Its descriptor.
    pub number: i32,
    /// The peer's address, such as `tcp:127.0.0.1:4711`; a listener's own.
    pub address: String,
    /// Where it was accepted; none of a listener.
    pub listen_address: Option<String>,
    /// In memcached's words, such as `conn_parse_cmd`.
    pub state: &'static str,
    /// Seconds since its last request.
    pub idle_s: u64,
}
