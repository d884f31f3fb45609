//! Authentication: the users and passwords of `-Y`'s file.
//!
//! Knows no file and no conversation: the network reads the file, and the session accepts no command
//! until its client has authenticated.

use subtle::{Choice, ConstantTimeEq as _};

/// Users that a file may name (memcached's limit, too).
const USERS_MAX: usize = 8;
/// Bytes of a line of the file, its end included (memcached's limit, too).
const FILE_LINE_BYTES_MAX: usize = 256;

/// Users and their passwords. The default has none, and refuses every user.
#[derive(Clone, Default)]
pub struct Credentials {
    users: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Credentials {
    /// Reads the text of a file: `user:password` in each line, empty lines aside.
    ///
    /// # Errors
    /// One line for the operator, which quotes nothing of the file.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut users = Vec::new();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let number = index + 1;
            if line.len() >= FILE_LINE_BYTES_MAX {
                return Err(format!("line {number} is longer than {FILE_LINE_BYTES_MAX} bytes"));
            }
            let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                return Err(format!("line {number} is not user:password"));
            };
            if users.len() == USERS_MAX {
                return Err(format!("there are more than {USERS_MAX} users"));
            }
            users.push((line[..colon].to_vec(), line[colon + 1..].to_vec()));
        }
        if users.is_empty() { Err("there is no user in it".into()) } else { Ok(Self { users }) }
    }

    /// Whether a user of this name has this password. Every guess takes the same time: it is compared
    /// with all users, and no comparison stops at a difference.
    #[must_use]
    pub fn allow(&self, user: &[u8], password: &[u8]) -> bool {
        let allowed = self.users.iter().fold(Choice::from(0), |allowed, (known, secret)| {
            allowed | (same(user, known) & same(password, secret))
        });
        allowed.into()
    }
}

/// Never shows what it holds.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials of {} users", self.users.len())
    }
}

/// Compares in constant time, whatever the lengths: an early return would give away the length of the
/// secret, or how much of a guess is right.
fn same(given: &[u8], known: &[u8]) -> Choice {
    // No longer secret fits into a line of the file.
    let bytes = given.len().min(FILE_LINE_BYTES_MAX);
    let (mut guess, mut secret) = ([0; FILE_LINE_BYTES_MAX], [0; FILE_LINE_BYTES_MAX]);
    guess[..bytes].copy_from_slice(&given[..bytes]);
    secret[..known.len()].copy_from_slice(known);
    given.len().ct_eq(&known.len()) & guess.ct_eq(&secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_let_in_with_their_own_password_only() {
        let known = Credentials::parse(b"foo:bar\r\n\nfoo2:b:r 2").expect("it is a good file");
        assert!(known.allow(b"foo", b"bar"));
        assert!(known.allow(b"foo2", b"b:r 2"));
        for (user, password) in
            [("foo", "b:r 2"), ("foo", ""), ("", ""), ("foo", "ba"), ("foo", "barr"), ("fo", "bar")]
        {
            assert!(!known.allow(user.as_bytes(), password.as_bytes()), "{user} {password}");
        }
        assert!(!Credentials::default().allow(b"", b""));
    }

    #[test]
    fn bad_files_are_refused() {
        let many = b"a:b\n".repeat(USERS_MAX + 1);
        let long = [b"a:".to_vec(), vec![b'b'; FILE_LINE_BYTES_MAX]].concat();
        for bad in [&b""[..], b"\n", b"foo", b"foo:bar\nfoo", &many, &long] {
            assert!(Credentials::parse(bad).is_err());
        }
    }
}
