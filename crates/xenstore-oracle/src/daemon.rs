//! Daemons started for a test, gone when it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xenstore_host::sim::{Board, DomainWord, State};
use xenstore_wire::Domid;

use crate::target::{Link, Socket, SocketLink, Target};

/// The packages that hold the other daemons, their tools, and what the simulated
/// hypervisor is compiled with.
pub const PACKAGES: &str = "xen-utils-4.17 xenstore-utils libxen-dev gcc";

/// Where Debian keeps the programs of Xen 4.17.
pub const DEBIAN_BIN: &str = "/usr/lib/xen-4.17/bin";

/// Where in a daemon's directory the simulated host is.
const HOST: &str = "xsfake";

const START_TIME: Duration = Duration::from_secs(20);

/// A running daemon with a directory of its own.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    process: Child,
    socket: PathBuf,
    directory: TempDir,
}

impl Daemon {
    /// Debian's C xenstored. Every domain exists, as with [`Self::rxenstored`].
    pub fn c() -> Self {
        Self::c_under(&[], false)
    }

    /// Debian's oxenstored. Every domain exists, as with [`Self::rxenstored`].
    pub fn ocaml() -> Self {
        Self::ocaml_under(&[], false)
    }

    /// Debian's C xenstored on a host of its own where only domain 0 exists: see
    /// [`Self::host_directory`].
    pub fn c_on_host() -> Self {
        Self::c_under(&[], true)
    }

    /// Debian's oxenstored on a host of its own where only domain 0 exists.
    pub fn ocaml_on_host() -> Self {
        Self::ocaml_under(&[], true)
    }

    /// C xenstored, run by another program, such as valgrind, which is given it and its
    /// arguments as its last ones; on a host of its own, or as [`Self::c`].
    pub fn c_under(runner: &[&str], on_host: bool) -> Self {
        Self::debian("C xenstored", "c", "xenstored", runner, !on_host)
    }

    /// oxenstored, run by another program as [`Self::c_under`] is.
    pub fn ocaml_under(runner: &[&str], on_host: bool) -> Self {
        Self::debian("oxenstored", "ocaml", "oxenstored", runner, !on_host)
    }

