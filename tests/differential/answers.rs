//! What of an answer is compared: cas ids, slab classes and times are not, and the seconds left only roughly. Nor
//! is whether a key is shown in base64: memcached forgets that it came so when another command than
//! ms makes the item anew.
//!
//! Works line by line; values are among the lines, and none of those that requests store looks like
//! an answer.

/// Longest time that may be left, in seconds, and is not a date. Two servers can be one second
/// apart, and of a date that would be seen.
const RELATIVE_S_MAX: u64 = 60 * 60 * 24 * 30;

/// Keys as they are shown when they came in base64, and when not.
const BASE64: [(&str, &str); 3] = [("kYQ== b", "ka"), ("kYg== b", "kb"), ("kbg== b", "kn")];

/// The answers as they are compared, and shown when they differ.
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
    // A cas id that was sent, and became part of a value that was promised longer than it was.
    match line.split_once("0000000000") {
        Some((front, id)) => {
            format!("{front}ID{}", id.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line,
    }
}

/// A flag as it comes back.
fn flag(word: &str) -> String {
    let argument = word.get(1..).unwrap_or_default().trim_end_matches("\\r");
    match word.as_bytes().first() {
        Some(b'c') if argument != "0" => "cCAS".into(),
        Some(b'l') => "l".into(),
        Some(b't') => format!("t{}", seconds(argument)),
        _ => word.trim_end_matches("\\r").into(),
    }
}

/// Seconds left, without those that may have passed between two servers.
fn seconds(number: &str) -> String {
    match number.parse::<u64>() {
        Ok(left @ ..=RELATIVE_S_MAX) => left.next_multiple_of(20).to_string(),
        Ok(_) => "DATE".into(),
        Err(_) => number.into(),
    }
}
