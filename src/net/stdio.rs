//! `--stdio`: one session on standard input and output, for pipes and for trying things out.
//!
//! It runs the same session as a connection, with reads and writes that block.

use std::io::{self, ErrorKind};

use super::clock::Clock;
use super::{INPUT_BYTES, OUTPUT_HIGH_WATER};
use crate::config::Config;
use crate::engine::Engine;
use crate::protocol::OutputLimit;
use crate::session::{Session, Stop};

/// Answers the requests on standard input until it ends, or a request ends the session.
///
/// # Errors
/// When reading or writing fails. A closed pipe (`| head -1`) is no failure.
pub fn serve_stdio(config: &Config) -> io::Result<()> {
    match converse(config, &mut io::stdin().lock(), &mut io::stdout().lock()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn converse(config: &Config, from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<()> {
    let clock = Clock::start();
    let mut engine = Engine::new(config).map_err(|_| ErrorKind::OutOfMemory)?;
    let mut session = Session::new(config);
    let mut input = vec![0; INPUT_BYTES];
    let mut unread = 0;
    let mut output = Vec::new();
    loop {
        let mut limit = OutputLimit { high_water: OUTPUT_HIGH_WATER, ..OutputLimit::UNBOUNDED };
        let now = clock.moment().now;
        let (spent, stop) =
            session.advance(&input[..unread], &mut output, &mut limit, &mut engine, now.into());
        input.copy_within(spent..unread, 0);
        unread -= spent;
        to.write_all(&output)?;
        to.flush()?;
        output.clear();
        match stop {
            Stop::Ended(_) => return Ok(()),
            // There is no other connection whose events could be shown.
            Stop::Watches(_) => return io::copy(from, &mut io::sink()).map(drop),
            Stop::NeedsFlush | Stop::NeedsServerStats(_) => continue,
            Stop::NeedsInput => {}
            Stop::NeedsValue => unreachable!("the limit lets no value be left out"),
        }
        if unread == input.len() {
            input.resize((unread * 2).min(session.bytes_wanted()).max(unread + 1), 0);
        }
        match from.read(&mut input[unread..]) {
            Ok(0) => return Ok(()),
            Ok(bytes) => unread += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
