//! What the old tools do, one file per tool.
//!
//! Output, complaints and the choice of requests are those of the tools that come
//! with Xen: scripts read the first, people the second, daemons' logs the third.

mod chmod;
mod control;
mod exists;
mod list;
mod ls;
mod read;
mod rm;
mod watch;
mod write;

pub(crate) use chmod::{Chmod, chmod};
pub(crate) use control::control;
pub(crate) use exists::exists;
pub(crate) use list::{List, list};
pub(crate) use ls::{Ls, ls};
pub(crate) use read::{Read, read};
pub(crate) use rm::{Rm, rm};
pub(crate) use watch::{Watch, watch};
pub(crate) use write::{Write, write};

use std::io::Write as _;

use xenstore_client::{Client, Transaction};

use crate::failure::Failure;

/// Runs `body` in a transaction, until it goes through, and prints what it has
/// written then: output of an attempt that conflicted is never seen.
///
/// What an attempt that fails has written until then is printed all the same.
fn printed(
    client: &mut Client,
    mut body: impl FnMut(&mut Transaction<'_>, &mut Vec<u8>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut output = Vec::new();
    let result = client.transaction(|tx| {
        output.clear();
        body(tx, &mut output)
    });
    print(&output)?;
    result
}

fn print(output: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(output)?;
    stdout.flush()?;
    Ok(())
}
