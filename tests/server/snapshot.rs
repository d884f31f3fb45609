//! `--snapshot`: the file of the real process, and what the system may do to it.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getuid};
use tempfile::TempDir;

use super::options::assert_refused;
use crate::harness::process::{
    Client, Ended, MIB, PATIENCE, Server, command, run, stored, until, value,
};

/// A folder with the path of a snapshot in it.
struct Folder {
    folder: TempDir,
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot");
        Self { folder, path }
    }

    fn options<'o>(&'o self, more: &[&'o str]) -> Vec<&'o str> {
        [&["-p", "0", "--snapshot", self.path.to_str().unwrap()], more].concat()
    }

    fn start(&self, more: &[&str]) -> Server {
        Server::start(&self.options(more))
    }

    /// A server with these options stores an item, and stops.
    fn save(&self, more: &[&str], set: &[u8]) {
        let mut server = self.start(more);
        server.tcp().ask(set, b"STORED\n");
        assert_eq!(server.stop(Signal::SIGTERM), Some(0), "{}", server.log());
    }

    fn temporary(&self) -> PathBuf {
        self.folder.path().join("snapshot.miocached-tmp")
    }

    /// The names in the folder, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn said(server: &Server, text: &str) -> bool {
    server.said.iter().any(|line| line.contains(text))
}

#[test]
fn items_survive_every_way_to_stop() {
    let folder = Folder::new();
    let mut server = folder.start(&["-A"]);
    assert!(said(&server, "there is none, so the cache is empty"), "{:?}", server.said);
    server.tcp().ask(b"set a 7 0 1\r\nx\r\nms b 2 T1000\r\nyz\r\n", b"STORED\r\nHD\r\n");
    let mut cas = Vec::new();
    for signal in [Some(Signal::SIGTERM), Some(Signal::SIGINT), Some(Signal::SIGUSR1), None] {
        match signal {
            Some(signal) => server.signal(signal),
            None => server.tcp().send(b"shutdown\r\n"),
        }
        assert_eq!(server.wait(), Some(0), "{signal:?}: {}", server.log());
        assert_eq!(folder.names(), ["snapshot"]);
        let file = fs::metadata(&folder.path).unwrap();
        assert_eq!((file.permissions().mode() & 0o777, file.uid()), (0o600, getuid().as_raw()));
        server = folder.start(&["-A"]);
        assert!(said(&server, "MiB in ") && said(&server, ": 2 items"), "{:?}", server.said);
        let mut client = server.tcp();
        client.ask(b"get a\r\n", b"VALUE a 7 1\r\nx\r\nEND\r\n");
        assert_eq!(folder.names(), ["snapshot.miocached-tmp"], "it is used once");
        client.ask(b"mg b s v\r\n", b"VA 2 s2\r\nyz\r\n");
        client.send(b"mg b c t\r\n");
        let answer = client.line();
        let (id, ttl) = answer.strip_prefix("HD c").unwrap().split_once(" t").unwrap();
        cas.push(id.to_string());
        // In the most patient test a minute passes.
        assert!((900..=1001).contains(&ttl.parse::<u32>().unwrap()), "{answer}");
    }
    assert!(cas.iter().all(|id| *id == cas[0]), "{cas:?}");
}

/// A crash empties the cache, and brings no old value back.
#[test]
fn a_killed_server_leaves_nothing_to_read() {
    let folder = Folder::new();
    folder.save(&[], b"set a 1\nx\n");
    let mut server = folder.start(&[]);
    server.tcp().ask(b"get a\nset a 1\ny\n", b"VALUE a 1\nx\nEND\nSTORED\n");
    assert_eq!(server.stop(Signal::SIGKILL), None);
    // Its temporary file is taken over.
    assert_eq!(folder.names(), ["snapshot.miocached-tmp"]);
    let mut server = folder.start(&[]);
    server.tcp().ask(b"get a\n", b"END\n");
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert_eq!(folder.names(), ["snapshot"]);
}

/// A server that writes a large snapshot, from the moment when the temporary file has some of it.
fn writing(folder: &Folder) -> Server {
    let server = folder.start(&["-m", "300", "-I", "100m"]);
    let mut client = server.tcp();
    for key in ["a", "b", "c", "d"] {
        let (set, _) = stored(key, &value(60 * MIB));
        client.ask(&set, b"STORED\n");
    }
    drop(client);
    server.signal(Signal::SIGTERM);
    let begun = || fs::metadata(folder.temporary()).is_ok_and(|file| file.len() > 0);
    until("it is being written", PATIENCE, begun);
    server
}

