//! The heads of HTTP requests: whatever comes, the parser uses no more bytes than there are, asks for
//! more only while a head may go on, and finds a request at its last byte and not before.

use miocached::http::{HEAD_BYTES_MAX, Parsed, parse};

use super::grammar::Source;

/// Parts of heads, legal and broken.
const PARTS: [&[u8]; 24] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"/",
    b"/metrics",
    b"http://localhost/",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" HTTP/2.0\r\n",
    b"Host: localhost\r\n",
    b"Host: [::1]:9150\r\n",
    b"Host: evil.example\n",
    b"Connection: close, keep-alive\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"X: y\r\n y\r\n",
    b": \r\n",
    b"?a=b#c",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0\xff\x80",
    b"\x16\x03\x01",
];

#[test]
fn heads_end_where_they_end() {
    bolero::check!(name = "http").with_max_len(512).for_each(run);
}

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let only_local = source.one_in(2);
    let mut head: Vec<u8> =
        if source.one_in(4) { Vec::new() } else { b"GET / HTTP/1.1\r\n".into() };
    while !source.is_empty() && head.len() <= HEAD_BYTES_MAX {
        let part = source.pick(&PARTS);
        let times = source.pick(&[1, 1, 1, 1, 1, 70, 3000]);
        (0..times).for_each(|_| head.extend_from_slice(part));
    }
    match parse(&head, only_local) {
        Parsed::Incomplete => assert!(head.len() < HEAD_BYTES_MAX, "{} bytes", head.len()),
        Parsed::Refused(_) => {}
        Parsed::Request(request, used) => {
            assert!(used <= head.len().min(HEAD_BYTES_MAX), "{used} of {} bytes", head.len());
            assert_eq!(parse(&head[..used], only_local), Parsed::Request(request, used));
            for end in [used - 1, used / 2, 1] {
                let before = parse(&head[..end], only_local);
                assert_eq!(before, Parsed::Incomplete, "{end} of {used} bytes");
            }
        }
    }
}
