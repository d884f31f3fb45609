//! Requests that have to wait, for room in the output or for other connections' turns. A request that
//! waits has changed nothing, and later has the same effect as if it had not waited.

use miocached::config::Config;
use miocached::engine::{Engine, Now};
use miocached::protocol::OutputLimit;
use miocached::session::{Session, Stop};

const NOW: Now = Now { uptime_s: 1000, unix_s: 1_700_000_000 };

/// All answers of a session, and the number of its turns. Its output may not exceed `limit` bytes, except
/// for an answer whose length it has asked for and been granted.
fn answers(requests: &[u8], limit: usize) -> (String, usize) {
    let config = Config::default();
    let (mut session, mut engine) = (Session::new(&config), Engine::new(&config).unwrap());
    let (mut spent, mut all, mut turns, mut granted) = (0, Vec::new(), 0, 0);
    loop {
        let room_bytes = limit.max(granted);
        let mut room =
            OutputLimit { high_water: limit, limit: room_bytes, ..OutputLimit::UNBOUNDED };
        let mut output = Vec::new();
        let unread = &requests[spent..];
        let (used, stop) = session.advance(unread, &mut output, &mut room, &mut engine, NOW.into());
        spent += used;
        turns += 1;
        assert!(output.len() <= room_bytes + 1024, "{} bytes at once", output.len());
        granted = if output.is_empty() { room.needed } else { 0 };
        all.extend(output);
        assert!(turns < 10_000, "no end of turns");
        if stop != Stop::NeedsFlush {
            return (String::from_utf8(all).unwrap(), turns);
        }
    }
}

#[test]
fn a_vivified_item_is_won_once_although_its_answer_waits() {
    for before in 0..12 {
        let misses = format!("mg {} k\r\n", "k".repeat(200)).repeat(before);
        let requests = misses.clone() + "mg viv N30 v t\r\nmg viv t\r\n";
        let (got, _) = answers(requests.as_bytes(), 2112);
        let echoes = format!("EN k{}\r\n", "k".repeat(200)).repeat(before);
        assert_eq!(got, echoes + "VA 0 t30 W\r\n\r\nHD t30 Z\r\n");
    }
}

#[test]
fn no_turn_copies_a_large_value_many_times() {
    // `incr` refuses an item above 512 KiB.
    for (request, large) in [
        ("append a 0 0 1 noreply\r\nx\r\n", 900_000),
        ("ms a 1 MA q\r\nx\r\n", 900_000),
        ("incr a 1 noreply\r\n", 500_000),
    ] {
        const TIMES: usize = 50;
        let set = format!("set a 0 0 {large}\r\n{}\r\n", " ".repeat(large));
        let (got, turns) = answers((set + &request.repeat(TIMES)).as_bytes(), 64 << 10);
        assert_eq!(got, "STORED\r\n");
        // A turn ends after the request that exceeds a megabyte of copies.
        let turns_min = TIMES * large / ((1 << 20) + large);
        assert!(turns >= turns_min, "{request}: {turns} turns for {TIMES} times {large} bytes");
    }
}

/// A dump writes one of the map's tables in each step. With keys of the greatest length, whose bytes are
/// each written as three, that is three times the output of a turn.
#[test]
fn a_dump_waits_for_room_in_the_output() {
    const KEYS: usize = 2000;
    // Bytes that are valid in a key and escaped in a dump.
    let strange = "\u{e4}".repeat(123);
    let set = |at| format!("set {at:04}{strange} 0 0 1 noreply\r\nx\r\n");
    let sets: String = (0..KEYS).map(set).collect();
    for (dump, start, bytes) in [("metadump", "key=", 750), ("mgdump", "mg ", 250)] {
        let (got, turns) =
            answers((sets.clone() + "lru_crawler " + dump + " all\r\n").as_bytes(), 64 << 10);
        assert_eq!(got.matches(start).count(), KEYS);
        assert!(got.len() > KEYS * bytes && turns > 10, "{} bytes in {turns} turns", got.len());
    }
}

/// The most keys that one turn looks up, and the number of turns, if all of `requests` arrive at once.
/// Every key is a miss.
fn keys_per_turn(requests: &[u8]) -> (u64, usize) {
    let config = Config::default();
    let (mut session, mut engine) = (Session::new(&config), Engine::new(&config).unwrap());
    let (mut spent, mut most, mut turns) = (0, 0, 0);
    loop {
        let before = engine.counters.get_misses;
        let (mut output, mut limit) = (Vec::new(), OutputLimit::UNBOUNDED);
        let unread = &requests[spent..];
        let (used, stop) =
            session.advance(unread, &mut output, &mut limit, &mut engine, NOW.into());
        (spent, turns) = (spent + used, turns + 1);
        most = most.max(engine.counters.get_misses - before);
        assert!(turns < 10_000, "no end of turns");
        if stop == Stop::NeedsInput {
            assert_eq!(spent, requests.len());
            return (most, turns);
        }
    }
}

#[test]
fn a_long_line_of_short_keys_takes_many_turns() {
    const KEYS: usize = 400_000;
    let line = format!("get{}\r\n", " a".repeat(KEYS));
    let (most, turns) = keys_per_turn(line.as_bytes());
    assert!(most <= 16_385, "{most} keys in one turn");
    assert!((KEYS / 16_385..KEYS / 8_000).contains(&turns), "{turns} turns");
}

/// A read buffer that has grown for a long line may later hold as many bytes of short requests.
#[test]
fn a_long_input_of_short_requests_takes_many_turns() {
    let requests = "get a\n".repeat(100_000);
    let (most, turns) = keys_per_turn(requests.as_bytes());
    assert!(most <= 6_000, "{most} requests in one turn");
    assert!(turns >= 16, "{turns} turns");
}
