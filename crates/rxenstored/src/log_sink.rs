//! Where the lines of a log end up: a rotating file, the system's log, or stderr.

use std::io::{self, Write};

use crate::config::{Destination, LogFileSettings};
use crate::log_file::{LogFile, cut};
use crate::syslog::{Severity, Syslog};

/// Takes the lines of one log.
#[derive(Debug)]
pub struct LogSink {
    target: Target,
    chars: Option<usize>,
}

#[derive(Debug)]
enum Target {
    File(LogFile),
    Syslog(Syslog),
    Stderr,
}

impl LogSink {
    /// The destination of `settings`; call [`LogSink::reopen`] to open it.
    pub fn new(settings: &LogFileSettings) -> Self {
        let target = match &settings.destination {
            Destination::File(path) => Target::File(LogFile::new(path, settings)),
            Destination::Syslog(facility) => Target::Syslog(Syslog::new(*facility)),
        };
        Self { target, chars: settings.chars }
    }

    /// Standard error, for a daemon in the foreground.
    pub fn stderr() -> Self {
        Self { target: Target::Stderr, chars: None }
    }

    /// What to call it in a message.
    pub fn name(&self) -> String {
        match &self.target {
            Target::File(file) => file.path().display().to_string(),
            Target::Syslog(_) => "syslog".to_owned(),
            Target::Stderr => "stderr".to_owned(),
        }
    }

    /// Bytes a line may have with its newline.
    pub fn chars(&self) -> Option<usize> {
        self.chars
    }

    /// Opens or connects anew.
    ///
    /// # Errors
    ///
    /// It is not there; its lines are dropped.
    pub fn reopen(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file) => file.reopen(),
            Target::Syslog(syslog) => syslog.reopen(),
            Target::Stderr => Ok(()),
        }
    }

    /// Takes a line without newline; cuts it if need be, and leaves it changed.
    ///
    /// # Errors
    ///
    /// It, or for a file what was kept back before, is lost.
    pub fn write_line(&mut self, severity: Severity, line: &mut Vec<u8>) -> io::Result<()> {
        cut(line, self.chars);
        if let Target::Syslog(syslog) = &mut self.target {
            return syslog.send(severity, line);
        }
        line.push(b'\n');
        match &mut self.target {
            Target::File(file) => file.write_line(line),
            _ => io::stderr().write_all(line),
        }
    }

    /// Writes what a file kept back.
    ///
    /// # Errors
    ///
    /// It is lost.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file) => file.flush(),
            _ => Ok(()),
        }
    }
}
