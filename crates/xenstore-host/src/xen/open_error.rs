//! Why a host cannot be served.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::xen::domain_states::NoInterface;

/// Why a host cannot be served: everything that is in the way, so that an administrator
/// learns it at once and not piece by piece.
#[derive(Debug, Error)]
#[error("expected the interfaces of Xen, found that {}", list(.0))]
pub struct OpenError(Vec<Obstacle>);

/// One thing that is in the way.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// A device or file is not there, or this process may not use it.
    #[error("{} cannot be used ({source}; it comes with {provider})", path.display())]
    Unusable {
        /// The device or file.
        path: PathBuf,
        /// What provides it.
        provider: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel's event channel is not told.
    #[error("expected a number in {}, the kernel's port, found {found:?}", path.display())]
    NoPort {
        /// The file that should tell it.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// Another process is told when a domain dies, and only one can be.
    #[error("another process serves this host: it has VIRQ_DOM_EXC bound")]
    Served,
    /// The kernel cannot have this domain told when another one dies.
    #[error("VIRQ_DOM_EXC cannot be bound: is this domain 0? ({0})")]
    NoNews(#[source] io::Error),
    /// The states of domains are not told.
    #[error("Xen tells nothing of domains: {0}")]
    NoStates(#[from] NoInterface),
}

impl OpenError {
    /// What is in the way; there is at least one.
    pub fn obstacles(&self) -> &[Obstacle] {
        &self.0
    }
}

impl From<Vec<Obstacle>> for OpenError {
    fn from(obstacles: Vec<Obstacle>) -> Self {
        Self(obstacles)
    }
}

impl From<Obstacle> for OpenError {
    fn from(obstacle: Obstacle) -> Self {
        Self(vec![obstacle])
    }
}

impl Obstacle {
    /// Why the news of domains could not be bound.
    pub(super) fn no_news(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AlreadyExists => Self::Served,
            _ => Self::NoNews(source),
        }
    }

    /// Keeps what was opened, or else takes note of why not.
    pub(super) fn keep<T>(
        obstacles: &mut Vec<Self>,
        path: impl AsRef<Path>,
        provider: &'static str,
        opened: io::Result<T>,
    ) -> Option<T> {
        let path = path.as_ref().to_owned();
        opened.map_err(|source| obstacles.push(Self::Unusable { path, provider, source })).ok()
    }
}

fn list(obstacles: &[Obstacle]) -> String {
    let told: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
    told.join("; ")
}
