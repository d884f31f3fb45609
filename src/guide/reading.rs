//! What to read: three orders, by goal, and what to look for in each file.
//!
//! All paths are below `src`. Each file begins with what it owns, and what it does not know.
//! `miocached -vv`, run beside the reading, logs every step; `trace.rs` lists them.
//!
//! ## To learn epoll
//!
//! | file | look for |
//! |---|---|
//! | `guide/tiny.rs` | the whole of a server at a glance, and six places where it is not enough |
//! | `net/mod.rs` | the table of duties; the constants, which are the limits of a turn |
//! | `net/reactor.rs` | `Reactor::turn` and `Reactor::serve` as a table of contents; `Reactor::poll_timeout`: when may the loop sleep? |
//! | `net/connection.rs` | `Connection::converse`, the stages; `Connection::read`: four outcomes, and the flag in each; `Connection::next` |
//! | `net/listeners.rs` | `Listeners::accept`: every error has its own answer |
//! | `net/linger.rs` | what it takes to close a socket without losing answers |
//! | `net/timeouts.rs` | one deadline for each connection, and no timer wheel |
//! | `net/buffer.rs`, `net/account.rs` | when a buffer becomes a connection's own; why waiting connections cannot block each other |
//!
//! ## To learn how a cache works
//!
//! | file | look for |
//! |---|---|
//! | `store/mod.rs` | the picture; the fields of [`Store`](crate::store::Store), which are all the state there is |
//! | `store/record.rs` | the layout of an item, byte by byte |
//! | `store/log.rs` | head and tail as positions that only grow |
//! | `store/map.rs` | `Map::table_of` and `Map::split`: growing without a pause |
//! | `store/set.rs` | `Store::set`: in place, or elsewhere |
//! | `store/policy.rs` | `Store::queue_for` and `Store::move_tail`: which log a record enters, and which record is evicted |
//! | `store/ghost.rs`, `store/sweep.rs`, `store/flush.rs` | second chances; memory of expired items; a flush in constant time |
//! | `benches/replay/model.rs` | the policies that were tried, with their figures |
//!
//! ## To learn how a protocol is parsed
//!
//! | file | look for |
//! |---|---|
//! | `protocol/simple.rs` | a whole grammar on one page |
//! | `protocol/framer.rs` | [`State`](crate::protocol::State), and the rule that state and bytes are committed together |
//! | `session.rs` | `Session::advance`: how parsing, executing and stopping fit together |
//! | `protocol/command.rs`, `engine/mod.rs` | the one type in the middle, and the `match` that executes it |
//! | `protocol/classic.rs`, `protocol/meta.rs` | the same for memcached's commands, with what old clients send |
//! | `protocol/writer.rs` | `ReplyWriter::room`: an answer is written whole, or not begun |
//! | `protocol/binary_request.rs`, `protocol/binary.rs` | the same for frames, whose length comes first |
//! | `protocol/plain.rs` | why a second parser for three forms of lines is worth it |
//!
//! ## To check what you have understood
//!
//! * `.ci/exercise` lists ten exercises. Each takes one safeguard out of a copy of the server, runs the
//!   test that fails then, and asks what has happened and why. For four of them the event loop runs over
//!   a model of edge-triggered epoll (`net/epoll_model.rs`), and the test prints the shortest schedule of
//!   events that it has found in which a client hangs.
//! * Change `tests/scripts/simple/vectors.txt`: add a step, and see how many drivers run it
//!   (`tests/conversations.rs`).
//! * `tests/faults.rs` is a table of what goes wrong in production. Pick a row, and guess which
//!   function handles it, before you read the test.
//! * Add a command of your own, as follows.
//!
//! ## To add a command
//!
//! First write a script in `tests/scripts/classic`, which fails. Then edit four files. After each edit
//! the compiler names the next one:
//!
//! 1. `protocol/verb.rs`: its word, as a line of the table.
//! 2. `protocol/classic.rs`: an arm in `parse_line`, which turns its line into a `Command`. (Meta commands
//!    are parsed in `protocol/meta.rs`, those about the server in `protocol/admin.rs`.)
//! 3. `protocol/command.rs`: the variant of `Command`, with its key in `first_key` and its verb in
//!    `word`. A command that stores a value also has an arm in `set_value`.
//! 4. `engine/mod.rs`: an arm in `execute`, which executes it and writes the answer. The store's
//!    interface is in `store/mod.rs`, `store/item.rs` and `store/set.rs`.
//!
//! A new one-line answer is a line in the table of `protocol/reply.rs`. Last, add a row to the README's
//! table of commands.
