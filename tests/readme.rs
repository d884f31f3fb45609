//! The README is a promise: what it shows is what the program does.

use std::net::Shutdown;

use crate::harness::process::{PATIENCE, Server, run, until};

const README: &str = include_str!("../README.md");
const ONE_REQUEST: &str = include_str!("golden/one_request.txt");

/// A log line without its time and level, and with the one thing in it that changes.
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
    // Its own turn first, and the end of input in a turn of its own last.
    until("the client is known", PATIENCE, || server.log().contains("connected"));
    client.ask(b"set a 1\nx\nget a b\n", b"STORED\nVALUE a 1\nx\nEND\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    until("the connection ends", PATIENCE, || server.log().contains("#0 closed"));
    let log = server.log();
    let lines = log.split_inclusive('\n').filter(|line| !line.contains("WARN"));
    let mut steps: Vec<String> = lines.map(|line| plain(line.trim_end())).collect();
    // What comes after that may have been logged already or not.
    let end = steps.iter().position(|step| step.starts_with("#0 closed")).unwrap();
    steps.truncate(end + 1);
    assert_eq!(steps.join("\n") + "\n", ONE_REQUEST);
}

#[test]
fn every_option_is_in_the_readme() {
    let help = run(&["--help"], b"").stdout;
    let help = String::from_utf8(help).unwrap();
    let options: Vec<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.trim_end_matches(['.', ',', ')', ':', ';']))
        .collect();
    assert!(options.len() >= 30, "{options:?}");
    for option in options {
        assert!(README.contains(option), "the README does not mention {option}");
    }
}

/// The first thing that a stranger tries.
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
