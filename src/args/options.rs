//! The options, in the order of `--help`: names, texts, defaults, parsers.
//!
//! The first paragraph of a text is printed by `-h`, all of it by `--help`. clap prints the lines as
//! they are here, so they stay below 86 columns.

use std::path::PathBuf;

use clap::builder::{EnumValueParser, StringValueParser};
use clap::{ArgAction, Parser, ValueEnum, value_parser};

use super::compat::Compat;
use super::extended::{self, Suboption};
use super::value::{
    checked, delimiter, mebibytes, octal, path, port, positive, size, text, trimmed,
};

const LISTENING: &str = "Listening";
const MEMORY: &str = "Memory";
const REQUESTS: &str = "Requests";
const PERMISSIONS: &str = "What clients may do";
const PROCESS: &str = "Process";

/// The end of `--help`, after the tables of suboptions.
const AFTER: &str = "\
Signals:
  SIGTERM, SIGINT, SIGUSR1  stop: accept no more, answer what has been read, exit within a second
  SIGHUP                    read the auth file of -Y again

Exit codes:
  0  stopped by a signal, or end of the input of --stdio
  1  the server cannot start as asked; one line on stderr says why
  2  the command line does not parse

Environment:
  MEMCACHED_PORT_FILENAME   file to write the TCP ports to, one a line: \"TCP INET: 11211\"";

/// A memcached-compatible cache server on a single-threaded event loop.
///
/// Options have memcached's names. As with getopt, the last of an option given twice counts,
/// and a long name may be shortened as long as it is unambiguous.
#[derive(Debug, Parser)]
#[command(
    name = "miocached",
    version,
    help_expected = true,
    verbatim_doc_comment,
    args_override_self = true,
    infer_long_args = true,
    after_long_help = format!("{}{AFTER}", extended::help())
)]
pub(super) struct Options {
    /// TCP port; 0 or -1 for any free port [default: 11211]
    ///
    /// With memcached, 0 is no TCP at all.
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
    /// With -p or -l, in addition to TCP. A file that a dead server left is replaced; the
    /// socket of a running one is an error. The file is removed at exit.
    #[arg(short = 's', long, value_name = "PATH", help_heading = LISTENING, verbatim_doc_comment)]
    #[arg(value_parser = path())]
    pub(super) unix_socket: Option<PathBuf>,

    /// Permissions of the Unix socket, in octal
    #[arg(short = 'a', long, value_name = "MASK", help_heading = LISTENING)]
    #[arg(default_value = "700", value_parser = octal())]
    pub(super) unix_mask: u32,

    /// Maximum number of client connections
    ///
    /// A further client is answered "ERROR Too many open connections" and closed; see -o
    /// no_maxconns_fast. The limit on open files is raised as far as the system allows;
    /// where that is not enough, -c is lowered with a warning.
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
    /// Any port but 0 causes a warning. memcached, too, takes this port for TCP then.
    #[arg(short = 'U', long, value_name = "PORT", help_heading = LISTENING, verbatim_doc_comment)]
    #[arg(allow_negative_numbers = true, value_parser = port())]
    pub(super) udp_port: Option<i32>,

    /// Memory for items, in MiB
    ///
    /// All that an item takes counts: key, value and a header. When the memory is full,
    /// expired items are removed, and then cold ones evicted. The process needs more
    /// memory than this, see --buffer-limit.
    #[arg(short, long, value_name = "MIB", help_heading = MEMORY, verbatim_doc_comment)]
    #[arg(default_value = "64", value_parser = mebibytes("--memory-limit"))]
    pub(super) memory_limit: usize,

    /// Answer with an error when the memory is full, instead of evicting items
    #[arg(short = 'M', long, help_heading = MEMORY)]
    pub(super) disable_evictions: bool,

    /// Largest item, in bytes or with suffix k or m [default: 1m]
    ///
    /// From 1k to 1024m, and at most half of -m. Above two fifths of -m it is lowered to
    /// that, with a warning.
    #[arg(short = 'I', long, value_name = "SIZE", help_heading = MEMORY, verbatim_doc_comment)]
    #[arg(value_parser = size())]
    pub(super) max_item_size: Option<usize>,

    /// Memory for the read and write buffers of all connections, in MiB
    ///
    /// A connection that needs more waits until others have freed theirs. The limit is
    /// raised, with a warning, where two of the largest requests and answers would not fit.
    ///
    /// A container needs a memory limit of at least -m + --buffer-limit + 16 MiB, which is
    /// 144 MiB by default. With less, the kernel may kill the server when both are in use.
    #[arg(long, value_name = "MIB", help_heading = MEMORY, verbatim_doc_comment)]
    #[arg(default_value = "64", value_parser = mebibytes("--buffer-limit"))]
    pub(super) buffer_limit: usize,

    /// Use huge pages for the memory for items, where the kernel has any
    ///
    /// By madvise(2). At best a few percent less CPU, for pipelines over a million items;
    /// up to 4 MiB more memory.
    #[arg(short = 'L', long, help_heading = MEMORY, verbatim_doc_comment)]
    pub(super) enable_largepages: bool,

    /// Lock all memory, so that none of it is swapped out
    ///
    /// A warning where the system does not allow it.
    #[arg(short = 'k', long, help_heading = MEMORY, verbatim_doc_comment)]
    pub(super) lock_memory: bool,

    /// How the dialect of a line is chosen
    #[arg(long, help_heading = REQUESTS, default_value = "auto")]
    #[arg(value_enum, value_parser = trimmed(EnumValueParser::<Dialect>::new()))]
    pub(super) dialect: Dialect,

