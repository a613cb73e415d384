//! `list`: names of children.

use xenstore_client::{Client, Store};

use super::printed;
use crate::failure::{Failure, complaint};

/// How names are printed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct List {
    /// Behind the parent's path and a slash (two at the root, as ever).
    pub(crate) prefix: bool,
}

/// Prints the names of the children of `paths`.
pub(crate) fn list(client: &mut Client, how: List, paths: &[String]) -> Result<(), Failure> {
    printed(client, |tx, output| {
        for path in paths {
            let names =
                tx.directory(path).map_err(|_| complaint(format!("could not list path {path}")))?;
            for name in names {
                if how.prefix {
                    output.extend_from_slice(format!("{path}/").as_bytes());
                }
                output.extend_from_slice(format!("{name}\n").as_bytes());
            }
        }
        Ok(())
    })
}
