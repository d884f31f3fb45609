//! Recorded steps as a file of Chrome's trace event format, which ui.perfetto.dev and chrome://tracing
//! open.
//!
//! The event loop is a track (`tid` 1), and each connection another (`tid` 10 and up), named by its number
//! in the log. A later connection with the same number has the same track.
//!
//! * The loop alternates between slices `poll` and `turn`. In a turn there is a slice for each
//!   connection's turn and each accept.
//! * A connection's turn is a slice with its steps in it: `read`, `execute`, `write`, ... Between two
//!   turns a slice says what it waits for, unless that is input.
//! * Everything else is an instant: events of epoll, memory granted, evictions.
//!
//! A step is recorded when it is done. So a slice begins where the step before it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Write as _};
use std::mem;

use super::Wait;
use super::recorder::{Event, Ring, Step};

/// Bytes of text that a step may add: the end of a wait and of a turn on two tracks, and a track's name.
/// The beginning of the file takes no more.
pub const STEP_TEXT_BYTES_MAX: usize = 768;
/// The loop's track.
const LOOP: u32 = 1;
/// Connection `n` has this track plus `n`.
const FIRST_CONNECTION: u32 = 10;

/// A slice or an instant, before it is written.
struct Mark {
    name: Name,
    from_ns: u64,
    /// None for an instant.
    to_ns: Option<u64>,
    args: Args,
}

