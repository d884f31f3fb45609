//! What a daemon asks of its operating system: its user, its background, its limits and files.
//!
//! Knows nothing of sockets; `main` says what comes when. Everything that can fail does so before
//! [`detach`], so that it can be said on the terminal.

pub(crate) mod files;
pub(crate) mod limits;

use std::path::PathBuf;

use log::warn;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::{Gid, Uid, User, geteuid, getuid, setgid, setuid};

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    /// Whom to become (`-u`).
    pub(crate) user: Option<String>,
    /// Go into the background (`-d`).
    pub(crate) daemon: bool,
    /// Where to keep the process id (`-P`).
    pub(crate) pid_file: Option<PathBuf>,
    /// Keep all memory from being swapped out (`-k`).
    pub(crate) lock_memory: bool,
    /// Have core dumps (`-r`).
    pub(crate) core_dumps: bool,
}

/// Becomes `-u`'s user, when this is root.
///
/// # Errors
/// When there is no such user, or the kernel refuses.
pub(crate) fn become_user(options: &Options) -> Result<(), String> {
    let Some(name) = &options.user else { return Ok(()) };
    let user = User::from_name(name).map_err(|error| format!("cannot look for {name}: {error}"))?;
    let user = user.ok_or_else(|| format!("there is no user {name}"))?;
    if !is_root() {
        if user.uid != getuid() {
            warn!(target: "miocached", "-u {name} has no effect: only root can become somebody else");
        }
        return Ok(());
    }
    assume(user.uid, user.gid).map_err(|error| format!("cannot become {name}: {error}"))?;
    #[cfg(target_os = "linux")]
    if options.core_dumps {
        // Linux grants no core dump to a process that has changed its user, unless it asks.
        nix::sys::prctl::set_dumpable(true)
            .map_err(|error| format!("cannot have core dumps: {error}"))?;
    }
    Ok(())
}

fn is_root() -> bool {
    geteuid().is_root() || getuid().is_root()
}

/// memcached refuses to be root without having been told so. This server, which nobody outside the
/// machine reaches by default, says a line and goes on.
pub(crate) fn tell_of_root(options: &Options) {
    if options.user.is_none() && is_root() {
        warn!(target: "miocached", "this server is root; -u NAME makes it somebody else");
    }
}

#[cfg(not(target_vendor = "apple"))]
fn assume(uid: Uid, gid: Gid) -> nix::Result<()> {
    match nix::unistd::setgroups(&[]) {
        // Where groups cannot be given up, as in a container of an ordinary user, there are none that
        // give a right.
        Ok(()) | Err(nix::errno::Errno::EPERM) => {}
        Err(error) => return Err(error),
    }
    setgid(gid)?;
    setuid(uid)
}

/// Without a way to give up root's further groups, becoming somebody else would be a pretence.
#[cfg(target_vendor = "apple")]
fn assume(_: Uid, _: Gid) -> nix::Result<()> {
    Err(nix::errno::Errno::ENOTSUP)
}

/// Goes into the background with `-d`: the parent exits with 0, the child goes on. As with
/// memcached, it stays in its folder when core dumps are to be found there, and keeps the terminal
/// when `-v` wants to be read.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn detach(options: &Options, keeps_terminal: bool) -> Result<(), String> {
    if !options.daemon {
        return Ok(());
    }
    #[cfg(not(target_vendor = "apple"))]
    let detached = nix::unistd::daemon(options.core_dumps, keeps_terminal);
    // Apple's systems want their daemons started by launchd, in the foreground.
    #[cfg(target_vendor = "apple")]
    let detached: nix::Result<()> = Err(nix::errno::Errno::ENOTSUP);
    detached.map_err(|error| format!("cannot go into the background: {error}"))
}

/// Locks what memory there is with `-k`, and what is to come where no limit could make having it
/// fail. As with memcached, a kernel that refuses is worth a line and no more.
pub(crate) fn lock_memory(options: &Options) {
    if !options.lock_memory {
        return;
    }
    let mut flags = MlockAllFlags::MCL_CURRENT;
    if is_root() || limits::memory_lock_is_unlimited() {
        flags |= MlockAllFlags::MCL_FUTURE;
    }
    if let Err(error) = mlockall(flags) {
        warn!(target: "miocached", "-k has no effect: cannot lock memory: {error}");
    }
}
