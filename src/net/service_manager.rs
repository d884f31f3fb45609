//! Reports the server's state to the service manager that has started it: systemd's `Type=notify`.
//!
//! The environment variable `NOTIFY_SOCKET` names a datagram socket, and each report is one datagram of
//! `NAME=value` lines (sd_notify(3)). Sending never blocks: a report that cannot be sent is lost, with a
//! warning. The socket is opened for each report, so that the server holds no descriptor for it.

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, ErrorKind};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use log::warn;
use nix::time::{ClockId, clock_gettime};

const VARIABLE: &str = "NOTIFY_SOCKET";

/// The service manager, if one waits for reports.
pub struct ServiceManager {
    address: Option<SocketAddr>,
}

impl ServiceManager {
    /// The service manager that the environment names. A daemon (`-d`) reports nothing: the manager
    /// watches the process that it has started, which is the parent, and that ends too early.
    #[must_use]
    pub fn from_environment(is_daemon: bool) -> Self {
        let Some(name) = env::var_os(VARIABLE) else { return Self { address: None } };
        if is_daemon {
            warn!(target: "miocached", "{VARIABLE} is ignored because of -d");
            return Self { address: None };
        }
        let address = socket_address(&name)
            .inspect_err(|error| {
                let name = name.display();
                warn!(target: "miocached", "{VARIABLE} {name} is ignored: {error}");
            })
            .ok();
        Self { address }
    }

    /// The server accepts clients at `addresses`: it has started, or has ended a reload. `systemctl
    /// status` shows the addresses.
    pub(super) fn ready(&self, addresses: &dyn Display) {
        self.report(|| format!("READY=1\nSTATUS=Listening on {addresses}\n"));
    }

    /// A reload begins. [`Self::ready`] ends it. `Type=notify-reload` wants the time, to tell this
    /// reload from an earlier one.
    pub(super) fn reloading(&self) {
        self.report(|| match clock_gettime(ClockId::CLOCK_MONOTONIC) {
            Ok(now) => {
                let microseconds = now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000;
                format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\n")
            }
            Err(_) => "RELOADING=1\n".into(),
        });
    }

    /// The server has begun to stop.
    pub(super) fn stopping(&self) {
        self.report(|| "STOPPING=1\n".into());
    }

    fn report(&self, lines: impl FnOnce() -> String) {
        let Some(address) = &self.address else { return };
        if let Err(error) = send(lines().as_bytes(), address) {
            warn!(target: "miocached", "cannot report to the service manager: {error}");
        }
    }
}

fn send(report: &[u8], address: &SocketAddr) -> io::Result<usize> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(report, address)
}

/// A path, or an abstract name after an `@`.
fn socket_address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    }
}
