//! Making the store be like a snapshot.

use xenstore_client::wire::Errno;
use xenstore_client::{Error, Store};

use super::diff::{Difference, differences};
use super::{Snapshot, capture, lies_below};
use crate::failure::{Failure, complaint, system_text};
use crate::progress::Progress;

/// What to do with nodes that the snapshot does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// They stay.
    Merge,
    /// They go.
    Replace,
}

/// What has to change for the store to be like `wanted`. Only what differs: nodes
/// that are right already are not touched and fire no watch.
pub(crate) fn plan(
    store: &mut impl Store,
    wanted: &Snapshot,
    mode: Mode,
    progress: &mut Progress,
) -> Result<Vec<Difference>, Failure> {
    if let (Mode::Replace, Some(orphan)) = (mode, wanted.orphan()) {
        // What it leaves out would be removed, and with that what lies below.
        let path = &orphan.path;
        let text = format!("expected a whole dump to replace with, found {path} but no parent");
        return Err(complaint(text));
    }
    let present = match mode {
        Mode::Replace if store.exists(&wanted.root)? => {
            capture::below(store, &wanted.root, progress)?
        }
        _ => same_nodes(store, wanted)?,
    };
    let mut changes = differences(&present, wanted);
    let mut removed: Option<String> = None;
    changes.retain(|change| match change {
        Difference::Removed(node) => {
            // What lies below a removed node goes with it, and comes right after it.
            let along = removed.as_ref().is_some_and(|top| lies_below(&node.path, top));
            if !along {
                removed = Some(node.path.clone());
            }
            !along
        }
        _ => true,
    });
    Ok(changes)
}

/// What the store has of the nodes of a snapshot.
fn same_nodes(store: &mut impl Store, wanted: &Snapshot) -> Result<Snapshot, Failure> {
    let mut nodes = Vec::new();
    for node in &wanted.nodes {
        match capture::one(store, &node.path) {
            Ok(node) => nodes.push(node),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(failed("read", &node.path, &error)),
        }
    }
    Ok(Snapshot { root: wanted.root.clone(), knows_top: true, nodes })
}

/// Makes changes, in their order.
pub(crate) fn apply(
    store: &mut impl Store,
    changes: &[Difference],
    progress: &mut Progress,
) -> Result<(), Failure> {
    for change in changes {
        match change {
            Difference::Removed(node) => {
                let removed = store.remove(&node.path);
                removed.map_err(|error| failed("remove", &node.path, &error))?;
            }
            Difference::Added(node) => {
                write(store, &node.path, &node.value)?;
                if let Some(permissions) = &node.permissions {
                    set(store, &node.path, permissions)?;
                }
            }
            Difference::Value { path, new, .. } => write(store, path, new)?,
            Difference::Permissions { path, new, .. } => set(store, path, new)?,
        }
        progress.step();
    }
    Ok(())
}

fn write(store: &mut impl Store, path: &str, value: &[u8]) -> Result<(), Failure> {
    store.write(path, value).map_err(|error| failed("write", path, &error))
}

fn set(
    store: &mut impl Store,
    path: &str,
    permissions: &xenstore_client::wire::Permissions,
) -> Result<(), Failure> {
    store.set_permissions(path, permissions).map_err(|error| match error.errno() {
        Some(Errno::NoEnt) => {
            let owner = permissions.owner.domid;
            complaint(format!(
                "could not give {path} to domain {owner}, which does not exist \
                     (--no-permissions leaves permissions out)"
            ))
        }
        _ => failed("set permissions of", path, &error),
    })
}

fn failed(what: &str, path: &str, error: &Error) -> Failure {
    let hint = match error {
        Error::Refused { errno: Errno::NoSpc, .. } | Error::Refused { unlisted: Some(_), .. } => {
            " (--batch takes less at once)"
        }
        _ => "",
    };
    complaint(format!("could not {what} {path}: {}{hint}", system_text(error)))
}
