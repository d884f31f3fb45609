//! Whole conversations: three clients of one engine, whose bytes arrive in pieces and whose answers are
//! taken late. The clocks move at random, and the store is soon full.
//!
//! After every step each invariant of the store holds, every answer is made of whole lines and fits
//! the output limit, and no client waits for ever.

use std::fmt::Write as _;
use std::sync::Once;

use miocached::config::{Config, DialectMode};
use miocached::engine::auth::Credentials;
use miocached::engine::server_stats::{ConnectionStats, NO_NETWORK, WaitStats};
use miocached::engine::{Engine, LeftOut, Now, ServerStats, StatsScope, Turn};
use miocached::net::ALLOWANCE_BYTES;
use miocached::protocol::OutputLimit;
use miocached::session::{Session, Stop};
use miocached::trace::Wait;

use super::grammar::{Source, Speak, request};

/// Bytes by which a line of an answer may exceed the room: see `engine/meta.rs`.
const LINE_BYTES_MAX: usize = 1024;

#[test]
fn holds_whatever_comes() {
    bolero::check!(name = "session")
        .with_max_len(4096)
        .for_each(|input: &[u8]| run(input, [request; 3]));
}

/// One conversation.
struct Client {
    session: Session,
    /// Bytes that have been sent and have not arrived yet.
    sent: Vec<u8>,
    unread: Vec<u8>,
    /// Output bytes that were requested.
    granted: usize,
    /// Steps without any progress.
    steps: u32,
    waits: bool,
    /// Its next turn gets a snapshot of this scope.
    asks: Option<StatsScope>,
}

struct World {
    config: Config,
    engine: Engine,
    now: Now,
    /// The test takes snapshots, as a network does.
    is_networked: bool,
    high_water: usize,
    limit: usize,
    clients: [Client; 3],
}

/// Talks to three clients, each of which speaks in its own way.
pub(crate) fn run(input: &[u8], speak: [Speak; 3]) {
    log_everything_nowhere();
    let mut source = Source::new(input);
    let mut world = World::new(&mut source);
    while !source.is_empty() {
        let at = source.below(world.clients.len());
        match source.below(16) {
            0 => world.pass(&mut source),
            1 => world.clients[at] = Client::new(&world.config),
            2..5 => {}
            _ => speak[at](&mut source, &mut world.clients[at].sent),
        }
        let client = &mut world.clients[at];
        let arrives = source.pick(&[usize::MAX, usize::MAX, 1, 2, 9, 100, 1000]);
        let arrives = client.sent.drain(..arrives.min(client.sent.len()));
        client.unread.extend(arrives);
        for _ in 0..=source.below(4) {
            world.advance(at);
        }
    }
    // The remaining requests of clients that have not ended are answered.
    for client in &mut world.clients {
        client.unread.append(&mut client.sent);
        client.waits = false;
    }
    while world.clients.iter().any(|client| !client.waits) {
        for at in 0..world.clients.len() {
            world.advance(at);
        }
    }
}

impl World {
    fn new(source: &mut Source<'_>) -> Self {
        let switches = source.byte();
        let is_on = |bit: u8| switches & 1 << bit != 0;
        let memory_bytes_max = source.pick(&[16 << 10, 4 << 10, 40 << 10, 256 << 10, 3 << 20]);
        let item_bytes_max = source.pick(&[1024, 300, 6 << 10, 512 << 10]);
        let mut config = Config {
            memory_bytes_max,
            item_bytes_max,
            dialect: source.pick(&[DialectMode::Auto, DialectMode::Classic, DialectMode::Simple]),
            evicts: !is_on(0),
            cas_enabled: !is_on(1),
            sizes_tracked: is_on(2),
            detail_enabled: is_on(3),
            hot_keys: is_on(3),
            dump_enabled: !(is_on(4) && is_on(5)),
            flush_enabled: !(is_on(4) && is_on(6)),
            shutdown_enabled: is_on(5),
            auth_file: (is_on(6) && is_on(7)).then(|| "users".into()),
            requests_per_turn: source.pick(&[None, Some(1), Some(20)]),
            ..Config::default()
        };
        config.lower_item_limit();
        let mut engine = Engine::new(&config).unwrap();
        engine.set_credentials(Credentials::parse(b"user:password").unwrap());
        Self {
            is_networked: is_on(7),
            now: Now { uptime_s: Now::FIRST_S, unix_s: source.pick(&[1_800_000_000, 0, i64::MAX]) },
            high_water: source.pick(&[1, 100, 64 << 10, usize::MAX]),
            limit: source.pick(&[usize::MAX, ALLOWANCE_BYTES, 64 << 10]),
            clients: std::array::from_fn(|_| Client::new(&config)),
            config,
            engine,
        }
    }

