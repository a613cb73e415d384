//! `read`: values of nodes.

use xenstore_client::{Client, Store};

use super::{print, printed};
use crate::failure::{Failure, complaint};
use crate::value::escape;

/// How values are printed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Read {
    /// Behind the path and a colon.
    pub(crate) prefix: bool,
    /// As they are, with no line end added.
    pub(crate) raw: bool,
}

/// Prints the values of `paths`, of several as they were at one moment.
pub(crate) fn read(client: &mut Client, how: Read, paths: &[String]) -> Result<(), Failure> {
    if let [path] = paths {
        let mut output = Vec::new();
        read_one(client, how, path, &mut output)?;
        return print(&output);
    }
    printed(client, |tx, output| {
        let mut each = paths.iter();
        each.try_for_each(|path| read_one(tx, how, path, output))
    })
}

fn read_one(
    store: &mut impl Store,
    how: Read,
    path: &str,
    output: &mut Vec<u8>,
) -> Result<(), Failure> {
    let value = store.read(path).map_err(|_| complaint(format!("couldn't read path {path}")))?;
    if how.prefix {
        output.extend_from_slice(format!("{path}: ").as_bytes());
    }
    if how.raw {
        output.extend_from_slice(&value);
    } else {
        output.extend_from_slice(escape(&value).as_bytes());
        output.push(b'\n');
    }
    Ok(())
}
