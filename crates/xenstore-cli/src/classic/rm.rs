//! `rm`: removes nodes.

use xenstore_client::{Client, Store, Transaction};

use crate::failure::{Failure, complaint};

/// What to remove.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rm {
    /// Also the ancestors that are left without a value and without children.
    pub(crate) tidy: bool,
}

/// Removes `paths` with all below them, or nothing.
pub(crate) fn rm(client: &mut Client, what: Rm, paths: &[String]) -> Result<(), Failure> {
    client.transaction(|tx| {
        for path in paths {
            remove(tx, path)?;
            if what.tidy {
                tidy(tx, path)?;
            }
        }
        Ok(())
    })
}

fn remove(tx: &mut Transaction<'_>, path: &str) -> Result<(), Failure> {
    tx.remove(path).map_err(|_| complaint(format!("could not remove path {path}")))
}

/// Goes up from a removed node as far as there is nothing of worth.
fn tidy(tx: &mut Transaction<'_>, removed: &str) -> Result<(), Failure> {
    let mut path = removed;
    while let Some((parent, _)) = path.rsplit_once('/') {
        let worthless = |tx: &mut Transaction<'_>| {
            let empty = tx.read(parent).is_ok_and(|value| value.is_empty());
            empty && tx.directory(parent).is_ok_and(|names| names.is_empty())
        };
        if parent.is_empty() || !worthless(tx) {
            break;
        }
        remove(tx, parent)?;
        path = parent;
    }
    Ok(())
}
