//! The command line program: options to configuration, a logger, the order of a start, exit codes.
//!
//! The only user of clap and simple_logger. Exit code 0 after a signal or the end of `--stdio`'s
//! input, 1 when something asked for cannot be had (one line on stderr says what), 2 for options
//! that do not parse.

mod args;
mod logger;
mod process;

use std::io::Write as _;
use std::process::ExitCode;

use args::{Args, Asked};
use clap::Parser as _;
use log::{LevelFilter, info, warn};
use miocached::config::{Config, MIB};
use miocached::net::stdio::serve_stdio;
use miocached::net::{
    ALLOWANCE_BYTES, Listeners, Reactor, budget_bytes, engine_for, watch_signals,
};
use process::files::{PidDraft, write_ports};

fn main() -> ExitCode {
    let args = Args::parse();
    if args.license() {
        // With nobody to read it there is nothing left to do, either.
        let _ = std::io::stdout().write_all(include_bytes!("license.txt"));
        return ExitCode::SUCCESS;
    }
    match args.asked().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            logger::complain(&why);
            ExitCode::FAILURE
        }
    }
}

fn run(asked: Asked) -> Result<(), String> {
    let Asked { mut config, process: options, stdio, without_effect } = asked;
    let level = match (config.verbosity, stdio) {
        // A filter says nothing beside its answers, unless it is asked to.
        (0, true) => LevelFilter::Error,
        (0, false) => LevelFilter::Info,
        (1, _) => LevelFilter::Debug,
        (2.., _) => LevelFilter::Trace,
    };
    logger::start(level).map_err(|error| format!("cannot log: {error}"))?;
    if !without_effect.is_empty() {
        warn!("without effect here: {}", without_effect.join(", "));
    }
    if let Some(asked) = config.lower_item_limit() {
        let possible = config.item_bytes_max;
        warn!("the item limit is {possible} bytes instead of {asked}: -m has no room for more");
    }
    process::limits::raise(&options, &mut config)?;
    if stdio {
        process::become_user(&options)?;
        process::lock_memory(&options);
        return serve_stdio(&config).map_err(|error| format!("standard input or output: {error}"));
    }
    let signals = watch_signals().map_err(|error| error.to_string())?;
    // Root may be needed for a low port. All files belong to the user that the server becomes.
    let mut listeners = Listeners::open_tcp(&config).map_err(|error| error.to_string())?;
    process::become_user(&options)?;
    listeners.open_unix(&config).map_err(|error| error.to_string())?;
    let engine = engine_for(&config).map_err(|error| error.to_string())?;
    let pid_draft = PidDraft::begin(&options)?;
    write_ports(listeners.addresses())?;
    listeners.announce();
    announce(&config);
    process::tell_of_root(&options);
    process::detach(&options, config.verbosity > 0)?;
    let _pid_file = pid_draft.map(PidDraft::finish).transpose()?;
    let mut reactor =
        Reactor::new(config, listeners, engine, signals).map_err(|error| error.to_string())?;
    process::lock_memory(&options);
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
