//! The file of a snapshot: which file it may be, when it is written, and when it is removed.
//!
//! The temporary file beside it is created when the server starts and locked while it runs. That shows
//! at the start whether this user may write there, and keeps two servers from using one snapshot: the
//! second would read the snapshot of the first, and later, after a crash, one that is out of date. The
//! kernel releases the lock when the process ends, so what a killed server leaves is used again.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use log::{info, warn};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

use super::block::is_snapshot;
use super::progress::Progress;
use super::{Loaded, Written};
use crate::config::MIB;
use crate::engine::{Engine, Now};

/// The end of the temporary file's name. No other program has such files.
const TEMPORARY_SUFFIX: &str = ".miocached-tmp";
/// Items are secrets of the clients: no other user may read them.
const MODE: u32 = 0o600;
/// Attempts to lock the temporary file, if another server renames it at the same time.
const ATTEMPTS: usize = 10;

/// Why a snapshot cannot be read or written: one line for the operator.
#[derive(Debug)]
pub struct SnapshotError(String);

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SnapshotError {}

/// The file of `--snapshot`, locked for this process.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    temporary: Temporary,
}

impl SnapshotFile {
    /// Creates and locks the temporary file. The snapshot itself is only looked at.
    ///
    /// # Errors
    /// When the folder cannot be written or synced, another server uses the file, or the file is none
    /// that this server may replace.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let cannot = |error| SnapshotError(format!("snapshot {}: {error}", path.display()));
        check_kind(path).map_err(cannot)?;
        let temporary = Temporary::lock(path).map_err(cannot)?;
        // If that failed only after the snapshot is removed, its items would be lost.
        sync_folder(path).map_err(cannot)?;
        Ok(Self { path: path.to_path_buf(), temporary })
    }

    /// Reads the snapshot into an empty engine, and logs what was read. Without a file the engine stays
    /// empty. `stops` is called once for each MiB; if it returns true, the reading ends. Returns false
    /// in this case.
    ///
    /// # Errors
    /// When the file cannot be opened, or is another program's.
    pub fn load(
        &self,
        engine: &mut Engine,
        now: Now,
        mut stops: impl FnMut() -> bool,
    ) -> Result<bool, SnapshotError> {
        let path = self.path.display();
        let cannot = |error| SnapshotError(format!("snapshot {path}: {error}"));
        let Some((mut file, bytes)) = open_snapshot(&self.path).map_err(cannot)? else {
            info!(target: "miocached", "snapshot {path}: there is none, so the cache is empty");
            return Ok(true);
        };
        let began = Instant::now();
        let mut progress = Progress::new();
        let goes_on = |read| {
            if progress.is_due(began.elapsed()) {
                let (read, all) = (read / MIB as u64, bytes / MIB as u64);
                info!(target: "miocached", "snapshot {path}: {read} of {all} MiB read");
            }
            !stops()
        };
        let loaded = super::read(engine, now, &mut file, bytes, goes_on).map_err(cannot)?;
        if loaded.is_stopped {
            info!(target: "miocached", "snapshot {path}: stopped while reading; it stays as it is");
            return Ok(false);
        }
        log_loaded(&self.path, &loaded, began);
        Ok(true)
    }

    /// Removes the snapshot: its items are served from now on, and may change.
    ///
    /// # Errors
    /// When the file is still there, or may be there again after a crash of the machine.
    pub fn remove(&self) -> Result<(), SnapshotError> {
        let cannot = |error| {
            SnapshotError(format!("snapshot {}: cannot remove it: {error}", self.path.display()))
        };
        match fs::remove_file(&self.path) {
            // If the machine crashes later, the file must not come back.
            Ok(()) => sync_folder(&self.path).map_err(cannot),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(cannot(error)),
        }
    }

    /// Writes all items to the file, in place of an earlier one. If that fails, the earlier one stays.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(mut self, engine: &mut Engine, now: Now) -> Result<(), SnapshotError> {
        let began = Instant::now();
        let written = self.write(engine, now, began).map_err(|error| {
            let path = self.path.display();
            SnapshotError(format!("snapshot {path}: cannot write it, the items are lost: {error}"))
        })?;
        let Written { items, bytes } = written;
        let (mib, took, path) = (bytes.div_ceil(MIB as u64), began.elapsed(), self.path.display());
        info!(target: "miocached", "snapshot {path}: wrote {items} items, {mib} MiB in {took:.2?}");
        Ok(())
    }

    fn write(&mut self, engine: &mut Engine, now: Now, began: Instant) -> io::Result<Written> {
        if !self.temporary.is_in_place() {
            // Programs that clean up temporary folders remove files that are not used for days.
            self.temporary = Temporary::lock(&self.path)?;
        }
        let mut file: &File = &self.temporary.file;
        let mut progress = Progress::new();
        let written = super::write(engine, now, &mut file, |bytes| {
            if progress.is_due(began.elapsed()) {
                let (path, mib) = (self.path.display(), bytes / MIB as u64);
                info!(target: "miocached", "snapshot {path}: {mib} MiB written");
            }
        })?;
        // Before the rename, so that after a crash of the machine no file has the name without the bytes.
        file.sync_all()?;
        fs::rename(&self.temporary.path, &self.path)?;
        // If this fails, a crash of the machine may still lose the file, and nothing else can.
        let _ = sync_folder(&self.path);
        Ok(written)
    }
}

