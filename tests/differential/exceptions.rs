//! Known differences, on purpose or between versions of memcached: requests that are not sent, and answers
//! that count as equal. Each has its reason.

use super::requests::Request;

/// The servers that differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Between {
    /// This server, on purpose, and memcached.
    UsAndThem,
    /// memcached 1.6.18, and 1.6.45 with this server.
    OldAndNew,
}

/// Requests that are excluded.
pub(crate) struct Exception {
    pub(crate) between: Between,
    /// Their common property, and why the answers differ.
    pub(crate) why: &'static str,
    pub(crate) applies: fn(&Request) -> bool,
}

use Between::{OldAndNew, UsAndThem};

const STORAGE: [&[u8]; 6] = [b"set", b"add", b"replace", b"append", b"prepend", b"cas"];
const META: [&[u8]; 5] = [b"mg", b"ms", b"md", b"ma", b"me"];

/// All excluded requests.
pub(crate) const EXCEPTIONS: [Exception; 33] = [
    Exception {
        between: UsAndThem,
        why: "a line of three bytes is too short to be anything, even `mn`: a bug",
        applies: |request| request.is_shorter_than(4),
    },
    Exception {
        between: UsAndThem,
        why: "a key too long among others gets an empty line after its error: a bug",
        applies: |request| {
            is(request, &[b"get", b"gets", b"gat", b"gats"]) && has_long_key(request)
        },
    },
    Exception {
        between: UsAndThem,
        why: "delete takes what both generations take, and 1.6.45 alone takes more",
        applies: |request| {
            let plain = request.words.len() <= 2 || request.words.last().unwrap() == b"noreply";
            is(request, &[b"delete"]) && !plain
        },
    },
    Exception {
        between: UsAndThem,
        why: "me takes b only when another word follows it: a bug",
        applies: |request| is(request, &[b"me"]) && request.words.len() == 3,
    },
    Exception {
        between: UsAndThem,
        why: "an expiry that has passed is shown as about 2^32 seconds left: a bug",
        applies: |request| {
            is(request, &META)
                && has_flag(request, |flag| match flag {
                    [b'T' | b'N', b'-', ..] => true,
                    // Above thirty days it is an absolute time.
                    [b'T' | b'N', seconds @ ..] => std::str::from_utf8(seconds)
                        .is_ok_and(|seconds| seconds.parse().is_ok_and(|s: i64| s > 2_592_000)),
                    _ => false,
                })
        },
    },
    Exception {
        between: UsAndThem,
        why: "an opaque token that is too long is refused before anything is done",
        applies: |request| {
            is(request, &META) && has_flag(request, |flag| flag.len() > 32 && flag[0] == b'O')
        },
    },
    Exception {
        between: UsAndThem,
        why: "E0 gives an item no cas id at all, except in ms: a bug",
        applies: |request| {
            let is_zero = |flag: &[u8]| flag[0] == b'E' && flag[1..].iter().all(|&d| d == b'0');
            is(request, &[b"mg", b"ma", b"md"]) && has_flag(request, is_zero)
        },
    },
    Exception {
        between: UsAndThem,
        why: "ms that appends forgets that the key came in base64: a bug",
        applies: |request| {
            is(request, &[b"ms"])
                && has_flag(request, |flag| flag[0] == b'b')
                && has_flag(request, |flag| flag.starts_with(b"MA") || flag.starts_with(b"MP"))
        },
    },
    Exception {
        between: UsAndThem,
        why: "of flags or a time that are white space alone memcached reads on in the next word: a bug",
        applies: |request| {
            let is_blank = |at| request.word(at).trim_ascii().is_empty();
            is(request, &STORAGE) && (is_blank(2) || is_blank(3))
        },
    },
    Exception {
        between: UsAndThem,
        why: "ma that makes a number longer sets the time of the item that it replaces: a bug",
        applies: |request| is(request, &[b"ma"]) && has_flag(request, |flag| flag[0] == b'T'),
    },
    Exception {
        between: UsAndThem,
        why: "after the data of a store whose line ended in LF a bare LF will do",
        applies: |request| request.ends_in_lf() && request.data.is_some(),
    },
    Exception {
        between: UsAndThem,
        why: "mg and ma forget that the key of what they make came in base64: a bug",
        applies: |request| {
            is(request, &[b"mg", b"ma"])
                && has_flag(request, |flag| flag[0] == b'b')
                && has_flag(request, |flag| flag[0] == b'N')
        },
    },
    Exception {
        between: UsAndThem,
        why: "a space in front of a command makes it unknown, but 1.6.45 looks some up all the same",
        applies: |request| {
            request.is_indented()
                && (is_administration(request)
                    || is(request, &[b"flush_all", b"verbosity", b"shutdown"]))
        },
    },
    Exception {
        between: UsAndThem,
        why: "there are no slab classes to move pages between, and no LRU lists to set up",
        applies: |request| {
            let words = request.words.len();
            (is(request, &[b"slabs"]) && request.word(1) == b"reassign" && words == 4)
                || (is(request, &[b"lru"]) && matches!(request.word(1), b"mode" | b"temp_ttl"))
        },
    },
    Exception {
        between: UsAndThem,
        why: "there is no more memory than at the start",
        applies: |request| {
            is(request, &[b"cache_memlimit"])
                && std::str::from_utf8(request.word(1))
                    .is_ok_and(|mib| matches!(mib.parse(), Ok(65..=1_000_000_000u64)))
        },
    },
    Exception {
        between: UsAndThem,
        why: "the start of a subcommand's name is taken for the name: a bug",
        applies: |request| {
            const NAMES: [&[u8]; 5] = [b"automove", b"ratio", b"freeratio", b"window", b"tune"];
            let is_start =
                |word: &Vec<u8>| NAMES.iter().any(|name| name.starts_with(word) && name != word);
            is_administration(request) && request.words.iter().skip(1).take(2).any(is_start)
        },
    },
    Exception {
        between: UsAndThem,
        why: "a fraction in hexadecimal, with white space, infinite or no number is refused",
        applies: |request| {
            let is_odd = |word: &Vec<u8>| {
                matches!(word.as_slice(), b"inf" | b"nan" | b"0x1p3" | b"0x10" | b"1\t" | b"1\0")
            };
            is(request, &[b"slabs", b"lru"]) && request.words.iter().skip(3).any(is_odd)
        },
    },
    Exception {
        between: UsAndThem,
        why: "two percentages whose sum does not fit into 32 bits are too high",
        applies: |request| {
            let percent = |at| String::from_utf8_lossy(request.word(at)).parse().unwrap_or(0u32);
            is(request, &[b"lru"]) && percent(2).checked_add(percent(3)).is_none()
        },
    },
    Exception {
        between: UsAndThem,
        why: "1.6.45 forgets its answers when the client hangs up on data that it waits for",
        applies: |request| {
            let at = if is(request, &[b"ms"]) { 2 } else { 4 };
            let count = std::str::from_utf8(request.word(at)).ok().and_then(|n| n.parse().ok());
            let data = request.data.as_ref().map_or(0, Vec::len);
            count.is_some_and(|count: u64| count > data as u64 + 100)
        },
    },
    Exception {
        between: OldAndNew,
        why: "after a storage line that is wrong 1.6.18 takes the data for commands",
        applies: |request| is(request, &STORAGE) && !is_clean_storage(request),
    },
    Exception {
        between: OldAndNew,
        why: "data whose length is not the announced one leaves commands as above",
        applies: |request| !is_long_enough(request),
    },
    Exception {
        between: OldAndNew,
        why: "automove had only a level and a ratio",
        applies: |request| {
            is(request, &[b"slabs"]) && matches!(request.word(2), b"freeratio" | b"window")
        },
    },
    Exception {
        between: OldAndNew,
        why: "numbers were read leniently: a plus, spaces of other kinds, more digits",
        applies: |request| request.words.iter().skip(1).any(|word| is_odd_number(word)),
    },
    Exception {
        between: OldAndNew,
        why: "words too many were an error, and noreply was looked for after the needed ones",
        applies: |request| {
            let needed = match request.word(0) {
                b"incr" | b"decr" | b"touch" => 3,
                b"delete" | b"verbosity" | b"flush_all" | b"mn" | b"cache_memlimit" => 2,
                b"shutdown" => 1,
                _ => usize::MAX,
            };
            let noreply = request.words.last().is_some_and(|word| word == b"noreply");
            request.words.len() > needed.saturating_add(noreply.into())
        },
    },
    Exception {
        between: OldAndNew,
        why: "spaces in front of a command were skipped, and a line of nothing else was none",
        applies: |request| request.is_indented() || request.words.iter().all(Vec::is_empty),
    },
    Exception {
        between: OldAndNew,
        why: "an unknown command never was silent, nor one that has too few words",
        applies: |request| {
            let silent = request.words.last().is_some_and(|word| word == b"noreply");
            let known = match (request.word(0), request.words.len()) {
                (b"get" | b"gets" | b"gat" | b"gats", _) => true,
                (b"incr" | b"decr" | b"touch", 4) | (b"delete" | b"verbosity", 3) => true,
                (b"flush_all", 2 | 3) => true,
                _ => is(request, &STORAGE),
            };
            silent && !known
        },
    },
    Exception {
        between: OldAndNew,
        why: "the flags E, x, and s of ms are new, and others were unknown where they mean nothing",
        applies: |request| {
            let new: &[u8] = if is(request, &[b"ms"]) { b"ExJDFICMs" } else { b"ExJDFICM" };
            let is_new = |flag: &Vec<u8>| flag.first().is_some_and(|letter| new.contains(letter));
            is(request, &META) && request.words.iter().skip(2).any(is_new)
        },
    },
    Exception {
        between: OldAndNew,
        why: "a NUL ended the line for some commands",
        applies: |request| request.words.iter().any(|word| word.contains(&0)),
    },
    Exception {
        between: OldAndNew,
        why: "gat without a key looked for none",
        applies: |request| is(request, &[b"gat", b"gats"]) && request.words.len() < 3,
    },
    Exception {
        between: OldAndNew,
        why: "ma showed a number that it created, quiet or not",
        applies: |request| {
            let has =
                |letter| request.words.iter().skip(2).any(|word| word.first() == Some(&letter));
            is(request, &[b"ma"]) && has(b'N') && has(b'q')
        },
    },
    Exception {
        between: OldAndNew,
        why: "me showed the seconds that are left as a negative number",
        applies: |request| is(request, &[b"me"]),
    },
    Exception {
        between: OldAndNew,
        why: "meta commands had room for fewer flags",
        applies: |request| is(request, &META) && request.words.len() > 18,
    },
    Exception {
        between: OldAndNew,
        why: "ms looked at its data as commands when a flag was wrong in other ways",
        applies: |request| {
            is(request, &[b"ms"])
                && (has_long_key(request)
                    || request.words.len() > 20
                    || request
                        .words
                        .iter()
                        .skip(3)
                        .any(|flag| !flag.first().is_some_and(u8::is_ascii_alphanumeric)))
        },
    },
];

