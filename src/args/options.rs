//! The options, in the order of `--help`: names, texts, defaults, parsers.
//!
//! `-h` prints the first paragraph of a text, `--help` all of it. clap does not wrap the lines, so they
//! stay below 86 columns.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{EnumValueParser, StringValueParser};
use clap::{ArgAction, Parser, ValueEnum, value_parser};

use super::compat::Compat;
use super::extended::{self, Suboption};
use super::value::{
    address, checked, delimiter, mebibytes, octal, path, port, positive, size, text, trimmed,
};

const LISTENING: &str = "Listening";
const MEMORY: &str = "Memory";
const REQUESTS: &str = "Requests";
const PERMISSIONS: &str = "What clients may do";
const PROCESS: &str = "Process";

/// What -V prints after the name. As in the answer to `version`, memcached's number is first.
const VERSION: &str = concat!("1.6.45 (own version ", env!("CARGO_PKG_VERSION"), ")");

/// clap's template, after a line of name and version: scripts read memcached's version from the first
/// line of `-h`.
const HELP: &str = "\
{name} {version}

{about-with-newline}
{usage-heading} {usage}

{all-args}{after-help}";

/// The end of the output of `--help`, after the tables of suboptions.
const AFTER_SUBOPTIONS: &str = "\
Signals:
  SIGTERM, SIGINT, SIGUSR1  stop: close the listeners, answer what has been read, within 1 s, write
                            the file of --snapshot, and exit
  SIGHUP                    read the auth file of -Y again
  SIGUSR2                   log what each connection waits for; write the file of --trace-file

Exit codes:
  0  stopped by a signal or by shutdown, or end of the input of --stdio
  1  the server cannot start or has failed, or cannot write the snapshot; one line on stderr
     says why
  2  the command line does not parse

Environment:
  MEMCACHED_PORT_FILENAME   file to write the TCP ports to, one a line: \"TCP INET: 11211\"
  LISTEN_FDS, LISTEN_PID    sockets of systemd to serve; -p, -l, -s, -a and -b have no effect then
  NOTIFY_SOCKET             socket of systemd (Type=notify), to which the server reports its state";

/// A memcached-compatible cache server on a single-threaded event loop.
///
/// Options have memcached's names. As with getopt, the last one counts if an option is given
/// twice, and a long name may be shortened if it stays unambiguous.
#[derive(Debug, Parser)]
#[command(
    name = "miocached",
    version = VERSION,
    help_template = HELP,
    help_expected = true,
    verbatim_doc_comment,
    args_override_self = true,
    infer_long_args = true,
    after_long_help = format!("{}{AFTER_SUBOPTIONS}", extended::help())
)]
pub(super) struct Options {
    /// TCP port; 0 or -1 for any free port [default: 11211]
    ///
    /// In memcached, 0 turns TCP off.
    #[arg(short, long, value_name = "PORT", help_heading = LISTENING, verbatim_doc_comment)]
    #[arg(allow_negative_numbers = true, value_parser = port())]
    pub(super) port: Option<i32>,

    /// Address to listen on; may be given several times [default: 127.0.0.1]
    ///
    /// An IPv4 address, an IPv6 address or a host name, with or without a port: 0.0.0.0,
    /// 10.0.0.1:11212, ::1, [::1]:11211. Several may also be separated by commas.
    #[arg(short, long, value_name = "ADDRESS", help_heading = LISTENING, verbatim_doc_comment)]
    #[arg(value_delimiter = ',', value_parser = text())]
    pub(super) listen: Vec<String>,

    /// Unix socket to listen on, instead of TCP
    ///
    /// If -p or -l is given, too, the server also listens on TCP. The socket file of a dead
    /// server is replaced; that of a running one is an error. The file is removed at exit.
    #[arg(short = 's', long, value_name = "PATH", help_heading = LISTENING, verbatim_doc_comment)]
    #[arg(value_parser = path())]
    pub(super) unix_socket: Option<PathBuf>,

    /// Permissions of the Unix socket, in octal
    #[arg(short = 'a', long, value_name = "MASK", help_heading = LISTENING)]
    #[arg(default_value = "700", value_parser = octal())]
    pub(super) unix_mask: u32,

