//! What the address of `--metrics` serves: the figures in Prometheus' text format, and a live page of
//! them. [`Route`] is the table of its paths.
//!
//! Text out of the engine's figures, a snapshot of the network's, and the steps that [`crate::trace`] has
//! recorded. Knows no socket and no HTTP beyond a media type.
//!
//! * `text`: the text format; `families`: the metrics, with their names
//! * `hot_keys`: the keys that are fetched most, as JSON
//! * `routes`: the paths; `page/`: the files of the page

mod families;
mod hot_keys;
mod routes;
mod text;

pub use routes::{BODY_BYTES_MAX, FIGURES_BYTES_MAX, Route, Source};
