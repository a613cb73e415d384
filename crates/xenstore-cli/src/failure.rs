//! How a command fails: what it says and with what exit code.

use std::io;

use thiserror::Error;
use xenstore_client::Error as StoreError;
use xenstore_client::wire::{Errno, MessageType};

/// Why a command did not do what it was asked.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// A complaint in a line of its own, behind the program's name.
    #[error("{0}")]
    Complaint(String),
    /// A complaint that the old tools print as it is.
    #[error("{text}")]
    Verbatim {
        /// All of it, line ends included.
        text: String,
        /// What to exit with.
        code: u8,
    },
    /// The exit code says it all.
    #[error("no")]
    Silent(u8),
    /// The store could not be reached, refused, or spoke nonsense.
    #[error("{}", store_text(.0))]
    Store(#[from] StoreError),
    /// Writing the output failed.
    #[error("output: {}", plain(.0))]
    Output(#[source] io::Error),
}

impl Failure {
    /// What to print, if anything.
    pub(crate) fn text(&self, program: &str) -> Option<String> {
        match self {
            Self::Silent(_) => None,
            // Whoever read our output has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Verbatim { text, .. } => Some(text.clone()),
            other => Some(format!("{program}: {other}\n")),
        }
    }

    /// What to exit with: 1, unless a command has a meaning for it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Verbatim { code, .. } | Self::Silent(code) => *code,
            // What a shell reports of a program ended by SIGPIPE.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 128 + 13,
            _ => 1,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

/// A complaint.
pub(crate) fn complaint(text: impl Into<String>) -> Failure {
    Failure::Complaint(text.into())
}

/// A complaint that ends in the system's words for an error, as the old tools' do.
pub(crate) fn complaint_about(what: &str, error: &StoreError) -> Failure {
    Failure::Complaint(format!("{what}: {}", system_text(error)))
}

/// What the old tools say where no path is to be named.
fn store_text(error: &StoreError) -> String {
    match error {
        StoreError::NotFound { .. } => format!("xs_open: {}", system_text(error)),
        StoreError::Refused { request: MessageType::TransactionStart, .. } => {
            format!("couldn't start transaction: {}", system_text(error))
        }
        StoreError::Refused { request: MessageType::TransactionEnd, .. } => {
            format!("couldn't end transaction: {}", system_text(error))
        }
        other => with_causes(other),
    }
}

/// An error and all that led to it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The C library's words for what happened.
pub(crate) fn system_text(error: &StoreError) -> String {
    match error {
        StoreError::Refused { unlisted: Some(name), .. } => name.clone(),
        StoreError::Refused { errno, .. } => plain(&system_error(*errno)),
        StoreError::TooLong { .. } => plain(&system_error(Errno::TooBig)),
        StoreError::Nul { .. } => plain(&system_error(Errno::Inval)),
        StoreError::NotFound { tried } => {
            tried.last().map_or_else(|| "nowhere to look".to_owned(), |(_, error)| plain(error))
        }
        StoreError::Io(error) => plain(error),
        other @ StoreError::Protocol(_) => with_causes(other),
    }
}

/// The system's number for what happened; 0 if it has none.
pub(crate) fn system_number(error: &StoreError) -> i32 {
    let of = |errno| system_error(errno).raw_os_error();
    match error {
        StoreError::Refused { errno, .. } => of(*errno),
        StoreError::TooLong { .. } => of(Errno::TooBig),
        StoreError::Io(error) => error.raw_os_error(),
        _ => None,
    }
    .unwrap_or(0)
}

fn system_error(errno: Errno) -> io::Error {
    use rustix::io::Errno as System;
    let system = match errno {
        Errno::Inval => System::INVAL,
        Errno::Acces => System::ACCESS,
        Errno::Exist => System::EXIST,
        Errno::IsDir => System::ISDIR,
        Errno::NoEnt => System::NOENT,
        Errno::NoMem => System::NOMEM,
        Errno::NoSpc => System::NOSPC,
        Errno::Io => System::IO,
        Errno::NotEmpty => System::NOTEMPTY,
        Errno::NoSys => System::NOSYS,
        Errno::Rofs => System::ROFS,
        Errno::Busy => System::BUSY,
        Errno::Again => System::AGAIN,
        Errno::IsConn => System::ISCONN,
        Errno::TooBig => System::TOOBIG,
        Errno::Perm => System::PERM,
    };
    system.into()
}

/// The system's words without Rust's addition of the number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}
