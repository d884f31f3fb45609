//! Misbehaving clients for the soak test: kinds of misbehaviour in a random order.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::talkers::{LARGE_BYTES_MAX, Random, bytes_of};
use crate::harness::process::{Client, Server};

/// Stalled connections that one troublemaker keeps.
const STALLED_MAX: usize = 6;
/// How long it keeps each of them.
const STALL: Duration = Duration::from_secs(12);

/// A misbehaving client. All errors of its sockets are ignored: the server may have rejected it, or
/// closed its connection early.
pub(crate) struct Troublemaker {
    random: Random,
    stalled: Vec<(Client<TcpStream>, Instant)>,
    deaf: Vec<(Client<UnixStream>, Instant)>,
    /// Number of misbehaviours so far.
    pub(crate) made: u64,
}

impl Troublemaker {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { random: Random(seed | 1), stalled: Vec::new(), deaf: Vec::new(), made: 0 }
    }

    pub(crate) fn make_trouble(&mut self, server: &Server, path: &Path) {
        self.made += 1;
        self.stalled.retain(|(_, since)| since.elapsed() < STALL);
        self.deaf.retain(|(_, since)| since.elapsed() < STALL);
        let mut client = server.tcp();
        let half = self.half();
        match self.random.below(11) {
            0 => {
                let _ = client.stream.write_all(&half);
                client.reset();
            }
            1 => {
                let _ = client.stream.write_all(&half);
                let _ = client.stream.shutdown(Shutdown::Write);
                let _ = client.stream.read_to_end(&mut Vec::new());
            }
            // Requests and a close at once: the answers are not read.
            2 => drop(client.stream.write_all(&b"get large-1 large-2 k-1\n".repeat(20))),
            3 => self.make_noise(&mut client),
            4 => {
                let line = [b'x'; 4096];
                let _ = (0..300).try_for_each(|_| client.stream.write_all(&line));
            }
            5 if self.stalled.len() < STALLED_MAX => {
                let _ = client.stream.write_all(&half);
                self.stalled.push((client, Instant::now()));
            }
            6 if self.deaf.len() < STALLED_MAX => {
                let mut unix = Client::unix(path);
                let _ = unix.stream.write_all(&b"get large-3 large-4 large-5\n".repeat(3));
                self.deaf.push((unix, Instant::now()));
            }
            7 => {
                let refused = b"set toolarge 0 0 5000000\r\n";
                let _ = client.stream.write_all(refused);
                let _ = client.stream.write_all(&vec![b'x'; 200_000]);
                client.reset();
            }
            8 => {
                // More connections at once than the limit allows.
                let crowd: Vec<_> = (0..60).map(|_| server.tcp()).collect();
                crowd.into_iter().for_each(Client::reset);
            }
            9 => {
                // Watches everything and reads nothing, for a while or not at all.
                let watch = b"watch fetchers mutations evictions connevents deletions\r\n";
                let _ = client.stream.write_all(watch);
                if self.stalled.len() < STALLED_MAX {
                    self.stalled.push((client, Instant::now()));
                } else {
                    client.reset();
                }
            }
            _ => {
                let _ = client.stream.write_all(b"get k-1\r\nquit\r\nget k-1\r\n");
                let _ = client.stream.read_to_end(&mut Vec::new());
            }
        }
    }

    /// A request that is cut at a random place.
    fn half(&mut self) -> Vec<u8> {
        let large = self.random.below(3) == 0;
        let bytes = 1 + self.random.below(if large { LARGE_BYTES_MAX } else { 400 });
        let key = self.random.below(100);
        let name = if large { "large" } else { "k" };
        let mut request = format!("get k-1\r\nset {name}-{key} 0 0 {bytes}\r\n").into_bytes();
        request.extend(bytes_of(key, bytes));
        let end = 1 + self.random.below(request.len() as u64);
        request.truncate(usize::try_from(end).unwrap());
        request
    }

    fn make_noise(&mut self, client: &mut Client<TcpStream>) {
        let bytes = self.random.below(20_000);
        let noise: Vec<u8> = (0..bytes).map(|_| self.random.next().to_le_bytes()[0]).collect();
        let _ = client.stream.write_all(&noise);
        let _ = client.stream.shutdown(Shutdown::Write);
        let _ = client.stream.read_to_end(&mut Vec::new());
    }
}
