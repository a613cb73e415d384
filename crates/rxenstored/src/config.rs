//! Everything that can be configured, typed, with where it came from forgotten.
//!
//! A field is here because something acts on it. Options and keys that older daemons
//! acted on and this one does not are checked where they are read, and leave nothing
//! behind but a notice. How a [`Config`] is put together is in [`load`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use xenstore_engine::{Limits, Settings, TraceSwitch};
use xenstore_wire::Domid;

use crate::options::{LogFormat, LogLevel};
use crate::oxenstored_conf::Problem;
use crate::syslog::Facility;

pub mod load;

pub use load::{ConfigError, Environment};

/// Configuration of one run of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What to do.
    pub task: Task,
    /// Directories and files.
    pub paths: Paths,
    /// How the process behaves.
    pub process: Process,
    /// What one unprivileged domain may use.
    pub limits: Limits,
    /// What transactions may do.
    pub transactions: Transactions,
    /// Which domains there are, and how they are reached.
    pub domains: Domains,
    /// Where and how to log.
    pub logs: Logs,
    /// What was not understood in the configuration file.
    pub problems: Vec<Problem>,
    /// What was asked for and has no effect, each with the reason.
    pub notices: Vec<String>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Be the daemon.
    Serve,
    /// Say whether the configuration is valid, and no more.
    CheckConfiguration,
}

/// Directories and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Holds the socket and the debug dump.
    pub rundir: PathBuf,
    /// The socket; none with `--disable-socket`.
    pub socket: Option<PathBuf>,
    /// The pid file, if one is wanted.
    pub pid_file: Option<PathBuf>,
    /// The configuration file that was read, or that was named and could not be.
    pub config_file: Option<PathBuf>,
}

impl Paths {
    /// Where SIGUSR1 leaves a dump of the store.
    pub fn debug_dump(&self) -> PathBuf {
        self.rundir.join("db.debug")
    }
}

/// How the process behaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Stay in the foreground.
    pub foreground: bool,
    /// Print the process id of the daemon.
    pub output_pid: bool,
    /// Where a service manager waits for readiness (`NOTIFY_SOCKET`).
    pub notify_socket: Option<OsString>,
    /// Value of [`crate::daemonize::CHILD_VARIABLE`].
    pub daemonized_by: Option<OsString>,
}

/// What transactions may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transactions {
    /// Requests of one unprivileged domain in one of them, 0 for no limit.
    pub requests: u32,
    /// How long one may be open, zero for ever.
    pub time: Duration,
    /// How long others are held back at most for one that failed before, zero for not at
    /// all.
    pub protection: Duration,
    /// Let every third commit fail, to test clients.
    pub test_eagain: bool,
}

/// Which domains there are, and how they are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains {
    /// Where they run.
    pub host: Host,
    /// The control domain, if it was named.
    pub control_domid: Option<u16>,
    /// Keep nodes of dead domains, owned by the control domain.
    pub keep_orphans: bool,
    /// File that maps domain 0's ring (`xenstored-kva`).
    pub ring_file: PathBuf,
    /// File that tells domain 0's event channel (`xenstored-port`).
    pub port_file: PathBuf,
}

/// Where domains run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// On Xen.
    Xen,
    /// Nowhere but in the files of this directory ([`xenstore_host::sim`]).
    Simulated(PathBuf),
    /// There are none: only sockets are served.
    None,
}

/// A host was named that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected xen or sim:DIRECTORY, found \"{0}\"")]
pub struct UnknownHost(String);

impl FromStr for Host {
    type Err = UnknownHost;

    fn from_str(text: &str) -> Result<Self, UnknownHost> {
        match text.strip_prefix("sim:") {
            Some(directory) if !directory.is_empty() => Ok(Self::Simulated(directory.into())),
            None if text == "xen" => Ok(Self::Xen),
            _ => Err(UnknownHost(text.to_owned())),
        }
    }
}

