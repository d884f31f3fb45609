//! The command line: option names as memcached's, and their way into a [`Config`] and the
//! [`process::Options`]. Nothing else knows how an option is spelled.
//!
//! An option of memcached's has one of four fates. It is meant: then it is a field that the help
//! tells of. It tunes a part that is not here: it is taken, and named in the one warning of the
//! start. It promises what is not kept: the server does not start. Or it asks for what is so anyway.

mod absent;
mod extended;
mod value;

use std::net::SocketAddr;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};
use miocached::config::{Config, DialectMode, MIB, UnixSocket};

use crate::process;
use absent::Absent;
use value::{at_least_1, delimiter, mebibytes, octal, resolve, size};

/// memcached's port.
const PORT: u16 = 11211;

/// A memcached-compatible cache server on a single-threaded event loop.
//
// The last one of an option given twice counts, and a long name may be cut short: as with getopt.
#[derive(Debug, Parser)]
#[command(
    name = "miocached",
    version,
    help_expected = true,
    max_term_width = 100,
    args_override_self = true,
    infer_long_args = true
)]
pub(crate) struct Args {
    /// TCP port to listen on; 0 and -1 pick a free one [default: 11211]
    #[arg(short, long, value_name = "PORT", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=65535))]
    port: Option<i32>,

    /// UDP port: there is no UDP, but without -p it is the TCP port
    #[arg(short = 'U', long, value_name = "PORT", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=65535))]
    udp_port: Option<i32>,

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

    /// Connections that the kernel may hold until they are accepted
    #[arg(
        short = 'b',
        long,
        value_name = "NUMBER",
        default_value_t = 1024,
        allow_negative_numbers = true
    )]
    listen_backlog: i32,

    /// Largest number of open client connections
    #[arg(
        short,
        long,
        value_name = "NUMBER",
        default_value_t = 1024,
        allow_negative_numbers = true
    )]
    conn_limit: i64,

    /// Memory for items, in MiB; the oldest that nobody wants leave when it is full
    #[arg(short, long, value_name = "MIB", default_value_t = 64)]
    memory_limit: usize,

    /// Answer with an error when the memory is full, instead of letting items leave
    #[arg(short = 'M', long)]
    disable_evictions: bool,

    /// Largest item, in bytes or with suffix k or m; from 1k up to 1024m and half of -m, of which
    /// four fifths can be had [default: 1m]
    #[arg(short = 'I', long, value_name = "SIZE", value_parser = size)]
    max_item_size: Option<usize>,

    /// Memory that the read and write buffers of all connections may hold together, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    buffer_limit: usize,

    /// Have the memory for items in huge pages, where the kernel gives them
    #[arg(short = 'L', long)]
    enable_largepages: bool,

    /// Lock all memory, so that none of it is swapped out
    #[arg(short = 'k', long)]
    lock_memory: bool,

    /// Requests that one connection may have executed before the others get their turn
    /// [default: one buffer full]
    #[arg(short = 'R', long, value_name = "NUMBER", allow_negative_numbers = true)]
    max_reqs_per_event: Option<i64>,

    /// Microseconds after the last event in which the next one is looked for without sleeping: a
    /// shorter round trip for a CPU that is busy all that time
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    busy_poll: u32,

    /// Dialect of the requests
    #[arg(long, value_enum, default_value_t = Dialect::Auto)]
    dialect: Dialect,

    /// Protocol of the requests; the binary one is not spoken
    #[arg(short = 'B', long, value_enum, default_value_t = Protocol::Auto)]
    protocol: Protocol,

    /// Items have no cas ids
    #[arg(short = 'C', long)]
    disable_cas: bool,

    /// Clients cannot flush all items
    #[arg(short = 'F', long)]
    disable_flush_all: bool,

    /// Clients cannot list keys
    #[arg(short = 'X', long)]
    disable_dumping: bool,

    /// Clients cannot watch what others do (nor can they without this)
    #[arg(short = 'W', long)]
    disable_watch: bool,

    /// Clients can stop the server
    #[arg(short = 'A', long)]
    enable_shutdown: bool,

    /// Count by key prefix from the start, where this character ends a prefix [default: a colon,
    /// and not before "stats detail on"]
    #[arg(short = 'D', value_name = "CHARACTER", allow_hyphen_values = true, value_parser = delimiter)]
    prefix_delimiter: Option<u8>,

    /// File of user:password lines, one of which every client must show first
    #[arg(short = 'Y', long, value_name = "PATH")]
    auth_file: Option<PathBuf>,

    /// idle_timeout=SECONDS, maxconns_fast, no_maxconns_fast or track_sizes; may be given several
    /// times or separated by commas; others of memcached's are refused or without effect
    #[arg(short = 'o', long, value_name = "SUBOPTIONS")]
    extended: Vec<String>,

    /// Become this user after listening, when started by root
    #[arg(short = 'u', long, value_name = "NAME")]
    user: Option<String>,

    /// Run in the background
    #[arg(short = 'd', long)]
    daemon: bool,

    /// Keep the process id in this file
    #[arg(short = 'P', long, value_name = "PATH")]
    pidfile: Option<PathBuf>,

    /// Allow core dumps of any size
    #[arg(short = 'r', long)]
    enable_coredumps: bool,

    /// Serve standard input and output as one connection, and nothing else
    #[arg(long, conflicts_with_all = ["daemon", "pidfile", "auth_file"])]
    stdio: bool,

    /// Log connections; twice: every step of every request
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Print the license and exit
    #[arg(short = 'i', long)]
    license: bool,

    /// Worker threads; there is one
    #[arg(short = 't', long, value_name = "NUMBER", allow_negative_numbers = true)]
    threads: Option<i64>,

    #[command(flatten)]
    absent: Absent,
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

