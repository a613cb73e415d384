//! The daemon's own process, with a directory of its own.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

/// Longer than any answer takes on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where the daemon's program is: what `RXENSTORED` says, or where a build of the
/// whole project puts it, next to the program that asks.
pub fn program() -> io::Result<PathBuf> {
    built("rxenstored", "RXENSTORED")
}

/// Where a program of the project is: what the environment's `variable` says, or where a
/// build of the whole project puts it, next to the program that asks.
pub fn built(name: &str, variable: &str) -> io::Result<PathBuf> {
    if let Some(named) = env::var_os(variable) {
        return Ok(named.into());
    }
    let mut found = env::current_exe()?;
    found.pop();
    // Tests are one directory below the programs they belong to.
    if found.ends_with("deps") {
        found.pop();
    }
    found.push(name);
    if found.exists() {
        return Ok(found);
    }
    Err(io::Error::other(format!(
        "expected {name} at {}: build it (cargo build --workspace --bins) or say where it is \
         ({variable}=/path)",
        found.display()
    )))
}

/// A daemon with an empty store. It ends with this value.
#[derive(Debug)]
pub struct DaemonProcess {
    child: Child,
    directory: TempDir,
}

impl DaemonProcess {
    /// Starts a daemon without a hypervisor and waits until it says that it serves.
    pub fn start(program: &Path) -> io::Result<Self> {
        Self::start_in(tempfile::tempdir()?, program, &["--no-domain-init".to_owned()])
    }

    /// Starts a daemon on a simulated host in `directory`/`host`, with further arguments.
    pub fn start_on_host(program: &Path, arguments: &[String]) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let host = format!("sim:{}", directory.path().join("host").display());
        let arguments = [&["--host".to_owned(), host], arguments].concat();
        Self::start_in(directory, program, &arguments)
    }

    fn start_in(directory: TempDir, program: &Path, arguments: &[String]) -> io::Result<Self> {
        let path = |name: &str| directory.path().join(name);
        let ready = UnixDatagram::bind(path("ready"))?;
        ready.set_read_timeout(Some(PATIENCE))?;
        let settings = format!(
            "pid-file = {}\nxenstored-log-file = {}\n",
            path("pid").display(),
            path("log").display()
        );
        fs::write(path("conf"), settings)?;
        let child = Command::new(program)
            .args(["--no-fork", "--no-access-log", "--config-file"])
            .arg(path("conf"))
            .args(arguments)
            .env("XENSTORED_RUNDIR", path("run"))
            .env("NOTIFY_SOCKET", path("ready"))
            .env_remove("XENSTORED_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        // Made first, so that a daemon that never gets ready ends with it.
        let daemon = Self { child, directory };
        let length = ready.recv(&mut [0; 64])?;
        if length == 0 {
            return Err(io::Error::other("the daemon is not ready"));
        }
        Ok(daemon)
    }

    /// Where it takes connections.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("run/socket")
    }

    /// The simulated host it runs on.
    pub fn host(&self) -> PathBuf {
        self.directory.path().join("host")
    }
}

impl Drop for DaemonProcess {
    fn drop(&mut self) {
        // It may have ended by itself; a test that cares has failed by then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
