//! What is measured: the baseline, and each factor varied alone.
//!
//! A cell is plain data. Owns their names, which `--only` and earlier reports refer to; knows
//! neither who is measured nor how often.

use super::keyspace::{Dialect, Keyspace, LARGE_PREFIX, SMALL_PREFIX};
use super::results::Metric;
use super::ring::Popularity;
use super::traffic::{Pace, Traffic};
use crate::rig::server::{Launch, Transport};

/// No cell opens more connections to one server.
const CONNECTIONS_MAX: usize = 4096;
const MILLION: u32 = 1_000_000;

/// What servers hold; cells with the same data share the servers that were loaded with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DataSet {
    pub(crate) transport: Transport,
    pub(crate) small: Keyspace,
    pub(crate) large: Option<Keyspace>,
    /// `-I` for all: values of 1 MiB do not fit under the default, for the item's header counts.
    pub(crate) item_bytes_max: Option<&'static str>,
}

impl DataSet {
    /// All keyspaces, small first.
    pub(crate) fn keyspaces(&self) -> impl Iterator<Item = Keyspace> {
        [self.small].into_iter().chain(self.large)
    }

    /// How servers are started for it: with so much memory that nothing has to be evicted.
    pub(crate) fn launch(&self, extra: &[String]) -> Launch {
        /// Header, table slot and what else a server adds to an item, with a margin.
        const ITEM_OVERHEAD_BYTES: usize = 120;
        let bytes: usize = self
            .keyspaces()
            .map(|keys| (keys.value_bytes + ITEM_OVERHEAD_BYTES) * keys.count as usize)
            .sum();
        // Half as much again for slab classes that fit badly, and a page for each class.
        let memory_mib = ((bytes as u64 * 3 / 2) >> 20) + 128;
        Launch {
            transport: self.transport,
            memory_mib,
            connections_max: CONNECTIONS_MAX,
            item_bytes_max: self.item_bytes_max,
            extra: extra.to_vec(),
        }
    }
}

/// How load is made.
#[derive(Debug, Clone)]
pub(crate) enum Method {
    /// As this traffic says; the first kind is what is reported.
    Load(Vec<Traffic>),
    /// Like the baseline, at a fixed rate: so many percent of what memcached-A serves when saturated.
    PercentOfSaturation(u32),
}

/// One comparison.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    pub(crate) data: DataSet,
    pub(crate) method: Method,
    pub(crate) metric: Metric,
    pub(crate) dialect: Dialect,
    /// Whether `--quick` measures it.
    pub(crate) quick: bool,
}

impl Cell {
    /// Most connections at a time to one server.
    pub(crate) fn connections(&self) -> usize {
        match &self.method {
            Method::Load(traffic) => traffic.iter().map(|traffic| traffic.connections).sum(),
            Method::PercentOfSaturation(_) => baseline_of(self.data).connections,
        }
    }
}

/// The name of the cell that all others vary.
pub(crate) const BASELINE: &str = "baseline";

/// The load that all others vary: 50 connections, one request at a time, 9 gets to 1 set, Zipf.
pub(crate) fn baseline_of(data: DataSet) -> Traffic {
    Traffic {
        connections: 50,
        depth: 1,
        keys_per_get: 1,
        sets_percent: 10,
        keyspace: data.small,
        dialect: Dialect::Classic,
        popularity: Popularity::Zipf,
        pace: Pace::Closed,
    }
}

/// All cells, those with the same data next to each other. A quick run makes do with fewer keys.
pub(crate) fn all(quick: bool) -> Vec<Cell> {
    let keys = if quick { 50_000 } else { MILLION };
    let tcp = data(keys, 224);
    let mut cells = on_baseline_data(tcp);
    cells.extend(at_fixed_rates(tcp));
    let unix = DataSet { transport: Transport::Unix, ..tcp };
    cells.extend(on_unix_socket(unix));
    cells.extend(by_value_size(keys));
    cells.extend(by_key_count());
    cells.push(mixed(DataSet {
        large: Some(Keyspace { prefix: LARGE_PREFIX, count: 64, value_bytes: 1 << 20 }),
        item_bytes_max: Some("2m"),
        ..data(100_000, 224)
    }));
    cells
}

fn data(count: u32, value_bytes: usize) -> DataSet {
    DataSet {
        transport: Transport::Tcp,
        small: Keyspace { prefix: SMALL_PREFIX, count, value_bytes },
        large: None,
        item_bytes_max: None,
    }
}

fn cell(name: &'static str, what: &str, data: DataSet, change: impl Fn(&mut Traffic)) -> Cell {
    let mut traffic = baseline_of(data);
    change(&mut traffic);
    Cell {
        name,
        what: format!(
            "{what}; {} keys, values of {} bytes",
            data.small.count, data.small.value_bytes
        ),
        data,
        dialect: traffic.dialect,
        method: Method::Load(vec![traffic]),
        metric: Metric::ServerCpu,
        quick: false,
    }
}

fn quick(cell: Cell) -> Cell {
    Cell { quick: true, ..cell }
}

fn by_metric(metric: Metric, cell: Cell) -> Cell {
    Cell { metric, ..cell }
}

