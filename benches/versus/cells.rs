//! What is measured: the baseline, and each factor varied alone.
//!
//! A cell is plain data. Owns their names, which `--only` and earlier reports refer to; knows
//! neither who is measured nor how often.

use super::keyspace::{COUNTER_PREFIX, Dialect, Keyspace, LARGE_PREFIX, SMALL_PREFIX};
use super::results::Metric;
use super::ring::Popularity;
use super::sizes::{Lifetimes, Values};
use super::traffic::{Pace, Session, Traffic, Work};
use crate::rig::server::{Launch, Transport};

/// No cell opens more connections to one server.
const CONNECTIONS_MAX: usize = 4096;
const MILLION: u32 = 1_000_000;

/// What servers hold; cells with the same data share the servers that were loaded with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DataSet {
    pub(crate) transport: Transport,
    pub(crate) small: Keyspace,
    /// Further items, that some cells are about.
    pub(crate) second: Option<Keyspace>,
    /// `-I` for all: values of 1 MiB do not fit under the default, for the item's header counts.
    pub(crate) item_bytes_max: Option<&'static str>,
    /// `-m` where items are to be evicted; without it there is room for all.
    pub(crate) memory_mib: Option<u64>,
}

impl DataSet {
    /// All keyspaces, that of most cells first.
    pub(crate) fn keyspaces(&self) -> impl Iterator<Item = Keyspace> {
        [self.small].into_iter().chain(self.second)
    }

    /// The exponent of the smallest power of two that is no less than the number of items.
    pub(crate) fn items_log2(&self) -> u32 {
        let items: u32 = self.keyspaces().map(|keyspace| keyspace.count).sum();
        items.next_power_of_two().trailing_zeros()
    }

    /// How servers are started for it: with so much memory that nothing has to be evicted, unless
    /// that is what it is for.
    pub(crate) fn launch(&self, extra: &[String]) -> Launch {
        /// Header, table slot and what else a server adds to an item, with a margin.
        const ITEM_OVERHEAD_BYTES: usize = 120;
        let bytes: usize = self
            .keyspaces()
            .map(|keys| (keys.values.mean_bytes() + ITEM_OVERHEAD_BYTES) * keys.count as usize)
            .sum();
        // Half as much again for slab classes that fit badly, and a page for each class.
        let roomy_mib = ((bytes as u64 * 3 / 2) >> 20) + 128;
        Launch {
            transport: self.transport,
            memory_mib: self.memory_mib.unwrap_or(roomy_mib),
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
    /// Like the baseline, at a fixed rate: so many percent of that at which memcached-A's CPU would be
    /// fully busy.
    PercentOfCapacity(u32),
}

/// How long a cell's windows are and how many, relative to those of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// As the run's.
    Plain,
    /// Short and many, so that a pause of the machine is in few of them: for a p99.9.
    Tails,
    /// Long, each with so long a warm-up that items with the shorter lifetime are stored again and
    /// expire at an even rate when its measurement begins.
    Expiring,
}

/// One comparison.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    pub(crate) data: DataSet,
    pub(crate) method: Method,
    pub(crate) metric: Metric,
    pub(crate) schedule: Schedule,
    pub(crate) dialect: Dialect,
    /// Whether `--quick` measures it.
    pub(crate) quick: bool,
    /// Whether pogocache is measured in it, where there is one.
    pub(crate) pogocache: bool,
}

