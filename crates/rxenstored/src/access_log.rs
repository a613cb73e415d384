//! The access log: one line per request, in oxenstored's format.
//!
//! Administrators and scripts read these lines, so they are oxenstored's to the
//! byte: timestamp, connection padded to 12, operation padded to 9, data with NULs
//! as blanks and all else that is not printable escaped as OCaml escapes strings.
//!
//! ```text
//! [20261122T10:40:13.558Z]  D0           write     control/feature-poweroff 1
//! [20261122T10:40:13.575Z]  D0.1         error     ENOENT
//! ```

use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use xenstore_engine::{Incident, Origin, Transport};
use xenstore_wire::{Errno, MessageType};

use crate::clock::{Clock, write_timestamp};
use crate::config::AccessLogSettings;
use crate::log_sink::LogSink;
use crate::syslog::Severity;

/// The access log.
#[derive(Debug)]
pub struct AccessLog {
    sink: LogSink,
    settings: AccessLogSettings,
    clock: Clock,
    /// The line being written, kept for its allocation.
    line: Vec<u8>,
    /// The last attempt to write failed and was reported.
    failing: bool,
}

/// A class of operations that is logged only on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Always,
    Read,
    Transaction,
    Special,
}

impl AccessLog {
    /// Opens the log. A log that cannot be opened is reported and then empty.
    pub fn open(settings: &AccessLogSettings, clock: Clock) -> Self {
        let mut log = Self {
            sink: LogSink::new(&settings.log),
            settings: settings.clone(),
            clock,
            line: Vec::new(),
            failing: false,
        };
        log.reopen();
        log
    }

    /// Opens a log of everything at `path`, as `-T` and `CONTROL logfile` ask for.
    pub fn trace(path: &Path) -> Self {
        let mut settings = AccessLogSettings::default();
        settings.trace_to(path.to_owned(), true);
        Self::open(&settings, SystemTime::now)
    }

    /// Writes a line that somebody asked for, whatever is logged otherwise.
    pub fn print(&mut self, text: &[u8]) {
        let line = &mut self.line;
        line.clear();
        line.push(b'[');
        write_timestamp(line, (self.clock)());
        line.extend_from_slice(b"]  ");
        push_escaped(line, text, self.sink.chars().unwrap_or(usize::MAX));
        let outcome = self.sink.write_line(Severity::Informational, &mut self.line);
        self.report(outcome);
    }

    /// Opens its file anew, on SIGHUP.
    pub fn reopen(&mut self) {
        self.failing = false;
        let outcome = self.sink.reopen();
        self.report(outcome);
    }

    /// Writes what was kept back; the event loop calls it once a turn.
    pub fn flush(&mut self) {
        let outcome = self.sink.flush();
        self.report(outcome);
    }

    /// A full disk is reported once, not once a line. It never stops the daemon.
    fn report(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome
            && !std::mem::replace(&mut self.failing, true)
        {
            let log = self.sink.name();
            tracing::warn!(%error, log, "access log cannot be written, lines are lost");
        }
    }

    fn is_wanted(&self, incident: &Incident<'_>) -> bool {
        let class = match incident {
            Incident::Request { kind, .. } => operation(*kind).1,
            // oxenstored lists a merge among the reads.
            Incident::Committed { merged: true }
            | Incident::Refused { errno: Errno::NoEnt, .. } => Class::Read,
            _ => Class::Always,
        };
        match class {
            Class::Always => true,
            Class::Read => self.settings.read_ops,
            Class::Transaction => self.settings.transactions_ops,
            Class::Special => self.settings.special_ops,
        }
    }

    fn compose(&mut self, origin: &Origin, incident: &Incident<'_>) {
        let line = &mut self.line;
        line.clear();
        line.push(b'[');
        write_timestamp(line, (self.clock)());
        line.extend_from_slice(b"]  ");
        push_padded(line, 12, |line| push_origin(line, origin));
        line.push(b' ');
        push_padded(line, 9, |line| line.extend_from_slice(label(incident).as_bytes()));
        line.push(b' ');
        // Escaping stops where the line is cut anyway.
        let end = self.sink.chars().unwrap_or(usize::MAX);
        match incident {
            // oxenstored leaves out what is much the same for all transactions.
            Incident::Request { kind, .. } if operation(*kind).1 == Class::Transaction => {}
            Incident::Request { payload, .. } => push_escaped(line, payload, end),
            Incident::Refused { errno, .. } => {
                line.extend_from_slice(errno.name().as_bytes());
                line.push(b' ');
            }
            Incident::Event { path, token } => {
                push_escaped(line, path, end);
                line.push(b' ');
                push_escaped(line, token, end);
                line.push(b' ');
            }
            Incident::Connected
            | Incident::Disconnected
            | Incident::Committed { .. }
            | Incident::Conflict => {}
        }
    }
}

