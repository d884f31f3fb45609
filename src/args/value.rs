//! Parsers for the values of options.

use std::ffi::OsStr;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::builder::{
    PathBufValueParser, PossibleValue, RangedU64ValueParser, StringValueParser, TypedValueParser,
};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error, value_parser};
use miocached::config::MIB;

/// Skips white space before a value, as memcached does: Helm charts write `'-m 64'` as one argument.
pub(super) const fn trimmed<P>(parser: P) -> Trimmed<P> {
    Trimmed(parser)
}

/// See [`trimmed`].
#[derive(Clone)]
pub(super) struct Trimmed<P>(P);

impl<P: TypedValueParser> TypedValueParser for Trimmed<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, Error> {
        let value = OsStr::from_bytes(value.as_bytes().trim_ascii_start());
        self.0.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// Passes the parsed value to `check`. Its error is a refusal: one line for the operator. The check
/// runs when the option is parsed, so `--enable-ssl --version` fails, and `--version --enable-ssl`
/// prints the version, as in memcached.
pub(super) fn checked<P, F, T>(parser: P, check: F) -> Checked<P, F>
where
    P: TypedValueParser,
    F: Fn(P::Value) -> Result<T, String>,
{
    Checked(parser, check)
}

/// See [`checked`].
#[derive(Clone)]
pub(super) struct Checked<P, F>(P, F);

impl<P, F, T> TypedValueParser for Checked<P, F>
where
    P: TypedValueParser,
    F: Fn(P::Value) -> Result<T, String> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, Error> {
        self.1(self.0.parse_ref(command, argument, value)?).map_err(|why| {
            let mut error = Error::new(ErrorKind::ValueValidation).with_cmd(command);
            error.insert(ContextKind::Custom, ContextValue::String(why));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// The text of a refusal, if `error` comes from [`checked`].
pub(super) fn refusal(error: &Error) -> Option<&str> {
    match error.get(ContextKind::Custom) {
        Some(ContextValue::String(why)) => Some(why),
        _ => None,
    }
}

/// Any text.
pub(super) fn text() -> impl TypedValueParser<Value = String> {
    trimmed(StringValueParser::new())
}

/// A path.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    trimmed(PathBufValueParser::new())
}

/// A port; 0 and -1 mean any free port.
pub(super) fn port() -> impl TypedValueParser<Value = i32> {
    trimmed(value_parser!(i32).range(-1..=65535))
}

/// A port, of 127.0.0.1 unless an IP address is before it.
pub(super) fn address() -> impl TypedValueParser<Value = SocketAddr> {
    trimmed(|text: &str| {
        let port = text.strip_prefix(':').unwrap_or(text).parse();
        match port.map(|port| SocketAddr::from(([127, 0, 0, 1], port))) {
            Ok(local) => Ok(local),
            Err(_) => text.parse().map_err(|_| "neither a port nor ADDRESS:PORT"),
        }
    })
}

/// A number of mebibytes, as bytes.
pub(super) fn mebibytes(option: &'static str) -> impl TypedValueParser<Value = usize> {
    checked(trimmed(RangedU64ValueParser::<usize>::new()), move |mebibytes| {
        mebibytes.checked_mul(MIB).ok_or_else(|| format!("{option} {mebibytes} is too large"))
    })
}

/// A number above 0.
pub(super) fn positive(what: &'static str) -> impl TypedValueParser<Value = usize> {
    checked(trimmed(value_parser!(i64)), move |number| match usize::try_from(number) {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("{what} must be at least 1")),
    })
}

/// A size in bytes, or in KiB or MiB with a suffix of k or m.
pub(super) fn size() -> impl TypedValueParser<Value = usize> {
    trimmed(parse_size)
}

/// Permission bits.
pub(super) fn octal() -> impl TypedValueParser<Value = u32> {
    trimmed(|text: &str| match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("not a mode from 0 to 777"),
    })
}

/// One byte: the first one of the text, as in memcached.
pub(super) fn delimiter() -> impl TypedValueParser<Value = u8> {
    trimmed(|text: &str| text.bytes().next().ok_or("no character"))
}

/// All addresses of `name`, which may include a port.
pub(super) fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    // An IPv6 address contains colons, so it can have a port only after brackets.
    let found = match bare.parse() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) if name.contains(':') => name.to_socket_addrs().map(Iterator::collect),
        Err(_) => (name, port).to_socket_addrs().map(Iterator::collect),
    };
    found.map_err(|error| format!("cannot listen on {name}: {error}"))
}

fn parse_size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1024),
        Some(b'm' | b'M') => (&text[..text.len() - 1], MIB),
        _ => (text, 1),
    };
    let number: usize = digits.parse().map_err(|_| "not a size such as 4096, 512k or 2m")?;
    number.checked_mul(unit).ok_or_else(|| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_this_machine_unless_given() {
        let parse = |text: &str| {
            let command = Command::new("test").arg(Arg::new("a").value_parser(address()));
            let matches = command.try_get_matches_from(["test", text]).ok()?;
            matches.get_one("a").map(|address: &SocketAddr| address.to_string())
        };
        for (text, expected) in [
            ("9150", "127.0.0.1:9150"),
            (":9150", "127.0.0.1:9150"),
            (" 0", "127.0.0.1:0"),
            ("0.0.0.0:9150", "0.0.0.0:9150"),
            ("[::1]:9150", "[::1]:9150"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", ":", "65536", "-1", "::1", "127.0.0.1", "localhost:9150", "a:b", "1:2:3"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("512k"), Ok(512 << 10));
        assert_eq!(parse_size("2M"), Ok(2 << 20));
        for bad in ["", "m", "-1", "1g", "1.5m", "99999999999999999999", "99999999999999999m"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
