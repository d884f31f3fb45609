//! One connection of the load: what is still to be sent on it, and what is still to come.
//!
//! Owns the socket and both directions' progress, and the end of a connection that lasts for one
//! request. Decides nothing: when to send is the generator's, what to send the flow's.

use std::collections::VecDeque;

use mio::{Interest, Registry, Token};

use super::answers::{Answers, Asked, Contents, Pending};
use super::socket::Socket;
use super::traffic::{Flow, Session, Work};
use crate::rig::failure::{Doing, Failure};
use crate::rig::server::Endpoint;

/// Bytes moved for one connection before the others get their turn, so that a large value does not
/// make us late in noticing a small answer. Also the size of the read buffer.
pub(crate) const TURN_BYTES: usize = 64 << 10;

/// Whether a connection can go on at once or has to wait for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Waits,
}

/// Where a connection is in its life; one that lasts stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// `quit` was sent, or will be; the server's close has not been seen.
    Quitting,
    Closed,
}

/// A connection of one flow.
pub(crate) struct Connection {
    socket: Socket,
    token: Token,
    /// Which of the generator's flows it belongs to.
    pub(crate) flow: usize,
    pub(crate) answers: Answers,
    /// Requests, of which the first `sent` bytes are gone.
    output: Vec<u8>,
    sent: usize,
    /// Bytes of the flow's streamed value that are still to follow.
    streamed_left: usize,
    /// Set once the socket has been full; from then on both directions are watched.
    watches_writable: bool,
    /// Whether it stands in the generator's queue.
    pub(crate) queued: bool,
    /// At a fixed pace: when the requests were due that wait until this one is answered.
    pub(crate) waiting: VecDeque<u64>,
    /// Items that were missing and are to be set next.
    missing: Vec<u32>,
    life: Life,
}

impl Connection {
    /// Connects and registers for reading.
    pub(crate) fn open(
        endpoint: &Endpoint,
        registry: &Registry,
        token: Token,
        flow: usize,
    ) -> Result<Self, Failure> {
        Ok(Self {
            socket: connected(endpoint, registry, token)?,
            token,
            flow,
            answers: Answers::default(),
            output: Vec::new(),
            sent: 0,
            streamed_left: 0,
            watches_writable: false,
            queued: false,
            waiting: VecDeque::new(),
            missing: Vec::new(),
            life: Life::Open,
        })
    }

    /// Connects again where the server has closed, as it was asked to.
    pub(crate) fn reopen(
        &mut self,
        endpoint: &Endpoint,
        registry: &Registry,
    ) -> Result<(), Failure> {
        if self.life == Life::Closed {
            // The old socket is closed with this, and with it leaves the event queue.
            self.socket = connected(endpoint, registry, self.token)?;
            (self.life, self.watches_writable) = (Life::Open, false);
        }
        Ok(())
    }

    /// Whether all was sent and all was answered, a `quit` included.
    pub(crate) fn is_idle(&self) -> bool {
        self.answers.due() == 0 && self.output.is_empty() && self.life != Life::Quitting
    }

    /// Whether there is anything to receive.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.answers.due() > 0 || self.life == Life::Quitting
    }

    /// Renders `count` requests whose latency counts from `since_ns`; missing items come first.
    pub(crate) fn ask(&mut self, flow: &mut Flow, count: usize, since_ns: u64) {
        for _ in 0..count {
            let asked = match self.missing.pop() {
                Some(index) => {
                    flow.wire.render_set(index, &mut self.output);
                    flow.tally.refills += 1;
                    Asked::Refill
                }
                None => flow.render_next(&mut self.output),
            };
            if asked == Asked::Set && flow.wire.streams() {
                self.streamed_left = flow.wire.streamed().len();
            }
            self.answers.expect(Pending { asked, since_ns });
        }
    }

    /// Sends what is to be sent, a turn's worth of it.
    pub(crate) fn send(&mut self, flow: &Flow, registry: &Registry) -> Result<Progress, Failure> {
        if self.output.is_empty() {
            return Ok(Progress::Waits);
        }
        let rest = &self.output[self.sent..];
        let written = if self.streamed_left == 0 {
            self.socket.write(rest)
        } else {
            let value = flow.wire.streamed();
            let value = &value[value.len() - self.streamed_left..];
            self.socket.write_two(rest, &value[..value.len().min(TURN_BYTES)])
        };
        let Some(size) = written.doing(|| "sending requests".into())? else {
            if !self.watches_writable {
                self.watches_writable = true;
                let both = Interest::READABLE | Interest::WRITABLE;
                registry
                    .reregister(&mut self.socket, self.token, both)
                    .doing(|| "watching a full connection".into())?;
            }
            return Ok(Progress::Waits);
        };
        let of_requests = size.min(rest.len());
        self.sent += of_requests;
        self.streamed_left -= size - of_requests;
        if self.sent < self.output.len() || self.streamed_left > 0 {
            return Ok(Progress::More);
        }
        self.output.clear();
        self.sent = 0;
        Ok(Progress::Waits)
    }

    /// Receives a turn's worth of answers, and hands completed requests to `done`.
    pub(crate) fn receive(
        &mut self,
        flow: &mut Flow,
        contents: Contents,
        input: &mut [u8],
        mut done: impl FnMut(&Pending),
    ) -> Result<Progress, Failure> {
        let received = self.socket.read(input).doing(|| "receiving answers".into())?;
        let size = match received {
            None => return Ok(Progress::Waits),
            Some(0) if self.life == Life::Quitting => {
                self.life = Life::Closed;
                return Ok(Progress::Waits);
            }
            Some(0) => return Err(Failure("the server closed the connection".to_string())),
            Some(size) => size,
        };
        let refills = flow.traffic.work == Work::CacheAside;
        let Flow { wire, ring, tally, .. } = flow;
        self.answers.advance(
            &input[..size],
            (wire, ring, contents),
            tally,
            |pending, missing| {
                if let Asked::Get { place, .. } = pending.asked
                    && refills
                    && missing > 0
                {
                    self.missing.push(ring.at(place));
                }
                done(pending);
            },
        )?;
        if flow.traffic.session == Session::PerRequest && self.answers.due() == 0 {
            self.life = Life::Quitting;
            self.output.extend_from_slice(b"quit\r\n");
            return Ok(Progress::More);
        }
        // A read that leaves room has emptied the socket; what comes later makes an event.
        let full = size == input.len() && self.answers.due() > 0;
        Ok(if full { Progress::More } else { Progress::Waits })
    }
}

fn connected(endpoint: &Endpoint, registry: &Registry, token: Token) -> Result<Socket, Failure> {
    let mut socket = Socket::connect(endpoint)?;
    registry
        .register(&mut socket, token, Interest::READABLE)
        .doing(|| "watching a connection".into())?;
    Ok(socket)
}