impl Cell {
    /// Most connections at a time to one server.
    pub(crate) fn connections(&self) -> usize {
        match &self.method {
            Method::Load(traffic) => traffic.iter().map(|traffic| traffic.connections).sum(),
            Method::PercentOfCapacity(_) => baseline_of(self.data).connections,
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
        work: Work::GetsAndSets,
        keys_per_get: 1,
        sets_percent: 10,
        session: Session::Lasting,
        keyspace: data.small,
        dialect: Dialect::Classic,
        popularity: Popularity::Zipf,
        pace: Pace::Closed,
    }
}

/// All cells, those with the same data next to each other. A quick run makes do with fewer keys.
pub(crate) fn all(quick: bool) -> Vec<Cell> {
    let keys = if quick { 50_000 } else { MILLION };
    let tcp = data(keys, Values::Fixed(224));
    let unix = DataSet { transport: Transport::Unix, ..tcp };
    let mut cells = on_baseline_data(tcp);
    cells.extend(in_meta_dialect(tcp));
    cells.extend(by_command(tcp));
    cells.extend(at_fixed_rates(tcp));
    cells.extend(on_unix_socket(unix));
    for cell in &mut cells {
        let Method::Load(traffic) = &cell.method else { continue };
        cell.pogocache = traffic.iter().all(|traffic| {
            traffic.dialect == Dialect::Classic && traffic.work == Work::GetsAndSets
        });
    }
    cells.extend(by_key_count());
    cells.extend(by_value_size());
    cells.extend(in_tight_memory(quick));
    cells
}

fn data(count: u32, values: Values) -> DataSet {
    DataSet {
        transport: Transport::Tcp,
        small: Keyspace { prefix: SMALL_PREFIX, count, values, lifetimes: Lifetimes::Unlimited },
        second: None,
        item_bytes_max: None,
        memory_mib: None,
    }
}

fn cell(name: &'static str, what: &str, data: DataSet, change: impl Fn(&mut Traffic)) -> Cell {
    let mut traffic = baseline_of(data);
    change(&mut traffic);
    let keyspace = traffic.keyspace;
    Cell {
        name,
        what: format!("{what}; {} keys, {}", keyspace.count, keyspace.values.describe()),
        data,
        dialect: traffic.dialect,
        method: Method::Load(vec![traffic]),
        metric: Metric::ServerCpu,
        schedule: Schedule::Plain,
        quick: false,
        pogocache: false,
    }
}

fn quick(cell: Cell) -> Cell {
    Cell { quick: true, ..cell }
}

fn by_metric(metric: Metric, cell: Cell) -> Cell {
    Cell { metric, ..cell }
}

// At depth 1 four fifths of a server's CPU time are the kernel's, for one read, one write and its
// share of one wait a request: what is asked makes no difference that could be seen. Commands,
// popularity and key counts are therefore varied at depth 50, and multigets measured with 50 keys.

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
        quick(cell("connect", CONNECT, tcp, |t| {
            (t.session, t.sets_percent) = (Session::PerRequest, 0);
        })),
        cell("depth-10", "10 requests at a time on each connection", tcp, |t| t.depth = 10),
        quick(cell("depth-50", "50 requests at a time", tcp, |t| t.depth = 50)),
        quick(cell("multiget-50", "only gets, of 50 keys; per key", tcp, multiget_50)),
        quick(cell("gets-depth-50", "only gets, 50 at a time", tcp, gets_depth_50)),
        cell(
            "gets-depth-50-uniform",
            "only gets, 50 at a time, all keys equally likely",
            tcp,
            |t| {
                gets_depth_50(t);
                t.popularity = Popularity::Uniform;
            },
        ),
        quick(cell("sets-depth-50", "only sets, 50 at a time", tcp, sets_depth_50)),
        quick(cell("simple-dialect", "the simple dialect", tcp, |t| t.dialect = Dialect::Simple)),
    ]
}

/// What a PHP client does that keeps no connection.
const CONNECT: &str = "a new connection for each request: connect, one get, quit, and the server's \
    close; 50 concurrent connections; figures per get";

fn gets_depth_50(traffic: &mut Traffic) {
    (traffic.sets_percent, traffic.depth) = (0, 50);
}

fn sets_depth_50(traffic: &mut Traffic) {
    (traffic.sets_percent, traffic.depth) = (100, 50);
}

fn multiget_50(traffic: &mut Traffic) {
    (traffic.keys_per_get, traffic.sets_percent) = (50, 0);
}

fn in_meta_dialect(tcp: DataSet) -> Vec<Cell> {
    let meta = |t: &mut Traffic| t.dialect = Dialect::Meta;
    vec![
        cell("meta", "the meta dialect, 9 'mg <key> v' to 1 'ms <key> <bytes>'", tcp, meta),
        quick(cell("meta-gets-depth-50", "only 'mg <key> v', 50 at a time", tcp, |t| {
            meta(t);
            gets_depth_50(t);
        })),
        cell("meta-sets-depth-50", "only 'ms <key> <bytes>', 50 at a time", tcp, |t| {
            meta(t);
            sets_depth_50(t);
        }),
    ]
}

fn by_command(tcp: DataSet) -> Vec<Cell> {
    let at_depth_50 = |work| {
        move |t: &mut Traffic| {
            gets_depth_50(t);
            t.work = work;
        }
    };
    vec![
        cell(
            "deletes-depth-50",
            "deletes, each followed by a set of the same key, 50 requests at a time (25 of each; \
             at depth 1 most of the CPU time is the kernel's)",
            tcp,
            at_depth_50(Work::DeletesAndSets),
        ),
        cell(
            "touches-depth-50",
            "only touches, with an exptime of a day, 50 at a time (at depth 1 most of the CPU time \
             is the kernel's)",
            tcp,
            at_depth_50(Work::Touches),
        ),
    ]
}

fn at_fixed_rates(tcp: DataSet) -> Vec<Cell> {
    let paced = |name, what: &str, method| Cell {
        method,
        schedule: Schedule::Tails,
        ..by_metric(Metric::P999, cell(name, what, tcp, |_| {}))
    };
    let half = "at a fixed rate, half of what memcached-A's CPU allows, arriving at random";
    let most = "at a fixed rate, 80 % of what memcached-A's CPU allows, arriving at random";
    vec![
        quick(paced("rate-50-percent", half, Method::PercentOfCapacity(50))),
        paced("rate-80-percent", most, Method::PercentOfCapacity(80)),
    ]
}

