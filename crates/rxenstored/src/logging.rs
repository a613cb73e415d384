//! The daemon's own log: `tracing` events to a file, to the system's log or to
//! stderr, as text or as JSON.

use std::io;
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
    sink: Arc<Mutex<LogSink>>,
    /// What to open again; `None` for stderr.
    settings: Option<LogFileSettings>,
}

impl Logging {
    /// Opens the log of `config` and makes it that of the process. A log that cannot
    /// be opened is replaced by the system's log, and if there is none by nothing.
    pub fn start(config: &Config) -> Self {
        let logs = &config.logs;
        let to_stderr = config.process.foreground && !logs.daemon_configured;
        let logging = Self {
            sink: Arc::new(Mutex::new(LogSink::stderr())),
            settings: (!to_stderr).then(|| logs.daemon.clone()),
        };
        let builder = tracing_subscriber::fmt()
            .with_max_level(filter(logs.level))
            .with_ansi(false)
            .with_target(false)
            .with_timer(Timestamp)
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
        let (sink, trouble) = open_or_syslog(settings);
        *self.lock() = sink;
        if let Some((log, error)) = trouble {
            tracing::warn!(log, %error, "log cannot be opened, using syslog until SIGHUP");
        }
    }

    fn lock(&self) -> MutexGuard<'_, LogSink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
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

fn open_or_syslog(settings: &LogFileSettings) -> (LogSink, Option<(String, io::Error)>) {
    let mut sink = LogSink::new(settings);
    let Err(error) = sink.reopen() else {
        return (sink, None);
    };
    let name = sink.name();
    let mut syslog = LogSink::new(&LogFileSettings {
        destination: Destination::Syslog(Facility::DAEMON),
        ..settings.clone()
    });
    // Without a system log either there is nowhere to tell it.
    let _ = syslog.reopen();
    (syslog, Some((name, error)))
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
        let mut sink = self.logging.lock();
        sink.write_line(self.severity, &mut line)?;
        sink.flush()?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
