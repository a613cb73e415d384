//! What the tree's nodes hold.

use xenstore_tree::SmallBytes;

use crate::acl::Acl;

/// A node's value. Of those on a running host nine in ten fit into the node itself: states,
/// domids, ports, and the empty value of every directory.
pub type Value = SmallBytes;

/// What every node holds.
#[derive(Clone, Debug)]
pub struct NodeData {
    pub acl: Acl,
    pub value: Value,
}