/// Where and how to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// The daemon's own log; stderr in the foreground unless configured.
    pub daemon: LogFileSettings,
    /// Whether `xenstored-log-file` was given.
    pub daemon_configured: bool,
    /// From this level up.
    pub level: LogLevel,
    /// How lines are written.
    pub format: LogFormat,
    /// The access log, if one is written.
    pub access: Option<AccessLogSettings>,
    /// Which parts of the trace are on. Requests and replies are the one with an effect
    /// here; the others are kept for whoever asks.
    pub trace: BTreeSet<TraceSwitch>,
}

/// One log and its rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileSettings {
    /// Where lines go.
    pub destination: Destination,
    /// Files in all, the current one included.
    pub files: u32,
    /// Lines after which a file is full; no rotation if `None`.
    pub lines: Option<u64>,
    /// Bytes in a line, its newline included; no limit if `None`.
    pub chars: Option<usize>,
}

/// Where the lines of a log go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A file.
    File(PathBuf),
    /// The system's log (`syslog:<facility>`).
    Syslog(Facility),
}

/// The access log and what it shows besides changes of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// The log.
    pub log: LogFileSettings,
    /// Reads, and errors that only say that a node does not exist.
    pub read_ops: bool,
    /// Starts and ends of transactions.
    pub transactions_ops: bool,
    /// Introductions, releases, questions about domains.
    pub special_ops: bool,
}

impl AccessLogSettings {
    /// Makes it a trace: a log to this file, of everything if `all`.
    pub fn trace_to(&mut self, path: PathBuf, all: bool) {
        self.log.destination = Destination::File(path);
        self.read_ops |= all;
        self.transactions_ops |= all;
        self.special_ops |= all;
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            task: Task::Serve,
            paths: Paths {
                rundir: PathBuf::from("/run/xenstored"),
                socket: None,
                pid_file: None,
                config_file: None,
            },
            process: Process::default(),
            limits: Limits::default(),
            transactions: Transactions::default(),
            domains: Domains::default(),
            logs: Logs::default(),
            problems: Vec::new(),
            notices: Vec::new(),
        }
    }
}

impl Default for Transactions {
    fn default() -> Self {
        let Settings { transaction_requests, transaction_time, protection_time, .. } =
            Settings::default();
        Self {
            requests: transaction_requests,
            time: transaction_time,
            protection: protection_time,
            test_eagain: false,
        }
    }
}

impl Default for Domains {
    fn default() -> Self {
        Self {
            host: Host::Xen,
            control_domid: None,
            keep_orphans: false,
            ring_file: PathBuf::from("/proc/xen/xsd_kva"),
            port_file: PathBuf::from("/proc/xen/xsd_port"),
        }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            daemon: LogFileSettings {
                destination: Destination::File("/var/log/xen/xenstored.log".into()),
                files: 10,
                lines: Some(13_215),
                chars: None,
            },
            daemon_configured: false,
            level: LogLevel::Warn,
            format: LogFormat::Text,
            access: None,
            trace: Settings::default().trace,
        }
    }
}

impl Default for AccessLogSettings {
    fn default() -> Self {
        Self {
            log: LogFileSettings {
                destination: Destination::File("/var/log/xen/xenstored-access.log".into()),
                files: 20,
                lines: Some(13_215),
                chars: Some(180),
            },
            read_ops: false,
            transactions_ops: false,
            special_ops: false,
        }
    }
}

impl Config {
    /// What the engine is told of this.
    pub fn engine_settings(&self) -> Settings {
        let program = std::env::current_exe().unwrap_or_default();
        Settings {
            limits: self.limits,
            privileged: self.domains.control_domid.map_or(Domid::DOM0, Domid::new),
            // Toolstacks read here what serves them, as with oxenstored.
            served_by: program.to_string_lossy().into_owned(),
            keep_orphans: self.domains.keep_orphans,
            transaction_requests: self.transactions.requests,
            transaction_time: self.transactions.time,
            protection_time: self.transactions.protection,
            old_versions: Settings::default().old_versions,
            test_eagain: self.transactions.test_eagain,
            trace: self.logs.trace.clone(),
        }
    }
}
