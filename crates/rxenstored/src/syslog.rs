//! The system's log: a datagram per line to `/dev/log`.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// Who is speaking, one of syslog's facilities (RFC 5424, section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// System daemons.
    pub const DAEMON: Self = Self(3);
}

const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// No facility has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a syslog facility such as daemon or local0, found \"{0}\"")]
pub struct UnknownFacility(String);

impl FromStr for Facility {
    type Err = UnknownFacility;

    fn from_str(text: &str) -> Result<Self, UnknownFacility> {
        let known = FACILITIES.iter().find(|(name, _)| *name == text);
        let (_, code) = known.ok_or_else(|| UnknownFacility(text.to_owned()))?;
        Ok(Self(*code))
    }
}

/// How grave a line is, in syslog's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Severity {
    /// Something failed.
    Error = 3,
    /// Something should be looked at.
    Warning = 4,
    /// Something happened.
    Informational = 6,
    /// Something for developers.
    Debug = 7,
}

/// A connection to the system's log.
#[derive(Debug)]
pub struct Syslog {
    facility: Facility,
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// Speaks as `facility` to `/dev/log`.
    pub fn new(facility: Facility) -> Self {
        Self::at(Path::new("/dev/log"), facility)
    }

    fn at(path: &Path, facility: Facility) -> Self {
        Self { facility, path: path.to_owned(), socket: None }
    }

    /// Connects anew.
    ///
    /// # Errors
    ///
    /// Nobody listens there; lines are dropped until somebody does.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.socket = None;
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        // A log that does not keep up loses lines; it must not hold up the store.
        socket.set_nonblocking(true)?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends one line, without newline.
    ///
    /// # Errors
    ///
    /// It was not taken, also not after connecting anew, and is lost.
    pub fn send(&mut self, severity: Severity, line: &[u8]) -> io::Result<()> {
        let priority = self.facility.0 * 8 + severity as u8;
        let mut message = format!("<{priority}>rxenstored[{}]: ", std::process::id()).into_bytes();
        message.extend_from_slice(line);
        match self.transmit(&message) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.reopen()?;
                self.transmit(&message)
            }
            outcome => outcome,
        }
    }

    fn transmit(&self, message: &[u8]) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        socket.send(message).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_with_their_priority_also_after_a_restart_of_syslog() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut syslog = Syslog::at(&path, Facility::DAEMON);
        assert!(syslog.send(Severity::Error, b"lost").is_err());
        for _ in 0..2 {
            let _ = std::fs::remove_file(&path);
            let server = UnixDatagram::bind(&path).unwrap();
            syslog.send(Severity::Warning, b"hello").unwrap();
            let mut buffer = [0; 100];
            let length = server.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            assert!(text.starts_with("<28>rxenstored["), "{text}");
            assert!(text.ends_with("]: hello"), "{text}");
        }
    }

    #[test]
    fn facilities() {
        assert_eq!("daemon".parse(), Ok(Facility::DAEMON));
        assert_eq!("local7".parse(), Ok(Facility(23)));
        assert!("Daemon".parse::<Facility>().is_err());
    }
}
