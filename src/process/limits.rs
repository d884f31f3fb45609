//! Limits of the process, raised as far as allowed: descriptors, core dumps, locked memory.

use log::warn;
use miocached::config::Config;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

use super::Options;

/// Descriptors beside those of clients and listeners: standard input, output and error, the event
/// queue, the two of signals, an auth file, and the client that is just being turned away.
const DESCRIPTORS_BESIDE: usize = 8;

/// Raises all limits that the options call for, and lowers `-c` to what fits.
///
/// # Errors
/// When not even one client fits, or core dumps cannot be had.
pub(crate) fn raise(options: &Options, config: &mut Config) -> Result<(), String> {
    have_descriptors(config)?;
    if options.core_dumps && raise_to_most(Resource::RLIMIT_CORE) == 0 {
        return Err("cannot have core dumps: their limit is 0".into());
    }
    if options.lock_memory {
        // How far that goes shows when memory is locked.
        raise_to_most(Resource::RLIMIT_MEMLOCK);
    }
    Ok(())
}

/// Memory may be locked without limit.
pub(crate) fn memory_lock_is_unlimited() -> bool {
    getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY)
}

/// A soft limit counts, and only root may raise a hard one.
fn have_descriptors(config: &mut Config) -> Result<(), String> {
    let beside = DESCRIPTORS_BESIDE + config.tcp.len() + config.unix.len();
    let wanted = config.connections_max.saturating_add(beside);
    let wanted = rlim_t::try_from(wanted).unwrap_or(RLIM_INFINITY);
    let unknown = |error| format!("cannot tell how many descriptors may be open: {error}");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(unknown)?;
    if soft >= wanted {
        return Ok(());
    }
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted.max(hard)).is_err() {
        // What this comes to is looked at next.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(unknown)?;
    let possible = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(beside);
    if possible == 0 {
        return Err(format!("{limit} descriptors leave none for clients"));
    }
    if possible < config.connections_max {
        let asked = config.connections_max;
        warn!(
            target: "miocached",
            "-c is {possible} instead of {asked}: this process may have only {limit} descriptors"
        );
        config.connections_max = possible;
    }
    Ok(())
}

/// Raises a limit altogether, or at least to the hard one. Returns what it is then.
fn raise_to_most(resource: Resource) -> rlim_t {
    if setrlimit(resource, RLIM_INFINITY, RLIM_INFINITY).is_err()
        && let Ok((_, hard)) = getrlimit(resource)
    {
        // What this comes to is looked at next.
        let _ = setrlimit(resource, hard, hard);
    }
    getrlimit(resource).map_or(0, |(soft, _)| soft)
}