    /// Protocol; the binary one is not supported
    #[arg(short = 'B', long, help_heading = REQUESTS, default_value = "auto")]
    #[arg(value_enum, value_parser = checked(trimmed(EnumValueParser::new()), refuse_binary))]
    pub(super) protocol: Protocol,

    /// Requests of one connection in a row while others wait [default: a buffer of 16 KiB]
    #[arg(short = 'R', long, value_name = "NUMBER", help_heading = REQUESTS)]
    #[arg(allow_negative_numbers = true, value_parser = positive("-R"))]
    pub(super) max_reqs_per_event: Option<usize>,

    /// Poll for so many microseconds after an event before sleeping
    ///
    /// Shortens the round trip of a single client to a third, because being woken up is
    /// most of it. While requests arrive at shorter intervals than this, the server uses
    /// all of a CPU.
    #[arg(long, value_name = "MICROSECONDS", help_heading = REQUESTS, verbatim_doc_comment)]
    #[arg(default_value = "0", value_parser = trimmed(value_parser!(u32).range(..=1_000_000)))]
    pub(super) busy_poll: u32,

    /// Give items no cas ids
    #[arg(short = 'C', long, help_heading = REQUESTS)]
    pub(super) disable_cas: bool,

    /// Count requests by key prefix, which this character ends
    ///
    /// "stats detail dump" prints the counts. Without this option a colon ends a prefix,
    /// and counting begins with "stats detail on".
    #[arg(short = 'D', value_name = "CHARACTER", help_heading = REQUESTS, verbatim_doc_comment)]
    #[arg(allow_hyphen_values = true, value_parser = delimiter())]
    pub(super) prefix_delimiter: Option<u8>,

    /// Suboptions, separated by commas; may be given several times
    ///
    /// They are listed at the end of the output of --help.
    #[arg(short = 'o', long, value_name = "SUBOPTIONS", help_heading = REQUESTS)]
    #[arg(verbatim_doc_comment)]
    #[arg(value_parser = checked(StringValueParser::new(), |text| extended::parse(&text)))]
    pub(super) extended: Vec<Vec<Suboption>>,

    /// File of user:password lines, one of which a client must send first
    ///
    /// At most eight lines. It applies to every listener, Unix sockets included. A client
    /// authenticates by a "set" with "user password" for its value. SIGHUP reads the file
    /// again, for clients that authenticate later.
    #[arg(short = 'Y', long, value_name = "PATH", help_heading = PERMISSIONS)]
    #[arg(verbatim_doc_comment, value_parser = path())]
    pub(super) auth_file: Option<PathBuf>,

    /// Forbid flush_all
    #[arg(short = 'F', long, help_heading = PERMISSIONS)]
    pub(super) disable_flush_all: bool,

    /// Forbid commands that list keys
    #[arg(short = 'X', long, help_heading = PERMISSIONS)]
    pub(super) disable_dumping: bool,

    /// Forbid watch, which this server does not have
    #[arg(short = 'W', long, help_heading = PERMISSIONS)]
    pub(super) disable_watch: bool,

    /// Allow shutdown
    #[arg(short = 'A', long, help_heading = PERMISSIONS)]
    pub(super) enable_shutdown: bool,

    /// User to change to when started by root
    ///
    /// After opening the TCP listeners, which may need root for a low port. Socket file and
    /// pid file belong to this user. Without -u, root stays root, with a warning.
    #[arg(short = 'u', long, value_name = "NAME", help_heading = PROCESS, verbatim_doc_comment)]
    #[arg(value_parser = text())]
    pub(super) user: Option<String>,

    /// Run in the background
    ///
    /// Errors of the start are printed first, with exit code 1. After that nothing is
    /// logged, unless -v is given.
    #[arg(short = 'd', long, help_heading = PROCESS, verbatim_doc_comment)]
    pub(super) daemon: bool,

    /// Write the process id to this file
    ///
    /// A file that exists is replaced, with a warning if its process is running. One that
    /// cannot be written is a warning, too. The file is removed at exit.
    #[arg(short = 'P', long, value_name = "PATH", help_heading = PROCESS, verbatim_doc_comment)]
    #[arg(value_parser = path())]
    pub(super) pidfile: Option<PathBuf>,

    /// Allow core dumps of any size
    #[arg(short = 'r', long, help_heading = PROCESS)]
    pub(super) enable_coredumps: bool,

    /// Number of threads; there is one
    ///
    /// More are ignored, with a warning.
    #[arg(short = 't', long, value_name = "NUMBER", help_heading = PROCESS, verbatim_doc_comment)]
    #[arg(allow_negative_numbers = true, value_parser = positive("-t"))]
    pub(super) threads: Option<usize>,

    /// Serve standard input and output as one connection, and listen on nothing
    #[arg(long, help_heading = PROCESS, conflicts_with_all = ["daemon", "pidfile", "auth_file"])]
    pub(super) stdio: bool,

    /// Log connections; -vv logs every step of the event loop and of each request
    #[arg(short, long, help_heading = PROCESS, action = ArgAction::Count)]
    pub(super) verbose: u8,

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
    /// All lines are simple
    Simple,
    /// All lines are classic, memcached's text protocol
    Classic,
}

/// Values of `-B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// The text protocol
    Auto,
    /// The text protocol; "stats settings" calls it "ascii"
    Ascii,
    /// Refused
    #[value(hide = true)]
    Binary,
}

fn refuse_binary(protocol: Protocol) -> Result<Protocol, String> {
    if protocol == Protocol::Binary {
        return Err("-B binary: this server is not built with binary protocol support".into());
    }
    Ok(protocol)
}
