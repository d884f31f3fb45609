//! The command line: option names as memcached's where it has them, and their way into a
//! [`Config`]. Nothing else knows how an option is spelled.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};
use miocached::config::{Config, DialectMode, MIB, UnixSocket};

/// memcached's port.
const PORT: u16 = 11211;

/// A memcached-compatible cache server on a single-threaded event loop.
#[derive(Debug, Parser)]
#[command(name = "miocached", version, help_expected = true, max_term_width = 100)]
pub(crate) struct Args {
    /// TCP port to listen on; 0 picks a free one [default: 11211]
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,

    /// Address to listen on: IPv4, [IPv6], host name, each with or without :PORT; may be given
    /// several times or separated by commas [default: 127.0.0.1]
    #[arg(short, long, value_name = "ADDRESS", value_delimiter = ',')]
    listen: Vec<String>,

    /// Unix socket to listen on; without -p and -l there is no TCP then
    #[arg(short = 's', long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,

    /// Permissions of the Unix socket, in octal
    #[arg(short = 'a', long, value_name = "MASK", default_value = "700", value_parser = octal)]
    unix_mask: u32,

    /// Memory for items, in MiB; the oldest that nobody wants leave when it is full
    #[arg(short, long, value_name = "MIB", default_value_t = 64)]
    memory_limit: usize,

    /// Largest item, in bytes or with suffix k or m; from 1k up to 1024m and half of -m, of which
    /// four fifths can be had [default: 1m]
    #[arg(short = 'I', long, value_name = "SIZE", value_parser = size)]
    max_item_size: Option<usize>,

    /// Largest number of open client connections
    #[arg(short, long, value_name = "NUMBER", default_value_t = 1024)]
    conn_limit: usize,

    /// Memory that the read and write buffers of all connections may hold together, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    buffer_limit: usize,

    /// Dialect of the requests
    #[arg(long, value_enum, default_value_t = Dialect::Auto)]
    dialect: Dialect,

    /// Serve standard input and output as one connection, and nothing else
    #[arg(long)]
    stdio: bool,

    /// Log connections; twice: every step of every request
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// [`DialectMode`], as the command line spells it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Dialect {
    /// By the ending of each line: LF is simple, CRLF is classic
    Auto,
    /// The simple dialect throughout
    Simple,
    /// memcached's text protocol throughout
    Classic,
}

impl Args {
    /// What was asked for, as plain data.
    ///
    /// # Errors
    /// One line for the operator: which option cannot be had, and why.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let unix = self
            .unix_socket
            .iter()
            .map(|path| UnixSocket { path: path.clone(), mode: self.unix_mask });
        let memory_bytes_max = mebibytes(self.memory_limit, "--memory-limit")?;
        // Only a limit that was asked for can be asking too much.
        let item_bytes_max = MIB.min(Config::item_bytes_possible(memory_bytes_max));
        let config = Config {
            tcp: self.tcp()?,
            unix: unix.collect(),
            memory_bytes_max,
            item_bytes_max: self.max_item_size.unwrap_or(item_bytes_max),
            evicts: true,
            connections_max: self.conn_limit,
            buffer_bytes_max: mebibytes(self.buffer_limit, "--buffer-limit")?,
            dialect: match self.dialect {
                Dialect::Auto => DialectMode::Auto,
                Dialect::Simple => DialectMode::Simple,
                Dialect::Classic => DialectMode::Classic,
            },
            ..Config::default()
        };
        config.check()?;
        Ok(config)
    }

    /// Serve standard input and output only?
    pub(crate) const fn stdio(&self) -> bool {
        self.stdio
    }

    /// How often `-v` was given.
    pub(crate) const fn verbosity(&self) -> u8 {
        self.verbose
    }

    fn tcp(&self) -> Result<Vec<SocketAddr>, String> {
        if self.listen.is_empty() {
            if self.unix_socket.is_some() && self.port.is_none() {
                return Ok(Vec::new());
            }
            return Ok(vec![SocketAddr::from(([127, 0, 0, 1], self.port.unwrap_or(PORT)))]);
        }
        let mut addresses = Vec::new();
        for name in &self.listen {
            for address in resolve(name, self.port.unwrap_or(PORT))? {
                // A name that has the same address twice, or is given twice, is listened on once;
                // not so port 0, of which there may be many.
                if address.port() == 0 || !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Ok(addresses)
    }
}

/// All addresses of `name`, which may or may not bring its own port.
fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    // An IPv6 address has colons of its own, so its port is only told apart behind brackets.
    let found = match bare.parse() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) if name.contains(':') => name.to_socket_addrs().map(Iterator::collect),
        Err(_) => (name, port).to_socket_addrs().map(Iterator::collect),
    };
    found.map_err(|error| format!("cannot listen on {name}: {error}"))
}

fn mebibytes(number: usize, option: &str) -> Result<usize, String> {
    number.checked_mul(MIB).ok_or_else(|| format!("{option} {number} is too large"))
}

/// A size in bytes, or with a suffix of k or m.
fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1024),
        Some(b'm' | b'M') => (&text[..text.len() - 1], MIB),
        _ => (text, 1),
    };
    let number: usize = digits.parse().map_err(|_| "not a size such as 4096, 512k or 2m")?;
    number.checked_mul(unit).ok_or_else(|| "too large".into())
}

/// Permission bits.
fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("not a mode from 0 to 777".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn tcp(arguments: &[&str]) -> Result<Vec<String>, String> {
        let args = Args::try_parse_from([&["miocached"], arguments].concat()).expect("they parse");
        Ok(args.config()?.tcp.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn clap_finds_nothing_wrong() {
        Args::command().debug_assert();
    }

    #[test]
    fn addresses_are_found_in_every_spelling() {
        let cases: [(&[&str], &[&str]); 9] = [
            (&[], &["127.0.0.1:11211"]),
            (&["-p", "7"], &["127.0.0.1:7"]),
            (&["-s", "x"], &[]),
            (&["-s", "x", "-p", "7"], &["127.0.0.1:7"]),
            (&["-s", "x", "-l", "127.0.0.2"], &["127.0.0.2:11211"]),
            (&["-l", "::1,127.0.0.1"], &["[::1]:11211", "127.0.0.1:11211"]),
            (&["-l", "[::1]", "-l", "[::1]:7"], &["[::1]:11211", "[::1]:7"]),
            (&["-l", "127.0.0.1:7,127.0.0.1:7", "-p", "9"], &["127.0.0.1:7"]),
            (&["-l", "127.0.0.1:0,127.0.0.1:0"], &["127.0.0.1:0", "127.0.0.1:0"]),
        ];
        for (arguments, expected) in cases {
            assert_eq!(tcp(arguments).expect("they resolve"), expected, "{arguments:?}");
        }
        assert!(tcp(&["-l", "127.0.0.1:port"]).is_err());
        assert!(tcp(&["-l", ""]).is_err());
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("512k"), Ok(512 << 10));
        assert_eq!(size("2M"), Ok(2 << 20));
        for bad in ["", "m", "-1", "1g", "1.5m", "99999999999999999999", "99999999999999999m"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_that_cannot_be_are_refused() {
        for bad in [
            ["-c", "0"],
            ["-m", "0"],
            ["-I", "1023"],
            ["-I", "33m"],
            ["-I", "1025m"],
            ["--buffer-limit", "0"],
            ["-m", "99999999999999999"],
        ] {
            assert!(tcp(&bad).is_err(), "{bad:?}");
        }
    }
}
