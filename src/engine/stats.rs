//! `stats`: what is told of the server, in memcached's words.
//!
//! Tools look for memcached's names, so each of them is there: 0, or what memcached says of something
//! that is switched off, where miocached has no such thing. All items are told as one class, 1, of
//! chunks. What only the network knows comes in a [`ServerStats`]; without one, a command that needs it
//! says so and starts over.

use std::fmt::Display;

use super::counters::Counters;
use super::server_stats::{ConnectionStats, NO_NETWORK, ServerStats, StatsScope};
use super::settings::tell_settings;
use super::{Engine, Executed, Now};
use crate::config::MIB;
use crate::protocol::command::{Detail, Stats};
use crate::protocol::{Reply, ReplyWriter, VERSION_LINE};

/// Bytes that the figures of the server, or its settings, may take.
const FIGURES_BYTES_MAX: usize = 6 << 10;
/// Bytes that what is told of one connection may take, its path aside.
const CONNECTION_BYTES_MAX: usize = 512;
/// Bytes of a page of memcached's, in which `stats slabs` counts memory.
const PAGE_BYTES: u64 = MIB as u64;

impl Engine {
    /// Answers `stats`.
    pub(super) fn stats(
        &mut self,
        topic: Stats,
        now: Now,
        server: Option<&ServerStats>,
        reply: &mut ReplyWriter<'_>,
    ) -> Executed<'static> {
        self.store.tick(now.uptime_s);
        // Topics that need nothing of the network are answered without its figures.
        let mut figures = server.unwrap_or(&NO_NETWORK);
        if let Some(scope) = scope_of(topic) {
            match server.filter(|server| server.covers(scope)) {
                Some(server) => figures = server,
                None => return Executed::NeedsServerStats(scope),
            }
        }
        if !reply.has_room(self.stats_bytes(topic, figures)) {
            return Executed::Retry;
        }
        match topic {
            Stats::Reset => {
                self.counters = Counters::default();
                self.store.reset_counters();
                self.prefixes.reset();
                reply.line(Reply::Reset);
                return Executed::Done;
            }
            Stats::Detail(detail) => {
                self.tell_detail(detail, reply);
                return Executed::Done;
            }
            Stats::Server => self.tell_server(now, figures, reply),
            Stats::Settings => {
                tell_settings(&self.config, figures.tcp_port, self.prefixes.enabled, reply)
            }
            Stats::Items => self.tell_items(now, reply),
            Stats::Slabs => self.tell_slabs(reply),
            Stats::Sizes => self.tell_sizes(reply),
            Stats::Conns => tell_connections(figures, reply),
            Stats::Loop => self.tell_loop(figures, reply),
            Stats::Store => self.tell_store(reply),
        }
        reply.end();
        Executed::Done
    }

    fn stats_bytes(&self, topic: Stats, server: &ServerStats) -> usize {
        match topic {
            Stats::Conns => {
                let connections = server.connections.as_deref().unwrap_or_default();
                let each = |shown: &ConnectionStats| shown.address.len() + CONNECTION_BYTES_MAX;
                connections.iter().map(each).sum()
            }
            Stats::Detail(Detail::Dump) => self.prefixes.bytes(),
            Stats::Sizes => self.store.sizes().count() * 64,
            Stats::Detail(_) | Stats::Reset => 0,
            Stats::Server
            | Stats::Settings
            | Stats::Items
            | Stats::Slabs
            | Stats::Loop
            | Stats::Store => FIGURES_BYTES_MAX,
        }
    }

    fn tell_detail(&mut self, detail: Detail, reply: &mut ReplyWriter<'_>) {
        if !self.config.dump_enabled {
            return reply.line(Reply::DetailForbidden);
        }
        match detail {
            Detail::On | Detail::Off => {
                self.prefixes.enabled = detail == Detail::On;
                reply.line(Reply::Ok);
            }
            Detail::Dump => {
                self.prefixes.tell(reply);
                reply.end();
            }
            Detail::Unknown => reply.line(Reply::DetailUsage),
        }
    }

    fn tell_server(&self, now: Now, server: &ServerStats, reply: &mut ReplyWriter<'_>) {
        self.tell_process(now, server, reply);
        self.tell_commands(reply);
        self.tell_memory(server, reply);
    }

    fn tell_process(&self, now: Now, server: &ServerStats, reply: &mut ReplyWriter<'_>) {
        let counters = &self.counters;
        let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
        let figures: [(&str, &dyn Display); 14] = [
            ("pid", &server.pid),
            ("uptime", &(now.uptime_s - Now::FIRST_S)),
            ("time", &now.unix_s),
            ("version", &VERSION_LINE.trim_start_matches("VERSION ")),
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
        tell_all(&figures, reply);
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
        tell_all(&buffers, reply);
    }

    fn tell_commands(&self, reply: &mut ReplyWriter<'_>) {
        let (counters, kept) = (&self.counters, self.store.counters());
        let figures: [(&str, u64); 27] = [
            ("cmd_get", counters.get_hits + counters.get_misses),
            ("cmd_set", counters.cmd_set),
            ("cmd_flush", counters.cmd_flush),
            ("cmd_touch", counters.touch_hits + counters.touch_misses),
            ("cmd_meta", counters.cmd_meta),
            ("get_hits", counters.get_hits),
            ("get_misses", counters.get_misses),
            ("get_expired", kept.expired_found),
            ("get_flushed", kept.flushed_found),
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
            tell(name, &figure, reply);
        }
    }

    fn tell_memory(&self, server: &ServerStats, reply: &mut ReplyWriter<'_>) {
        let (counters, kept) = (&self.counters, self.store.counters());
        let map_bytes = self.store.map_bytes() as u64;
        let figures: [(&str, u64); 36] = [
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
            ("log_worker_dropped", 0),
            ("log_worker_written", 0),
            ("log_watcher_skipped", 0),
            ("log_watcher_sent", 0),
            ("log_watchers", 0),
            ("unexpected_napi_ids", 0),
            ("round_robin_fallback", 0),
            ("bytes", self.store.bytes()),
            ("curr_items", self.store.len() as u64),
            ("total_items", counters.total_items),
            ("slab_global_page_pool", 0),
            ("expired_unfetched", kept.expired_unfetched),
            ("evicted_unfetched", kept.evicted_unfetched),
            ("evictions", kept.evictions),
            ("reclaimed", kept.reclaimed),
            ("crawler_reclaimed", kept.swept),
            ("crawler_items_checked", kept.swept_past),
            ("lrutail_reflocked", 0),
        ];
        for (name, figure) in figures {
            tell(name, &figure, reply);
        }
        if self.config.idle_timeout_s > 0 {
            tell("idle_kicks", &counters.idle_kicks, reply);
        }
    }

    /// One class of items, if there are any.
    fn tell_items(&self, now: Now, reply: &mut ReplyWriter<'_>) {
        if self.store.is_empty() {
            return;
        }
        let kept = self.store.counters();
        let items = self.store.len() as u64;
        let oldest_s = self.store.oldest_accessed_s().unwrap_or(now.uptime_s);
        let figures = [
            ("number", items),
            ("number_hot", 0),
            ("number_warm", 0),
            ("number_cold", items),
            ("age_hot", 0),
            ("age_warm", 0),
            ("age", u64::from(now.uptime_s.saturating_sub(oldest_s))),
            ("mem_requested", self.store.bytes()),
            ("evicted", kept.evictions),
            ("evicted_nonzero", kept.evicted_with_time),
            ("evicted_time", u64::from(kept.evicted_idle_s)),
            ("outofmemory", self.counters.store_no_memory),
            ("tailrepairs", 0),
            ("reclaimed", kept.reclaimed),
            ("expired_unfetched", kept.expired_unfetched),
            ("evicted_unfetched", kept.evicted_unfetched),
            ("evicted_active", 0),
            ("crawler_reclaimed", kept.swept),
            ("crawler_items_checked", kept.swept_past),
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
            reply.show(&format_args!("STAT items:1:{name} {figure}\r\n"));
        }
    }

    /// One class of chunks, each as large as an item is on average.
    fn tell_slabs(&self, reply: &mut ReplyWriter<'_>) {
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
                reply.show(&format_args!("STAT 1:{name} {figure}\r\n"));
            }
        }
        tell("active_slabs", &u8::from(items > 0), reply);
        tell("total_malloced", &self.store.log_bytes().0, reply);
    }

    fn tell_sizes(&self, reply: &mut ReplyWriter<'_>) {
        if !self.config.sizes_tracked {
            return tell("sizes_status", &"disabled", reply);
        }
        for (bytes, items) in self.store.sizes() {
            tell(&bytes.to_string(), &items, reply);
        }
    }

    fn tell_loop(&self, server: &ServerStats, reply: &mut ReplyWriter<'_>) {
        tell("turns", &server.turns, reply);
        tell("longest_turn_us", &self.counters.longest_turn_us, reply);
        for (at, turns) in self.counters.turns_by_duration.iter().enumerate() {
            if *turns > 0 {
                tell(&format!("turns_below_{}_us", 1u64 << at), turns, reply);
            }
        }
        tell("buffer_bytes", &server.buffer_bytes.0, reply);
        tell("buffer_bytes_max", &server.buffer_bytes.1, reply);
        tell("waiting_for_memory", &server.waiting_for_memory, reply);
    }

    fn tell_store(&self, reply: &mut ReplyWriter<'_>) {
        let kept = self.store.counters();
        let (used, dead) = self.store.log_bytes();
        let figures = [
            ("items", self.store.len() as u64),
            ("bytes", self.store.bytes()),
            ("map_bytes", self.store.map_bytes() as u64),
            ("log_bytes", used),
            ("log_bytes_dead", dead),
            ("stored_bytes", kept.stored_bytes),
            ("moved_bytes", kept.moved_bytes),
            ("evictions", kept.evictions),
            ("evicted_unfetched", kept.evicted_unfetched),
            ("expired_unfetched", kept.expired_unfetched),
            ("reclaimed", kept.reclaimed),
            ("rehashed", kept.rehashed),
            ("rehashed_at_once_max", kept.rehashed_at_once_max as u64),
        ];
        for (name, figure) in figures {
            tell(name, &figure, reply);
        }
        let amplification = kept.write_amplification();
        tell("write_amplification", &format_args!("{amplification:.3}"), reply);
    }
}