enum Name {
    Text(&'static str),
    Connection(u32),
}

/// What a viewer shows of a slice that is clicked on: a name and a number or text, twice at most.
#[derive(Clone, Copy, Default)]
struct Args([Option<(&'static str, Value)>; 2]);

#[derive(Clone, Copy)]
enum Value {
    Number(u64),
    Text(&'static str),
}

/// A turn of the loop or of a connection that has not ended yet.
struct Open {
    from_ns: u64,
    marks: Vec<Mark>,
}

/// A connection between two turns. Its instants are written after the slice that they are in.
struct Waiting {
    from_ns: u64,
    wait: Wait,
    unsent_bytes: u32,
    instants: Vec<Mark>,
}

/// Recorded steps that are being written.
pub struct Export {
    steps: Ring,
    /// Steps that have been written.
    done: usize,
    pid: u32,
    /// Where the step before ended, and so the next one begins.
    step_ns: u64,
    poll: Option<(u64, Args)>,
    turn: Option<(Open, Args)>,
    drive: Option<(u32, Open)>,
    /// Evictions before the first step of a connection's turn.
    unclaimed: Vec<Mark>,
    /// The waits that have not ended, by connection.
    waits: BTreeMap<u32, Waiting>,
    /// The recording was interrupted then, or has ended: the waits end.
    interrupted_ns: Option<u64>,
    named: BTreeSet<u32>,
    dropped: u64,
    begun: bool,
}

impl Export {
    pub(super) fn new((steps, dropped): (Ring, u64)) -> Self {
        let polls = |number: &usize| matches!(steps.get(*number).step, Step::Polls { .. });
        Self {
            // A turn whose beginning was dropped is left out.
            done: (0..steps.len()).find(polls).unwrap_or(steps.len()),
            steps,
            pid: std::process::id(),
            step_ns: 0,
            poll: None,
            turn: None,
            drive: None,
            unclaimed: Vec::new(),
            waits: BTreeMap::new(),
            interrupted_ns: None,
            named: BTreeSet::new(),
            dropped,
            begun: false,
        }
    }

    /// Appends the next `steps_max` steps to `text`. False if none is left: then the text is complete.
    /// The end of a wait is as much work as a step, and counts as one.
    pub fn write(&mut self, text: &mut String, steps_max: usize) -> bool {
        if !mem::replace(&mut self.begun, true) {
            self.begin(text);
        }
        for _ in 0..steps_max {
            if let Some(end_ns) = self.interrupted_ns
                && let Some((key, waiting)) = self.waits.pop_first()
            {
                self.write_wait(key, waiting, end_ns, text);
            } else if self.done < self.steps.len() {
                self.interrupted_ns = None;
                self.step(self.steps.get(self.done), text);
                self.done += 1;
            } else if self.interrupted_ns.is_none() {
                self.interrupt(text);
            } else {
                text.push_str("\n]}\n");
                return false;
            }
        }
        true
    }

    /// The steps, for the recorder.
    pub(super) fn into_steps(self) -> Ring {
        self.steps
    }

    fn begin(&mut self, text: &mut String) {
        let (version, dropped) = (env!("CARGO_PKG_VERSION"), self.dropped + self.done as u64);
        write_in(
            text,
            format_args!(
                "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"miocached\":\"{version}\",\
                 \"dropped_steps\":{dropped}}},\"traceEvents\":[\n\
                 {{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{pid},\"tid\":{LOOP},\
                 \"args\":{{\"name\":\"miocached\"}}}}",
                pid = self.pid,
            ),
        );
        self.name_track(LOOP, &"event loop", text);
    }

    /// Ends what is open at the last step. The waits are left to [`Self::write`], because there may be as
    /// many as connections.
    fn interrupt(&mut self, text: &mut String) {
        self.end_drive(self.step_ns, text);
        self.end_turn(self.step_ns, text);
        self.end_poll(self.step_ns, text);
        self.interrupted_ns = Some(self.step_ns);
    }

    fn step(&mut self, Event { ns, step }: Event, text: &mut String) {
        match step {
            Step::Polls { timeout_ms } => {
                self.end_drive(ns, text);
                self.end_turn(ns, text);
                self.end_poll(ns, text);
                let args = timeout_ms.map_or_else(Args::default, |ms| number("timeout_ms", ms));
                self.poll = Some((ns, args));
            }
            Step::Turn { number: turn, events } => {
                self.end_poll(ns, text);
                let args = number("turn", turn).and("events", Value::Number(events.into()));
                self.turn = Some((Open { from_ns: ns, marks: Vec::new() }, args));
            }
            Step::Resumed => self.interrupt(text),
            Step::Signal { name } => self.loop_mark(Mark::at(ns, name, Args::default())),
            Step::ListenerReady => {
                self.loop_mark(Mark::at(ns, "listener readable", Args::default()));
            }
            Step::Accepted { key, port } => {
                self.loop_mark(self.slice(ns, "accept", number("connection", key)));
                self.instant(key, Mark::at(ns, "connected", number("peer_port", port)), text);
            }
            Step::AcceptWouldBlock => {
                self.loop_mark(self.slice(ns, "accept: would block", Args::default()));
            }
            Step::DeadlinePassed { key, which } => {
                self.instant(key, Mark::at(ns, "deadline", reason(which)), text);
            }
            Step::Granted { key } => {
                self.instant(key, Mark::at(ns, "memory granted", Args::default()), text);
            }
            Step::Ready { key, readable, writable, closed } => {
                let name = match (readable, writable, closed) {
                    (_, _, true) => "closed by the peer",
                    (true, true, _) => "readable, writable",
                    (false, true, _) => "writable",
                    (_, false, _) => "readable",
                };
                self.instant(key, Mark::at(ns, name, Args::default()), text);
            }
            Step::Evicted { items, bytes } => {
                let args = number("items", items).and("value_bytes", Value::Number(bytes));
                self.claim(Mark::at(ns, "evicts", args));
                return;
            }
            Step::Expired { items } => {
                self.claim(Mark::at(ns, "removes expired items", number("items", items)));
                return;
            }
            Step::Reads { .. }
            | Step::ReadsEnd { .. }
            | Step::Peeks { .. }
            | Step::Executes { .. }
            | Step::Writes { .. }
            | Step::WouldBlock { .. }
            | Step::WaitsForMemory { .. }
            | Step::Next { .. }
            | Step::Closed { .. } => self.connection_step(Event { ns, step }, text),
        }
        self.step_ns = ns;
    }

    /// A step within a connection's turn.
    fn connection_step(&mut self, Event { ns, step }: Event, text: &mut String) {
        let (key, mark) = match step {
            Step::Reads { key, bytes } => (key, self.slice(ns, "read", number("bytes", bytes))),
            Step::ReadsEnd { key } => (key, self.slice(ns, "read: end of input", Args::default())),
            Step::Peeks { key, bytes } => (key, self.slice(ns, "peek", number("bytes", bytes))),
            Step::Executes { key, bytes } => {
                (key, self.slice(ns, "execute", number("request_bytes", bytes)))
            }
            Step::Writes { key, bytes, of } => {
                let args = number("bytes", bytes).and("of", Value::Number(of.into()));
                (key, self.slice(ns, if bytes < of { "write in part" } else { "write" }, args))
            }
            Step::WouldBlock { key, call } => {
                (key, self.slice(ns, "would block", Args::default().and("call", Value::Text(call))))
            }
            Step::WaitsForMemory { key, bytes } => {
                (key, Mark::at(ns, "no buffer memory", number("wanted_bytes", bytes)))
            }
            Step::Closed { key, why } => (key, Mark::at(ns, "closed", reason(why))),
            Step::Next { key, wait, bytes } => {
                self.drive(key, text);
                self.end_drive(ns, text);
                if wait != Wait::Input {
                    let instants = Vec::new();
                    let waiting = Waiting { from_ns: ns, wait, unsent_bytes: bytes, instants };
                    self.waits.insert(key, waiting);
                }
                return;
            }
            Step::Polls { .. }
            | Step::Turn { .. }
            | Step::Signal { .. }
            | Step::ListenerReady
            | Step::Accepted { .. }
            | Step::AcceptWouldBlock
            | Step::Ready { .. }
            | Step::Granted { .. }
            | Step::DeadlinePassed { .. }
            | Step::Evicted { .. }
            | Step::Expired { .. }
            | Step::Resumed => return,
        };
        self.drive(key, text).push(mark);
        if let Step::Closed { .. } = step {
            self.end_drive(ns, text);
        }
    }

    /// What the current turn of this connection consists of. Begins one at the step before, which ends
    /// the connection's wait.
    fn drive(&mut self, key: u32, text: &mut String) -> &mut Vec<Mark> {
        if self.drive.as_ref().is_some_and(|(other, _)| *other != key) {
            self.end_drive(self.step_ns, text);
        }
        if self.drive.is_none()
            && let Some(waiting) = self.waits.remove(&key)
        {
            self.write_wait(key, waiting, self.step_ns, text);
        }
        let (from_ns, unclaimed) = (self.step_ns, &mut self.unclaimed);
        let open = || (key, Open { from_ns, marks: mem::take(unclaimed) });
        &mut self.drive.get_or_insert_with(open).1.marks
    }

    /// Puts an eviction into the connection's turn in which it happens.
    fn claim(&mut self, mark: Mark) {
        match &mut self.drive {
            Some((_, open)) => open.marks.push(mark),
            None => self.unclaimed.push(mark),
        }
    }

    fn loop_mark(&mut self, mark: Mark) {
        if let Some((open, _)) = &mut self.turn {
            open.marks.push(mark);
        }
    }

    /// A slice from the step before to `to_ns`.
    const fn slice(&self, to_ns: u64, name: &'static str, args: Args) -> Mark {
        Mark { name: Name::Text(name), from_ns: self.step_ns, to_ns: Some(to_ns), args }
    }

    fn end_poll(&mut self, to_ns: u64, text: &mut String) {
        if let Some((from_ns, args)) = self.poll.take() {
            let mark = Mark { name: Name::Text("poll"), from_ns, to_ns: Some(to_ns), args };
            self.write_track(LOOP, &mark, text);
        }
    }

    fn end_turn(&mut self, to_ns: u64, text: &mut String) {
        for mark in mem::take(&mut self.unclaimed) {
            self.loop_mark(mark);
        }
        if let Some((open, args)) = self.turn.take() {
            self.write_open(LOOP, open, to_ns, args, text);
        }
    }

    fn end_drive(&mut self, to_ns: u64, text: &mut String) {
        if let Some((key, open)) = self.drive.take() {
            let (name, from_ns) = (Name::Connection(key), open.from_ns);
            let args = Args::default();
            self.loop_mark(Mark { name, from_ns, to_ns: Some(to_ns), args });
            self.name_connection(key, text);
            self.write_open(FIRST_CONNECTION.saturating_add(key), open, to_ns, args, text);
        }
    }

    /// A turn, before the marks in it.
    fn write_open(&self, tid: u32, open: Open, to_ns: u64, args: Args, text: &mut String) {
        let Open { from_ns, mut marks } = open;
        let turn = Mark { name: Name::Text("turn"), from_ns, to_ns: Some(to_ns), args };
        self.write_track(tid, &turn, text);
        marks.sort_by_key(|mark| mark.from_ns);
        for mark in &marks {
            self.write_track(tid, mark, text);
        }
    }

    fn write_wait(&mut self, key: u32, waiting: Waiting, to_ns: u64, text: &mut String) {
        let Waiting { from_ns, wait, unsent_bytes, instants } = waiting;
        let args =
            if unsent_bytes > 0 { number("unsent_bytes", unsent_bytes) } else { Args::default() };
        let wait = Mark { name: Name::Text(wait.text()), from_ns, to_ns: Some(to_ns), args };
        for mark in [wait].iter().chain(&instants) {
            self.write_mark(key, mark, text);
        }
    }

    /// Something that happens to a connection between its turns.
    fn instant(&mut self, key: u32, mark: Mark, text: &mut String) {
        match self.waits.get_mut(&key) {
            Some(waiting) => waiting.instants.push(mark),
            None => self.write_mark(key, &mark, text),
        }
    }

    fn write_mark(&mut self, key: u32, mark: &Mark, text: &mut String) {
        self.name_connection(key, text);
        self.write_track(FIRST_CONNECTION.saturating_add(key), mark, text);
    }

    fn name_connection(&mut self, key: u32, text: &mut String) {
        if self.named.insert(key) {
            self.name_track(
                FIRST_CONNECTION.saturating_add(key),
                &format_args!("connection #{key}"),
                text,
            );
        }
    }

    fn name_track(&self, tid: u32, name: &dyn Display, text: &mut String) {
        let pid = self.pid;
        write_in(
            text,
            format_args!(
                ",\n{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\
                 \"args\":{{\"name\":\"{name}\"}}}},\n{{\"name\":\"thread_sort_index\",\"ph\":\"M\",\
                 \"pid\":{pid},\"tid\":{tid},\"args\":{{\"sort_index\":{tid}}}}}"
            ),
        );
    }

    fn write_track(&self, tid: u32, Mark { name, from_ns, to_ns, args }: &Mark, text: &mut String) {
        let (pid, ts, cat) =
            (self.pid, Us(*from_ns), if tid == LOOP { "loop" } else { "connection" });
        write_in(text, format_args!(",\n{{\"name\":\"{name}\",\"cat\":\"{cat}\","));
        match to_ns {
            Some(to_ns) => {
                let dur = Us(to_ns - from_ns);
                write_in(text, format_args!("\"ph\":\"X\",\"ts\":{ts},\"dur\":{dur},"));
            }
            None => write_in(text, format_args!("\"ph\":\"i\",\"s\":\"t\",\"ts\":{ts},")),
        }
        write_in(text, format_args!("\"pid\":{pid},\"tid\":{tid},\"args\":{{{args}}}}}"));
    }
}

/// Appends to a string, which does not fail.
fn write_in(text: &mut String, arguments: fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

impl Mark {
    /// An instant.
    const fn at(ns: u64, name: &'static str, args: Args) -> Self {
        Self { name: Name::Text(name), from_ns: ns, to_ns: None, args }
    }
}

impl Args {
    const fn and(self, name: &'static str, value: Value) -> Self {
        match self.0 {
            [None, _] => Self([Some((name, value)), None]),
            [first, _] => Self([first, Some((name, value))]),
        }
    }
}

fn number(name: &'static str, value: impl Into<u64>) -> Args {
    Args::default().and(name, Value::Number(value.into()))
}

fn reason(why: &'static str) -> Args {
    Args::default().and("reason", Value::Text(why))
}

impl Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().flatten().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match value {
                Value::Number(value) => write!(f, "\"{name}\":{value}")?,
                // Our own words, in which nothing needs to be escaped.
                Value::Text(value) => write!(f, "\"{name}\":\"{value}\"")?,
            }
        }
        Ok(())
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Connection(key) => write!(f, "#{key}"),
        }
    }
}

/// Nanoseconds, shown as microseconds.
struct Us(u64);

impl Display for Us {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::Recorder;
    use super::*;

    /// However many connections wait when the recording ends, or is interrupted, a part has as much text
    /// as its steps may have.
    #[test]
    fn many_waits_are_written_in_parts() {
        const CROWD: u32 = 5000;
        const STEPS: usize = 100;
        let mut recorder = Recorder::new(4 * CROWD as usize);
        recorder.add(Step::Polls { timeout_ms: None });
        for interrupted in [true, false] {
            for key in 0..CROWD {
                recorder.add(Step::Next { key, wait: Wait::Reader, bytes: u32::MAX });
            }
            if interrupted {
                recorder.add(Step::Resumed);
            }
        }
        let mut export = Export::new(recorder.lend());
        let (mut text, mut all, mut has_more) = (String::new(), String::new(), true);
        while has_more {
            text.clear();
            has_more = export.write(&mut text, STEPS);
            assert!(text.len() <= (STEPS + 1) * STEP_TEXT_BYTES_MAX, "{} bytes", text.len());
            all.push_str(&text);
        }
        let waits = all.matches(Wait::Reader.text()).count();
        assert_eq!(waits, 2 * CROWD as usize);
        assert!(all.ends_with("\n]}\n"));
    }
}