impl AccessLog {
    /// Takes note of something, if it is of a kind that is logged.
    pub fn note(&mut self, origin: &Origin, incident: &Incident<'_>) {
        if !self.is_wanted(incident) {
            return;
        }
        self.compose(origin, incident);
        let outcome = self.sink.write_line(Severity::Informational, &mut self.line);
        self.report(outcome);
    }
}

/// The word for an incident.
fn label(incident: &Incident<'_>) -> &'static str {
    match incident {
        Incident::Connected => "newconn",
        Incident::Disconnected => "endconn",
        Incident::Request { kind, .. } => operation(*kind).0,
        Incident::Refused { .. } => "error",
        Incident::Event { .. } => "w event",
        Incident::Committed { merged: false } => "commit",
        Incident::Committed { merged: true } => "coalesce",
        Incident::Conflict => "conflict",
    }
}

/// The word for a request, and when it is logged.
fn operation(kind: Option<MessageType>) -> (&'static str, Class) {
    use Class::{Always, Read, Special, Transaction};
    use MessageType as T;
    let Some(kind) = kind else {
        return ("invalid", Always);
    };
    match kind {
        T::Control => ("debug", Always),
        T::Directory => ("directory", Read),
        T::Read => ("read", Read),
        T::GetPerms => ("getperms", Read),
        T::Watch => ("watch", Always),
        T::Unwatch => ("unwatch", Always),
        T::TransactionStart => ("t start", Transaction),
        T::TransactionEnd => ("t end", Transaction),
        T::Introduce => ("introduce", Special),
        T::Release => ("release", Special),
        T::GetDomainPath => ("getdomain", Special),
        T::Write => ("write", Always),
        T::Mkdir => ("mkdir", Always),
        T::Rm => ("rm", Always),
        T::SetPerms => ("setperms", Always),
        T::IsDomainIntroduced => ("is introduced", Special),
        T::Resume => ("resume", Special),
        T::SetTarget => ("settarget", Always),
        T::ResetWatches => ("reset watches", Always),
        // From here on words of our own: oxenstored does not have these requests.
        T::DirectoryPart => ("directory part", Read),
        T::GetFeature => ("get feature", Special),
        T::SetFeature => ("set feature", Always),
        T::GetQuota => ("get quota", Special),
        T::SetQuota => ("set quota", Always),
        T::WatchEvent | T::Error => ("invalid", Always),
    }
}

fn push_origin(line: &mut Vec<u8>, origin: &Origin) {
    // Writing to a Vec cannot fail.
    let _ = match origin.transport {
        Transport::Socket(number) => write!(line, "A{number}"),
        Transport::Ring => write!(line, "D{}", origin.domid),
    };
    if origin.transaction != 0 {
        let _ = write!(line, ".{}", origin.transaction);
    }
}

fn push_padded(line: &mut Vec<u8>, width: usize, push: impl FnOnce(&mut Vec<u8>)) {
    let end = line.len() + width;
    push(line);
    line.resize(line.len().max(end), b' ');
}

/// Appends `data` with NULs as blanks and the rest escaped as OCaml's
/// `String.escaped` does, until `line` has grown to `end` bytes.
fn push_escaped(line: &mut Vec<u8>, data: &[u8], end: usize) {
    for byte in data {
        if line.len() >= end {
            return;
        }
        match byte {
            0 => line.push(b' '),
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\r' => line.extend_from_slice(b"\\r"),
            8 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(*byte),
            other => {
                let _ = write!(line, "\\{other:03}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Destination;
    use std::time::Duration;
    use xenstore_wire::Domid;

    fn clock() -> SystemTime {
        // 2026-11-22T10:40:13.514Z
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_344_013_514)
    }

    const DOM0: Origin = Origin { transport: Transport::Ring, domid: Domid::DOM0, transaction: 0 };
    const SOCKET: Origin = Origin { transport: Transport::Socket(1), ..DOM0 };

    fn request(kind: u32, payload: &[u8]) -> Incident<'_> {
        Incident::Request { kind: MessageType::from_number(kind), payload }
    }

    fn refused(errno: Errno) -> Incident<'static> {
        Incident::Refused { kind: Some(MessageType::Read), errno }
    }

    /// The lines of a log with the given classes, without timestamps.
    fn lines(classes: [bool; 3], incidents: &[(Origin, Incident<'_>)]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mut settings = AccessLogSettings::default();
        settings.log.destination = Destination::File(path.clone());
        [settings.read_ops, settings.transactions_ops, settings.special_ops] = classes;
        let mut log = AccessLog::open(&settings, clock);
        for (origin, incident) in incidents {
            log.note(origin, incident);
        }
        log.flush();
        let text = std::fs::read_to_string(path).unwrap();
        let timestamp = "[20261122T10:40:13.514Z]  ";
        text.lines().map(|line| line.strip_prefix(timestamp).unwrap().to_owned()).collect()
    }

    #[test]
    fn lines_are_those_of_a_recorded_host() {
        let in_transaction = Origin { transaction: 1, ..SOCKET };
        let late = Origin { transport: Transport::Socket(11), ..in_transaction };
        let written = lines(
            [true; 3],
            &[
                (DOM0, request(4, b"memory/target\0FFFFFFFF82BB1520\0")),
                (DOM0, Incident::Event { path: b"memory/target", token: b"FFFFFFFF82BB1520" }),
                (DOM0, refused(Errno::NoEnt)),
                (in_transaction, request(6, b"\0")),
                (DOM0, request(11, b"control/feature-poweroff\x001")),
                (in_transaction, request(7, b"T\0")),
                (SOCKET, Incident::Connected),
                (SOCKET, request(1, b"/\0")),
                (SOCKET, request(17, b"1\0")),
                (SOCKET, request(21, b"\0")),
                (SOCKET, request(99, b"hello\0")),
                (late, request(14, b"/local/domain/1\0n0\0r1\0")),
                (late, Incident::Committed { merged: false }),
                (SOCKET, Incident::Disconnected),
            ],
        );
        assert_eq!(
            written,
            [
                "D0           watch     memory/target FFFFFFFF82BB1520 ",
                "D0           w event   memory/target FFFFFFFF82BB1520 ",
                "D0           error     ENOENT ",
                "A1.1         t start   ",
                "D0           write     control/feature-poweroff 1",
                "A1.1         t end     ",
                "A1           newconn   ",
                "A1           directory / ",
                "A1           is introduced 1 ",
                "A1           reset watches  ",
                "A1           invalid   hello ",
                "A11.1        setperms  /local/domain/1 n0 r1 ",
                "A11.1        commit    ",
                "A1           endconn   ",
            ]
        );
    }

    #[test]
    fn classes_are_logged_on_demand() {
        let kinds: Vec<_> = (0..28).map(|kind| (SOCKET, request(kind, b""))).collect();
        let count = |classes| lines(classes, &kinds).len();
        let always = count([false; 3]);
        assert_eq!(count([true, false, false]) - always, 4);
        assert_eq!(count([false, true, false]) - always, 2);
        assert_eq!(count([false, false, true]) - always, 7);

        let errors = [Errno::NoEnt, Errno::Acces].map(|errno| (DOM0, refused(errno)));
        assert_eq!(lines([false, true, true], &errors).len(), 1);
        assert_eq!(lines([true, false, false], &errors).len(), 2);
    }

    #[test]
    fn data_is_escaped_and_cut_as_oxenstored_does() {
        let value = b"/a\0he\"llo\\ w'orld\n\t\r\x08\x07\x7f\xff~ end";
        let long = [b"/b\0".as_slice(), &[b'y'; 400]].concat();
        // The longest that is not cut: 179 bytes and a newline.
        let fits = [b"/b\0".as_slice(), &[b'y'; 127]].concat();
        let newlines = [b"/b\0".as_slice(), &[b'\n'; 400]].concat();
        let written = lines(
            [false; 3],
            &[
                (SOCKET, request(11, value)),
                (SOCKET, request(11, &long)),
                (SOCKET, request(11, &fits)),
                (SOCKET, request(11, &newlines)),
            ],
        );
        let prefix = "A1           write     /";
        let expected = [
            r#"a he\"llo\\ w'orld\n\t\r\b\007\127\255~ end"#.to_owned(),
            format!("b {}..", "y".repeat(125)),
            format!("b {}", "y".repeat(127)),
            format!("b {}\\..", "\\n".repeat(62)),
        ];
        assert_eq!(written, expected.map(|data| format!("{prefix}{data}")));
    }

    #[test]
    fn an_unwritable_log_changes_nothing() {
        for path in ["/nonexistent/access.log", "/dev/full"] {
            let mut settings = AccessLogSettings::default();
            settings.log.destination = Destination::File(Path::new(path).to_owned());
            let mut log = AccessLog::open(&settings, clock);
            for _ in 0..10_000 {
                log.note(&DOM0, &request(11, b"/a\0b"));
            }
            log.flush();
            assert!(path != "/dev/full" || log.failing);
        }
    }
}
