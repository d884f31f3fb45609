//! Random requests to memcached and to this server: the answers must be the same.
//!
//! `requests` generates them, `answers` defines what is compared, and `exceptions` lists the known
//! differences, on purpose or between versions of memcached. `frames` does the
//! same for the binary protocol, and `watchers` for `watch`.
//!
//! `cargo test` includes a short run on requests that are always the same. A long run, on new ones:
//! ```text
//! DIFFERENTIAL_LINES=100000 MEMCACHED=path/of/memcached-1.6.45 cargo test differential
//! ```
//! `AGAINST=path` compares two memcacheds instead, which shows the differences between versions.

mod answers;
mod exceptions;
mod frames;
mod requests;
mod watchers;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::harness::peers::{Memcached, Ours, RunningMemcached, Stream};
use crate::harness::scripts::Conversation;
use answers::comparable;
use exceptions::{Between, EXCEPTIONS, RENAMED};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use requests::{KEYS, Request, requests};

/// Lines in a short run, and the mean number of lines in a case.
const LINES: u32 = 6_000;
const LINES_PER_CASE: u32 = 15;
/// A case fails only if the answers differ this often in a row: a clock may tick between the two servers,
/// and memcached sometimes keeps a reference to an item for a moment after its answer.
const TRIES: usize = 3;

enum Server {
    Ours(Ours),
    Memcached(RunningMemcached),
}

impl Server {
    fn ask(&self, requests: &[u8]) -> Vec<u8> {
        let mut stream: Box<dyn Stream> = match self {
            Self::Ours(ours) => ours.connect(false),
            Self::Memcached(memcached) => Box::new(memcached.connect()),
        };
        // The server may close before it has read everything, which resets the connection.
        let _ = stream.write_all(requests);
        stream.finish();
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers);
        answers
    }

    /// Deletes the items of the case before.
    fn clear(&self) {
        let line = |key: &&[u8]| [b"delete ", *key, b"\r\n"].concat();
        self.ask(&KEYS.iter().map(line).collect::<Vec<_>>().concat());
    }

    /// The current items: cas ids and values by key.
    fn items(&self) -> Items {
        let mut answer = &self.ask(&[b"gets ", &KEYS.join(&b' ')[..], b"\r\n"].concat())[..];
        let mut items = BTreeMap::new();
        while let Some(found) = answer.strip_prefix(b"VALUE ") {
            let end = found.iter().position(|&byte| byte == b'\n').unwrap();
            let words: Vec<&[u8]> = found[..end - 1].split(|&byte| byte == b' ').collect();
            let number = |at: usize| String::from_utf8(words[at].to_vec()).unwrap();
            let (value, rest) = found[end + 1..].split_at(number(2).parse().unwrap());
            items.insert(words[0].to_vec(), (number(3), value.to_vec()));
            answer = &rest[2..];
        }
        items
    }

    /// Its answers to each of the pieces, and its items after each.
    fn answers(&self, pieces: &[Vec<Request>]) -> Vec<String> {
        const STORED: &[u8] =
            b"get a b n\r\nmg a s f t h k u\r\nmg b s f t h k u\r\nmg n s f t h k u\r\n";
        self.clear();
        // memcached keeps a reference to an item until its answer is sent. A number with a reference is
        // not changed in place but stored anew, without padding.
        let pieces = pieces.iter().flat_map(|piece| piece.chunk_by(|_, next| !next.counts()));
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(comparable(&self.ask(&sent(piece, &self.items()))));
            all.extend(comparable(&self.ask(STORED)));
        }
        all
    }
}

/// Cas ids and values by key.
type Items = BTreeMap<Vec<u8>, (String, Vec<u8>)>;

