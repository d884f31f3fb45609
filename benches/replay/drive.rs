//! The replay itself: a client with a cache aside, in batches, and what it counts.
//!
//! A strict cache-aside client waits for every answer before it asks again. That would measure
//! round trips, so a batch of requests is pipelined, in two parts, of which the second goes to the
//! server together with the next batch's first:
//!
//! 1. the first request of every key in the batch, in their order;
//! 2. in the same order: for each read that missed, the write that a client makes then; and the
//!    further requests of keys that came before, which find what a strict client would find.
//!
//! So the requests of one key never change their order, and a key that is missed and asked for again
//! in the same batch is one miss and one hit. Two things remain: requests of different keys pass each
//! other by at most a batch, and a read in the second part that misses all the same, because its item
//! was evicted at once, is followed by its write one batch later.

use std::thread;
use std::time::{Duration, Instant};

use super::caches::Cache;
use super::requests::Request;
use super::workloads::Workload;
use crate::rig::failure::Failure;
use crate::rig::items::in_lap;
use crate::rig::pipeline::{BATCH_BYTES_MAX, Outcome};
use crate::rig::random::Random;
use crate::rig::stop::Stop;

/// Requests of one batch.
pub(crate) const BATCH: usize = 64;
/// Bytes of their values, unless it is one request alone: what is left of a batch goes out with
/// the next, and both together must be few enough for the pipeline.
const BYTES_MAX: usize = BATCH_BYTES_MAX / 2;
/// Requests a second on a model's clock where the workload says nothing; nothing expires there.
const NOMINAL_PER_S: u32 = 100_000;
/// A sleep is worth its system call from here on, and overshoots by less.
const SLEEP_MIN: Duration = Duration::from_micros(500);

/// What came of the counted requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) reads: u64,
    pub(crate) misses: u64,
    /// Writes that the server would not take.
    pub(crate) refused: u64,
    /// By how much the requests of a fixed rate were late, at most.
    pub(crate) late: Duration,
}

impl Tally {
    /// Misses by read.
    pub(crate) fn miss_ratio(&self) -> f64 {
        self.misses as f64 / self.reads.max(1) as f64
    }
}

/// Loads what the workload wants loaded, replays it, and counts after the warm-up.
pub(crate) fn replay(
    workload: &Workload,
    cache: &mut Cache,
    seed: u64,
    stop: &Stop,
) -> Result<Tally, Failure> {
    let mut driver = Driver {
        workload,
        cache,
        tally: Tally::default(),
        asked: Vec::new(),
        outcomes: Vec::new(),
    };
    let (keys, mut random) = (workload.keys_loaded(), Random::seeded(seed));
    let loads = (0..keys).filter_map(|at| workload.load(in_lap(1, at, keys), &mut random));
    driver.run(loads, None, stop)?;
    let mut requests = workload.requests(seed);
    let mut pace = Pace::start(workload.rate_per_s, driver.cache.has_own_clock());
    driver.run(requests.by_ref().take(whole(workload.warm)), Some(&mut pace), stop)?;
    pace.pause(workload.pause_s);
    driver.tally = Tally::default();
    driver.run(requests.take(whole(workload.counted)), Some(&mut pace), stop)?;
    Ok(Tally { late: pace.late, ..driver.tally })
}

/// One client, and what it remembers.
struct Driver<'a> {
    workload: &'a Workload,
    cache: &'a mut Cache,
    tally: Tally,
    /// Requests that the next exchange begins with: what the batch before has left.
    asked: Vec<Request>,
    outcomes: Vec<Outcome>,
}