/// `kill -9` while the snapshot is written leaves the one that was there.
#[test]
fn a_server_that_is_killed_while_it_writes_leaves_the_old_file() {
    let folder = Folder::new();
    folder.save(&[], b"set old 1\nx\n");
    let old = fs::read(&folder.path).unwrap();
    let mut server = writing(&folder);
    fs::write(&folder.path, &old).unwrap();
    server.signal(Signal::SIGKILL);
    if server.wait() == Some(0) {
        // It was faster than the signal. On a machine that writes 240 MB at once nothing can be shown.
        println!("skipped: the snapshot was complete before the signal");
        return;
    }
    assert_eq!(folder.names(), ["snapshot", "snapshot.miocached-tmp"]);
    assert!(fs::read(&folder.path).unwrap() == old);
    assert!(fs::metadata(folder.temporary()).unwrap().len() > 0);
    let mut server = folder.start(&[]);
    server.tcp().ask(b"get old a\n", b"VALUE old 1\nx\nEND\n");
    assert_eq!(fs::metadata(folder.temporary()).unwrap().len(), 0);
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert_eq!(folder.names(), ["snapshot"]);
}

/// Only SIGKILL ends a server before its items are written.
#[test]
fn a_second_signal_does_not_cut_the_writing_short() {
    let folder = Folder::new();
    let mut server = writing(&folder);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        server.signal(signal);
    }
    assert_eq!(server.wait(), Some(0));
    assert_eq!(folder.names(), ["snapshot"]);
}

/// No second server may use the file, as long as the first holds the lock: until it has renamed it.
#[test]
fn a_file_in_use_is_refused() {
    let folder = Folder::new();
    let server = folder.start(&[]);
    assert_refused(&folder.options(&[]), "another server uses it");
    server.tcp().ask(b"get a\n", b"END\n");
}

#[test]
fn large_items_survive() {
    let folder = Folder::new();
    assert_eq!(writing(&folder).wait(), Some(0));
    let server = folder.start(&["-m", "300", "-I", "100m"]);
    assert!(said(&server, ": 4 items"), "{:?}", server.said);
    let (_, block) = stored("d", &value(60 * MIB));
    server.tcp().ask(b"get d\n", &[&block[..], b"END\n"].concat());
}

/// While the items are read, all clients are refused, those of the metrics, too: nothing would answer them.
#[test]
fn no_client_is_accepted_before_the_items_are_there() {
    let folder = Folder::new();
    let limits = ["-m", "300", "-I", "100m"];
    let (set, block) = stored("a", &value(60 * MIB));
    folder.save(&limits, &set);
    let free = [0, 1].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [cache, metrics] = free.map(|listener| listener.local_addr().unwrap());
    let path = folder.path.clone();
    let starts = std::thread::spawn(move || {
        let addresses = ["-l", &cache.to_string(), "--metrics", &metrics.to_string()];
        let snapshot = ["--snapshot", path.to_str().unwrap()];
        Server::start(&[&limits[..], &addresses, &snapshot].concat())
    });
    until("the metrics are served", PATIENCE, || TcpStream::connect(metrics).is_ok());
    Client::tcp(cache).ask(b"get a\n", &[&block[..], b"END\n"].concat());
    drop(starts.join().unwrap());
}

/// A start that fails leaves the snapshot to the next one.
#[test]
fn a_start_that_fails_leaves_the_snapshot() {
    let folder = Folder::new();
    folder.save(&[], b"set a 1\nx\n");
    let old = fs::read(&folder.path).unwrap();
    let precious = folder.folder.path().join("precious");
    fs::write(&precious, "data").unwrap();
    // The Unix socket is opened after the snapshot has been read.
    let refused = run(&folder.options(&["-s", precious.to_str().unwrap()]), b"");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("it exists and is no socket"), "{}", refused.stderr);
    fs::remove_file(precious).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_refused(&folder.options(&["-l", &address]), &address);
    assert_eq!(folder.names(), ["snapshot"]);
    assert!(fs::read(&folder.path).unwrap() == old);
    folder.start(&[]).tcp().ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
}

