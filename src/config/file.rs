//! Reads the small files that options name: the auth file of `-Y` and the pid file of `-P`.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Largest file that is read, in bytes: thirty times the longest valid auth file, so that a path to
/// something else is an error and not memory.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads a regular file without ever blocking on it.
///
/// Opening a FIFO for reading blocks until a process opens it for writing, and reading a terminal
/// blocks until a line is typed. Either would stop the start, or the event loop when SIGHUP has the
/// auth file read again. So the file is opened with `O_NONBLOCK`, and read only if it is regular.
///
/// # Errors
/// When the file cannot be opened or read, is no regular file, or has more than 64 KiB.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let file = options.read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "user:password\n").expect("a file");
        std::os::unix::fs::symlink(at("file"), at("link")).expect("a link");
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        std::fs::write(at("large"), vec![b'x'; 64 * 1024 + 1]).expect("a file");
        for name in ["file", "link"] {
            assert_eq!(read(&at(name)).expect("it is a file"), b"user:password\n", "{name}");
        }
        for name in ["fifo", "large", "missing", "."] {
            assert!(read(&at(name)).is_err(), "{name}");
        }
        assert!(read(Path::new("/dev/zero")).is_err());
    }
}
