//! The systemd units, checked by systemd's own tools, and what the package installs.

use std::fs;
use std::process::Command;

use super::file;
use crate::clients::has;
use crate::harness::process::{PATIENCE, Server, until};

/// The units, with the program of this build in place of the installed one.
fn units_of_this_build() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["miocached.service", "miocached.socket"] {
        let unit = fs::read_to_string(file(name)).unwrap();
        let unit = unit.replace("/usr/bin/miocached", env!("CARGO_BIN_EXE_miocached"));
        fs::write(folder.path().join(name), unit).unwrap();
    }
    folder
}

#[test]
fn systemd_accepts_the_units() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = units_of_this_build();
    for name in ["miocached.service", "miocached.socket"] {
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(folder.path().join(name));
        let verified = verify.output().unwrap();
        assert!(verified.status.success() && verified.stderr.is_empty(), "{name}: {verified:?}");
    }
}

/// systemd's own score of what a compromised server could do: 0 is nothing, 10 is everything.
#[test]
fn the_service_is_confined() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = units_of_this_build();
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=yes", "--threshold=15", "--no-pager"]);
    let scored = security.arg(folder.path().join("miocached.service")).output().unwrap();
    let table = String::from_utf8_lossy(&scored.stdout);
    assert!(scored.status.success(), "above 1.5 of 10: {table}");
}

/// systemd runs it with the id of the server in `MAINPID`.
#[test]
fn the_units_reload_sends_sighup() {
    let unit = fs::read_to_string(file("miocached.service")).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecReload=/bin/sh -c '"));
    let command = line.and_then(|line| line.strip_suffix('\'')).unwrap();
    let server = Server::start(&["-p", "0"]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env("MAINPID", server.pid().to_string());
    assert!(shell.status().unwrap().success());
    until("it is logged", PATIENCE, || server.log().contains("SIGHUP: there is no auth file"));
}

#[test]
fn the_packages_changelog_has_this_version() {
    let changelog = fs::read_to_string(file("debian/changelog")).unwrap();
    let entry = concat!("miocached (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(changelog.starts_with(entry), "{changelog}");
}

#[test]
fn the_units_options_start_the_server() {
    let unit = fs::read_to_string(file("miocached.service")).unwrap();
    let default = fs::read_to_string(file("debian/default")).unwrap();
    let in_unit = unit.lines().find_map(|line| line.strip_prefix("Environment=\"OPTIONS="));
    let in_file = default.lines().find_map(|line| line.strip_prefix("OPTIONS=\""));
    for options in [in_unit, in_file] {
        let options = options.and_then(|options| options.strip_suffix('"')).unwrap();
        let options: Vec<&str> = options.split_whitespace().chain(["-p", "0"]).collect();
        let server = Server::start(&options);
        server.tcp().ask(b"get a\n", b"END\n");
    }
}