/// What a topic needs of the network.
const fn scope_of(topic: Stats) -> Option<StatsScope> {
    match topic {
        Stats::Server | Stats::Settings | Stats::Loop => Some(StatsScope::General),
        Stats::Conns => Some(StatsScope::WithConnections),
        Stats::Items
        | Stats::Slabs
        | Stats::Sizes
        | Stats::Store
        | Stats::Reset
        | Stats::Detail(_) => None,
    }
}

fn tell_connections(server: &ServerStats, reply: &mut ReplyWriter<'_>) {
    for shown in server.connections.iter().flatten() {
        let ConnectionStats { descriptor, address, listen_address, state, idle_s } = shown;
        reply.show(&format_args!("STAT {descriptor}:addr {address}\r\n"));
        if let Some(listen_address) = listen_address {
            reply.show(&format_args!("STAT {descriptor}:listen_addr {listen_address}\r\n"));
        }
        reply.show(&format_args!("STAT {descriptor}:state {state}\r\n"));
        reply.show(&format_args!("STAT {descriptor}:secs_since_last_cmd {idle_s}\r\n"));
    }
}

/// One line of figures.
pub(super) fn tell(name: &str, figure: &dyn Display, reply: &mut ReplyWriter<'_>) {
    reply.show(&format_args!("STAT {name} {figure}\r\n"));
}

/// Many of them.
pub(super) fn tell_all(figures: &[(&str, &dyn Display)], reply: &mut ReplyWriter<'_>) {
    for (name, figure) in figures {
        tell(name, figure, reply);
    }
}
