//! The hypervisor's interfaces, which this version does not serve yet.
//!
//! A daemon that served only sockets on a host that expects its rings to be served
//! would leave every guest waiting at boot. So without `--no-domain-init` it refuses
//! to start, and says which of the two reasons there is.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::Domains;

/// Why guests are not served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotServed {
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
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

/// Looks for everything at once, so that an administrator is told everything at once.
pub fn refuse(domains: &Domains) -> NotServed {
    let devices = ["/dev/xen/evtchn", "/dev/xen/gntdev", "/dev/xen/privcmd"].map(Path::new);
    refuse_without(devices.into_iter().chain([&*domains.ring_file, &*domains.port_file]))
}

fn refuse_without<'a>(needed: impl Iterator<Item = &'a Path>) -> NotServed {
    let missing: Vec<_> = needed.filter(|path| !path.exists()).map(Path::to_owned).collect();
    if missing.is_empty() { NotServed::SocketsOnly } else { NotServed::Missing(missing) }
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
        let message = refuse(&domains).to_string();
        assert!(message.contains("/nonexistent/kva"), "{message}");
        assert!(!message.contains("/dev/null"), "{message}");
        assert!(message.contains("--no-domain-init"), "{message}");
    }

    #[test]
    fn on_a_real_host_too() {
        let refused = refuse_without([Path::new("/dev/null")].into_iter());
        assert_eq!(refused, NotServed::SocketsOnly);
        assert!(refused.to_string().contains("--no-domain-init"));
    }
}
