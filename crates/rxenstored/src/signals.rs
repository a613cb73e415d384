//! Signals as events of a file descriptor.
//!
//! * SIGHUP: open the logs anew, as both old daemons do.
//! * SIGTERM, SIGINT: leave, removing the pid file and the socket. C xenstored dies
//!   of them and leaves both behind; oxenstored saves its state first. A store that
//!   is gone is lost to running guests either way, so this is for hosts without any.
//! * SIGUSR1: dump the store for a developer, as oxenstored does.
//! * SIGPIPE is ignored from the start by Rust's runtime: a client that is gone is an
//!   error of the write to it.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Open the logs anew.
    ReopenLogs,
    /// Dump the store for a developer.
    DumpStore,
    /// Leave.
    Terminate,
}

const MEANING: [(i32, Signal); 4] = [
    (SIGHUP, Signal::ReopenLogs),
    (SIGUSR1, Signal::DumpStore),
    (SIGTERM, Signal::Terminate),
    (SIGINT, Signal::Terminate),
];

/// Receives signals; readable while there is one to [`Signals::take`].
#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    raised: Vec<(Arc<AtomicBool>, Signal)>,
}

impl Signals {
    /// Takes over the signals of this process.
    ///
    /// # Errors
    ///
    /// The system has no more file descriptors.
    pub fn install() -> io::Result<Self> {
        let (wake, bell) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        let mut raised = Vec::new();
        for (number, meaning) in MEANING {
            let flag = Arc::new(AtomicBool::new(false));
            // Actions run in the order they are registered in: the flag is up before
            // the bell rings.
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, bell.try_clone()?)?;
            raised.push((flag, meaning));
        }
        Ok(Self { wake, raised })
    }

    /// The signals that came since the last call, each at most once.
    pub fn take(&self) -> Vec<Signal> {
        // Quiet the bell before looking at the flags, so that none is overlooked.
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(1..)) {}
        self.raised
            .iter()
            .filter(|(flag, _)| flag.swap(false, Ordering::SeqCst))
            .map(|(_, signal)| *signal)
            .collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_taken_once() {
        let signals = Signals::install().unwrap();
        assert_eq!(signals.take(), []);
        for number in [SIGUSR1, SIGHUP, SIGHUP] {
            signal_hook::low_level::raise(number).unwrap();
        }
        assert_eq!(signals.take(), [Signal::ReopenLogs, Signal::DumpStore]);
        assert_eq!(signals.take(), []);
    }
}
