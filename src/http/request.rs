//! The head of a request.

use std::net::IpAddr;

use httparse::{EMPTY_HEADER, Error, Header};

use super::Status;

/// Bytes that the head of a request may have. Browsers send about one kilobyte.
pub const HEAD_BYTES_MAX: usize = 8 << 10;
/// Lines that the head of a request may have, besides the first. Browsers send about 15.
const HEADERS_MAX: usize = 64;

/// What the input begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A request, and the bytes of its head.
    Request(Request<'a>, usize),
    /// The beginning of a head: read more.
    Incomplete,
    /// No next request can be found after these bytes, or they are for another server. The connection
    /// ends with an answer of this status.
    Refused(Status),
}

/// A request whose head has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The path that is asked for, without its query; or the status of a request that is refused.
    pub path: Result<&'a str, Status>,
    /// `HEAD`: the answer is sent without its body.
    pub head_only: bool,
    /// The minor version: 0 or 1.
    pub version: u8,
    /// The connection stays open after the answer.
    pub keeps_alive: bool,
}

/// Parses the head at the start of `input`. `only_local` refuses a request for a host with a name
/// other than `localhost`.
///
/// A web page can have the name of its site resolved to 127.0.0.1, and then read what is served there with
/// the operator's browser (DNS rebinding). `Host` has that name, so a server on a loopback address, which
/// only programs of this machine can reach, answers to no name.
#[must_use]
pub fn parse(input: &[u8], only_local: bool) -> Parsed<'_> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(input) {
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => Parsed::Incomplete,
        Ok(httparse::Status::Partial) | Err(Error::TooManyHeaders) => {
            Parsed::Refused(Status::HeadTooLarge)
        }
        Ok(httparse::Status::Complete(used)) if used <= HEAD_BYTES_MAX => {
            let (method, target) = (head.method.unwrap_or(""), head.path.unwrap_or(""));
            let version = head.version.unwrap_or(0);
            match understand(method, target, version, head.headers, only_local) {
                Ok(request) => Parsed::Request(request, used),
                Err(status) => Parsed::Refused(status),
            }
        }
        Ok(httparse::Status::Complete(_)) => Parsed::Refused(Status::HeadTooLarge),
        Err(Error::Version) => Parsed::Refused(Status::VersionNotSupported),
        Err(
            Error::HeaderName | Error::HeaderValue | Error::NewLine | Error::Status | Error::Token,
        ) => Parsed::Refused(Status::BadRequest),
    }
}

fn understand<'a>(
    method: &str,
    target: &'a str,
    version: u8,
    headers: &[Header<'_>],
    only_local: bool,
) -> Result<Request<'a>, Status> {
    if values(headers, "Transfer-Encoding").next().is_some()
        || values(headers, "Content-Length").any(|length| length != b"0")
    {
        return Err(Status::ContentTooLarge);
    }
    let is_served = matches!(method, "GET" | "HEAD");
    let (authority, path) = match target.strip_prefix("http://") {
        // A target with the scheme has its own host, which counts instead of the header's.
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(authority.as_bytes()), if path.is_empty() { "/" } else { path })
        }
        None => (None, target),
    };
    if is_served && !path.starts_with('/') {
        return Err(Status::BadRequest);
    }
    let mut hosts = values(headers, "Host");
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => authority.unwrap_or(host),
        (None, _) if version == 0 => authority.unwrap_or(b"localhost"),
        (None, _) | (Some(_), Some(_)) => return Err(Status::BadRequest),
    };
    if only_local && !is_local(host) {
        return Err(Status::MisdirectedRequest);
    }
    let asks_for = |option: &[u8]| {
        let mut options = values(headers, "Connection").flat_map(|all| all.split(|&b| b == b','));
        options.any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
    };
    let keeps_alive =
        if version == 0 { asks_for(b"keep-alive") } else { true } && !asks_for(b"close");
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    Ok(Request {
        path: if is_served { Ok(path) } else { Err(Status::MethodNotAllowed) },
        head_only: method == "HEAD",
        version,
        keeps_alive,
    })
}

/// The values of all headers of this name.
fn values<'h>(headers: &'h [Header<'_>], name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value.trim_ascii())
}

