//! `exists`: whether there are nodes.

use xenstore_client::{Client, Store};

use crate::failure::Failure;

/// Succeeds if all of `paths` can be read.
pub(crate) fn exists(client: &mut Client, paths: &[String]) -> Result<(), Failure> {
    client.transaction(|tx| {
        for path in paths {
            tx.read(path).map_err(|_| Failure::Silent(1))?;
        }
        Ok(())
    })
}
