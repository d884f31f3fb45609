//! Style as a test: layers, lengths of functions, dependencies, the top level.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const FUNCTION_LINES_MAX: usize = 70;

/// Which layer may use which. All may use `config` and `trace`.
const LAYERS: [(&str, &[&str]); 11] = [
    ("protocol", &[]),
    ("store", &[]),
    ("engine", &["protocol", "store"]),
    ("session", &["protocol", "engine"]),
    ("http", &[]),
    ("metrics", &["engine", "protocol"]),
    // It hands down values of these layers: the engine and the limit of the output.
    ("net", &["session", "engine", "protocol", "http", "metrics"]),
    // The program calls it, before and after the network.
    ("snapshot", &["engine"]),
    ("config", &[]),
    ("trace", &[]),
    // Text, and an example of its own.
    ("guide", &[]),
];

/// The runtime dependencies. Each has a comment with its reason in Cargo.toml.
const DEPENDENCIES: [&str; 15] = [
    "clap",
    "crc32fast",
    "hashbrown",
    "httparse",
    "listenfd",
    "log",
    "memchr",
    "memmap2",
    "mio",
    "nix",
    "signal-hook",
    "signal-hook-mio",
    "simple_logger",
    "slab",
    "subtle",
];

const TOP_LEVEL: [&str; 6] = ["Cargo.lock", "Cargo.toml", "README.md", "benches", "src", "tests"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, relative to the top, with its text.
pub(crate) fn sources(folder: &str) -> Vec<(String, String)> {
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

/// The folders of `src` whose files may not import each other in a ring.
const FOLDERS: [&str; 7] = ["protocol", "engine", "store", "snapshot", "http", "metrics", "net"];

/// Folders whose `mod.rs` defines one type that is implemented in several files. These import it, and
/// `mod.rs` imports the types of its fields from some of them; that is no ring, because all of these
/// files are parts of that one type.
const IMPLEMENTED_IN_PARTS: [&str; 1] = ["store"];

/// The first segments of all paths in `code` that begin with `prefix`: of `super::{a::B, C}`, `a` and
/// `C`.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let first =
        |path: &str| path.trim_start().split(|c: char| !is_name(c)).next().unwrap().to_string();
    let mut names = Vec::new();
    for (start, _) in code.match_indices(prefix) {
        let is_whole = !code[..start].ends_with(|c: char| is_name(c) || c == ':');
        let Some(group) = code[start + prefix.len()..].strip_prefix('{') else {
            names.extend(is_whole.then(|| first(&code[start + prefix.len()..])));
            continue;
        };
        let mut depth = 0;
        let mut path_start = 0;
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    names.push(first(&group[path_start..index]));
                    path_start = index + 1;
                }
                '}' => depth -= 1,
                _ => {}
            }
            if c == '}' && depth == 0 && path_start > index {
                break;
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// For each file of a folder, the files of the folder that it imports from. An item that `mod.rs`
/// re-exports counts as imported from the file that defines it.
fn imports_within(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let prefix = format!("src/{folder}/");
    let files: BTreeMap<String, String> = sources("src")
        .into_iter()
        .filter_map(|(name, text)| {
            let stem = name.strip_prefix(&prefix)?.strip_suffix(".rs")?.to_string();
            let tests = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
            let code = text[..tests].lines().map(|line| line.split("//").next().unwrap());
            Some((stem, code.collect::<Vec<_>>().join("\n")))
        })
        .collect();
    let top = &files["mod"];
    let mut defined_in: BTreeMap<String, &str> = BTreeMap::new();
    for stem in files.keys() {
        for export in ["pub use ", "pub(crate) use ", "pub(super) use "] {
            for name in names_after(top, &format!("{export}{stem}::")) {
                defined_in.insert(name, stem);
            }
        }
    }
    let foreign = names_after(top, "pub use crate::store::");
    let find = |name: &String| {
        if files.contains_key(name) {
            Some(name.clone())
        } else if foreign.contains(name) {
            None
        } else {
            Some(defined_in.get(name).map_or_else(|| "mod".into(), ToString::to_string))
        }
    };
    // A re-export in `mod.rs` counts as an import only if `mod.rs` uses the item elsewhere.
    let own_code: String =
        top.split_inclusive(';').filter(|item| !item.contains("pub use ")).collect();
    let is_named = |word: &str| {
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        own_code.match_indices(word).any(|(start, _)| {
            let after = &own_code[start + word.len()..];
            !own_code[..start].ends_with(is_name)
                && (word.ends_with(':') || !after.starts_with(is_name))
        })
    };
    let mut imports = BTreeMap::new();
    for (stem, code) in &files {
        let found: BTreeSet<String> = if stem == "mod" {
            let exported = defined_in.iter().filter(|(name, _)| is_named(name));
            let exported = exported.map(|(_, file)| file.to_string());
            let named = files.keys().filter(|file| is_named(&format!("{file}::")));
            named.cloned().chain(exported).collect()
        } else {
            let own = format!("crate::{folder}::");
            let names = [names_after(code, "super::"), names_after(code, &own)].concat();
            names.iter().filter_map(&find).filter(|name| name != stem).collect()
        };
        imports.insert(stem.clone(), found);
    }
    imports
}

/// Removes files that import from none of the remaining files, until there is no such file. The files
/// that remain are in a ring, or import from one.
fn rings(mut imports: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    while let Some(free) =
        imports.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name.clone())
    {
        imports.remove(&free);
        imports.values_mut().for_each(|used| {
            used.remove(&free);
        });
    }
    imports
}

#[test]
fn no_folder_holds_a_ring_of_imports() {
    for folder in FOLDERS {
        let mut imports = imports_within(folder);
        if IMPLEMENTED_IN_PARTS.contains(&folder) {
            imports.remove("mod");
            imports.values_mut().for_each(|used| {
                used.remove("mod");
            });
        }
        assert!(imports.values().any(|used| !used.is_empty()), "no imports found in {folder}");
        let rings = rings(imports);
        assert!(rings.is_empty(), "files of src/{folder} that import each other: {rings:#?}");
    }
}

#[test]
fn rings_are_found() {
    let code = "use super::{a::{B, C}, D};\nuse super::e::F;\nlet g = super::h();";
    assert_eq!(names_after(code, "super::"), ["a", "D", "e", "h"]);
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let imports = |c: &[&str]| {
        BTreeMap::from([
            ("a".to_string(), set(&["b"])),
            ("b".to_string(), set(&["c"])),
            ("c".to_string(), set(c)),
        ])
    };
    assert!(rings(imports(&[])).is_empty());
    assert_eq!(rings(imports(&["a"])).len(), 3);
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
        // The guide's server has a map of its own, and its examples have stores.
        .filter(|(name, _)| !name.starts_with("src/guide/"))
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
        // Two crates that belong together may share a reason.
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
