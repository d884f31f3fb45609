//! One server through one case: started, treated, weighed, and asked what it still holds.
//!
//! Owns the server while it runs. What the figures mean is told by the table.

use std::thread;
use std::time::{Duration, Instant};

use super::cases::Case;
use crate::rig::client::Client;
use crate::rig::cpus::Placement;
use crate::rig::failure::Failure;
use crate::rig::items::{Answered, push_key, push_set};
use crate::rig::pipeline::{Outcome, Pipeline};
use crate::rig::process::resident_bytes;
use crate::rig::program::Program;
use crate::rig::server::{Endpoint, Launch, Server, Transport};
use crate::rig::stop::Stop;

/// Stores between two looks at the signals.
const STORES_AT_ONCE: u32 = 100_000;
/// Gets in one batch.
const BATCH: u32 = 128;
/// A size that has not changed for this long is the size: memcached grows its table in a thread
/// of its own and frees the old one late.
const QUIET: Duration = Duration::from_millis(300);
const QUIET_WAIT_MAX: Duration = Duration::from_secs(10);
/// Connections of one that measures items; one that measures connections says how many.
const CONNECTIONS_MAX: usize = 64;
/// Beside the counted ones there are the two that fill and ask for the version, and what memcached sets
/// aside of its limit: listeners, and five descriptors for each thread (1.6.45).
const CONNECTIONS_MARGIN: usize = 64;

/// What one server took in one case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Items {
    /// Resident before the first store, and after the last one.
    pub(crate) fresh_bytes: u64,
    pub(crate) resident_bytes: u64,
    /// Items that a `get` of each one found afterwards.
    pub(crate) held: u64,
    /// What `stats` says to the same question, where there is one.
    pub(crate) held_by_stats: Option<u64>,
}

/// Sends a server through a case.
pub(crate) fn items(
    program: &Program,
    case: Case,
    placement: Placement,
    stop: &Stop,
) -> Result<Items, Failure> {
    let server = start(program, case.memory_mib(), CONNECTIONS_MAX, placement)?;
    let fresh_bytes = settled_bytes(&server)?;
    let mut client = Client::connect(server.endpoint())?;
    let value = vec![b'v'; case.shape.value_bytes];
    let stores = case.stores();
    for from in (0..stores).step_by(STORES_AT_ONCE as usize) {
        stop.check()?;
        client.fill(STORES_AT_ONCE.min(stores - from), |at, output| {
            let item = case.stored(from + at);
            let push = |output: &mut Vec<u8>| push_key(item, case.shape.key_bytes, output);
            push_set(push, 0, &value, Answered::No, output);
        })?;
    }
    let resident_bytes = settled_bytes(&server)?;
    let held_by_stats = client.stat("curr_items")?;
    let held = held(server.endpoint(), case, stop)?;
    Ok(Items { fresh_bytes, resident_bytes, held, held_by_stats })
}

/// Asks for every item once.
fn held(endpoint: &Endpoint, case: Case, stop: &Stop) -> Result<u64, Failure> {
    let mut pipeline = Pipeline::connect(endpoint, 0)?;
    let mut found = 0;
    for from in (0..case.items).step_by(BATCH as usize) {
        stop.check()?;
        for item in from..case.items.min(from + BATCH) {
            pipeline.get(|output| push_key(u64::from(item), case.shape.key_bytes, output));
        }
        pipeline.run(|outcome| found += u64::from(outcome == Outcome::Hit))?;
    }
    Ok(found)
}

/// What idle connections took of one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connections {
    pub(crate) fresh_bytes: u64,
    /// With all of them open and none of them used.
    pub(crate) silent_bytes: u64,
    /// When each of them has been used once.
    pub(crate) used_bytes: u64,
}

/// Opens connections, weighs, uses each of them once, and weighs again.
pub(crate) fn connections(
    program: &Program,
    count: usize,
    placement: Placement,
    stop: &Stop,
) -> Result<Connections, Failure> {
    let memory_mib = 64;
    let server = start(program, memory_mib, count + CONNECTIONS_MARGIN, placement)?;
    let value = b"what an idle connection has read or written last";
    let push = |output: &mut Vec<u8>| output.extend_from_slice(b"idle");
    let mut client = Client::connect(server.endpoint())?;
    client.fill(1, |_, output| push_set(push, 0, value, Answered::No, output))?;
    let fresh_bytes = settled_bytes(&server)?;

    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        stop.check()?;
        clients.push(Pipeline::connect(server.endpoint(), 0)?);
    }
    // Answered last, because connections are accepted in order: by now all of them have been.
    Client::connect(server.endpoint())?.version()?;
    let silent_bytes = settled_bytes(&server)?;
    for client in &mut clients {
        stop.check()?;
        client.get(push);
        let mut outcome = Outcome::Miss;
        client.run(|answered| outcome = answered)?;
        if outcome != Outcome::Hit {
            return Err(Failure("a connection did not find what was stored".to_string()));
        }
    }
    let used_bytes = settled_bytes(&server)?;
    // The server first: whoever closes first keeps the port for a minute, and there are many.
    drop(server);
    Ok(Connections { fresh_bytes, silent_bytes, used_bytes })
}

fn start(
    program: &Program,
    memory_mib: u64,
    connections_max: usize,
    placement: Placement,
) -> Result<Server, Failure> {
    let extra = if program.is_memcached() { vec!["-t".into(), "1".into()] } else { Vec::new() };
    let transport = Transport::Tcp;
    let launch = Launch { transport, memory_mib, connections_max, item_bytes_max: None, extra };
    Server::start(program, &launch, placement)
}

/// Resident bytes, once they stay as they are.
fn settled_bytes(server: &Server) -> Result<u64, Failure> {
    let deadline = Instant::now() + QUIET_WAIT_MAX;
    let mut bytes = resident_bytes(server.pid())?;
    loop {
        thread::sleep(QUIET);
        let now = resident_bytes(server.pid())?;
        if now == bytes || Instant::now() > deadline {
            return Ok(now);
        }
        bytes = now;
    }
}
