//! Where the store is.
//!
//! The order is `libxenstore`'s: what the environment names, else the daemon's
//! socket, else the kernel's device, by which a domain that does not run the daemon
//! reaches it over its ring.

use std::env;
use std::path::{Path, PathBuf};

/// Names a socket or device to use instead of all others.
pub const PATH_VARIABLE: &str = "XENSTORED_PATH";

/// Names the directory of the daemon's socket.
pub const RUNDIR_VARIABLE: &str = "XENSTORED_RUNDIR";

/// Where daemons keep their socket unless told otherwise. The second is the older
/// spelling of the first, and the same directory on most systems.
pub const RUNDIRS: [&str; 2] = ["/run/xenstored", "/var/run/xenstored"];

/// The kernel's devices: the present one and the one it replaced.
pub const DEVICES: [&str; 2] = ["/dev/xen/xenbus", "/proc/xen/xenbus"];

/// The places to try, in order. Touches nothing but the environment.
pub fn candidates() -> Vec<PathBuf> {
    candidates_given(
        env::var_os(PATH_VARIABLE).map(PathBuf::from).as_deref(),
        env::var_os(RUNDIR_VARIABLE).map(PathBuf::from).as_deref(),
    )
}

/// The places to try for given values of the two variables.
pub fn candidates_given(path: Option<&Path>, rundir: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = path {
        return vec![path.to_owned()];
    }
    let rundirs = rundir
        .map_or_else(|| RUNDIRS.iter().map(PathBuf::from).collect(), |dir| vec![dir.to_owned()]);
    rundirs
        .into_iter()
        .map(|dir| dir.join("socket"))
        .chain(DEVICES.iter().map(PathBuf::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_excludes_all_else() {
        let found = candidates_given(Some(Path::new("/x/s")), Some(Path::new("/y")));
        assert_eq!(found, [Path::new("/x/s")]);
    }

    #[test]
    fn the_devices_come_after_the_socket() {
        let text = |list: Vec<PathBuf>| {
            let each = list.iter().map(|path| path.display().to_string());
            each.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            text(candidates_given(None, Some(Path::new("/y")))),
            "/y/socket /dev/xen/xenbus /proc/xen/xenbus"
        );
        assert_eq!(
            text(candidates_given(None, None)),
            "/run/xenstored/socket /var/run/xenstored/socket /dev/xen/xenbus /proc/xen/xenbus"
        );
    }
}
