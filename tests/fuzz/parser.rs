//! The framer alone: it uses no more bytes than it gets, makes progress on every input, returns
//! `Incomplete` only when more bytes are needed, and returns the same for the same input.

use miocached::config::DialectMode;
use miocached::protocol::{Command, Framer, Grammar, Parsed, State};

use super::grammar::{Source, Speak, request};

/// Longer inputs find no more errors than these.
const STREAM_BYTES_MAX: usize = 64 << 10;

#[test]
fn goes_on_whatever_comes() {
    bolero::check!(name = "parser").with_max_len(2048).for_each(|input: &[u8]| run(input, request));
}

pub(crate) fn run(input: &[u8], speak: Speak) {
    let mut source = Source::new(input);
    let modes = [DialectMode::Auto, DialectMode::Classic, DialectMode::Simple];
    let commands = Grammar::Commands(source.pick(&modes));
    let item_bytes_max = source.pick(&[1024, 200, 1 << 30, usize::MAX]);
    let grammar = if source.one_in(4) { Grammar::Authentication } else { commands };
    let mut framer = Framer { grammar, item_bytes_max };
    let piece_bytes = source.pick(&[usize::MAX, 1, 2, 7, 100, 2048]);
    // Now and then a request starts over, as in a session that waits for a flush.
    let retries = source.pick(&[0, 0, 1, 2, 3, 7]);
    let mut stream = Vec::new();
    while !source.is_empty() && stream.len() < STREAM_BYTES_MAX {
        speak(&mut source, &mut stream);
    }

    let (mut start, mut end) = (0, 0);
    let mut state = State::START;
    let mut retried = 0;
    loop {
        let unread = &stream[start..end];
        let step = framer.parse(&state, unread);
        assert!(step.used <= unread.len(), "it takes no more than there is");
        match step.parsed {
            Parsed::Command { command, .. } => {
                assert!(0 < step.used, "a command takes its bytes");
                assert!(!command.to_string().is_empty());
                retried = if retried < retries { retried + 1 } else { 0 };
                if retried > 0 {
                    // Neither bytes nor state are committed.
                    let again = framer.parse(&state, unread);
                    assert_eq!((again.used, again.next), (step.used, step.next));
                }
                if matches!(command, Command::Authenticate { .. }) {
                    framer.grammar = commands;
                }
                if matches!(command, Command::Quit) {
                    break;
                }
            }
            Parsed::HangUp(_) => break,
            Parsed::Error { .. } | Parsed::BadFrame(_) | Parsed::Skipped => {
                assert!(0 < step.used, "an error takes its bytes");
            }
            Parsed::Incomplete => {
                let rest = &stream[start + step.used..end];
                let again = framer.parse(&step.next, rest);
                assert!(matches!(again.parsed, Parsed::Incomplete), "it found all it could");
                assert_eq!((again.used, again.next), (0, step.next), "it has taken what it can");
                assert!(step.next.bytes_wanted() > rest.len(), "it can say that more is missing");
                if end == stream.len() {
                    break;
                }
                end += piece_bytes.min(stream.len() - end);
            }
        }
        (start, state) = (start + step.used, step.next);
    }
}
