//! Snapshots as the text that `xenstore-ls -f` prints, with permissions if `-p` was
//! given too:
//!
//! ```text
//! /vm/a = "1"   (n0,r5)
//! ```
//!
//! Its values are exact. What it does not carry is the top of the subtree itself, so
//! that of a node without children is empty.

use std::io::{self, Write};

use thiserror::Error;
use xenstore_client::wire::Permissions;
use xenstore_client::wire::permission::PermissionError;

use super::{Node, Snapshot, spelled};
use crate::value::{escape, unescape};

/// Why a text is no snapshot.
#[derive(Debug, Error)]
#[error("line {line}")]
pub(crate) struct TextError {
    line: usize,
    source: LineError,
}

/// Why a line is no node.
#[derive(Debug, Error)]
pub(crate) enum LineError {
    #[error("expected PATH = \"VALUE\" with a whole path, found {0:?}")]
    Shape(String),
    #[error("expected a whole value, found one that was cut to fit a screen")]
    Cut,
    #[error("malformed permission")]
    Permission(#[from] PermissionError),
}

/// Writes a snapshot.
pub(crate) fn write(
    snapshot: &Snapshot,
    permissions: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let below_top = |node: &&Node| node.path != snapshot.root;
    for node in snapshot.nodes.iter().filter(below_top) {
        write!(out, "{} = \"{}\"", node.path, escape(&node.value))?;
        if let Some(list) = node.permissions.as_ref().filter(|_| permissions) {
            write!(out, "   ({})", spelled(list))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Reads a snapshot. Its root is the parent of the first node: `xenstore-ls` lists
/// children of what it was given, in the order of the tree. A text without nodes does
/// not tell its root; `file` refuses it.
pub(crate) fn read(text: &str) -> Result<Snapshot, TextError> {
    let nodes: Vec<Node> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| node(line).map_err(|source| TextError { line: index + 1, source }))
        .collect::<Result<_, _>>()?;
    let parent = nodes.first().and_then(|node| node.path.rsplit_once('/'));
    let root = match parent {
        Some((parent, _)) if !parent.is_empty() => parent,
        _ => "/",
    };
    Ok(Snapshot { root: root.to_owned(), knows_top: false, nodes })
}

fn node(line: &str) -> Result<Node, LineError> {
    let shape = || LineError::Shape(line.to_owned());
    let (path, rest) = line.split_once(" = \"").ok_or_else(shape)?;
    if !path.starts_with('/') {
        return Err(shape());
    }
    // Quotes are not escaped, but nothing follows the last one, or permissions alone.
    let (value, permissions) = if let Some(value) = rest.strip_suffix('"') {
        (value, None)
    } else {
        let (value, list) = rest.rsplit_once("\"  ").ok_or_else(shape)?;
        let list = list.trim_start().strip_prefix('(');
        let list = list.and_then(|list| list.strip_suffix(')'));
        (value, Some(list.ok_or_else(shape)?))
    };
    if value.ends_with("\\...") && !value.ends_with("\\\\...") {
        return Err(LineError::Cut);
    }
    let permissions = match permissions {
        None => None,
        Some(list) => Permissions::parse(list.split(',').map(str::as_bytes))?,
    };
    Ok(Node { path: path.to_owned(), value: unescape(value.as_bytes()), permissions })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_old_tool_s_text_reads_back() {
        let text = "/w/a = \"x\\ny\"   (n0,r5)\n/w/a/b = \"\"\n/w/q = \"a\"   (n0)\"\n";
        let snapshot = read(text).unwrap();
        assert_eq!(snapshot.root, "/w");
        let [a, b, q] = snapshot.nodes.as_slice() else { panic!("{snapshot:?}") };
        assert_eq!(a.value, b"x\ny");
        assert_eq!(spelled(a.permissions.as_ref().unwrap()), "n0,r5");
        assert_eq!((&*b.value, &b.permissions), (&b""[..], &None));
        assert_eq!(q.value, b"a\"   (n0)");
        let mut out = Vec::new();
        write(&snapshot, true, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
        assert_eq!(read("/a = \"\"").unwrap().root, "/");
    }

    #[test]
    fn other_text_is_refused_by_line() {
        for (text, line) in [
            ("/a = \"\"\n\n b = \"1\"\n", 3),
            ("/a = \"vvv\\...\"\n", 1),
            ("/a = 1\n", 1),
            ("/a = \"\"   (x0)\n", 1),
            ("/a = \"\" n0\n", 1),
        ] {
            assert_eq!(read(text).unwrap_err().line, line, "{text}");
        }
        assert!(read("/a = \"x\\\\...\"").is_ok());
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value in prop::collection::vec(any::<u8>(), 0..40), permissions: bool) {
            let list = Permissions::parse([&b"n0"[..], b"b7"].into_iter()).unwrap();
            let snapshot = Snapshot {
                root: "/".to_owned(),
                knows_top: false,
                nodes: vec![Node {
                    path: "/a".to_owned(),
                    value,
                    permissions: list.filter(|_| permissions),
                }],
            };
            let mut out = Vec::new();
            write(&snapshot, true, &mut out).unwrap();
            prop_assert_eq!(read(std::str::from_utf8(&out).unwrap()).unwrap(), snapshot);
        }
    }
}
