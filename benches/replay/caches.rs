//! What a workload is replayed against: a server on the classic dialect, or a model.
//!
//! Owns the running server. Knows no workload and no order of requests.

use super::model::{Design, Model, Size, Work};
use super::requests::Request;
use super::workloads::{KEY_BYTES, Source, Workload};
use crate::rig::cpus::Placement;
use crate::rig::failure::Failure;
use crate::rig::items::push_key;
use crate::rig::pipeline::{Outcome, Pipeline};
use crate::rig::process::resident_bytes;
use crate::rig::program::Program;
use crate::rig::server::{Launch, Server, Transport};

/// A cache to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Server(Program),
    Model(Design),
}

impl Contestant {
    /// Version and options, for the head of the report.
    pub(crate) fn facts(&self, memory_mib: u64) -> String {
        match &self.kind {
            Kind::Server(program) => {
                format!("{} {}", program.version, launch(program, memory_mib).arguments().join(" "))
            }
            Kind::Model(_) => {
                format!("a model; {memory_mib} MiB of records of 24 bytes + key + value, by 8")
            }
        }
    }

    /// A new and empty one, for one workload.
    pub(crate) fn start(
        &self,
        workload: &Workload,
        memory_mib: u64,
        placement: Placement,
    ) -> Result<Cache, Failure> {
        let program = match &self.kind {
            Kind::Server(program) => program,
            Kind::Model(design) => return Ok(Cache::Model(design.build(memory_mib << 20))),
        };
        let server = Server::start(program, &launch(program, memory_mib), placement)?;
        let value_bytes_max = workload.value_bytes_max() as usize;
        Ok(Cache::Server {
            pipeline: Box::new(Pipeline::connect(server.endpoint(), value_bytes_max)?),
            fresh_bytes: resident_bytes(server.pid())?,
            server,
        })
    }
}

fn launch(program: &Program, memory_mib: u64) -> Launch {
    let extra = if program.is_memcached() { vec!["-t".into(), "1".into()] } else { Vec::new() };
    let transport = Transport::Tcp;
    Launch { transport, memory_mib, connections_max: 64, item_bytes_max: None, extra }
}

/// One that runs.
pub(crate) enum Cache {
    Server {
        /// Closed before the server ends.
        pipeline: Box<Pipeline>,
        /// Resident before the first request.
        fresh_bytes: u64,
        server: Server,
    },
    Model(Box<dyn Model>),
}

/// How much memory one takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The whole process: now, and before the first request.
    Resident { bytes: u64, fresh_bytes: u64 },
    /// A model's records.
    Records { bytes: u64, work: Work },
}

impl Cache {
    /// Does all of these at once, in their order, and says what came of each. `now_s` is the model's
    /// clock; servers have their own.
    pub(crate) fn exchange(
        &mut self,
        workload: &Workload,
        requests: &[Request],
        now_s: u32,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Failure> {
        outcomes.clear();
        match self {
            Self::Server { pipeline, .. } => {
                for request in requests {
                    let push = |output: &mut Vec<u8>| push_key_of(workload, request.key, output);
                    if request.write {
                        pipeline.set(push, request.value_bytes as usize, request.ttl_s);
                    } else {
                        pipeline.get(push);
                    }
                }
                pipeline.run(|outcome| outcomes.push(outcome))
            }
            Self::Model(model) => {
                let ask = |request: &Request| ask(model.as_mut(), workload, *request, now_s);
                outcomes.extend(requests.iter().map(ask));
                Ok(())
            }
        }
    }

    /// Whether items expire by a clock of its own, which cannot be set.
    pub(crate) const fn has_own_clock(&self) -> bool {
        match self {
            Self::Server { .. } => true,
            Self::Model(_) => false,
        }
    }

    pub(crate) fn memory(&self) -> Result<Memory, Failure> {
        match self {
            Self::Server { server, fresh_bytes, .. } => Ok(Memory::Resident {
                bytes: resident_bytes(server.pid())?,
                fresh_bytes: *fresh_bytes,
            }),
            Self::Model(model) => Ok(Memory::Records { bytes: model.bytes(), work: model.work() }),
        }
    }
}

fn ask(model: &mut dyn Model, workload: &Workload, request: Request, now_s: u32) -> Outcome {
    let Request { key, value_bytes, ttl_s, write } = request;
    if !write {
        return if model.get(key, now_s) { Outcome::Hit } else { Outcome::Miss };
    }
    let size = Size { key_bytes: key_bytes(workload, key), value_bytes };
    let expires_at_s = (ttl_s > 0).then(|| now_s + ttl_s);
    if model.set(key, size, expires_at_s, now_s) { Outcome::Stored } else { Outcome::Refused }
}

fn push_key_of(workload: &Workload, key: u64, output: &mut Vec<u8>) {
    match &workload.source {
        Source::Made(_) | Source::Sessions(_) => push_key(key, KEY_BYTES as usize, output),
        Source::Trace(trace) => output.extend_from_slice(trace.key(key)),
    }
}

fn key_bytes(workload: &Workload, key: u64) -> u32 {
    match &workload.source {
        Source::Made(_) | Source::Sessions(_) => KEY_BYTES,
        Source::Trace(trace) => u32::try_from(trace.key(key).len()).unwrap_or(u32::MAX),
    }
}
