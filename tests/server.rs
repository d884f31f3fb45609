//! The real process: what its command line, its sockets and the operating system ask of it.
//!
//! * `options`: the command line, exit codes and what is said at the start
//! * `fates`: what becomes of each of memcached's options
//! * `daemon`: the process's user, background, limits and files
//! * `stdio`: one conversation through a pipe, and the dialects
//! * `files`: the life of the Unix socket's file
//! * `memory`: what may be asked for, and a full one from outside
//! * `streams`: how bytes and their end may come and go, on sockets and on stderr
//! * `stalls`: turns in which a connection cannot go on
//! * `endings`: signals, and limits on connections and descriptors
//!
//! What a request means is not asked here: tests/conversations.rs does that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod process;

#[path = "server/daemon.rs"]
mod daemon;
#[path = "server/endings.rs"]
mod endings;
#[path = "server/fates.rs"]
mod fates;
#[path = "server/files.rs"]
mod files;
#[path = "server/memory.rs"]
mod memory;
#[path = "server/options.rs"]
mod options;
#[path = "server/stalls.rs"]
mod stalls;
#[path = "server/stdio.rs"]
mod stdio;
#[path = "server/streams.rs"]
mod streams;
