//! `-o`: the suboptions, and what becomes of each. One table, because most of memcached's tune
//! parts that do not exist here, and a few promise what is not kept.

use miocached::config::Config;

/// What becomes of a suboption.
enum Fate {
    /// It chooses something about this server.
    Chooses(fn(&mut Config, Option<&str>) -> Result<(), String>),
    /// It asks for what is so anyway.
    IsSo,
    /// It tunes a part that is not here.
    TunesNothing,
    /// It promises this, which nobody may be left to believe in.
    Promises(&'static str),
}
use Fate::{Chooses, IsSo, Promises, TunesNothing};

/// All suboptions of memcached 1.6.45; a star stands for any end of the name.
const SUBOPTIONS: [(&str, Fate); 47] = [
    ("idle_timeout", Chooses(idle_timeout)),
    ("maxconns_fast", Chooses(|config, _| turn_away(config, true))),
    ("no_maxconns_fast", Chooses(|config, _| turn_away(config, false))),
    ("track_sizes", Chooses(track_sizes)),
    ("modern", IsSo),
    // Of what memcached 1.4 did otherwise, only this has an equivalent here.
    ("no_modern", Chooses(|config, _| turn_away(config, false))),
    ("relaxed_privileges", IsSo),
    ("no_drop_privileges", IsSo),
    ("drop_privileges", TunesNothing),
    ("inline_ascii_resp", IsSo),
    ("no_inline_ascii_resp", IsSo),
    ("hashpower", TunesNothing),
    ("no_hashexpand", TunesNothing),
    ("hash_algorithm", TunesNothing),
    ("tail_repair_time", TunesNothing),
    ("lru_crawler", TunesNothing),
    ("no_lru_crawler", TunesNothing),
    ("lru_crawler_sleep", TunesNothing),
    ("lru_crawler_tocrawl", TunesNothing),
    ("lru_maintainer", TunesNothing),
    ("no_lru_maintainer", TunesNothing),
    ("hot_lru_pct", TunesNothing),
    ("warm_lru_pct", TunesNothing),
    ("hot_max_factor", TunesNothing),
    ("warm_max_factor", TunesNothing),
    ("temporary_ttl", TunesNothing),
    ("slab_reassign", TunesNothing),
    ("no_slab_reassign", TunesNothing),
    ("slab_automove", TunesNothing),
    ("no_slab_automove", TunesNothing),
    ("slab_automove_ratio", TunesNothing),
    ("slab_automove_window", TunesNothing),
    ("slab_automove_freeratio", TunesNothing),
    ("slab_sizes", TunesNothing),
    ("slab_chunk_max", TunesNothing),
    ("no_chunked_items", TunesNothing),
    ("resp_obj_mem_limit", TunesNothing),
    ("read_buf_mem_limit", TunesNothing),
    ("watcher_logbuf_size", TunesNothing),
    ("worker_logbuf_size", TunesNothing),
    ("ext_*", Promises("external storage")),
    ("ssl_*", Promises("TLS")),
    ("proxy_config", Promises("proxy")),
    ("proxy_arg", Promises("proxy")),
    ("proxy_uring", Promises("proxy")),
    ("proxy_memprofile", Promises("proxy")),
    ("sock_cookie_id", Promises("socket cookie")),
];

/// Applies one `-o` to `config`. Returns the suboptions that have no effect here.
///
/// # Errors
/// One line for the operator: what cannot be had, and why.
pub(super) fn apply<'a>(suboptions: &'a str, config: &mut Config) -> Result<Vec<&'a str>, String> {
    let mut without_effect = Vec::new();
    // memcached, too, overlooks a comma at the end.
    for suboption in suboptions.split(',').filter(|suboption| !suboption.is_empty()) {
        let (name, value) = match suboption.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (suboption, None),
        };
        let fate = SUBOPTIONS.iter().find(|(known, _)| match known.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *known,
        });
        match fate {
            Some((_, Chooses(choose))) => choose(config, value)?,
            Some((_, IsSo)) => {}
            Some((_, TunesNothing)) => without_effect.push(suboption),
            Some((_, Promises(what))) => {
                return Err(format!("-o {name}: this server is not built with {what} support"));
            }
            None => return Err(format!("-o {suboption}: there is no such suboption")),
        }
    }
    Ok(without_effect)
}

fn idle_timeout(config: &mut Config, value: Option<&str>) -> Result<(), String> {
    let seconds = value.and_then(|value| value.parse().ok());
    config.idle_timeout_s = seconds.ok_or("-o idle_timeout needs a number of seconds")?;
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "as the table wants it")]
const fn turn_away(config: &mut Config, turns_away: bool) -> Result<(), String> {
    config.turns_away = turns_away;
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "as the table wants it")]
const fn track_sizes(config: &mut Config, _: Option<&str>) -> Result<(), String> {
    config.sizes_tracked = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_here_is_chosen_in_order() {
        let mut config = Config::default();
        let chosen = apply("idle_timeout=5,no_maxconns_fast,track_sizes,modern,", &mut config);
        assert_eq!(chosen, Ok(vec![]));
        assert_eq!((config.idle_timeout_s, config.turns_away), (5, false));
        assert!(config.sizes_tracked);
        assert_eq!(apply("no_modern,maxconns_fast,idle_timeout=0", &mut config), Ok(vec![]));
        assert_eq!((config.idle_timeout_s, config.turns_away), (0, true));
    }

    #[test]
    fn what_is_not_here_is_told_or_refused() {
        let mut config = Config::default();
        let told = apply("slab_chunk_max=16,modern,no_lru_crawler", &mut config);
        assert_eq!(told, Ok(vec!["slab_chunk_max=16", "no_lru_crawler"]));
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
            "idle_timeout=soon",
        ] {
            assert!(apply(bad, &mut config).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_readme_tells_of_all() {
        let readme = include_str!("../../README.md");
        for (name, _) in &SUBOPTIONS {
            let found = ["`", "="].iter().any(|end| readme.contains(&format!("{name}{end}")));
            assert!(found, "{name}");
        }
    }

    #[test]
    fn no_suboption_has_two_fates() {
        for (at, (name, _)) in SUBOPTIONS.iter().enumerate() {
            let others = SUBOPTIONS[..at].iter();
            assert!(!others.clone().any(|(other, _)| other == name), "{name}");
        }
    }
}
