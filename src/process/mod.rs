//! The process: its user, background mode, SIGXFSZ, resource limits, pid file and file of ports.
//!
//! Knows no sockets. `main` calls these functions in the order in which they depend on each other.
//! What can fail comes before [`detach`], while stderr still is the terminal and the exit code can still
//! report it. Warnings may come later.

pub(crate) mod files;
pub(crate) mod limits;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use log::warn;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::{Gid, Uid, User, geteuid, getuid, setgid, setuid};
#[cfg(not(target_vendor = "apple"))]
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

/// The options of this module.
#[derive(Debug)]
pub(crate) struct Options {
    /// Name of the user to change to (`-u`).
    pub(crate) user: Option<String>,
    /// Run in the background (`-d`).
    pub(crate) daemon: bool,
    /// Path of the pid file (`-P`).
    pub(crate) pid_file: Option<PathBuf>,
    /// Keep all memory from being swapped out (`-k`).
    pub(crate) lock_memory: bool,
    /// Allow core dumps of any size (`-r`).
    pub(crate) core_dumps: bool,
}

/// Changes to the user of `-u`, if the process is root. Otherwise the option has no effect, even if the
/// name is unknown, as in memcached: in container images that run under a numeric user id no user name
/// may be known.
///
/// # Errors
/// For root, when there is no such user, or the kernel refuses.
pub(crate) fn change_user(options: &Options) -> Result<(), String> {
    let Some(name) = &options.user else { return Ok(()) };
    let user = User::from_name(name);
    if !is_root() {
        let is_own_user = matches!(&user, Ok(Some(user)) if user.uid == getuid());
        if !is_own_user {
            warn!(target: "miocached", "-u {name} has no effect: only root can change its user");
        }
        return Ok(());
    }
    let user = user.map_err(|error| format!("cannot look up user {name}: {error}"))?;
    let user = user.ok_or_else(|| format!("-u {name}: there is no such user"))?;
    set_ids(user.uid, user.gid)
        .map_err(|error| format!("cannot change to user {name}: {error}"))?;
    #[cfg(target_os = "linux")]
    if options.core_dumps {
        // Linux disables core dumps of a process that changes its user.
        nix::sys::prctl::set_dumpable(true)
            .map_err(|error| format!("cannot enable core dumps: {error}"))?;
    }
    Ok(())
}

fn is_root() -> bool {
    geteuid().is_root() || getuid().is_root()
}

/// Warns if the server stays root. memcached refuses to start as root, unless `-u root` is given. A
/// warning suffices here, because the server listens only on loopback by default.
pub(crate) fn warn_if_root(options: &Options) {
    if options.user.is_none() && is_root() {
        warn!(target: "miocached", "running as root; use -u NAME to drop privileges");
    }
}

#[cfg(not(target_vendor = "apple"))]
fn set_ids(uid: Uid, gid: Gid) -> nix::Result<()> {
    match nix::unistd::setgroups(&[]) {
        // In a container of an ordinary user the kernel does not permit dropping groups. They grant no
        // rights there.
        Ok(()) | Err(nix::errno::Errno::EPERM) => {}
        Err(error) => return Err(error),
    }
    setgid(gid)?;
    setuid(uid)
}

/// nix has no `setgroups` on Apple's systems. Changing only the user would keep the rights of root's
/// groups, so this is an error.
#[cfg(target_vendor = "apple")]
fn set_ids(_: Uid, _: Gid) -> nix::Result<()> {
    Err(nix::errno::Errno::ENOTSUP)
}

/// Ignores SIGXFSZ, so that a log file that reaches `RLIMIT_FSIZE` does not end the process: the write
/// to stderr fails with `EFBIG`, and the logger drops the line.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn ignore_file_size_signal() -> Result<(), String> {
    // SIG_IGN needs unsafe code. A handler that sets an unused flag has the same effect.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())
        .map(drop)
        .map_err(|error: io::Error| format!("cannot ignore SIGXFSZ: {error}"))
}

/// The event queue survives the fork of [`detach`]: an epoll instance is inherited, a kqueue is not.
pub(crate) const EVENT_QUEUE_IS_INHERITED: bool =
    cfg!(any(target_os = "linux", target_os = "android"));

/// With `-d`, continues in the background: forks, and the parent exits with 0. As in memcached, the
/// child keeps its working directory with `-r`, for core dumps, and its terminal with `-v`, for log
/// lines. `/dev/null` is opened before the fork: daemon(3) opens it in the child, whose error would be
/// lost.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn detach(options: &Options, keep_terminal: bool) -> Result<(), String> {
    if !options.daemon {
        return Ok(());
    }
    let null = File::options().read(true).write(true).open("/dev/null");
    null.and_then(|null| Ok(fork_to_background(options, (!keep_terminal).then_some(null))?))
        .map_err(|error| format!("cannot go into the background: {error}"))
}

#[cfg(not(target_vendor = "apple"))]
fn fork_to_background(options: &Options, null: Option<File>) -> nix::Result<()> {
    const KEEP_STREAMS: bool = true;
    nix::unistd::daemon(options.core_dumps, KEEP_STREAMS)?;
    let Some(null) = null else { return Ok(()) };
    dup2_stdin(&null).and(dup2_stdout(&null)).and(dup2_stderr(&null))
}

/// On Apple's systems launchd starts daemons, and they stay in the foreground.
#[cfg(target_vendor = "apple")]
fn fork_to_background(_: &Options, _: Option<File>) -> nix::Result<()> {
    Err(nix::errno::Errno::ENOTSUP)
}

/// With `-k`, locks all memory of the process. Later allocations are locked, too, if no limit can make
/// them fail. If the kernel refuses, that is a warning, as in memcached.
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
