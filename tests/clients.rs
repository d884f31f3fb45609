//! Clients and tools for memcached, unchanged, against this server.
//!
//! `.ci/run` installs them: the Python clients below the target folder, the tools from Debian. The test of
//! a missing one is skipped with a line, and fails under CI. The programs of the Python clients are in
//! `tests/clients`. `AGAINST=path` runs the tests against a real memcached, to check the tests.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::peers::{Memcached, RunningMemcached};
use crate::harness::process::{Client, PATIENCE, Server};
use crate::harness::scripts::Conversation;

/// The folder of memcached's tools in Debian.
const MEMCACHED_TOOL: &str = "/usr/share/memcached/scripts/memcached-tool";

/// A server with a TCP address: this server, or the memcached that `AGAINST` names.
enum Target {
    Ours(Server),
    Memcached(RunningMemcached),
}

impl Target {
    fn start() -> Self {
        match std::env::var("AGAINST") {
            Ok(path) => {
                let memcached = Memcached::at(path).unwrap();
                Self::Memcached(memcached.start_on_tcp(&Conversation::default()))
            }
            Err(_) => Self::Ours(Server::start(&["-l", "127.0.0.1", "-p", "0"])),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Ours(ours) => ours.addresses()[0],
            Self::Memcached(memcached) => memcached.address(),
        }
    }

    /// A server with `items` items: keys `key0` and so on, each with its key as its value.
    fn with(items: usize) -> Self {
        let target = Self::start();
        let mut client = Client::tcp(target.address());
        for item in 0..items {
            let key = format!("key{item}");
            let set = format!("set {key} {item} 0 {}\r\n{key}\r\n", key.len());
            client.ask(set.as_bytes(), b"STORED\r\n");
        }
        target
    }
}

/// Whether the program is installed. Under CI a missing one is a failure.
pub(crate) fn has(program: &str) -> bool {
    require(program, is_installed(program))
}

pub(crate) fn is_installed(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    let folders = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&folders).any(|folder| folder.join(program).exists())
}

pub(crate) fn require(what: &str, found: bool) -> bool {
    assert!(found || std::env::var_os("CI").is_none(), "{what} is not installed");
    if !found {
        println!("SKIPPED: {what} is not installed (see .ci/run)");
    }
    found
}

/// The program with a time limit.
pub(crate) fn patient(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args([&PATIENCE.as_secs().to_string(), program]);
    command
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    println!("{command:?}: {}", output.status);
    output
}

/// The stdout of a program, which must exit with 0.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = output(patient(program).args(arguments));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The folder of the Python libraries.
pub(crate) fn python_path() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("python")
}

/// Runs Python with the libraries of `.ci/run`.
fn python(arguments: &[&str]) -> Output {
    output(patient("python3").args(arguments).env("PYTHONPATH", python_path()))
}

/// Whether the Python library is installed.
fn has_library(library: &str) -> bool {
    let imports = || python(&["-c", &format!("import {library}")]).status.success();
    require(library, has("python3") && imports())
}

