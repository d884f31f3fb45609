//! Being asked to stop: SIGINT and SIGTERM set a flag, so that servers are ended on the way out.
//!
//! A signal's default action would end the bench without running any `Drop`, and its servers would go
//! on using memory and CPU.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::failure::{Doing, Failure};

/// Whether the person wants the run to end.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Installs the handlers. Children get their signals as before: only this process listens.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .doing(|| format!("listening for signal {signal}"))?;
        }
        Ok(Self(flag))
    }

    /// An error once a signal has come; asked between measurements.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Failure("stopped by a signal".to_string()));
        }
        Ok(())
    }
}
