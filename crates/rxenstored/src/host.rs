//! The host whose domains are served.
//!
//! A daemon that served only sockets where rings are expected to be served would leave every
//! guest waiting at boot. So it starts on the host it was told to serve, or not at all.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use xenstore_host::Rings;
use xenstore_host::sim::Simulated;

use crate::config::{Domains, Host};

/// Why guests are not served.
#[derive(Debug, Error)]
pub enum HostError {
    /// Some of the hypervisor's interfaces are not there.
    #[error(
        "expected the interfaces of Xen, found these missing: {}. Is this domain 0, are the \
         modules xen-evtchn, xen-gntdev and xen-privcmd loaded, is xenfs mounted on /proc/xen? \
         To serve sockets without Xen, start with --no-domain-init",
        list(.0)
    )]
    Missing(Vec<PathBuf>),
    /// They are there, and it would be wrong to ignore them silently.
    #[error("this version serves sockets only; start with --no-domain-init")]
    SocketsOnly,
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
        Host::Xen => Err(refuse(domains)),
    }
}

/// Looks for everything at once, so that an administrator is told everything at once.
fn refuse(domains: &Domains) -> HostError {
    let devices = ["/dev/xen/evtchn", "/dev/xen/gntdev", "/dev/xen/privcmd"].map(Path::new);
    let needed = devices.into_iter().chain([&*domains.ring_file, &*domains.port_file]);
    let missing: Vec<_> = needed.filter(|path| !path.exists()).map(Path::to_owned).collect();
    if missing.is_empty() { HostError::SocketsOnly } else { HostError::Missing(missing) }
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_missing_is_named() {
        let domains = Domains {
            ring_file: "/nonexistent/kva".into(),
            port_file: "/dev/null".into(),
            ..Domains::default()
        };
        let message = open(&domains).unwrap_err().to_string();
        assert!(message.contains("/nonexistent/kva"), "{message}");
        assert!(!message.contains("/dev/null"), "{message}");
        assert!(message.contains("--no-domain-init"), "{message}");
    }
}
