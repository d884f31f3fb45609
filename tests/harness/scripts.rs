//! Conversations as data: the parser of script files.
//!
//! ```text
//! = a conversation, on an empty server        % dialect simple      an option of that server
//! # why the next step is there                > get a\r\n           what the client sends
//! < END\r\n                                    the answer of memcached 1.6.45 and of this server
//! <old ERROR\r\n                               the answer of an older memcached instead
//! <close                                       the server closes after its answer
//! at +61s                                      time passes
//! >> get k=a                                   the client sends a frame of the binary protocol
//! << get s=1 v=Not\x20found                    the frame that is answered (see `frames`)
//! ```
//! Options of the conversation itself are `only-ours` (memcached answers differently, on purpose),
//! `only-new` (an older memcached answers differently throughout), `clock` (the answers contain times, so
//! the clock has to be stopped) and `auth` (passwords, which only a process reads). The others set
//! options of the server; `peers` has a table of them.
//!
//! A blank line, or the next `>` after a `<`, ends a step. Bytes are escaped as in Rust. `{k*300}` stands
//! for 300 times the letter k and may be nested, `{version}` for the server's version, and `{number}` in
//! an answer for any number. How the drivers cut what is sent is in `tests/conversations.rs`.

use std::fs;
use std::path::Path;

use super::frames;

/// One conversation with one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) name: String,
    /// `%` lines, as pairs of name and value.
    pub(crate) options: Vec<(String, String)>,
    pub(crate) steps: Vec<Step>,
}

/// Requests and their answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// Its line in the file, for messages.
    pub(crate) line: usize,
    /// Seconds that pass before it.
    pub(crate) passes_s: u32,
    pub(crate) send: Vec<u8>,
    pub(crate) expect: Vec<u8>,
    /// An older memcached's answer, where it differs.
    pub(crate) expect_old: Option<Vec<u8>>,
    /// The server closes after the answer.
    pub(crate) closes: bool,
}

impl Conversation {
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it needs a clock that only the script moves.
    pub(crate) fn needs_clock(&self) -> bool {
        self.option("clock").is_some() || self.steps.iter().any(|step| step.passes_s > 0)
    }

    /// Whether it needs a process, because it needs files.
    pub(crate) fn needs_process(&self) -> bool {
        self.option("auth").is_some()
    }

    /// Steps without time between them are joined: all their requests, and all their answers.
    pub(crate) fn runs(&self) -> Vec<Step> {
        let mut runs: Vec<Step> = Vec::new();
        for step in &self.steps {
            match runs.last_mut() {
                Some(run) if step.passes_s == 0 => {
                    run.send.extend_from_slice(&step.send);
                    run.expect.extend_from_slice(&step.expect);
                    run.closes |= step.closes;
                }
                _ => runs.push(step.clone()),
            }
        }
        runs
    }
}

/// All conversations below `tests/scripts/<folder>`.
pub(crate) fn scripts(folder: &str) -> Vec<Conversation> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(folder);
    let mut files: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let all: Vec<_> = files.iter().flat_map(|file| parse(file)).collect();
    assert!(!all.is_empty(), "no scripts in {}", root.display());
    all
}

fn parse(file: &Path) -> Vec<Conversation> {
    let text = fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_string_lossy();
    let mut conversations = vec![Conversation { name: name.to_string(), ..Default::default() }];
    let mut step = Step::default();
    let mut answered = false;
    for (line_index, line) in text.lines().enumerate() {
        let number = line_index + 1;
        let bytes = |text: &str| unescape(text, &format!("{name}:{number}"));
        let ends_step = answered && (line.is_empty() || line.starts_with(['>', '=', 'a']));
        if ends_step || line.starts_with('=') {
            finish(&mut conversations, &mut step);
            answered = false;
        }
        if let Some(title) = line.strip_prefix("= ") {
            let name = format!("{name}: {title}");
            conversations.push(Conversation { name, ..Default::default() });
        } else if let Some(option) = line.strip_prefix("% ") {
            let (key, value) = option.split_once(' ').unwrap_or((option, ""));
            conversations.last_mut().unwrap().options.push((key.into(), value.into()));
        } else if let Some(text) = line.strip_prefix(">> ") {
            step.line = number;
            step.send.extend(frames::parse(text, 0x80, bytes));
        } else if let Some(text) = line.strip_prefix("<< ") {
            step.expect.extend(frames::parse(text, 0x81, bytes));
            answered = true;
        } else if let Some(text) = line.strip_prefix('>') {
            step.line = number;
            step.send.extend(bytes(text.trim_start()));
        } else if let Some(text) = line.strip_prefix("< ").or((line == "<").then_some("")) {
            step.expect.extend(bytes(text));
            answered = true;
        } else if let Some(text) = line.strip_prefix("<old") {
            step.expect_old.get_or_insert_default().extend(bytes(text.trim_start()));
            answered = true;
        } else if line == "<close" {
            (step.closes, answered) = (true, true);
        } else if let Some(seconds) = line.strip_prefix("at +").and_then(|l| l.strip_suffix('s')) {
            finish(&mut conversations, &mut step);
            step.passes_s = seconds.parse().unwrap();
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{name}:{number}: what is this?");
            answered |= line.is_empty() && !step.send.is_empty();
        }
    }
    finish(&mut conversations, &mut step);
    conversations.retain(|conversation| !conversation.steps.is_empty());
    conversations
}