fn log_loaded(path: &Path, loaded: &Loaded, began: Instant) {
    let (path, mib) = (path.display(), loaded.bytes.div_ceil(MIB as u64));
    let took = began.elapsed();
    if loaded.is_damaged() {
        warn!(target: "miocached", "snapshot {path}: read {mib} MiB in {took:.2?}: {loaded}");
    } else {
        info!(target: "miocached", "snapshot {path}: read {mib} MiB in {took:.2?}: {loaded}");
    }
}

/// The file that is written, and then renamed. If it has not been renamed, it is removed when this is
/// dropped.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    /// Locked, as long as it is open.
    file: Flock<File>,
}

impl Temporary {
    /// Creates the file or takes one that a killed server has left, and locks it.
    fn lock(snapshot: &Path) -> io::Result<Self> {
        let mut path = OsString::from(snapshot);
        path.push(TEMPORARY_SUFFIX);
        let path = PathBuf::from(path);
        for _ in 0..ATTEMPTS {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(MODE);
            let file = options.custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY).open(&path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(
                    ErrorKind::InvalidInput,
                    "its temporary file is not a regular file",
                ));
            }
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, Errno::EWOULDBLOCK)) => {
                    let why = "another server uses it, or is still writing it";
                    return Err(io::Error::new(ErrorKind::WouldBlock, why));
                }
                Err((_, error)) => return Err(error.into()),
            };
            let this = Self { path: path.clone(), file };
            // Another server may have renamed the file between `open` and `lock`.
            if this.is_in_place() {
                this.file.set_len(0)?;
                // The umask may have removed the owner's rights, and an old file may have more.
                this.file.set_permissions(Permissions::from_mode(MODE))?;
                return Ok(this);
            }
        }
        Err(io::Error::new(ErrorKind::WouldBlock, "another server is writing it"))
    }

    /// The file still has this name.
    fn is_in_place(&self) -> bool {
        let named = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        let own = self.file.metadata().map(|own| (own.dev(), own.ino()));
        matches!((named, own), (Ok(named), Ok(own)) if named == own)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.is_in_place() {
            // The next server uses a file that could not be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Checks that the snapshot may be renamed onto `path`, and that its removal removes the items. That of a
/// link does not: if the link is made anew, as at each start of a container, they are read a second time.
fn check_kind(path: &Path) -> io::Result<()> {
    let refused = |why| Err(io::Error::new(ErrorKind::InvalidInput, why));
    if path.file_name().is_none() {
        return refused("it names no file");
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(found) if found.is_symlink() => refused("it is a symbolic link"),
        Ok(_) => refused("it exists and is not a regular file"),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens the snapshot. None if there is none, or if it is empty.
fn open_snapshot(path: &Path) -> io::Result<Option<(File, u64)>> {
    let mut options = OpenOptions::new();
    let file = match options.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY).open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut start = [0; 8];
    let read = file.read_at(&mut start, 0)?;
    if read == 0 {
        return Ok(None);
    }
    if is_snapshot(&start[..read]) {
        return Ok(Some((file, found.len())));
    }
    // It would be replaced when this server stops.
    Err(io::Error::new(ErrorKind::InvalidData, "it is another program's file"))
}

/// Makes the names in the folder of `path` survive a crash of the machine.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let opened = File::open(folder.unwrap_or(Path::new(".")));
    match opened.and_then(|folder| folder.sync_all()) {
        // Some file systems have no such operation.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        done => done.map_err(|error| {
            io::Error::new(error.kind(), format!("its folder cannot be synced: {error}"))
        }),
    }
}
