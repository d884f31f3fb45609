//! HTTP/1.0 and 1.1, as far as a server of a few small pages needs it: the head of a request in, the
//! head of an answer out.
//!
//! Pure functions over bytes. `GET` and `HEAD` alone are served, and no request may have a body, so
//! requests follow each other without anything between them. Knows no socket, no clock and no page.

mod answer;
mod request;

pub use answer::{ANSWER_HEAD_BYTES_MAX, Answer, Status};
pub use request::{HEAD_BYTES_MAX, Parsed, Request, parse};
