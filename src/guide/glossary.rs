//! The words: what the field, and this project, means by them.
//!
//! | word | meaning |
//! |---|---|
//! | account | counts the bytes that all connections' buffers hold, and grants more (`net/account.rs`) |
//! | arena | the one mapping that has all records |
//! | backlog | the kernel's queue of clients that have connected and have not been accepted |
//! | backpressure | a client that does not read its answers is not read from, until it cannot send any more |
//! | batch | the events that one poll returns; also up to sixteen keys that are prefetched together |
//! | cas id | a number that changes with each change of an item, for *compare and swap* |
//! | classic | memcached's text protocol, lines ended by CRLF |
//! | commit | to keep the parser's next state and drop the bytes of the request |
//! | compaction | copying live records together, so that the dead bytes between them become free |
//! | dead record | one that is no longer in the map; its bytes come back when the tail passes it |
//! | deadline | the time at which a connection is closed, unless its client sends or reads before |
//! | descriptor | the number of an open file or socket in a process |
//! | drain | to read and drop; also said of an output that is sent to its end |
//! | drive | to give a connection its turn |
//! | edge | the moment at which a socket becomes readable or writable; it is reported once |
//! | engine | what a command means: commands in, operations on the store and replies out |
//! | eviction | the removal of a live item, to make room |
//! | expiry | the end of an item's time; not the same as eviction |
//! | FIN | the end of one direction of a TCP connection; the other may go on (*half-close*) |
//! | flush | to write unsent answers; also `flush_all`, which makes all items invisible |
//! | framer | finds where a request ends in a stream of bytes |
//! | ghost | fingerprints of keys that were evicted a short time ago |
//! | grammar | turns one line or frame into a command |
//! | high-water mark | the number of bytes of answers at which a turn stops executing |
//! | hole | space in a log without a record |
//! | idle | without a request for some time; an idle connection holds no buffer |
//! | interest | the kinds of events that a socket is registered for |
//! | item | a key with its value and attributes; as bytes in memory it is a record |
//! | key | what an item is stored under; also a connection's place in the slab |
//! | latch | to set a flag that stays set until it is cleared explicitly |
//! | level | the state of being readable or writable, as opposed to its beginning, the edge |
//! | lingering close | FIN first, then reading and dropping, so that no reset destroys answers |
//! | log | a circular part of the arena: appended to at the head, reclaimed at the tail |
//! | main | the log of records that have been read, or are large |
//! | map | finds the record of a key: many small hash tables |
//! | non-blocking | returns an error instead of waiting |
//! | overdraft | memory above the budget, for one connection at a time, so that one can always go on |
//! | pipelining | sending requests without waiting for the answers to earlier ones |
//! | poll | one call of `epoll_wait`; also mio's type for the epoll object |
//! | prefetch | to load memory before it is needed, so that several loads overlap |
//! | probation | the small log of new records |
//! | promotion | the move of a record that was read from probation to main |
//! | reactor | the loop that waits for events and gives turns |
//! | readiness | what events have said about a socket, as flags |
//! | record | an item's bytes in the arena |
//! | reset (RST) | the immediate end of a TCP connection; what was not delivered is lost |
//! | run queue | connections that have something to do, each once |
//! | sans-IO | code that gets bytes and returns bytes, and makes no system call |
//! | session | one conversation, without its socket |
//! | short read, short write | one that moved fewer bytes than it was offered |
//! | simple | the dialect without flags and expiry times, lines ended by LF |
//! | slab | a vector whose free places are used again |
//! | stall | of a request: to stop, and to start over or be resumed after a flush; of a client: to send and read too little |
//! | sweep | a walk in steps: over connections for their deadlines, over records for their expiry |
//! | token | the number that epoll returns with each event of a socket |
//! | turn | one round of the event loop; also one connection's part in it |
//! | uptime | seconds since the start, by the monotonic clock |
//! | watcher | a connection that is sent events instead of answers |
//! | working buffer | the buffer that all connections use in their turns, one after the other |
//! | would block | a call on a non-blocking socket has nothing to do: `EAGAIN` |
