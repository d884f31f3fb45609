//! Raises the resource limits of the process: descriptors, core dumps, locked memory.

use log::warn;
use miocached::config::Config;
use miocached::net::HTTP_CONNECTIONS_MAX;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

use super::Options;

/// Descriptors other than those of clients and listeners: standard input, output and error, epoll, two
/// for signals, the auth file, and a client that is being rejected.
const OTHER_DESCRIPTORS: usize = 8;

/// Raises the limits as far as the options need, and lowers `-c` to the limit of descriptors.
///
/// # Errors
/// When the limits allow no client, or when `-r` is given and they allow no core dumps.
pub(crate) fn raise(options: &Options, config: &mut Config) -> Result<(), String> {
    raise_descriptors(config)?;
    if options.core_dumps && raise_to_max(Resource::RLIMIT_CORE) == 0 {
        return Err("-r: core dumps are not allowed here: their limit is 0".into());
    }
    if options.lock_memory {
        // If the limit stays too low, locking the memory fails later and causes a warning.
        raise_to_max(Resource::RLIMIT_MEMLOCK);
    }
    Ok(())
}

/// Whether the process may lock memory without limit.
pub(crate) fn memory_lock_is_unlimited() -> bool {
    getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY)
}

/// Raises the soft limit of descriptors, which the kernel enforces, and for root the hard limit, too.
/// Lowers `connections_max` if the limit stays too low.
fn raise_descriptors(config: &mut Config) -> Result<(), String> {
    // The metrics address has a listener, and a client that is being rejected.
    let http = if config.metrics.is_some() { HTTP_CONNECTIONS_MAX + 2 } else { 0 };
    let files = [&config.snapshot, &config.trace_file].into_iter().flatten().count();
    let others = OTHER_DESCRIPTORS + files + config.tcp.len() + config.unix.len() + http;
    let needed = config.connections_max.saturating_add(others);
    let needed = rlim_t::try_from(needed).unwrap_or(RLIM_INFINITY);
    let unknown = |error| format!("cannot read the limit on open files: {error}");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(unknown)?;
    if soft >= needed {
        return Ok(());
    }
    if setrlimit(Resource::RLIMIT_NOFILE, needed, needed.max(hard)).is_err() {
        // The limit is read again below, so a failure needs no other treatment.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(unknown)?;
    let possible = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(others);
    if possible == 0 {
        return Err(format!("a limit of {limit} descriptors leaves none for clients"));
    }
    if possible < config.connections_max {
        let given = config.connections_max;
        warn!(
            target: "miocached",
            "-c is {possible} instead of {given}: this process may open only {limit} descriptors"
        );
        config.connections_max = possible;
    }
    Ok(())
}

/// Raises a limit to infinity, or else to the hard limit. Returns the resulting soft limit.
fn raise_to_max(resource: Resource) -> rlim_t {
    if setrlimit(resource, RLIM_INFINITY, RLIM_INFINITY).is_err()
        && let Ok((_, hard)) = getrlimit(resource)
    {
        // The limit is read again below, so a failure needs no other treatment.
        let _ = setrlimit(resource, hard, hard);
    }
    getrlimit(resource).map_or(0, |(soft, _)| soft)
}
