//! epoll on one page: levels, edges, and what each obliges a server to do.
//!
//! ## Why epoll
//!
//! A server with one thread must not wait for one client while others have sent something. So its
//! sockets are *non-blocking*: a `read` that finds nothing, and a `write` that finds the kernel's
//! buffer full, return at once with the error `EAGAIN`, which Rust calls `ErrorKind::WouldBlock`.
//! This guide says that the call *would block*.
//!
//! (A thread for each client would be simpler to write. But ten thousand threads have ten thousand
//! stacks, each request costs a switch of threads, and the map that they share needs a lock.)
//!
//! With ten thousand such sockets the server cannot try them all again and again. epoll is the part
//! of Linux that knows which of them are worth trying. It is an object of the kernel with two sets:
//!
//! ```text
//!   server                                  kernel: one epoll object
//!  +---------------------+   epoll_ctl     +-------------------------------------------+
//!  | connections by key  | --------------> | interest list   socket 7 -> token 0, IN   |
//!  |   0 -> socket 7     |  add, modify,   |                 socket 8 -> token 1, IN   |
//!  |   1 -> socket 8     |  delete         |                                           |
//!  |                     |   epoll_wait    |                                           |
//!  |  events: [(1, IN)]  | <-------------- | ready list      socket 8                  |
//!  +---------------------+  sleeps while   +-------------------------------------------+
//!                           it is empty                     ^
//!                                              bytes arrive for socket 8
//! ```
//! * `epoll_ctl` adds a socket to the *interest list*, with the kinds of events that are wanted and
//!   a number of the server's choice, the *token*. epoll does not look at the token; it only
//!   returns it.
//! * `epoll_wait` sleeps until the *ready list* is not empty, or until a timeout. It returns a
//!   batch of events, each with a token and bits: `EPOLLIN` (a read will not block), `EPOLLOUT` (a
//!   write will not block), `EPOLLRDHUP` (the peer has sent its last byte), `EPOLLERR` and
//!   `EPOLLHUP` (the connection is broken, or closed at both ends).
//!
//! The kernel does not read and does not write for the server. It only reports that this is worth
//! trying. The loop is therefore always the same: wait, and for each event read, answer, write.
//!
//! ## Level and edge
//!
//! epoll has two modes. *Level-triggered*, the default, reports a socket in each `epoll_wait` for
//! as long as it has unread bytes. *Edge-triggered* (`EPOLLET`) reports it once each time that
//! bytes arrive:
//!
//! | what happens | unread bytes | next `epoll_wait`, level-triggered | edge-triggered |
//! |---|---|---|---|
//! | 10 bytes arrive | 10 | reports it | reports it |
//! | the server reads 4 of them | 6 | reports it again | **sleeps** |
//! | 3 bytes arrive | 9 | reports it | reports it |
//! | the server reads all 9 | 0 | sleeps | sleeps |
//!
//! The second row is the difficulty. Six bytes wait in the kernel, and no event will report them.
//! The same holds for the other direction: `EPOLLOUT` is reported once, when a full buffer gets
//! room. This example goes through the table's rows, and is run as a test:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::time::Duration;
//!
//! use mio::net::UnixStream;
//! use mio::{Events, Interest, Poll, Token};
//!
//! let (mut client, mut socket) = UnixStream::pair()?;
//! let mut poll = Poll::new()?;
//! poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
//! let mut events = Events::with_capacity(8);
//! // Events now, without waiting for more.
//! let mut count = || -> std::io::Result<usize> {
//!     poll.poll(&mut events, Some(Duration::ZERO))?;
//!     Ok(events.iter().count())
//! };
//!
//! client.write_all(b"ten bytes.")?;
//! assert_eq!(count()?, 1);
//! assert_eq!(socket.read(&mut [0; 4])?, 4);
//! assert_eq!(count()?, 0); // Six bytes are unread, and no event reports them.
//! client.write_all(b"abc")?;
//! assert_eq!(count()?, 1);
//! assert_eq!(socket.read(&mut [0; 64])?, 9);
//! assert_eq!(count()?, 0);
//! # std::io::Result::Ok(())
//! ```
//!
//! ## What each mode obliges to
//!
//! **Levels**: a server must silence every event that it does not want to act on. A socket whose
//! send buffer has room is writable all the time: a server that keeps `EPOLLOUT` in its interest
//! never sleeps. And a server that does not want to read from a client for a while must
//! remove `EPOLLIN` by a system call, and add it again by another.
//!
//! **Edges**: it must silence nothing, and must forget nothing. What an event has reported stays
//! true until a call would block, and the kernel does not report it again. That makes seven duties.
//! The [table in `net`](crate::net#edge-triggered-readiness) names the function that does each of
//! them here; [the next chapters](super::steps) show what happens without it.
//!
//! 1. *Remember* that a socket is readable or writable until a call on it would block. Here the
//!    event sets a flag of the connection, which is called *latching* it.
//! 2. *Read on* while the socket may have more. A read that fills its buffer says nothing about the
//!    rest; a read that is shorter has emptied the socket.
//! 3. *Expect the end after the last bytes.* If the FIN came together with data, the read returns
//!    the data and is short. Only the next read returns 0, and no event asks for it. (A FIN that
//!    comes after the read raises an edge of its own.)
//! 4. *Keep a run queue.* A server that stops in the middle, to let others have their turn, must
//!    come back by itself. While the queue is not empty, it must not sleep.
//! 5. *Accept on.* One event of a listener may stand for many clients.
//! 6. *Ask for write events only while something is unsent*: others wake the server for nothing.
//! 7. *Close nothing before the batch has been read.* The kernel forgets a closed socket, but the
//!    batch in the server's memory may still have an event with its token.
//!
//! The reward: a client that is held back costs nothing. It is left alone, its flag stays set, and
//! no system call is needed to stop and to go on.
//!
//! ## What mio does
//!
//! [mio](https://docs.rs/mio) is a thin layer over epoll, and over kqueue on macOS and the BSDs.
//! With it no `unsafe` is needed.
//!
//! | mio | system call | note |
//! |---|---|---|
//! | `Poll::new` | `epoll_create1` | |
//! | `Registry::register` | `epoll_ctl`, add | always with `EPOLLET`: mio has no level-triggered mode. What is ready already is reported, too |
//! | `Registry::reregister` | `epoll_ctl`, modify | what is ready already is reported here, too, so room that came after the last write is not missed |
//! | drop of a socket | `close` | removes it from the interest list, too |
//! | `Poll::poll` | `epoll_wait` | fills `Events`; returns `EINTR` to the caller |
//! | `Interest::READABLE` | `EPOLLIN`, `EPOLLRDHUP` | `Event::is_read_closed` reports the second |
//! | `TcpListener::accept` | `accept4` | the new socket is non-blocking already |
//!
//! It has no buffers, no timers, no threads, and calls nothing back. These are the system calls of
//! this server from its start to the end of its first client, who sends three requests, then one
//! request and the end of its input (`strace`, shortened):
//!
//! ```text
//! epoll_create1(EPOLL_CLOEXEC) = 6
//! epoll_ctl(6, EPOLL_CTL_ADD, 5, {events=EPOLLIN|EPOLLRDHUP|EPOLLET, u64=9223372036854775807}) = 0
//! epoll_wait(6, [{events=EPOLLIN, u64=9223372036854775807}], 1024, -1) = 1
//! accept4(5, .., SOCK_CLOEXEC|SOCK_NONBLOCK) = 7
//! epoll_ctl(6, EPOLL_CTL_ADD, 7, {events=EPOLLIN|EPOLLPRI|EPOLLRDHUP|EPOLLET, u64=0}) = 0
//! accept4(5, ..) = -1 EAGAIN (Resource temporarily unavailable)
//! epoll_wait(6, [{events=EPOLLIN, u64=0}], 1024, -1) = 1
//! recvfrom(7, "get a\nget a\nget a\n", 16384, ..) = 18
//! sendto(7, "END\nEND\nEND\n", 12, ..) = 12
//! epoll_wait(6, [{events=EPOLLIN, u64=0}], 1024, -1) = 1
//! recvfrom(7, "get b\n", 16384, ..) = 6
//! sendto(7, "END\n", 4, ..) = 4
//! epoll_wait(6, [{events=EPOLLIN|EPOLLRDHUP, u64=0}], 1024, -1) = 1
//! recvfrom(7, "", 16384, ..) = 0
//! close(7) = 0
//! epoll_wait(6, ..
//! ```
//! The listener is socket 5; its token is far above those of connections. The client is socket 7,
//! and its token is 0, its key in the table of connections. `epoll_wait`'s `-1` is no timeout.
//! (`EPOLLPRI` announces urgent data, which also makes a read short although more bytes follow.)
//!
//! The manual page [epoll(7)](https://man7.org/linux/man-pages/man7/epoll.7.html) says all of this
//! in the kernel's words. Next: [a server in one file](super::server).
