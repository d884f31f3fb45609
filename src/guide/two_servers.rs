//! Two servers: the system calls of the same requests, in memcached and here.
//!
#![doc = include_str!("two_servers.md")]
//!
//! Next: [what to read](super::reading), and [the words](super::glossary).
