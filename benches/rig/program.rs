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
    /// refuses to run as root without `-u root`.
    pub(crate) fn is_memcached(&self) -> bool {
        self.version.starts_with("memcached ")
    }

    /// Whether this memcached sends each answer to a bare `get` with a system call of its own, as all
    /// did before 1.6.35: 15,001 `sendmsg` for 15,000 pipelined gets, where a current one makes 901.
    pub(crate) fn sends_gets_singly(&self) -> bool {
        self.is_memcached()
            && release_of(&self.version).is_some_and(|release| release < FIRST_WITH_BATCHED_GETS)
    }

    /// Whether it cannot be said how this program answers pipelined gets, for it is no memcached with
    /// a version of three numbers.
    pub(crate) fn is_of_unknown_release(&self) -> bool {
        !self.is_memcached() || release_of(&self.version).is_none()
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

/// The first memcached that collects the answers to pipelined gets.
const FIRST_WITH_BATCHED_GETS: [u32; 3] = [1, 6, 35];

/// The three numbers of a version, such as `memcached 1.6.45_2_gabc`; none if there are not three.
pub(crate) fn release_of(version: &str) -> Option<[u32; 3]> {
    let numbers = version.split(' ').next_back()?;
    let mut parts = numbers.splitn(3, '.').map(|part| {
        let end = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().ok()
    });
    Some([parts.next()??, parts.next()??, parts.next()??])
}

const MEMCACHED_MISSING: &str = "memcached is not installed, and everything here is measured \
    against it: name a current build with MEMCACHED=path (--help says how to make one). A \
    distribution's package works too, but one older than 1.6.35 makes its pipelined gets look slow, \
    which favours other servers";

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
