//! The file of `--trace-file`: opened at the start, written on SIGUSR2 and when the server stops.
//!
//! On SIGUSR2 the file is written anew, by later turns, each of which writes [`TRACE_STEPS_PER_TURN`] steps.
//! Meanwhile nothing is recorded: the ring is read where it is, because a copy of it takes milliseconds.

use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use log::{info, warn};
use nix::libc::{O_NOCTTY, O_NONBLOCK};

use super::TRACE_STEPS_PER_TURN;
use super::start::StartError;
use crate::config::Config;
use crate::trace::{self, Export};

/// See the module.
#[derive(Default)]
pub struct TraceFile {
    file: Option<File>,
    /// What is being written.
    export: Option<Export>,
    /// The text of one turn.
    text: String,
}

/// Creates or empties a regular file: no other can be written anew. Opening a FIFO does not wait for its
/// reader.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).custom_flags(O_NONBLOCK | O_NOCTTY);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok(file)
}

impl TraceFile {
    /// Opens the file, and begins to record steps, if the configuration has one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let Some(path) = &config.trace_file else { return Ok(Self::default()) };
        let file = create(path).map_err(|source| {
            let what = format!("cannot write the trace file {}", path.display());
            StartError { what, source }
        })?;
        trace::start_recording();
        Ok(Self { file: Some(file), ..Self::default() })
    }

    /// Part of the steps is not written yet.
    pub(super) const fn is_unfinished(&self) -> bool {
        self.export.is_some()
    }

    /// Begins to write what has been recorded until now.
    pub(super) fn begin(&mut self) {
        let Some(file) = &mut self.file else { return };
        if let Some(unfinished) = self.export.take() {
            trace::resume_recording(unfinished);
        }
        self.export = trace::pause_recording();
        if let Err(error) = file.rewind().and_then(|()| file.set_len(0)) {
            self.end(Err(error));
        }
    }

    /// Writes the next steps.
    pub(super) fn go_on(&mut self) {
        let (Some(file), Some(export)) = (&mut self.file, &mut self.export) else { return };
        self.text.clear();
        let has_more = export.write(&mut self.text, TRACE_STEPS_PER_TURN);
        let written = file.write_all(self.text.as_bytes());
        if written.is_err() || !has_more {
            self.end(written);
        }
    }

    /// Writes all that has been recorded, at the end of the server.
    pub(super) fn finish(&mut self) {
        self.begin();
        while self.is_unfinished() {
            self.go_on();
        }
    }

    /// Goes on with the recording.
    fn end(&mut self, written: io::Result<()>) {
        self.text = String::new();
        if let Some(export) = self.export.take() {
            trace::resume_recording(export);
        }
        match written {
            Ok(()) => info!(target: "miocached", "the trace file is complete"),
            Err(error) => warn!(target: "miocached", "cannot write the trace file: {error}"),
        }
    }
}
