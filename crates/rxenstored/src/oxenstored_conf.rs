//! oxenstored's configuration file: lines of `key = value`, `#` for comments.
//!
//! A host's administrator brings this file along, so every key of oxenstored is
//! known here. What is not understood is collected, not fatal: oxenstored starts
//! with its built-in value in such a case, and a host must not be left without its
//! store by a line that the previous daemon let pass. `--config-test` is stricter.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use thiserror::Error;
use xenstore_engine::Quota;

use crate::config::{AccessLogSettings, Config, Destination, LogFileSettings};
use crate::limits;
use crate::options::LogLevel;

/// Something in a configuration file that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{}: {kind}", file.display(), Line(*line))]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProblemKind {
    /// The file cannot be read.
    #[error("expected a readable file: {0}")]
    Unreadable(String),
    /// There is no `=` in the line.
    #[error("expected key = value, found \"{0}\"")]
    NoEquals(String),
    /// No daemon has this key.
    #[error("unknown key \"{0}\"")]
    UnknownKey(String),
    /// The value is not of the key's kind.
    #[error("{key}: expected {expected}, found \"{found}\"")]
    BadValue {
        /// The key.
        key: String,
        /// What its values look like.
        expected: &'static str,
        /// The value.
        found: String,
    },
}

struct Line(usize);

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            line => write!(f, ", line {line}"),
        }
    }
}

impl Problem {
    /// The file as a whole cannot be read.
    pub fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        Self { file: file.to_owned(), line: 0, kind: ProblemKind::Unreadable(error.to_string()) }
    }
}

/// Applies the lines of `text` to `config` in order; a later line overrides an
/// earlier one. `file` is only its name, for the problems that are returned.
pub fn apply(file: &Path, text: &str, config: &mut Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut quota_active = true;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if let Err(kind) = apply_line(line, config, &mut quota_active) {
            problems.push(Problem { file: file.to_owned(), line: index + 1, kind });
        }
    }
    if !quota_active {
        limits::deactivate(&mut config.limits);
    }
    problems
}

fn apply_line(line: &str, config: &mut Config, quota_active: &mut bool) -> Result<(), ProblemKind> {
    let (key, value) = line
        .split_once('=')
        .map(|(key, value)| (key.trim(), value.trim()))
        .ok_or_else(|| ProblemKind::NoEquals(line.to_owned()))?;
    let outcome = match key {
        "quota-activate" => set(quota_active, boolean(value)),
        _ if key.starts_with("quota-") => quota(key, value, config),
        _ if key.contains("-log-") => log(key, value, config),
        _ => other(key, value, config),
    };
    outcome.map_err(|error| match error {
        KeyError::Unknown => ProblemKind::UnknownKey(key.to_owned()),
        KeyError::Expected(expected) => {
            ProblemKind::BadValue { key: key.to_owned(), expected, found: value.to_owned() }
        }
    })
}