#[test]
fn files_that_may_not_be_replaced_are_refused() {
    let folder = Folder::new();
    let refused = |path: &Path, why: &str| {
        assert_refused(&["-p", "0", "--snapshot", path.to_str().unwrap()], why);
        assert!(!folder.temporary().exists());
    };
    refused(Path::new("/no/such/folder/snapshot"), "/no/such/folder/snapshot: No such file");
    refused(folder.folder.path(), "not a regular file");
    refused(Path::new("/dev/null"), "not a regular file");
    refused(Path::new("/proc/snapshot"), "/proc/snapshot");
    nix::unistd::mkfifo(&folder.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused(&folder.path, "not a regular file");
    fs::remove_file(&folder.path).unwrap();
    for foreign in ["x", "data", "SQLite format 3", "miocxxxx"] {
        fs::write(&folder.path, foreign).unwrap();
        let refused = run(&folder.options(&[]), b"");
        assert_eq!((refused.code, refused.stdout), (Some(1), vec![]));
        assert!(refused.stderr.contains("another program's file"), "{}", refused.stderr);
        assert_eq!(fs::read_to_string(&folder.path).unwrap(), foreign);
    }
    fs::remove_file(&folder.path).unwrap();
    // The removal of a link would leave its file to be read a second time.
    symlink("precious", &folder.path).unwrap();
    refused(&folder.path, "symbolic link");
    fs::write(folder.folder.path().join("precious"), "data").unwrap();
    refused(&folder.path, "symbolic link");
    assert_eq!(folder.names(), ["precious", "snapshot"]);
    fs::remove_file(&folder.path).unwrap();
    // Nor is a link in place of the temporary file followed.
    symlink("precious", folder.temporary()).unwrap();
    let ended = run(&folder.options(&[]), b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(folder.folder.path().join("precious")).unwrap(), "data");
    // --stdio has no use for it, and says so.
    assert_eq!(run(&["--stdio", "--snapshot", "/tmp/x"], b"").code, Some(2));
}

#[test]
fn damage_is_one_warning_and_the_rest_is_served() {
    let folder = Folder::new();
    let mut server = folder.start(&["-I", "8m"]);
    for key in ["a", "b", "c"] {
        let (set, _) = stored(key, &value(MIB));
        server.tcp().ask(&set, b"STORED\n");
    }
    server.tcp().ask(b"set d 1\nx\n", b"STORED\n");
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    let mut file = fs::read(&folder.path).unwrap();
    file[MIB + 5000] ^= 1;
    fs::write(&folder.path, file).unwrap();
    let mut server = folder.start(&["-I", "8m"]);
    let warnings: Vec<_> = server.said.iter().filter(|line| line.contains("lost")).collect();
    assert_eq!(warnings.len(), 1, "{:?}", server.said);
    assert!(warnings[0].contains("WARN"), "{warnings:?}");
    let lost = "2 items; 2 are lost; 1 of 4 blocks are damaged";
    assert!(warnings[0].contains(lost), "{warnings:?}");
    server.tcp().ask(b"get d a b\n", b"VALUE d 1\nx\nEND\n");
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    // An empty file is none.
    fs::write(&folder.path, "").unwrap();
    assert!(said(&folder.start(&[]), "there is none"));
}

/// Runs a script of bash, whose `$0` is the server's program, with a small file system at /mnt, in a
/// namespace of its own. None where the system does not permit that.
fn on_small_disk(script: &str) -> Option<Ended> {
    let mounted =
        "mount -t tmpfs -o size=2m none /mnt && echo mounted && exec bash -c \"$1\" \"$0\"";
    let mut shell = Command::new("unshare");
    shell.args(["-rm", "sh", "-c", mounted, env!("CARGO_BIN_EXE_miocached"), script]);
    let ended = shell.stdin(Stdio::null()).output().ok()?;
    let stdout = ended.stdout.strip_prefix(b"mounted\n")?.to_vec();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    Some(Ended { code: ended.status.code(), stdout, stderr })
}

#[test]
fn a_full_disk_leaves_the_old_file_and_says_so() {
    // The first server saves one item. For the second, the disk has no room for all items.
    let script = r#"
        start() {
            MEMCACHED_PORT_FILENAME=/mnt/ports "$0" -p 0 -A -I 4m --snapshot /mnt/snapshot 2>/mnt/log &
            while ! grep -q limits: /mnt/log 2>/dev/null; do sleep 0.01; done
            port=$(cut -d ' ' -f 3 /mnt/ports)
        }
        start
        exec 3<>/dev/tcp/127.0.0.1/$port
        printf 'set old 1\nx\nshutdown\n' >&3; cat <&3
        wait $!; echo "exit $?"; cp /mnt/snapshot /mnt/copy; rm /mnt/log
        start
        cp /mnt/copy /mnt/snapshot
        exec 3<>/dev/tcp/127.0.0.1/$port
        { printf 'set large 3000000\n'; head -c 3000000 /dev/zero; printf '\nshutdown\n'; } >&3; cat <&3
        wait $!; echo "exit $?"
        cmp /mnt/copy /mnt/snapshot && ls /mnt; tail -1 /mnt/log
    "#;
    let Some(ended) = on_small_disk(script) else {
        assert!(std::env::var_os("CI").is_none(), "no namespaces, and CI must not skip");
        println!("skipped: no file system can be mounted here");
        return;
    };
    let said = String::from_utf8(ended.stdout).unwrap();
    let (mut lines, mut last) = (said.lines(), "");
    let expected = ["STORED", "exit 0", "STORED", "exit 1", "copy", "log", "ports", "snapshot"];
    for line in expected {
        assert_eq!(lines.next(), Some(line), "{said}{}", ended.stderr);
    }
    for line in lines {
        last = line;
    }
    assert!(last.starts_with("miocached: snapshot /mnt/snapshot: cannot write it"), "{said}");
    assert!(last.contains("the items are lost") && last.contains("No space left"), "{said}");
}

/// A daemon changes its working directory, so a relative path is that of its start.
#[test]
fn a_daemon_keeps_its_items() {
    let folder = Folder::new();
    let pid_file = folder.folder.path().join("pid");
    for answer in [&b"END\nSTORED\n"[..], b"VALUE a 1\nx\nEND\nSTORED\n"] {
        let options = ["-d", "-P", "pid", "-p", "0", "--snapshot", "snapshot"];
        let mut command = command(&options);
        let started =
            command.current_dir(folder.folder.path()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(started.stderr).unwrap();
        assert_eq!(started.status.code(), Some(0), "{said}");
        until("the pid file is there", PATIENCE, || pid_file.exists());
        let pid = fs::read_to_string(&pid_file).unwrap().trim_end().parse().unwrap();
        let (_, rest) = said.split_once("listening on ").unwrap();
        let mut client = Client::tcp(rest.lines().next().unwrap().parse().unwrap());
        client.ask(b"get a\nset a 1\nx\n", answer);
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        until("it has written the snapshot", PATIENCE, || folder.names() == ["snapshot"]);
    }
}

/// The file belongs to the user of `-u`, who must be able to write the folder.
#[test]
fn the_user_of_u_writes_the_file() {
    if !getuid().is_root() {
        println!("skipped: only root can change its user");
        return;
    }
    let folder = Folder::new();
    assert_refused(&folder.options(&["-u", "nobody"]), "Permission denied");
    let open = |mode| fs::set_permissions(folder.folder.path(), fs::Permissions::from_mode(mode));
    open(0o777).unwrap();
    for stored in [&b"END\n"[..], b"VALUE a 1\nx\nEND\n"] {
        let mut server = folder.start(&["-u", "nobody"]);
        server.tcp().ask(b"get a\n", stored);
        server.tcp().ask(b"set a 1\nx\n", b"STORED\n");
        assert_eq!(server.stop(Signal::SIGTERM), Some(0), "{}", server.log());
        let file = fs::metadata(&folder.path).unwrap();
        assert!(file.uid() != 0 && file.mode() & 0o777 == 0o600, "{file:?}");
    }
    // Root's file, which this user may not read, stays as it is.
    fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o000)).unwrap();
    std::os::unix::fs::chown(&folder.path, Some(0), Some(0)).unwrap();
    assert_refused_late(&folder.options(&["-u", "nobody"]), "Permission denied");
    assert_eq!(folder.names(), ["snapshot"]);
}

/// Without the right to read the folder, the removal of the file cannot be synced to the disk. The start
/// fails before the file is removed.
#[test]
fn a_folder_that_cannot_be_synced_is_refused_while_the_snapshot_is_there() {
    if !getuid().is_root() {
        println!("skipped: only root can change its user");
        return;
    }
    let folder = Folder::new();
    let open = |mode| fs::set_permissions(folder.folder.path(), fs::Permissions::from_mode(mode));
    open(0o777).unwrap();
    folder.save(&["-u", "nobody"], b"set a 1\nx\n");
    open(0o333).unwrap();
    assert_refused(&folder.options(&["-u", "nobody"]), "Permission denied");
    assert_eq!(folder.names(), ["snapshot"]);
    open(0o777).unwrap();
    folder.start(&["-u", "nobody"]).tcp().ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
}

/// Checks for exit code 1, and `why` in the last line.
fn assert_refused_late(options: &[&str], why: &str) {
    let ended = run(options, b"");
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(last.starts_with("miocached: ") && last.contains(why), "{}", ended.stderr);
}
