//! Steps of the wall clock: relative times follow the monotonic clock. An absolute time is compared with
//! the wall clock when its request arrives. Time is an argument, so no test here waits.

use miocached::config::{Config, MIB};
use miocached::engine::{Engine, Now};
use miocached::protocol::OutputLimit;
use miocached::session::Session;

const DAY_S: i64 = 24 * 60 * 60;
const YEAR_S: i64 = 365 * DAY_S;

/// A session with an engine and two clocks that the test sets.
struct Talk {
    engine: Engine,
    session: Session,
    now: Now,
}

impl Talk {
    fn new() -> Self {
        let config = Config { memory_bytes_max: 2 * MIB, ..Config::default() };
        Self {
            engine: Engine::new(&config).unwrap(),
            session: Session::new(&config),
            now: Now { uptime_s: 1_000, unix_s: 1_800_000_000 },
        }
    }

    /// Time passes on both clocks.
    fn pass(&mut self, seconds: u32) {
        self.now.uptime_s += seconds;
        self.now.unix_s += i64::from(seconds);
    }

    /// Steps the wall clock.
    fn step(&mut self, seconds: i64) {
        self.now.unix_s = (self.now.unix_s + seconds).max(0);
    }

    #[track_caller]
    fn ask(&mut self, request: &str, answer: &str) {
        let mut output = Vec::new();
        let mut room = OutputLimit::UNBOUNDED;
        let (spent, _) = self.session.advance(
            request.as_bytes(),
            &mut output,
            &mut room,
            &mut self.engine,
            self.now.into(),
        );
        assert_eq!((spent, String::from_utf8(output).unwrap().as_str()), (request.len(), answer));
        self.engine.verify();
    }

    /// Stores `a` with this exptime.
    fn store(&mut self, exptime: i64) {
        self.ask(&format!("set a 0 {exptime} 1\r\nx\r\n"), "STORED\r\n");
    }

    #[track_caller]
    fn assert_there(&mut self, there: bool) {
        self.ask("get a\r\n", if there { "VALUE a 0 1\r\nx\r\nEND\r\n" } else { "END\r\n" });
    }
}

const STEPS: [i64; 8] = [-60 * YEAR_S, -YEAR_S, -DAY_S, -1, 1, DAY_S, YEAR_S, 10 * YEAR_S];

#[test]
fn a_step_of_the_wall_clock_moves_no_relative_time() {
    for step in STEPS {
        let mut talk = Talk::new();
        talk.store(100);
        talk.pass(50);
        talk.step(step);
        talk.ask("mg a t\r\n", "HD t50\r\n");
        talk.pass(49);
        talk.assert_there(true);
        talk.pass(1);
        talk.assert_there(false);
        // A delayed flush is a relative time, too.
        talk.store(0);
        talk.ask("flush_all 10\r\n", "OK\r\n");
        talk.step(-step);
        talk.pass(9);
        talk.assert_there(true);
        talk.pass(1);
        talk.assert_there(false);
    }
}

#[test]
fn an_absolute_time_is_compared_with_the_current_wall_clock() {
    for step in STEPS {
        let mut talk = Talk::new();
        talk.pass(50);
        talk.step(step);
        // An exptime of up to 30 days is relative, so none in the future is absolute in early 1970.
        let at = talk.now.unix_s + 100;
        let Ok(at) = i32::try_from(at) else { continue };
        if i64::from(at) <= 30 * DAY_S {
            continue;
        }
        talk.store(at.into());
        talk.ask("mg a t\r\n", "HD t100\r\n");
        talk.pass(99);
        talk.assert_there(true);
        talk.pass(1);
        talk.assert_there(false);
        talk.store(talk.now.unix_s);
        talk.assert_there(false);
    }
}

/// As in memcached, a later step of the wall clock does not change the time to live of a stored item:
/// the client may have meant either time, and a clock that is corrected soon after the start would
/// otherwise expire the whole cache.
#[test]
fn a_later_step_does_not_change_the_expiry_of_a_stored_item() {
    for step in STEPS {
        let mut talk = Talk::new();
        talk.store(talk.now.unix_s + 100);
        talk.step(step);
        talk.pass(99);
        talk.assert_there(true);
        talk.ask("mg a t\r\n", "HD t1\r\n");
        talk.pass(1);
        talk.assert_there(false);
    }
}

/// Extreme expiry times, with clocks at both ends of their range: no overflow.
#[test]
fn extreme_times_do_not_overflow() {
    for unix_s in [0, 1, 30 * DAY_S, i64::from(i32::MAX), i64::from(u32::MAX), i64::MAX] {
        for uptime_s in [Now::FIRST_S, 1_000, u32::MAX - 1, u32::MAX] {
            for exptime in [i64::MIN, -1, 1, 30 * DAY_S, 30 * DAY_S + 1, i32::MAX.into(), i64::MAX]
            {
                let mut talk = Talk::new();
                talk.now = Now { uptime_s, unix_s };
                let request = format!("set a 0 {exptime} 1\r\nx\r\ntouch a {exptime}\r\n");
                let mut output = Vec::new();
                let Talk { session, engine, now, .. } = &mut talk;
                let request = request.as_bytes();
                let mut room = OutputLimit::UNBOUNDED;
                session.advance(request, &mut output, &mut room, engine, (*now).into());
                assert!(!output.is_empty());
                talk.engine.verify();
            }
        }
    }
}