    /// Moves the clocks on. May also step the wall clock.
    fn pass(&mut self, source: &mut Source<'_>) {
        let by_s = source.pick(&[1, 1, 2, 60, 61, 3600, 2_592_000, 1 << 30]);
        self.now.uptime_s = self.now.uptime_s.saturating_add(by_s);
        let step_s = source.pick(&[0, 0, 0, 1, -1, -3600, 86_400, 1 << 40, -(1 << 40)]);
        // As in the network, a wall clock before 1970 counts as 1970.
        self.now.unix_s = self.now.unix_s.saturating_add(i64::from(by_s) + step_s).max(0);
    }

    /// One turn of a client whose answers have all been taken.
    fn advance(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let limit = self.limit.max(client.granted);
        let high_water = self.high_water.min(limit);
        let mut room = OutputLimit { high_water, limit, left_out_max: limit, needed: 0 };
        let mut output = Vec::new();
        let snapshot = client.asks.map(snapshot);
        let turn = match self.is_networked {
            true => Turn { now: self.now, server: snapshot.as_ref() },
            false => self.now.into(),
        };
        let (spent, stop) =
            client.session.advance(&client.unread, &mut output, &mut room, &mut self.engine, turn);
        client.asks = None;
        if stop == Stop::NeedsValue {
            let LeftOut { value, at } = self.engine.left_out();
            output.splice(at..at, value.iter().copied());
        }
        client.unread.drain(..spent);
        self.engine.verify();
        assert!(is_whole(&output), "{}", output.escape_ascii());
        let most = limit.saturating_add(LINE_BYTES_MAX);
        assert!(output.len() <= most, "{} bytes of output, of {limit}", output.len());
        // As in the network, a grant also holds for the turn with a snapshot.
        let keeps = matches!(stop, Stop::NeedsServerStats(_)) && output.is_empty();
        client.granted = match keeps {
            true => client.granted,
            false if output.is_empty() => room.needed,
            false => 0,
        };
        client.waits = stop == Stop::NeedsInput;
        let moved = spent > 0 || !output.is_empty();
        client.steps = if moved || client.waits { 0 } else { client.steps + 1 };
        assert!(client.steps < super::STALLS_MAX, "it waits for ever");
        match stop {
            Stop::NeedsInput => {
                let wanted = client.session.bytes_wanted();
                assert!(wanted > client.unread.len(), "it can say that more is missing");
            }
            Stop::NeedsFlush | Stop::NeedsValue => {}
            Stop::NeedsServerStats(scope) => client.asks = Some(scope),
            Stop::Ended(_) | Stop::Watches(_) => {
                self.clients[at] = Client::new(&self.config);
                self.clients[at].waits = true;
            }
        }
    }
}

/// An answer is made of whole lines or of whole frames.
fn is_whole(mut output: &[u8]) -> bool {
    while let [0x81, ..] = output {
        let Some(body) = output.get(8..12) else { return false };
        let body_bytes = u32::from_be_bytes(body.try_into().unwrap());
        let Some(rest) = output.get(24 + body_bytes as usize..) else { return false };
        output = rest;
    }
    output.is_empty() || output.ends_with(b"\n")
}

/// A made-up snapshot of a network.
fn snapshot(scope: StatsScope) -> ServerStats {
    let connection = ConnectionStats {
        descriptor: 7,
        address: "tcp:127.0.0.1:4711".into(),
        listen_address: Some("tcp:127.0.0.1:11211".into()),
        state: "conn_parse_cmd",
        idle_s: 0,
        // The longest lines that there can be.
        wait: Some(WaitStats {
            wait: Wait::Memory,
            since_ms: u64::MAX,
            unsent_bytes: usize::MAX,
            buffer_bytes: usize::MAX,
            wanted_bytes: usize::MAX,
        }),
    };
    let connections = (scope == StatsScope::WithConnections).then(|| vec![connection; 3]);
    ServerStats { connections, ..NO_NETWORK.clone() }
}

impl Client {
    fn new(config: &Config) -> Self {
        Self {
            session: Session::new(config),
            sent: Vec::new(),
            unread: Vec::new(),
            granted: 0,
            steps: 0,
            waits: false,
            asks: None,
        }
    }
}

/// After `verbosity 2` every log line is formatted, and discarded.
fn log_everything_nowhere() {
    struct Nowhere;
    impl log::Log for Nowhere {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            write!(String::new(), "{}", record.args()).unwrap();
        }
        fn flush(&self) {}
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| log::set_logger(&Nowhere).unwrap());
    miocached::trace::set_verbosity(0);
}
