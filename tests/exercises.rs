//! The exercises (`tests/exercises`): each patch applies to the source as it is, and names a test and
//! places that exist. That the test fails with the patch is checked by `.ci/exercise --check`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn patches() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("tests/exercises")).unwrap();
    let mut patches: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    patches.sort();
    assert!(patches.len() >= 10, "{patches:?}");
    patches
}

/// The value of a line `name: value` of a patch's head.
fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let found = text.lines().take(4).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in {}", text.lines().next().unwrap()))
}

/// With another place of the change, `git apply` succeeds; with other lines around it, it fails. It looks
/// for no repository above this one, and so applies to these files wherever they are.
#[test]
fn every_patch_applies() {
    for patch in patches() {
        let mut git = Command::new("git");
        git.current_dir(root()).env("GIT_CEILING_DIRECTORIES", root().parent().unwrap());
        match git.args(["apply", "--check"]).arg(&patch).output() {
            Ok(done) => {
                let why = String::from_utf8_lossy(&done.stderr);
                let renew = "`.ci/exercise` says how to renew a patch";
                assert!(done.status.success(), "{}: {why}{renew}", patch.display());
            }
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "git, which CI must have: {error}");
                println!("skipped: git is not installed");
                return;
            }
        }
    }
}

#[test]
fn every_exercise_names_a_test_and_places_that_exist() {
    for (index, patch) in patches().iter().enumerate() {
        let text = fs::read_to_string(patch).unwrap();
        let number = index + 1;
        let name = patch.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{number:02}-")), "{name} is exercise {number}");
        assert!(text.starts_with(&format!("Exercise {number}: ")), "{name}");
        for heading in ["The safeguard", "What to watch", "Questions", "Answers"] {
            assert!(text.contains(&format!("\n{heading}\n")), "{name} has no {heading}");
        }
        let sources: String =
            super::tidy::sources("src").into_iter().map(|(_, text)| text).collect();
        let test = field(&text, "Test").rsplit("::").next().unwrap();
        assert!(sources.contains(&format!("fn {test}() {{")), "{name}: {test}");
        let words = field(&text, "Look at").split([' ', ',', ';']);
        for file in words.filter(|word| word.starts_with("src/")) {
            assert!(root().join(file).is_file(), "{name}: {file}");
        }
    }
}
