//! One server under callgrind: what it reads, what it must answer, how many instructions that took.
//!
//! Its standard input is a datagram socket: each of its reads brings one datagram, so the requests
//! that a read brings do not depend on how the machine schedules the two processes.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::cases::Conversation;
use crate::rig::failure::{Doing, Failure};

/// Counting is on while this function runs. Callgrind counts what it calls, too.
const COUNTED: &str = "miocached::session::Session::advance";
/// Room for twice what the cases store, so that nothing is evicted and nothing compacted.
const MEMORY_MIB: &str = "256";

/// Instructions that the session takes for these conversations, one after the other, and `quit`.
///
/// # Errors
/// When a server cannot be run, does not answer as it must, or has no function [`COUNTED`].
pub(crate) fn instructions(
    server: &Path,
    conversations: &[&Conversation],
    quit: &[u8],
) -> Result<u64, Failure> {
    let folder = tempfile::tempdir().doing(|| "making a folder".into())?;
    let counts_path = folder.path().join("callgrind.out");
    let (ours, theirs) = UnixDatagram::pair().doing(|| "making a socket pair".into())?;
    // The command owns the server's end: dropped here, so that only the server has it.
    let mut valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", counts_path.display()))
        .arg(server)
        .args(["--stdio", "-m", MEMORY_MIB])
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .spawn()
        .doing(|| "running valgrind (Debian's package of that name)".into())?;
    let answers = valgrind.stdout.take();
    let (sent, checked) = thread::scope(|scope| {
        let checking = scope.spawn(move || answers.map(|answers| check(answers, conversations)));
        let sent = send(&ours, conversations, quit);
        (sent, checking.join())
    });
    let status = valgrind.wait().doing(|| "waiting for valgrind".into())?;
    sent.doing(|| "sending requests".into())?;
    match checked {
        Ok(Some(checked)) => checked?,
        Ok(None) | Err(_) => return Err(Failure("the answers could not be checked".to_string())),
    }
    if !status.success() {
        return Err(Failure(format!("the server under valgrind: {status}")));
    }
    let counts = std::fs::read_to_string(&counts_path).doing(|| "reading the counts".into())?;
    match total(&counts) {
        None => Err(Failure("callgrind wrote no total".to_string())),
        Some(0) => Err(Failure(format!("{COUNTED} was not called: renamed, or inlined?"))),
        Some(total) => Ok(total),
    }
}

fn send(server: &UnixDatagram, conversations: &[&Conversation], quit: &[u8]) -> io::Result<()> {
    let reads = conversations.iter().flat_map(|conversation| &conversation.reads);
    for read in reads {
        server.send(read)?;
    }
    server.send(quit).map(drop)
}

/// Reads all answers. A server that answers wrongly could do so in fewer instructions.
fn check(mut server: impl Read, conversations: &[&Conversation]) -> Result<(), Failure> {
    let mut answers = Vec::new();
    server.read_to_end(&mut answers).doing(|| "reading answers".into())?;
    let mut rest = answers.as_slice();
    for conversation in conversations {
        rest = rest
            .strip_prefix(conversation.answers.as_slice())
            .ok_or_else(|| Failure("the server does not answer as it must".to_string()))?;
    }
    if rest.is_empty() { Ok(()) } else { Err(Failure("an answer too many".to_string())) }
}

/// The sum in a file of callgrind's.
fn total(counts: &str) -> Option<u64> {
    let total = counts.lines().find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok()
}
