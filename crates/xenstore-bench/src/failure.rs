//! Why a run has no figures.

use std::io;
use std::time::Duration;

use thiserror::Error;
use xenstore_guests::AskError;
use xenstore_host::ring::BadIndices;
use xenstore_wire::{MessageType, Oversized};

/// What went wrong between a load and a daemon.
#[derive(Debug, Error)]
pub enum Failure {
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The daemon ended a connection.
    #[error("the daemon ended a connection")]
    Closed,
    /// What the daemon sent is no stream of messages.
    #[error(transparent)]
    Oversized(#[from] Oversized),
    /// A request was refused that has to succeed.
    #[error("{kind} was refused: {error}")]
    Refused {
        /// The request.
        kind: MessageType,
        /// The error's name.
        error: String,
    },
    /// A reply without the meaning its request gives it.
    #[error("expected {expected} in the reply to {kind}")]
    Reply {
        /// The request.
        kind: MessageType,
        /// What should have been there.
        expected: &'static str,
    },
    /// A guest's ring holds what makes no sense.
    #[error("a ring's indices make no sense")]
    Indices(#[from] BadIndices),
    /// A guest that only sets something up was not answered as it should.
    #[error(transparent)]
    Guest(#[from] AskError),
    /// The daemon does not go on.
    #[error("expected {expected} within {patience:?}")]
    Stuck {
        /// What should have happened.
        expected: &'static str,
        /// How long it was waited for.
        patience: Duration,
    },
    /// What a workload needs is not there.
    #[error("expected {0}, found nothing")]
    Nothing(&'static str),
    /// A file that the workload is made from does not say what it should.
    #[error("{0}")]
    Source(String),
}
