//! What a connection waits for between two of its turns: the words of `stats conns`, of the report on
//! SIGUSR2 and of the trace.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Bytes from its client: a request, or the rest of one.
    Input,
    /// Its client reads too slowly: answers do not fit into the socket's send buffer.
    Reader,
    /// Memory for buffers is short, and nothing is executed before the socket's send buffer has room.
    SendBuffer,
    /// Its request or answer needs more memory for buffers than is free.
    Memory,
    /// It is in the run queue, or this is its turn.
    Turn,
    /// It has sent its FIN, and drops what its client still sends (lingering close).
    Close,
    /// It watches, and there is no event to send.
    Events,
}

impl Wait {
    /// Its name as one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Reader => "reader",
            Self::SendBuffer => "send_buffer",
            Self::Memory => "memory",
            Self::Turn => "turn",
            Self::Close => "close",
            Self::Events => "events",
        }
    }

    /// What it waits for, as the end of a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Input => "waits for input",
            Self::Reader => "waits for its client to read",
            Self::SendBuffer => "waits for space in its send buffer",
            Self::Memory => "waits for buffer memory",
            Self::Turn => "waits for its turn",
            Self::Close => "waits for its client to close",
            Self::Events => "waits for events to send",
        }
    }
}
