//! One turn: how events become answers, and which states a connection goes through.
//!
//! The server is one loop, `Reactor::run`, around `Reactor::turn`, whose lines, and those of
//! `Reactor::serve`, are the stages of a turn. This chapter follows one turn, then one connection, and answers the
//! questions that concern both.
//!
//! ## One turn of the loop
//!
//! ```text
//!  kernel          Reactor                 Connection #3          Session            Engine, Store
//!    |                |                        |                     |                     |
//!    |<--- poll ------| poll_events: sleeps    |                     |                     |
//!    |---- #3, #5 --->|                        |                     |                     |
//!    |                |----- latch ----------->| readable = true     |                     |
//!    |                |      (then #5)         |                     |                     |
//!    |                |                        |                     |                     |
//!    |                |----- drive ----------->|                     |                     |
//!    |<------------- read, once ---------------|                     |                     |
//!    |-------------- 18 bytes ---------------->|----- advance ------>| parse               |
//!    |                |                        |                     |----- execute ------>|
//!    |                |                        |                     |<---- answer --------|
//!    |                |                        |                     | parse, execute ..   |
//!    |                |                        |<---- NeedsInput ----|                     |
//!    |<------------- write, once --------------|                     |                     |
//!    |                |<---- Next::Wait -------|                     |                     |
//!    |                |      (then drive #5)   |                     |                     |
//!    |<--- accept ----| accept, grant, expire  |                     |                     |
//!    |<--- poll ------|                        |                     |                     |
//! ```
//! A turn has two phases. First all events of the batch are *latched*: `Reactor::latch_events` sets
//! flags, and puts each connection into the run queue once. Only then is the queue *driven*:
//! `Reactor::drive_connections` gives each connection a turn of its own, `Connection::drive`. After
//! these come the stages that concern no single client: accept, grant memory, look for connections
//! whose deadline has passed. `miocached -vv` logs all of it; the README has an example.
//!
//! ## The states of a connection
//!
//! A turn of a connection ends with a [`Next`], which says what it waits for. So the states are
//! few:
//!
//! ```text
//!                                 accept
//!                                    |
//!                                    v
//!                          +-------------------+
//!   waits for input <------|                   |------> queued: has more to do
//!     a readable edge ---->|     its turn      |<------ when the others have had their turn
//!                          |                   |
//!   waits for its client <-|  flush            |------> waits for memory
//!     a writable edge ---->|  read, once       |<------ the account grants it
//!                          |  execute          |
//!   watches events <-------|  flush, once      |
//!     an event to send --->|  keep             |
//!                          +-------------------+
//!                                    | Next::Close
//!                                    v
//!              does this side end it, with input unread?
//!                    | yes                          | no
//!                    v                              v
//!                 lingers ------------------->   closed
//!                   the client closes, 1 MiB, or 1 to 2 s
//! ```
//!
//! | state | what shows it | [`Next`] |
//! |---|---|---|
//! | waits for input | nothing is unsent, nothing readable, [`Stop::NeedsInput`] | `Wait` |
//! | waits for its client | unsent answers; the interest includes writing | `Wait` |
//! | waits for memory | it wants more than the account grants now, and is in the account's line | `Wait` |
//! | queued | `queued` is set, its key is in the run queue | `Again` |
//! | watches events | [`Stop::Watches`] | `Watch`, then `Wait` |
//! | lingers | `linger` has a time | `Again` or `Wait` |
//!
//! Two things are not in the picture. A connection whose deadline passes is closed in its next
//! turn. And a client that asks for `stats` makes the turn start again with a snapshot of the
//! server's figures.
//!
//! ## Pipelining
//!
//! A client may send many requests without waiting for answers. Then one read returns all of them,
//! up to the 16 KiB of the working buffer. [`Session::advance`] executes them in order, one after
//! the other, and each appends its answer to the same output. One write sends all of it. So fifty
//! requests cost three system calls (poll, read, write) instead of 150, and this is most of what
//! makes a pipelining client fast. The order needs no bookkeeping: answers are sent in the order
//! in which they were appended.
//!
//! Within this, up to sixteen requests are parsed ahead, and the memory of their keys is
//! *prefetched*, so that the cache misses of sixteen lookups overlap (`Session::parse_ahead`,
//! `store/prefetch.rs`). A request that was parsed and not executed is not committed, and is parsed
//! again in the next turn.
//!
//! `advance` stops when the input has no whole request ([`Stop::NeedsInput`]), when the output has
//! reached its high-water mark or the turn a limit of work ([`Stop::NeedsFlush`]), after a large
//! value, which is to be written straight from the store ([`Stop::NeedsValue`]), or when the
//! conversation has ended. **In the code**: `session.rs`, from `Session::advance` to
//! `Session::answer`.
//!
//! ## Key reuse
//!
//! A connection's key is its place in a slab, and its token. When it is closed, the next client
//! gets the same key. Now take a batch with two events, for tokens 2 and 3. While the server
//! handles the first, it closes connection 3, which has been idle or takes too much memory, and
//! accepts a client, who gets key 3. Then the second event is taken for this client's: it is read,
//! and maybe closed, for what another has done. (`tiny` closes no connection but that of the event
//! at hand, and epoll has one event for each socket in a batch. So it is safe, until it gets its
//! first timeout.)
//!
//! Here it cannot happen, by the order of the stages. All events are latched before any connection
//! is closed or accepted, so every event meets the connection that it was made for. Then each
//! connection is closed only right after its own turn, and its key is taken out of the run queue.
//! Clients are accepted after all that. The kernel has no events of a closed socket: `close` takes
//! it out of epoll's lists. **In the code**: `net/reactor.rs`, `Reactor::turn`,
//! `Reactor::serve` and `Reactor::close`.
//!
//! ## Timeouts
//!
//! A timer for each connection would need a queue of timers that changes with every request. Here a
//! request only writes the time into its connection (`active_ms`). `Connection::deadline` computes
//! from such fields when the connection has to be closed: idle for too long (only with
//! `-o idle_timeout`), holding memory with too little progress while others wait, or lingering. A
//! *sweep* over all connections closes those whose deadline has passed, and computes the time of
//! the next sweep: the first of the remaining deadlines, and at least a second later.
//!
//! This time is one field. So are the few other timers: when to accept again, when to free unused
//! buffers, when a stop ends. The earliest of them is the poll's timeout, and after the poll each
//! stage compares its own with the clock. If there is none, there is no timeout, so a server
//! without traffic does not wake up. **In the code**: `net/timeouts.rs`; `Reactor::poll_timeout`.
//!
//! ## Clocks
//!
//! The time is read once per turn, by [`Clock::moment`], right after the poll, and once more at its
//! end, only to measure it. Every request of the turn gets the first as an argument. No layer below
//! the network reads a clock (a test forbids it), so a test can make a year pass by passing another
//! number.
//!
//! There are two clocks. The *monotonic* clock only goes forward. Deadlines and expiry are counted
//! on it, as *uptime*. The *wall* clock is the date, which an operator or NTP may set back. It is
//! needed when a client gives an expiry as a date: [`Now`] converts that to uptime at once, when
//! the request is executed. So an item expires after the right time, even if the wall
//! clock jumps afterwards. **In the code**: `net/clock.rs`, `engine/now.rs`;
//! `tests/faults/clocks.rs` steps the wall clock.
//!
//! ## Dialects
//!
//! The same port speaks three languages. The first byte of a connection decides between the binary
//! protocol (0x80, with which no text begins) and text. Text is decided line by line: a line that
//! ends in CRLF is in the *classic* dialect, which is memcached's. A line that ends in LF alone is
//! in the *simple* dialect if it is a `get`, a `set` with fewer than four arguments, or no command
//! of memcached's at all; else it is classic, too. So a person can type `set a 1`, and a client
//! library never notices.
//!
//! ```
//! let answers = miocached::simulate(b"set a 0 0 1\r\nx\r\nget a\nget a\r\n");
//! assert_eq!(answers, b"STORED\r\nVALUE a 1\nx\nEND\nVALUE a 0 1\r\nx\r\nEND\r\n");
//! ```
//! All of them meet in one type, [`Command`]. The grammar of either dialect turns its line into a
//! `Command` and a `ReplyMode`. The engine executes the command without knowing the dialect, and
//! `ReplyWriter` writes LF or CRLF as the mode says. A binary frame is one variant,
//! `Command::Binary`, whose answers are frames (`engine/binary.rs`). **In the code**:
//! `protocol/framer.rs` finds the end of a request, `protocol/dialect.rs` decides by
//! [`dialect_of`], `protocol/simple.rs` is the shortest grammar.
//!
//! Next: [what happens to a value](super::memory).
//!
//! [`Next`]: crate::net::connection::Next
//! [`Stop::NeedsInput`]: crate::session::Stop::NeedsInput
//! [`Stop::NeedsFlush`]: crate::session::Stop::NeedsFlush
//! [`Stop::NeedsValue`]: crate::session::Stop::NeedsValue
//! [`Stop::Watches`]: crate::session::Stop::Watches
//! [`Session::advance`]: crate::session::Session::advance
//! [`Clock::moment`]: crate::net::clock::Clock::moment
//! [`Now`]: crate::engine::Now
//! [`Command`]: crate::protocol::Command
//! [`dialect_of`]: crate::protocol::dialect_of
