//! A non-blocking logger: simple_logger, guarded against a stderr that is closed or full.
//!
//! simple_logger prints with `eprintln!`. That panics when stderr is a pipe without a reader or a file
//! that cannot grow, and blocks when the pipe is full. Neither may end or stop the server, so a line
//! that cannot be written at once is dropped, and counted.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use simple_logger::SimpleLogger;

/// Lines dropped since the last one written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

struct NonBlockingLogger {
    inner: SimpleLogger,
}

/// Logs to stderr, from `level` on. The `verbosity` command can lower that and raise it again, but no
/// further than `level`: a client must not be able to fill the log.
pub(crate) fn start(level: LevelFilter) -> Result<(), SetLoggerError> {
    let inner = SimpleLogger::new().with_level(level).with_utc_timestamps();
    log::set_max_level(level);
    log::set_boxed_logger(Box::new(NonBlockingLogger { inner }))
}

/// Prints why the program ends.
pub(crate) fn fatal(why: &str) {
    // Without a stderr the exit code has to do.
    let _ = writeln!(std::io::stderr(), "miocached: {why}");
}

impl Log for NonBlockingLogger {
    /// Lines of the libraries (mio's, at `-vv`) are left out.
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

/// Can stderr take a line now? poll(2) reports a pipe writable while it has room for a whole page,
/// which is more than a line, and reports an error for a pipe without a reader.
fn is_writable() -> bool {
    let stderr = std::io::stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO).is_ok() && polled[0].revents() == Some(PollFlags::POLLOUT)
}