/// What memcached calls the protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Text, and `stats settings` says that it is negotiated
    Auto,
    /// Text
    Ascii,
    /// Refused
    #[value(hide = true)]
    Binary,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) config: Config,
    pub(crate) process: process::Options,
    /// Serve standard input and output only.
    pub(crate) stdio: bool,
    /// Options that were given and have no effect.
    pub(crate) without_effect: Vec<String>,
}

impl Args {
    /// The license is asked for, and nothing else.
    pub(crate) const fn license(&self) -> bool {
        self.license
    }

    /// What was asked for, as plain data.
    ///
    /// # Errors
    /// One line for the operator: which option cannot be had, and why.
    pub(crate) fn asked(&self) -> Result<Asked, String> {
        let mut config = self.config()?;
        let mut without_effect = self.absent.without_effect()?;
        if let Some(threads) = self.threads
            && at_least_1(threads, "-t")? > 1
        {
            without_effect.push(format!("-t {threads}"));
        }
        if let Some(port) = self.udp_port.filter(|&port| port != 0) {
            without_effect.push(format!("-U {port}"));
        }
        for suboptions in &self.extended {
            let told = extended::apply(suboptions, &mut config)?;
            without_effect.extend(told.iter().map(|suboption| format!("-o {suboption}")));
        }
        config.check()?;
        let process = process::Options {
            user: self.user.clone(),
            daemon: self.daemon,
            pid_file: self.pidfile.as_deref().map(|path| self.lasting(path)).transpose()?,
            lock_memory: self.lock_memory,
            core_dumps: self.enable_coredumps,
        };
        Ok(Asked { config, process, stdio: self.stdio, without_effect })
    }

    fn config(&self) -> Result<Config, String> {
        if self.protocol == Protocol::Binary {
            return Err("-B binary: this server is not built with binary protocol support".into());
        }
        let mut unix = Vec::new();
        if let Some(path) = &self.unix_socket {
            unix.push(UnixSocket { path: self.lasting(path)?, mode: self.unix_mask });
        }
        let memory_bytes_max = mebibytes(self.memory_limit, "--memory-limit")?;
        // Only a limit that was asked for can be asking too much.
        let item_bytes_max = MIB.min(Config::item_bytes_possible(memory_bytes_max));
        let defaults = Config::default();
        Ok(Config {
            tcp: self.tcp()?,
            unix,
            memory_bytes_max,
            item_bytes_max: self.max_item_size.unwrap_or(item_bytes_max),
            evicts: !self.disable_evictions,
            connections_max: at_least_1(self.conn_limit, "the connection limit")?,
            buffer_bytes_max: mebibytes(self.buffer_limit, "--buffer-limit")?,
            busy_poll: Duration::from_micros(self.busy_poll.into()),
            huge_pages: self.enable_largepages,
            dialect: match self.dialect {
                Dialect::Auto => DialectMode::Auto,
                Dialect::Simple => DialectMode::Simple,
                Dialect::Classic => DialectMode::Classic,
            },
            ascii_only: self.protocol == Protocol::Ascii,
            cas_enabled: !self.disable_cas,
            flush_enabled: !self.disable_flush_all,
            dump_enabled: !self.disable_dumping,
            shutdown_enabled: self.enable_shutdown,
            detail_enabled: self.prefix_delimiter.is_some(),
            prefix_delimiter: self.prefix_delimiter.unwrap_or(defaults.prefix_delimiter),
            requests_per_turn: self
                .max_reqs_per_event
                .map(|requests| at_least_1(requests, "-R"))
                .transpose()?,
            backlog: self.listen_backlog,
            auth_file: self.auth_file.as_deref().map(|path| self.lasting(path)).transpose()?,
            verbosity: self.verbose,
            ..defaults
        })
    }

    /// The path as it is to be used later, when a daemon has left the folder it was started in.
    fn lasting(&self, path: &Path) -> Result<PathBuf, String> {
        if !self.daemon {
            return Ok(path.to_path_buf());
        }
        path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The port that was asked for, where there is to be TCP for it.
    fn asked_port(&self) -> Option<u16> {
        let udp_port = self.udp_port.filter(|&port| port != 0 && self.unix_socket.is_none());
        // What is left, -1, is any port.
        self.port.or(udp_port).map(|port| u16::try_from(port).unwrap_or(0))
    }

    fn tcp(&self) -> Result<Vec<SocketAddr>, String> {
        let port = self.asked_port();
        if self.listen.is_empty() {
            if self.unix_socket.is_some() && port.is_none() {
                return Ok(Vec::new());
            }
            return Ok(vec![SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(PORT)))]);
        }
        let mut addresses = Vec::new();
        for name in &self.listen {
            for address in resolve(name, port.unwrap_or(PORT))? {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn tcp(arguments: &[&str]) -> Result<Vec<String>, String> {
        let args = Args::try_parse_from([&["miocached"], arguments].concat()).expect("they parse");
        Ok(args.asked()?.config.tcp.iter().map(ToString::to_string).collect())
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
