//! The figures of `stats`, in the form that each protocol has for them.

use std::fmt::Display;

use crate::protocol::{BinaryReply, ReplyWriter};

/// Where figures are written to.
pub(super) trait Figures {
    /// Writes one figure.
    fn figure(&mut self, name: &dyn Display, figure: &dyn Display);
}

/// A line for each figure.
impl Figures for ReplyWriter<'_> {
    fn figure(&mut self, name: &dyn Display, figure: &dyn Display) {
        self.show(&format_args!("STAT {name} {figure}\r\n"));
    }
}

/// A frame for each figure.
impl Figures for BinaryReply<'_, '_> {
    fn figure(&mut self, name: &dyn Display, figure: &dyn Display) {
        BinaryReply::figure(self, name, figure);
    }
}

/// Writes one figure.
pub(super) fn write(name: &str, figure: &dyn Display, figures: &mut dyn Figures) {
    figures.figure(&name, figure);
}

/// Writes many figures.
pub(super) fn write_all(all: &[(&str, &dyn Display)], figures: &mut dyn Figures) {
    for (name, figure) in all {
        write(name, figure, figures);
    }
}
