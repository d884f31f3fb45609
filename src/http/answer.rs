//! The head of an answer.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Bytes that the head of an answer may have.
pub const ANSWER_HEAD_BYTES_MAX: usize = 1024;

/// Headers of every answer. The page may load from this server alone. Other sites may not embed or load
/// it. Nothing is cached, because figures and keys are those of the moment.
const COMMON_HEADERS: &str = "Cache-Control: no-store\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Referrer-Policy: no-referrer\r\n\
    X-Content-Type-Options: nosniff\r\n";

/// The status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The page follows.
    Ok,
    /// It is no request of HTTP.
    BadRequest,
    /// There is no such page.
    NotFound,
    /// Another method than `GET` and `HEAD`.
    MethodNotAllowed,
    /// The request has a body.
    ContentTooLarge,
    /// The request names another host.
    MisdirectedRequest,
    /// The head is too long.
    HeadTooLarge,
    /// There are as many connections as there may be.
    ServiceUnavailable,
    /// Neither HTTP/1.0 nor 1.1.
    VersionNotSupported,
}

impl Status {
    /// Its number and its meaning, as a line.
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK\r\n",
            Self::BadRequest => "400 Bad Request\r\n",
            Self::NotFound => "404 Not Found\r\n",
            Self::MethodNotAllowed => "405 Method Not Allowed\r\n",
            Self::ContentTooLarge => "413 Content Too Large\r\n",
            Self::MisdirectedRequest => "421 Misdirected Request\r\n",
            Self::HeadTooLarge => "431 Request Header Fields Too Large\r\n",
            Self::ServiceUnavailable => "503 Service Unavailable\r\n",
            Self::VersionNotSupported => "505 HTTP Version Not Supported\r\n",
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: Status,
    /// The media type of its body.
    pub media_type: &'static str,
    /// Its body.
    pub body: Cow<'static, [u8]>,
}

impl Answer {
    /// An answer without a page: its body is the status.
    #[must_use]
    pub const fn error(status: Status) -> Self {
        let body = Cow::Borrowed(status.line().as_bytes());
        Self { status, media_type: "text/plain; charset=utf-8", body }
    }

    /// Appends the head, which has at most [`ANSWER_HEAD_BYTES_MAX`] bytes, to `head`. `version` and
    /// `keeps_alive` are those of the request, and `unix_s` is the time.
    pub fn write_head(&self, head: &mut String, version: u8, keeps_alive: bool, unix_s: i64) {
        head.push_str("HTTP/1.1 ");
        head.push_str(self.status.line());
        // Writing into memory does not fail.
        let _ = write!(head, "Date: {}\r\n", Date(unix_s));
        let _ = write!(head, "Content-Type: {}\r\n", self.media_type);
        let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        head.push_str(COMMON_HEADERS);
        if self.status == Status::MethodNotAllowed {
            head.push_str("Allow: GET, HEAD\r\n");
        }
        match (version, keeps_alive) {
            (_, false) => head.push_str("Connection: close\r\n"),
            (0, true) => head.push_str("Connection: keep-alive\r\n"),
            (_, true) => {}
        }
        head.push_str("\r\n");
    }
}

/// A Unix time as HTTP writes it.
struct Date(i64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
        // A clock before 1970, or after the year 9999, shows the nearest time between them.
        let unix_s = self.0.clamp(0, 253_402_300_799).unsigned_abs();
        let (days, s) = (unix_s / 86_400, unix_s % 86_400);
        // Years begin in March here, so that the leap day is the last day of each period: of 400 years
        // (146,097 days), of 100, of 4 and of 1.
        let since_march = days + 719_468;
        let (era, day_of_era) = (since_march / 146_097, since_march % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Five months in a row have 153 days.
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let year = 400 * era + year_of_era + u64::from(month >= 10);
        let weekday = DAYS[(days % 7) as usize];
        let month = MONTHS[month as usize];
        let (hour, minute, second) = (s / 3600, s / 60 % 60, s % 60);
        write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        let cases = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_795_801_199, "Fri, 27 Nov 2026 17:39:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (i64::MIN, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ];
        for (unix_s, expected) in cases {
            assert_eq!(Date(unix_s).to_string(), expected);
        }
    }

    #[test]
    fn heads_have_what_the_request_asks_for() {
        let page = Answer { status: Status::Ok, media_type: "text/html", body: b"page"[..].into() };
        let head_of = |answer: &Answer, version, keeps_alive| {
            let mut head = String::new();
            answer.write_head(&mut head, version, keeps_alive, 0);
            head
        };
        let head = head_of(&page, 1, true);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"));
        assert!(head.contains("Content-Type: text/html\r\nContent-Length: 4\r\n"), "{head}");
        assert!(!head.contains("Connection:") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head_of(&page, 0, true).contains("Connection: keep-alive\r\n"));
        let error = Answer::error(Status::MethodNotAllowed);
        let head = head_of(&error, 1, false);
        assert!(head.contains("Allow: GET, HEAD\r\nConnection: close\r\n\r\n"), "{head}");
        assert_eq!(&*error.body, b"405 Method Not Allowed\r\n");
        assert!(head.len() <= ANSWER_HEAD_BYTES_MAX);
    }
}
