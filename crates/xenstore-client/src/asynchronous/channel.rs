//! A session and the file descriptor it speaks over, driven by readiness.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::io::{ioctl_fionbio, read, write};
use tokio::io::unix::AsyncFd;

use crate::error::Result;
use crate::session::Session;

const READ_SIZE: usize = 8192;

/// Bytes that wait to be sent are kept here rather than in a future, so that a
/// dropped future leaves no half a message behind.
#[derive(Debug)]
pub(super) struct Channel {
    fd: AsyncFd<OwnedFd>,
    pub(super) session: Session,
    /// Whole messages, the oldest perhaps begun to be sent.
    outgoing: Vec<Vec<u8>>,
    /// Bytes of the oldest message already sent.
    sent: usize,
}

impl Channel {
    pub(super) fn over(fd: OwnedFd) -> Result<Self> {
        ioctl_fionbio(&fd, true).map_err(io::Error::from)?;
        // Its replacement is unsafe: the caller vouches that the value never changes
        // its descriptor. An `OwnedFd` cannot.
        #[allow(deprecated, reason = "the safe constructor, right for an OwnedFd")]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd, session: Session::new(), outgoing: Vec::new(), sent: 0 })
    }

    /// Puts a message behind those that wait.
    pub(super) fn queue(&mut self, message: Vec<u8>) {
        self.outgoing.push(message);
    }

    /// Sends what waits, as far as that goes without waiting for the daemon.
    pub(super) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(message) = self.outgoing.first() {
            let rest = message.get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                self.outgoing.remove(0);
                self.sent = 0;
                continue;
            }
            let mut guard = ready!(self.fd.poll_write_ready(context))?;
            let attempt = guard.try_io(|fd| Ok(write(fd.get_ref(), rest)?));
            if let Ok(result) = attempt {
                self.sent += retried(result)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Receives something, sending what waits meanwhile.
    pub(super) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        if let Poll::Ready(Err(error)) = self.poll_send(context) {
            return Poll::Ready(Err(error.into()));
        }
        let mut buffer = [0; READ_SIZE];
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(context))?;
            let attempt = guard.try_io(|fd| Ok(read(fd.get_ref(), &mut buffer)?));
            match attempt {
                Err(_not_ready) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error.into())),
                Ok(Ok(0)) => return Poll::Ready(Err(ended().into())),
                Ok(Ok(length)) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    return Poll::Ready(self.session.receive(bytes).map_err(Into::into));
                }
            }
        }
    }
}

fn retried(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        other => other,
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the daemon closed the connection")
}
