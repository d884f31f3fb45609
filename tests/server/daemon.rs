//! The process: its user, background mode, limits, pid file and file of ports.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getuid, mkfifo};

use super::options::assert_refused;
use crate::harness::process::{Client, PATIENCE, Server, command, run, until};

/// A daemon. It is not a child of the test, so dropping this kills it by its pid.
pub(super) struct Daemon(Pid);

impl Daemon {
    /// Waits for the pid file, and returns the daemon whose id it has.
    pub(super) fn of(pid_file: &Path) -> Self {
        until("the pid file is there", PATIENCE, || pid_file.exists());
        let text = fs::read_to_string(pid_file).unwrap();
        assert!(text.ends_with('\n'), "{text:?}");
        Self(Pid::from_raw(text.trim_end().parse().unwrap()))
    }

    fn is_there(&self) -> bool {
        // A zombie counts as ended: its parent may not wait for it.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = kill(self.0, Signal::SIGKILL);
        }
    }
}

/// The first address in the log lines of a start.
fn address(said: &str) -> SocketAddr {
    let (_, rest) = said.split_once("listening on ").unwrap();
    rest.lines().next().unwrap().parse().unwrap()
}

#[test]
fn a_daemon_serves_in_the_background_and_removes_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (pid_file, socket) = (folder.path().join("pid"), folder.path().join("socket"));
    // Relative paths refer to the folder of the start, although a daemon changes its folder.
    let mut command = command(&["-d", "-P", "pid", "-s", "socket", "-p", "0"]);
    let started = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(started.stderr).unwrap();
    assert_eq!(started.status.code(), Some(0), "{said}");
    let daemon = Daemon::of(&pid_file);
    assert!(daemon.is_there());
    Client::tcp(address(&said)).ask(b"set a 1\nx\n", b"STORED\n");
    Client::unix(&socket).ask(b"get a\n", b"VALUE a 1\nx\nEND\n");
    let at = |name: &str| fs::read_link(format!("/proc/{}/{name}", daemon.0)).unwrap();
    assert_eq!((at("cwd"), at("fd/2")), (Path::new("/").into(), Path::new("/dev/null").into()));
    kill(daemon.0, Signal::SIGTERM).unwrap();
    until("it has ended", PATIENCE, || !daemon.is_there());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_daemon_that_cannot_start_prints_the_error_and_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    assert_refused(&["-d", "-P", pid_file.to_str().unwrap(), "-l", &address], &address);
    assert_refused(&["-d", "-p", "0", "-m", "99999"], "memory limit");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // --stdio excludes -d.
    assert_eq!(run(&["--stdio", "-d"], b"").code, Some(2));
}

/// The exit code of `-d` is true: 0 only if a server runs in the background. The limit on descriptors
/// rises one by one, so that each step of the start runs out of them once, and at last none.
#[test]
fn a_daemon_that_runs_out_of_descriptors_at_its_start_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let mut refusals = Vec::new();
    for descriptors in 11..30 {
        // The server inherits seven open files, so that it has descriptors for few clients or none.
        let inherited = "exec 3</dev/null 4<&3 5<&3 6<&3 7<&3 8<&3 9<&3; exec \"$0\" \"$@\"";
        let mut command = Command::new("sh");
        let limited = limited(&descriptors.to_string(), &["-d", "-p", "0", "-P"]);
        command.args(["-c", inherited]).arg(limited.get_program()).args(limited.get_args());
        let started = command.arg(&pid_file).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(started.stderr).unwrap();
        if started.status.success() {
            let daemon = Daemon::of(&pid_file);
            kill(daemon.0, Signal::SIGTERM).unwrap();
            until("it stops", PATIENCE, || !daemon.is_there());
            break;
        }
        // 127: not even the program could be loaded.
        assert!(matches!(started.status.code(), Some(1 | 127)), "{:?}: {said}", started.status);
        assert!(!pid_file.exists());
        refusals.push(said);
    }
    for step in ["cannot set up the event loop", "cannot go into the background"] {
        assert!(refusals.iter().any(|said| said.contains(step)), "{step}: {refusals:?}");
    }
}

