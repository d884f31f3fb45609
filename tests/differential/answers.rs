//! The comparable part of an answer: without cas ids, slab classes and times, and with seconds left only
//! roughly. Whether a key is shown in base64 is not compared either: memcached forgets that a key was
//! sent in base64 when a command other than ms stores the item anew.
//!
//! Answers are compared line by line. Values are among the lines, and no value that requests store looks
//! like an answer.

/// Longest time left, in seconds, that is compared: longer ones come from absolute times, which differ
/// if the clocks of the two servers are a second apart.
const RELATIVE_S_MAX: u64 = 60 * 60 * 24 * 30;

/// Keys in base64, and as plain text.
const BASE64: [(&str, &str); 3] = [("kYQ== b", "ka"), ("kYg== b", "kb"), ("kbg== b", "kn")];

/// The answers in the form that is compared, and shown if they differ.
pub(crate) fn comparable(answers: &[u8]) -> Vec<String> {
    let lines = answers.split(|&byte| byte == b'\n');
    lines.map(|line| masked(&line.escape_ascii().to_string())).collect()
}

fn masked(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let known = |word: &str| word.trim_end_matches("\\r") != "0";
    match words[0].trim_end_matches("\\r") {
        "VERSION" => words.truncate(1),
        "VALUE" if words.len() == 5 && known(&words[4]) => words[4] = "CAS".into(),
        "HD" | "EX" | "NS" | "NF" | "VA" | "EN" => {
            let skipped = if words[0] == "VA" { 2 } else { 1 };
            words.iter_mut().skip(skipped).for_each(|word| *word = flag(word));
        }
        "ME" => words.iter_mut().skip(2).for_each(|word| {
            let (name, number) = word.split_once('=').unwrap_or((word, ""));
            *word = match name {
                "exp" => format!("exp={}", seconds(number)),
                "cas" | "la" | "cls" => format!("{name}="),
                _ => return,
            };
        }),
        _ => {}
    }
    let line = words.join(" ");
    let line = BASE64.iter().fold(line, |line, (shown, key)| line.replace(shown, key));
    // A cas id that was sent, and became part of a value whose announced length was too large.
    match line.split_once("0000000000") {
        Some((front, id)) => {
            format!("{front}ID{}", id.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line,
    }
}

/// A flag of a meta answer.
fn flag(word: &str) -> String {
    let argument = word.get(1..).unwrap_or_default().trim_end_matches("\\r");
    match word.as_bytes().first() {
        Some(b'c') if argument != "0" => "cCAS".into(),
        Some(b'l') => "l".into(),
        Some(b't') => format!("t{}", seconds(argument)),
        _ => word.trim_end_matches("\\r").into(),
    }
}

/// Seconds left, rounded, because a second may pass between the two servers.
fn seconds(number: &str) -> String {
    match number.parse::<u64>() {
        Ok(left @ ..=RELATIVE_S_MAX) => left.next_multiple_of(20).to_string(),
        Ok(_) => "DATE".into(),
        Err(_) => number.into(),
    }
}