/// Whether `host`, which may have a port, is `localhost` or the address of a machine.
fn is_local(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else { return false };
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Request<'_> =
        Request { path: Ok("/metrics"), head_only: false, version: 1, keeps_alive: true };

    fn head(lines: &str) -> Parsed<'_> {
        parse(lines.as_bytes(), true)
    }

    #[test]
    fn requests_are_read() {
        let text = "GET /metrics HTTP/1.1\r\nHost: localhost:9150\r\nAccept: */*\r\n\r\n";
        assert_eq!(head(text), Parsed::Request(GET, text.len()));
        let text = "HEAD /metrics?x=1 HTTP/1.1\nHost: [::1]\nConnection: foo, Close\n\n";
        let request = Request { head_only: true, keeps_alive: false, ..GET };
        assert_eq!(head(text), Parsed::Request(request, text.len()));
        let text = "GET /metrics HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n";
        let request = Request { version: 0, keeps_alive: false, ..GET };
        assert_eq!(head(text), Parsed::Request(request, 25));
        let text = "GET /metrics HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n";
        let request = Request { version: 0, ..GET };
        assert_eq!(head(text), Parsed::Request(request, text.len()));
        let text = "POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n";
        let request = Request { path: Err(Status::MethodNotAllowed), ..GET };
        assert_eq!(head(text), Parsed::Request(request, text.len()));
    }

    #[test]
    fn every_beginning_of_a_head_is_incomplete() {
        let text = b"GET /metrics HTTP/1.1\r\nHost: localhost:9150\r\nAccept: */*\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end], true), Parsed::Incomplete, "{end} bytes");
        }
    }

    #[test]
    fn what_cannot_be_answered_ends_the_connection() {
        let cases = [
            ("GET / HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", Status::BadRequest),
            ("GET metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost localhost\r\n\r\n", Status::BadRequest),
            ("\x16\x03\x01\x02\0\x01\0\x01", Status::BadRequest),
            ("set a 0 0 1\r\nx\r\n", Status::VersionNotSupported),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Status::VersionNotSupported),
            (
                "GET / HTTP/1.1\r\nHost: ::1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Status::ContentTooLarge,
            ),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", Status::ContentTooLarge),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -0\r\n\r\n", Status::ContentTooLarge),
        ];
        for (text, status) in cases {
            assert_eq!(head(text), Parsed::Refused(status), "{text:?}");
        }
    }

    #[test]
    fn long_heads_are_refused() {
        let start = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
        let with = |bytes: usize| format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4));
        assert!(matches!(head(&with(HEAD_BYTES_MAX)), Parsed::Request(_, HEAD_BYTES_MAX)));
        let long = with(HEAD_BYTES_MAX + 1);
        assert_eq!(head(&long), Parsed::Refused(Status::HeadTooLarge));
        assert_eq!(head(&long[..HEAD_BYTES_MAX]), Parsed::Refused(Status::HeadTooLarge));
        assert_eq!(head(&long[..HEAD_BYTES_MAX - 1]), Parsed::Incomplete);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(head(&many), Parsed::Refused(Status::HeadTooLarge));
    }

    #[test]
    fn a_local_server_answers_to_no_name() {
        let asked = |target: &str, host: &str, only_local| {
            let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            match parse(text.as_bytes(), only_local) {
                Parsed::Request(..) => None,
                Parsed::Refused(status) => Some(status),
                Parsed::Incomplete => panic!("{text:?} is complete"),
            }
        };
        for host in ["localhost", "LOCALHOST:9150", "127.0.0.1:9150", "[::1]:9150", "10.1.2.3"] {
            assert_eq!(asked("/", host, true), None, "{host}");
        }
        for host in ["evil.example:9150", "localhost.evil.example", "", "[evil]", "127.0.0.1.x"] {
            assert_eq!(asked("/", host, true), Some(Status::MisdirectedRequest), "{host}");
            assert_eq!(asked("/", host, false), None, "{host}");
        }
        let foreign = Some(Status::MisdirectedRequest);
        assert_eq!(asked("http://evil.example/", "localhost", true), foreign);
        assert_eq!(asked("http://localhost:9150", "evil.example", true), None);
    }
}
