//! What a daemon sets up with its operating system: user, background, signals, limits and files.
//!
//! Knows no sockets; `main` decides the order. All that can fail does so before [`detach`], while
//! stderr still is the terminal.

pub(crate) mod files;
pub(crate) mod limits;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use log::warn;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::{Gid, Uid, User, geteuid, getuid, setgid, setuid};

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

/// Changes to the user of `-u`. Only root can; for any other user the option is without effect, even
/// if the name is unknown, as with memcached: images that run under a bare user id have no names.
///
/// # Errors
/// For root, when there is no such user, or the kernel refuses.
pub(crate) fn change_user(options: &Options) -> Result<(), String> {
    let Some(name) = &options.user else { return Ok(()) };
    let user = User::from_name(name);
    if !is_root() {
        let is_our_own = matches!(&user, Ok(Some(user)) if user.uid == getuid());
        if !is_our_own {
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
        // Linux disables core dumps of a process that has changed its user.
        nix::sys::prctl::set_dumpable(true)
            .map_err(|error| format!("cannot enable core dumps: {error}"))?;
    }
    Ok(())
}

fn is_root() -> bool {
    geteuid().is_root() || getuid().is_root()
}

/// Warns when the server goes on as root. memcached refuses to start then, unless `-u root` is given;
/// this server listens on the loopback alone by default.
pub(crate) fn warn_if_root(options: &Options) {
    if options.user.is_none() && is_root() {
        warn!(target: "miocached", "running as root; use -u NAME to drop privileges");
    }
}

#[cfg(not(target_vendor = "apple"))]
fn set_ids(uid: Uid, gid: Gid) -> nix::Result<()> {
    match nix::unistd::setgroups(&[]) {
        // Where groups cannot be dropped, as in a container of an ordinary user, there are none that
        // grant a right.
        Ok(()) | Err(nix::errno::Errno::EPERM) => {}
        Err(error) => return Err(error),
    }
    setgid(gid)?;
    setuid(uid)
}

/// nix has no `setgroups` here, and a user change that keeps root's groups would drop too little.
#[cfg(target_vendor = "apple")]
fn set_ids(_: Uid, _: Gid) -> nix::Result<()> {
    Err(nix::errno::Errno::ENOTSUP)
}

/// Ignores SIGXFSZ, so that a log file at `RLIMIT_FSIZE` does not end the process: a write to stderr
/// then fails with `EFBIG`, and the logger drops the line.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn ignore_file_size_signal() -> Result<(), String> {
    // SIG_IGN needs unsafe code. A handler that sets an unused flag has the same effect.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())
        .map(drop)
        .map_err(|error: io::Error| format!("cannot ignore SIGXFSZ: {error}"))
}

/// With `-d`, goes on in the background: the parent exits with 0. As with memcached, the child keeps
/// its working directory when it may write core dumps, and its terminal when `-v` has it log there.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn detach(options: &Options, keep_terminal: bool) -> Result<(), String> {
    if !options.daemon {
        return Ok(());
    }
    #[cfg(not(target_vendor = "apple"))]
    let detached = nix::unistd::daemon(options.core_dumps, keep_terminal);
    // Apple's systems want their daemons started by launchd, in the foreground.
    #[cfg(target_vendor = "apple")]
    let detached: nix::Result<()> = Err(nix::errno::Errno::ENOTSUP);
    detached.map_err(|error| format!("cannot go into the background: {error}"))
}

/// With `-k`, locks all memory, and later allocations, too, if no limit can make them fail. As with
/// memcached, it is a warning when the kernel refuses.
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
