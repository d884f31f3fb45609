//! What `.packaging` has for packages, containers and service managers, against the program.
//!
//! * `container`: the entrypoint of the container image
//! * `generated`: the man page and the completions, which are generated from the options
//! * `units`: the systemd units
//! * `recipes`: the recipes for clients, each tried as it stands
//! * `monitoring`: those for Prometheus and Grafana
//!
//! `.ci/package` builds the Debian package, installs it and removes it.

mod container;
mod generated;
mod monitoring;
mod recipes;
mod units;

use std::path::{Path, PathBuf};

/// A file of `.packaging`.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".packaging").join(name)
}

/// The program's definition of its options, without its parser's types.
#[path = "../src/args"]
#[allow(dead_code, reason = "the program uses the rest")]
#[allow(unreachable_pub, reason = "they are modules of the program")]
mod args {
    mod compat;
    mod extended;
    mod options;
    mod value;

    pub(super) fn command() -> clap::Command {
        <options::Options as clap::CommandFactory>::command()
    }
}
