//! The lines of `stats`.

use std::fmt::Display;

use crate::protocol::ReplyWriter;

/// Writes one figure.
pub(super) fn write(name: &str, figure: &dyn Display, reply: &mut ReplyWriter<'_>) {
    reply.show(&format_args!("STAT {name} {figure}\r\n"));
}

/// Writes many figures.
pub(super) fn write_all(figures: &[(&str, &dyn Display)], reply: &mut ReplyWriter<'_>) {
    for (name, figure) in figures {
        write(name, figure, reply);
    }
}
