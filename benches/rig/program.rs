//! Which binaries are measured: miocached as built, memcached as installed, or others by path.
//!
//! Owns the search and the question for a version. Starts nothing that stays.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use super::failure::{Doing, Failure};

/// A server's binary, and what it calls itself.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// The first line of what `-V` prints.
    pub(crate) version: String,
}

impl Program {
    /// The miocached of this build, or the one that `MIOCACHED` names.
    pub(crate) fn miocached() -> Result<Self, Failure> {
        let path = std::env::var_os("MIOCACHED")
            .unwrap_or_else(|| OsString::from(env!("CARGO_BIN_EXE_miocached")));
        Self::at(path.into())
    }

    /// The memcached that `MEMCACHED` names, or the first one where systems keep it.
    pub(crate) fn memcached() -> Result<Self, Failure> {
        if let Some(path) = std::env::var_os("MEMCACHED") {
            return Self::at(path.into());
        }
        let mut folders: Vec<PathBuf> =
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
        folders.extend(["/usr/bin", "/usr/local/bin", "/usr/sbin"].map(PathBuf::from));
        let found =
            folders.iter().map(|folder| folder.join("memcached")).find(|path| path.is_file());
        found.map_or_else(|| Err(Failure(MEMCACHED_MISSING.to_string())), Self::at)
    }

    /// Whether this is memcached itself, under whichever name: it speaks no simple dialect, and it
    /// refuses to run as root without being told so.
    pub(crate) fn is_memcached(&self) -> bool {
        self.version.starts_with("memcached ")
    }

    /// What must stand on its command line for it to start as the user we are.
    pub(crate) fn user_arguments(&self) -> &'static [&'static str] {
        if self.is_memcached() && Uid::effective().is_root() { &["-u", "root"] } else { &[] }
    }

    /// The program at `path`.
    pub(crate) fn at(path: PathBuf) -> Result<Self, Failure> {
        let output = Command::new(&path)
            .arg("-V")
            .output()
            .doing(|| format!("running {} -V", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().trim();
        let version = if version.is_empty() { file_name(&path) } else { version.to_string() };
        Ok(Self { path, version })
    }
}

const MEMCACHED_MISSING: &str = "memcached is not installed, and everything here is measured \
    against it: install Debian's package `memcached` (apt-get install memcached), or name another \
    build with MEMCACHED=path";

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
