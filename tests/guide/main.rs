//! The guide (`src/guide`): its server `tiny`, and what its text shows, names and links to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "the other tests use the rest of it")]
mod harness;

#[path = "../../src/guide/tiny.rs"]
#[allow(dead_code, reason = "the tests call `serve`, and not `main`")]
mod tiny;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use mio::net::TcpListener;

use crate::harness::process::{Server, run};

/// Set in the environment of a process that is to be `tiny`.
const TINY: &str = "GUIDE_TINY";
/// Types of std and mio that the guide names.
const FOREIGN_TYPES: [&str; 6] =
    ["ErrorKind", "Event", "Interest", "Poll", "Registry", "TcpListener"];
/// Words in capitals that are no constants of this project.
const FOREIGN_CONSTANTS: [&str; 4] = ["EPOLL", "SOCK_", "SO_", "TCP_"];
/// What the guide answers. Its first page has a row for each.
const QUESTIONS: [&str; 12] = [
    "Pipelining",
    "FIN with data",
    "Backpressure",
    "Key reuse",
    "Timeouts",
    "Growth",
    "Overwriting",
    "Clocks",
    "Eviction",
    "Resuming",
    "EMFILE",
    "Dialects",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The source of a chapter.
fn chapter(name: &str) -> String {
    fs::read_to_string(root().join(format!("src/guide/{name}.rs"))).unwrap()
}

/// The text of each chapter, by its name.
fn chapters() -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join("src/guide")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned()));
    let text = |name: &str| {
        let source = chapter(name);
        let lines = source.lines().filter_map(|line| line.strip_prefix("//!"));
        lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
    };
    names.map(|name| (name.clone(), text(&name))).collect()
}

/// A text without its examples in Rust, which are compiled as tests.
fn without_examples(text: &str) -> String {
    let parts = text.split("```").enumerate();
    let is_kept = |(index, part): &(usize, &str)| index % 2 == 0 || !part.starts_with('\n');
    parts.filter(is_kept).map(|(_, part)| part).collect()
}

/// The words of a text that are made of these characters.
fn words(text: &str, is_part: fn(char) -> bool) -> BTreeSet<&str> {
    text.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect()
}

/// The text of all sources of the server.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// `tiny` as a process of its own: this program again, with only the next test, which serves there.
fn start_tiny() -> Server {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "tiny_speaks_the_simple_dialect"]);
    let mut server = Server::spawn(command.env(TINY, ""));
    server.drain();
    server
}

#[test]
fn tiny_speaks_the_simple_dialect() {
    if std::env::var_os(TINY).is_some() {
        tiny::serve(TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
    }
    let greeting = "set greeting 5\\nhello\\nget greeting other\\nquit\\n";
    let answer = "STORED\nVALUE greeting 5\nhello\nEND\n";
    let shown = format!("$ printf '{greeting}' | nc 127.0.0.1 11311\n{answer}```\n");
    assert!(chapters()["server"].contains(&shown));
    for server in [start_tiny(), Server::start(&["-p", "0"])] {
        let mut client = server.tcp();
        client.ask(greeting.replace("\\n", "\n").as_bytes(), answer.as_bytes());
        client.expect_end();
        client = server.tcp();
        client.ask(b"set a 3\nx\ny\nset b 0\n\n", b"STORED\nSTORED\n");
        client.ask(b"get a  c b\n", b"VALUE a 3\nx\ny\nVALUE b 0\n\nEND\n");
        let refused = b"CLIENT_ERROR bad command line format\n";
        for bad in ["get\n", "set a\n", "set a x\n", "set a 1 2\n"] {
            client.ask(bad.as_bytes(), refused);
        }
        client.ask(b"set a 1\nxyother\n", b"CLIENT_ERROR bad data chunk\nERROR\n");
    }
}

#[test]
fn files_in_the_guide_exist() {
    let mut files = 0;
    for (name, text) in chapters() {
        let is_part = |c: char| c.is_alphanumeric() || "_-./".contains(c);
        let known = ["src", "src/guide", "tests", ""];
        for word in words(&text, is_part) {
            let word = word.trim_end_matches('.');
            let is_file = [".rs", ".md", ".txt", ".svg"].iter().any(|end| word.ends_with(end));
            let is_folder = ["tests/", "benches/", ".ci/"].iter().any(|top| word.starts_with(top));
            if is_file || is_folder {
                files += 1;
                let exists = known.iter().any(|folder| root().join(folder).join(word).exists());
                assert!(exists, "src/guide/{name}.rs: there is no {word}");
            }
        }
    }
    assert!(files > 30, "{files}");
}

/// Does one of the sources define this type, and in the same file this function or variant?
fn defines(sources: &[String], of: &str, member: &str) -> bool {
    let is_word = |text: &str, word: &str| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        text.match_indices(word).any(|(at, _)| {
            !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
        })
    };
    let is_type = |line: &str| {
        let line = line.trim_start();
        ["pub struct", "pub(super) struct", "struct", "pub enum", "pub(super) enum", "enum", "impl"]
            .iter()
            .any(|start| line.starts_with(start) && is_word(line, of))
    };
    let is_member = |line: &str| {
        let line = line.trim_start();
        let is_variant =
            line.strip_prefix(member).is_some_and(|rest| rest.starts_with([',', '(', ' ']));
        is_word(line, &format!("fn {member}"))
            || is_variant
            || is_word(line, &format!("const {member}"))
    };
    sources.iter().any(|text| text.lines().any(is_type) && text.lines().any(is_member))
}

