//! Why a soak did not end well.

use std::io;

use thiserror::Error;
use xenstore_guests::MoveError;
use xenstore_wire::Oversized;

/// Why a soak did not end well.
#[derive(Debug, Error)]
pub enum Failure {
    /// The daemon said something else than the model.
    #[error("daemon and model do not agree: {0}")]
    Disagreement(String),
    /// Something was not as it has to be.
    #[error("{0}")]
    Broken(String),
    /// A good guest, or its toolstack, had to wait for too long.
    #[error("stalled: {0}")]
    Stalled(String),
    /// What came is no message.
    #[error("expected a message")]
    Oversized(#[from] Oversized),
    /// The ring of a good guest failed.
    #[error("expected a good guest's ring to work")]
    Ring(#[from] MoveError),
    /// A blocking client of the socket was refused.
    #[error("expected the socket to answer")]
    Client(#[from] xenstore_client::Error),
    /// The simulated host, the socket or `/proc` failed.
    #[error("the machine failed")]
    Machine(#[from] io::Error),
    /// Somewhere among the villages.
    #[error("{place}\n{history}")]
    Somewhere {
        /// Which.
        place: String,
        /// What was said there last.
        history: String,
        /// What happened.
        source: Box<Self>,
    },
}