#[test]
fn a_pid_file_is_replaced_with_a_warning_if_its_process_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let options = ["-p", "0", "-P", path.to_str().unwrap()];
    let mut first = Server::start(&options);
    let holds = |server: &Server| {
        fs::read_to_string(&path).is_ok_and(|text| text == format!("{}\n", server.pid()))
    };
    until("it holds the id", PATIENCE, || holds(&first));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o022, 0);
    let mut second = Server::start(&options);
    until("it holds the other id", PATIENCE, || holds(&second));
    let said = second.said.join("\n");
    assert!(said.contains(&format!("names process {}, which is running", first.pid())), "{said}");
    // The first server does not remove the file of the second.
    assert_eq!(first.stop(Signal::SIGTERM), Some(0));
    assert!(holds(&second));
    assert_eq!(second.stop(Signal::SIGKILL), None);
    // The file of a killed server is replaced without a warning.
    let mut third = Server::start(&options);
    assert!(!third.said.iter().any(|line| line.contains("is running")), "{:?}", third.said);
    until("it holds the third id", PATIENCE, || holds(&third));
    assert_eq!(third.stop(Signal::SIGUSR1), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn ports_are_written_where_the_environment_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ports");
    let named = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env("MEMCACHED_PORT_FILENAME", &path);
        command
    };
    let server = Server::spawn(&mut named(&["-l", "127.0.0.1,127.0.0.1", "-p", "-1"]));
    let ports = server.addresses();
    let lines: String =
        ports.iter().map(|address| format!("TCP INET: {}\n", address.port())).collect();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines);
    drop(server);
    fs::remove_file(&path).unwrap();
    let socket = folder.path().join("socket");
    let _unix = Server::spawn(&mut named(&["-s", socket.to_str().unwrap()]));
    let found: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn root_changes_to_the_user_of_u() {
    if !getuid().is_root() {
        println!("skipped: only root can change its user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let socket = folder.path().join("socket");
    let (pid_file, place) = (folder.path().join("pid"), socket.to_str().unwrap());
    let options = ["-u", "nobody", "-s", place, "-p", "0", "-P", pid_file.to_str().unwrap(), "-kr"];
    let mut server = Server::start(&options);
    until("the pid file is there", PATIENCE, || pid_file.exists());
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!(server.ids("Uid"), [nobody.uid.as_raw(); 4]);
    assert_eq!(server.ids("Gid"), [nobody.gid.as_raw(); 4]);
    assert!(server.ids("Groups").is_empty());
    // The files belong to the user, so the server can remove them.
    assert_eq!(fs::metadata(&socket).unwrap().uid(), nobody.uid.as_raw());
    Client::unix(&socket).ask(b"get a\n", b"END\n");
    server.tcp().ask(b"get a\n", b"END\n");
    assert!(!server.log().contains("running as root"), "{}", server.log());
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // Low ports need root, and are opened before the user changes.
    let low = Server::start(&["-u", "nobody", "-l", "127.77.0.1:997"]);
    low.tcp().ask(b"get a\n", b"END\n");
    assert_refused(&["-p", "0", "-u", "no-such-user"], "no-such-user");
    // Without a user it stays root, with a warning.
    let root = Server::start(&["-p", "0"]);
    until("it is logged", PATIENCE, || root.log().contains("running as root"));
}

/// Container images run under a numeric user id, while their charts still give `-u`.
#[test]
fn the_user_of_u_is_ignored_unless_root_starts() {
    let server = start_unprivileged(&["-p", "0", "-u", "no-such-user"]);
    assert!(server.said.join("\n").contains("-u no-such-user has no effect"), "{:?}", server.said);
    server.tcp().ask(b"get a\n", b"END\n");
    assert_ne!(server.ids("Uid"), [0; 4]);
}

/// A server of an ordinary user. If root runs the tests, that user's id has no name.
pub(super) fn start_unprivileged(options: &[&str]) -> Server {
    if !getuid().is_root() {
        return Server::start(options);
    }
    // That user may not have access to the folder of the build.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("miocached");
    // Another process copies it: a child that another test starts meanwhile would inherit the copy open for
    // writing, and then it could not be executed (ETXTBSY).
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_miocached")).arg(&binary).status();
    assert!(copied.unwrap().success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=11211", "--regid=11211", "--clear-groups"]).arg(binary).args(options);
    let mut server = Server::spawn(&mut command);
    server.drain();
    server
}

#[test]
fn a_pid_file_that_cannot_be_written_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    for path in ["/no/such/folder/pid", "/dev/null", fifo.to_str().unwrap()] {
        let mut server = Server::start(&["-p", "0", "-P", path]);
        let warning = format!("cannot write pid file {path}: ");
        assert!(server.said.iter().any(|line| line.contains(&warning)), "{:?}", server.said);
        server.tcp().ask(b"get a\n", b"END\n");
        assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    }
    // The existing files are unchanged, and no temporary file is left.
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A server without the rights of root, with this limit on descriptors.
fn limited(descriptors: &str, options: &[&str]) -> Command {
    let binary = env!("CARGO_BIN_EXE_miocached");
    let mut command = Command::new("sh");
    let without_rights = if getuid().is_root() { "setpriv --bounding-set=-all" } else { "" };
    let script = format!("ulimit -n {descriptors}; exec {without_rights} \"$0\" \"$@\"");
    command.args(["-c", &script, binary]).args(options);
    command
}

#[test]
fn the_connection_limit_is_lowered_to_what_descriptors_allow() {
    let mut server = Server::spawn(&mut limited("20", &["-p", "0", "-c", "100"]));
    server.drain();
    let said = server.said.join("\n");
    assert!(said.contains("-c is 11 instead of 100") && said.contains("only 20"), "{said}");
    let mut clients: Vec<_> = (0..11).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.ask(b"get a\n", b"END\n");
    }
    // A client above the limit still gets the error line.
    server.tcp().expect(b"ERROR Too many open connections\r\n");
    // Each file that stays open takes one descriptor.
    let folder = tempfile::tempdir().unwrap();
    let [trace, snapshot] = ["trace", "snapshot"].map(|name| folder.path().join(name));
    let files = [trace.to_str().unwrap(), snapshot.to_str().unwrap()];
    let options = ["-p", "0", "-c", "100", "--trace-file", files[0], "--snapshot", files[1]];
    let mut server = Server::spawn(&mut limited("20", &options));
    server.drain();
    let said = server.said.join("\n");
    assert!(said.contains("-c is 9 instead of 100"), "{said}");
    let mut clients: Vec<_> = (0..9).map(|_| server.tcp()).collect();
    for client in &mut clients {
        client.ask(b"get a\n", b"END\n");
    }
    server.tcp().expect(b"ERROR Too many open connections\r\n");
    // The server raises a soft limit.
    let mut raised = Server::spawn(&mut limited("-S 20", &["-p", "0", "-c", "100"]));
    raised.drain();
    assert!(!raised.said.join("\n").contains("instead of"), "{:?}", raised.said);
    let mut clients: Vec<_> = (0..100).map(|_| raised.tcp()).collect();
    for client in &mut clients {
        client.ask(b"get a\n", b"END\n");
    }
}

#[test]
fn too_few_descriptors_for_any_client_are_refused() {
    let ended = limited("9", &["-p", "0"]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("a limit of 9 descriptors leaves none for clients"), "{said}");
}

#[test]
fn locked_memory_is_locked() {
    let server = Server::start(&["-p", "0", "-k", "-m", "8"]);
    server.tcp().ask(b"get a\n", b"END\n");
    if getuid().is_root() {
        assert!(server.locked() >= 8 << 20, "{} bytes are locked", server.locked());
    }
}
