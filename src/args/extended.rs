//! The suboptions of `-o`, in one table. Most of them tune features of memcached that do not exist
//! here.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use miocached::config::Config;

/// What a suboption does here.
enum Effect {
    /// It sets something about this server.
    Sets(fn(Option<&str>) -> Result<Setting, String>),
    /// It asks for what this server always does.
    Default,
    /// It tunes a feature that does not exist here. A warning at the start names it.
    Ignored,
    /// It asks for this feature. The server does not start, because the feature would be missing.
    Unsupported(&'static str),
}
use Effect::{Default, Ignored, Sets, Unsupported};

/// A suboption that sets something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    IdleTimeout(u32),
    MaxconnsFast(bool),
    TrackSizes,
    WatcherBytes(usize),
}

/// One parsed suboption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Suboption {
    /// It asks for what this server always does.
    Default,
    /// It has no effect. The text is for the warning.
    Ignored(String),
    Sets(Setting),
}

/// What `watcher_logbuf_size` may be, in KiB. 20 clients may watch.
const WATCHER_KIB: RangeInclusive<u32> = 2..=65_536;

/// All suboptions of memcached 1.6.45: name, effect here, and text for `--help`. The text of one that
/// sets nothing here describes memcached. A star matches any end of a name.
const SUBOPTIONS: [(&str, Effect, &str); 47] = [
    (
        "idle_timeout",
        Sets(idle_timeout),
        "=SECONDS: close connections that are idle for so long; default 0: never",
    ),
    (
        "maxconns_fast",
        Sets(|_| Ok(Setting::MaxconnsFast(true))),
        "at the limit of -c, new clients get an error; the default",
    ),
    (
        "no_maxconns_fast",
        Sets(|_| Ok(Setting::MaxconnsFast(false))),
        "at the limit of -c, new clients wait in the listen backlog",
    ),
    ("track_sizes", Sets(|_| Ok(Setting::TrackSizes)), "keep the table of \"stats sizes\""),
    (
        "watcher_logbuf_size",
        Sets(watcher_logbuf_size),
        "=KIB: events that a client of watch may leave unread; default 256",
    ),
    ("modern", Default, "memcached's current defaults"),
    (
        "no_modern",
        // Of memcached 1.4's defaults that this suboption restores, only this one exists here.
        Sets(|_| Ok(Setting::MaxconnsFast(false))),
        "as no_maxconns_fast",
    ),
    ("relaxed_privileges", Default, "allow what a seccomp filter would forbid"),
    ("no_drop_privileges", Default, "no seccomp filter"),
    ("drop_privileges", Ignored, "a seccomp filter"),
    ("inline_ascii_resp", Default, "no effect in memcached"),
    ("no_inline_ascii_resp", Default, "no effect in memcached"),
    ("hashpower", Ignored, "size of the hash table"),
    ("no_hashexpand", Ignored, "a hash table that does not grow"),
    ("hash_algorithm", Ignored, "choice of the hash function"),
    ("tail_repair_time", Ignored, "age at which a leaked item is freed"),
    ("lru_crawler", Ignored, "a thread that frees expired items"),
    ("no_lru_crawler", Ignored, "no such thread"),
    ("lru_crawler_sleep", Ignored, "the pause of that thread between items"),
    ("lru_crawler_tocrawl", Ignored, "the number of items that it reads in one run"),
    ("lru_maintainer", Ignored, "a thread that balances the LRU lists"),
    ("no_lru_maintainer", Ignored, "no such thread"),
    ("hot_lru_pct", Ignored, "size of the hot LRU list"),
    ("warm_lru_pct", Ignored, "size of the warm LRU list"),
    ("hot_max_factor", Ignored, "age limit of the hot LRU list"),
    ("warm_max_factor", Ignored, "age limit of the warm LRU list"),
    ("temporary_ttl", Ignored, "an LRU list for items with a shorter time to live"),
    ("slab_reassign", Ignored, "moving memory between slab classes"),
    ("no_slab_reassign", Ignored, "no such moves"),
    ("slab_automove", Ignored, "such moves without a command"),
    ("no_slab_automove", Ignored, "no such moves without a command"),
    ("slab_automove_ratio", Ignored, "difference in age that causes a move"),
    ("slab_automove_window", Ignored, "time over which that is measured"),
    ("slab_automove_freeratio", Ignored, "memory that such moves keep free"),
    ("slab_sizes", Ignored, "list of slab classes"),
    ("slab_chunk_max", Ignored, "size of the largest slab chunk"),
    ("no_chunked_items", Ignored, "items in one chunk each"),
    ("resp_obj_mem_limit", Ignored, "memory for answers; see --buffer-limit"),
    ("read_buf_mem_limit", Ignored, "memory for read buffers; see --buffer-limit"),
    ("worker_logbuf_size", Ignored, "log buffer of each thread"),
    ("ext_*", Unsupported("external storage"), "items on flash storage"),
    ("ssl_*", Unsupported("TLS"), "TLS"),
    ("proxy_config", Unsupported("proxy"), "the proxy"),
    ("proxy_arg", Unsupported("proxy"), "the proxy"),
    ("proxy_uring", Unsupported("proxy"), "the proxy"),
    ("proxy_memprofile", Unsupported("proxy"), "the proxy"),
    ("sock_cookie_id", Unsupported("socket cookie"), "a cookie on sockets, for packet filters"),
];

