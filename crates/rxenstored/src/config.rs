//! Everything that can be configured, typed, with where it came from forgotten.
//!
//! Each source overrides the one before: built-in values, the configuration file,
//! the environment, the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use xenstore_engine::Settings;
use xenstore_wire::Domid;

use crate::limits::{Limits, Quota};
use crate::options::{LogFormat, LogLevel, Options};
use crate::oxenstored_conf::{self, Problem};
use crate::syslog::Facility;

/// The configuration file that is read unless another is named, if it is there.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/xen/oxenstored.conf";

/// Configuration of one run of the daemon.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What to do.
    pub task: Task,
    /// Directories and files.
    pub paths: Paths,
    /// How the process behaves.
    pub process: Process,
    /// What one domain may use.
    pub limits: Limits,
    /// Which domains there are, and how they are reached.
    pub domains: Domains,
    /// How the store behaves.
    pub store: Store,
    /// Where and how to log.
    pub logs: Logs,
    /// What was not understood in the configuration file.
    pub problems: Vec<Problem>,
    /// Obsolete options that were given and have no effect.
    pub obsolete: Vec<&'static str>,
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

/// Which domains there are, and how they are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains {
    /// Whether the hypervisor is used at all.
    pub hypervisor: bool,
    /// The domain the store runs in, if it was named.
    pub store_domid: Option<u16>,
    /// The control domain, if it was named.
    pub control_domid: Option<u16>,
    /// Event channel of domain 0, for a store in a domain of its own.
    pub event_port: Option<u32>,
    /// Keep nodes of dead domains, owned by the control domain.
    pub keep_orphans: bool,
    /// File that maps domain 0's ring (`xenstored-kva`).
    pub ring_file: PathBuf,
    /// File that tells domain 0's event channel (`xenstored-port`).
    pub port_file: PathBuf,
    /// How often rings are looked at without an event; never if `None`.
    pub ring_scan_interval: Option<Duration>,
}

/// How the store behaves.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "one field per configuration key")]
pub struct Store {
    /// Let a third of all commits fail, to test clients.
    pub test_eagain: bool,
    /// Merge transactions that ran beside each other.
    pub merge_activate: bool,
    /// Enforce permissions of nodes.
    pub perms_activate: bool,
    /// Enforce permissions of watch events (XSA-115).
    pub perms_watch_activate: bool,
    /// Let unprivileged domains send CONTROL.
    pub allow_debug: bool,
    /// How long an event may wait to be read; for ever if `None`.
    pub watch_event_timeout: Option<Duration>,
    /// What a domain is charged for conflicts it causes (XSA-206).
    pub conflict: ConflictCredit,
}

/// oxenstored's `conflict-*` keys.
#[derive(Debug, Clone, PartialEq)]
pub struct ConflictCredit {
    /// Credit at the start, and at most.
    pub burst_limit: f64,
    /// One point is given back each such time.
    pub max_history: Duration,
    /// Give the point to one domain, not to each.
    pub rate_limit_is_aggregate: bool,
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

/// What the process inherits besides its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `XENSTORED_RUNDIR`
    pub rundir: Option<PathBuf>,
    /// `XENSTORED_PATH`
    pub socket: Option<PathBuf>,
    /// `NOTIFY_SOCKET`
    pub notify_socket: Option<OsString>,
    /// [`crate::daemonize::CHILD_VARIABLE`]
    pub daemonized_by: Option<OsString>,
}

impl Environment {
    /// The environment of this process. An empty variable counts as unset.
    pub fn from_process() -> Self {
        let get = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            rundir: get("XENSTORED_RUNDIR").map(PathBuf::from),
            socket: get("XENSTORED_PATH").map(PathBuf::from),
            notify_socket: get("NOTIFY_SOCKET"),
            daemonized_by: get(crate::daemonize::CHILD_VARIABLE),
        }
    }
}

/// Why there is no configuration to run with.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A live update was asked for.
    #[error("{0}: live update is not supported yet, start without this option")]
    LiveUpdate(&'static str),
    /// A relative path could not be resolved.
    #[error("expected a path, found \"{}\"", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
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
            domains: Domains::default(),
            store: Store::default(),
            logs: Logs::default(),
            problems: Vec::new(),
            obsolete: Vec::new(),
        }
    }
}

