//! A non-blocking logger: simple_logger, without its failures on a stderr that is closed or full.
//!
//! simple_logger prints with `eprintln!`, which panics if stderr is a pipe without a reader or a file
//! that cannot grow, and blocks if stderr is a full pipe. A panic would end the server, and blocking
//! would stop it. So a line that cannot be written at once is dropped and counted.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use simple_logger::SimpleLogger;

/// Number of lines dropped since the last line that was written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

struct NonBlockingLogger {
    inner: SimpleLogger,
}

/// Starts logging to stderr, up to `level`. The `verbosity` command can lower the level and raise it
/// again, but not above `level`, so that no client can fill the log.
pub(crate) fn start(level: LevelFilter) -> Result<(), SetLoggerError> {
    let inner = SimpleLogger::new().with_level(level).with_utc_timestamps();
    miocached::trace::set_level(level);
    log::set_boxed_logger(Box::new(NonBlockingLogger { inner }))
}

/// Prints the error with which the program ends.
pub(crate) fn fatal(why: &str) {
    // If stderr cannot be written, only the exit code reports the failure.
    let _ = writeln!(std::io::stderr(), "miocached: {why}");
}

impl Log for NonBlockingLogger {
    /// Lines of other crates (mio's, at `-vv`) are not logged.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("miocached") && self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let dropped = DROPPED.load(Ordering::Relaxed);
        let written = is_writable()
            && catch_unwind(|| {
                if dropped > 0 {
                    let text = format_args!("{dropped} log lines dropped: stderr was not writable");
                    let note = Record::builder()
                        .args(text)
                        .target("miocached")
                        .level(log::Level::Warn)
                        .build();
                    self.inner.log(&note);
                }
                self.inner.log(record);
            })
            .is_ok();
        DROPPED.store(if written { 0 } else { dropped + 1 }, Ordering::Relaxed);
    }

    fn flush(&self) {}
}

/// Whether stderr can take a line now. poll(2) reports a pipe writable while it has room for a whole page,
/// which is more than a line, and reports an error for a pipe without a reader.
fn is_writable() -> bool {
    let stderr = std::io::stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO).is_ok() && polled[0].revents() == Some(PollFlags::POLLOUT)
}
