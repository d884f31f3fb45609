//! Memory: the path of a value, from `set` to its eviction.
//!
//! ## The picture
//!
//! ```text
//!  1  the kernel's buffer       set a 0 60 3\r\nfoo\r\n
//!        | read: one copy
//!        v
//!  2  the working read buffer   16 KiB, lent to the connection whose turn it is.
//!        |                      The parsed request has no bytes of its own:
//!        |                      key = bytes 4..5, value = bytes 14..17 of this buffer
//!        | Store::set: one copy
//!        v
//!  3  the arena                 mapped at the start (-m), divided into two circular logs
//!     +---- probation, 1/13 ----+---------------------- main, 12/13 ----------------------+
//!     | newer | free | older    | newer records     | free | older records                |
//!     +-------+------+----------+-------------------+------+------------------------------+
//!        ^  head    tail                          head    tail
//!        | address: u32
//!  4  the map                   hash("a") -> one of many small tables -> address
//!     [table 0] [table 1] [table 2] ..
//!        ^
//!        | Engine::execute looks up "a", and ReplyWriter::value copies the value: one copy
//!        v
//!  5  the working write buffer  VALUE a 0 3\r\nfoo\r\nEND\r\n        shared, too
//!        | write: one copy      (a value of 64 KiB and more goes from 3 to 6 directly)
//!        v
//!  6  the kernel's buffer
//! ```
//! A value is copied four times on its way in and out, twice of these by the kernel, and no memory
//! is allocated for it.
//!
//! ## Buffers
//!
//! Between two turns a connection usually has nothing unread and nothing unsent. So all connections
//! share *working buffers*, one for reading and one for writing, and an idle connection holds none:
//! it takes some 300 bytes. Only what a turn leaves over is kept, in a buffer of the connection's
//! own. `net/account.rs` counts these, and limits their sum (`--buffer-limit`).
//!
//! ## A record
//!
//! An item is one *record*: a header of 20 bytes (lengths, cas id, expiry, last access, and a few
//! marks, two bits of which count reads), the key, the value. `store/record.rs` has its layout as a
//! picture. Records follow each other with gaps of three bytes at most, so nothing is lost to size
//! classes, and nothing is freed one by one: a deleted record stays where it is, as a *dead* one,
//! until the log's tail comes to it.
//!
//! ## Growth
//!
//! An ordinary hash table that is full doubles, and moves all of its entries at once: with eight
//! million items that takes 1.8 seconds, in which no client is answered. Here the map is many small
//! tables, of about a hundred addresses each:
//!
//! ```text
//!   before   [t0] [t1] [t2] [t3]      a hash chooses a table by 2 bits: .. 00, 01, 10, 11
//!   96 more records: one more table; t0 is the next in turn, and is split by a third bit
//!   after    [t0] [t1] [t2] [t3] [t4]     of t0's addresses those with bit 0 stay, others move to t4
//!   then t1 is split into t1 and t5, and so on; after t3 all use 3 bits
//! ```
//! This is *linear hashing*. A lookup uses three bits, or two if the table that they name does not
//! exist yet. Each insertion moves the addresses of at most one small table, never more than 512
//! ([`REHASHED_MAX`]). The list of tables does not move: it gets its full capacity at the start. A
//! table has only addresses of 32 bits; the keys are compared in the records. **In the code**:
//! `store/map.rs`, `Map::insert` and `Map::split`.
//!
//! ## Overwriting
//!
//! A `set` of a key that exists writes over the old record *in place* if the new one fits there: in
//! the old one's bytes, or in these and the dead records directly after them. What is left over
//! becomes a *hole*. If it does not fit, the old record is marked dead, and the new one is appended
//! at the head of the same log (one above 64 KiB always in main). No reader can see half of a
//! value, because there is one thread, and a request is executed whole. No buffer points into the
//! store between two requests either: a large value that is sent from the store directly is sent,
//! or copied, before anything else is executed. **In the code**: `store/set.rs`, `Store::make_fit`
//! and `Store::set_elsewhere`.
//!
//! ## Eviction
//!
//! A log has a *head*, where records are appended, and a *tail*, at its oldest record. When a store
//! finds no free bytes, the tail moves over one record after the other until there are enough. What
//! happens to a record at the tail is the policy, which follows S3-FIFO:
//!
//! ```text
//!   new record
//!       |                  its key is in the ghost, or it is large
//!       +------------------------------------------------------------+
//!       v                                                            v
//!   probation ---- tail: was it read since it was stored? -- yes --> main ----+
//!                      | no                                          ^        | tail: was it read
//!                      v                                             |        | often enough?
//!                   evicted; the ghost keeps its fingerprint         +- yes --+ (its count falls by one)
//!                                                                             | no
//!                                                                             v
//!                                                                          evicted
//! ```
//! * *Probation* is small. Most keys are never read, and are evicted here, without having taken the
//!   room of better ones. So a scan over a million keys does not empty the cache.
//! * *Main* keeps what was read. A record at its tail that was read is moved to the head, once for
//!   each of up to three reads. A read counts for 1.4 times the mean size: a larger record needs
//!   more of them.
//! * The *ghost* knows the fingerprints of keys that were evicted from probation. If one is stored
//!   again soon, it was evicted too early, and goes to main at once.
//! * Until main has been full once, there is nothing to choose, and all new records go to main.
//!
//! ```
//! use miocached::store::{Attributes, Store};
//!
//! let now_s = 2;
//! let set = |store: &mut Store, key: &str| {
//!     let key = store.hashed_key(key.as_bytes());
//!     store.set(key, &[b'x'; 100], &Attributes::default(), now_s);
//! };
//! let has = |store: &mut Store, key: &str| {
//!     let key = store.hashed_key(key.as_bytes());
//!     store.get(key, now_s).is_some()
//! };
//! // One MiB has room for some 8,000 of these items.
//! let mut store = Store::new(1 << 20, true).unwrap();
//! set(&mut store, "popular");
//! assert!(has(&mut store, "popular"));
//! for number in 0..100_000 {
//!     set(&mut store, &format!("scanned {number}"));
//! }
//! assert!(has(&mut store, "popular"));
//! assert!(!has(&mut store, "scanned 90000"));
//! ```
//! An LRU list of this size would have lost `popular` after 8,000 stores.
//!
//! A `get` moves nothing: it raises a counter of two bits in the record's header. That is why a
//! read is so cheap. One store may move twice its own bytes of records that were read, and what
//! earlier stores have not used of this; beyond that such records are evicted, too. **In the
//! code**: `store/policy.rs`, `Store::move_tail` first; `store/ghost.rs`.
//!
//! ## Expiry
//!
//! An expired item is not shown, because every lookup compares its time with `now`. Its memory
//! comes back in one of three ways: the lookup that found it marks it dead; the tail passes it; or
//! the *sweep* finds it. The sweep is no thread and no timer: a call of the store, such as a `get`,
//! also looks through some records, in one table of the map after the other. `flush_all` is even
//! cheaper: each log notes the position of its head, and every record below that is flushed. **In
//! the code**: `store/flush.rs`, `store/sweep.rs`.
//!
//! ## How much it is in all
//!
//! | memory | limit |
//! |---|---|
//! | records, with keys and headers, and the ghost | `-m`, 64 MiB by default |
//! | the map | beside `-m`: a few bytes for each item |
//! | buffers of all connections | `--buffer-limit`, 64 MiB by default |
//! | connections | 264 bytes each, and up to 4,224 bytes of unread and unsent bytes free of charge |
//!
//! Next: [how to watch it](super::watching).
//!
//! [`REHASHED_MAX`]: crate::store::REHASHED_MAX
