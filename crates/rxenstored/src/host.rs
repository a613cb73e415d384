//! The host whose domains are served.
//!
//! A daemon that served only sockets where rings are expected to be served would leave every
//! guest waiting at boot. So it starts on the host it was told to serve, or not at all.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use xenstore_host::Rings;
use xenstore_host::sim::Simulated;
use xenstore_host::xen::{OpenError, OwnRingFiles, Xen};

use crate::config::{Domains, Host};

/// Why guests are not served.
#[derive(Debug, Error)]
pub enum HostError {
    /// Xen cannot be served.
    #[error(
        "{0}. Is this domain 0, are the modules loaded, is xenfs mounted on /proc/xen? To serve \
         sockets without Xen, start with --no-domain-init"
    )]
    Xen(OpenError),
    /// The files of a simulated host cannot be used.
    #[error("expected a directory for a simulated host, found {}", directory.display())]
    Simulated {
        /// The directory.
        directory: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Opens the host to be served; `None` if only sockets are.
pub fn open(domains: &Domains) -> Result<Option<Rings>, HostError> {
    match &domains.host {
        Host::None => Ok(None),
        Host::Simulated(directory) => {
            let simulated = Simulated::open(directory);
            let simulated = simulated
                .map_err(|source| HostError::Simulated { directory: directory.clone(), source })?;
            Ok(Some(Rings::new(Box::new(simulated))))
        }
        Host::Xen => {
            let Domains { ring_file: ring, port_file: port, .. } = domains.clone();
            let xen = Xen::open(&OwnRingFiles { ring, port }).map_err(HostError::Xen)?;
            tracing::info!(interface = %xen.interface(), "Xen tells the states of domains");
            Ok(Some(Rings::new(Box::new(xen))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_missing_is_named() {
        let domains = Domains {
            ring_file: "/nonexistent/kva".into(),
            port_file: "/nonexistent/port".into(),
            ..Domains::default()
        };
        let message = open(&domains).unwrap_err().to_string();
        assert!(message.contains("/nonexistent/kva"), "{message}");
        assert!(message.contains("/nonexistent/port"), "{message}");
        assert!(message.contains("--no-domain-init"), "{message}");
    }
}
