//! Going to the background, and coming back with an answer first.
//!
//! `launch-xenstore` reads the pid file as soon as the command it started returns,
//! and clients connect right after. So the process it started stays until the daemon
//! says that it serves.
//!
//! Forking a process is unsafe in general. The daemon is instead started anew from
//! its own executable with the same arguments: [`detach`] is the side that waits,
//! [`Child`] the side that becomes the daemon. A pipe in the place of the child's
//! stdout carries the one word from one to the other.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use thiserror::Error;

/// Environment variable that tells a process which process wants it to be the daemon.
/// It holds the process id of its parent, so that inheriting it means nothing.
pub const CHILD_VARIABLE: &str = "RXENSTORED_DAEMONIZED_BY";

const READY: &[u8] = b"ready";

/// Why the daemon could not go to the background.
#[derive(Debug, Error)]
pub enum DaemonizeError {
    /// The daemon's process could not be started.
    #[error("expected to start the daemon's process from /proc/self/exe")]
    Start(#[source] io::Error),
    /// It started and was gone before it was ready, without an exit status.
    #[error("expected the daemon to become ready, found it ended by {0}")]
    Died(ExitStatus),
    /// The new process could not leave the old one's session.
    #[error("expected to begin a session of its own in /")]
    Session(#[source] io::Error),
}

/// Starts the daemon and waits until it serves; prints its process id if asked to.
/// If it fails, it has said on stderr why, and the status is its own.
///
/// # Errors
///
/// It could not be started, or was killed.
pub fn detach(output_pid: bool) -> Result<ExitCode, DaemonizeError> {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| "rxenstored".into());
    let mut child = Command::new("/proc/self/exe")
        .arg0(name)
        .args(args)
        .env(CHILD_VARIABLE, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(DaemonizeError::Start)?;
    let mut answer = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut answer).map_err(DaemonizeError::Start)?;
    }
    if answer == READY {
        if output_pid {
            // With stdout closed there is nobody left to tell.
            let _ = writeln!(io::stdout(), "{}", child.id());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait().map_err(DaemonizeError::Start)?;
    match status.code().map(u8::try_from) {
        Some(Ok(code)) if code != 0 => Ok(ExitCode::from(code)),
        _ => Err(DaemonizeError::Died(status)),
    }
}

/// The process that becomes the daemon, while somebody waits for it.
#[derive(Debug)]
#[must_use = "the process that waits has to be told"]
pub struct Child(());

impl Child {
    /// Whether this process was started by [`detach`], given what is in
    /// [`CHILD_VARIABLE`].
    pub fn is_expected(variable: Option<&OsStr>) -> bool {
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
        variable.is_some() && variable.map(OsStr::to_owned) == parent.map(OsString::from)
    }

    /// Leaves the session, directory and umask of whoever started it.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn begin() -> Result<Self, DaemonizeError> {
        let session = |error: rustix::io::Errno| DaemonizeError::Session(error.into());
        rustix::process::setsid().map_err(session)?;
        // No file system is kept from being unmounted.
        rustix::process::chdir("/").map_err(session)?;
        // Every file here is made with the mode it should have. C xenstored clears
        // the mask altogether, which would make a forgotten mode a hole.
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
        // The executable's link is called `exe`, which is no name for a daemon.
        let _ = rustix::thread::set_name(c"rxenstored");
        Ok(Self(()))
    }

    /// Lets the process that waits go, and lets go of its files.
    pub fn ready(self) {
        // If it did not wait to hear it, the daemon serves all the same.
        let _ = io::stdout().write_all(READY).and_then(|()| io::stdout().flush());
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let Ok(null) = null else {
            tracing::warn!("/dev/null cannot be opened, stdout and stderr stay as they are");
            return;
        };
        let replaced = [dup2_stdin(&null), dup2_stderr(&null), dup2_stdout(&null)];
        if let Some(Err(error)) = replaced.into_iter().find(Result::is_err) {
            tracing::warn!(%error, "stdin, stdout or stderr stay as they are");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inherited_variable_means_nothing() {
        assert!(!Child::is_expected(None));
        assert!(!Child::is_expected(Some(OsStr::new("1x"))));
        assert!(!Child::is_expected(Some(OsStr::new(""))));
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().to_string();
        assert!(Child::is_expected(Some(OsStr::new(&parent))));
    }
}
