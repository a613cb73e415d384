//! The nodes of a directory in the order of their names.

use std::slice;

use triomphe::Arc;

use super::{Below, Chunk};
use crate::node::Node;

pub(crate) struct Iter<'t, V> {
    /// What is left of the branches on the way to the leaf. Empty, hence not
    /// allocated, for a directory of one leaf.
    branches: Vec<slice::Iter<'t, Below<V>>>,
    leaf: slice::Iter<'t, Arc<Node<V>>>,
}

impl<'t, V> Iter<'t, V> {
    pub(super) fn new(root: Option<&'t Chunk<V>>) -> Self {
        let mut iter = Self { branches: Vec::new(), leaf: [].iter() };
        if let Some(root) = root {
            iter.enter(root);
        }
        iter
    }

    fn enter(&mut self, chunk: &'t Chunk<V>) {
        match chunk {
            Chunk::Leaf(nodes) => self.leaf = nodes.iter(),
            Chunk::Branch { chunks, .. } => self.branches.push(chunks.iter()),
        }
    }
}

impl<'t, V> Iterator for Iter<'t, V> {
    type Item = &'t Node<V>;

    fn next(&mut self) -> Option<&'t Node<V>> {
        loop {
            if let Some(node) = self.leaf.next() {
                return Some(node);
            }
            match self.branches.last_mut()?.next() {
                Some(below) => self.enter(&below.chunk),
                None => {
                    self.branches.pop();
                }
            }
        }
    }
}
