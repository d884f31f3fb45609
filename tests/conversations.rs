//! The drivers of the scripts: each script is cut in all ways, and runs over every kind of connection,
//! against this server and a real memcached. The scripts are in `tests/scripts`, their syntax in
//! `harness/scripts.rs`, and the peers in `harness/peers.rs`.

use crate::harness::peers::{InMemory, Memcached, Ours, VERSION, converse};
use crate::harness::scripts::{Conversation, Step, assert_same, scripts, with_version};

/// Limit of the bytes that are sent in all when a script is cut in two at every place.
const CUT_BYTES_MAX: usize = 20_000_000;

fn all_scripts() -> Vec<Conversation> {
    [scripts("simple"), scripts("classic"), scripts("binary")].concat()
}

/// The scripts that a session without a process can run.
fn in_memory() -> Vec<Conversation> {
    all_scripts().into_iter().filter(|conversation| !conversation.needs_process()).collect()
}

/// Runs a conversation with a session in memory. `cut` cuts what is sent into pieces, and the output is
/// full at `high_water` bytes.
fn check_in_memory(
    conversation: &Conversation,
    steps: &[Step],
    high_water: usize,
    cut: impl for<'a> Fn(&'a [u8]) -> Vec<&'a [u8]>,
) {
    let mut peer = InMemory::new(conversation, high_water);
    for step in steps {
        peer.pass(step.passes_s);
        let got: Vec<u8> = cut(&step.send).into_iter().flat_map(|piece| peer.send(piece)).collect();
        let place = format!("{} line {}", conversation.name, step.line);
        assert_same(&place, &got, &with_version(&step.expect, VERSION));
        assert_eq!(peer.has_ended(), step.closes, "{place}: the end of the conversation");
    }
}

#[test]
fn step_by_step() {
    for conversation in in_memory() {
        check_in_memory(&conversation, &conversation.steps, usize::MAX, |send| vec![send]);
    }
}

/// The output is full after every byte, so that every retrieval stalls at every key.
#[test]
fn byte_by_byte() {
    for conversation in in_memory() {
        check_in_memory(&conversation, &conversation.steps, 1, |send| send.chunks(1).collect());
    }
}

#[test]
fn cut_in_two_at_every_place() {
    for conversation in in_memory() {
        let runs = conversation.runs();
        let longest = runs.iter().map(|run| run.send.len()).max().unwrap();
        // Every place, or fewer in a long script: the bytes sent grow with the square of its length.
        for at in (0..=longest).step_by(1 + longest * longest / CUT_BYTES_MAX) {
            check_in_memory(&conversation, &runs, usize::MAX, |send| {
                let (front, back) = send.split_at(at.min(send.len()));
                vec![front, back]
            });
        }
    }
}

/// All requests of a conversation at once, with `simulate` and with `--stdio`.
#[test]
fn simulated_and_through_a_pipe() {
    let plain = |conversation: &&Conversation| {
        conversation.options.is_empty() && !conversation.needs_clock()
    };
    for conversation in all_scripts().iter().filter(plain) {
        let run = &conversation.runs()[0];
        let expect = with_version(&run.expect, VERSION);
        assert_same(&conversation.name, &miocached::simulate(&run.send), &expect);
        let filtered = crate::harness::process::run(&["--stdio"], &run.send);
        assert_same(&conversation.name, &filtered.stdout, &expect);
        assert_eq!(filtered.code, Some(0), "{}", conversation.name);
    }
}

#[test]
fn over_tcp_and_a_unix_socket() {
    for conversation in all_scripts().iter().filter(|conversation| !conversation.needs_clock()) {
        for by_tcp in [true, false] {
            let server = Ours::start(conversation);
            let mut stream = server.connect(by_tcp);
            converse(&mut *stream, conversation, VERSION, false, |_| ());
        }
    }
}

/// A real memcached confirms the classic and the binary scripts.
#[test]
fn against_real_memcached() {
    let Some(memcached) = Memcached::find_or_skip() else { return };
    let (old, mut skipped) = (memcached.is_old(), 0);
    let spoken = |conversation: &&Conversation| {
        let only_new = old && conversation.option("only-new").is_some();
        conversation.option("only-ours").is_none() && !only_new
    };
    for conversation in [scripts("classic"), scripts("binary")].concat().iter().filter(spoken) {
        let mut running = memcached.start(conversation);
        if conversation.needs_clock() && !running.stop_clock() {
            skipped += 1;
            continue;
        }
        let mut stream = running.connect();
        let pass = |seconds| running.pass(seconds);
        converse(&mut stream, conversation, &memcached.version, old, pass);
    }
    println!("{skipped} conversations need a debug build, whose clock can be stopped");
}
