//! The README's examples, options and files against the program.

use std::net::Shutdown;
use std::path::Path;

use crate::harness::process::{PATIENCE, Server, run, until};

const README: &str = include_str!("../README.md");
const ONE_REQUEST: &str = include_str!("golden/one_request.txt");

/// A log line without its time and level, and with `PORT` in place of a port.
fn plain(line: &str) -> String {
    let text = line.split_once("[miocached] ").map_or(line, |(_, text)| text);
    match text.split_once("127.0.0.1:") {
        Some((before, port)) => {
            let after = port.trim_start_matches(|letter: char| letter.is_ascii_digit());
            format!("{before}127.0.0.1:PORT{after}")
        }
        None => text.to_string(),
    }
}

#[test]
fn one_request_goes_through_these_steps() {
    assert!(README.contains(ONE_REQUEST), "the README shows tests/golden/one_request.txt");
    let server = Server::start(&["-p", "0", "-vv"]);
    let mut client = server.tcp();
    // Connect, request and end of input come in three turns.
    until("the client is known", PATIENCE, || server.log().contains("connected"));
    client.ask(b"set a 1\nx\nget a b\n", b"STORED\nVALUE a 1\nx\nEND\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    until("the connection ends", PATIENCE, || server.log().contains("#0 closed"));
    let log = server.log();
    let lines = log.split_inclusive('\n').filter(|line| !line.contains("WARN"));
    let mut steps: Vec<String> = lines.map(|line| plain(line.trim_end())).collect();
    // Later lines may be logged already or not.
    let end = steps.iter().position(|step| step.starts_with("#0 closed")).unwrap();
    steps.truncate(end + 1);
    assert_eq!(steps.join("\n") + "\n", ONE_REQUEST);
}

/// The code spans of the running text, without those of code blocks.
fn code_spans() -> Vec<&'static str> {
    let text = README.split("```").step_by(2);
    text.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn options_in_the_readme_exist() {
    let help = String::from_utf8(run(&["--help"], b"").stdout).unwrap();
    let known: Vec<&str> = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .flat_map(|line| line.split([' ', ',', '.']))
        .filter(|word| word.starts_with('-'))
        .collect();
    let ours = code_spans().into_iter().map(|span| span.trim_start_matches("miocached "));
    let options: Vec<&str> = ours.filter(|span| span.starts_with('-') && span.len() > 1).collect();
    assert!(options.len() >= 20, "{options:?}");
    for option in options {
        let name = option.split([' ', '=']).next().unwrap();
        // `-vv` is `-v` given twice.
        assert!(known.contains(&name) || name == "-vv", "there is no option {option}");
    }
}

#[test]
fn files_in_the_readme_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_path = |span: &&str| !span.contains(' ') && !span.starts_with('/') && span.contains('/');
    let paths: Vec<&str> = code_spans().into_iter().filter(is_path).collect();
    assert!(paths.len() >= 10, "{paths:?}");
    for path in paths {
        let written_by_a_run = path.starts_with("target/");
        let exists = root.join(path).exists() || root.join("src").join(path).exists();
        assert!(exists || written_by_a_run, "there is no {path}");
    }
}

/// The first example of the README.
#[test]
fn the_first_conversation_is_as_shown() {
    let send = "set greeting 5\nhello\nget greeting\nquit\n";
    let answer = "STORED\nVALUE greeting 5\nhello\nEND\n";
    assert!(README.contains(&format!("printf '{}' | nc", send.replace('\n', "\\n"))));
    assert!(README.contains(&format!("```text\n{answer}```")));
    let server = Server::start(&["-p", "0"]);
    let mut client = server.tcp();
    client.ask(send.as_bytes(), answer.as_bytes());
    client.expect_end();
}
