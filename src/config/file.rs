//! Reads the small files that options name: the auth file of `-Y` and the pid file of `-P`.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Largest file that is read, in bytes: some thirty times the largest valid auth file. A larger file, at
/// a wrong path for example, is an error, and does not fill the memory.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads a regular file, and does not block on a file of another kind.
///
/// Opening a FIFO for reading blocks until a process opens it for writing, and reading a terminal
/// blocks until a line is typed. That would stop the start, or the event loop when it reads the auth
/// file again after SIGHUP. So the file is opened with `O_NONBLOCK`, and read only if it is regular.
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
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "user:password\n").expect("a file");
        std::os::unix::fs::symlink(path("file"), path("link")).expect("a link");
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        std::fs::write(path("large"), vec![b'x'; 64 * 1024 + 1]).expect("a file");
        for name in ["file", "link"] {
            assert_eq!(read(&path(name)).expect("it is a file"), b"user:password\n", "{name}");
        }
        for name in ["fifo", "large", "missing", "."] {
            assert!(read(&path(name)).is_err(), "{name}");
        }
        assert!(read(Path::new("/dev/zero")).is_err());
    }
}