impl Driver<'_> {
    /// Without a pace it is the loading, during which a model's clock stands still.
    fn run(
        &mut self,
        requests: impl Iterator<Item = Request>,
        mut pace: Option<&mut Pace>,
        stop: &Stop,
    ) -> Result<(), Failure> {
        let mut requests = requests.peekable();
        let mut batch = Vec::with_capacity(BATCH);
        while requests.peek().is_some() {
            stop.check()?;
            batch.clear();
            let mut bytes = 0;
            while batch.len() < BATCH {
                let fits = |next: &Request| {
                    batch.is_empty() || bytes + next.value_bytes as usize <= BYTES_MAX
                };
                let Some(request) = requests.next_if(fits) else { break };
                bytes += request.value_bytes as usize;
                batch.push(request);
            }
            let now_s = pace.as_ref().map_or(CLOCK_FROM_S, |pace| pace.now_s());
            self.batch(&batch, now_s)?;
            if let Some(pace) = &mut pace {
                pace.advance(batch.len());
            }
        }
        // Nothing is left over, so that all that is counted belongs to these requests: once for
        // the second part of the last batch, and once for what that has missed.
        let now_s = pace.as_ref().map_or(CLOCK_FROM_S, |pace| pace.now_s());
        self.batch(&[], now_s)?;
        self.batch(&[], now_s)
    }

    /// The second part of the batch before, and the first part of this one, in one exchange.
    fn batch(&mut self, batch: &[Request], now_s: u32) -> Result<(), Failure> {
        let is_first = |at: usize| batch[..at].iter().all(|earlier| earlier.key != batch[at].key);
        let firsts: Vec<bool> = (0..batch.len()).map(is_first).collect();
        let left = self.asked.len();
        self.asked.extend(batch.iter().zip(&firsts).filter(|(_, first)| **first).map(|(r, _)| *r));
        if self.asked.is_empty() {
            return Ok(());
        }
        self.cache.exchange(self.workload, &self.asked, now_s, &mut self.outcomes)?;
        let (left_outcomes, first_outcomes) = self.outcomes.split_at(left);
        let of = |outcome: Outcome| self.outcomes.iter().filter(move |other| **other == outcome);
        self.tally.refused += of(Outcome::Refused).count() as u64;
        self.tally.misses += of(Outcome::Miss).count() as u64;

        let refills = |outcome: &Outcome| *outcome == Outcome::Miss && self.workload.refills();
        let again = self.asked[..left].iter().zip(left_outcomes);
        let missed = again.filter(|(_, outcome)| refills(outcome));
        let mut next: Vec<Request> = missed.map(|(request, _)| request.as_fill()).collect();
        let mut first_outcomes = first_outcomes.iter();
        for (request, first) in batch.iter().zip(firsts) {
            if !first {
                next.push(*request);
            } else if first_outcomes.next().is_some_and(refills) {
                next.push(request.as_fill());
            }
        }
        self.asked = next;
        self.tally.requests += batch.len() as u64;
        self.tally.reads += batch.iter().filter(|request| !request.write).count() as u64;
        Ok(())
    }
}

/// A model's clock while a cache is loaded.
const CLOCK_FROM_S: u32 = 1;

/// When requests are due, and a model's clock, which follows from their number.
struct Pace {
    started: Instant,
    rate_per_s: Option<u32>,
    /// Whether requests wait until they are due. A model's clock follows from their number instead.
    waits: bool,
    done: u64,
    late: Duration,
}

impl Pace {
    fn start(rate_per_s: Option<u32>, waits: bool) -> Self {
        Self { started: Instant::now(), rate_per_s, waits, done: 0, late: Duration::ZERO }
    }

    fn now_s(&self) -> u32 {
        let rate_per_s = self.rate_per_s.unwrap_or(NOMINAL_PER_S);
        CLOCK_FROM_S + u32::try_from(self.done / u64::from(rate_per_s)).unwrap_or(u32::MAX - 1)
    }

    /// Lets time pass without requests.
    fn pause(&mut self, seconds: u32) {
        self.advance(seconds as usize * self.rate_per_s.unwrap_or(NOMINAL_PER_S) as usize);
    }

    /// Counts requests as done, and waits until the next ones are due.
    fn advance(&mut self, requests: usize) {
        self.done += requests as u64;
        let Some(rate_per_s) = self.rate_per_s.filter(|_| self.waits) else { return };
        let due = Duration::from_secs_f64(self.done as f64 / f64::from(rate_per_s));
        let now = self.started.elapsed();
        if now > due {
            self.late = self.late.max(now - due);
        } else if due - now >= SLEEP_MIN {
            thread::sleep(due - now);
        }
    }
}

/// A number of requests, for iterators.
fn whole(requests: u64) -> usize {
    usize::try_from(requests).unwrap_or(usize::MAX)
}
