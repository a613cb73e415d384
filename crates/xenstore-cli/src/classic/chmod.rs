//! `chmod`: replaces permission lists.

use xenstore_client::wire::MessageType;
use xenstore_client::{Call, Client, Store, Transaction};

use crate::failure::{Failure, complaint, complaint_about};
use crate::number::leading;

/// Whose permissions, beside the node's own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chmod {
    /// Those of all ancestors but the root.
    pub(crate) upto: bool,
    /// Those of all descendants.
    pub(crate) recurse: bool,
}

/// Sets the permissions of `path` to `entries`, a letter and a number each.
pub(crate) fn chmod(
    client: &mut Client,
    whose: Chmod,
    path: &str,
    entries: &[String],
) -> Result<(), Failure> {
    let entries = entries.iter().map(|entry| spelled(entry)).collect::<Result<Vec<_>, _>>()?;
    client.transaction(|tx| {
        set(tx, path, &entries)?;
        if whose.upto {
            for ancestor in ancestors(path)? {
                set(tx, ancestor, &entries)?;
            }
        }
        if whose.recurse {
            set_below(tx, path, &entries)?;
        }
        Ok(())
    })
}

/// Sent without a look at its sense: an empty list, say, is the daemon's to refuse.
fn set(tx: &mut Transaction<'_>, path: &str, entries: &[String]) -> Result<(), Failure> {
    let mut payload = format!("{path}\0");
    for entry in entries {
        payload.push_str(entry);
        payload.push('\0');
    }
    Call::raw(MessageType::SetPerms, payload.as_bytes())
        .and_then(|call| tx.call(call))
        .map(drop)
        .map_err(|error| refused(path, &error))
}

fn refused(path: &str, error: &xenstore_client::Error) -> Failure {
    let what = format!("Error occurred setting permissions on '{path}'");
    complaint_about(&what, error)
}

fn set_below(tx: &mut Transaction<'_>, top: &str, entries: &[String]) -> Result<(), Failure> {
    let mut parents = vec![top.to_owned()];
    while let Some(parent) = parents.pop() {
        let names = tx.directory(&parent).map_err(|error| refused(&parent, &error))?;
        let first = parents.len();
        for name in names {
            let child = format!("{}/{name}", parent.trim_end_matches('/'));
            set(tx, &child, entries)?;
            parents.push(child);
        }
        if let Some(children) = parents.get_mut(first..) {
            children.reverse();
        }
    }
    Ok(())
}

/// The paths above, nearest first, without the root. One that does not begin at the
/// root has no last one.
fn ancestors(path: &str) -> Result<Vec<&str>, Failure> {
    let mut found = Vec::new();
    let mut rest = path;
    loop {
        let (parent, _) = rest
            .rsplit_once('/')
            .ok_or_else(|| complaint(format!("Unable to locate path separator '/' in '{rest}'")))?;
        if parent.is_empty() {
            return Ok(found);
        }
        found.push(parent);
        rest = parent;
    }
}

/// An entry as the old tools send it: `r` alone means domain 0, `r1x` domain 1.
fn spelled(entry: &str) -> Result<String, Failure> {
    let letter = entry.chars().next().unwrap_or('\0');
    if !"rwbn".contains(letter) {
        return Err(complaint(format!("Invalid permission specification: '{letter}'")));
    }
    let domid = leading(entry.get(1..).unwrap_or_default());
    Ok(format!("{letter}{domid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_generously_as_ever() {
        for (entry, sent) in [
            ("r0", "r0"),
            ("b", "b0"),
            ("n12x", "n12"),
            ("w 3", "w3"),
            ("r-1", "r4294967295"),
            ("r0x10", "r0"),
        ] {
            assert_eq!(spelled(entry).unwrap(), sent, "{entry}");
        }
        assert!(spelled("x1").is_err());
        assert!(spelled("").is_err());
    }

    #[test]
    fn ancestors_end_below_the_root() {
        assert_eq!(ancestors("/a/b/c").unwrap(), ["/a/b", "/a"]);
        assert!(ancestors("/").unwrap().is_empty());
        assert!(ancestors("a/b").is_err());
    }
}
