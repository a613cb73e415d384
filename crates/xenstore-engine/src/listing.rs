//! Names of children, as clients list them.

use xenstore_tree::Node;
use xenstore_wire::{PAYLOAD_MAX, Path, text};

use crate::store::NodeData;

/// The names of a node's children, each with a NUL, in creation order; `None` if
/// they are longer than `limit`, found out without looking at more than fit.
pub fn child_list(node: &Node<NodeData>, limit: usize) -> Option<Vec<u8>> {
    let mut length = 0;
    for child in node.children() {
        length += child.name().len() + 1;
        if length > limit {
            return None;
        }
    }
    let mut list = Vec::with_capacity(length);
    for child in node.children_in_creation_order() {
        list.extend_from_slice(child.name().as_bytes());
        list.push(0);
    }
    Some(list)
}

/// The child list last asked for in parts. Creation order costs a sort; a client
/// that fetches a long list part by part pays for it once.
#[derive(Debug, Default)]
pub struct Listing {
    of: Option<(Path, u64)>,
    names: Vec<u8>,
}

impl Listing {
    /// The payload of a `DIRECTORY_PART` reply: the node's generation and a NUL, then
    /// names from `offset` on as they fit; after the last one comes an empty name.
    pub fn part(&mut self, path: &Path, node: &Node<NodeData>, offset: usize) -> Vec<u8> {
        let generation = node.generation();
        if !self.of.as_ref().is_some_and(|(of, at)| of == path && *at == generation) {
            self.names = child_list(node, usize::MAX).unwrap_or_default();
            self.of = Some((path.clone(), generation));
        }
        let mut part = format!("{generation}\0").into_bytes();
        let rest = self.names.get(offset..).unwrap_or_default();
        let room = PAYLOAD_MAX - part.len() - 1;
        let mut taken = 0;
        for name in text::strings(rest) {
            if taken + name.len() >= room {
                break;
            }
            taken += name.len() + 1;
        }
        part.extend_from_slice(rest.get(..taken).unwrap_or_default());
        if taken == rest.len() {
            part.push(0);
            *self = Self::default();
        }
        part
    }
}
