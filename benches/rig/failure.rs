//! The one error of the benches: a sentence for the person who started them.
//!
//! A bench has no caller that could act on a kind of error, so there are no kinds.

use std::fmt;

/// Why a bench, or one contestant of it, cannot go on.
#[derive(Debug, Clone)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Says what was being done when the system refused.
pub(crate) trait Doing<T> {
    /// Turns any error into a [`Failure`] that starts with `what`.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure(format!("{}: {error}", what())))
    }
}
