//! Watch it: what the loop does, as a log and as a picture, and what a connection waits for.
//!
//! ## As a log
//!
//! `-vv` logs every step of the loop and of each request. `trace.rs` lists the steps. Start a server
//! with it in one terminal, and type requests in another. The README shows what a `set` and a `get`
//! cause.
//!
//! ## As a picture
//!
//! `--trace-file` takes the path of a file. The server keeps the last quarter of a million steps in
//! memory, with the time of each, and writes them into the file when it stops, and on SIGUSR2. Open
//! the file in <https://ui.perfetto.dev> or in `chrome://tracing`. The loop is a track, on which it
//! polls or has a turn, and each connection is a track with the number that it has in the log.
//!
//! This picture is such a file, drawn by `.ci/trace-svg`. A client asks for two megabytes over a Unix
//! socket, and reads 12 KiB at a time. Three others send small requests, each after the answer to the
//! one before.
//!
//! <div>
#![doc = include_str!("slow_reader.svg")]
//! </div>
//!
//! Look at the enlarged part. The slow reader's request is read and executed, and the first answer is
//! written: a value of 100 kB, in one turn. After each turn the connection goes to the end of the run
//! queue. The third value does not fit into the socket's send buffer any more. What does not fit is
//! copied, and the connection asks for write events, and waits for its client to read. It has
//! no turn meanwhile, although thousands of its bytes are unsent: that is *backpressure*. When the
//! kernel has room again, it raises an edge, and the connection has its next turns. The others have
//! their turns all the time. What they pay for the slow reader is at most one turn of it.
//!
//! **In the code**: `Connection::flush`, `Connection::keep` and `Connection::update_interest` in
//! `net/connection.rs`; `trace/recorder.rs` records, `trace/chrome.rs` writes the file.
//!
//! ## Why is it waiting?
//!
//! A client can ask a running server. `stats conns` has lines for each connection, by its descriptor:
//!
//! ```text
//! STAT 9:waits_for reader
//! STAT 9:waits_ms 1375
//! STAT 9:unsent_bytes 96838
//! ```
//! It waits for its client to read 96,838 bytes, of which none was taken for 1.4 s. The other words are
//! `input`, `memory`, `send_buffer`, `turn`, `close` and `events`; [`Wait`] explains them. SIGUSR2
//! makes the server log the same of all connections, 64 of them in a turn.
//!
//! **In the code**: `net/wait.rs` finds the word, `net/report.rs` logs it.
//!
//! Next: [the same requests in memcached and here](super::two_servers).
//!
//! [`Wait`]: crate::trace::Wait
