//! The metrics. Those that Prometheus' `memcached_exporter` has, too, have the same names, so that its
//! dashboards and rules work unchanged; all items are in slab 1. Metrics of parts that do not exist here
//! are left out. `miocached_*` is what memcached has no figure for.

use std::array;
use std::fmt::Display;

use super::text::Kind::{Counter, Gauge};
use super::text::{Labels, Seconds, Text};
use crate::engine::counters::Counters;
use crate::engine::{ServerStats, StoreStats};
use crate::protocol::VERSION_LINE;

/// What all families are made of.
pub(super) struct Figures<'a> {
    pub(super) counters: &'a Counters,
    pub(super) server: &'a ServerStats,
    pub(super) store: &'a StoreStats,
}

impl Figures<'_> {
    /// Writes all families.
    pub(super) fn write(&self, text: &mut Text<'_>) {
        self.write_process(text);
        self.write_network(text);
        self.write_commands(text);
        self.write_items(text);
        self.write_slab(text);
        self.write_memory(text);
        self.write_loop(text);
    }

    fn write_process(&self, text: &mut Text<'_>) {
        let Self { store, server, .. } = self;
        text.one(Gauge, "memcached_up", "Could the memcached server be reached.", 1);
        text.one(
            Gauge,
            "memcached_uptime_seconds",
            "Number of seconds since the server started.",
            store.uptime_s,
        );
        text.one(
            Gauge,
            "memcached_time_seconds",
            "Current Unix time according to the server.",
            store.unix_s,
        );
        let version = VERSION_LINE.trim_start_matches("VERSION ");
        let labels: Labels<'_> = &[("version", &version)];
        text.family(
            Gauge,
            "memcached_version",
            "The version of this memcached server.",
            &[(labels, &1)],
        );
        text.one(
            Counter,
            "memcached_process_user_cpu_seconds_total",
            "Accumulated user time for this process.",
            Seconds(server.user_us.saturating_mul(1000)),
        );
        text.one(
            Counter,
            "memcached_process_system_cpu_seconds_total",
            "Accumulated system time for this process.",
            Seconds(server.system_us.saturating_mul(1000)),
        );
    }

    fn write_network(&self, text: &mut Text<'_>) {
        let Self { counters, server, store } = self;
        let counts = [
            ("read_bytes_total", "Bytes read from the network.", counters.bytes_read),
            ("written_bytes_total", "Bytes sent to the network.", counters.bytes_written),
            ("connections_total", "Connections that were opened.", counters.total_connections),
            (
                "connections_rejected_total",
                "Connections rejected at the limit of -c.",
                counters.rejected_connections,
            ),
            (
                "connections_yielded_total",
                "Turns of connections that ended at the limit of -R.",
                counters.conn_yields,
            ),
            (
                "connections_listener_disabled_total",
                "Periods in which new connections had to wait.",
                counters.listen_disabled_num,
            ),
        ];
        for (name, help, count) in counts {
            text.one(Counter, format_args!("memcached_{name}"), help, count);
        }
        let gauges = [
            ("current_connections", "Open connections.", server.curr_connections as u64),
            ("max_connections", "Connections that may be open (-c).", store.connections_max),
            (
                "accepting_connections",
                "Whether new connections are accepted.",
                u64::from(server.accepting),
            ),
        ];
        for (name, help, value) in gauges {
            text.one(Gauge, format_args!("memcached_{name}"), help, value);
        }
    }

    fn write_commands(&self, text: &mut Text<'_>) {
        let counters = self.counters;
        // memcached counts a cas as a set, too.
        let cas = counters.cas_hits + counters.cas_misses + counters.cas_badval;
        let counts = [
            ("get", "hit", counters.get_hits),
            ("get", "miss", counters.get_misses),
            ("delete", "hit", counters.delete_hits),
            ("delete", "miss", counters.delete_misses),
            ("incr", "hit", counters.incr_hits),
            ("incr", "miss", counters.incr_misses),
            ("decr", "hit", counters.decr_hits),
            ("decr", "miss", counters.decr_misses),
            ("cas", "hit", counters.cas_hits),
            ("cas", "miss", counters.cas_misses),
            ("cas", "badval", counters.cas_badval),
            ("touch", "hit", counters.touch_hits),
            ("touch", "miss", counters.touch_misses),
            ("set", "hit", counters.cmd_set.saturating_sub(cas)),
            ("flush", "hit", counters.cmd_flush),
        ];
        let labels = counts.each_ref().map(|(command, status, _)| {
            [("command", command as &dyn Display), ("status", status as &dyn Display)]
        });
        let samples: [(Labels<'_>, &dyn Display); 15] =
            array::from_fn(|index| (&labels[index][..], &counts[index].2 as &dyn Display));
        text.family(
            Counter,
            "memcached_commands_total",
            "Requests by command and status; of a get, its keys.",
            &samples,
        );
    }

    fn write_items(&self, text: &mut Text<'_>) {
        let Self { counters, store, .. } = self;
        let counts = [
            ("items_total", "Items that were stored.", counters.total_items),
            (
                "items_evicted_total",
                "Live items that were evicted to free memory.",
                store.counters.evictions,
            ),
            (
                "items_reclaimed_total",
                "Expired items whose memory was reclaimed.",
                store.counters.reclaimed,
            ),
            (
                "item_too_large_total",
                "Items that were refused because they were above the limit of -I.",
                counters.store_too_large,
            ),
            (
                "item_no_memory_total",
                "Items that were refused because there was no memory.",
                counters.store_no_memory,
            ),
            (
                "lru_crawler_reclaimed_total",
                "Expired items that the sweep found.",
                store.counters.swept,
            ),
            (
                "lru_crawler_items_checked_total",
                "Items that the sweep has read.",
                store.counters.swept_past,
            ),
        ];
        for (name, help, count) in counts {
            text.one(Counter, format_args!("memcached_{name}"), help, count);
        }
        let gauges = [
            ("current_items", "Items.", store.items),
            ("current_bytes", "Bytes of all items.", store.live_bytes),
            ("limit_bytes", "Bytes that items may take (-m).", store.limit_bytes),
            (
                "malloced_bytes",
                "Bytes of items, and of dead items that are not reclaimed yet.",
                store.live_bytes + store.dead_bytes,
            ),
        ];
        for (name, help, value) in gauges {
            text.one(Gauge, format_args!("memcached_{name}"), help, value);
        }
    }

    fn write_slab(&self, text: &mut Text<'_>) {
        let (store, events) = (self.store, &self.store.counters);
        let families = [
            (Gauge, "current_items", "Items in this class.", store.items),
            (
                Gauge,
                "items_age_seconds",
                "Seconds since the last access to the oldest item.",
                store.oldest_age_s.into(),
            ),
            (Gauge, "mem_requested_bytes", "Bytes of the items in this class.", store.live_bytes),
            (Counter, "items_evicted_total", "Live items that were evicted.", events.evictions),
            (
                Counter,
                "items_evicted_nonzero_total",
                "Evicted items that had an expiry time.",
                events.evicted_with_time,
            ),
            (
                Gauge,
                "items_evicted_time_seconds",
                "Seconds between the last access to the last evicted item and its eviction.",
                events.evicted_idle_s.into(),
            ),
            (
                Counter,
                "items_evicted_unfetched_total",
                "Evicted items that were never read.",
                events.evicted_unfetched,
            ),
            (
                Counter,
                "items_expired_unfetched_total",
                "Reclaimed items that were never read.",
                events.expired_unfetched,
            ),
            (
                Counter,
                "items_outofmemory_total",
                "Items that were refused because there was no memory.",
                self.counters.store_no_memory,
            ),
            (
                Counter,
                "items_reclaimed_total",
                "Expired items whose memory was reclaimed.",
                events.reclaimed,
            ),
            (
                Counter,
                "items_crawler_reclaimed_total",
                "Expired items that the sweep found.",
                events.swept,
            ),
        ];
        for (kind, name, help, value) in families {
            let labels: Labels<'_> = &[("slab", &1)];
            text.family(kind, format_args!("memcached_slab_{name}"), help, &[(labels, &value)]);
        }
    }

    fn write_memory(&self, text: &mut Text<'_>) {
        let Self { server, store, counters } = self;
        let states: [(Labels<'_>, &dyn Display); 3] = [
            (&[("state", &"live")], &store.live_bytes),
            (&[("state", &"dead")], &store.dead_bytes),
            (&[("state", &"free")], &store.free_bytes),
        ];
        text.family(
            Gauge,
            "miocached_memory_bytes",
            "The memory for items: live ones, expired or removed ones that are not reclaimed yet, and \
             free bytes.",
            &states,
        );
        let (buffers, buffers_max) = server.buffer_bytes;
        let gauges = [
            ("map_bytes", "Bytes of the map, beside the memory for items.", store.map_bytes),
            ("buffer_bytes", "Bytes that the buffers of connections hold.", buffers as u64),
            (
                "buffer_limit_bytes",
                "Bytes that the buffers of connections may hold.",
                buffers_max as u64,
            ),
            (
                "connections_waiting",
                "Connections that wait for buffer memory.",
                server.waiting_for_memory as u64,
            ),
            ("watchers", "Connections that watch events.", store.watchers),
        ];
        for (name, help, value) in gauges {
            text.one(Gauge, format_args!("miocached_{name}"), help, value);
        }
        let events = &store.counters;
        let counts = [
            ("expired_found_total", "Expired items that a request found.", events.expired_found),
            ("flushed_found_total", "Flushed items that a request found.", events.flushed_found),
            ("stored_bytes_total", "Bytes of stored items.", events.stored_bytes),
            ("moved_bytes_total", "Bytes of items that were moved.", events.moved_bytes),
            ("idle_kicks_total", "Connections closed for being idle.", counters.idle_kicks),
            ("auth_errors_total", "Wrong passwords.", counters.auth_errors),
        ];
        for (name, help, count) in counts {
            text.one(Counter, format_args!("miocached_{name}"), help, count);
        }
    }

    fn write_loop(&self, text: &mut Text<'_>) {
        let counters = self.counters;
        text.one(
            Counter,
            "miocached_requests_total",
            "Requests that were executed.",
            counters.requests,
        );
        text.one(
            Gauge,
            "miocached_longest_turn_seconds",
            "The longest turn of the event loop since the start or the last stats reset.",
            Seconds(counters.turns.longest_ns),
        );
        text.histogram(
            "miocached_turn_duration_seconds",
            "Turns of the event loop, without the wait for events.",
            &counters.turns,
        );
        text.histogram(
            "miocached_request_duration_seconds",
            "Requests, from the return of the poll that reported them to the write of their answers.",
            &counters.request_times,
        );
    }
}
