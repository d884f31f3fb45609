//! The parser alone: it takes no more than it was given, goes on whatever comes, and asks for more
//! only when it can say that more is missing.

use miocached::config::DialectMode;
use miocached::protocol::command::Unfinished;
use miocached::protocol::{Command, Fault, Parsed, Parser};

use super::grammar::{Source, request};

/// Longer conversations find nothing that shorter ones do not.
const STREAM_BYTES_MAX: usize = 64 << 10;

#[test]
fn goes_on_whatever_comes() {
    bolero::check!(name = "parser").with_max_len(2048).for_each(|input: &[u8]| run(input));
}

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let modes = [DialectMode::Auto, DialectMode::Classic, DialectMode::Simple];
    let mode = source.pick(&modes);
    let item_bytes_max = source.pick(&[1024, 200, 1 << 30, usize::MAX]);
    let mut parser = Parser::new(mode, item_bytes_max, source.one_in(4));
    let piece_bytes = source.pick(&[usize::MAX, 1, 2, 7, 100, 2048]);
    let stalls = source.pick(&[0, 0, 1, 2, 3, 7]);
    let mut stream = Vec::new();
    while !source.is_empty() && stream.len() < STREAM_BYTES_MAX {
        request(&mut source, &mut stream);
    }

    let (mut start, mut end) = (0, 0);
    let mut held = 0;
    loop {
        let unread = &stream[start..end];
        match parser.parse(unread) {
            Parsed::Command { command, form, used } => {
                assert!(0 < used && used <= unread.len(), "a command takes its bytes");
                assert!(!command.to_string().is_empty());
                start += used;
                if matches!(command, Command::Authenticate { .. }) {
                    parser.open();
                }
                if matches!(command, Command::Quit) {
                    break;
                }
                // As in a session whose output is full, now before a key and now behind it.
                held = if held < stalls { held + 1 } else { 0 };
                if held > 0 {
                    if let Some(rest) = later(command, held % 2) {
                        let kept = parser.hold(rest, form, &unread[..used]);
                        assert!(kept <= used, "no more is kept than there was");
                        start -= kept;
                    } else {
                        parser.rewind();
                        start -= used;
                    }
                }
            }
            Parsed::Invalid { fault: Fault::HangUp(_), .. } => break,
            Parsed::Invalid { used, .. } => {
                assert!(0 < used && used <= unread.len(), "an error takes its bytes");
                start += used;
            }
            Parsed::Incomplete { used } => {
                assert!(used <= unread.len());
                start += used;
                let again = parser.parse(&stream[start..end]);
                assert!(
                    matches!(again, Parsed::Incomplete { used: 0 }),
                    "it has taken what it can"
                );
                assert!(parser.bytes_wanted() > end - start, "it can say that more is missing");
                if end == stream.len() {
                    break;
                }
                end += piece_bytes.min(stream.len() - end);
            }
        }
    }
}

/// What is left of a command of which so many keys are answered, if it can be resumed at all.
fn later(command: Command<'_>, keys_answered: usize) -> Option<Unfinished<'_>> {
    if let Command::Retrieve { retrieval, mut keys } = command {
        for _ in 0..keys_answered {
            keys.next();
        }
        Some(Unfinished::Retrieve { retrieval, keys })
    } else if let Command::Dump(dump) = command {
        Some(Unfinished::Dump(dump))
    } else {
        None
    }
}
