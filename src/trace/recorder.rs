//! The steps that `--trace-file` records: a ring of the last ones in memory, with the time of each.
//!
//! A step is a turn, a system call, or something that happened to a connection; never a request. So a
//! pipeline of fifty requests is recorded in as many steps as a single one. No step holds a key or a
//! value.

use std::collections::TryReserveError;
use std::mem;
use std::time::{Duration, Instant};

use super::Wait;

/// Steps that are kept: 8 MiB of memory. At 100,000 turns a second they last for a third of a second.
pub(super) const STEPS_MAX: usize = 1 << 18;

/// A step of the event loop. `key` is the number of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The turn has ended, and the loop polls.
    Polls {
        timeout_ms: Option<u32>,
    },
    /// The poll has returned, and a turn begins.
    Turn {
        number: u64,
        events: u32,
    },
    Signal {
        name: &'static str,
    },
    ListenerReady,
    Accepted {
        key: u32,
        port: u16,
    },
    AcceptWouldBlock,
    Ready {
        key: u32,
        readable: bool,
        writable: bool,
        closed: bool,
    },
    Reads {
        key: u32,
        bytes: u32,
    },
    ReadsEnd {
        key: u32,
    },
    Peeks {
        key: u32,
        bytes: u32,
    },
    Executes {
        key: u32,
        bytes: u32,
    },
    Writes {
        key: u32,
        bytes: u32,
        of: u32,
    },
    WouldBlock {
        key: u32,
        call: &'static str,
    },
    WaitsForMemory {
        key: u32,
        bytes: u32,
    },
    Granted {
        key: u32,
    },
    DeadlinePassed {
        key: u32,
        which: &'static str,
    },
    /// The connection's turn ends. `bytes` of answers are unsent.
    Next {
        key: u32,
        wait: Wait,
        bytes: u32,
    },
    Closed {
        key: u32,
        why: &'static str,
    },
    /// Items that were evicted one after the other.
    Evicted {
        items: u32,
        bytes: u64,
    },
    /// Expired items that were removed one after the other.
    Expired {
        items: u32,
    },
    /// Steps before this one were not recorded, because the recording was being written.
    Resumed,
}

/// A step with its time, in nanoseconds since the start of the recording. A step is recorded when it is
/// done, so what it took is the time since the step before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) ns: u64,
    pub(super) step: Step,
}

const _: () = assert!(size_of::<Event>() == 32);

/// The last steps.
#[derive(Default)]
pub(super) struct Ring {
    /// When all places are in use, the oldest step is at `oldest`.
    events: Vec<Event>,
    oldest: usize,
}

impl Ring {
    pub(super) const fn len(&self) -> usize {
        self.events.len()
    }

    /// The step with this number; the oldest one has number 0.
    pub(super) fn get(&self, number: usize) -> Event {
        self.events[(self.oldest + number) % self.events.len()]
    }
}

/// See the module.
pub(super) struct Recorder {
    started: Instant,
    ring: Ring,
    steps_max: usize,
    /// Steps that were dropped.
    dropped: u64,
}

impl Recorder {
    /// A recorder of the last `steps_max` steps.
    pub(super) fn new(steps_max: usize) -> Self {
        Self {
            started: Instant::now(),
            ring: Ring { events: Vec::with_capacity(steps_max), oldest: 0 },
            steps_max,
            dropped: 0,
        }
    }

    /// Nanoseconds since the start of the recording.
    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Records a step that has just been done.
    pub(super) fn add(&mut self, step: Step) {
        if !self.joins_last(step) {
            let ns = self.now_ns();
            self.push(Event { ns, step });
        }
    }

    /// Adds an eviction to those before it, if nothing else has happened in between.
    fn joins_last(&mut self, step: Step) -> bool {
        let Ring { events, oldest } = &mut self.ring;
        let last = if *oldest > 0 { *oldest - 1 } else { events.len().wrapping_sub(1) };
        let Some(last) = events.get_mut(last) else { return false };
        match (&mut last.step, step) {
            (Step::Evicted { items, bytes }, Step::Evicted { bytes: more, .. }) => {
                *items += 1;
                *bytes += more;
                true
            }
            (Step::Expired { items }, Step::Expired { .. }) => {
                *items += 1;
                true
            }
            _ => false,
        }
    }

