//! What the tree's nodes hold.

use crate::acl::Acl;
use crate::value::Value;

/// What every node holds.
#[derive(Clone, Debug)]
pub struct NodeData {
    pub acl: Acl,
    pub value: Value,
}
