//! Six steps from `tiny` to this server: each fault as it shows, what mends it, and where.
//!
//! Each section has four parts: the fault, shown by a test on [`tiny`](super::server) and on this
//! server; its cause; the mechanism that mends it; and the place of that mechanism. The commands run
//! tests of `tests/guide/faults.rs`, which fail if they print anything else than is shown here.
//!
//! The first fault can also be seen by hand. While `cargo run --example tiny` runs, this Python
//! program prints `682 answers`; with port 11211 and `cargo run`, it prints `2000 answers`:
//!
//! ```python
//! import socket
//! client = socket.create_connection(("127.0.0.1", 11311))
//! client.settimeout(1)
//! client.sendall(b"get a\n" * 2000)
//! answers = 0
//! try:
//!     while True:
//!         answers += client.recv(65536).count(b"END")
//! except TimeoutError:
//!     print(answers, "answers")
//! ```
//!
//! ## One read
//!
//! ```text
//! $ cargo test --test guide -- --nocapture one_read
//! 2000 requests in one write
//!   tiny       682 answers
//!   miocached  2000 answers
//! a request, and the end of input with it
//!   tiny       an answer, and the connection stays
//!   miocached  an answer, and the connection ends
//! ```
//! **Cause.** The requests have 12,000 bytes and arrive together, so there is one edge. `tiny`
//! reads 4,096 bytes, answers the 682 requests in them, and waits for an event. The other bytes are
//! in the kernel, and no event will report them. In the second scene the request and the FIN, the
//! end of the client's input, arrive before `tiny` wakes up: one edge again. The one read returns
//! the request. The read that would return 0 never happens, so the connection stays open for ever.
//! A client that waits for the end hangs, and each one costs a descriptor.
//!
//! **Mechanism.** An event is not a task, but a fact to be kept. It sets a flag in the connection;
//! the flag is cleared only by a read that would block, or by a short read, which has emptied the
//! socket. After a short read the next byte raises a new edge, so this saves a system call for each
//! request. There is one exception: an event that says that the FIN has arrived. No edge follows a
//! FIN, so then reading goes on until it returns 0.
//!
//! Many examples read in a loop until it would block. That mends the fault, and brings another one:
//! a client that sends as fast as the server reads keeps it in the loop, and all others wait. So a
//! turn reads once, and a connection whose flag is still set after its turn goes to a *run queue*,
//! for another turn after the others. While the queue is not empty, the poll does not sleep.
//!
//! ```text
//!  edge: data and FIN     readable = true, read_closed = true
//!  turn 1: read -> 6      short, but the FIN has arrived: readable stays true -> Next::Again
//!  turn 2: read -> 0      at_end = true                                       -> Next::Close
//! ```
//! A client that only half-closes gets all its answers: while some are unsent, a turn ends with
//! `Next::Wait`, whatever has been read.
//!
//! **Here.** `net/connection.rs`: `Connection::latch` sets the flags, `Connection::read` clears
//! them, and `Connection::next` decides between [`Next::Wait`], [`Next::Again`] and
//! [`Next::Close`]. `net/reactor.rs`: `Reactor::drive_connections` queues again,
//! `Reactor::poll_timeout` is zero while something is queued.
//!
//! ## One accept
//!
//! ```text
//! $ cargo test --test guide -- --nocapture one_accept
//! 5 clients connect at once, and send a request each
//!   tiny       1 answered
//!   miocached  5 answered
//! a client connects when no descriptor is free
//!   tiny       the server has ended
//!   miocached  others are served, and so is this one when a descriptor is free
//! ```
//! **Cause.** A listener is edge-triggered, too. Five clients that connect between two polls are
//! one event. `tiny` accepts one of them. The others are connected, from their point of view: the
//! kernel has done the handshake, and takes their requests. They wait until another client
//! connects, and then one of them is accepted. In the second scene `accept` fails with `EMFILE`:
//! the process may open no more descriptors. `tiny` passes the error up with `?`, and ends.
//! Everything it had stored is lost.
//!
//! **Mechanism.** The listener has a flag, too. The server accepts until that would block, but at
//! most 64 clients in a turn. If the flag is still set after that, the poll does not sleep. `EMFILE`
//! cannot be dealt with at once: the client waits in the kernel's queue, no new edge will report it,
//! and trying again and again would use all of the processor. So accepting *pauses*, and the flag
//! stays set. The pause ends when a connection closes, which frees a descriptor, or after 100 ms.
//! One more trap: when descriptors have run out, `accept` fails with `EMFILE` even if no client
//! waits. So when it fails, the listener is asked by `poll(2)` whether it has a client; if not, the
//! flag is cleared, and the server sleeps. At the start the server raises its limit of descriptors,
//! and lowers its limit of connections (`-c`) to what that allows, so that a client above it can be
//! accepted, get an error line, and be closed.
//!
//! **Here.** `net/listeners.rs`: `Listeners::accept`, `Listeners::pause`, `Listeners::can_accept`,
//! and `Listeners::on_close`. `net/listener.rs`: `Listener::has_client`. `process/limits.rs`:
//! `raise_descriptors`. The constants [`ACCEPTS_PER_TURN`] and [`ACCEPT_RETRY_MS`].
//!
//! ## Busy write
//!
//! ```text
//! $ cargo test --test guide -- --nocapture busy_write
//! a client asks for 8 MB and does not read; another client asks
//!   tiny       not answered in 0.5 s of CPU time, but after the first has read
//!   miocached  answered at once
//! ```
//! **Cause.** A `write` puts bytes into the socket's send buffer in the kernel, and takes only as
//! many as fit: a few megabytes. Then it would block until the client reads. `tiny` tries again
//! until it succeeds. So one client that is slow, or malicious, stops the server for all, with the
//! processor busy. (Dropping the rest instead is worse: the client gets a stream with a hole, and
//! takes data for answers.)
//!
//! **Mechanism: backpressure.** The connection keeps what the kernel did not take, and asks for
//! write events. Until all of it is sent, it executes nothing and reads nothing more. This stops
//! the client, because one buffer after the other becomes full:
//!
//! ```text
//!  the client does not read         its receive buffer fills: TCP tells our kernel to send no more
//!  our send buffer fills            a write takes fewer bytes than it was given
//!  answers are unsent               the connection executes nothing, and reads nothing
//!  our receive buffer fills         TCP tells the client's kernel to send no more
//!  the client's send buffer fills   its own write blocks
//! ```
//! When the client reads, the kernel's buffer gets room, and that is an edge: the connection has
//! its turn, sends, and goes on where it stopped. Then it withdraws its interest in write events,
//! which on a Unix socket would otherwise come with every read of the peer.
//!
//! **Here.** `net/connection.rs`: `Connection::flush` writes once and keeps the count,
//! `Connection::update_interest` asks for write events exactly while something is unsent, and
//! `Connection::converse` returns early while answers are unsent. `net/buffer.rs`:
//! `WriteBuffer::keep` moves what is unsent out of the shared buffer into one of the connection's
//! own.
//!
//! ## No limits
//!
//! ```text
//! $ cargo test --test guide -- --nocapture no_limits
//! 8 MB of a value that is to have 1 GB
//!   tiny       more than 7 MB of memory
//!   miocached  less than 4 MB of memory
//! a request of 4 kB for 8 MB
//!   tiny       more than 7 MB of memory
//!   miocached  less than 4 MB of memory
//! ```
//! **Cause.** A client decides how much `tiny` holds: by a line without an end, by a value of a
//! length that it names, or by a few kilobytes of requests for large values, because all of them
//! are executed before the first answer is sent. (With values of 1 MB, the 4 kB ask for 2 GB.)
//! While they are executed, the other clients wait. The kernel ends a process that takes too much,
//! and all that the server stores is lost.
//!
//! **Mechanism.** Everything has a limit, with its unit in its name:
//!
//! * Of a request: a line has at most 2,048 bytes, or 1 MiB if it may list keys
//!   ([`LINE_BYTES_MAX`], [`LONG_LINE_BYTES_MAX`]); a longer one closes the connection. A value
//!   above the item limit is refused at its line, and its bytes are dropped as they come.
//! * Of answers: the session stops executing once the output holds 64 KiB, the *high-water mark*,
//!   and returns [`Stop::NeedsFlush`]. The connection sends, and the rest of the requests waits in
//!   the input. A `get` of many keys stops between two keys. A large value is not copied into the
//!   output at all: it is written straight from the store, and only what the kernel does not take
//!   of it is copied.
//! * Of a turn: one read of 16 KiB, and 1 MiB more of a value that has begun; 32 KiB of requests;
//!   1 MiB copied within the store. So a client that sends without pause delays the others by no
//!   more than that (`tests/faults/fairness.rs`).
//! * Of all connections together: the *memory account*. A connection is charged for what it holds
//!   between two turns. When the budget is used up, a connection that needs more waits in a line;
//!   what it has sent stays in the kernel, and backpressure does the rest. One that holds memory
//!   for which others wait, and makes too little progress, is closed after some ten seconds.
//!
//! **Here.** [`crate::net`] lists the limits of a turn, [`crate::protocol::limits`] those of the
//! wire. `session.rs`: `Session::must_end`. `protocol/framer.rs`: `Framer::take_value` refuses,
//! `skip` drops. `net/account.rs`: its first page has the argument why connections that wait for
//! memory cannot block each other.
//!
//! ## From the start
//!
//! ```text
//! $ cargo test --test guide -- --nocapture from_the_start
//! a line of 1 MB in 2000 pieces
//!   tiny       the second half takes more than 1.5 times the CPU time of the first
//!   miocached  the second half takes less than 1.5 times the CPU time of the first
//! ```
//! **Cause.** After each piece, `tiny` searches all of its input for an LF: one piece, then two,
//! then three. A line that is twice as long takes four times the time, and in the second half of a
//! line three quarters of the work are done. Here the 2,000 pieces make a thousand million bytes to
//! search. It is also a cheap attack: a client sends one byte at a time.
//!
//! **Mechanism: resuming.** The parser remembers how far the input has been searched. Here that is
//! a [`State`], a few bytes in the session: *a line, with no LF among its first `scanned` bytes*;
//! or *a value of so many bytes, after a line of so many*; or *a refused value, of which so many
//! bytes are still to be skipped*. The parser itself is a pure function of the state and the unread
//! bytes: it returns what it found, the number of bytes used, and the next state. The session keeps
//! the next state if and only if it drops the bytes. So a request that cannot be completed now,
//! for example because its answer does not fit, is simply not *committed*: it is parsed again later.
//! Bytes of a value are never searched: their number is known.
//!
//! ```
//! use miocached::config::DialectMode;
//! use miocached::protocol::{Framer, Grammar, Parsed, State};
//!
//! let grammar = Grammar::Commands(DialectMode::Auto);
//! let framer = Framer { grammar, item_bytes_max: 1 << 20 };
//! let part = framer.parse(&State::START, b"get some");
//! assert!(matches!(part.parsed, Parsed::Incomplete));
//! assert_eq!(format!("{:?}", part.next), "State(Line { scanned: 8 })");
//! // The next read has added bytes. Only those from the ninth on are searched.
//! let whole = framer.parse(&part.next, b"get something\nget other\n");
//! assert!(matches!(whole.parsed, Parsed::Command { .. }));
//! assert_eq!(whole.used, b"get something\n".len());
//! ```
//!
//! The same rule holds for copies. `tiny` moves the rest of its input to the front after each
//! request; here an index moves, and the bytes stay. A buffer that is too small doubles, so that
//! all copies together are at most as long as the request.
//!
//! **Here.** `protocol/framer.rs`: [`Framer::parse`], [`State`], `Framer::find_line`. `session.rs`:
//! `Session::answer` commits, `Resumable` is what remains of a `get` of many keys. `net/buffer.rs`:
//! `ReadBuffer::executed`, `ReadBuffer::grown_bytes`. `tests/conversations.rs` cuts every
//! conversation of `tests/scripts` at every byte.
//!
//! ## Hard close
//!
//! ```text
//! $ cargo test --test guide -- --nocapture hard_close
//! a request for 1 MB, `quit`, and 40 kB more
//!   tiny       a reset, and less than half of the answer
//!   miocached  the whole answer, then the end
//! ```
//! **Cause.** `close` on a socket with unread bytes is an error to TCP: the peer has sent something
//! that will never be read. The kernel reports that to it by a reset (RST) instead of a FIN, and drops
//! what it still had to send. The answers were handed to the kernel, and are lost all the same.
//!
//! **Mechanism: lingering close.** The server first shuts down its own direction: the FIN follows
//! the last answer. Then it reads and drops what the client still sends, until the client closes
//! its end, has sent 1 MiB, or has had a second or two. A connection lingers only if bytes have
//! arrived after the end: a plain `quit` costs one read, which looks for them.
//!
//! **Here.** `net/linger.rs`: `Connection::linger` turns [`Next::Close`] into a lingering close
//! where one is needed. [`LINGER_BYTES_MAX`], [`LINGER_MS`]. The tests are
//! `tests/faults/lingering_close.rs`.
//!
//! ## What is left
//!
//! The six steps make a server that stays alive. What makes it a cache is [the
//! store](super::memory); how the parts work together is [a turn of the loop](super::turn).
//! `tests/faults.rs` has a table of everything else that a server must survive, with the test of
//! each.
//!
//! [`Next::Wait`]: crate::net::connection::Next::Wait
//! [`Next::Again`]: crate::net::connection::Next::Again
//! [`Next::Close`]: crate::net::connection::Next::Close
//! [`Stop::NeedsFlush`]: crate::session::Stop::NeedsFlush
//! [`State`]: crate::protocol::State
//! [`Framer::parse`]: crate::protocol::Framer::parse
//! [`ACCEPTS_PER_TURN`]: crate::net::ACCEPTS_PER_TURN
//! [`ACCEPT_RETRY_MS`]: crate::net::ACCEPT_RETRY_MS
//! [`LINE_BYTES_MAX`]: crate::protocol::LINE_BYTES_MAX
//! [`LONG_LINE_BYTES_MAX`]: crate::protocol::LONG_LINE_BYTES_MAX
//! [`LINGER_BYTES_MAX`]: crate::net::LINGER_BYTES_MAX
//! [`LINGER_MS`]: crate::net::LINGER_MS
