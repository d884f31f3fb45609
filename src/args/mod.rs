//! The command line: parses memcached's option names, and converts them into a [`Config`] and the
//! [`process::Options`]. No other module parses an option.
//!
//! An option of memcached has one of four effects here: it sets something (`options`), it asks for what
//! this server always does, it is ignored with a warning, or it is refused (`compat`, and `extended`
//! for the suboptions of `-o`).

mod compat;
mod extended;
mod options;
mod value;

use std::net::SocketAddr;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use clap::Parser as _;
use miocached::config::{self, Config, DialectMode, MIB, UnixSocket};

use crate::process;
use options::{Dialect, Options, Protocol};
use value::resolve;

/// memcached's port.
const PORT: u16 = 11211;

/// The settings of the command line, as plain data.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) config: Config,
    pub(crate) process: process::Options,
    /// Serve standard input and output, and no sockets.
    pub(crate) stdio: bool,
    /// Options that were given and have no effect, or not all of the effect that they have in
    /// memcached.
    pub(crate) ignored: Vec<String>,
}

/// The program's task.
#[derive(Debug)]
pub(crate) enum Action {
    PrintLicense,
    Serve(Box<Launch>),
}

/// Parses the command line. Exits with 0 after `--help` and `--version`, and with 2 if it does not
/// parse.
///
/// # Errors
/// One line for the operator: the option that is refused, and why.
pub(crate) fn parse() -> Result<Action, String> {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => match value::refusal(&error) {
            Some(why) => return Err(why.to_owned()),
            None => error.exit(),
        },
    };
    if options.license {
        return Ok(Action::PrintLicense);
    }
    options.launch().map(|launch| Action::Serve(Box::new(launch)))
}

impl Options {
    fn launch(&self) -> Result<Launch, String> {
        let mut config = self.config()?;
        let mut ignored: Vec<String> = self.compat.ignored().collect();
        if let Some(threads) = self.threads.filter(|&threads| threads > 1) {
            ignored.push(format!("-t {threads}"));
        }
        if let Some(port) = self.udp_port.filter(|&port| port != 0) {
            // As in memcached, it is the TCP port where neither -p nor -s is given.
            let sets_tcp_port = self.port.is_none() && self.unix_socket.is_none();
            let part =
                if sets_tcp_port { " (sets only the TCP port; there is no UDP)" } else { "" };
            ignored.push(format!("-U {port}{part}"));
        }
        for suboption in self.extended.iter().flatten() {
            ignored.extend(suboption.apply(&mut config).map(|text| format!("-o {text}")));
        }
        config.check()?;
        let process = process::Options {
            user: self.user.clone(),
            daemon: self.daemon,
            pid_file: self.pidfile.as_deref().map(|path| self.absolute(path)).transpose()?,
            lock_memory: self.lock_memory,
            core_dumps: self.enable_coredumps,
        };
        Ok(Launch { config, process, stdio: self.stdio, ignored })
    }

    fn config(&self) -> Result<Config, String> {
        let mut unix = Vec::new();
        if let Some(path) = &self.unix_socket {
            unix.push(UnixSocket { path: self.absolute(path)?, mode: self.unix_mask });
        }
        // The default follows -m; a limit that was given and does not fit is an error.
        let item_bytes_max = MIB.min(Config::item_bytes_possible(self.memory_limit));
        let defaults = Config::default();
        Ok(Config {
            tcp: self.tcp()?,
            unix,
            metrics: self.metrics,
            memory_bytes_max: self.memory_limit,
            item_bytes_max: self.max_item_size.unwrap_or(item_bytes_max),
            evicts: !self.disable_evictions,
            connections_max: self.conn_limit,
            buffer_bytes_max: self.buffer_limit,
            busy_poll: Duration::from_micros(self.busy_poll.into()),
            huge_pages: self.enable_largepages,
            dialect: match self.dialect {
                Dialect::Auto => DialectMode::Auto,
                Dialect::Simple => DialectMode::Simple,
                Dialect::Classic => DialectMode::Classic,
            },
            protocol: self.protocol()?,
            cas_enabled: !self.disable_cas,
            flush_enabled: !self.disable_flush_all,
            dump_enabled: !self.disable_dumping,
            watch_enabled: !self.disable_watch,
            shutdown_enabled: self.enable_shutdown,
            detail_enabled: self.prefix_delimiter.is_some(),
            prefix_delimiter: self.prefix_delimiter.unwrap_or(defaults.prefix_delimiter),
            hot_keys: self.hot_keys || self.metrics.is_some(),
            requests_per_turn: self.max_reqs_per_event,
            backlog: self.listen_backlog,
            auth_file: self.auth_file.as_deref().map(|path| self.absolute(path)).transpose()?,
            trace_file: self.trace_file.as_deref().map(|path| self.absolute(path)).transpose()?,
            snapshot: self.snapshot.as_deref().map(|path| self.absolute(path)).transpose()?,
            verbosity: self.verbose,
            ..defaults
        })
    }