impl Default for Domains {
    fn default() -> Self {
        Self {
            hypervisor: true,
            store_domid: None,
            control_domid: None,
            event_port: None,
            keep_orphans: false,
            ring_file: PathBuf::from("/proc/xen/xsd_kva"),
            port_file: PathBuf::from("/proc/xen/xsd_port"),
            ring_scan_interval: Some(Duration::from_secs(20)),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            test_eagain: false,
            merge_activate: true,
            perms_activate: true,
            perms_watch_activate: true,
            allow_debug: false,
            watch_event_timeout: Some(Duration::from_secs(20)),
            conflict: ConflictCredit {
                burst_limit: 5.0,
                max_history: Duration::from_millis(50),
                rate_limit_is_aggregate: true,
            },
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
            limits: self.limits.engine_limits(),
            privileged: self.domains.control_domid.map_or(Domid::DOM0, Domid::new),
            // Toolstacks read here what serves them, as with oxenstored.
            served_by: program.to_string_lossy().into_owned(),
        }
    }

    /// Puts all sources together; reads the configuration file.
    pub fn load(options: &Options, environment: Environment) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if options.config_test || options.help {
            config.task = Task::CheckConfiguration;
        } else if let Some(option) = live_update(options) {
            return Err(ConfigError::LiveUpdate(option));
        }
        config.read_file(options.config_file.as_deref())?;
        config.apply_environment(environment, options.disable_socket);
        config.apply_options(options)?;
        Ok(config)
    }

    fn read_file(&mut self, named: Option<&Path>) -> Result<(), ConfigError> {
        let default = Path::new(DEFAULT_CONFIG_FILE);
        let Some(path) = named.or_else(|| default.exists().then_some(default)) else {
            return Ok(());
        };
        let path = absolute(path)?;
        // oxenstored writes its access log unless told otherwise, C xenstored has
        // none: whoever has oxenstored's configuration file expects the former.
        self.logs.access = Some(AccessLogSettings::default());
        self.problems = match std::fs::read(&path) {
            Ok(text) => oxenstored_conf::apply(&path, &String::from_utf8_lossy(&text), self),
            // oxenstored reports this and starts with its built-in values; a host
            // must not lose its store over it.
            Err(error) => vec![Problem::unreadable(&path, &error)],
        };
        self.paths.config_file = Some(path);
        Ok(())
    }

    fn apply_environment(&mut self, environment: Environment, disable_socket: bool) {
        if let Some(rundir) = environment.rundir {
            self.paths.rundir = rundir;
        }
        let socket = environment.socket;
        let socket = socket.unwrap_or_else(|| self.paths.rundir.join("socket"));
        self.paths.socket = (!disable_socket).then_some(socket);
        self.process.notify_socket = environment.notify_socket;
        self.process.daemonized_by = environment.daemonized_by;
    }

    fn apply_options(&mut self, options: &Options) -> Result<(), ConfigError> {
        if let Some(path) = &options.pid_file {
            self.paths.pid_file = Some(absolute(path)?);
        }
        self.obsolete = options.obsolete();
        self.process.foreground = options.no_fork;
        self.process.output_pid = options.output_pid;
        self.apply_limits(options);
        self.domains.hypervisor = !options.no_domain_init;
        self.domains.keep_orphans = options.keep_orphans;
        self.domains.store_domid = options.master_domid;
        self.domains.control_domid = options.priv_domid;
        self.domains.event_port = options.event;
        if let Some(timeout) = options.timeout.last() {
            let seconds = u64::from(timeout.0);
            self.store.watch_event_timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
        }
        self.apply_log_options(options)
    }

    fn apply_limits(&mut self, options: &Options) {
        let short_forms = [
            (Quota::Nodes, options.entry_nb),
            (Quota::NodeSize, options.entry_size),
            (Quota::Watches, options.watch_nb),
            (Quota::Transactions, options.transaction),
            (Quota::NodePermissions, options.perm_nb),
            (Quota::PathMax, options.path_max),
        ];
        for (quota, value) in short_forms {
            if let Some(value) = value {
                self.limits.set(quota, value);
            }
        }
        for setting in &options.quota {
            self.limits.set(setting.quota, setting.value);
        }
        if let Some(soft) = options.quota_soft.last() {
            self.limits.soft_memory = soft.0;
        }
    }

    fn apply_log_options(&mut self, options: &Options) -> Result<(), ConfigError> {
        let logs = &mut self.logs;
        if let Some(format) = options.log_format {
            logs.format = format;
        }
        if options.verbose {
            logs.level = LogLevel::Debug;
        }
        if let Some(level) = options.log_level {
            logs.level = level;
        }
        if let Some(path) = &options.trace_file {
            let io = options.trace_control.iter().rfind(|control| control.io);
            let io = io.is_none_or(|control| control.on);
            logs.access.get_or_insert_default().trace_to(absolute(path)?, io);
        }
        if options.no_access_log {
            logs.access = None;
        }
        Ok(())
    }
}

