//! Why a connection waits: `stats conns`, and the log after SIGUSR2.

use std::collections::HashMap;
use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::harness::process::{Client, MIB, PATIENCE, Server, stored, until, value};

/// What `stats conns` shows of one client: its figures, without the descriptor before their names. Empty
/// if the server has not accepted it, or has closed it.
fn shown(asking: &mut Client<TcpStream>, client: &Client<TcpStream>) -> HashMap<String, String> {
    let address = format!("tcp:{}", client.stream.local_addr().unwrap());
    let all = asking.stats("conns");
    let id = |name: &str| name.split_once(':').unwrap().0.to_owned();
    let found = all.iter().find(|(name, figure)| name.ends_with(":addr") && **figure == address);
    let Some(own) = found.map(|(name, _)| id(name)) else { return HashMap::new() };
    let figures = all.into_iter().filter(|(name, _)| id(name) == own);
    figures.map(|(name, figure)| (name.split_once(':').unwrap().1.to_owned(), figure)).collect()
}

/// Waits until the client is shown with this `waits_for`. Returns its figures.
fn until_waits(
    asking: &mut Client<TcpStream>,
    client: &Client<TcpStream>,
    wait: &str,
) -> HashMap<String, String> {
    let mut figures = HashMap::new();
    until(wait, PATIENCE, || {
        figures = shown(asking, client);
        figures.get("waits_for").is_some_and(|shown| shown == wait)
    });
    figures
}

fn number(figures: &HashMap<String, String>, name: &str) -> usize {
    figures[name].parse().unwrap()
}

#[test]
fn stats_conns_says_what_each_connection_waits_for() {
    let server = Server::start(&["-p", "0"]);
    let (set, block) = stored("a", &value(MIB - 512));
    let mut asking = server.tcp();
    asking.ask(&set, b"STORED\n");

    let mut idle = server.tcp();
    idle.ask(b"get b\n", b"END\n");
    let figures = until_waits(&mut asking, &idle, "input");
    assert_eq!((number(&figures, "unsent_bytes"), number(&figures, "buffer_bytes")), (0, 0));
    assert!(!figures.contains_key("wanted_bytes"));
    let waited = number(&figures, "waits_ms");
    until("it waits for longer", PATIENCE, || {
        number(&shown(&mut asking, &idle), "waits_ms") > waited
    });
    idle.ask(b"get b\n", b"END\n");

    let mut sending = server.tcp();
    sending.send(b"set c 10\nxx");
    until("half a request is there", PATIENCE, || {
        let figures = shown(&mut asking, &sending);
        let figure = |name| figures.get(name).map(String::as_str);
        (figure("state"), figure("waits_for")) == (Some("conn_nread"), Some("input"))
    });

    // What this client does not read fills its receive buffer, then the server's send buffer.
    let mut deaf = server.tcp();
    deaf.send(format!("get{}\n", " a".repeat(20)).as_bytes());
    let figures = until_waits(&mut asking, &deaf, "reader");
    let unsent = number(&figures, "unsent_bytes");
    assert!(unsent > 0 && number(&figures, "buffer_bytes") >= unsent, "{figures:?}");
    deaf.expect(&[block.repeat(20), b"END\n".to_vec()].concat());
    until_waits(&mut asking, &deaf, "input");

    let mut watching = server.tcp();
    watching.ask(b"watch evictions\r\n", b"OK\r\n");
    until_waits(&mut asking, &watching, "events");

    // A lingering connection is closed after a second or two, which a busy machine may miss.
    let mut ended = Vec::new();
    until("a connection lingers", PATIENCE, || {
        let mut client = server.tcp();
        client.send(b"quit\r\nget a\r\n");
        ended.push(client);
        let figures = asking.stats("conns");
        figures.iter().any(|(name, wait)| name.ends_with(":waits_for") && wait == "close")
    });

    let mut itself = Client { stream: asking.stream.try_clone().unwrap() };
    assert_eq!(shown(&mut itself, &asking)["waits_for"], "turn");
}

/// Clients that send most of a large value each, with room for a few of them.
pub(super) fn crowd(server: &Server) -> Vec<Client<TcpStream>> {
    let request = [&b"set a 1000000\n"[..], &value(900_000)].concat();
    let push = |_| {
        let mut client = server.tcp();
        client.stream.set_nonblocking(true).unwrap();
        let mut sent = 0;
        // The server stops reading from those for which it has no memory.
        while let Ok(bytes @ 1..) = std::io::Write::write(&mut client.stream, &request[sent..]) {
            sent += bytes;
        }
        client
    };
    (0..12).map(push).collect()
}

#[test]
fn a_connection_that_waits_for_memory_is_shown_as_such() {
    let server = Server::start(&["-p", "0", "--buffer-limit", "1"]);
    let mut asking = server.tcp();
    let clients = crowd(&server);
    let mut waiting = HashMap::new();
    until("a connection waits for memory", PATIENCE, || {
        waiting = asking.stats("conns");
        waiting.values().any(|figure| figure == "memory")
    });
    let (name, _) = waiting.iter().find(|(_, figure)| *figure == "memory").unwrap();
    let wanted = &waiting[&name.replace("waits_for", "wanted_bytes")];
    assert!(wanted.parse::<usize>().unwrap() > 16 << 10, "{waiting:?}");
    server.signal(Signal::SIGUSR2);
    until("it is logged", PATIENCE, || server.log().contains("end of the report"));
    assert!(server.log().contains("waits for buffer memory; not moved for "));
    drop(clients);
}

/// The report has a line for each connection, and other clients are served while it is written.
#[test]
fn sigusr2_logs_what_each_connection_waits_for() {
    const CROWD: usize = 300;
    let server = Server::start(&["-p", "0", "-c", "400"]);
    let mut asking = server.tcp();
    let mut crowd: Vec<_> = (0..CROWD).map(|_| server.tcp()).collect();
    crowd.iter_mut().for_each(|client| client.ask(b"get a\n", b"END\n"));
    let turns = |asking: &mut Client<TcpStream>| asking.stats("loop")["turns"].parse::<u64>();
    let before = turns(&mut asking).unwrap();
    server.signal(Signal::SIGUSR2);
    until("the report ends", PATIENCE, || server.log().contains("SIGUSR2: end of the report"));
    // 64 connections in a turn.
    let needed = (CROWD / 64) as u64;
    assert!(turns(&mut asking).unwrap() - before > needed, "the report took too few turns");
    let log = server.log();
    assert!(log.contains(&format!("SIGUSR2: {} connections, 0 of them wait", CROWD + 1)), "{log}");
    for client in &crowd {
        let address = client.stream.local_addr().unwrap();
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains(&address.to_string())).collect();
        assert_eq!(lines.len(), 1, "{address} in {log}");
        assert!(lines[0].contains("waits for input; not moved for "), "{}", lines[0]);
    }
    // A second one, and then the server still stops as usual.
    server.signal(Signal::SIGUSR2);
    until("the second report ends", PATIENCE, || {
        server.log().matches("SIGUSR2: end of the report").count() == 2
    });
    asking.ask(b"get a\n", b"END\n");
}
