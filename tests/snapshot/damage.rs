//! Files that are cut, flipped, or made up: what is good is read, and nothing else.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::LazyLock;

use super::{SAVED, config, items, loaded, saved, set, started, text, value};
use miocached::engine::Engine;
use miocached::snapshot::{BLOCK_BYTES, read, seal};

const ITEMS: usize = 400;

type Items = BTreeMap<String, (String, Vec<u8>)>;

/// A file of four blocks, and its items. Records of 8 KB are divided at the ends of blocks, and one
/// fills a block.
static SAMPLE: LazyLock<(Vec<u8>, Items)> = LazyLock::new(|| {
    let mut engine = Engine::new(&config()).unwrap();
    for number in 0..ITEMS {
        let bytes = if number == ITEMS / 2 { BLOCK_BYTES } else { 6000 + number };
        let options = format!("{} 0", number % 3);
        set(&mut engine, &format!("key{number}"), &options, &value(number, bytes));
    }
    let file = saved(&mut engine, SAVED);
    assert_eq!(file.len().div_ceil(BLOCK_BYTES), 4);
    (file, items(&mut engine, SAVED))
});

/// Reads a changed file: all items that it gives are those that were saved. Returns their number, and
/// the line for the log.
fn check(file: &[u8]) -> (usize, String) {
    let (mut engine, what) = loaded(&config(), file, started(0));
    let found = items(&mut engine, started(0));
    for (key, item) in &found {
        assert!(SAMPLE.1.get(key) == Some(item), "{key} is wrong, after {what:?}");
    }
    assert_eq!(found.len() as u64, what.items.restored - what.evicted);
    (found.len(), what.to_string())
}

#[test]
fn a_whole_file_is_read_as_a_whole() {
    assert_eq!(check(&SAMPLE.0), (ITEMS, "400 items".into()));
}

#[test]
fn a_damaged_block_costs_its_own_items() {
    for block in 0..4 {
        // In the magic, the version, the checksum, the header, and in records.
        for offset in [0, 7, 8, 12, 20, 25, 29, 33, 50, 80, 100, 70_000] {
            let mut file = SAMPLE.0.clone();
            file[block * BLOCK_BYTES + offset] ^= 0x20;
            let (found, line) = check(&file);
            assert!((180..ITEMS).contains(&found), "block {block}, byte {offset}: {line}");
            assert!(line.contains("1 of 4 blocks are damaged"), "{line}");
            let (lost, is_last) = (ITEMS - found, block == 3);
            // The last block has the number of all items.
            let known = line.contains(&format!("{lost} are lost"));
            assert!(known || is_last && line.contains("the end is missing"), "{line}");
        }
    }
}

#[test]
fn a_cut_file_gives_what_it_has() {
    let whole = &SAMPLE.0;
    let mut least = ITEMS;
    for cut in [whole.len() - 1, 3 * BLOCK_BYTES, 3 * BLOCK_BYTES - 1, BLOCK_BYTES + 50, 100, 1] {
        let (found, line) = check(&whole[..cut]);
        assert!(found < ITEMS && found <= least, "{cut}: {line}");
        assert!(line.contains("the end is missing"), "{cut}: {line}");
        least = found;
    }
    assert_eq!(least, 0);
    // Bytes after the end do no harm.
    let (found, line) = check(&[whole, &[0; 100][..]].concat());
    assert_eq!((found, line.as_str()), (ITEMS, "400 items"));
    // Blocks in another order, or twice, are no blocks of this file.
    let (first, rest) = whole.split_at(BLOCK_BYTES);
    check(rest);
    check(&[first, first, rest].concat());
    check(&[rest, first].concat());
}

#[test]
fn another_version_is_refused_as_a_whole() {
    let mut file = SAMPLE.0.clone();
    for block in file.chunks_mut(BLOCK_BYTES) {
        block[8] = 2;
    }
    let line = "no items: its format has version 2";
    assert_eq!(check(&file), (0, line.into()));
    // The same with right checksums.
    for block in file.chunks_mut(BLOCK_BYTES) {
        seal(block);
    }
    assert_eq!(check(&file), (0, line.into()));
}

/// A block of another snapshot of the same server, which the checksum does not show.
#[test]
fn a_block_of_another_snapshot_is_not_taken() {
    let mut engine = Engine::new(&config()).unwrap();
    for number in 0..ITEMS {
        set(&mut engine, &format!("key{number}"), "0 0", &value(number + 1, 8000));
    }
    let other = saved(&mut engine, SAVED);
    let mut file = SAMPLE.0.clone();
    let second = BLOCK_BYTES..2 * BLOCK_BYTES;
    file[second.clone()].copy_from_slice(&other[second]);
    let (found, line) = check(&file);
    assert!(found < ITEMS && line.contains("1 of 4 blocks are damaged"), "{line}");
}