/// The option that asks for a live update, if one does.
fn live_update(options: &Options) -> Option<&'static str> {
    [
        (options.live_update, "--live-update"),
        (options.live, "--live"),
        (options.restart, "--restart"),
    ]
    .into_iter()
    .find_map(|(given, name)| given.then_some(name))
}

/// A daemon changes its directory to `/`; names keep the meaning they had before.
fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::Path { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options;

    fn load(file: &str, line: &str, environment: Environment) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("conf");
        std::fs::write(&path, file).unwrap();
        let line = format!("rxenstored --config-file {} {line}", path.display());
        let options = options::parse(line.split_whitespace().map(OsString::from)).unwrap();
        Config::load(&options, environment)
    }

    fn config(file: &str, line: &str) -> Config {
        load(file, line, Environment::default()).unwrap()
    }

    #[test]
    fn each_source_overrides_the_one_before() {
        let file = "quota-maxentity = 8192\nquota-maxwatch = 7\npid-file = /file";
        let limits = config(file, "").limits;
        assert_eq!((limits.nodes, limits.watches, limits.transactions), (8192, 7, 10));
        let given = config(file, "-E 5 -F /option");
        assert_eq!((given.limits.nodes, given.limits.watches), (5, 7));
        assert_eq!(given.paths.pid_file, Some("/option".into()));
        // A short form and --quota name the same thing; the general one counts.
        assert_eq!(config(file, "-Q nodes=6 -E 5").limits.nodes, 6);
    }

    #[test]
    fn where_the_socket_is() {
        let socket = |rundir: Option<&str>, path: Option<&str>, line| {
            let environment = Environment {
                rundir: rundir.map(PathBuf::from),
                socket: path.map(PathBuf::from),
                ..Environment::default()
            };
            load("", line, environment).unwrap().paths.socket
        };
        assert_eq!(socket(None, None, ""), Some("/run/xenstored/socket".into()));
        assert_eq!(socket(Some("/r"), None, ""), Some("/r/socket".into()));
        assert_eq!(socket(Some("/r"), Some("/s"), ""), Some("/s".into()));
        assert_eq!(socket(None, Some("/s"), "--disable-socket"), None);
    }

    #[test]
    fn deactivated_quotas_can_still_be_set_by_option() {
        let limits = config("quota-maxentity = 5\nquota-activate = false", "-W 3").limits;
        assert_eq!((limits.nodes, limits.transactions), (0, 0));
        assert_eq!((limits.watches, limits.path_max), (3, 2048));
    }

    #[test]
    fn a_trace_is_an_access_log_of_everything() {
        let access = config("", "-T /trace").logs.access.unwrap();
        assert_eq!(access.log.destination, Destination::File("/trace".into()));
        assert!(access.read_ops && access.transactions_ops && access.special_ops);
        let access = config("", "-T /trace --trace-control=-io").logs.access;
        assert!(!access.unwrap().read_ops);
        assert_eq!(config("", "-T /trace --no-access-log").logs.access, None);
    }

    #[test]
    fn live_update_is_refused_unless_only_a_check_is_wanted() {
        for option in ["-U", "--live", "--restart"] {
            let error = load("", option, Environment::default()).unwrap_err();
            assert!(error.to_string().contains("not supported yet"));
        }
        let check = config("", "--live --restart --help");
        assert_eq!(check.task, Task::CheckConfiguration);
    }

    #[test]
    fn timeouts_and_levels() {
        let timeout = |line| config("", line).store.watch_event_timeout;
        assert_eq!(timeout(""), Some(Duration::from_secs(20)));
        assert_eq!(timeout("-w watch-event=3"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("-w watch-event=0"), None);
        let level = |line| config("xenstored-log-level = error", line).logs.level;
        assert_eq!(level(""), LogLevel::Error);
        assert_eq!(level("-V"), LogLevel::Debug);
        assert_eq!(level("-V --log-level info"), LogLevel::Info);
    }

    #[test]
    fn a_missing_file_is_a_problem_but_not_the_end() {
        let options = ["rxenstored", "--config-file", "/nonexistent"].map(OsString::from);
        let options = options::parse(options).unwrap();
        let config = Config::load(&options, Environment::default()).unwrap();
        assert_eq!(config.problems.len(), 1);
        assert!(config.problems[0].to_string().contains("/nonexistent"));
    }
}