    /// Serve metrics for Prometheus, and a live page of them, over HTTP
    ///
    /// A port of 127.0.0.1, or ADDRESS:PORT with an IP address. The page is at /, the metrics
    /// at /metrics. Everyone who can connect can read both. The page shows hot keys, which
    /// are counted as with --hot-keys; -X forbids that. At most 16 connections are open, and
    /// they do not count for -c.
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = LISTENING, verbatim_doc_comment)]
    #[arg(allow_negative_numbers = true, value_parser = address())]
    pub(super) metrics: Option<SocketAddr>,

    /// Maximum number of client connections
    ///
    /// Above it, a new client gets "ERROR Too many open connections" and is closed; see -o
    /// no_maxconns_fast. The server raises its limit on open files as far as the system
    /// allows. If that is not enough, -c is lowered, with a warning.
    #[arg(short, long, value_name = "NUMBER", help_heading = LISTENING, verbatim_doc_comment)]
    #[arg(default_value = "1024", allow_negative_numbers = true)]
    #[arg(value_parser = positive("the connection limit"))]
    pub(super) conn_limit: usize,

    /// Length of the kernel's queue of connections that are not accepted yet
    #[arg(short = 'b', long, value_name = "NUMBER", help_heading = LISTENING)]
    #[arg(default_value = "1024", allow_negative_numbers = true)]
    #[arg(value_parser = trimmed(value_parser!(i32)))]
    pub(super) listen_backlog: i32,

    /// TCP port if neither -p nor -s is given; there is no UDP
    ///
    /// memcached, too, uses it for TCP in this case. Any port but 0 causes a warning that
    /// there is no UDP.
    #[arg(short = 'U', long, value_name = "PORT", help_heading = LISTENING, verbatim_doc_comment)]
    #[arg(allow_negative_numbers = true, value_parser = port())]
    pub(super) udp_port: Option<i32>,

    /// Memory for items, in MiB
    ///
    /// It holds each item's key, value and header. When it is full, expired items are
    /// removed first, and then cold ones are evicted. The process needs more memory than
    /// this, see --buffer-limit.
    #[arg(short, long, value_name = "MIB", help_heading = MEMORY, verbatim_doc_comment)]
    #[arg(default_value = "64", value_parser = mebibytes("--memory-limit"))]
    pub(super) memory_limit: usize,

    /// Refuse new items with an error when the memory is full, instead of evicting others
    #[arg(short = 'M', long, help_heading = MEMORY)]
    pub(super) disable_evictions: bool,

    /// Largest item, in bytes or with suffix k or m [default: 1m]
    ///
    /// From 1k to 1024m. A limit above two fifths of -m is lowered to two fifths, with a
    /// warning; one above half of -m is an error.
    #[arg(short = 'I', long, value_name = "SIZE", help_heading = MEMORY, verbatim_doc_comment)]
    #[arg(value_parser = size())]
    pub(super) max_item_size: Option<usize>,

    /// Memory for the read and write buffers of all connections, in MiB
    ///
    /// When all of it is in use, connections that need more wait until others free theirs.
    /// The limit is raised, with a warning, if two of the largest requests and answers do
    /// not fit.
    ///
    /// A container needs a memory limit of at least -m + --buffer-limit + 16 MiB, which is
    /// 144 MiB by default. With less, the kernel may kill the server when both are in use.
    #[arg(long, value_name = "MIB", help_heading = MEMORY, verbatim_doc_comment)]
    #[arg(default_value = "64", value_parser = mebibytes("--buffer-limit"))]
    pub(super) buffer_limit: usize,

    /// Use huge pages for the memory for items, if the kernel has any
    ///
    /// The server asks for them by madvise(2). They save a few percent of CPU at best, for
    /// pipelines over a million items, and take up to 4 MiB more memory.
    #[arg(short = 'L', long, help_heading = MEMORY, verbatim_doc_comment)]
    pub(super) enable_largepages: bool,

    /// Lock all memory, so that none of it is swapped out
    ///
    /// If the system does not allow it, the server starts with a warning.
    #[arg(short = 'k', long, help_heading = MEMORY, verbatim_doc_comment)]
    pub(super) lock_memory: bool,

    /// How the dialect of a line is chosen
    #[arg(long, help_heading = REQUESTS, default_value = "auto")]
    #[arg(value_enum, value_parser = trimmed(EnumValueParser::<Dialect>::new()))]
    pub(super) dialect: Dialect,

    /// Protocol that clients speak [default: auto, or ascii with -Y]
    #[arg(short = 'B', long, help_heading = REQUESTS)]
    #[arg(value_enum, value_parser = trimmed(EnumValueParser::<Protocol>::new()))]
    pub(super) protocol: Option<Protocol>,

    /// Maximum requests of one connection per turn [default: a buffer of 16 KiB]
    #[arg(short = 'R', long, value_name = "NUMBER", help_heading = REQUESTS)]
    #[arg(allow_negative_numbers = true, value_parser = positive("-R"))]
    pub(super) max_reqs_per_event: Option<usize>,

    /// Poll for so many microseconds after an event before sleeping
    ///
    /// Polling avoids the kernel's wake-up, which is most of a round trip: that of a single
    /// client takes a third of the time. While requests arrive at shorter intervals than
    /// this, the server uses all of a CPU.
    #[arg(long, value_name = "MICROSECONDS", help_heading = REQUESTS, verbatim_doc_comment)]
    #[arg(default_value = "0", value_parser = trimmed(value_parser!(u32).range(..=1_000_000)))]
    pub(super) busy_poll: u32,

    /// Give items no cas ids
    #[arg(short = 'C', long, help_heading = REQUESTS)]
    pub(super) disable_cas: bool,

    /// Count requests by key prefix; this character ends a prefix
    ///
    /// "stats detail dump" prints the counts. Without this option a colon ends a prefix,
    /// and "stats detail on" starts counting. flush_prefix has the same prefixes.
    #[arg(short = 'D', value_name = "CHARACTER", help_heading = REQUESTS, verbatim_doc_comment)]
    #[arg(allow_hyphen_values = true, value_parser = delimiter())]
    pub(super) prefix_delimiter: Option<u8>,

    /// Find the keys that are fetched most
    ///
    /// "stats hotkeys" prints those of the last 10 to 20 seconds and those since the start,
    /// each with its number of fetches (hits or misses), which is estimated from a sample.
    /// This takes 64 KiB of memory and less than 1 % of a CPU. --metrics includes it. With
    /// -X nothing is counted.
    #[arg(long, help_heading = REQUESTS, verbatim_doc_comment)]
    pub(super) hot_keys: bool,

    /// Suboptions, separated by commas; may be given several times
    ///
    /// A table of them follows the options.
    #[arg(short = 'o', long, value_name = "SUBOPTIONS", help_heading = REQUESTS)]
    #[arg(verbatim_doc_comment)]
    #[arg(value_parser = checked(StringValueParser::new(), |text| extended::parse(&text)))]
    pub(super) extended: Vec<Vec<Suboption>>,

    /// File of user:password lines, one of which a client must send first
    ///
    /// At most eight lines. All clients have to authenticate, those of Unix sockets, too: by
    /// a "set" with the value "user password". SIGHUP makes the server read the file again,
    /// for clients that authenticate later.
    #[arg(short = 'Y', long, value_name = "PATH", help_heading = PERMISSIONS)]
    #[arg(verbatim_doc_comment, value_parser = path())]
    pub(super) auth_file: Option<PathBuf>,

    /// Forbid flush_all and flush_prefix
    #[arg(short = 'F', long, help_heading = PERMISSIONS)]
    pub(super) disable_flush_all: bool,

    /// Forbid commands that list keys
    #[arg(short = 'X', long, help_heading = PERMISSIONS)]
    pub(super) disable_dumping: bool,

    /// Forbid watch, which shows events of other clients
    #[arg(short = 'W', long, help_heading = PERMISSIONS)]
    pub(super) disable_watch: bool,

    /// Allow shutdown
    #[arg(short = 'A', long, help_heading = PERMISSIONS)]
    pub(super) enable_shutdown: bool,

    /// User to change to when started by root
    ///
    /// The change follows the opening of TCP ports, because low ports need root. Socket
    /// file and pid file belong to this user. Without -u, the server stays root and warns.
    #[arg(short = 'u', long, value_name = "NAME", help_heading = PROCESS, verbatim_doc_comment)]
    #[arg(value_parser = text())]
    pub(super) user: Option<String>,

    /// Run in the background
    ///
    /// If the server cannot start, it prints the error and exits with 1, as without -d.
    /// Once in the background it logs nothing, unless -v is given.
    #[arg(short = 'd', long, help_heading = PROCESS, verbatim_doc_comment)]
    pub(super) daemon: bool,

    /// Write the process id to this file
    ///
    /// An existing file is replaced, with a warning if its process is running. If the file
    /// cannot be written, that is a warning, too. The file is removed at exit.
    #[arg(short = 'P', long, value_name = "PATH", help_heading = PROCESS, verbatim_doc_comment)]
    #[arg(value_parser = path())]
    pub(super) pidfile: Option<PathBuf>,

    /// Keep the items over a restart, in this file
    ///
    /// The server writes it when it stops, and reads it at the next start, before it listens.
    /// A GiB takes about half a second to write and two to read, besides what the disk needs.
    /// systemd kills a server that has not stopped after TimeoutStopSec, 90 s by default.
    /// Items keep their flags, cas ids and times to live; the time in between counts.
    ///
    /// The file is used once: it is removed before the first request is served, so that a
    /// crash empties the cache and never brings back old values. Of a damaged file the good
    /// blocks are read. A file of another version is removed unread.
    ///
    /// If the file cannot be written, an earlier one stays, the items are lost, and the exit
    /// code is 1. The server does not start if this user (-u) may not read and write the
    /// folder, or if the file is a symbolic link, another program's or used by another
    /// server. While the server runs, there is a file PATH.miocached-tmp beside it.
    #[arg(long, value_name = "PATH", help_heading = PROCESS, verbatim_doc_comment)]
    #[arg(value_parser = path())]
    pub(super) snapshot: Option<PathBuf>,

    /// Allow core dumps of any size
    #[arg(short = 'r', long, help_heading = PROCESS)]
    pub(super) enable_coredumps: bool,

    /// Number of threads; this server has one
    ///
    /// A larger number is ignored, with a warning.
    #[arg(short = 't', long, value_name = "NUMBER", help_heading = PROCESS, verbatim_doc_comment)]
    #[arg(allow_negative_numbers = true, value_parser = positive("-t"))]
    pub(super) threads: Option<usize>,

    /// Serve standard input and output as one connection, and listen on nothing
    #[arg(long, help_heading = PROCESS)]
    #[arg(conflicts_with_all = ["daemon", "pidfile", "auth_file", "trace_file", "metrics", "snapshot"])]
    pub(super) stdio: bool,

    /// Log connections; -vv logs every step of the event loop and of each request
    #[arg(short, long, help_heading = PROCESS, action = ArgAction::Count)]
    pub(super) verbose: u8,

    /// Record what the event loop does, for ui.perfetto.dev or chrome://tracing
    ///
    /// The last 262,144 steps (turns, reads, writes, waits, evictions; no keys, no values)
    /// are kept in 8 MiB of memory. They are written to this file when the server stops, and
    /// on SIGUSR2. While they are written, nothing is recorded. A server that is killed
    /// writes nothing.
    #[arg(long, value_name = "PATH", help_heading = PROCESS, verbatim_doc_comment)]
    #[arg(value_parser = path())]
    pub(super) trace_file: Option<PathBuf>,

    /// Print the license
    #[arg(short = 'i', long, help_heading = PROCESS)]
    pub(super) license: bool,

    #[command(flatten)]
    pub(super) compat: Compat,
}

/// See [`miocached::config::DialectMode`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Dialect {
    /// Simple: a get, short set or unknown command on a bare LF; all else classic
    Auto,
    /// All lines are simple, and -B auto allows no binary
    Simple,
    /// All lines are classic, memcached's text protocol
    Classic,
}

/// See [`miocached::config::Protocol`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Protocol {
    /// Binary where a connection's first byte is 0x80, else text
    Auto,
    /// The text protocol, in the dialects that --dialect allows
    Ascii,
    /// The binary protocol
    Binary,
}
