//! The command line program: options to configuration, a logger, exit codes.
//!
//! The only user of clap and simple_logger. Exit code 0 after a signal or the end of `--stdio`'s
//! input, 1 when something asked for cannot be had (one line on stderr says what), 2 for options
//! that do not parse.

mod args;
mod logger;

use std::process::ExitCode;

use args::Args;
use clap::Parser as _;
use log::{LevelFilter, info, warn};
use miocached::config::{Config, MIB};
use miocached::net::ALLOWANCE_BYTES;
use miocached::net::buffer::budget_bytes;
use miocached::net::door::Doors;
use miocached::net::reactor::{Reactor, engine_for};
use miocached::net::stdio::serve_stdio;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            logger::complain(&why);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let mut config = args.config()?;
    let level = match (args.verbosity(), args.stdio()) {
        // A filter says nothing beside its answers, unless it is asked to.
        (0, true) => LevelFilter::Error,
        (0, false) => LevelFilter::Info,
        (1, _) => LevelFilter::Debug,
        (2.., _) => LevelFilter::Trace,
    };
    logger::start(level).map_err(|error| format!("cannot log: {error}"))?;
    if let Some(asked) = config.lower_item_limit() {
        let possible = config.item_bytes_max;
        warn!("the item limit is {possible} bytes instead of {asked}: -m has no room for more");
    }
    if args.stdio() {
        return serve_stdio(&config).map_err(|error| format!("standard input or output: {error}"));
    }
    let mut doors = Doors::open_tcp(&config).map_err(|error| error.to_string())?;
    doors.open_unix(&config).map_err(|error| error.to_string())?;
    let engine = engine_for(&config).map_err(|error| error.to_string())?;
    doors.announce();
    announce(&config);
    let mut reactor = Reactor::new(config, doors, engine).map_err(|error| error.to_string())?;
    reactor.run().map_err(|error| format!("the event loop failed: {error}"))
}

/// The limits, and what they come to together.
fn announce(config: &Config) {
    let mib = |bytes: usize| bytes.div_ceil(MIB);
    let allowances = config.connections_max.saturating_mul(2 * ALLOWANCE_BYTES);
    info!(
        "limits: items {} MiB, one item {} KiB, {} connections, buffers {} MiB and at most {} MiB of \
         small remainders",
        mib(config.memory_bytes_max),
        config.item_bytes_max / 1024,
        config.connections_max,
        mib(budget_bytes(config)),
        mib(allowances),
    );
    if budget_bytes(config) > config.buffer_bytes_max {
        warn!("--buffer-limit is raised: two of the largest requests and answers must fit");
    }
}
