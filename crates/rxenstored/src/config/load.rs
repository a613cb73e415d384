//! Puts the configuration together.
//!
//! Each source overrides the one before: built-in values, the configuration file,
//! the environment, the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use xenstore_engine::Quota;

use super::{AccessLogSettings, Config, Host, Task};
use xenstore_engine::TraceSwitch;

use crate::limits;
use crate::options::{LogLevel, Options};
use crate::oxenstored_conf::{self, Problem};

/// The configuration file that is read unless another is named, if it is there.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/xen/oxenstored.conf";

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

impl Config {
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
        self.notices.extend(options.without_effect());
        self.process.foreground = options.no_fork;
        self.process.output_pid = options.output_pid;
        self.apply_limits(options);
        self.apply_transaction_options(options);
        if let Some(host) = &options.host {
            self.domains.host = match host {
                // The daemon leaves the directory it was started in.
                Host::Simulated(directory) => Host::Simulated(absolute(directory)?),
                host => host.clone(),
            };
        }
        if options.no_domain_init {
            self.domains.host = Host::None;
        }
        self.domains.keep_orphans = options.keep_orphans;
        self.domains.control_domid = options.priv_domid;
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
                limits::set(&mut self.limits, quota, value);
            }
        }
        for setting in &options.quota {
            limits::set(&mut self.limits, setting.quota, setting.value);
        }
        if let Some(soft) = options.quota_soft.last() {
            limits::set(&mut self.limits, Quota::SoftMemory, soft.0);
        }
    }

    fn apply_transaction_options(&mut self, options: &Options) {
        let transactions = &mut self.transactions;
        if let Some(requests) = options.requests_per_transaction {
            transactions.requests = requests;
        }
        if let Some(seconds) = options.longest_transaction {
            transactions.time = Duration::from_secs(seconds.into());
        }
        if let Some(milliseconds) = options.longest_protection {
            transactions.protection = Duration::from_millis(milliseconds.into());
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
        for control in &options.trace_control {
            if control.on {
                logs.trace.insert(control.switch);
            } else {
                logs.trace.remove(&control.switch);
            }
        }
        if let Some(path) = &options.trace_file {
            let io = logs.trace.contains(&TraceSwitch::Io);
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
    use crate::config::Destination;
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
        let limits = |line| {
            let limits = config(file, line).limits;
            [Quota::Nodes, Quota::Watches, Quota::Transactions].map(|quota| limits.get(quota))
        };
        assert_eq!(limits(""), [8192, 7, 10]);
        assert_eq!(limits("-E 5"), [5, 7, 10]);
        // A short form and --quota name the same thing; the general one counts.
        assert_eq!(limits("-Q nodes=6 -E 5"), [6, 7, 10]);
        assert_eq!(config(file, "").paths.pid_file, Some("/file".into()));
        assert_eq!(config(file, "-F /option").paths.pid_file, Some("/option".into()));
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
        assert_eq!((limits.get(Quota::Nodes), limits.get(Quota::Transactions)), (0, 0));
        assert_eq!((limits.get(Quota::Watches), limits.get(Quota::PathMax)), (3, 2048));
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
    fn what_the_engine_is_told() {
        let settings = config("", "").engine_settings();
        assert!(!settings.keep_orphans && !settings.test_eagain);
        let settings = config("test-eagain = true", "-K -p 3 -q memory=9").engine_settings();
        assert!(settings.keep_orphans && settings.test_eagain);
        assert_eq!(settings.privileged.get(), 3);
        assert_eq!(settings.limits.get(Quota::SoftMemory), 9);
        let times = "--longest-transaction 7 --longest-protection 8";
        let settings = config("quota-maxrequests = 1024", times).engine_settings();
        assert_eq!(settings.transaction_requests, 1024);
        assert_eq!(settings.transaction_time, Duration::from_secs(7));
        assert_eq!(settings.protection_time, Duration::from_millis(8));
    }

    #[test]
    fn what_has_no_effect_is_noticed() {
        let notices = config("perms-activate = false\nmerge-activate = true", "-R").notices;
        assert_eq!(
            notices,
            [
                "perms-activate = false: no effect, permissions are always enforced",
                "--no-recovery: no effect, obsolete",
            ]
        );
    }

    #[test]
    fn levels() {
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