    fn push(&mut self, event: Event) {
        let Ring { events, oldest } = &mut self.ring;
        if events.len() < self.steps_max {
            events.push(event);
            return;
        }
        events[*oldest] = event;
        *oldest = (*oldest + 1) % self.steps_max;
        self.dropped += 1;
    }

    /// All steps, and how many were dropped before them. Until they are given back, nothing may be
    /// recorded: a copy of them would take milliseconds.
    pub(super) fn lend(&mut self) -> (Ring, u64) {
        (mem::take(&mut self.ring), self.dropped)
    }

    /// Goes on with the steps that were lent.
    pub(super) fn resume(&mut self, ring: Ring) {
        self.ring = ring;
        self.add(Step::Resumed);
    }

    /// A copy of the steps of this last time, but of at most `steps_max`, and how many were dropped
    /// before them.
    pub(super) fn last(
        &self,
        time: Duration,
        steps_max: usize,
    ) -> Result<(Ring, u64), TryReserveError> {
        let since_ns = u64::try_from(time.as_nanos())
            .map_or(0, |time_ns| self.now_ns().saturating_sub(time_ns));
        let (newer, older) = self.ring.events.split_at(self.ring.oldest);
        let unwanted_of = |part: &[Event]| part.partition_point(|event| event.ns < since_ns);
        let unwanted = unwanted_of(older) + unwanted_of(newer);
        let skipped = unwanted.max(self.ring.len().saturating_sub(steps_max));
        let mut events = Vec::new();
        events.try_reserve_exact(self.ring.len() - skipped)?;
        events.extend(older.iter().chain(newer).skip(skipped));
        Ok((Ring { events, oldest: 0 }, self.dropped + skipped as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of the steps, and the number of dropped ones.
    fn last(recorder: &Recorder, time: Duration, steps_max: usize) -> (Vec<u64>, u64) {
        let (ring, dropped) = recorder.last(time, steps_max).expect("there is memory");
        ((0..ring.len()).map(|number| ring.get(number).ns).collect(), dropped)
    }

    #[test]
    fn the_oldest_steps_are_dropped() {
        let mut recorder = Recorder::new(4);
        for ns in 0..10 {
            recorder.push(Event { ns, step: Step::AcceptWouldBlock });
            let first = (ns + 1).saturating_sub(4);
            assert_eq!(last(&recorder, Duration::MAX, 9), ((first..=ns).collect(), first));
        }
        assert_eq!(last(&recorder, Duration::MAX, 2), (vec![8, 9], 8));
        // All of them happened in the first ten nanoseconds.
        assert_eq!(last(&recorder, Duration::ZERO, 9), (vec![], 10));
        let (ring, dropped) = recorder.lend();
        assert_eq!((ring.get(0).ns, ring.get(3).ns, dropped), (6, 9, 6));
        recorder.resume(ring);
        assert_eq!(recorder.ring.get(2).ns, 9);
        assert_eq!(recorder.ring.get(3).step, Step::Resumed);
    }

    #[test]
    fn evictions_in_a_row_are_one_step() {
        let mut recorder = Recorder::new(2);
        for _ in 0..3 {
            recorder.add(Step::Evicted { items: 1, bytes: 100 });
            recorder.add(Step::Evicted { items: 1, bytes: 20 });
            recorder.add(Step::Expired { items: 1 });
            recorder.add(Step::Expired { items: 1 });
        }
        let (ring, dropped) = recorder.lend();
        let steps = [ring.get(0).step, ring.get(1).step];
        assert_eq!(steps, [Step::Evicted { items: 2, bytes: 120 }, Step::Expired { items: 2 }]);
        assert_eq!(dropped, 4);
    }
}
