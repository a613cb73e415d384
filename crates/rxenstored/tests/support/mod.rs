//! A real daemon on a host of its own, and clients that speak to it.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops there")]

pub mod client;
pub mod process;

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far more than anything here takes.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A host of its own for one test: directories, configuration, and daemons, which end
/// with it.
pub struct Host {
    pub directory: TempDir,
    pub background: Vec<Pid>,
}

impl Host {
    pub fn new() -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap(), background: Vec::new() };
        host.configure("");
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn configure(&self, more: &str) {
        let text = format!(
            "pid-file = {}\nxenstored-log-file = {}\naccess-log-file = {}\n\
             xenstored-log-level = info\n{more}",
            self.path("pid").display(),
            self.path("log").display(),
            self.path("access").display()
        );
        fs::write(self.path("conf"), text).unwrap();
    }

    /// The daemon with this host's configuration file and these options.
    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rxenstored"));
        command
            .arg("--config-file")
            .arg(self.path("conf"))
            .args(options)
            .env("XENSTORED_RUNDIR", self.path("deep/run"))
            .env_remove("XENSTORED_PATH")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null());
        command
    }

    pub fn output(&self, options: &[&str]) -> Output {
        self.command(options).output().unwrap()
    }

    /// A daemon in the foreground that serves.
    pub fn foreground(&self, options: &[&str]) -> Foreground {
        let options = [&["--no-fork", "--no-domain-init"], options].concat();
        self.start(self.command(&options))
    }

    /// The same, from a command of the test's own.
    pub fn start(&self, mut command: Command) -> Foreground {
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let daemon = Foreground(child);
        eventually("socket", || self.connects());
        daemon
    }

    /// A daemon in the background, and what its start printed.
    pub fn background(&mut self, options: &[&str]) -> Output {
        let options = [&["--no-domain-init"], options].concat();
        let output = self.output(&options);
        self.background.extend(self.pid());
        output
    }

    pub fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.read("pid").trim().parse().ok()?)
    }

    pub fn connects(&self) -> bool {
        UnixStream::connect(self.path("deep/run/socket")).is_ok()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for pid in &self.background {
            let _ = kill_process(*pid, Signal::KILL);
        }
    }
}

/// A daemon in the foreground, which ends with its test.
pub struct Foreground(pub Child);

impl Foreground {
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub fn stop(mut self, signal: Signal) -> (ExitStatus, String) {
        self.signal(signal);
        let mut stderr = String::new();
        let pipe = self.0.stderr.as_mut().unwrap();
        pipe.read_to_string(&mut stderr).unwrap();
        (self.0.wait().unwrap(), stderr)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something holds, since what one process does another sees later.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
