//! The pid file (`-P`) and the file of ports.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use log::warn;
use miocached::config::file;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::Options;

/// The environment variable with the path of the file of ports. memcached's test suite sets it.
const PORT_FILE_VARIABLE: &str = "MEMCACHED_PORT_FILENAME";

/// A file that is written under a temporary name and then renamed, so that no reader sees a part of it.
struct PendingFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl PendingFile {
    /// Creates the temporary file, whose name is the final one with `suffix` appended.
    fn create(path: &Path, suffix: &str) -> io::Result<Self> {
        // Renaming onto a device or a FIFO would replace it.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "it exists and is no regular file",
            ));
        }
        let mut temporary = OsString::from(path);
        temporary.push(suffix);
        let temporary = PathBuf::from(temporary);
        // A server that was killed may have left the temporary file. `create_new` does not follow a
        // link that another process creates under this name.
        let _ = fs::remove_file(&temporary);
        let file = File::create_new(&temporary)?;
        Ok(Self { path: path.to_path_buf(), temporary, file })
    }

    fn finish(mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        // After the rename the temporary file does not exist; that error is expected.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The pid file before the process has its final id: [`super::detach`] may change the id.
pub(crate) struct PendingPidFile(PendingFile);

impl PendingPidFile {
    /// Creates the temporary file. A failure is a warning, as in memcached; a daemon can still print it
    /// on the terminal. An existing pid file is replaced later; if its process is running, that is a
    /// warning, too.
    pub(crate) fn create(options: &Options) -> Option<Self> {
        let path = options.pid_file.as_deref()?;
        if let Some(pid) = pid_in(path).filter(|&pid| pid != Pid::this() && is_running(pid)) {
            let path = path.display();
            warn!(
                target: "miocached",
                "pid file {path} names process {pid}, which is running; replacing it"
            );
        }
        match PendingFile::create(path, ".tmp") {
            Ok(file) => Some(Self(file)),
            Err(error) => {
                warn_unwritable(path, &error);
                None
            }
        }
    }

    /// Writes the process id and renames the file.
    pub(crate) fn finish(self) -> Option<PidFile> {
        let path = self.0.path.clone();
        match self.0.finish(&format!("{}\n", Pid::this())) {
            Ok(()) => Some(PidFile { path }),
            Err(error) => {
                warn_unwritable(&path, &error);
                None
            }
        }
    }
}

fn warn_unwritable(path: &Path, why: &dyn Display) {
    warn!(target: "miocached", "cannot write pid file {}: {why}", path.display());
}

/// The pid file of this process. Removed when dropped.
pub(crate) struct PidFile {
    path: PathBuf,
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another server may have replaced the file since.
        if pid_in(&self.path) == Some(Pid::this()) {
            // A failure is ignored, because the process ends.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn pid_in(path: &Path) -> Option<Pid> {
    let text = String::from_utf8(file::read(path).ok()?).ok()?;
    text.trim().parse().ok().filter(|&pid| pid > 0).map(Pid::from_raw)
}

fn is_running(pid: Pid) -> bool {
    // EPERM means that the process exists and belongs to another user.
    matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

/// Writes the ports of the listeners to the file that the environment variable names. Does nothing if
/// the variable is not set.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_ports(addresses: impl Iterator<Item = SocketAddr>) -> Result<(), String> {
    let Some(path) = env::var_os(PORT_FILE_VARIABLE) else { return Ok(()) };
    let lines: String = addresses
        .map(|address| {
            let family = if address.is_ipv6() { "INET6" } else { "INET" };
            format!("TCP {family}: {}\n", address.port())
        })
        .collect();
    // As with memcached, a server without TCP writes no file.
    if lines.is_empty() {
        return Ok(());
    }
    let path = Path::new(&path);
    PendingFile::create(path, ".lck")
        .and_then(|file| file.finish(&lines))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
