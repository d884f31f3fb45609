//! The container's entrypoint, with the arguments that images of memcached get.

use std::path::Path;
use std::process::Command;

use super::file;
use crate::harness::process::{Server, run};

/// The entrypoint with these arguments, in a folder of programs as the image has them.
fn entrypoint(programs: &Path, arguments: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.arg(file("entrypoint.sh")).args(arguments);
    let path = std::env::var("PATH").unwrap();
    shell.env("PATH", format!("{}:{path}", programs.display()));
    shell
}

#[test]
fn the_entrypoint_starts_the_server_on_all_addresses() {
    let programs = tempfile::tempdir().unwrap();
    for name in ["miocached", "memcached"] {
        let program = env!("CARGO_BIN_EXE_miocached");
        std::os::unix::fs::symlink(program, programs.path().join(name)).unwrap();
    }
    let socket = programs.path().join("socket");
    let socket = socket.to_str().unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["-p", "0"], "0.0.0.0:"),
        (&["-m", "64", "-p", "0"], "0.0.0.0:"),
        (&["miocached", "-m", "64", "-p", "0"], "0.0.0.0:"),
        (&["memcached", "-m 64", "-o", "modern", "-v", "-p", "0"], "0.0.0.0:"),
        (&["miocached", "-l", "127.0.0.1", "-p", "0"], "127.0.0.1:"),
        (&["--listen=127.0.0.1:0"], "127.0.0.1:"),
        (&["-s", socket], socket),
    ];
    for (arguments, place) in cases {
        let server = Server::spawn(&mut entrypoint(programs.path(), arguments));
        assert_eq!(server.places().len(), 1, "{arguments:?}: {:?}", server.said);
        assert!(server.places()[0].starts_with(place), "{arguments:?}: {:?}", server.said);
    }
    // Another program is left alone.
    let echo = entrypoint(programs.path(), &["echo", "-l"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&echo.stdout), "-l\n");
    // A wrong option is the server's to refuse.
    let ended = entrypoint(programs.path(), &["--no-such-option"]).output().unwrap();
    assert_eq!(ended.status.code(), run(&["--no-such-option"], b"").code);
}

/// What the image's build copies is in the repository, and what it runs names this program.
#[test]
fn the_containerfile_copies_what_exists() {
    let text = std::fs::read_to_string(file("Containerfile")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copies = text.lines().filter_map(|line| line.strip_prefix("COPY "));
    let own = copies.filter(|copy| !copy.contains("--from="));
    let mut count = 0;
    for copy in own {
        let words: Vec<&str> = copy.split(' ').filter(|word| !word.starts_with("--")).collect();
        for source in &words[..words.len() - 1] {
            assert!(root.join(source).exists(), "{source} does not exist");
            count += 1;
        }
    }
    assert!(count > 5, "{count} files and folders");
}
