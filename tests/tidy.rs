//! Style as a test: layers, lengths of functions, dependencies, the top level.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FUNCTION_LINES_MAX: usize = 70;

/// Who may use whom. `config` and `trace` are there for everybody.
const LAYERS: [(&str, &[&str]); 7] = [
    ("protocol", &[]),
    ("store", &[]),
    ("engine", &["protocol", "store"]),
    ("session", &["protocol", "engine"]),
    // The values that pass through: the engine it hands down, and the room it grants.
    ("net", &["session", "engine", "protocol"]),
    ("config", &[]),
    ("trace", &[]),
];

/// Each with its reason beside it in Cargo.toml.
const DEPENDENCIES: [&str; 11] = [
    "clap",
    "hashbrown",
    "log",
    "memchr",
    "memmap2",
    "mio",
    "nix",
    "signal-hook",
    "signal-hook-mio",
    "simple_logger",
    "slab",
];

const TOP_LEVEL: [&str; 6] = ["Cargo.lock", "Cargo.toml", "README.md", "benches", "src", "tests"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, relative to the top, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn all_sources() -> Vec<(String, String)> {
    ["src", "tests", "benches"].into_iter().flat_map(sources).collect()
}

/// Name, first line and number of lines of every function, found by rustfmt's indentation.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some(position) = code.find("fn ") else { continue };
        let modifiers = ["pub", "(crate)", "(super)", "const", "extern", "\"C\"", "async"];
        if !code[..position].split(' ').all(|word| {
            modifiers.iter().fold(word.to_string(), |word, part| word.replace(part, "")).is_empty()
        }) {
            continue;
        }
        let name: String = code[position + 3..]
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect();
        let indent = &line[..line.len() - code.len()];
        let end = format!("{indent}}}");
        let one_line = code.ends_with('}') || code.ends_with(';');
        let length = match lines[at..].iter().position(|line| *line == end) {
            Some(length) if !one_line => length + 1,
            _ => 1,
        };
        found.push((name, at + 1, length));
    }
    found
}

#[test]
fn no_layer_uses_one_above_it() {
    let mut broken = Vec::new();
    for (name, text) in sources("src") {
        let Some(path) = name.strip_prefix("src/") else { continue };
        let layer = path.split(['/', '.']).next().unwrap();
        if ["main", "args", "logger", "process", "lib"].contains(&layer) {
            continue;
        }
        let (_, allowed) = LAYERS.iter().find(|(known, _)| *known == layer).unwrap_or_else(|| {
            panic!("{name}: a file of no layer; add it to the table or move it");
        });
        for (at, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for used in code.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let fine =
                    used == layer || allowed.contains(&used) || ["config", "trace"].contains(&used);
                if !fine {
                    broken.push(format!("{name}:{}: {layer} must not use {used}", at + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_clock_and_the_sockets_stay_in_the_network() {
    for (name, text) in sources("src") {
        let below = ["src/protocol/", "src/store/", "src/engine/", "src/session.rs"];
        if below.iter().any(|folder| name.starts_with(folder)) {
            for word in ["std::time", "SystemTime", "Instant", "mio::", "std::net", "std::io"] {
                assert!(!text.contains(word), "{name} must not know {word}");
            }
        }
    }
}

#[test]
fn files_are_introduced_and_functions_are_short() {
    let mut broken = Vec::new();
    for (name, text) in all_sources() {
        if !text.starts_with("//!") {
            broken.push(format!("{name}: does not say first what it owns"));
        }
        for (function, line, length) in functions(&text) {
            if length > FUNCTION_LINES_MAX {
                broken.push(format!("{name}:{line}: {function} has {length} lines"));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_map_is_built_in_one_place() {
    let built: Vec<String> = sources("src")
        .into_iter()
        .flat_map(|(name, text)| {
            let built = |what: &'static str| {
                let times = text.matches(what).count();
                (times > 0).then(|| format!("{name}: {times} {what}"))
            };
            ["Store::new", "Map::for_memory", "HashMap<"]
                .into_iter()
                .filter_map(built)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(built, ["src/engine/mod.rs: 1 Store::new", "src/store/mod.rs: 1 Map::for_memory"]);
}

#[test]
fn no_second_thread_and_no_lock() {
    for (name, text) in sources("src") {
        for word in ["thread::spawn", "thread::sleep", "Mutex", "RwLock", "Arc<", "todo!", "FIXME"]
        {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
}

#[test]
fn dependencies_are_those_agreed_on() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let mut reason = false;
    let mut found = BTreeSet::new();
    for line in section.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            reason = true;
            continue;
        }
        let name = line.split(' ').next().unwrap().to_string();
        // Two crates that are one thing may share a reason.
        assert!(reason || name.starts_with("signal-hook"), "{name} has no reason beside it");
        reason = false;
        found.insert(name);
    }
    assert_eq!(found, DEPENDENCIES.map(String::from).into());
    assert!(manifest.contains("unsafe_code = \"forbid\""));
}

#[test]
fn the_top_level_is_as_agreed() {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let unexpected: Vec<String> = entries
        .map(name)
        .filter(|name| !name.starts_with('.') && name != "target")
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}
