//! The real process: what its command line, its sockets and the operating system ask of it.
//!
//! * `options`: the command line, exit codes and what is said at the start
//! * `option_compat`: what becomes of each of memcached's options
//! * `daemon`: the process's user, background, limits and files
//! * `deployments`: the arguments of charts, images and packages
//! * `stdio`: one conversation through a pipe, and the dialects
//! * `files`: the life of the Unix socket's file
//! * `large_values`: values that are written straight from the store
//! * `memory`: what may be asked for, and a full one from outside
//! * `metrics`, `page`: the metrics address, and its page in a browser
//! * `streams`: how bytes and their end may come and go, on sockets and on stderr
//! * `stalls`: turns in which a connection cannot go on
//! * `systemd`: inherited sockets, and reports to a service manager
//! * `trace_file`: the recording of what the event loop does
//! * `waits`: what `stats conns` and the log after SIGUSR2 say of each connection
//! * `watch`: the log of events that clients may ask for
//! * `shutdown_and_limits`: signals, and limits on connections and descriptors
//! * `snapshot`: the file that keeps the items over a restart
//!
//! What a request means is not asked here: tests/conversations.rs does that.

mod daemon;
mod deployments;
mod files;
mod large_values;
mod memory;
mod metrics;
mod option_compat;
mod options;
mod page;
mod shutdown_and_limits;
mod snapshot;
mod stalls;
mod stdio;
mod streams;
mod systemd;
mod trace_file;
mod waits;
mod watch;
