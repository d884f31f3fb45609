//! The values of options, from text.

use std::net::{SocketAddr, ToSocketAddrs as _};

use miocached::config::MIB;

/// All addresses of `name`, which may or may not bring its own port.
pub(super) fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    // An IPv6 address has colons of its own, so its port is only told apart behind brackets.
    let found = match bare.parse() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) if name.contains(':') => name.to_socket_addrs().map(Iterator::collect),
        Err(_) => (name, port).to_socket_addrs().map(Iterator::collect),
    };
    found.map_err(|error| format!("cannot listen on {name}: {error}"))
}

pub(super) fn at_least_1(number: i64, what: &str) -> Result<usize, String> {
    let number = usize::try_from(number).unwrap_or(0);
    if number > 0 { Ok(number) } else { Err(format!("{what} must be at least 1")) }
}

pub(super) fn mebibytes(number: usize, option: &str) -> Result<usize, String> {
    number.checked_mul(MIB).ok_or_else(|| format!("{option} {number} is too large"))
}

/// A size in bytes, or with a suffix of k or m.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1024),
        Some(b'm' | b'M') => (&text[..text.len() - 1], MIB),
        _ => (text, 1),
    };
    let number: usize = digits.parse().map_err(|_| "not a size such as 4096, 512k or 2m")?;
    number.checked_mul(unit).ok_or_else(|| "too large".into())
}

/// Permission bits.
pub(super) fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("not a mode from 0 to 777".into()),
    }
}

/// One byte; what stands behind it is overlooked, as by memcached.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    text.bytes().next().ok_or_else(|| "no character".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("512k"), Ok(512 << 10));
        assert_eq!(size("2M"), Ok(2 << 20));
        for bad in ["", "m", "-1", "1g", "1.5m", "99999999999999999999", "99999999999999999m"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
