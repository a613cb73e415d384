//! What differs between two snapshots.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};
use xenstore_client::wire::Permissions;

use super::json::value_to_json;
use super::{Node, Snapshot, spelled};
use crate::value::escape;

/// One difference. A node whose value and permissions both changed has two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Difference {
    /// Only the new one has the node.
    Added(Node),
    /// Only the old one has it.
    Removed(Node),
    /// The value is another.
    Value { path: String, old: Vec<u8>, new: Vec<u8> },
    /// The permissions are others.
    Permissions { path: String, old: Permissions, new: Permissions },
}

/// All differences: what is gone, then what is new or changed, each in its
/// snapshot's order, so parents before children.
///
/// What one side does not know is no difference: permissions, or the top in a text.
/// Neither is the order of children, which has no meaning to anyone.
pub(crate) fn differences(old: &Snapshot, new: &Snapshot) -> Vec<Difference> {
    let (old_nodes, new_nodes) = (by_path(old), by_path(new));
    let tops_known = old.knows_top && new.knows_top;
    let unknown = |path: &str| !tops_known && (path == old.root || path == new.root);
    let gone = old
        .nodes
        .iter()
        .filter(|node| !new_nodes.contains_key(&*node.path) && !unknown(&node.path))
        .cloned()
        .map(Difference::Removed);
    let mut found: Vec<_> = gone.collect();
    for node in &new.nodes {
        match old_nodes.get(&*node.path) {
            Some(before) => changes(before, node, &mut found),
            None if unknown(&node.path) => {}
            None => found.push(Difference::Added(node.clone())),
        }
    }
    found
}

fn by_path(snapshot: &Snapshot) -> BTreeMap<&str, &Node> {
    let nodes = snapshot.nodes.iter();
    nodes.map(|node| (&*node.path, node)).collect()
}

fn changes(old: &Node, new: &Node, found: &mut Vec<Difference>) {
    if old.value != new.value {
        found.push(Difference::Value {
            path: new.path.clone(),
            old: old.value.clone(),
            new: new.value.clone(),
        });
    }
    if let (Some(before), Some(after)) = (&old.permissions, &new.permissions)
        && before != after
    {
        found.push(Difference::Permissions {
            path: new.path.clone(),
            old: before.clone(),
            new: after.clone(),
        });
    }
}

/// Writes a difference for people: `-` gone, `+` new, `~` changed.
pub(crate) fn write(difference: &Difference, out: &mut impl Write) -> io::Result<()> {
    match difference {
        Difference::Added(node) => whole("+", node, out),
        Difference::Removed(node) => whole("-", node, out),
        Difference::Value { path, old, new } => {
            let (old, new) = (escape(old), escape(new));
            writeln!(out, "~ {path} = \"{old}\" -> \"{new}\"")
        }
        Difference::Permissions { path, old, new } => {
            let (old, new) = (spelled(old), spelled(new));
            writeln!(out, "~ {path}   ({old}) -> ({new})")
        }
    }
}

fn whole(mark: &str, node: &Node, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{mark} {} = \"{}\"", node.path, escape(&node.value))?;
    if let Some(permissions) = &node.permissions {
        write!(out, "   ({})", spelled(permissions))?;
    }
    writeln!(out)
}

/// A difference for programs.
pub(crate) fn to_json(difference: &Difference) -> Value {
    let entries = |list: &Permissions| -> Vec<String> {
        list.iter().map(|entry| entry.to_string()).collect()
    };
    let whole = |change: &str, node: &Node| {
        json!({
            "change": change,
            "path": node.path,
            "value": value_to_json(&node.value),
            "permissions": node.permissions.as_ref().map(entries),
        })
    };
    match difference {
        Difference::Added(node) => whole("added", node),
        Difference::Removed(node) => whole("removed", node),
        Difference::Value { path, old, new } => json!({
            "change": "value",
            "path": path,
            "old": value_to_json(old),
            "new": value_to_json(new),
        }),
        Difference::Permissions { path, old, new } => json!({
            "change": "permissions",
            "path": path,
            "old": entries(old),
            "new": entries(new),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json, text};
    use super::*;

    fn lines(old: &str, new: &str) -> String {
        let (old, new) = (text::read(old).unwrap(), text::read(new).unwrap());
        let mut out = Vec::new();
        for difference in differences(&old, &new) {
            write(&difference, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_kind_of_difference_has_a_line() {
        let old = "/a = \"1\"   (n0)\n/b = \"x\"   (n0)\n/c = \"\"   (n0)\n";
        let new = "/c = \"\"   (n0,r1)\n/a = \"2\"   (n0)\n/d = \"\\n\"   (b0)\n";
        assert_eq!(
            lines(old, new),
            "- /b = \"x\"   (n0)\n~ /c   (n0) -> (n0,r1)\n~ /a = \"1\" -> \"2\"\n+ /d = \"\\n\"   (b0)\n"
        );
        assert_eq!(lines(old, old), "");
    }

    #[test]
    fn what_one_side_does_not_know_is_no_difference() {
        assert_eq!(lines("/a = \"\"\n", "/a = \"\"   (n0)\n"), "");
        let with_top = r#"{"format":"xenstore-dump","version":1,"root":"/w","nodes":[
            {"path":"/w","value":"top"},{"path":"/w/a","value":""}]}"#;
        let with_top = json::read(with_top.as_bytes()).unwrap();
        let without = text::read("/w/a = \"\"").unwrap();
        assert_eq!(differences(&with_top, &without), []);
        assert_eq!(differences(&without, &with_top), []);
    }
}
