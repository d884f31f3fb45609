//! Who may be served, where not everybody is: users and passwords out of `-Y`'s file.
//!
//! Knows no file and no conversation: the network reads the one, the session keeps the other closed
//! until a user has been let in.

/// Users that a file may name (memcached's limit, too).
const USERS_MAX: usize = 8;
/// Bytes of a line of the file, its end included (memcached's limit, too).
const LINE_BYTES_MAX: usize = 256;

/// Users and their passwords. A default one lets nobody in.
#[derive(Clone, Default)]
pub struct Credentials {
    users: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Credentials {
    /// Reads the text of a file: `user:password` in each line, empty lines aside.
    ///
    /// # Errors
    /// One line for the operator, without a word of what the file says.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut users = Vec::new();
        for (at, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let number = at + 1;
            if line.len() >= LINE_BYTES_MAX {
                return Err(format!("line {number} is longer than {LINE_BYTES_MAX} bytes"));
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

    /// Is this one of the users, with his password? Takes as long for one that nearly is as for any
    /// other: all users are compared, and all bytes given.
    #[must_use]
    pub fn allow(&self, user: &[u8], password: &[u8]) -> bool {
        self.users.iter().fold(false, |allowed, (known, secret)| {
            allowed | (same(user, known) & same(password, secret))
        })
    }
}

/// Never shows what it holds.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials of {} users", self.users.len())
    }
}

/// Compares without stopping at the first difference, so that the time tells nothing about where it
/// is.
fn same(given: &[u8], known: &[u8]) -> bool {
    let mut different = u8::from(given.len() != known.len());
    for (at, byte) in given.iter().enumerate() {
        different |= byte ^ known.get(at).copied().unwrap_or(!byte);
    }
    std::hint::black_box(different) == 0
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
        let long = [b"a:".to_vec(), vec![b'b'; LINE_BYTES_MAX]].concat();
        for bad in [&b""[..], b"\n", b"foo", b"foo:bar\nfoo", &many, &long] {
            assert!(Credentials::parse(bad).is_err());
        }
    }
}