fn on_baseline_data(tcp: DataSet) -> Vec<Cell> {
    vec![
        quick(cell(
            BASELINE,
            "50 connections, depth 1, 9 gets to 1 set, Zipf 0.99, TCP",
            tcp,
            |_| {},
        )),
        quick(by_metric(
            Metric::P50,
            cell("connections-1", "1 connection: the round trip", tcp, |t| t.connections = 1),
        )),
        quick(cell("connections-500", "500 connections", tcp, |t| t.connections = 500)),
        cell("connections-2000", "2,000 connections", tcp, |t| t.connections = 2000),
        cell("depth-10", "10 requests at a time on each connection", tcp, |t| t.depth = 10),
        quick(cell("depth-50", "50 requests at a time", tcp, |t| t.depth = 50)),
        cell("multiget-10", "only gets, of 10 keys; per key", tcp, |t| {
            (t.keys_per_get, t.sets_percent) = (10, 0);
        }),
        quick(cell("multiget-50", "only gets, of 50 keys; per key", tcp, |t| {
            (t.keys_per_get, t.sets_percent) = (50, 0);
        })),
        cell("multiget-100", "only gets, of 100 keys; per key", tcp, |t| {
            (t.keys_per_get, t.sets_percent) = (100, 0);
        }),
        cell("gets", "only gets", tcp, |t| t.sets_percent = 0),
        cell("sets", "only sets", tcp, |t| t.sets_percent = 100),
        cell("half-sets", "1 get to 1 set", tcp, |t| t.sets_percent = 50),
        quick(cell("gets-depth-50", "only gets, 50 at a time", tcp, |t| {
            (t.sets_percent, t.depth) = (0, 50);
        })),
        quick(cell("sets-depth-50", "only sets, 50 at a time", tcp, |t| {
            (t.sets_percent, t.depth) = (100, 50);
        })),
        cell("uniform", "all keys equally likely", tcp, |t| t.popularity = Popularity::Uniform),
        quick(cell("simple-dialect", "the simple dialect", tcp, |t| t.dialect = Dialect::Simple)),
    ]
}

fn at_fixed_rates(tcp: DataSet) -> Vec<Cell> {
    let paced = |name, what: &str, method, metric| Cell {
        method,
        ..by_metric(metric, cell(name, what, tcp, |_| {}))
    };
    let half = "at a fixed rate, half of what memcached-A serves at most";
    let most = "at a fixed rate, 80 % of what memcached-A serves at most";
    vec![
        quick(paced("rate-50-percent", half, Method::PercentOfSaturation(50), Metric::P999)),
        paced("rate-80-percent", most, Method::PercentOfSaturation(80), Metric::P999),
    ]
}

fn on_unix_socket(unix: DataSet) -> Vec<Cell> {
    vec![
        quick(cell("unix", "Unix socket", unix, |_| {})),
        by_metric(
            Metric::P50,
            cell("unix-connections-1", "Unix socket, 1 connection", unix, |t| t.connections = 1),
        ),
        cell("unix-depth-50", "Unix socket, 50 requests at a time", unix, |t| t.depth = 50),
    ]
}

fn by_value_size(keys: u32) -> Vec<Cell> {
    let mib = DataSet { item_bytes_max: Some("2m"), ..data(128, 1 << 20) };
    vec![
        cell("value-32", "values of 32 bytes", data(keys, 32), |_| {}),
        cell("value-4k", "values of 4 KiB, fewer keys", data(100_000, 4 << 10), |_| {}),
        cell("value-100k", "values of 100 KiB, fewer keys", data(2_000, 100 << 10), |_| {}),
        cell("value-1m", "values of 1 MiB, fewer keys, -I 2m", mib, |_| {}),
    ]
}

fn by_key_count() -> Vec<Cell> {
    let (few, many) = (data(100_000, 224), data(5 * MILLION, 224));
    let gets = |t: &mut Traffic| (t.sets_percent, t.depth) = (0, 50);
    vec![
        cell("keys-100k", "100 thousand keys", few, |_| {}),
        cell("keys-100k-gets-depth-50", "100 thousand keys, only gets, 50 at a time", few, gets),
        cell("keys-5m", "5 million keys", many, |_| {}),
        cell("keys-5m-gets-depth-50", "5 million keys, only gets, 50 at a time", many, gets),
    ]
}

/// Small gets at a fixed rate, so that waiting behind a large value shows in full; the connection
/// with large values asks as fast as it is answered.
fn mixed(data: DataSet) -> Cell {
    let small = Traffic {
        connections: 49,
        sets_percent: 0,
        pace: Pace::Fixed { per_second: 10_000 },
        ..baseline_of(data)
    };
    let large = data.large.map(|keyspace| Traffic {
        connections: 1,
        sets_percent: 50,
        keyspace,
        popularity: Popularity::Uniform,
        ..baseline_of(data)
    });
    let what =
        "small gets, 10,000 a second, while one connection gets and sets 1 MiB values, -I 2m";
    Cell {
        method: Method::Load([small].into_iter().chain(large).collect()),
        ..by_metric(Metric::P99, cell("mixed", what, data, |_| {}))
    }
}
