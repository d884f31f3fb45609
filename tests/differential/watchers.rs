//! Random `watch` lines to memcached and to this server: both must accept the same ones.
//!
//! A connection that watches is sent log lines, and memcached accepts no `watch` after other requests.
//! So each line has a connection of its own, and only its first answer is compared. The log lines are
//! compared in `tests/server/watch.rs`.

use std::io::{BufRead as _, BufReader};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestRunner};

use super::{LINES, Server};
use crate::harness::peers::{Memcached, Ours, Stream};
use crate::harness::process::{PATIENCE, until};
use crate::harness::scripts::Conversation;

/// Lines in a case. Not more, because only 20 connections may watch at the same time.
const LINES_PER_CASE: usize = 16;
/// Of so many lines of the other tests there is one here: before the next case memcached has to notice
/// that the watchers are gone, which takes up to a second.
const OTHER_LINES: u32 = 200;

/// The words of a line.
type Words = Vec<Vec<u8>>;

impl Server {
    fn stream(&self) -> Box<dyn Stream> {
        match self {
            Self::Ours(ours) => ours.connect(false),
            Self::Memcached(memcached) => Box::new(memcached.connect()),
        }
    }

    /// The answers to these lines. A line that is refused is followed by a command that is answered.
    fn answers_to_watch(&self, lines: &[Words]) -> Vec<String> {
        let connections: Vec<_> = lines.iter().map(|words| self.watch(words)).collect();
        let (answers, streams): (Vec<_>, Vec<_>) = connections.into_iter().unzip();
        drop(streams);
        until("the watchers are gone", PATIENCE, || {
            let figures = self.ask(b"stats\r\n");
            figures.split(|&byte| byte == b'\n').any(|line| line == b"STAT log_watchers 0\r")
        });
        answers
    }

    /// The answers to one line, and its connection.
    fn watch(&self, words: &Words) -> (String, Box<dyn Stream>) {
        let mut stream = self.stream();
        stream.write_all(&[&words.join(&b' ')[..], b"\r\n"].concat()).unwrap();
        let mut answer = String::new();
        // Log lines may follow at once, and are not looked at.
        BufReader::new(&mut stream).read_line(&mut answer).unwrap();
        if answer != "OK\r\n" {
            stream.write_all(b"get a\r\n").unwrap();
            BufReader::new(&mut stream).read_line(&mut answer).unwrap();
        }
        (answer, stream)
    }
}

#[test]
fn memcached_accepts_the_same_watch_lines() {
    let Some(memcached) = Memcached::find_or_skip() else { return };
    let conversation = Conversation::default();
    let theirs = Server::Memcached(memcached.start(&conversation));
    let ours = Server::Ours(Ours::start(&conversation));
    let is_old = memcached.is_old();
    let lines: Option<u32> = std::env::var("DIFFERENTIAL_LINES").ok().map(|n| n.parse().unwrap());
    let cases = lines.unwrap_or(LINES) / OTHER_LINES / u32::try_from(LINES_PER_CASE).unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: cases.max(1),
        rng_seed: if lines.is_some() { RngSeed::Random } else { RngSeed::Fixed(0) },
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&vec(line(is_old), LINES_PER_CASE), |lines| {
        let pairs = theirs.answers_to_watch(&lines).into_iter().zip(ours.answers_to_watch(&lines));
        for (line, (theirs, ours)) in lines.iter().zip(pairs) {
            let shown = line.join(&b' ').escape_ascii().to_string();
            prop_assert_eq!(theirs, ours, "{}", shown);
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
}

/// memcached takes the start of a kind's name for the name, too, which is a bug and not asked. In 1.6.18
/// there are no deletions, `noreply` silences the error that it is, and a NUL ends the line.
fn line(is_old: bool) -> impl Strategy<Value = Words> {
    const KINDS: [&str; 9] = [
        "fetchers",
        "mutations",
        "evictions",
        "connevents",
        "sysevents",
        "rawcmds",
        "proxyreqs",
        "proxyevents",
        "proxyuser",
    ];
    const OTHERS: [&str; 6] = ["fetchersx", "Fetchers", "bogus", "0", "stderr", "\t"];
    let (mut kinds, mut others) = (KINDS.to_vec(), OTHERS.to_vec());
    if !is_old {
        kinds.push("deletions");
        others.extend(["noreply", "\0"]);
    }
    let word = prop_oneof![8 => select(kinds), 1 => select(others)];
    prop_oneof![12 => vec(word.clone(), 0..4), 1 => vec(word, 20..30)].prop_map(|words| {
        let all = ["watch"].into_iter().chain(words);
        all.map(|word| word.as_bytes().to_vec()).collect()
    })
}
