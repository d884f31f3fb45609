//! Files that tell others of this process: its id, and its ports.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use log::warn;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::Options;

/// The variable with which memcached's own tests ask for a file of ports.
const PORT_FILE_VARIABLE: &str = "MEMCACHED_PORT_FILENAME";

/// A file that appears under its name only when it is whole.
struct Draft {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

impl Draft {
    /// Begins one, under its own name with `suffix` behind it.
    fn begin(path: &Path, suffix: &str) -> Result<Self, String> {
        let mut draft = OsString::from(path);
        draft.push(suffix);
        let draft = PathBuf::from(draft);
        // One that a server left which was killed; whatever else it is, nothing is written through it.
        let _ = fs::remove_file(&draft);
        let file = File::create_new(&draft);
        let file = file.map_err(|error| format!("cannot write {}: {error}", draft.display()))?;
        Ok(Self { path: path.to_path_buf(), draft, file })
    }

    fn finish(mut self, text: &str) -> Result<(), String> {
        let written = self.file.write_all(text.as_bytes());
        let done = written.and_then(|()| fs::rename(&self.draft, &self.path));
        done.map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A finished one is not there any more.
        let _ = fs::remove_file(&self.draft);
    }
}

/// The file of the process id, before [`super::detach`] has settled which that is.
pub(crate) struct PidDraft(Draft);

impl PidDraft {
    /// Sees that the file can be written, when there is to be one. One that is there is replaced,
    /// as by memcached, with a line when its process still runs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn begin(options: &Options) -> Result<Option<Self>, String> {
        let Some(path) = &options.pid_file else { return Ok(None) };
        if let Some(pid) = pid_in(path).filter(|&pid| pid != Pid::this() && runs(pid)) {
            let path = path.display();
            warn!(target: "miocached", "{path} names process {pid}, which is running, and is replaced");
        }
        Ok(Some(Self(Draft::begin(path, ".tmp")?)))
    }

    /// Writes it.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) fn finish(self) -> Result<PidFile, String> {
        let path = self.0.path.clone();
        self.0.finish(&format!("{}\n", Pid::this()))?;
        Ok(PidFile { path })
    }
}

/// The file of the process id: it goes when the server goes.
pub(crate) struct PidFile {
    path: PathBuf,
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another server may have replaced it since.
        if pid_in(&self.path) == Some(Pid::this()) {
            // Nobody is left to be told that it could not be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn pid_in(path: &Path) -> Option<Pid> {
    fs::read_to_string(path).ok()?.trim().parse().ok().filter(|&pid| pid > 0).map(Pid::from_raw)
}

fn runs(pid: Pid) -> bool {
    // A process of somebody else's may not be asked, but it is there.
    matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

/// Writes the ports that are listened on into the file that the environment names, if it does.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_ports(addresses: impl Iterator<Item = SocketAddr>) -> Result<(), String> {
    let Some(path) = env::var_os(PORT_FILE_VARIABLE) else { return Ok(()) };
    let lines: String = addresses
        .map(|address| {
            let family = if address.is_ipv6() { "INET6" } else { "INET" };
            format!("TCP {family}: {}\n", address.port())
        })
        .collect();
    // As with memcached, a server without TCP has nothing to write.
    if lines.is_empty() {
        return Ok(());
    }
    Draft::begin(Path::new(&path), ".lck")?.finish(&lines)
}