enum KeyError {
    Unknown,
    Expected(&'static str),
}

fn quota(key: &str, value: &str, config: &mut Config) -> Result<(), KeyError> {
    let quota = match key {
        "quota-maxentity" => Quota::Nodes,
        "quota-maxsize" => Quota::NodeSize,
        "quota-maxwatch" => Quota::Watches,
        "quota-transaction" => Quota::Transactions,
        "quota-path-max" => Quota::PathMax,
        "quota-maxrequests" => return set(&mut config.transactions.requests, number(value)),
        "quota-maxoutstanding" => Quota::Outstanding,
        // Events are bounded by memory, and never lost.
        "quota-maxwatchevents" => return number(value).map(|_| ()),
        _ => return Err(KeyError::Unknown),
    };
    limits::set(&mut config.limits, quota, number(value)?);
    Ok(())
}

fn log(key: &str, value: &str, config: &mut Config) -> Result<(), KeyError> {
    let logs = &mut config.logs;
    match key {
        "xenstored-log-level" => {
            let level = LogLevel::from_str(value, false);
            let expected = "null, debug, info, warn or error";
            return set(&mut logs.level, level.map_err(|_| KeyError::Expected(expected)));
        }
        "xenstored-log-file" => logs.daemon_configured = true,
        _ => {}
    }
    if let Some(setting) = key.strip_prefix("xenstored-log-") {
        return log_file(setting, value, &mut logs.daemon);
    }
    let access = logs.access.get_or_insert_with(AccessLogSettings::default);
    match key.strip_prefix("access-log-") {
        Some("read-ops") => set(&mut access.read_ops, boolean(value)),
        Some("transactions-ops") => set(&mut access.transactions_ops, boolean(value)),
        Some("special-ops") => set(&mut access.special_ops, boolean(value)),
        Some(setting) => log_file(setting, value, &mut access.log),
        None => Err(KeyError::Unknown),
    }
}

fn log_file(setting: &str, value: &str, log: &mut LogFileSettings) -> Result<(), KeyError> {
    match setting {
        "file" => set(&mut log.destination, destination(value)),
        "nb-files" => set(&mut log.files, number(value)),
        "nb-lines" => set(&mut log.lines, limit(value)),
        "nb-chars" => {
            let chars = limit(value).map(|chars| chars.and_then(|n| usize::try_from(n).ok()));
            set(&mut log.chars, chars)
        }
        _ => Err(KeyError::Unknown),
    }
}

fn other(key: &str, value: &str, config: &mut Config) -> Result<(), KeyError> {
    match key {
        "pid-file" => set(&mut config.paths.pid_file, path(value).map(Some)),
        "test-eagain" => set(&mut config.transactions.test_eagain, boolean(value)),
        "xenstored-kva" => set(&mut config.domains.ring_file, path(value)),
        "xenstored-port" => set(&mut config.domains.port_file, path(value)),
        _ => without_effect(key, value, config),
    }
}

/// Switches of oxenstored that are not switches here: what they are always, and why.
const FIXED: [(&str, bool, &str); 5] = [
    ("merge-activate", true, "transactions are always merged"),
    ("perms-activate", true, "permissions are always enforced"),
    ("perms-watch-activate", true, "permissions are always enforced for events too"),
    ("allow-debug", false, "control commands are for the control domain only"),
    ("persistent", false, "the store is kept in memory only"),
];

/// Keys that are known and checked, and change nothing.
fn without_effect(key: &str, value: &str, config: &mut Config) -> Result<(), KeyError> {
    if let Some((_, always, reason)) = FIXED.iter().find(|(name, ..)| *name == key) {
        if boolean(value)? != *always {
            config.notices.push(format!("{key} = {value}: no effect, {reason}"));
        }
        return Ok(());
    }
    match key {
        "conflict-burst-limit" | "conflict-max-history-seconds" => positive(value),
        "conflict-rate-limit-is-aggregate" => boolean(value).map(|_| ()),
        "gc-max-overhead" => number(value).map(|_| ()),
        // A guest says by its event channel that there is something to read.
        "ring-scan-interval" => seconds(value),
        _ => Err(KeyError::Unknown),
    }
}

fn set<T>(slot: &mut T, value: Result<T, KeyError>) -> Result<(), KeyError> {
    *slot = value?;
    Ok(())
}

fn boolean(value: &str) -> Result<bool, KeyError> {
    value.parse().map_err(|_| KeyError::Expected("true or false"))
}

fn number(value: &str) -> Result<u32, KeyError> {
    let expected = "a whole number from 0 to 4294967295";
    value.parse().map_err(|_| KeyError::Expected(expected))
}

/// A number of things; zero or less is oxenstored's way to say "no limit".
fn limit(value: &str) -> Result<Option<u64>, KeyError> {
    let number: i64 = value.parse().map_err(|_| KeyError::Expected("a whole number"))?;
    Ok(u64::try_from(number).ok().filter(|number| *number > 0))
}

/// A time, or less than nothing: oxenstored's way to say "never".
fn seconds(value: &str) -> Result<(), KeyError> {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(()),
        _ => Err(KeyError::Expected("a number of seconds")),
    }
}

/// A number above zero, small enough to be a time in seconds.
fn positive(value: &str) -> Result<(), KeyError> {
    match value.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1e9 => Ok(()),
        _ => Err(KeyError::Expected("a number above 0")),
    }
}

fn path(value: &str) -> Result<PathBuf, KeyError> {
    if value.starts_with('/') {
        Ok(PathBuf::from(value))
    } else {
        Err(KeyError::Expected("an absolute path"))
    }
}