/// The suboptions of one `-o`.
///
/// # Errors
/// One line for the operator: the suboption that is unknown, wrong or not supported.
pub(super) fn parse(suboptions: &str) -> Result<Vec<Suboption>, String> {
    // memcached, too, accepts a comma at the end.
    suboptions.split(',').filter(|suboption| !suboption.is_empty()).map(parse_one).collect()
}

fn parse_one(text: &str) -> Result<Suboption, String> {
    let text = text.trim_ascii_start();
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.trim_ascii_start())),
        None => (text, None),
    };
    let found = SUBOPTIONS.iter().find(|(known, ..)| match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *known,
    });
    match found {
        Some((_, Sets(setting), _)) => setting(value).map(Suboption::Sets),
        Some((_, Default, _)) => Ok(Suboption::Default),
        Some((_, Ignored, _)) => Ok(Suboption::Ignored(text.to_owned())),
        Some((_, Unsupported(feature), _)) => {
            Err(format!("-o {name}: this server is not built with {feature} support"))
        }
        None => Err(format!("-o {text}: there is no such suboption")),
    }
}

fn idle_timeout(value: Option<&str>) -> Result<Setting, String> {
    let seconds = value.and_then(|value| value.parse().ok());
    seconds
        .map(Setting::IdleTimeout)
        .ok_or_else(|| "-o idle_timeout needs a number of seconds".into())
}

fn watcher_logbuf_size(value: Option<&str>) -> Result<Setting, String> {
    let kib = value.and_then(|value| value.parse::<u32>().ok());
    kib.filter(|kib| WATCHER_KIB.contains(kib))
        .map(|kib| Setting::WatcherBytes(kib as usize * 1024))
        .ok_or_else(|| format!("-o watcher_logbuf_size needs a number of KiB, {WATCHER_KIB:?}"))
}

impl Suboption {
    /// Applies it to `config`. Returns its text if it has no effect.
    pub(super) fn apply<'a>(&'a self, config: &mut Config) -> Option<&'a str> {
        match self {
            Self::Default => {}
            Self::Ignored(text) => return Some(text),
            Self::Sets(Setting::IdleTimeout(seconds)) => config.idle_timeout_s = *seconds,
            Self::Sets(Setting::MaxconnsFast(fast)) => config.reject_at_limit = *fast,
            Self::Sets(Setting::TrackSizes) => config.sizes_tracked = true,
            Self::Sets(Setting::WatcherBytes(bytes)) => config.watcher_bytes_max = *bytes,
        }
        None
    }
}

/// The table as text, for the end of the output of `--help`.
pub(super) fn help() -> String {
    let mut help = String::new();
    for (heading, is_listed) in [
        ("Suboptions of -o:", (|effect| matches!(effect, Sets(_))) as fn(&Effect) -> bool),
        ("Suboptions of memcached that ask for what this server always does:", |effect| {
            matches!(effect, Default)
        }),
        (
            "Suboptions of memcached that are ignored, with a warning; in memcached they set:",
            |effect| matches!(effect, Ignored),
        ),
        ("Suboptions of memcached that are refused:", |effect| matches!(effect, Unsupported(_))),
    ] {
        let _ = writeln!(help, "{heading}");
        for (name, _, text) in SUBOPTIONS.iter().filter(|(_, effect, _)| is_listed(effect)) {
            let _ = writeln!(help, "  {name:<24} {text}");
        }
        help.push('\n');
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies one `-o`. Returns the ignored suboptions.
    fn apply(suboptions: &str, config: &mut Config) -> Result<Vec<String>, String> {
        let parsed = parse(suboptions)?;
        Ok(parsed.iter().filter_map(|one| one.apply(config)).map(str::to_owned).collect())
    }

    #[test]
    fn settings_are_applied_in_order() {
        let mut config = Config::default();
        let ignored = apply("idle_timeout=5,no_maxconns_fast,track_sizes,modern,", &mut config);
        assert_eq!(ignored, Ok(vec![]));
        assert_eq!((config.idle_timeout_s, config.reject_at_limit), (5, false));
        assert!(config.sizes_tracked);
        assert_eq!(apply("watcher_logbuf_size=8", &mut config), Ok(vec![]));
        assert_eq!(config.watcher_bytes_max, 8192);
        let ignored = apply(" no_modern, maxconns_fast,idle_timeout= 0", &mut config);
        assert_eq!(ignored, Ok(vec![]));
        assert_eq!((config.idle_timeout_s, config.reject_at_limit), (0, true));
    }

    #[test]
    fn unknown_and_unsupported_suboptions_are_errors() {
        let mut config = Config::default();
        let ignored = apply("slab_chunk_max=16,modern,no_lru_crawler", &mut config);
        assert_eq!(ignored, Ok(vec!["slab_chunk_max=16".into(), "no_lru_crawler".into()]));
        for bad in [
            "ext_path=/tmp/file:1G",
            "ext_whatever",
            "ssl_key=a",
            "proxy_config=a",
            "sock_cookie_id=1",
            "no_such",
            "modern,no_such=1",
            "Modern",
            "idle_timeout",
            "idle_timeout=",
            "idle_timeout=-1",
            "idle_timeout=1s",
            "idle_timeout=soon",
            "watcher_logbuf_size",
            "watcher_logbuf_size=1",
            "watcher_logbuf_size=65537",
        ] {
            assert!(apply(bad, &mut config).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_suboption_is_listed_twice() {
        for (index, (name, ..)) in SUBOPTIONS.iter().enumerate() {
            assert!(!SUBOPTIONS[..index].iter().any(|(other, ..)| other == name), "{name}");
        }
        assert_eq!(help().lines().filter(|line| line.starts_with("  ")).count(), SUBOPTIONS.len());
    }
}
