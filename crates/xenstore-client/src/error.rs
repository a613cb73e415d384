//! What can go wrong.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use xenstore_wire::{Errno, MessageType, Oversized, PAYLOAD_MAX};

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something asked of the store did not happen.
#[derive(Debug, Error)]
pub enum Error {
    /// The daemon refused a request.
    #[error("{request}{} was refused: {}", on(path.as_ref()), reason(*errno, unlisted.as_ref()))]
    Refused {
        /// What was asked.
        request: MessageType,
        /// The path it was asked for, if it had one.
        path: Option<String>,
        /// Why, as the protocol names it.
        errno: Errno,
        /// The name the daemon gave if it is not one of the protocol's; by the
        /// protocol's rule `errno` is then [`Errno::Inval`]. (oxenstored says `EQUOTA`.)
        unlisted: Option<String>,
    },
    /// The request does not fit into one message, so nothing was sent.
    #[error("{request}{}: expected a payload of at most {PAYLOAD_MAX} bytes, found {length}", on(path.as_ref()))]
    TooLong {
        /// What was to be asked.
        request: MessageType,
        /// For which path.
        path: Option<String>,
        /// Bytes it would have taken.
        length: usize,
    },
    /// A path, token or argument holds a NUL, which ends a string on the wire, so
    /// nothing was sent.
    #[error("{request}: expected a string without a NUL, found {string:?}")]
    Nul {
        /// What was to be asked.
        request: MessageType,
        /// The string.
        string: String,
    },
    /// The connection failed, or ended.
    #[error("the connection to the store failed")]
    Io(#[from] io::Error),
    /// The daemon sent what the protocol does not allow.
    #[error("the daemon broke the protocol")]
    Protocol(#[from] ProtocolError),
    /// No daemon was found.
    #[error("no xenstore daemon found; tried {}", list(tried))]
    NotFound {
        /// Each place, in the order of trying, and what was wrong with it.
        tried: Vec<(PathBuf, io::Error)>,
    },
}

/// What a daemon may not send.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// A message longer than any may be. The stream cannot be followed further.
    #[error("an oversized message")]
    Oversized(#[from] Oversized),
    /// A reply to nothing that was asked.
    #[error("expected a reply to a request in flight, found request id {request_id}")]
    Unasked {
        /// The id it carries.
        request_id: u32,
    },
    /// A reply of another type than its request.
    #[error("expected a reply of type {expected}, found type number {found}")]
    WrongType {
        /// The request's type.
        expected: MessageType,
        /// The reply's.
        found: u32,
    },
    /// A watch event without a path and a token.
    #[error("expected a watch event of path and token, found {0} strings")]
    Event(usize),
    /// A reply whose payload is not what its type has.
    #[error("{request}: expected {expected}, found {found:?}")]
    Payload {
        /// The request's type.
        request: MessageType,
        /// What its reply consists of.
        expected: &'static str,
        /// What came, as far as it is text.
        found: String,
    },
}

impl Error {
    /// Why the daemon refused, if that is what happened.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether the node, transaction or domain asked for does not exist.
    pub fn is_missing(&self) -> bool {
        self.errno() == Some(Errno::NoEnt)
    }

    /// Whether a commit failed because somebody else got in between.
    pub fn is_conflict(&self) -> bool {
        self.errno() == Some(Errno::Again)
    }
}

fn on(path: Option<&String>) -> String {
    path.map(|path| format!(" of {path}")).unwrap_or_default()
}

fn reason(errno: Errno, unlisted: Option<&String>) -> String {
    match unlisted {
        Some(name) => format!("{name}, which counts as {errno}"),
        None => errno.to_string(),
    }
}

fn list(tried: &[(PathBuf, io::Error)]) -> String {
    let each = tried.iter().map(|(path, error)| format!("{} ({error})", path.display()));
    each.collect::<Vec<_>>().join(", ")
}
