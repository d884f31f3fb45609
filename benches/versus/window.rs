//! One window of measurement: warming up, measuring, draining, and what was seen meanwhile.
//!
//! Owns the clock readings and the latencies of one window. Knows no sockets.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::answers::Tally;
use super::traffic::Flow;
use crate::rig::failure::Failure;
use crate::rig::process::CpuClock;

/// Latencies above this are counted as this; no client waits longer for a cache.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// How long load is made, and which part of it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) warm: Duration,
    pub(crate) measure: Duration,
}

impl Window {
    /// Warm-up and measurement together.
    pub(crate) fn whole(self) -> Duration {
        self.warm + self.measure
    }
}

/// What the generator does when there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Busy-polls. No server then pays for waking us, and latencies do not include our own wake-up;
    /// but it takes a CPU that nothing else needs.
    Spin,
    /// Sleeps until something comes, as most clients do.
    Block,
}

/// What one window showed.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// Operations of the first flow that were completed in the window.
    pub(crate) operations: u64,
    /// The same of all other flows.
    pub(crate) background_operations: u64,
    /// Everything asked in the run, warm-up included.
    pub(crate) tally: Tally,
    /// Of the requests whose latency starts in the window.
    pub(crate) latencies: Histogram<u32>,
    /// How late requests of a fixed pace were sent though their connection was free; 99 % of them
    /// were not later. The generator's own fault, and part of the latency.
    pub(crate) late_p99_ns: Option<u64>,
    /// The same of 99.9 %.
    pub(crate) late_p999_ns: Option<u64>,
    pub(crate) server_cpu: Option<Duration>,
    /// The part of the window in which the generator had something to do.
    pub(crate) generator_busy: f64,
    /// The part of it in which the generator, which never sleeps, had its CPU: the rest went to
    /// other programs, and into the latencies. None for a generator that sleeps.
    pub(crate) generator_on_cpu: Option<f64>,
    /// The longest idle turn of a generator that never sleeps: the machine stood still for it.
    pub(crate) longest_gap_ns: Option<u64>,
}

/// Readings at one edge of the window.
#[derive(Clone, Copy)]
struct Edge {
    at: Instant,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
    idle: Duration,
    operations: u64,
    background_operations: u64,
}

/// Follows one window as it passes.
pub(crate) struct Watch {
    window: Window,
    start: Instant,
    server: Option<CpuClock>,
    wait: Wait,
    opened: Option<Edge>,
    closed: Option<Edge>,
    last_turn: Instant,
    /// Whether the turn since `last_turn` had anything to do.
    has_worked: bool,
    idle: Duration,
    longest_gap: Duration,
    latencies: Histogram<u32>,
    lateness: Histogram<u32>,
}

impl Watch {
    /// The warm-up begins.
    pub(crate) fn start(window: Window, server: Option<CpuClock>, wait: Wait) -> Self {
        let start = Instant::now();
        Self {
            window,
            start,
            server,
            wait,
            opened: None,
            closed: None,
            last_turn: start,
            has_worked: true,
            idle: Duration::ZERO,
            longest_gap: Duration::ZERO,
            latencies: latency_histogram(),
            lateness: latency_histogram(),
        }
    }

    /// Nanoseconds since the warm-up began.
    pub(crate) fn now_ns(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    /// Whether new requests are to be sent.
    pub(crate) fn issues(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether only answers to what was sent before are still of interest.
    pub(crate) fn has_ended(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether answers have been missing for longer than that since the window's end.
    pub(crate) fn drains_longer_than(&self, limit: Duration) -> bool {
        self.closed.is_some_and(|edge| edge.at.elapsed() > limit)
    }

    /// How long the generator may sleep without missing an edge of the window.
    pub(crate) fn until_edge(&self) -> Duration {
        let edge = if self.opened.is_none() {
            self.window.warm
        } else {
            self.window.warm + self.window.measure
        };
        edge.saturating_sub(self.start.elapsed()).max(Duration::from_millis(1))
    }

    /// Notes that the current turn had something to do.
    pub(crate) fn worked(&mut self) {
        self.has_worked = true;
    }

    /// Called once a turn: keeps the account of idle turns, and takes readings at the edges.
    pub(crate) fn tick(&mut self, flows: &[Flow]) -> Result<(), Failure> {
        let now = Instant::now();
        if !self.has_worked {
            let gap = now - self.last_turn;
            self.idle += gap;
            if self.issues() && self.opened.is_some() {
                self.longest_gap = self.longest_gap.max(gap);
            }
        }
        (self.last_turn, self.has_worked) = (now, false);
        let passed = now - self.start;
        if self.opened.is_none() && passed >= self.window.warm {
            self.opened = Some(self.edge(flows)?);
        } else if self.closed.is_none() && passed >= self.window.warm + self.window.measure {
            self.closed = Some(self.edge(flows)?);
        }
        Ok(())
    }

    /// A request of the first flow has been answered.
    pub(crate) fn answered(&mut self, since_ns: u64, now_ns: u64) {
        if self.counts(since_ns) {
            self.latencies.saturating_record(now_ns.saturating_sub(since_ns));
        }
    }

    /// A request could be sent only now, for reasons of our own.
    pub(crate) fn sent_late(&mut self, due_ns: u64, now_ns: u64) {
        if self.counts(due_ns) {
            self.lateness.saturating_record(now_ns.saturating_sub(due_ns));
        }
    }

    /// Adds up what was seen.
    pub(crate) fn finish(self, flows: &[Flow]) -> Result<Sample, Failure> {
        let (Some(opened), Some(closed)) = (self.opened, self.closed) else {
            return Err(Failure("the window was not measured to its end".to_string()));
        };
        let wall = closed.at - opened.at;
        let own_cpu = (closed.own_cpu - opened.own_cpu).div_duration_f64(wall);
        let idle = (closed.idle - opened.idle).div_duration_f64(wall);
        let (generator_busy, generator_on_cpu, longest_gap_ns) = match self.wait {
            Wait::Spin => (1.0 - idle, Some(own_cpu), Some(nanoseconds(self.longest_gap))),
            Wait::Block => (own_cpu, None, None),
        };
        let mut tally = Tally::default();
        for flow in flows {
            tally.add(&flow.tally);
        }
        let late = |quantile| {
            (!self.lateness.is_empty()).then(|| self.lateness.value_at_quantile(quantile))
        };
        Ok(Sample {
            seconds: wall.as_secs_f64(),
            operations: closed.operations - opened.operations,
            background_operations: closed.background_operations - opened.background_operations,
            tally,
            late_p99_ns: late(0.99),
            late_p999_ns: late(0.999),
            latencies: self.latencies,
            server_cpu: closed.server_cpu.zip(opened.server_cpu).map(|(end, start)| end - start),
            generator_busy,
            generator_on_cpu,
            longest_gap_ns,
        })
    }

    fn counts(&self, since_ns: u64) -> bool {
        let from_ns = nanoseconds(self.window.warm);
        (from_ns..from_ns + nanoseconds(self.window.measure)).contains(&since_ns)
    }

    fn edge(&self, flows: &[Flow]) -> Result<Edge, Failure> {
        Ok(Edge {
            server_cpu: self.server.map(CpuClock::read).transpose()?,
            own_cpu: CpuClock::own().read()?,
            at: Instant::now(),
            idle: self.idle,
            operations: flows[0].tally.operations,
            background_operations: flows[1..].iter().map(|flow| flow.tally.operations).sum(),
        })
    }
}

/// An empty histogram of nanoseconds with three significant digits.
pub(crate) fn latency_histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("bounds that hdrhistogram accepts")
}

/// A duration as the unit of all latencies here.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
