//! The bytes' way to the daemon: its socket, or the kernel's device.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Error, Result};

/// An open way. Both kinds are read and written alike; what differs is that the
/// device takes one message per write, so that is how all are sent.
#[derive(Debug)]
pub(crate) struct Transport(File);

impl Transport {
    /// Opens the first of the places that answers.
    pub(crate) fn first_of(candidates: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self> {
        let mut tried = Vec::new();
        for candidate in candidates {
            let path = candidate.as_ref();
            match Self::open(path) {
                Ok(transport) => return Ok(transport),
                Err(error) => tried.push((path.to_owned(), error)),
            }
        }
        Err(Error::NotFound { tried })
    }

    fn open(path: &Path) -> io::Result<Self> {
        if std::fs::metadata(path)?.file_type().is_socket() {
            return Ok(Self::from(OwnedFd::from(UnixStream::connect(path)?)));
        }
        let device = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self(device))
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.write_all(message)
    }

    /// What has arrived, once something has; never nothing.
    pub(crate) fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let length = loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if length == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the daemon closed the connection",
            ));
        }
        Ok(buffer.get(..length).unwrap_or_default())
    }

    /// Waits until something arrives, at most that long; whether it did.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(timeout).ok();
        let mut entry = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut entry, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            // The caller looks at its clock and waits for the rest.
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<OwnedFd> for Transport {
    fn from(fd: OwnedFd) -> Self {
        Self(File::from(fd))
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(feature = "tokio")]
impl From<Transport> for OwnedFd {
    fn from(transport: Transport) -> Self {
        transport.0.into()
    }
}
