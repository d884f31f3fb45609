//! `tiny`: a cache server over mio in one file, with the six faults of most first servers.
//!
//! It speaks the simple dialect: `get <key>...`, `set <key> <bytes>` with the value on the next line,
//! and `quit`. A line ends in LF. Each fault is marked at its place by its name:
//!
//! 1. one read: it reads once per event;
//! 2. one accept: it accepts once per event, and ends when accepting fails;
//! 3. busy write: it repeats a write until the client has read enough;
//! 4. no limits: neither the input nor the answers of a client have a limit;
//! 5. from the start: after each read it searches all of the input for the end of a line;
//! 6. hard close: it closes a socket that has unread input.
//!
//! `cargo run --example tiny` listens on 127.0.0.1:11311, `cargo run --example tiny -- PORT` elsewhere.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

/// The token of the listener. A connection's token is its key in the slab.
const LISTENER: Token = Token(usize::MAX);
/// Bytes of one read.
const READ_BYTES: usize = 4096;

/// The values under their keys.
type Items = HashMap<Vec<u8>, Vec<u8>>;

/// One client.
struct Connection {
    socket: TcpStream,
    /// What has been read and not yet executed: the beginning of a request.
    input: Vec<u8>,
}

/// What stands at the start of the input.
enum Executed {
    /// Part of a request. More must be read.
    Incomplete,
    /// A request of so many bytes, which has been answered.
    Done(usize),
    /// The end of the conversation.
    Quit,
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "11311".into());
    let address = format!("127.0.0.1:{port}").parse().map_err(|_| ErrorKind::InvalidInput)?;
    serve(TcpListener::bind(address)?)
}

/// The event loop: waits for events, and handles one after the other.
pub(crate) fn serve(mut listener: TcpListener) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(128);
    let mut connections = Slab::new();
    let mut items = Items::new();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    eprintln!("tiny: listening on {}", listener.local_addr()?);
    eprintln!("limits: none");
    loop {
        match poll.poll(&mut events, None) {
            // The process was stopped and continued, for example.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            done => done?,
        }
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &mut connections, poll.registry())?,
                Token(key) => {
                    let Some(connection) = connections.get_mut(key) else { continue };
                    if !matches!(converse(connection, &mut items), Ok(true)) {
                        // Fault 6, hard close: this closes the socket. If the kernel has unread bytes
                        // for it, it sends a reset, and drops the answers that are not sent yet.
                        connections.remove(key);
                    }
                }
            }
        }
    }
}

/// Accepts a client.
fn accept(
    listener: &TcpListener,
    connections: &mut Slab<Connection>,
    registry: &Registry,
) -> io::Result<()> {
    // Fault 2, one accept: one event may report several clients, and the others wait for the next
    // event. An error, such as EMFILE (no free descriptor), is returned to `main` and ends the server.
    let (mut socket, _) = listener.accept()?;
    // Answers are sent at once, and not held back until the client has acknowledged earlier ones.
    let _ = socket.set_nodelay(true);
    let entry = connections.vacant_entry();
    registry.register(&mut socket, Token(entry.key()), Interest::READABLE)?;
    entry.insert(Connection { socket, input: Vec::new() });
    Ok(())
}

/// Handles an event of a client. Returns false when the connection is to be closed.
fn converse(connection: &mut Connection, items: &mut Items) -> io::Result<bool> {
    let Connection { socket, input } = connection;
    // Fault 1, one read: what is left in the kernel's buffer, the end of input included, waits for an
    // event, which comes only when the client sends more.
    let mut bytes = [0; READ_BYTES];
    match socket.read(&mut bytes) {
        Ok(0) => return Ok(false),
        // Fault 4, no limits: a client may send a line or a value without an end.
        Ok(count) => input.extend_from_slice(&bytes[..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    }
    // Fault 4 again: all requests are executed before the first answer is sent.
    let mut answers = Vec::new();
    let goes_on = loop {
        match execute(input, items, &mut answers) {
            Executed::Incomplete => break true,
            Executed::Done(used) => drop(input.drain(..used)),
            Executed::Quit => break false,
        }
    };
    send(socket, &answers)?;
    Ok(goes_on)
}

/// Executes the request at the start of the input.
fn execute(input: &[u8], items: &mut Items, answers: &mut Vec<u8>) -> Executed {
    // Fault 5, from the start: bytes that an earlier call has searched are searched again.
    let Some(line_end) = input.iter().position(|&byte| byte == b'\n') else {
        return Executed::Incomplete;
    };
    let mut used = line_end + 1;
    let words = input[..line_end].split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let words: Vec<&[u8]> = words.collect();
    match words[..] {
        [b"get", ref keys @ ..] if !keys.is_empty() => {
            for &key in keys {
                if let Some(value) = items.get(key) {
                    let bytes = value.len().to_string();
                    let pieces: [&[u8]; 7] =
                        [b"VALUE ", key, b" ", bytes.as_bytes(), b"\n", value, b"\n"];
                    answers.extend(pieces.concat());
                }
            }
            answers.extend(b"END\n");
        }
        [b"set", key, bytes] => match str::from_utf8(bytes).unwrap_or("").parse::<u32>() {
            Ok(bytes) => {
                let value_end = used + bytes as usize;
                match input.get(value_end) {
                    None => return Executed::Incomplete,
                    Some(b'\n') => {
                        items.insert(key.to_vec(), input[used..value_end].to_vec());
                        answers.extend(b"STORED\n");
                    }
                    Some(_) => answers.extend(b"CLIENT_ERROR bad data chunk\n"),
                }
                used = value_end + 1;
            }
            Err(_) => answers.extend(b"CLIENT_ERROR bad command line format\n"),
        },
        [b"get" | b"set", ..] => answers.extend(b"CLIENT_ERROR bad command line format\n"),
        [b"quit"] => return Executed::Quit,
        _ => answers.extend(b"ERROR\n"),
    }
    Executed::Done(used)
}

/// Sends all of the answers.
fn send(socket: &mut TcpStream, mut answers: &[u8]) -> io::Result<()> {
    while !answers.is_empty() {
        match socket.write(answers) {
            Ok(count) => answers = &answers[count..],
            // Fault 3, busy write: the client does not read, so the kernel's buffer is full. The loop
            // keeps the processor busy, and all other clients wait.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
