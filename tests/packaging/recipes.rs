//! The recipes for clients, each as it stands, against this server.
//!
//! Only the path of the socket is replaced. `.ci/run` installs the programs and libraries; what is missing
//! is skipped with a line, and fails under CI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::file;
use crate::clients::{has, patient, python_path, require};
use crate::harness::process::{Client, Server};

/// The socket in the recipes, which is that of miocached.socket.
const SOCKET: &str = "/run/miocached.sock";

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packaging").join(name)
}

/// A server on a Unix socket, and a copy of a recipe with the path of this socket.
fn server_with(recipe: &str) -> (Server, TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let text = fs::read_to_string(file("recipes").join(recipe)).unwrap();
    assert!(text.contains(SOCKET), "{recipe} uses another socket");
    let copy = folder.path().join(recipe);
    fs::write(&copy, text.replace(SOCKET, socket.to_str().unwrap())).unwrap();
    let server = Server::start(&["-s", socket.to_str().unwrap(), "-p", "0"]);
    (server, folder, copy)
}

/// Whether the command succeeds: an import of what a test needs.
fn can(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|ended| ended.success())
}

fn python(arguments: &[&str]) -> Command {
    let mut python = patient("python3");
    python.args(arguments).env("PYTHONPATH", python_path());
    python
}

#[track_caller]
fn assert_succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (said, why) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}{why}");
    output
}

#[test]
fn one_client_of_a_crowd_recomputes_a_value() {
    let imports = can(&mut python(&["-c", "import pymemcache"]));
    if !require("pymemcache", imports) {
        return;
    }
    let server = Server::start(&["-p", "0"]);
    let address = server.addresses()[0];
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let (crowd, recipes) = (program("stampede_crowd.py"), file("recipes"));
    let arguments = [crowd.to_str().unwrap(), recipes.to_str().unwrap(), &host, &port];
    assert_succeeds(&mut python(&arguments));
}

#[test]
fn django() {
    if !require("django", can(&mut python(&["-c", "import django, pymemcache"]))) {
        return;
    }
    let (server, _folder, settings) = server_with("django.py");
    let script = program("django_cache.py");
    assert_succeeds(&mut python(&[script.to_str().unwrap(), settings.to_str().unwrap()]));
    let total: u64 = server.tcp().figure("total_connections");
    assert!(total > 1, "it has connected to another server");
}

#[test]
fn rails() {
    let mut ruby = patient("ruby");
    let imports = can(ruby.args(["-e", "require 'dalli'; require 'active_support'"]));
    if !require("ruby with dalli and ActiveSupport", imports) {
        return;
    }
    let (server, _folder, settings) = server_with("rails.rb");
    assert_succeeds(patient("ruby").arg(program("rails_cache.rb")).arg(settings));
    let stored = server.tcp().figure("cmd_set");
    assert!(stored >= 4, "{stored} items were stored here");
}

/// Requests of one session at the same time: each sees what the one before has written.
#[test]
fn php_sessions() {
    if !require("php-memcached", can(patient("php").args(["-r", "new Memcached();"]))) {
        return;
    }
    let (_server, folder, _) = server_with("php-sessions.ini");
    let request = || {
        let mut php = patient("php");
        php.arg(program("session_count.php"));
        // The folder of Debian's settings, then that of the recipe.
        php.env("PHP_INI_SCAN_DIR", format!(":{}", folder.path().display()));
        php.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let requests: Vec<_> = (0..12).map(|_| request()).collect();
    let mut counts: Vec<u32> = requests
        .into_iter()
        .map(|request| {
            let ended = request.wait_with_output().unwrap();
            let count = String::from_utf8_lossy(&ended.stdout).trim().parse();
            count.unwrap_or_else(|_| panic!("{ended:?}"))
        })
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=12).collect::<Vec<_>>());
    let socket = folder.path().join("socket");
    Client::unix(&socket).ask(
        b"get memc.sess.key.visitor\r\n",
        b"VALUE memc.sess.key.visitor 0 11\r\ncount|i:12;\r\nEND\r\n",
    );
    assert!(has("php"));
}