/// Answers of 1.6.18, and those of 1.6.45 with the same meaning.
pub(crate) const RENAMED: [(&str, &str); 9] = [
    // Too few words.
    ("ERROR", "CLIENT_ERROR bad command line format"),
    // md and ma had one message for all errors of flags. ma still has.
    ("CLIENT_ERROR invalid or duplicate flag", "CLIENT_ERROR bad command line format"),
    ("CLIENT_ERROR invalid or duplicate flag", "CLIENT_ERROR bad token in command line format"),
    ("CLIENT_ERROR invalid or duplicate flag", "CLIENT_ERROR invalid flag"),
    ("CLIENT_ERROR invalid or duplicate flag", "CLIENT_ERROR duplicate flag"),
    ("CLIENT_ERROR invalid or duplicate flag", "CLIENT_ERROR error decoding key"),
    ("ERROR: shutdown not enabled", "SERVER_ERROR: shutdown not enabled"),
    // A flag that is no letter was reported as an unknown flag.
    ("CLIENT_ERROR invalid flag", "CLIENT_ERROR bad command line format"),
    ("CLIENT_ERROR duplicate flag", "CLIENT_ERROR bad command line format"),
];

fn is(request: &Request, names: &[&[u8]]) -> bool {
    names.contains(&request.word(0))
}

