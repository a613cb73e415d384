//! Names of children, as clients list them.

use std::collections::VecDeque;

use xenstore_tree::Node;
use xenstore_wire::{PAYLOAD_MAX, Path};

use crate::node::NodeData;

/// The names of a node's children, each with a NUL, in creation order; `None` if
/// they are longer than `limit`, found out without sorting many more than fit.
pub fn child_list(node: &Node<NodeData>, limit: usize) -> Option<Vec<u8>> {
    // Each is a byte and a NUL at least.
    if node.child_count() > limit / 2 {
        return None;
    }
    let children = node.children_in_creation_order();
    let length = children.iter().map(|child| child.name().len() + 1).sum();
    if length > limit {
        return None;
    }
    let mut list = Vec::with_capacity(length);
    for child in children {
        list.extend_from_slice(child.name());
        list.push(0);
    }
    Some(list)
}

/// Bytes of the longest generation and its NUL. A list is cut as if all were so long, so
/// that the same list is cut at the same places whatever its generation.
const LONGEST_GENERATION: usize = 21;

/// How many lists are kept.
const LISTS: usize = 8;

/// The child lists last asked for in parts. Creation order costs a sort; a client that
/// fetches a long list part by part pays for it once, beside others that do the same.
#[derive(Debug, Default)]
pub struct Listing {
    /// The one asked for last comes first.
    lists: VecDeque<List>,
}

#[derive(Debug)]
struct List {
    of: Path<'static>,
    generation: u64,
    names: Vec<u8>,
}

impl Listing {
    /// The payload of a `DIRECTORY_PART` reply: the node's generation and a NUL, then
    /// names from `offset` on as they fit; after the last one comes an empty name.
    pub fn part(&mut self, path: &Path<'_>, node: &Node<NodeData>, offset: usize) -> Vec<u8> {
        let names = self.names(path, node);
        let mut part = format!("{}\0", node.generation()).into_bytes();
        let rest = names.get(offset..).unwrap_or_default();
        let room = PAYLOAD_MAX - LONGEST_GENERATION - 1;
        let fits = rest.get(..room).unwrap_or(rest);
        let taken = fits.iter().rposition(|&byte| byte == 0).map_or(0, |last| last + 1);
        part.extend_from_slice(rest.get(..taken).unwrap_or_default());
        if taken == rest.len() {
            part.push(0);
        }
        part
    }

    fn names(&mut self, path: &Path<'_>, node: &Node<NodeData>) -> &[u8] {
        let generation = node.generation();
        let known = |list: &List| list.generation == generation && list.of == *path;
        let list = match self.lists.iter().position(known) {
            Some(place) => self.lists.remove(place),
            None => None,
        };
        let list = list.unwrap_or_else(|| {
            let names = child_list(node, usize::MAX).unwrap_or_default();
            List { of: path.clone().into_owned(), generation, names }
        });
        self.lists.truncate(LISTS - 1);
        self.lists.push_front(list);
        self.lists.front().map_or(&[], |list| &list.names)
    }
}