    /// The protocol of `-B`. As in memcached, `-Y` allows no other than `ascii` to be given with it.
    fn protocol(&self) -> Result<config::Protocol, String> {
        let protocol = match self.protocol {
            None | Some(Protocol::Auto) => config::Protocol::Auto,
            Some(Protocol::Ascii) => config::Protocol::Ascii,
            Some(Protocol::Binary) => config::Protocol::Binary,
        };
        if self.auth_file.is_some() && !matches!(self.protocol, None | Some(Protocol::Ascii)) {
            return Err("-Y needs -B ascii: clients cannot authenticate in binary".into());
        }
        Ok(protocol)
    }

    /// The path. For a daemon, which may change its working directory, it is made absolute.
    fn absolute(&self, path: &Path) -> Result<PathBuf, String> {
        if !self.daemon {
            return Ok(path.to_path_buf());
        }
        path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The TCP port that was given: by `-p`, or by `-U` where `-s` is not given.
    fn given_port(&self) -> Option<u16> {
        let udp_port = self.udp_port.filter(|&port| port != 0 && self.unix_socket.is_none());
        // Of the numbers that clap accepts, only -1 is not a port: it means any port, as 0 does.
        self.port.or(udp_port).map(|port| u16::try_from(port).unwrap_or(0))
    }

    fn tcp(&self) -> Result<Vec<SocketAddr>, String> {
        let port = self.given_port();
        if self.listen.is_empty() {
            if self.unix_socket.is_some() && port.is_none() {
                return Ok(Vec::new());
            }
            return Ok(vec![SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(PORT)))]);
        }
        let mut addresses = Vec::new();
        for name in &self.listen {
            for address in resolve(name, port.unwrap_or(PORT))? {
                // An address that is given twice is opened once. Port 0 is a new port each time.
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

    fn launch(arguments: &[&str]) -> Result<Launch, String> {
        let options = Options::try_parse_from([&["miocached"], arguments].concat());
        options.map_err(|error| error.to_string())?.launch()
    }

    fn tcp(arguments: &[&str]) -> Result<Vec<String>, String> {
        Ok(launch(arguments)?.config.tcp.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn clap_accepts_the_definitions() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_form_of_an_address_is_accepted() {
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
    fn limits_out_of_bounds_are_refused() {
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

    /// Helm charts write an option and its value as one argument, with a space between them.
    #[test]
    fn every_value_may_follow_white_space() {
        for argument in Options::command().get_arguments() {
            if !argument.get_action().takes_values() {
                continue;
            }
            let name = argument.get_id().as_str();
            let sample = match name {
                "listen" | "unix_socket" | "auth_file" | "trace_file" | "pidfile" | "snapshot"
                | "user" => "localhost",
                "unix_mask" => "770",
                "dialect" | "protocol" => "auto",
                "prefix_delimiter" => "/",
                "extended" => "idle_timeout= 30",
                // Refused with any value.
                "memory_file" => continue,
                _ => "64",
            };
            let value = format!(" {sample}");
            if let Some(short) = argument.get_short() {
                let option = format!("-{short}");
                let joined = format!("{option}{value}");
                for arguments in [&["miocached", &option, &value][..], &["miocached", &joined]] {
                    let parsed = Options::try_parse_from(arguments);
                    assert!(parsed.is_ok(), "{arguments:?}: {}", parsed.expect_err("an error"));
                }
            }
            if let Some(long) = argument.get_long() {
                let joined = format!("--{long}={value}");
                assert!(Options::try_parse_from(["miocached", &joined]).is_ok(), "{joined}");
            }
        }
        let config = launch(&["-m 5", "-D /", "-l 127.0.0.2"]).expect("it is valid").config;
        assert_eq!((config.memory_bytes_max, config.prefix_delimiter), (5 * MIB, b'/'));
        assert_eq!(config.tcp, [SocketAddr::from(([127, 0, 0, 2], PORT))]);
        for junk in ["-m 64M", "-m64 ", "-p 1x", "-I 5m 5", "-c 1,024", "-a 700x"] {
            assert!(launch(&[junk]).is_err(), "{junk}");
        }
    }
}
