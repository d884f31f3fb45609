//! Snapshots: what a store, an engine and a damaged file give back. `server/snapshot.rs` has the files
//! of the real process.
//!
//! * `items`: what an item keeps, and how the time in between counts
//! * `limits`: less memory than before, and other limits
//! * `damage`: files that are cut, flipped, or made up
//! * `hit_ratio`: beside a twin that went on

mod damage;
mod hit_ratio;
mod items;
mod limits;

use std::collections::BTreeMap;
use std::io::Cursor;

use miocached::config::{Config, MIB};
use miocached::engine::{Engine, Now};
use miocached::protocol::OutputLimit;
use miocached::session::{Session, Stop};
use miocached::snapshot::{Loaded, read, write};

/// The time of the snapshots.
const SAVED: Now = Now { uptime_s: 5000, unix_s: 1_800_000_000 };

/// The first second of a server that starts so many seconds after [`SAVED`].
fn started(after_s: i64) -> Now {
    Now { uptime_s: Now::FIRST_S, unix_s: SAVED.unix_s + after_s }
}

fn config() -> Config {
    Config { memory_bytes_max: 32 * MIB, item_bytes_max: 8 * MIB, ..Config::default() }
}

/// The answers to requests of one client.
fn ask(engine: &mut Engine, now: Now, requests: &[u8]) -> Vec<u8> {
    let mut session = Session::new(&config());
    let (mut answers, mut start) = (Vec::new(), 0);
    loop {
        let mut limit = OutputLimit::UNBOUNDED;
        let (used, stop) =
            session.advance(&requests[start..], &mut answers, &mut limit, engine, now.into());
        start += used;
        if stop != Stop::NeedsFlush {
            assert_eq!((start, stop), (requests.len(), Stop::NeedsInput));
            return answers;
        }
    }
}

fn text(engine: &mut Engine, now: Now, requests: &str) -> String {
    String::from_utf8(ask(engine, now, requests.as_bytes())).unwrap()
}

/// A snapshot of the engine's items.
fn saved(engine: &mut Engine, now: Now) -> Vec<u8> {
    let mut file = Vec::new();
    let mut noted = 0;
    let written = write(engine, now, &mut file, |bytes| noted = bytes).unwrap();
    assert_eq!((written.bytes, noted), (file.len() as u64, file.len() as u64));
    file
}

/// A new engine, and what it has read of `file`.
fn loaded(config: &Config, file: &[u8], now: Now) -> (Engine, Loaded) {
    let mut engine = Engine::new(config).unwrap();
    let mut from = Cursor::new(file);
    let loaded = read(&mut engine, now, &mut from, file.len() as u64, |_| true).unwrap();
    engine.verify();
    (engine, loaded)
}

/// All items: what `metadump` shows of each key, and the value.
fn items(engine: &mut Engine, now: Now) -> BTreeMap<String, (String, Vec<u8>)> {
    let dump = text(engine, now, "lru_crawler metadump all\r\n");
    let lines = dump.lines().filter_map(|line| line.strip_prefix("key=")?.split_once(' '));
    lines
        .map(|(key, rest)| {
            let value = ask(engine, now, format!("mg {key} v\r\n").as_bytes());
            (key.to_string(), (rest.to_string(), value))
        })
        .collect()
}

/// Bytes that differ for each number.
fn value(number: usize, bytes: usize) -> Vec<u8> {
    let mut value = format!("{number}:").repeat(bytes / 2 + 1).into_bytes();
    value.truncate(bytes);
    value
}

fn set(engine: &mut Engine, key: &str, options: &str, value: &[u8]) {
    let line = format!("set {key} {options} {}\r\n", value.len());
    let answer = ask(engine, SAVED, &[line.as_bytes(), value, b"\r\n"].concat());
    assert_eq!(answer, b"STORED\r\n");
}
