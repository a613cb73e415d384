//! What the daemon needs of a running hypervisor, and how to say that it is missing.

use std::path::PathBuf;

use thiserror::Error;

use crate::config::Domains;

/// Some of the hypervisor's interfaces are not there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "expected the interfaces of Xen, found these missing: {}. Is this domain 0, are the modules \
     xen-evtchn, xen-gntdev and xen-privcmd loaded, is xenfs mounted on /proc/xen? To serve \
     sockets without Xen, start with --no-domain-init",
    list(.missing)
)]
pub struct MissingInterfaces {
    missing: Vec<PathBuf>,
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

/// Looks for everything at once, so that an administrator is told everything at once.
///
/// # Errors
///
/// Something is not there.
pub fn check(domains: &Domains) -> Result<(), MissingInterfaces> {
    let devices = ["/dev/xen/evtchn", "/dev/xen/gntdev", "/dev/xen/privcmd"];
    let missing: Vec<_> = devices
        .map(PathBuf::from)
        .into_iter()
        .chain([domains.ring_file.clone(), domains.port_file.clone()])
        .filter(|path| !path.exists())
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(MissingInterfaces { missing }) }
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
        let message = check(&domains).unwrap_err().to_string();
        assert!(message.contains("/nonexistent/kva"), "{message}");
        assert!(!message.contains("/dev/null"), "{message}");
        assert!(message.contains("--no-domain-init"), "{message}");
    }
}