/// Moves a step that has begun to the last conversation.
fn finish(conversations: &mut [Conversation], step: &mut Step) {
    let step = std::mem::take(step);
    if step.line > 0 {
        conversations.last_mut().unwrap().steps.push(step);
    } else {
        assert!(step.expect.is_empty(), "an answer to nothing");
    }
}

fn unescape(text: &str, place: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'\\' => {
                let (byte, used) = match *tail {
                    [b'n', ..] => (b'\n', 1),
                    [b'r', ..] => (b'\r', 1),
                    [b't', ..] => (b'\t', 1),
                    [b'0', ..] => (0, 1),
                    [b'\\', ..] => (b'\\', 1),
                    [b'{', ..] => (b'{', 1),
                    [b'x', high, low, ..] => {
                        let digits = [high, low];
                        let digits = std::str::from_utf8(&digits).unwrap();
                        (u8::from_str_radix(digits, 16).unwrap(), 3)
                    }
                    _ => panic!("{place}: unknown escape"),
                };
                out.push(byte);
                rest = &tail[used..];
            }
            b'{' => {
                let mut depth = 1;
                let closes = |&byte: &u8| {
                    depth += i32::from(byte == b'{') - i32::from(byte == b'}');
                    depth == 0
                };
                let end = tail.iter().position(closes).expect(place);
                let inner = std::str::from_utf8(&tail[..end]).unwrap();
                match inner.rsplit_once('*') {
                    Some((unit, times)) => {
                        let unit = unescape(unit, place);
                        out.extend(unit.repeat(times.parse().unwrap()));
                    }
                    // The driver replaces it, because it depends on the server.
                    None => out.extend(format!("{{{inner}}}").bytes()),
                }
                rest = &tail[end + 1..];
            }
            byte => out.push(*byte),
        }
    }
    out
}

/// Replaces every `{version}`.
pub(crate) fn with_version(expect: &[u8], version: &str) -> Vec<u8> {
    const MARK: &[u8] = b"{version}";
    let mut out = Vec::with_capacity(expect.len());
    let mut rest = expect;
    while let Some(at) = memchr::memmem::find(rest, MARK) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(version.as_bytes());
        rest = &rest[at + MARK.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The answer, with `{number}` in place of each number where `expected` has `{number}`.
pub(crate) fn with_numbers(got: &[u8], expected: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = b"{number}";
    let mut out = Vec::with_capacity(got.len());
    let (mut got, mut expected) = (got, expected);
    while let Some(at) = memchr::memmem::find(expected, MARK) {
        let digits = got.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || got[..at] != expected[..at] {
            break;
        }
        out.extend_from_slice(&expected[..at + MARK.len()]);
        (got, expected) = (&got[at + digits..], &expected[at + MARK.len()..]);
    }
    out.extend_from_slice(got);
    out
}

/// Fails with both texts, cut to a readable length, if they differ.
pub(crate) fn assert_same(place: &str, got: &[u8], expected: &[u8]) {
    let got = with_numbers(got, expected);
    if got != expected {
        let show = |bytes: &[u8]| {
            let shown = &bytes[..bytes.len().min(400)];
            format!("{} bytes: {}", bytes.len(), shown.escape_ascii())
        };
        panic!("{place}\n  got      {}\n  expected {}", show(&got), show(expected));
    }
}
