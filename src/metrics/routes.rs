//! The paths, and what is served at each.
//!
//! A new page is a line of [`ROUTES`], and an arm of [`Route::body`] where it is not a file.

use std::borrow::Cow;
use std::time::Duration;

use super::families::Figures;
use super::hot_keys;
use super::text::{self, Text};
use crate::engine::{Engine, Now, ServerStats};
use crate::trace::{self, STEP_TEXT_BYTES_MAX};

/// Bytes of the longest body that is not a file.
pub const BODY_BYTES_MAX: usize = TRACE_BYTES_MAX;
/// The same without a trace, which is there only with `--trace-file`.
pub const FIGURES_BYTES_MAX: usize =
    if METRICS_BYTES_MAX > hot_keys::BYTES_MAX { METRICS_BYTES_MAX } else { hot_keys::BYTES_MAX };
/// Steps of the last second that `/trace` shows at most: a millisecond of work.
const TRACE_STEPS_MAX: usize = 2048;
/// Bytes that they may take. Most have a fifth of that.
const TRACE_BYTES_MAX: usize = (TRACE_STEPS_MAX + 1) * STEP_TEXT_BYTES_MAX;
const _: () = assert!(TRACE_BYTES_MAX > FIGURES_BYTES_MAX);
/// Bytes that the metrics may take.
const METRICS_BYTES_MAX: usize = 32 << 10;

/// What a body is made of.
pub struct Source<'a, F> {
    /// The engine, whose figures are shown.
    pub engine: &'a mut Engine,
    /// The time.
    pub now: Now,
    /// Takes a snapshot of the network's figures. It is called at most once, and not for a file.
    pub server: F,
}

/// A path, and what is served there.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    path: &'static str,
    /// The media type of what is served.
    pub media_type: &'static str,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    File(&'static str),
    Metrics,
    HotKeys,
    Trace,
}

const ROUTES: [Route; 7] = [
    Route {
        path: "/",
        media_type: "text/html; charset=utf-8",
        content: Content::File(include_str!("page/index.html")),
    },
    Route {
        path: "/page.css",
        media_type: "text/css; charset=utf-8",
        content: Content::File(include_str!("page/page.css")),
    },
    Route {
        path: "/page.js",
        media_type: "text/javascript; charset=utf-8",
        content: Content::File(include_str!("page/page.js")),
    },
    Route {
        path: "/icon.svg",
        media_type: "image/svg+xml",
        content: Content::File(include_str!("page/icon.svg")),
    },
    Route { path: "/metrics", media_type: text::MEDIA_TYPE, content: Content::Metrics },
    Route { path: "/hotkeys", media_type: "application/json", content: Content::HotKeys },
    Route { path: "/trace", media_type: "application/json", content: Content::Trace },
];

impl Route {
    /// The route with this path.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        const { &ROUTES }.iter().find(|route| route.path == path)
    }

    /// What is served. None if there is no memory for it.
    pub fn body<F: FnOnce() -> ServerStats>(
        &self,
        source: Source<'_, F>,
    ) -> Option<Cow<'static, [u8]>> {
        let mut text = String::new();
        match self.content {
            Content::File(text) => return Some(text.as_bytes().into()),
            Content::Metrics => {
                text.try_reserve_exact(METRICS_BYTES_MAX).ok()?;
                let server = (source.server)();
                let store = source.engine.store_stats(source.now);
                let counters = &source.engine.counters;
                let figures = Figures { counters, server: &server, store: &store };
                figures.write(&mut Text(&mut text));
            }
            Content::HotKeys => {
                text.try_reserve_exact(hot_keys::BYTES_MAX).ok()?;
                hot_keys::write(source.engine.hot_keys(), source.now, &mut text);
            }
            Content::Trace => {
                text.try_reserve_exact(TRACE_BYTES_MAX).ok()?;
                match trace::recorded(Duration::from_secs(1), TRACE_STEPS_MAX).ok()? {
                    Some(mut export) => drop(export.write(&mut text, usize::MAX)),
                    // A trace without steps, for the viewers.
                    None => text.push_str("{\"enabled\":false,\"traceEvents\":[]}\n"),
                }
                text.shrink_to_fit();
            }
        }
        debug_assert!(text.len() <= BODY_BYTES_MAX, "{} bytes", text.len());
        Some(text.into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, MIB};
    use crate::engine::server_stats::NO_NETWORK;

    fn body(path: &str, engine: &mut Engine) -> String {
        let now = Now { uptime_s: 100, unix_s: 1_800_000_000 };
        let route = Route::find(path).expect("a route");
        let body = route.body(Source { engine, now, server: || NO_NETWORK.clone() });
        String::from_utf8(body.expect("there is memory").into_owned()).expect("it is UTF-8")
    }

    /// Every line has one number, of at most 20 digits more than now.
    #[test]
    fn the_longest_metrics_fit() {
        let config = Config { memory_bytes_max: MIB, ..Config::default() };
        let mut engine = Engine::new(&config).expect("there is memory");
        let text = body("/metrics", &mut engine);
        assert!(text.contains("\nmemcached_uptime_seconds 98\n"), "{text}");
        assert!(text.len() + 20 * text.lines().count() <= METRICS_BYTES_MAX, "{}", text.len());
        assert_eq!(body("/hotkeys", &mut engine), "{\"enabled\":false}\n");
        assert_eq!(body("/trace", &mut engine), "{\"enabled\":false,\"traceEvents\":[]}\n");
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let mut engine = Engine::new(&Config::default()).expect("there is memory");
        let page = body("/", &mut engine);
        let links = page.split(['"', '\'']).filter(|word| word.starts_with('/'));
        let links: Vec<&str> = links.filter(|word| !word.starts_with("/>")).collect();
        assert!(links.len() >= 4, "{links:?}");
        assert!(links.iter().all(|link| Route::find(link).is_some()), "{links:?}");
        assert!(!page.contains("://") && !page.contains("style="), "nothing is loaded or inline");
        assert!(Route::find("/page").is_none() && Route::find("").is_none());
    }
}