#[test]
fn functions_in_the_guide_exist() {
    let sources = sources();
    let mut functions = 0;
    for (name, text) in chapters() {
        let text = without_examples(&text);
        for word in words(&text, |c| c.is_alphanumeric() || "_:".contains(c)) {
            let mut parts = word.rsplit("::");
            let (Some(member), Some(of)) = (parts.next(), parts.next()) else { continue };
            let member = member.trim_end_matches(':');
            let is_type = of.starts_with(|c: char| c.is_ascii_uppercase());
            if is_type && !member.is_empty() && !FOREIGN_TYPES.contains(&of) {
                functions += 1;
                let defined = defines(&sources, of, member);
                assert!(defined, "src/guide/{name}.rs: there is no {of}::{member}");
            }
        }
    }
    assert!(functions > 30, "{functions}");
    assert!(!defines(&sources, "Connection", "sleep"));
}

#[test]
fn constants_and_options_in_the_guide_exist() {
    let sources = sources().concat();
    let help = String::from_utf8(run(&["--help"], b"").stdout).unwrap();
    let mut constants = 0;
    for (name, text) in chapters() {
        for word in words(&text, |c| c.is_alphanumeric() || c == '_') {
            let is_constant = word.contains('_')
                && word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.chars().all(|c| !c.is_lowercase());
            if is_constant && !FOREIGN_CONSTANTS.iter().any(|start| word.starts_with(start)) {
                constants += 1;
                let defined = sources.contains(&format!("const {word}:"));
                assert!(defined, "src/guide/{name}.rs: there is no {word}");
            }
        }
        for span in text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2))
        {
            let option = span.split([' ', '=']).next().unwrap();
            let is_option = option.starts_with('-') && option.len() > 1 && option != "-vv";
            let known = help.split([' ', ',', '\n', '.']).any(|word| word == option);
            assert!(!is_option || known, "src/guide/{name}.rs: there is no option {option}");
        }
    }
    assert!(constants >= 5, "{constants}");
}

/// A heading as rustdoc's anchor.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// rustdoc checks the items that links name. This checks their anchors, and that no other link is
/// relative to a page.
#[test]
fn links_in_the_guide_lead_somewhere() {
    let chapters = chapters();
    let anchors = |text: &str| -> BTreeSet<String> {
        let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        headings.map(anchor).collect()
    };
    let net = fs::read_to_string(root().join("src/net/mod.rs")).unwrap().replace("//! ", "");
    let mut links = 0;
    for (name, text) in &chapters {
        let prose: String = text.split("```").step_by(2).collect();
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let listed = prose.lines().filter(|line| line.starts_with('['));
        let listed = listed.filter_map(|line| line.split_once("]: ").map(|(_, target)| target));
        for target in inline.chain(listed) {
            links += 1;
            let place = format!("src/guide/{name}.rs: {target}");
            if target.starts_with("https://") {
                continue;
            }
            let (item, fragment) = target.split_once('#').unwrap_or((target, ""));
            let is_item = item.chars().all(|c| c.is_alphanumeric() || "_:".contains(c));
            assert!(is_item, "{place}: no item, and no address");
            if fragment.is_empty() {
                continue;
            }
            let page = match item.rsplit("::").next().unwrap() {
                "" => text,
                "net" => &net,
                chapter => chapters.get(chapter).unwrap_or_else(|| panic!("{place}: no chapter")),
            };
            assert!(anchors(page).contains(fragment), "{place}: no such heading");
        }
    }
    assert!(links > 30, "{links}");
}

#[test]
fn the_first_page_has_the_twelve_questions() {
    let page = &chapters()["mod"];
    for question in QUESTIONS {
        let row = page.lines().find(|line| line.starts_with(&format!("| **{question}**")));
        let row = row.unwrap_or_else(|| panic!("no row for {question}"));
        assert!(row.contains("](") && row.contains(".rs`"), "{row}");
    }
}
