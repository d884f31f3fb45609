//! A server in one file: `tiny`, which works, and has six faults.
//!
//! `tiny` is what most of us write first. It is safe Rust, it has no bug that a quick trial would
//! find, and one client at a time is served well. Its faults appear with many requests, many
//! clients or slow clients, so they are found in production. [The next chapter](super::steps) shows
//! each of them, and what mends it.
//!
//! ## Try it
//!
//! ```text
//! $ cargo run --example tiny
//! tiny: listening on 127.0.0.1:11311
//! limits: none
//! ```
//! In another terminal:
//!
//! ```text
//! $ printf 'set greeting 5\nhello\nget greeting other\nquit\n' | nc 127.0.0.1 11311
//! STORED
//! VALUE greeting 5
//! hello
//! END
//! ```
//! (Without `nc`, try the Python program of the next chapter.)
//!
//! ## How it is built
//!
//! ```text
//!  serve    one loop:  poll -> for each event -+-> LISTENER: accept    a new connection
//!                       ^                      +-> key:      converse  read, execute, send
//!                       +--------------------------------------+
//! ```
//! * `serve` owns everything: the poll, the listener, the connections, the items. Because it is one
//!   thread, it passes them on by `&mut`, and needs no lock.
//! * Connections are in a *slab*: a vector whose free places are used again. A connection's index,
//!   its *key*, is also its mio token, so an event leads to its connection by one array access.
//! * `converse` is a connection's turn: it reads what the client has sent, executes every whole
//!   request in it, and sends the answers. A request may arrive in pieces, so what is left over
//!   stays in `input`.
//! * `execute` is the protocol and the cache in one. TCP has no messages, only a stream of bytes.
//!   So a request has to show by itself where it ends: a line by its LF, a value by its length.
//!
//! ## Its faults
//!
//! | fault | what the client sees | what it costs |
//! |---|---|---|
//! | [one read](super::steps#one-read) | some of many answers, then silence | a hung client |
//! | [one accept](super::steps#one-accept) | a connection on which nothing is answered | a hung client, or the server |
//! | [busy write](super::steps#busy-write) | silence while another client reads slowly | all clients wait |
//! | [no limits](super::steps#no-limits) | nothing | memory, until the kernel kills the server |
//! | [from the start](super::steps#from-the-start) | slow answers to long requests | time in proportion to the square of the length |
//! | [hard close](super::steps#hard-close) | a reset instead of the last answers | answers |
//!
//! What it leaves out on purpose is not counted: expiry times, a limit on the memory for items,
//! timeouts, signals, more than one address.
//!
//! ## The code
//!
//! It is `src/guide/tiny.rs`. How would you mend each fault, before you read on?
//!
//! ```no_run
#![doc = include_str!("tiny.rs")]
//! ```
