//! `write`: sets values of nodes.

use xenstore_client::{Client, Store};

use crate::failure::{Failure, complaint};
use crate::value::unescape;

/// How values are given.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Write {
    /// As they are: a backslash is a backslash.
    pub(crate) raw: bool,
}

/// Writes all values or none.
pub(crate) fn write(
    client: &mut Client,
    how: Write,
    pairs: &[(String, Vec<u8>)],
) -> Result<(), Failure> {
    if let [(path, value)] = pairs {
        return write_one(client, how, path, value);
    }
    client.transaction(|tx| {
        let mut each = pairs.iter();
        each.try_for_each(|(path, value)| write_one(tx, how, path, value))
    })
}

fn write_one(store: &mut impl Store, how: Write, path: &str, value: &[u8]) -> Result<(), Failure> {
    let written =
        if how.raw { store.write(path, value) } else { store.write(path, unescape(value)) };
    written.map_err(|_| complaint(format!("could not write path {path}")))
}