fn destination(value: &str) -> Result<Destination, KeyError> {
    let Some(facility) = value.strip_prefix("syslog:") else {
        return path(value)
            .map(Destination::File)
            .map_err(|_| KeyError::Expected("an absolute path or syslog:<facility>"));
    };
    let facility = facility.parse().map_err(|_| KeyError::Expected("a syslog facility"))?;
    Ok(Destination::Syslog(facility))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syslog::Facility;

    fn read(text: &str) -> (Config, Vec<String>) {
        let mut config = Config::default();
        let problems = apply(Path::new("/conf"), text, &mut config);
        let problems = problems.iter().map(ToString::to_string).collect();
        (config, problems)
    }

    const MAN_PAGE: &str = include_str!("../../../docs/man/rxenstored.conf.5");

    fn assert_documented(line: &str, part: &str) {
        let key = line.split(' ').next().unwrap();
        assert!(part.contains(&format!("Cm {key}\n")) || part.contains(&format!("Cm {key} ")));
    }

    #[test]
    fn every_key_is_known_and_takes_effect() {
        for line in [
            "pid-file = /p",
            "test-eagain = true",
            "quota-activate = false",
            "quota-maxentity = 1",
            "quota-maxsize = 1",
            "quota-maxwatch = 1",
            "quota-transaction = 1",
            "quota-path-max = 1",
            "quota-maxoutstanding = 1",
            "quota-maxrequests = 1",
            "xenstored-kva = /k",
            "xenstored-port = /p",
            "xenstored-log-file = /l",
            "xenstored-log-level = debug",
            "xenstored-log-nb-files = 1",
            "xenstored-log-nb-lines = 1",
            "xenstored-log-nb-chars = 1",
            "access-log-file = syslog:local3",
            "access-log-nb-files = 1",
            "access-log-nb-lines = 1",
            "access-log-nb-chars = 1",
            "access-log-read-ops = true",
            "access-log-transactions-ops = true",
            "access-log-special-ops = true",
        ] {
            let (config, problems) = read(line);
            assert!(problems.is_empty(), "{problems:?}");
            assert_ne!(config, Config::default(), "{line}");
            assert!(config.notices.is_empty(), "{line}");
            assert_documented(line, MAN_PAGE.split(".Ss Without effect").next().unwrap());
        }
    }

    #[test]
    fn what_has_no_effect_is_said_to_have_none() {
        let (_, documented) = MAN_PAGE.split_once(".Ss Without effect").unwrap();
        for (line, noticed) in [
            ("merge-activate = true", false),
            ("merge-activate = false", true),
            ("perms-activate = false", true),
            ("perms-watch-activate = false", true),
            ("allow-debug = false", false),
            ("allow-debug = true", true),
            ("persistent = true", true),
            ("conflict-burst-limit = 6.0", false),
            ("conflict-max-history-seconds = 0.5", false),
            ("conflict-rate-limit-is-aggregate = false", false),
            ("quota-maxwatchevents = 1", false),
            ("gc-max-overhead = 5", false),
            ("ring-scan-interval = -1", false),
        ] {
            let (mut config, problems) = read(line);
            assert!(problems.is_empty(), "{problems:?}");
            let notices = std::mem::take(&mut config.notices);
            assert_eq!(notices.len(), usize::from(noticed), "{line}");
            assert!(notices.iter().all(|notice| notice.starts_with(line)), "{notices:?}");
            assert_eq!(config, Config::default(), "{line}");
            assert_documented(line, documented);
        }
    }

    #[test]
    fn blanks_and_comments() {
        let (config, problems) = read("# all\n\n  quota-maxentity=5 # few\r\n\tpid-file\t=\t/p\n");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(config.limits.get(Quota::Nodes), 5);
        assert_eq!(config.paths.pid_file, Some("/p".into()));
    }

    #[test]
    fn problems_name_the_line_and_change_nothing() {
        let (config, problems) = read("foo = 1\nquota-maxsize = abc\ngarbage\nquota-foo = 1");
        assert_eq!(config, Config::default());
        assert_eq!(
            problems,
            [
                "/conf, line 1: unknown key \"foo\"",
                "/conf, line 2: quota-maxsize: expected a whole number from 0 to 4294967295, \
                 found \"abc\"",
                "/conf, line 3: expected key = value, found \"garbage\"",
                "/conf, line 4: unknown key \"quota-foo\"",
            ]
        );
    }

    #[test]
    fn bad_values() {
        for line in [
            "test-eagain = yes",
            "conflict-burst-limit = 0",
            "conflict-max-history-seconds = 1e300",
            "ring-scan-interval = NaN",
            "pid-file = relative",
            "access-log-file = syslog:nowhere",
            "access-log-file =",
            "xenstored-log-level = loud",
            "quota-maxwatch = -1",
            "quota-maxrequests = x",
            "perms-activate = maybe",
            "gc-max-overhead = x",
        ] {
            assert_eq!(read(line).1.len(), 1, "{line}");
        }
    }

    #[test]
    fn destinations() {
        let (config, _) = read("xenstored-log-file = syslog:daemon");
        let expected = Destination::Syslog(Facility::DAEMON);
        assert_eq!(config.logs.daemon.destination, expected);
        assert!(config.logs.daemon_configured);
    }
}
