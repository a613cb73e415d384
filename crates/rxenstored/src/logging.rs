//! The daemon's own log: `tracing` events to a file, to the system's log or to
//! stderr, as text or as JSON.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};

use crate::clock::write_timestamp;
use crate::config::{Config, Destination, LogFileSettings};
use crate::log_sink::LogSink;
use crate::options::{LogFormat, LogLevel};
use crate::syslog::{Facility, Severity};

/// The open log; [`Logging::reopen`] is for SIGHUP.
#[derive(Debug, Clone)]
pub struct Logging {
    open: Arc<Mutex<Open>>,
    /// What to open again; `None` for stderr.
    settings: Option<LogFileSettings>,
}

#[derive(Debug)]
struct Open {
    sink: LogSink,
    /// Lines are being lost, and that has been told.
    failing: bool,
}

impl Open {
    fn new(sink: LogSink) -> Self {
        Self { sink, failing: false }
    }

    fn write_line(&mut self, severity: Severity, line: &mut Vec<u8>) -> io::Result<()> {
        self.sink.write_line(severity, line)?;
        self.sink.flush()
    }

    /// What to tell of an outcome: of lost lines once, not once a line.
    fn report(&mut self, outcome: io::Result<()>) -> Option<String> {
        let error = outcome.err()?;
        let log = self.sink.name();
        let is_told = std::mem::replace(&mut self.failing, true);
        (!is_told).then(|| format!("{log} cannot be written, lines are lost: {error}"))
    }
}

impl Logging {
    /// Opens the log of `config` and makes it that of the process. A log that cannot
    /// be opened is replaced by the system's log; if there is none either, stderr is told.
    pub fn start(config: &Config) -> Self {
        let logs = &config.logs;
        let to_stderr = config.process.foreground && !logs.daemon_configured;
        let logging = Self {
            open: Arc::new(Mutex::new(Open::new(LogSink::stderr()))),
            settings: (!to_stderr).then(|| logs.daemon.clone()),
        };
        let builder = tracing_subscriber::fmt()
            .with_max_level(filter(logs.level))
            .with_ansi(false)
            .with_target(false)
            .with_timer(Timestamp)
            // It would tell of every event that is lost.
            .log_internal_errors(false)
            .with_writer(logging.clone());
        install(builder, logs.format);
        logging.reopen();
        logging
    }

    /// Opens the log anew by its name.
    pub fn reopen(&self) {
        let Some(settings) = &self.settings else {
            return;
        };
        let mut sink = LogSink::new(settings);
        let Err(error) = sink.reopen() else {
            *self.lock() = Open::new(sink);
            return;
        };
        let log = sink.name();
        let mut syslog = LogSink::new(&LogFileSettings {
            destination: Destination::Syslog(Facility::DAEMON),
            ..settings.clone()
        });
        let is_lost = syslog.reopen().is_err();
        *self.lock() = Open { sink: syslog, failing: is_lost };
        if is_lost {
            tell(&format!("{log} cannot be opened, nor syslog, lines are lost: {error}"));
        } else {
            tracing::warn!(log, %error, "log cannot be opened, using syslog until SIGHUP");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn install(
    builder: SubscriberBuilder<
        tracing_subscriber::fmt::format::DefaultFields,
        tracing_subscriber::fmt::format::Format<tracing_subscriber::fmt::format::Full, Timestamp>,
        LevelFilter,
        Logging,
    >,
    format: LogFormat,
) {
    // Only a second start in one process, as in a test, finds a log installed.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Tells on stderr what the log cannot.
fn tell(complaint: &str) {
    // Where stderr cannot be written either there is nobody left.
    let _ = writeln!(io::stderr(), "rxenstored: {complaint}");
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Null => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// The same timestamps as in the access log, so that both can be read together.
#[derive(Debug, Clone, Copy)]
struct Timestamp;

impl FormatTime for Timestamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        write_timestamp(&mut text, std::time::SystemTime::now());
        writer.write_str(&String::from_utf8_lossy(&text))
    }
}

impl<'a> MakeWriter<'a> for Logging {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { logging: self, severity: Severity::Informational }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        let severity = match *metadata.level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            Level::INFO => Severity::Informational,
            _ => Severity::Debug,
        };
        LineWriter { logging: self, severity }
    }
}

/// Takes one event, which `tracing_subscriber` writes in one piece.
#[derive(Debug)]
pub struct LineWriter<'a> {
    logging: &'a Logging,
    severity: Severity,
}

impl io::Write for LineWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut line = event.trim_ascii_end().to_vec();
        let mut open = self.logging.lock();
        let outcome = open.write_line(self.severity, &mut line);
        if let Some(complaint) = open.report(outcome) {
            tell(&complaint);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_lines_are_told_once_until_the_log_is_opened_anew() {
        let mut open = Open::new(LogSink::stderr());
        let full = || Err(io::ErrorKind::StorageFull.into());
        assert_eq!(open.report(Ok(())), None);
        let complaint = open.report(full()).unwrap();
        assert!(complaint.starts_with("stderr cannot be written"), "{complaint}");
        assert_eq!(open.report(full()), None);
        assert_eq!(open.report(Ok(())), None);
        assert_eq!(open.report(full()), None);
    }
}
