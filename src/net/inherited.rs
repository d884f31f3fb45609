//! Listening sockets that the process inherits: systemd's socket activation.
//!
//! A service manager opens the sockets, passes them as descriptors 3 and up, and keeps them open.
//! Clients that connect while no server runs wait in the backlog. `LISTEN_FDS` is the number of
//! sockets, and `LISTEN_PID` the process that they are for; a process with another id ignores them.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use log::info;

use super::listener::Listener;
use super::start::StartError;
use crate::config::{Config, UnixSocket};

/// The inherited sockets. All of them listen.
#[derive(Default)]
pub struct Inherited {
    listeners: Vec<Listener>,
}

/// Takes the inherited sockets, and removes `LISTEN_FDS` and `LISTEN_PID` from the environment. If there
/// are any, they are served instead of the addresses of `config`, and `config` gets theirs: the manager
/// may hold the same addresses, and then this process cannot listen on them.
///
/// # Errors
/// When a descriptor is no TCP or Unix stream socket that listens.
pub fn take_inherited(config: &mut Config) -> Result<Inherited, StartError> {
    let mut passed = ListenFd::from_env();
    let number = passed.len();
    if number == 0 {
        return Ok(Inherited::default());
    }
    let mut listeners = Vec::new();
    for index in 0..number {
        let listener = take(&mut passed, index).map_err(|source| StartError {
            what: format!("inherited socket {} of {number}", index + 1),
            source,
        })?;
        listeners.push(listener);
    }
    let (count, s) = (number, if number == 1 { "" } else { "s" });
    info!(target: "miocached", "{count} inherited socket{s}: -p, -l, -s, -a and -b have no effect");
    config.tcp = listeners.iter().filter_map(Listener::address).collect();
    config.unix = listeners.iter().filter_map(Listener::unix_name).map(described).collect();
    Ok(Inherited { listeners })
}

fn take(passed: &mut ListenFd, index: usize) -> io::Result<Listener> {
    // A descriptor of another kind is an error, and can then be taken as one of its kind.
    if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
        return Listener::inherited_tcp(listener);
    }
    match passed.take_unix_listener(index) {
        Ok(Some(listener)) => Listener::inherited_unix(listener),
        Ok(None) | Err(_) => {
            Err(io::Error::new(ErrorKind::InvalidInput, "not a TCP or Unix stream socket"))
        }
    }
}

/// A Unix socket as the settings show it. An abstract one has no file, and so no permissions.
fn described(name: &str) -> UnixSocket {
    let path = PathBuf::from(name);
    let mode = mode_of(&path).unwrap_or(0o777);
    UnixSocket { path, mode }
}

fn mode_of(path: &Path) -> io::Result<u32> {
    Ok(fs::symlink_metadata(path)?.permissions().mode() & 0o777)
}

impl Inherited {
    pub(super) fn into_listeners(self) -> Vec<Listener> {
        self.listeners
    }
}
