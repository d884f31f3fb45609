//! `stats`: figures of the server, under memcached's names.
//!
//! Tools look for these names, so each of them is there. A name of a part that does not exist here has
//! the value that memcached shows when that part is switched off, or 0. All items are shown in one
//! class, number 1. Figures that only the network knows come in a [`ServerStats`]; without one, a
//! command that needs it is not executed.

use std::fmt::Display;

use super::counters::Counters;
use super::figures::{Figures, write, write_all};
use super::hot_keys::{self, HotKey, HotSpan};
use super::percent::Percent;
use super::server_stats::{ConnectionStats, NO_NETWORK, ServerStats, StatsScope, WaitStats};
use super::settings::write_settings;
use super::{Engine, Executed, Now};
use crate::config::MIB;
use crate::protocol::command::{Detail, StatsTopic};
use crate::protocol::{KEY_BYTES_MAX, Reply, ReplyWriter, VERSION_LINE};
use crate::trace::Wait;

/// Bytes that the figures of the server, or its settings, may take.
const FIGURES_BYTES_MAX: usize = 6 << 10;
/// Bytes that the lines of one connection may take, its path aside.
const CONNECTION_BYTES_MAX: usize = 512;
/// Bytes that the hot keys of two spans may take: for each key up to three characters a byte, and three
/// names and numbers.
const HOT_KEYS_BYTES_MAX: usize = (2 * hot_keys::LEADERS + 1) * (3 * KEY_BYTES_MAX + 256);
/// Bytes of a page of memcached's, in which `stats slabs` counts memory.
const PAGE_BYTES: u64 = MIB as u64;

impl Engine {
    /// Answers `stats`.
    pub(super) fn stats(
        &mut self,
        topic: StatsTopic,
        server: Option<&ServerStats>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        let server = match self.server_stats_for(topic, server, |bytes| reply.fits(bytes)) {
            Ok(server) => server,
            Err(stopped) => return stopped,
        };
        if topic == StatsTopic::Reset {
            self.reset_stats();
            reply.line(Reply::Reset);
        } else if topic == StatsTopic::HotKeys && !self.config.dump_enabled {
            reply.line(Reply::HotKeysForbidden);
        } else if let StatsTopic::Detail(detail) = topic {
            self.write_detail(detail, reply);
        } else {
            self.write_figures(topic, server, reply);
            reply.end();
        }
        Executed::Done
    }