    fn debian(
        name: &'static str,
        kind: &str,
        program: &str,
        runner: &[&str],
        all_domains: bool,
    ) -> Self {
        require(&[&format!("{DEBIAN_BIN}/{program}"), "/usr/include/xenctrl.h", "/usr/bin/cc"]);
        let directory = tempfile::tempdir().expect("a directory for a daemon");
        if all_domains {
            all_domains_exist(&directory.path().join(HOST));
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("xsfake/start.sh");
        let mut command = Command::new(script);
        command.arg(kind).arg(directory.path()).env("XSFAKE_UNDER", runner.join(" "));
        let socket = directory.path().join("run/socket");
        Self::start(name, command, socket, directory)
    }

    /// The daemon of this project, without a hypervisor.
    pub fn rxenstored() -> Self {
        Self::rxenstored_with(&[])
    }

    /// The same with more arguments.
    pub fn rxenstored_with(arguments: &[&str]) -> Self {
        Self::ours(&[], false, arguments)
    }

    /// The daemon of this project on a host of its own where only domain 0 exists, with more
    /// arguments.
    pub fn rxenstored_on_host(arguments: &[&str]) -> Self {
        Self::ours(&[], true, arguments)
    }

    /// The daemon of this project, run by another program as [`Self::c_under`] is.
    pub fn rxenstored_under(runner: &[&str], on_host: bool) -> Self {
        Self::ours(runner, on_host, &[])
    }

    fn ours(runner: &[&str], on_host: bool, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for a daemon");
        let program = rxenstored_program();
        let mut command = match runner {
            [] => Command::new(program),
            [runner, first @ ..] => {
                let mut command = Command::new(runner);
                command.args(first).arg(program);
                command
            }
        };
        if on_host {
            let host = format!("sim:{}", directory.path().join(HOST).display());
            command.args(["--host", &host]);
        } else {
            command.arg("--no-domain-init");
        }
        command
            .args(["--no-fork", "--no-access-log"])
            .args(arguments)
            .env("XENSTORED_RUNDIR", directory.path())
            // The file an administrator may have must not decide what a test finds.
            .args(["--config-file", "/dev/null"]);
        let socket = directory.path().join("socket");
        Self::start("rxenstored", command, socket, directory)
    }

    /// Any other program: it is given the path of the socket to listen at as its last
    /// argument.
    pub fn other(name: &'static str, mut command: Command) -> Self {
        let directory = tempfile::tempdir().expect("a directory for a daemon");
        let socket = directory.path().join("socket");
        command.arg(&socket);
        Self::start(name, command, socket, directory)
    }

    fn start(
        name: &'static str,
        mut command: Command,
        socket: PathBuf,
        directory: TempDir,
    ) -> Self {
        let log = fs::File::create(directory.path().join("messages")).expect("a log for a daemon");
        let errors = log.try_clone().expect("a second handle of the log");
        let spawned = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let process = spawned.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let mut daemon = Self { name, process, socket, directory };
        let begun = Instant::now();
        // There is no event to wait for: the socket appears when it appears.
        while SocketLink::open(&daemon.socket).is_err() {
            let alive = daemon.is_running() && begun.elapsed() < START_TIME;
            assert!(alive, "{name} does not start: {}", daemon.messages());
            sleep(Duration::from_millis(5));
        }
        daemon
    }

    /// What it is.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The simulated host it runs on.
    pub fn host_directory(&self) -> PathBuf {
        self.directory.path().join(HOST)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A new connection to it.
    pub fn link(&self) -> SocketLink {
        SocketLink::open(&self.socket).expect("a daemon takes connections")
    }

    /// A directory that goes when the daemon does.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// What it said on its standard output and error.
    pub fn messages(&self) -> String {
        fs::read_to_string(self.directory.path().join("messages")).unwrap_or_default()
    }

    /// Bytes of memory it holds (`VmRSS`).
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("a daemon that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.expect("a VmRSS line") * 1024
    }

    /// Files it has open.
    pub fn open_files(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.process.id()));
        files.expect("a daemon that runs").count()
    }
}

impl Target for Daemon {
    fn connect(&self) -> Box<dyn Link> {
        Socket::at(&self.socket).connect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be gone already; either way nobody needs it any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program to test: the one `RXENSTORED` names, else the one built beside this test
/// or program.
pub fn rxenstored_program() -> PathBuf {
    let named = std::env::var_os("RXENSTORED").map(PathBuf::from);
    let program = named.unwrap_or_else(|| program_beside("rxenstored"));
    let missing = "build it with `cargo build -p rxenstored`, or name it in RXENSTORED";
    assert!(program.is_file(), "{} is not there: {missing}", program.display());
    program
}

/// Where a program of this workspace is if it was built as this test or program was.
pub fn program_beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program has a file");
    // A test is target/<profile>/deps/<test>, a program target/<profile>/<program>.
    let mut profile = own.parent().expect("a file has a directory");
    if profile.ends_with("deps") {
        profile = profile.parent().expect("target/<profile>/deps");
    }
    profile.join(name)
}

/// Under `cargo run`, builds rxenstored the way this program was built, so that what
/// runs is what the sources say. By itself the program takes the one beside it.
pub fn build_rxenstored() -> Result<(), String> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    if std::env::var_os("RXENSTORED").is_some() {
        return Ok(());
    }
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "rxenstored"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    match build.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("rxenstored cannot be built: {status}")),
        Err(error) => Err(format!("rxenstored cannot be built: {error}")),
    }
}

/// Fails, saying how to get them, if files of Debian's packages are missing.
pub fn require(files: &[&str]) {
    for file in files {
        assert!(
            Path::new(file).exists(),
            "{file} is missing, and a comparison needs it: apt-get install {PACKAGES}"
        );
    }
}

/// Tells the simulated hypervisor that every domain there can be runs, which is what
/// rxenstored assumes where there is none.
fn all_domains_exist(directory: &Path) {
    let board = Board::open(directory).expect("a directory for the simulated hypervisor");
    let domids = (0..).map(Domid::new);
    for state in domids.map_while(|domid| board.domain(domid, DomainWord::State)) {
        state.store(State::EXISTS, Relaxed);
    }
}
