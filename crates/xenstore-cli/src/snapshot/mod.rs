//! A subtree of the store as it was at one moment, as a value.
//!
//! | module | what |
//! |---|---|
//! | `capture` | reads one from the store |
//! | `json`, `text` | how it is kept in files |
//! | `file` | which of the two a file is |
//! | `diff` | what differs between two |
//! | `apply` | makes the store be like one |

pub(crate) mod apply;
pub(crate) mod capture;
pub(crate) mod diff;
pub(crate) mod file;
pub(crate) mod json;
pub(crate) mod text;

use std::collections::BTreeSet;

use xenstore_client::wire::Permissions;

/// A node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) value: Vec<u8>,
    /// `None` where the file did not say.
    pub(crate) permissions: Option<Permissions>,
}

/// A subtree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot {
    /// The path of its top.
    pub(crate) root: String,
    /// Whether that node would be among `nodes` if there is one.
    pub(crate) knows_top: bool,
    /// Parents before children, children in the order the daemon lists them: with
    /// most daemons that of their creation.
    pub(crate) nodes: Vec<Node>,
}

impl Snapshot {
    /// The first node whose parent does not come before it, if there is one: then
    /// this is only some of a subtree.
    pub(crate) fn orphan(&self) -> Option<&Node> {
        let mut known = BTreeSet::from([&*self.root]);
        self.nodes.iter().find(|node| {
            let parent = match node.path.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => parent,
                _ => "/",
            };
            let orphaned = node.path != self.root && !known.contains(parent);
            known.insert(&node.path);
            orphaned
        })
    }
}

/// The path of a child.
fn child(parent: &str, name: &str) -> String {
    format!("{}/{name}", parent.trim_end_matches('/'))
}

/// Whether `path` lies below `ancestor`.
fn lies_below(path: &str, ancestor: &str) -> bool {
    let stem = ancestor.trim_end_matches('/');
    path.strip_prefix(stem).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}

/// A permission list as the tools print it.
fn spelled(permissions: &Permissions) -> String {
    let entries: Vec<_> = permissions.iter().map(|entry| entry.to_string()).collect();
    entries.join(",")
}
