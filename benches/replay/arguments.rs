//! The command line of `replay`.
//!
//! Owns names, defaults and help texts, and who is measured against whom.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::caches::{Contestant, Kind};
use super::model::Design;
use super::workloads::Workload;
use crate::rig::failure::Failure;
use crate::rig::program::Program;

const MIOCACHED: &str = "miocached";
const MEMCACHED: &str = "memcached";

/// Replays cache-aside workloads and counts misses, miocached and memcached by turns at the same -m.
///
/// Environment: MEMCACHED=path and MIOCACHED=path take other builds.
#[derive(Debug, Parser)]
#[command(name = "replay", help_expected = true)]
pub(crate) struct Arguments {
    /// Few workloads, half as long, in half the memory: within one minute, for a smoke test
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only workloads of this name, or whose name contains it; several with commas between
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Print the workloads and exit
    #[arg(long)]
    pub(crate) list: bool,
    /// Rounds, each with a seed of its own; ratios are medians over them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// The servers' -m; the workloads grow with it [default: 64, quick: 32]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(8..=32768))]
    memory: Option<u64>,
    /// Models to measure in miocached's place; several with commas between
    #[arg(long, value_enum, value_name = "DESIGN", value_delimiter = ',')]
    model: Vec<Design>,
    /// A further server with memcached's options, such as 'again=/usr/bin/memcached'
    #[arg(long, value_name = "NAME=PATH", value_parser = server)]
    server: Vec<(String, PathBuf)>,
    /// What the others' misses are divided by: memcached, miocached, or a model
    #[arg(long, value_name = "NAME", default_value = MEMCACHED)]
    reference: String,
    /// A trace to replay besides (--only trace: alone): a key and a value's size per line
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// What cargo says to every bench; changes nothing
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// The servers' memory limit, as given or by default.
    pub(crate) fn memory_mib(&self) -> u64 {
        self.memory.unwrap_or(if self.quick { 32 } else { 64 })
    }

    /// All contestants, the reference first.
    pub(crate) fn contestants(&self) -> Result<Vec<Contestant>, Failure> {
        let mut all = vec![self.reference()?];
        all.extend(self.model.iter().map(|&design| model(design)));
        if self.model.is_empty() {
            all.push(program(MIOCACHED, Program::miocached()?));
        }
        for (name, path) in &self.server {
            all.push(program(name, Program::at(path.clone())?));
        }
        Ok(all)
    }

    fn reference(&self) -> Result<Contestant, Failure> {
        match self.reference.as_str() {
            MEMCACHED => Ok(program(MEMCACHED, Program::memcached()?)),
            MIOCACHED => Ok(program(MIOCACHED, Program::miocached()?)),
            name => match Design::from_str(name, false) {
                Ok(design) => Ok(model(design)),
                Err(_) => Err(Failure(format!(
                    "--reference {name}: memcached, miocached or a model is expected"
                ))),
            },
        }
    }

    /// The workloads to be replayed. A pattern that is a workload's whole name means that one alone.
    pub(crate) fn select(&self, mut workloads: Vec<Workload>) -> Vec<Workload> {
        let Some(only) = &self.only else {
            workloads.retain(|workload| workload.quick || !self.quick);
            return workloads;
        };
        let names: Vec<&str> = workloads.iter().map(|workload| workload.name).collect();
        let matches = |name: &str, pattern: &str| {
            if names.contains(&pattern) { name == pattern } else { name.contains(pattern) }
        };
        workloads.retain(|workload| {
            only.split(',').map(str::trim).any(|pattern| matches(workload.name, pattern))
        });
        workloads
    }
}

fn program(name: &str, program: Program) -> Contestant {
    Contestant { name: name.to_string(), kind: Kind::Server(program) }
}

fn model(design: Design) -> Contestant {
    Contestant { name: design.name(), kind: Kind::Model(design) }
}

fn server(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("NAME=PATH is expected")?;
    Ok((name.to_string(), path.into()))
}
