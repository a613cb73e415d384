//! Reading a subtree from the store.

use xenstore_client::{Client, Error, Retry, Store};

use super::{Node, Snapshot, child};
use crate::failure::{Failure, complaint_about};
use crate::progress::Progress;

/// How often to read again a store that changes meanwhile. A daemon with true
/// snapshots never asks for it.
const ATTEMPTS: u32 = 5;

/// Reads the subtree at `root` as it is at one moment.
///
/// One round trip per node, its value, permissions and children each. `Ok((_, false))`
/// if the daemon could not promise that it was one moment: it changed at every try.
pub(crate) fn consistent(
    client: &mut Client,
    root: &str,
    progress: &mut Progress,
) -> Result<(Snapshot, bool), Failure> {
    let mut last = None;
    let read = client.transaction_with(Retry::Times(ATTEMPTS), |tx| {
        last = Some(below(tx, root, progress)?);
        Ok(())
    });
    match (read, last) {
        (Ok(()), Some(snapshot)) => Ok((snapshot, true)),
        (Err(Failure::Store(error)), Some(snapshot)) if error.is_conflict() => {
            Ok((snapshot, false))
        }
        (Err(failure), _) => Err(failure),
        (Ok(()), None) => Err(Failure::Silent(1)),
    }
}

/// Reads the subtree at `root` within whatever transaction `store` is.
pub(crate) fn below(
    store: &mut impl Store,
    root: &str,
    progress: &mut Progress,
) -> Result<Snapshot, Failure> {
    let mut nodes = Vec::new();
    let mut left = vec![root.to_owned()];
    progress.restart();
    while let Some(path) = left.pop() {
        let node = match one(store, &path) {
            Ok(node) => node,
            // Listed and gone: the transaction will not commit, or the next look shows.
            Err(error) if error.is_missing() && path != root => continue,
            Err(error) => return Err(complaint_about(&format!("couldn't read {path}"), &error)),
        };
        nodes.push(node);
        progress.step();
        let names = match store.directory(&path) {
            Ok(names) => names,
            Err(error) if error.is_missing() => Vec::new(),
            Err(error) => return Err(complaint_about(&format!("couldn't list {path}"), &error)),
        };
        left.extend(names.iter().rev().map(|name| child(&path, name)));
    }
    Ok(Snapshot { root: root.to_owned(), knows_top: true, nodes })
}

/// Reads one node.
pub(crate) fn one(store: &mut impl Store, path: &str) -> Result<Node, Error> {
    Ok(Node {
        path: path.to_owned(),
        value: store.read(path)?,
        permissions: Some(store.permissions(path)?),
    })
}
