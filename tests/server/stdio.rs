//! `--stdio`: one conversation through a pipe. Also `--dialect`, which is easiest to test by a pipe.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use crate::harness::process::{MIB, PATIENCE, command, run, until, value};

/// The answers to `input`. Checks for exit code 0 and an empty stderr.
fn answers(options: &[&str], input: &[u8]) -> Vec<u8> {
    let ended = run(&[&["--stdio"], options].concat(), input);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended.stdout
}

#[test]
fn a_conversation_goes_through_a_pipe() {
    assert_eq!(
        answers(&[], b"set a 1\nx\nget a\nget a\r\nnonsense\n"),
        b"STORED\nVALUE a 1\nx\nEND\nVALUE a 0 1\r\nx\r\nEND\r\nERROR\n"
    );
    assert_eq!(answers(&[], b""), b"");
    // An incomplete request is not answered, and bytes after `quit` are ignored.
    assert_eq!(answers(&[], b"get a\nset a 5\nxx"), b"END\n");
    assert_eq!(answers(&[], b"get a\r\nquit\r\nget a\r\n"), b"END\r\n");
}

/// A user at a terminal gets each answer before typing the next request.
#[test]
fn answers_do_not_wait_for_more_requests() {
    let mut child =
        command(&["--stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for _ in 0..3 {
        stdin.write_all(b"get a\n").unwrap();
        let mut answer = [0; 4];
        stdout.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"END\n");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_large_value_goes_through_a_pipe() {
    let data = value(MIB - 512);
    let set = [format!("set a {}\n", data.len()).as_bytes(), &data, b"\n"].concat();
    let block = [format!("VALUE a {}\n", data.len()).as_bytes(), &data, b"\n"].concat();
    let expected = [b"STORED\n".as_slice(), &block, &block, b"END\n"].concat();
    assert!(answers(&[], &[&set, &b"get a a\n"[..]].concat()) == expected);
}

/// `miocached --stdio | head -1` is no failure.
#[test]
fn a_closed_output_pipe_is_no_failure() {
    let mut child = command(&["--stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    drop(stdout);
    // Its input stays open, so that only the broken pipe can end it.
    stdin.write_all(b"get a\n").unwrap();
    until("it ends", PATIENCE, || child.try_wait().unwrap().is_some());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn dialect_selects_the_dialect_of_all_lines() {
    let requests = b"set a 1\nx\nget a\nget a\r\n";
    assert_eq!(
        answers(&["--dialect", "auto"], requests),
        b"STORED\nVALUE a 1\nx\nEND\nVALUE a 0 1\r\nx\r\nEND\r\n"
    );
    assert_eq!(
        answers(&["--dialect", "simple"], requests),
        b"STORED\nVALUE a 1\nx\nEND\nCLIENT_ERROR bad command line format\n"
    );
    // memcached accepts LF at the end of a line, but not after a value.
    assert_eq!(
        answers(&["--dialect", "classic"], b"nonsense\nset a 0 0 1\nx\r\nget a\n"),
        b"ERROR\r\nSTORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n"
    );
    assert_eq!(
        answers(&["--dialect", "simple"], b"version\nset a 0 0 1\nget a\n"),
        b"ERROR\nCLIENT_ERROR bad command line format\nEND\n"
    );
}
