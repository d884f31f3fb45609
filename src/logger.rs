//! simple_logger, with a stderr that may be gone or full.
//!
//! simple_logger prints with `eprintln!`, which panics when stderr is a pipe that nobody reads any
//! more, and blocks when nobody empties it. Neither may end or stop a server, so a line that cannot
//! be written at once is left out.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use simple_logger::SimpleLogger;

/// Lines left out since the last one written.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

struct Patient {
    inner: SimpleLogger,
}

/// Logs to stderr from `level` on. A client's `verbosity` may ask for less, and for this much again,
/// but not for more: nobody is to fill a log by asking for it.
pub(crate) fn start(level: LevelFilter) -> Result<(), SetLoggerError> {
    let inner = SimpleLogger::new().with_level(level).with_utc_timestamps();
    log::set_max_level(level);
    log::set_boxed_logger(Box::new(Patient { inner }))
}

/// Why the program ends, on stderr, if it is there.
pub(crate) fn complain(why: &str) {
    // With stderr gone there is nobody to tell; the exit code says it all the same.
    let _ = writeln!(std::io::stderr(), "miocached: {why}");
}

impl Log for Patient {
    /// The steps of the libraries beneath us are not those that `-vv` is to show.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("miocached") && self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let left_out = LEFT_OUT.load(Ordering::Relaxed);
        if !writable() {
            LEFT_OUT.store(left_out + 1, Ordering::Relaxed);
            return;
        }
        // The reader may still go away between the question and the line.
        let logged = catch_unwind(|| {
            if left_out > 0 {
                let text = format_args!("{left_out} log lines were left out: stderr was full");
                let note = Record::builder()
                    .args(text)
                    .target("miocached")
                    .level(log::Level::Warn)
                    .build();
                self.inner.log(&note);
            }
            self.inner.log(record);
        });
        match logged {
            Ok(()) => LEFT_OUT.store(0, Ordering::Relaxed),
            Err(_) => log::set_max_level(LevelFilter::Off),
        }
    }

    fn flush(&self) {}
}

/// Would stderr take a line now? A pipe says so while it has room for a whole page, which is more
/// than a line; a pipe without a reader reports an error instead.
fn writable() -> bool {
    let stderr = std::io::stderr();
    let mut asked = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    poll(&mut asked, PollTimeout::ZERO).is_ok() && asked[0].revents() == Some(PollFlags::POLLOUT)
}
