//! The program: command line, logger, order of the start, exit codes.
//!
//! The exit code is 0 after a signal, `shutdown` or the end of the input of `--stdio`, 1 if the server
//! cannot start, has failed, or cannot write its snapshot (one line on stderr says why), and 2 if the
//! command line does not parse. Only the program uses clap and simple_logger; the library does not.

mod args;
mod logger;
mod process;

use std::io::Write as _;
use std::process::ExitCode;

use args::{Action, Launch};
use log::{LevelFilter, info, warn};
use miocached::config::{Config, MIB};
use miocached::engine::Engine;
use miocached::net::clock::Clock;
use miocached::net::stdio::serve_stdio;
use miocached::net::{
    ALLOWANCE_BYTES, HttpServer, Inherited, Listeners, Reactor, ServiceManager, TraceFile,
    budget_bytes, engine_for, is_stop_requested, take_inherited, watch_signals,
};
use miocached::snapshot::SnapshotFile;
use process::files::{PendingPidFile, write_ports};
use signal_hook_mio::v1_0::Signals;

fn main() -> ExitCode {
    let done = args::parse().and_then(|action| match action {
        Action::PrintLicense => print_license(),
        Action::Serve(launch) => serve(*launch),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            logger::fatal(&why);
            ExitCode::FAILURE
        }
    }
}

fn print_license() -> Result<(), String> {
    std::io::stdout()
        .write_all(include_bytes!("../.packaging/LICENSE"))
        .map_err(|error| format!("standard output: {error}"))
}

fn serve(launch: Launch) -> Result<(), String> {
    let Launch { mut config, process: options, stdio, ignored } = launch;
    start_logger(&config, stdio)?;
    adjust_options(&mut config, &ignored);
    let inherited = if stdio {
        Inherited::default()
    } else {
        take_inherited(&mut config).map_err(|error| error.to_string())?
    };
    process::limits::raise(&options, &mut config)?;
    process::ignore_file_size_signal()?;
    if stdio {
        process::change_user(&options)?;
        process::lock_memory(&options);
        return serve_stdio(&config).map_err(|error| format!("standard input or output: {error}"));
    }
    let mut signals = watch_signals().map_err(|error| error.to_string())?;
    // Low ports need root, so the user changes after they are open. Files are created after that, so
    // that they belong to the user of -u.
    let mut listeners =
        Listeners::bind_tcp(&config, inherited).map_err(|error| error.to_string())?;
    let http = HttpServer::bind(&config).map_err(|error| error.to_string())?;
    process::change_user(&options)?;
    let snapshot = config.snapshot.as_deref().map(SnapshotFile::open).transpose();
    let snapshot = snapshot.map_err(|error| error.to_string())?;
    let trace_file = TraceFile::open(&config).map_err(|error| error.to_string())?;
    let clock = Clock::start();
    let Some(engine) = loaded_engine(&config, snapshot.as_ref(), &clock, &mut signals)? else {
        return Ok(());
    };
    listeners.listen(&config).map_err(|error| error.to_string())?;
    http.iter().try_for_each(|http| http.listen(&config)).map_err(|error| error.to_string())?;
    write_ports(listeners.addresses())?;
    let pending_pid_file = PendingPidFile::create(&options);
    listeners.announce();
    http.iter().for_each(HttpServer::announce);
    announce_limits(&config);
    process::warn_if_root(&options);
    // The parent exits with 0 when it detaches, so the event loop is set up before, where that is
    // possible: an error can then still be printed, and the exit code is 1.
    let keep_terminal = config.verbosity > 0;
    if !process::EVENT_QUEUE_IS_INHERITED {
        process::detach(&options, keep_terminal)?;
    }
    let manager = ServiceManager::from_environment(options.daemon);
    let mut reactor = Reactor::new(config, listeners, http, engine, signals, clock, manager)
        .map_err(|error| error.to_string())?;
    reactor.write_trace_to(trace_file);
    if process::EVENT_QUEUE_IS_INHERITED {
        process::detach(&options, keep_terminal)?;
    }
    // The file is removed when this function returns.
    let _pid_file = pending_pid_file.and_then(PendingPidFile::finish);
    process::lock_memory(&options);
    // The last thing that can fail: until here a start that fails leaves the snapshot as it is.
    snapshot.iter().try_for_each(SnapshotFile::remove).map_err(|error| error.to_string())?;
    reactor.run().map_err(|error| format!("the event loop failed: {error}"))?;
    let (mut engine, now) = reactor.into_engine();
    snapshot
        .map_or(Ok(()), |snapshot| snapshot.save(&mut engine, now))
        .map_err(|error| error.to_string())
}

/// Lowers an item limit that is too large. Warns of that, and of options that have no effect here.
fn adjust_options(config: &mut Config, ignored: &[String]) {
    if !ignored.is_empty() {
        warn!("without effect here: {}", ignored.join(", "));
    }
    if let Some(given) = config.lower_item_limit() {
        let possible = config.item_bytes_max;
        warn!("the item limit is {possible} bytes instead of {given}: two fifths of -m");
    }
}

/// An engine with the items of the snapshot. Clients are refused while it loads, because misses would be
/// wrong. None if a signal ends the server meanwhile.
fn loaded_engine(
    config: &Config,
    snapshot: Option<&SnapshotFile>,
    clock: &Clock,
    signals: &mut Signals,
) -> Result<Option<Engine>, String> {
    let mut engine = engine_for(config).map_err(|error| error.to_string())?;
    let Some(snapshot) = snapshot else { return Ok(Some(engine)) };
    let stops = || is_stop_requested(signals);
    let loaded = snapshot.load(&mut engine, clock.moment().now, stops);
    Ok(loaded.map_err(|error| error.to_string())?.then_some(engine))
}

fn start_logger(config: &Config, stdio: bool) -> Result<(), String> {
    let level = match (config.verbosity, stdio) {
        // With --stdio the program is a filter, which prints only answers and errors.
        (0, true) => LevelFilter::Error,
        (0, false) => LevelFilter::Info,
        (1, _) => LevelFilter::Debug,
        (2.., _) => LevelFilter::Trace,
    };
    logger::start(level).map_err(|error| format!("cannot log: {error}"))
}

/// Logs the limits. Together they are most of the memory that the process may use.
fn announce_limits(config: &Config) {
    let mib = |bytes: usize| bytes.div_ceil(MIB);
    info!(
        "limits: items {} MiB, one item {} KiB, {} connections, buffers {} MiB and up to {} bytes for \
         each connection",
        mib(config.memory_bytes_max),
        config.item_bytes_max / 1024,
        config.connections_max,
        mib(budget_bytes(config)),
        2 * ALLOWANCE_BYTES,
    );
    if budget_bytes(config) > config.buffer_bytes_max {
        warn!("--buffer-limit is raised: two of the largest requests and answers must fit");
    }
}
