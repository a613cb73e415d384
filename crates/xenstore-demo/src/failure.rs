//! Why the show was broken off.

use std::io;

use thiserror::Error;
use xenstore_conformance::access_log::{Malformed, Who};
use xenstore_guests::AskError;

/// What went wrong.
#[derive(Debug, Error)]
pub enum Failure {
    /// A process, a file or the terminal.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The recorded host cannot be read.
    #[error("the recorded host")]
    Recording(#[from] Malformed),
    /// A client on the socket could not ask.
    #[error("the socket")]
    Socket(#[from] xenstore_client::Error),
    /// A guest could not ask.
    #[error("a ring")]
    Ring(#[from] AskError),
    /// Somebody is to act who is not there.
    #[error("expected {0} to be connected")]
    Absent(Who),
    /// The daemon answered, but not what is due.
    #[error("{who}: {request}: expected {expected}, found {found}")]
    Answer {
        /// Who asked.
        who: String,
        /// What.
        request: String,
        /// What was due.
        expected: String,
        /// What came.
        found: String,
    },
    /// The daemon did not send what is due.
    #[error("{who}: expected an event for {path}, and heard of {heard:?} only")]
    Event {
        /// Who waited.
        who: String,
        /// What should have been told.
        path: String,
        /// What was.
        heard: Vec<String>,
    },
    /// A tool did not do what it is known to do.
    #[error("{command}: {found}")]
    Tool {
        /// The tool and its arguments.
        command: String,
        /// What it said.
        found: String,
    },
}
