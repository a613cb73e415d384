//! `watch`: prints what changes.

use std::io::Write;

use xenstore_client::Client;

use crate::failure::{Failure, complaint};

/// How long to watch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    /// How many events to print; `None` for no end.
    pub(crate) count: Option<u64>,
}

/// Prints the path of each event on `paths` or below, one per line, as they come.
pub(crate) fn watch(client: &mut Client, how: Watch, paths: &[String]) -> Result<(), Failure> {
    for path in paths {
        client
            .watch(path, path)
            // Old complaint, old line end.
            .map_err(|_| complaint(format!("Unable to add watch on {path}\n")))?;
    }
    let mut stdout = std::io::stdout().lock();
    let mut left = how.count;
    while left != Some(0) {
        let event = client.next_event()?;
        writeln!(stdout, "{}", event.path)?;
        stdout.flush()?;
        left = left.map(|count| count - 1);
    }
    Ok(())
}