    /// The figures of the network for this topic; or why it cannot be answered yet. `fits` says whether
    /// so many bytes can be written.
    pub(super) fn server_stats_for<'s>(
        &mut self,
        topic: StatsTopic,
        server: Option<&'s ServerStats>,
        fits: impl FnOnce(usize) -> bool,
    ) -> Result<&'s ServerStats, Executed<'static>> {
        self.store.tick(self.now.uptime_s);
        // Topics that need nothing of the network are answered without its figures.
        let mut figures = server.unwrap_or(&NO_NETWORK);
        if let Some(scope) = scope_of(topic) {
            let covering = server.filter(|server| server.covers(scope));
            figures = covering.ok_or(Executed::NeedsServerStats(scope))?;
        }
        if fits(self.stats_bytes(topic, figures)) { Ok(figures) } else { Err(Executed::Retry) }
    }

    pub(super) fn reset_stats(&mut self) {
        self.counters = Counters::default();
        self.store.reset_counters();
        self.note_misses();
        self.prefixes.reset();
        self.hot_keys.reset(self.now);
    }

    /// Writes the figures of a topic that has some.
    pub(super) fn write_figures(
        &self,
        topic: StatsTopic,
        server: &ServerStats,
        reply: &mut dyn Figures,
    ) {
        match topic {
            StatsTopic::Server => self.write_server(server, reply),
            StatsTopic::Settings => {
                write_settings(&self.config, server.tcp_port, self.prefixes.enabled, reply);
            }
            StatsTopic::Items => self.write_items(reply),
            StatsTopic::Slabs => self.write_slabs(reply),
            StatsTopic::Sizes => self.write_sizes(reply),
            StatsTopic::Conns => write_connections(server, reply),
            StatsTopic::Loop => self.write_loop(server, reply),
            StatsTopic::Store => self.write_store(reply),
            StatsTopic::HotKeys => self.write_hot_keys(reply),
            StatsTopic::Reset | StatsTopic::Detail(_) => {}
        }
    }

    /// Bytes that the answer may take in either protocol.
    pub(super) fn stats_bytes(&self, topic: StatsTopic, server: &ServerStats) -> usize {
        match topic {
            StatsTopic::Conns => {
                let connections = server.connections.as_deref().unwrap_or_default();
                let each = |shown: &ConnectionStats| shown.address.len() + CONNECTION_BYTES_MAX;
                connections.iter().map(each).sum()
            }
            StatsTopic::Detail(Detail::Dump) => self.prefixes.bytes(),
            StatsTopic::Sizes => self.store.sizes().count() * 64,
            StatsTopic::HotKeys => HOT_KEYS_BYTES_MAX,
            StatsTopic::Detail(_) | StatsTopic::Reset => 0,
            StatsTopic::Server
            | StatsTopic::Settings
            | StatsTopic::Items
            | StatsTopic::Slabs
            | StatsTopic::Loop
            | StatsTopic::Store => FIGURES_BYTES_MAX,
        }
    }

    fn write_detail(&mut self, detail: Detail, reply: &mut ReplyWriter<'_>) {
        if !self.config.dump_enabled {
            return reply.line(Reply::DetailForbidden);
        }
        match detail {
            Detail::On | Detail::Off => {
                self.prefixes.enabled = detail == Detail::On;
                reply.line(Reply::Ok);
            }
            Detail::Dump => {
                self.prefixes.write(reply);
                reply.end();
            }
            Detail::Unknown => reply.line(Reply::DetailUsage),
        }
    }

    fn write_server(&self, server: &ServerStats, reply: &mut dyn Figures) {
        self.write_process(server, reply);
        self.write_commands(reply);
        self.write_memory(server, reply);
    }

    fn write_process(&self, server: &ServerStats, reply: &mut dyn Figures) {
        let counters = &self.counters;
        let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
        let figures: [(&str, &dyn Display); 15] = [
            ("pid", &server.pid),
            ("uptime", &(self.now.uptime_s - Now::FIRST_S)),
            ("time", &self.now.unix_s),
            ("version", &VERSION_LINE.trim_start_matches("VERSION ")),
            ("miocached_version", &env!("CARGO_PKG_VERSION")),
            // Tools expect the name; it is not libevent that polls here.
            ("libevent", &"mio"),
            ("pointer_size", &usize::BITS),
            ("rusage_user", &seconds(server.user_us)),
            ("rusage_system", &seconds(server.system_us)),
            ("max_connections", &self.config.connections_max),
            ("curr_connections", &server.curr_connections),
            ("total_connections", &counters.total_connections),
            ("rejected_connections", &counters.rejected_connections),
            ("connection_structures", &server.connection_structures),
            ("response_obj_oom", &0),
        ];
        write_all(&figures, reply);
        let buffers: [(&str, &dyn Display); 8] = [
            ("response_obj_count", &0),
            ("response_obj_bytes", &0),
            ("read_buf_count", &0),
            ("read_buf_bytes", &server.buffer_bytes.0),
            ("read_buf_bytes_free", &server.buffer_bytes.1.saturating_sub(server.buffer_bytes.0)),
            ("waiting_for_memory", &server.waiting_for_memory),
            ("read_buf_oom", &0),
            ("reserved_fds", &0),
        ];
        write_all(&buffers, reply);
    }

    fn write_commands(&self, reply: &mut dyn Figures) {
        let (counters, store) = (&self.counters, self.store.counters());
        let figures: [(&str, u64); 28] = [
            ("cmd_get", counters.get_hits + counters.get_misses),
            ("cmd_set", counters.cmd_set),
            ("cmd_flush", counters.cmd_flush),
            ("cmd_flush_prefix", counters.cmd_flush_prefix),
            ("cmd_touch", counters.touch_hits + counters.touch_misses),
            ("cmd_meta", counters.cmd_meta),
            ("get_hits", counters.get_hits),
            ("get_misses", counters.get_misses),
            ("get_expired", store.expired_found),
            ("get_flushed", store.flushed_found),
            ("delete_misses", counters.delete_misses),
            ("delete_hits", counters.delete_hits),
            ("incr_misses", counters.incr_misses),
            ("incr_hits", counters.incr_hits),
            ("decr_misses", counters.decr_misses),
            ("decr_hits", counters.decr_hits),
            ("cas_misses", counters.cas_misses),
            ("cas_hits", counters.cas_hits),
            ("cas_badval", counters.cas_badval),
            ("touch_hits", counters.touch_hits),
            ("touch_misses", counters.touch_misses),
            ("store_too_large", counters.store_too_large),
            ("store_no_memory", counters.store_no_memory),
            ("auth_cmds", counters.auth_cmds),
            ("auth_errors", counters.auth_errors),
            ("bytes_read", counters.bytes_read),
            ("bytes_written", counters.bytes_written),
            ("limit_maxbytes", self.config.memory_bytes_max as u64),
        ];
        for (name, figure) in figures {
            write(name, &figure, reply);
        }
    }

    fn write_memory(&self, server: &ServerStats, reply: &mut dyn Figures) {
        let (counters, store) = (&self.counters, self.store.counters());
        let map_bytes = self.store.map_bytes() as u64;
        let figures: [(&str, u64); 45] = [
            ("accepting_conns", u64::from(server.accepting)),
            ("listen_disabled_num", counters.listen_disabled_num),
            ("time_in_listen_disabled_us", counters.time_in_listen_disabled_us),
            ("threads", 1),
            ("conn_yields", counters.conn_yields),
            // Of one table with as many slots; here they are many small ones.
            ("hash_power_level", u64::from((map_bytes / 8).max(1).ilog2())),
            ("hash_bytes", map_bytes),
            ("hash_is_expanding", 0),
            ("slab_reassign_rescues", 0),
            ("slab_reassign_chunk_rescues", 0),
            ("slab_reassign_inline_reclaim", 0),
            ("slab_reassign_busy_items", 0),
            ("slab_reassign_busy_deletes", 0),
            ("slab_reassign_busy_nomem", 0),
            ("slab_reassign_last_busy_status", 0),
            ("slab_reassign_running", 0),
            ("slabs_moved", 0),
            ("malloc_fails", 0),
            ("lru_crawler_running", 0),
            ("lru_crawler_starts", 0),
            ("lru_maintainer_juggles", 0),
            ("log_worker_dropped", counters.log_worker_dropped),
            ("log_worker_written", counters.log_worker_written),
            ("log_watcher_skipped", counters.log_watcher_skipped),
            ("log_watcher_sent", counters.log_watcher_sent),
            ("log_watchers", self.events.watchers() as u64),
            ("unexpected_napi_ids", 0),
            ("round_robin_fallback", 0),
            ("bytes", self.store.bytes()),
            ("curr_items", self.store.len() as u64),
            ("total_items", counters.total_items),
            ("slab_global_page_pool", 0),
            ("expired_unfetched", store.expired_unfetched),
            ("evicted_unfetched", store.evicted_unfetched),
            ("evicted_active", 0),
            ("evictions", store.evictions),
            ("reclaimed", store.reclaimed),
            ("crawler_reclaimed", store.swept),
            ("crawler_items_checked", store.swept_past),
            ("lrutail_reflocked", 0),
            ("moves_to_cold", 0),
            ("moves_to_warm", 0),
            ("moves_within_lru", 0),
            ("direct_reclaims", 0),
            ("lru_bumps_dropped", 0),
        ];
        for (name, figure) in figures {
            write(name, &figure, reply);
        }
        if self.config.idle_timeout_s > 0 {
            write("idle_kicks", &counters.idle_kicks, reply);
        }
    }

    /// One class of items, if there are any.
    fn write_items(&self, reply: &mut dyn Figures) {
        if self.store.is_empty() {
            return;
        }
        let store = self.store.counters();
        let items = self.store.len() as u64;
        let oldest_idle_s = self.store.oldest_idle_s(self.now.uptime_s).unwrap_or_default();
        let figures = [
            ("number", items),
            ("number_hot", 0),
            ("number_warm", 0),
            ("number_cold", items),
            ("age_hot", 0),
            ("age_warm", 0),
            ("age", u64::from(oldest_idle_s)),
            ("mem_requested", self.store.bytes()),
            ("evicted", store.evictions),
            ("evicted_nonzero", store.evicted_with_time),
            ("evicted_time", u64::from(store.evicted_idle_s)),
            ("outofmemory", self.counters.store_no_memory),
            ("tailrepairs", 0),
            ("reclaimed", store.reclaimed),
            ("expired_unfetched", store.expired_unfetched),
            ("evicted_unfetched", store.evicted_unfetched),
            ("evicted_active", 0),
            ("crawler_reclaimed", store.swept),
            ("crawler_items_checked", store.swept_past),
            ("lrutail_reflocked", 0),
            ("moves_to_cold", 0),
            ("moves_to_warm", 0),
            ("moves_within_lru", 0),
            ("direct_reclaims", 0),
            ("hits_to_hot", 0),
            ("hits_to_warm", 0),
            ("hits_to_cold", self.counters.get_hits),
            ("hits_to_temp", 0),
        ];
        for (name, figure) in figures {
            reply.figure(&format_args!("items:1:{name}"), &figure);
        }
    }

    /// One class of chunks, each as large as an item is on average.
    fn write_slabs(&self, reply: &mut dyn Figures) {
        let counters = &self.counters;
        let (items, bytes) = (self.store.len() as u64, self.store.bytes());
        if items > 0 {
            let chunk = bytes.div_ceil(items);
            let pages = self.store.log_bytes().0.div_ceil(PAGE_BYTES).max(1);
            let chunks = (pages * PAGE_BYTES / chunk).max(items);
            let figures = [
                ("chunk_size", chunk),
                ("chunks_per_page", (PAGE_BYTES / chunk).max(1)),
                ("total_pages", pages),
                ("total_chunks", chunks),
                ("used_chunks", items),
                ("free_chunks", chunks - items),
                ("free_chunks_end", 0),
                ("get_hits", counters.get_hits),
                ("cmd_set", counters.cmd_set),
                ("delete_hits", counters.delete_hits),
                ("incr_hits", counters.incr_hits),
                ("decr_hits", counters.decr_hits),
                ("cas_hits", counters.cas_hits),
                ("cas_badval", counters.cas_badval),
                ("touch_hits", counters.touch_hits),
            ];
            for (name, figure) in figures {
                reply.figure(&format_args!("1:{name}"), &figure);
            }
        }
        write("active_slabs", &u8::from(items > 0), reply);
        write("total_malloced", &self.store.log_bytes().0, reply);
    }

    fn write_sizes(&self, reply: &mut dyn Figures) {
        if !self.config.sizes_tracked {
            return write("sizes_status", &"disabled", reply);
        }
        for (bytes, items) in self.store.sizes() {
            write(&bytes.to_string(), &items, reply);
        }
    }

    fn write_loop(&self, server: &ServerStats, reply: &mut dyn Figures) {
        write("turns", &server.turns, reply);
        write("longest_turn_us", &(self.counters.turns.longest_ns / 1000), reply);
        for (power, turns) in self.counters.turns.buckets.iter().enumerate() {
            if *turns > 0 {
                write(&format!("turns_below_{}_us", 1u64 << power), turns, reply);
            }
        }
        write("buffer_bytes", &server.buffer_bytes.0, reply);
        write("buffer_bytes_max", &server.buffer_bytes.1, reply);
        write("waiting_for_memory", &server.waiting_for_memory, reply);
    }

    fn write_store(&self, reply: &mut dyn Figures) {
        let store = self.store.counters();
        let (used, dead) = self.store.log_bytes();
        let figures = [
            ("items", self.store.len() as u64),
            ("bytes", self.store.bytes()),
            ("map_bytes", self.store.map_bytes() as u64),
            ("log_bytes", used),
            ("log_bytes_dead", dead),
            ("stored_bytes", store.stored_bytes),
            ("moved_bytes", store.moved_bytes),
            ("evictions", store.evictions),
            ("evicted_unfetched", store.evicted_unfetched),
            ("expired_unfetched", store.expired_unfetched),
            ("reclaimed", store.reclaimed),
            ("flushed_prefixes", self.store.flushed_prefixes() as u64),
            ("rehashed", store.rehashed),
            ("rehashed_at_once_max", store.rehashed_at_once_max as u64),
        ];
        for (name, figure) in figures {
            write(name, &figure, reply);
        }
        let amplification = store.write_amplification();
        write("write_amplification", &format_args!("{amplification:.3}"), reply);
    }

    /// The keys that are fetched most. Every line has three words, because some clients split a line at
    /// its spaces, so a key is percent-encoded, as in a dump.
    fn write_hot_keys(&self, reply: &mut dyn Figures) {
        let Some(hot_keys) = self.hot_keys() else {
            write("hotkeys_status", &"disabled", reply);
            return write("hotkeys_option", &"--hot-keys", reply);
        };
        write("hotkeys_status", &"enabled", reply);
        let spans =
            [("recent", hot_keys.recent(self.now)), ("start", hot_keys.since_start(self.now))];
        for (name, span) in spans {
            write_hot_span(name, span, reply);
        }
    }
}

