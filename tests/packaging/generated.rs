//! The man page and the completions of shells. They are generated from the definition of the options and
//! checked in, so that a package needs no tool but cargo-deb.

use std::fs;
use std::process::Command;

use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::command;
use super::file;
use crate::clients::has;

const UPDATE: &str = "UPDATE=1 cargo test --test all packaging::generated";

/// Name and text of each generated file.
fn generated() -> [(&'static str, Vec<u8>); 4] {
    let completion = |shell| {
        let mut text = Vec::new();
        generate(shell, &mut command(), "miocached", &mut text);
        text
    };
    [
        ("miocached.1", man_page()),
        ("completions/miocached.bash", completion(Shell::Bash)),
        ("completions/_miocached", completion(Shell::Zsh)),
        ("completions/miocached.fish", completion(Shell::Fish)),
    ]
}

fn man_page() -> Vec<u8> {
    // The options of memcached that are not listed by -h are described here.
    let command = command().mut_args(|argument| argument.hide_short_help(false));
    let after = command.get_after_long_help().unwrap().to_string();
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command);
    // No date: it would change the page without a reason.
    let title = format!(".TH MIOCACHED 1 \"\" \"miocached {version}\" \"User Commands\"\n");
    let mut page = title.into_bytes();
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman("miocached - memcached-compatible cache server")]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("miocached"), roman(" [option]...")]);
    roff.to_writer(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    after_options(&after).to_writer(&mut page).unwrap();
    page
}

/// The tables at the end of the output of `--help`, and what only a man page has.
fn after_options(after: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SUBOPTIONS"]);
    for line in after.lines() {
        // A text goes on in the next line, below its beginning.
        if line.starts_with("   ") {
            roff.text([roman(line.trim_start())]);
            continue;
        }
        match line.strip_prefix("  ").map(|row| row.split_once("  ").unwrap_or((row, ""))) {
            Some((name, text)) => {
                // A suboption's value is a part of the text: `=SECONDS: close connections`.
                let is_value = text.trim_start().starts_with('=');
                let (value, text) =
                    if is_value { text.split_once(": ").unwrap() } else { ("", text) };
                roff.control("TP", []);
                roff.text([bold(name), roman(value.trim_start())]);
                roff.text([roman(text.trim_start())]);
            }
            None => match line.trim_end_matches(':') {
                "" => {}
                "Signals" => drop(roff.control("SH", ["SIGNALS"])),
                "Exit codes" => drop(roff.control("SH", ["EXIT STATUS"])),
                "Environment" => drop(roff.control("SH", ["ENVIRONMENT"])),
                heading => drop(roff.control("SS", [heading])),
            },
        }
    }
    roff.control("SH", ["EXAMPLES"]);
    for (example, text) in [
        ("miocached -m 1024", "Listen on 127.0.0.1:11211, with 1 GiB for items."),
        ("miocached -s /run/cache.sock -a 770", "Listen on a Unix socket alone, for one group."),
        ("systemctl enable --now miocached.socket", "Let systemd open the sockets."),
    ] {
        roff.control("TP", []);
        roff.text([bold(example)]);
        roff.text([roman(text)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("memcached"), roman("(1), "), bold("systemd.socket"), roman("(5)")]);
    roff
}

#[test]
fn generated_files_are_current() {
    for (name, text) in generated() {
        let path = file(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        } else {
            let found = fs::read(&path).unwrap_or_default();
            assert!(found == text, ".packaging/{name} is stale; write it again: {UPDATE}");
        }
    }
}

#[test]
fn the_man_page_has_every_option_and_reads_without_warnings() {
    let page = String::from_utf8(man_page()).unwrap();
    let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
    for argument in command().get_arguments() {
        let long = argument.get_long().unwrap_or_default();
        assert!(plain.contains(&format!("--{long}")), "no --{long} in the man page");
        assert!(argument.get_help().is_some(), "--{long} has no text");
    }
    if has("man") {
        let arguments = ["--warnings", "--encoding=utf-8", "--local-file"];
        let mut man = Command::new("man");
        man.args(arguments).arg(file("miocached.1")).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
        let shown = man.output().unwrap();
        assert!(shown.status.success() && shown.stderr.is_empty(), "{shown:?}");
        let shown = String::from_utf8(shown.stdout).unwrap();
        for text in ["Ignored: growth of the sizes of slab classes", "Refused: TLS", "SIGHUP"] {
            assert!(shown.contains(text), "{text} is not in {shown}");
        }
    }
}

/// bash and fish complete a word. zsh completes only at a terminal, so its file is only parsed.
#[test]
fn completions_are_read_by_their_shells() {
    let script = file("completions/miocached.bash");
    let complete = "source \"$1\"; COMP_WORDS=(miocached --memory-l); COMP_CWORD=1; \
                    _miocached miocached --memory-l miocached; echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash").args(["-c", complete, "bash"]).arg(script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&bash.stdout), "--memory-limit\n", "{bash:?}");
    if has("fish") {
        let complete = "source $argv[1]; complete --do-complete 'miocached --memory-l'";
        let script = file("completions/miocached.fish");
        let fish = Command::new("fish").args(["-c", complete]).arg(script).output().unwrap();
        let expected = "--memory-limit\tMemory for items, in MiB\n";
        assert_eq!(String::from_utf8_lossy(&fish.stdout), expected, "{fish:?}");
    }
    if has("zsh") {
        let zsh =
            Command::new("zsh").arg("-n").arg(file("completions/_miocached")).output().unwrap();
        assert!(zsh.status.success() && zsh.stderr.is_empty(), "{zsh:?}");
    }
}