fn is_administration(request: &Request) -> bool {
    is(request, &[b"slabs", b"lru", b"lru_crawler", b"cache_memlimit"])
}

/// Whether a word after the key has this property. No word is empty.
fn has_flag(request: &Request, is_so: fn(&[u8]) -> bool) -> bool {
    request.words.iter().skip(2).any(|flag| is_so(flag))
}

fn has_long_key(request: &Request) -> bool {
    request.words.iter().any(|word| word.len() > 250)
}

/// Whether the data has the announced length, if there is data.
fn is_long_enough(request: &Request) -> bool {
    let at = if is(request, &[b"ms"]) { 2 } else { 4 };
    request.data.as_ref().is_none_or(|data| data.len().to_string().as_bytes() == request.word(at))
}

/// Whether this is a valid storage line.
fn is_clean_storage(request: &Request) -> bool {
    let wanted = if request.word(0) == b"cas" { 6 } else { 5 };
    let count = request.words.len();
    let noreply = count == wanted + 1 && request.word(wanted) == b"noreply";
    let plain =
        |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit) && word.len() < 10;
    let id = |word: &[u8]| word.starts_with(b"{") || plain(word);
    (count == wanted || noreply)
        && !has_long_key(request)
        && plain(request.word(2))
        && (plain(request.word(3)) || request.word(3) == b"-1")
        && plain(request.word(4))
        && (wanted == 5 || id(request.word(5)))
}

fn is_odd_number(word: &[u8]) -> bool {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let odd = word.iter().any(|byte| b"+-.\t\0".contains(byte));
    (odd && word != b"-1" && digits > 0) || digits > 9 || word.ends_with(b"-")
}