/// Runs a program of `tests/clients`, which must exit with 0. Returns its output.
fn run_python(program: &str, arguments: &[&str]) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(program);
    let output = python(&[&[program.to_str().unwrap()], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs one of the Python clients, if its library is installed.
fn python_client(library: &str) {
    if has_library(library) {
        let target = Target::start();
        let (host, port) = (target.address().ip().to_string(), target.address().port().to_string());
        run_python(&format!("{library}_client.py"), &[&host, &port]);
    }
}

#[test]
fn pymemcache() {
    python_client("pymemcache");
}

#[test]
fn pylibmc() {
    python_client("pylibmc");
}

/// Prometheus' own parser reads the metrics.
#[test]
fn prometheus() {
    if has_library("prometheus_client") {
        let server = Server::start(&["-p", "0", "--metrics", "0"]);
        let mut client = server.tcp();
        client.ask(b"set a 0 0 1\r\nx\r\n", b"STORED\r\n");
        client.ask(b"get a b\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n");
        run_python("prometheus_parser.py", &[&format!("http://{}/metrics", server.metrics())]);
    }
}

/// Prometheus' own linter has nothing to say about the metrics.
#[test]
fn promtool_checks_the_metrics() {
    if !require("promtool", has("promtool")) {
        return;
    }
    let server = Server::start(&["-p", "0", "--metrics", "0"]);
    let mut client = Client::tcp(server.metrics());
    client.send(b"GET /metrics HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    client.stream.read_to_string(&mut answer).unwrap();
    let (_, metrics) = answer.split_once("\r\n\r\n").unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(metrics.as_bytes()).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let output = output(patient("promtool").args(["check", "metrics"]).stdin(file));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn tools_of_libmemcached() {
    if !has("memcstat") {
        return;
    }
    let target = Target::with(100);
    let servers = format!("--servers={}", target.address());
    let stats = said("memcstat", &[&servers]);
    for name in ["pid", "version", "curr_items", "cmd_get", "limit_maxbytes", "threads"] {
        assert!(stats.contains(&format!("\t{name}: ")), "no {name} in {stats}");
    }
    assert!(stats.contains("\tcurr_items: 100\n"), "{stats}");
    assert!(said("memcstat", &[&servers, "--args=settings"]).contains("\tmaxbytes: "));
    let stats = said("memcstat", &[&servers, "--binary"]);
    assert!(stats.contains("\tcurr_items: 100\n"), "{stats}");
    assert_eq!(said("memccat", &[&servers, "--binary", "key9", "key8"]), "key9\nkey8\n");
    let dumped = said("memcdump", &[&servers]);
    let mut keys: Vec<&str> = dumped.lines().collect();
    keys.sort_unstable_by_key(|key| key.trim_start_matches("key").parse::<usize>().unwrap());
    let expected: Vec<String> = (0..100).map(|item| format!("key{item}")).collect();
    assert_eq!(keys, expected);
    assert_eq!(said("memccat", &[&servers, "key7"]), "key7\n");
    said("memcping", &[&servers]);
    said("memcexist", &[&servers, "key7"]);
    said("memctouch", &[&servers, "--expire=100", "key7"]);
    said("memcrm", &[&servers, "key7"]);
    let is_gone =
        |key: &str| !output(patient("memcexist").args([&servers[..], key])).status.success();
    assert!(is_gone("key7") && !is_gone("key8"));
    said("memcflush", &[&servers]);
    assert!(is_gone("key8"));
}

/// libmemcached's own test of a server. Newer memcacheds fail its two tests of delete in text.
#[test]
fn capable_of_both_protocols() {
    if !has("memccapable") || std::env::var_os("AGAINST").is_some() {
        return;
    }
    let target = Target::start();
    let (host, port) = (target.address().ip().to_string(), target.address().port().to_string());
    for protocol in ["-a", "-b"] {
        let said = said("memccapable", &["-h", &host, "-p", &port, protocol]);
        assert!(said.contains("All tests passed"), "{said}");
    }
}

#[test]
fn the_tool_that_comes_with_memcached() {
    if !has(MEMCACHED_TOOL) {
        return;
    }
    let target = Target::with(100);
    let address = target.address().to_string();
    let tool = |mode: &str| said(MEMCACHED_TOOL, &[&address, mode]);
    // Number, item size, age, pages, count and so on, of every class that has pages.
    let displayed = tool("display");
    let classes: Vec<Vec<&str>> =
        displayed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert!(classes.iter().any(|class| class.len() == 9 && class[4] == "100"), "{displayed}");
    let number = |said: &str, name: &str| {
        let mut lines = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = lines.find(|words| words.first() == Some(&name));
        line.unwrap_or_else(|| panic!("no {name} in {said}"))[1].to_owned()
    };
    assert_eq!(number(&tool("stats"), "curr_items"), "100");
    assert_eq!(number(&tool("settings"), "maxbytes"), "67108864");
    assert_eq!(number(&tool("sizes"), "sizes_status"), "disabled");
    let listed = tool("keys");
    let keys = listed.lines().filter(|line| line.starts_with("key=key")).count();
    assert_eq!(keys, 100, "{listed}");
    let dumped = tool("dump");
    assert_eq!(dumped.lines().filter(|line| line.starts_with("add key")).count(), 100, "{dumped}");
    assert!(dumped.contains("add key42 42 0 5\r\nkey42\r\n"), "{dumped}");
}

/// damemtop sends a bare LF, and reads up to `END`.
#[test]
fn what_damemtop_asks() {
    let target = Target::with(100);
    let mut writer = Client::tcp(target.address()).stream;
    let mut lines = BufReader::new(writer.try_clone().unwrap()).lines();
    for command in ["stats", "stats items", "stats slabs"] {
        writer.write_all(format!("{command}\n").as_bytes()).unwrap();
        let answer: Vec<String> =
            lines.by_ref().map(Result::unwrap).take_while(|line| line != "END").collect();
        for line in &answer {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(words.len() == 3 && words[0] == "STAT", "{command}: {line}");
        }
        let has = |name: &str| answer.iter().any(|line| line.split(' ').nth(1) == Some(name));
        let wanted: &[&str] = match command {
            "stats" => {
                &["version", "bytes", "limit_maxbytes", "get_hits", "get_misses", "evictions"]
            }
            "stats items" => &["items:1:number", "items:1:age", "items:1:evicted"],
            _ => &["1:chunk_size", "1:used_chunks", "active_slabs", "total_malloced"],
        };
        for name in wanted {
            assert!(has(name), "no {name} in {answer:#?}");
        }
    }
}
