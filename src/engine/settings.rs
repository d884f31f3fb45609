//! `stats settings`: the options, under memcached's names.
//!
//! A name of a part that does not exist here has the value that memcached shows when that part is
//! switched off.

use std::fmt::Display;

use super::figures::{Figures, write_all};
use crate::config::{Config, DialectMode, MIB, Protocol};

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

pub(super) fn write_settings(
    config: &Config,
    tcp_port: u16,
    detail_enabled: bool,
    reply: &mut dyn Figures,
) {
    let unix = config.unix.first();
    let addresses: Vec<_> = config.tcp.iter().map(|address| address.ip().to_string()).collect();
    let inter = if addresses.is_empty() { "NULL".into() } else { addresses.join(",") };
    let socket = unix.map_or_else(|| "NULL".into(), |unix| unix.path.display().to_string());
    let mask = format!("{:o}", unix.map_or(0o700, |unix| unix.mode));
    let auth_file =
        config.auth_file.as_ref().map_or_else(|| "no".into(), |file| file.display().to_string());
    let dialect = match config.dialect {
        DialectMode::Auto => "auto",
        DialectMode::Simple => "simple",
        DialectMode::Classic => "classic",
    };
    let protocol = match config.protocol_spoken() {
        Protocol::Auto => "auto-negotiate",
        Protocol::Ascii => "ascii",
        Protocol::Binary => "binary",
    };
    let server: [(&str, &dyn Display); 29] = [
        ("maxbytes", &config.memory_bytes_max),
        ("maxconns", &config.connections_max),
        ("tcpport", &tcp_port),
        ("udpport", &0),
        ("inter", &inter),
        ("verbosity", &config.verbosity),
        ("oldest", &0),
        ("evictions", &if config.evicts { "on" } else { "off" }),
        ("domain_socket", &socket),
        ("umask", &mask),
        ("shutdown_command", &yes(config.shutdown_enabled)),
        ("growth_factor", &"1.00"),
        ("chunk_size", &8),
        ("num_threads", &1),
        ("num_threads_per_udp", &0),
        ("stat_key_prefix", &char::from(config.prefix_delimiter)),
        ("detail_enabled", &yes(detail_enabled)),
        ("hot_keys", &yes(config.hot_keys)),
        ("reqs_per_event", &config.requests_per_turn.unwrap_or(0)),
        ("cas_enabled", &yes(config.cas_enabled)),
        ("tcp_backlog", &config.backlog),
        ("binding_protocol", &protocol),
        ("dialect", &dialect),
        ("auth_enabled_sasl", &"no"),
        ("auth_enabled_ascii", &auth_file),
        ("item_size_max", &config.item_bytes_max),
        ("maxconns_fast", &yes(config.reject_at_limit)),
        ("hashpower_init", &0),
        ("slab_reassign", &"no"),
    ];
    write_all(&server, reply);
    write_parts(config, reply);
}

/// The settings of memcached's parts, most of which do not exist here.
fn write_parts(config: &Config, reply: &mut dyn Figures) {
    let parts: [(&str, &dyn Display); 39] = [
        ("slab_automove", &0),
        ("slab_automove_ratio", &"0.00"),
        ("slab_automove_window", &0),
        ("slab_chunk_max", &config.item_bytes_max),
        ("lru_crawler", &"no"),
        ("lru_crawler_sleep", &0),
        ("lru_crawler_tocrawl", &0),
        ("tail_repair_time", &0),
        ("flush_enabled", &yes(config.flush_enabled)),
        ("dump_enabled", &yes(config.dump_enabled)),
        ("hash_algorithm", &"nh"),
        ("lru_maintainer_thread", &"no"),
        ("lru_segmented", &"no"),
        ("hot_lru_pct", &0),
        ("warm_lru_pct", &0),
        ("hot_max_factor", &"0.00"),
        ("warm_max_factor", &"0.00"),
        ("temp_lru", &"no"),
        ("temporary_ttl", &0),
        ("idle_timeout", &config.idle_timeout_s),
        ("watcher_logbuf_size", &config.watcher_bytes_max),
        ("worker_logbuf_size", &0),
        ("read_buf_mem_limit", &(config.buffer_bytes_max / MIB)),
        ("track_sizes", &yes(config.sizes_tracked)),
        ("inline_ascii_response", &"no"),
        ("ext_item_size", &0),
        ("ext_item_age", &0),
        ("ext_low_ttl", &0),
        ("ext_recache_rate", &0),
        ("ext_wbuf_size", &0),
        ("ext_compact_under", &0),
        ("ext_drop_under", &0),
        ("ext_max_sleep", &0),
        ("ext_max_frag", &"0.00"),
        ("slab_automove_freeratio", &"0.000"),
        ("ext_drop_unread", &"no"),
        ("num_napi_ids", &0),
        ("memory_file", &"(null)"),
        ("client_flags_size", &4),
    ];
    write_all(&parts, reply);
}
