//! What a server needs before its first turn: the memory for items, the users of `-Y`, the signals.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use nix::sys::signal::{Signal, raise};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use crate::config::{Config, MIB, file};
use crate::engine::Engine;
use crate::engine::auth::Credentials;

/// Why a server could not start.
#[derive(Debug)]
pub struct StartError {
    pub(super) what: String,
    pub(super) source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl std::error::Error for StartError {}

/// An engine with the memory that `config` asks for.
///
/// # Errors
/// When the kernel refuses the memory, or the file of `-Y` cannot be read.
pub fn engine_for(config: &Config) -> Result<Engine, StartError> {
    let mib = config.memory_bytes_max / MIB;
    let mut engine = Engine::new(config).map_err(|_| StartError {
        what: format!("cannot map {mib} MiB for items"),
        source: ErrorKind::OutOfMemory.into(),
    })?;
    if let Some(path) = &config.auth_file {
        engine.set_credentials(read_auth_file(path)?);
    }
    Ok(engine)
}

/// The users and passwords of `-Y`.
pub(super) fn read_auth_file(path: &Path) -> Result<Credentials, StartError> {
    let bad = |why| io::Error::new(ErrorKind::InvalidData, why);
    file::read(path)
        .and_then(|text| Credentials::parse(&text).map_err(bad))
        .map_err(|source| StartError { what: format!("auth file {}", path.display()), source })
}

/// Catches the signals that a server handles, until the reactor reads them. From here on none of them
/// ends the process at once, so that the socket files are always removed.
///
/// # Errors
/// When the kernel refuses.
pub fn watch_signals() -> Result<Signals, StartError> {
    Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP])
        .map_err(|source| StartError { what: "cannot watch for signals".into(), source })
}

/// Whether a signal that ends the server has arrived. For a start that takes long. A reload is left to
/// the reactor: the auth file may have changed since it was read. A report is dropped: there is no
/// connection.
#[must_use]
pub fn is_stop_requested(signals: &mut Signals) -> bool {
    let (mut stop, mut reload) = (false, false);
    for signal in signals.pending() {
        match signal {
            SIGHUP => reload = true,
            SIGUSR2 => {}
            _ => stop = true,
        }
    }
    if reload {
        // It does not fail for a signal that exists.
        let _ = raise(Signal::SIGHUP);
    }
    stop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_during_the_start_is_not_forgotten() {
        let mut signals = watch_signals().expect("they can be watched");
        raise(Signal::SIGHUP).expect("it is sent");
        assert!(!is_stop_requested(&mut signals));
        assert_eq!(signals.pending().collect::<Vec<_>>(), [SIGHUP]);
        raise(Signal::SIGHUP).and_then(|()| raise(Signal::SIGTERM)).expect("they are sent");
        assert!(is_stop_requested(&mut signals));
    }
}