/// The bytes of these requests for a server that has these items.
fn sent(piece: &[Request], items: &Items) -> Vec<u8> {
    // All have the same length, because the data of a request may be too short and then includes them.
    let id = |key| items.get(&[key][..]).map_or("1", |(id, _)| id);
    let id = |key| format!("{:0>20}", id(key));
    // For an empty or blank value memcached parses the bytes that follow it in memory.
    let is_blank =
        |key: &[u8]| items.get(key).is_some_and(|(_, value)| value.trim_ascii().is_empty());
    let reads_beyond = |request: &&Request| {
        let [as_it_is, decoded] = request.keys();
        request.counts() && (is_blank(as_it_is) || is_blank(decoded))
    };
    let asked = piece.iter().filter(|request| !reads_beyond(request));
    let mut sent: Vec<u8> = asked.flat_map(|request| request.bytes(id)).collect();
    // For requests that announced more data: if the client closes while memcached 1.6.45 waits for data,
    // answers are lost.
    sent.extend(b"filler, and again\r\n".repeat(10));
    sent
}

/// Whether a newer memcached gives this answer where an older one gives that.
fn is_renamed(old: &str, new: &str) -> bool {
    let plain = |line: &str| line.trim_end_matches("\\r").to_owned();
    RENAMED.contains(&(&plain(old), &plain(new)))
}

/// Sends the requests to both, and returns the first difference.
fn compare(
    theirs: &Server,
    ours: &Server,
    pieces: &[Vec<Request>],
    mixed: bool,
) -> Result<(), String> {
    let (theirs, ours) = (theirs.answers(pieces), ours.answers(pieces));
    let same = |(theirs, ours): &(&String, &String)| {
        theirs == ours || (mixed && (is_renamed(theirs, ours) || is_renamed(ours, theirs)))
    };
    let at = theirs.iter().zip(&ours).take_while(same).count();
    if at == theirs.len() && at == ours.len() {
        return Ok(());
    }
    let some = |answers: &[String]| answers[..answers.len().min(4)].join("\n         ");
    Err(format!(
        "\n  after  {}\n  theirs {}\n  ours   {}\n",
        some(&ours[at.saturating_sub(4)..at]),
        some(&theirs[at..]),
        some(&ours[at..])
    ))
}

#[test]
fn memcached_answers_the_same() {
    let Some(memcached) = Memcached::find_or_skip() else { return };
    let mut conversation = Conversation::default();
    conversation.options.push(("dialect".into(), "classic".into()));
    let other = std::env::var("AGAINST").ok().map(|path| Memcached::at(path).unwrap());
    let theirs = Server::Memcached(memcached.start(&conversation));
    let ours = match &other {
        Some(other) => Server::Memcached(other.start(&conversation)),
        None => Server::Ours(Ours::start(&conversation)),
    };
    let mixed = memcached.is_old() != other.as_ref().is_some_and(Memcached::is_old);
    let left_out = RefCell::new(BTreeMap::<&str, usize>::new());
    let asked = |request: &Request| {
        let exception = EXCEPTIONS.iter().find(|exception| {
            let counts = match exception.between {
                Between::UsAndThem => other.is_none() || mixed,
                Between::OldAndNew => mixed,
            };
            counts && (exception.applies)(request)
        });
        if let Some(exception) = exception {
            *left_out.borrow_mut().entry(exception.why).or_default() += 1;
        }
        exception.is_none()
    };
    let lines: Option<u32> = std::env::var("DIFFERENTIAL_LINES").ok().map(|n| n.parse().unwrap());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: lines.unwrap_or(LINES) / LINES_PER_CASE,
        rng_seed: if lines.is_some() { RngSeed::Random } else { RngSeed::Fixed(0) },
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let sent = Cell::new(0);
    let outcome = runner.run(&vec(requests(), 1..6), |mut pieces| {
        pieces.iter_mut().for_each(|piece| piece.retain(asked));
        sent.update(|sent| sent + pieces.iter().map(Vec::len).sum::<usize>());
        let mut outcome = Ok(());
        for _ in 0..TRIES {
            outcome = compare(&theirs, &ours, &pieces, mixed);
            if outcome.is_ok() {
                break;
            }
        }
        outcome.map_err(TestCaseError::fail)
    });
    println!("{} requests were sent. Left out: {:#?}", sent.get(), left_out.borrow());
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
}