fn write_hot_span(name: &str, span: HotSpan<'_>, reply: &mut dyn Figures) {
    reply.figure(&format_args!("{name}_seconds"), &span.seconds);
    reply.figure(&format_args!("{name}_requests"), &span.requests());
    for (index, HotKey { key, requests, error }) in span.keys().enumerate() {
        let rank = index + 1;
        reply.figure(&format_args!("{name}:{rank}:key"), &Percent(key));
        reply.figure(&format_args!("{name}:{rank}:requests"), &requests);
        reply.figure(&format_args!("{name}:{rank}:error"), &error);
    }
}

/// What a topic needs of the network.
const fn scope_of(topic: StatsTopic) -> Option<StatsScope> {
    match topic {
        StatsTopic::Server | StatsTopic::Settings | StatsTopic::Loop => Some(StatsScope::General),
        StatsTopic::Conns => Some(StatsScope::WithConnections),
        StatsTopic::Items
        | StatsTopic::Slabs
        | StatsTopic::Sizes
        | StatsTopic::Store
        | StatsTopic::HotKeys
        | StatsTopic::Reset
        | StatsTopic::Detail(_) => None,
    }
}

fn write_connections(server: &ServerStats, reply: &mut dyn Figures) {
    for shown in server.connections.iter().flatten() {
        let ConnectionStats { descriptor, address, listen_address, state, idle_s, wait } = shown;
        reply.figure(&format_args!("{descriptor}:addr"), address);
        if let Some(listen_address) = listen_address {
            reply.figure(&format_args!("{descriptor}:listen_addr"), listen_address);
        }
        reply.figure(&format_args!("{descriptor}:state"), state);
        reply.figure(&format_args!("{descriptor}:secs_since_last_cmd"), idle_s);
        let Some(WaitStats { wait, since_ms, unsent_bytes, buffer_bytes, wanted_bytes }) = wait
        else {
            continue;
        };
        reply.figure(&format_args!("{descriptor}:waits_for"), &wait.name());
        reply.figure(&format_args!("{descriptor}:waits_ms"), since_ms);
        reply.figure(&format_args!("{descriptor}:unsent_bytes"), unsent_bytes);
        reply.figure(&format_args!("{descriptor}:buffer_bytes"), buffer_bytes);
        if *wait == Wait::Memory {
            reply.figure(&format_args!("{descriptor}:wanted_bytes"), wanted_bytes);
        }
    }
}
