//! A request allocates no memory if the same request has been executed before.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::System;
use std::hint::black_box;
use std::io::{Cursor, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use miocached::config::Config;
use miocached::engine::{Engine, Now};
use miocached::net::clock::Clock;
use miocached::net::{Inherited, Listeners, Reactor, ServiceManager, engine_for, watch_signals};
use miocached::protocol::OutputLimit;
use miocached::session::{Session, Stop};
use miocached::snapshot::{read, write};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The requests, and how many of each are sent at once.
const REQUESTS: [&str; 12] = [
    "set key 0 0 5\r\nvalue\r\n",
    "set number 7 0 2\r\n10\r\n",
    "get key\r\n",
    "gets key number missing\r\n",
    "get key number missing key number missing key number missing key number missing key\r\n",
    "incr number 1\r\n",
    "touch key 100\r\n",
    "mg key v f c s k Oopaque\r\n",
    "ms key 5 T100\r\nvalue\r\n",
    "ma number\r\n",
    "set key 5\nvalue\n",
    "get key missing\n",
];
const PIPELINED: usize = 50;
const WARMING: usize = 3;
const ROUNDS: usize = 100;
const ATTEMPTS: usize = 3;

/// The fewest allocations of a few attempts: the thread that waits for the test sometimes allocates, too.
fn allocations_of(mut run: impl FnMut()) -> usize {
    for _ in 0..WARMING {
        run();
    }
    let mut attempt = || {
        let region = Region::new(ALLOCATOR);
        (0..ROUNDS).for_each(|_| run());
        let change = region.change();
        change.allocations + change.reallocations
    };
    (0..ATTEMPTS).map(|_| attempt()).min().unwrap()
}

/// One test, because the allocations of all threads are counted.
#[test]
fn nothing_is_allocated_once_warm() {
    let counted = allocations_of(|| drop(black_box(Vec::<u8>::with_capacity(64))));
    assert_eq!(counted, ROUNDS, "what is allocated is counted");
    a_session_allocates_nothing();
    a_server_allocates_nothing();
    a_snapshot_allocates_nothing_for_an_item();
}

fn a_session_allocates_nothing() {
    let config = Config { hot_keys: true, ..Config::default() };
    let mut engine = Engine::new(&config).unwrap();
    let mut session = Session::new(&config);
    let mut output = Vec::new();
    let now = Now { uptime_s: 1000, unix_s: 1_700_000_000 };
    for request in REQUESTS {
        for times in [1, PIPELINED] {
            let input = request.repeat(times).into_bytes();
            let allocated = allocations_of(|| {
                output.clear();
                let mut room = OutputLimit::UNBOUNDED;
                let done = session.advance(&input, &mut output, &mut room, &mut engine, now.into());
                assert_eq!(done, (input.len(), Stop::NeedsInput));
            });
            assert_eq!(allocated, 0, "{times} times {request:?}");
        }
    }
}

/// Writing takes the memory of one block, and reading that of the map's tables, one for 96 items, and of
/// one divided record for each MiB.
fn a_snapshot_allocates_nothing_for_an_item() {
    const ITEMS: usize = 100_000;
    let config = Config::default();
    let now = Now { uptime_s: 1000, unix_s: 1_700_000_000 };
    let mut engine = Engine::new(&config).unwrap();
    let mut session = Session::new(&config);
    for number in 0..ITEMS {
        let request = format!("set key{number} 0 0 5 noreply\r\nvalue\r\n");
        let mut room = OutputLimit::UNBOUNDED;
        session.advance(request.as_bytes(), &mut Vec::new(), &mut room, &mut engine, now.into());
    }
    let mut file = Vec::with_capacity(16 << 20);
    let region = Region::new(ALLOCATOR);
    let written = write(&mut engine, now, &mut file, |_| ()).unwrap();
    let writing = region.change().allocations;
    let (bytes, mut from) = (file.len() as u64, Cursor::new(file));
    let mut engine = Engine::new(&config).unwrap();
    let region = Region::new(ALLOCATOR);
    let loaded = read(&mut engine, now, &mut from, bytes, |_| true).unwrap();
    let reading = region.change().allocations;
    assert_eq!((written.items, loaded.items.restored), (ITEMS as u64, ITEMS as u64));
    assert!(writing <= 2, "{writing} allocations");
    assert!(reading < ITEMS / 50, "{reading} allocations");
}

fn a_server_allocates_nothing() {
    let tcp = vec!["127.0.0.1:0".parse().unwrap()];
    let config = Config { tcp, shutdown_enabled: true, ..Config::default() };
    let mut listeners = Listeners::bind_tcp(&config, Inherited::default()).unwrap();
    listeners.listen(&config).unwrap();
    let address = listeners.addresses().next().unwrap();
    let engine = engine_for(&config).unwrap();
    let signals = watch_signals().unwrap();
    let manager = ServiceManager::from_environment(false);
    let clock = Clock::start();
    let mut reactor =
        Reactor::new(config, listeners, None, engine, signals, clock, manager).unwrap();
    let server = thread::spawn(move || reactor.run().unwrap());
    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    let mut answer = vec![0; 1 << 20];
    for request in REQUESTS {
        for times in [1, PIPELINED] {
            // The last answer differs from all others.
            let input = [request.repeat(times).as_bytes(), b"mn\r\n"].concat();
            let allocated = allocations_of(|| {
                client.write_all(&input).unwrap();
                let mut filled = 0;
                while !answer[..filled].ends_with(b"MN\r\n") {
                    let bytes = client.read(&mut answer[filled..]).unwrap();
                    assert!(bytes > 0, "the server has hung up");
                    filled += bytes;
                }
            });
            assert_eq!(allocated, 0, "{times} times {request:?}");
        }
    }
    client.write_all(b"shutdown\r\n").unwrap();
    server.join().unwrap();
}
