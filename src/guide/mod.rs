//! The guide: how an epoll server works, with this one as its example.
//!
//! It is for a programmer who has used sockets, and has never written a server over epoll. A chapter
//! takes about ten minutes, the third twenty. Code is named by its file below `src` and its
//! function; where this documentation has a page for it, the name is a link. [The crate's
//! page](crate) has the layers of the server, and a summary of all this.
//!
//! 1. [epoll on one page](epoll): levels, edges, and what each obliges to
//! 2. [A server in one file](server): `tiny`, which works, and has six faults
//! 3. [Six steps](steps): each fault as it shows, the mechanism that mends it, and where it is here
//! 4. [One turn](turn): the states of a connection, and how events become answers
//! 5. [Memory](memory): the path of a value, from `set` to its eviction
//! 6. [Watch it](watching): the loop as a log and as a picture, and what a connection waits for
//! 7. [Two servers](two_servers): the system calls of the same requests in memcached and here
//! 8. [What to read](reading), by goal: epoll, cache, protocol; and [the words](glossary)
//!
//! ## Twelve questions
//!
//! A reader who can answer these knows this kind of server.
//!
//! | question | answered in | in the code |
//! |---|---|---|
//! | **Pipelining**: fifty requests come in one segment. How many system calls does it take, and what keeps the answers in order? | [One turn](turn#pipelining) | `session.rs` |
//! | **FIN with data**: the last request and the end of input come in one event. Why is the end not missed? | [Six steps](steps#one-read) | `net/connection.rs` |
//! | **Backpressure**: a client asks for gigabytes and does not read. What stops it? | [Six steps](steps#busy-write) | `net/connection.rs`, `net/buffer.rs` |
//! | **Key reuse**: a connection is closed, and a new one gets its token. Why does no event reach the wrong one? | [One turn](turn#key-reuse) | `net/reactor.rs` |
//! | **Timeouts**: what closes an idle connection, without a timer for each? | [One turn](turn#timeouts) | `net/timeouts.rs` |
//! | **Growth**: how does the hash table grow without a pause? | [Memory](memory#growth) | `store/map.rs` |
//! | **Overwriting**: where is the new value of an old key written? | [Memory](memory#overwriting) | `store/set.rs` |
//! | **Clocks**: what happens to expiry times if the date is set back? | [One turn](turn#clocks) | `net/clock.rs`, `engine/now.rs` |
//! | **Eviction**: memory is full. Which item is removed, and what does a read cost for that? | [Memory](memory#eviction) | `store/policy.rs` |
//! | **Resuming**: a request comes in a thousand pieces. What is remembered between them? | [Six steps](steps#from-the-start) | `protocol/framer.rs` |
//! | **EMFILE**: no descriptor is free, and clients wait. Why does the server neither end nor spin? | [Six steps](steps#one-accept) | `net/listeners.rs` |
//! | **Dialects**: how does one port speak three languages? | [One turn](turn#dialects) | `protocol/dialect.rs`, `protocol/framer.rs` |

pub mod epoll;
pub mod glossary;
pub mod memory;
pub mod reading;
pub mod server;
pub mod steps;
pub mod turn;
pub mod two_servers;
pub mod watching;