/// A disk whose sectors from 1.5 to 1.6 MiB cannot be read.
struct BadSectors(Cursor<Vec<u8>>);

impl Read for BadSectors {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (start, bad) = (self.0.position(), 3 << 19);
        if (bad..bad + 100_000).contains(&start) {
            return Err(io::Error::other("a bad sector"));
        }
        let before = usize::try_from(bad.saturating_sub(start)).unwrap();
        let most = if before > 0 { before.min(buffer.len()) } else { buffer.len() };
        self.0.read(&mut buffer[..most])
    }
}

impl Seek for BadSectors {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

#[test]
fn a_block_that_cannot_be_read_costs_its_own_items() {
    let mut engine = Engine::new(&config()).unwrap();
    let (file, bytes) = (SAMPLE.0.clone(), SAMPLE.0.len() as u64);
    let mut disk = BadSectors(Cursor::new(file));
    let what = read(&mut engine, started(0), &mut disk, bytes, |_| true).unwrap();
    engine.verify();
    assert_eq!((what.bad_blocks, what.is_cut), (1, false), "{what:?}");
    assert_eq!(what.items.restored + what.lost, ITEMS as u64);
    assert!(what.items.restored > 180, "{what:?}");
    assert_eq!(items(&mut engine, started(0)).len() as u64, what.items.restored);
}

#[test]
fn a_stop_ends_the_reading() {
    let mut engine = Engine::new(&config()).unwrap();
    let mut from = Cursor::new(&SAMPLE.0);
    let bytes = SAMPLE.0.len() as u64;
    let what = read(&mut engine, started(0), &mut from, bytes, |read| read == 0).unwrap();
    assert!(what.is_stopped && !what.is_damaged() && what.items.restored > 0, "{what:?}");
    engine.verify();
}

/// Random numbers from bytes.
struct Source<'b>(&'b [u8]);

impl Source<'_> {
    fn below(&mut self, end: usize) -> usize {
        let (now, rest) = self.0.split_at(self.0.len().min(4));
        self.0 = rest;
        now.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)) % end.max(1)
    }
}

/// Changes the file as `source` says: flips, cuts, removes, repeats and overwrites.
fn edit(file: &mut Vec<u8>, source: &mut Source<'_>) {
    while !source.0.is_empty() && !file.is_empty() {
        let (kind, at) = (source.below(8), source.below(file.len()));
        let end = (at + 1 + source.below(2 * BLOCK_BYTES)).min(file.len());
        match kind {
            0..=3 => file[at] ^= 1 << source.below(8),
            4 => file.truncate(at),
            5 => drop(file.drain(at..end)),
            6 => file[at..end].fill(0),
            _ => {
                let copy = file[at..end].to_vec();
                let to = source.below(file.len());
                file.splice(to..to, copy);
            }
        }
        file.truncate(8 * BLOCK_BYTES);
    }
}

/// However a file is damaged, each item that is read is one that was saved.
#[test]
fn no_damage_makes_a_wrong_item() {
    bolero::check!(name = "damage").with_max_len(64).with_iterations(300).for_each(
        |input: &[u8]| {
            let mut file = SAMPLE.0.clone();
            edit(&mut file, &mut Source(input));
            check(&file);
        },
    );
}

/// A file that was made up, with right checksums over wrong numbers, makes nothing panic or grow.
#[test]
fn no_number_in_a_file_is_trusted() {
    bolero::check!(name = "made-up").with_max_len(64).with_iterations(300).for_each(
        |input: &[u8]| {
            let mut file = SAMPLE.0.clone();
            let mut source = Source(input);
            while !source.0.is_empty() {
                let block = source.below(4) * BLOCK_BYTES;
                // Mostly in headers, of blocks and of the first records.
                let reach = [88, 88, 200, BLOCK_BYTES][source.below(4)];
                let at = (block + source.below(reach)).min(file.len() - 1);
                file[at] = u8::try_from(source.below(256)).unwrap();
            }
            for start in (0..file.len()).step_by(BLOCK_BYTES) {
                let block = &mut file[start..];
                // The bytes that the checksum is of: as many as the header says.
                let bytes = u32::from_le_bytes(block[28..32].try_into().unwrap()) as usize;
                let sealed = block.len().min(88 + bytes);
                seal(&mut block[..sealed]);
            }
            let (mut engine, _) = loaded(&config(), &file, started(0));
            let again = saved(&mut engine, started(0));
            loaded(&config(), &again, started(0));
            text(&mut engine, started(0), "stats\r\nset a 0 0 1\r\nx\r\n");
            engine.verify();
        },
    );
}