fn on_unix_socket(unix: DataSet) -> Vec<Cell> {
    vec![
        quick(cell("unix", "Unix socket", unix, |_| {})),
        by_metric(
            Metric::P50,
            cell("unix-connections-1", "Unix socket, 1 connection", unix, |t| t.connections = 1),
        ),
        cell("unix-depth-10", "Unix socket, 10 requests at a time", unix, |t| t.depth = 10),
        cell("unix-depth-50", "Unix socket, 50 requests at a time", unix, |t| t.depth = 50),
        cell("unix-connect", &format!("Unix socket, {CONNECT}"), unix, |t| {
            (t.session, t.sets_percent) = (Session::PerRequest, 0);
        }),
    ]
}

fn by_key_count() -> Vec<Cell> {
    let counters = Keyspace {
        prefix: COUNTER_PREFIX,
        count: 100_000,
        values: Values::Counters,
        lifetimes: Lifetimes::Unlimited,
    };
    let few = DataSet { second: Some(counters), ..data(100_000, Values::Fixed(224)) };
    let many = data(5 * MILLION, Values::Fixed(224));
    vec![
        cell("keys-100k-gets-depth-50", "only gets, 50 at a time", few, gets_depth_50),
        cell("keys-100k-multiget-50", "only gets, of 50 keys; per key", few, multiget_50),
        cell("increments-depth-50", "only 'incr <key> 1', 50 at a time", few, |t| {
            gets_depth_50(t);
            (t.work, t.keyspace) = (Work::Increments, counters);
        }),
        cell("keys-5m-gets-depth-50", "only gets, 50 at a time", many, gets_depth_50),
    ]
}

fn by_value_size() -> Vec<Cell> {
    let twitter = data(100_000, Values::Twitter);
    let large = Keyspace {
        prefix: LARGE_PREFIX,
        count: 128,
        values: Values::Fixed(1 << 20),
        lifetimes: Lifetimes::Unlimited,
    };
    let small_and_large = DataSet {
        second: Some(large),
        item_bytes_max: Some("2m"),
        ..data(100_000, Values::Fixed(224))
    };
    vec![
        cell("sizes-twitter", "all sizes mixed, keys of 36 bytes", twitter, |_| {}),
        cell(
            "sizes-twitter-depth-10",
            "all sizes mixed, keys of 36 bytes, 10 requests at a time",
            twitter,
            |t| t.depth = 10,
        ),
        cell("value-100k", "values of 100 KiB", data(2_000, Values::Fixed(100 << 10)), |_| {}),
        cell("value-1m", "values of 1 MiB, -I 2m", small_and_large, |t| t.keyspace = large),
        mixed(small_and_large, large),
    ]
}

/// Small gets at a fixed rate, so that waiting for a large value shows in full; the connection with
/// large values asks as fast as it is answered.
fn mixed(data: DataSet, large: Keyspace) -> Cell {
    let small = Traffic {
        connections: 49,
        sets_percent: 0,
        pace: Pace::Fixed { per_second: 10_000 },
        ..baseline_of(data)
    };
    let large = Traffic {
        connections: 1,
        sets_percent: 50,
        keyspace: large,
        popularity: Popularity::Uniform,
        ..baseline_of(data)
    };
    let what = "small gets, 10,000 a second arriving at random, while one connection gets and sets \
                1 MiB values, -I 2m";
    Cell {
        method: Method::Load(vec![small, large]),
        ..by_metric(Metric::P99, cell("mixed", what, data, |_| {}))
    }
}

/// The lifetimes, and what has expired when a window is measured.
const EXPIRING: &str = "a quarter of the keys has an exptime of 2 s and is warmed up for longer than \
    that, so those stored by misses expire and are stored again throughout the measurement; a \
    quarter has one of 120 s, which no item reaches; half have none";

/// A cache as it is used: more items than fit, and a miss costs a set.
fn in_tight_memory(quick_run: bool) -> Vec<Cell> {
    let (keys, mib) = if quick_run { (200_000, 16) } else { (MILLION, 64) };
    let lasting = DataSet { memory_mib: Some(mib), ..data(keys, Values::Fixed(224)) };
    let small = Keyspace { lifetimes: Lifetimes::Mixed, ..lasting.small };
    let expiring = DataSet { small, ..lasting };
    let cache_aside = |t: &mut Traffic| (t.work, t.depth) = (Work::CacheAside, 10);
    let sets = format!(
        "-m {mib}, only sets, 50 at a time, all keys equally likely: each set evicts an item or \
         replaces one"
    );
    let what = format!(
        "-m {mib}, gets, 10 at a time, each miss followed by a set; figures per get, refills included"
    );
    vec![
        quick(cell("evictions", &format!("{what}; no item expires"), lasting, cache_aside)),
        cell("evictions-sets-depth-50", &sets, lasting, |t| {
            sets_depth_50(t);
            t.popularity = Popularity::Uniform;
        }),
        Cell {
            schedule: Schedule::Expiring,
            ..cell("evictions-and-ttls", &format!("{what}; {EXPIRING}"), expiring, cache_aside)
        },
    ]
}
