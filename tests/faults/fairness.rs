//! One connection that sends without pause. How long other clients wait is measured in bytes of its
//! requests: the server is stopped while all clients send, and its own counters then show the order.

use miocached::net::{INPUT_BYTES, OUTPUT_HIGH_WATER};

use crate::harness::process::{PATIENCE, Server, stored, until, value};

/// A request of the greedy clients: it adds 1 to a counter.
const COUNT: &[u8] = b"incr n 1 noreply\r\n";

/// `greedy` clients have sent hundreds of kilobytes of requests before another client's request arrives.
fn assert_one_budget_each(greedy: usize) {
    let server = Server::start(&["-p", "0"]);
    let mut polite = server.tcp();
    let mut crowd: Vec<_> = (0..greedy).map(|_| server.tcp()).collect();
    for client in &mut crowd {
        client.ask(b"get a\n", b"END\n");
    }
    for _ in 0..10 {
        polite.ask(b"set n 0 0 20\r\n00000000000000000000\r\n", b"STORED\r\n");
        // Many times what one turn executes.
        let requests = COUNT.repeat(16 * INPUT_BYTES / COUNT.len());
        server.while_stopped(|| {
            for client in &mut crowd {
                client.send(&requests);
            }
            polite.send(b"incr n 0\r\n");
        });
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut polite.stream, &mut byte).unwrap();
            answer.extend_from_slice(&byte);
        }
        let done: usize = String::from_utf8(answer).unwrap().trim_end().parse().unwrap();
        let bytes = done * COUNT.len();
        assert!(
            bytes <= greedy * INPUT_BYTES,
            "{bytes} bytes of {greedy} other clients were executed first"
        );
        let all = greedy * requests.len() / COUNT.len();
        assert!(done < all, "all requests were executed first, so the test shows nothing");
        until("all are done", PATIENCE, || {
            polite.send(b"incr n 0\r\n");
            let mut answer = [0; 64];
            let read = std::io::Read::read(&mut polite.stream, &mut answer).unwrap();
            answer[..read].trim_ascii() == all.to_string().as_bytes()
        });
    }
}

#[test]
fn others_wait_for_at_most_one_buffer_of_requests() {
    assert_one_budget_each(1);
}

#[test]
fn others_wait_for_at_most_one_buffer_of_each() {
    assert_one_budget_each(5);
}

/// The same for answers: a turn ends at the high-water mark of its output.
#[test]
fn others_wait_for_at_most_one_buffer_of_answers() {
    const VALUE_BYTES: usize = 10_000;
    let server = Server::start(&["-p", "0"]);
    let (mut polite, mut greedy) = (server.tcp(), server.tcp());
    let (set, block) = stored("a", &value(VALUE_BYTES));
    greedy.ask(&set, b"STORED\n");
    let before = polite.figure("bytes_written");
    let own_answer = 8 << 10;
    server.while_stopped(|| {
        greedy.send(&b"get a\n".repeat(INPUT_BYTES / 6));
        polite.send(b"stats\r\n");
    });
    let written = usize::try_from(polite.read_figure("bytes_written") - before).unwrap();
    let most = OUTPUT_HIGH_WATER + block.len() + 5 + own_answer;
    println!("{written} bytes were written first, {most} are allowed");
    assert!(written <= most, "{written} bytes were written first");
    // All answers arrive whole.
    for _ in 0..INPUT_BYTES / 6 {
        greedy.expect(&block);
        greedy.expect(b"END\n");
    }
}
