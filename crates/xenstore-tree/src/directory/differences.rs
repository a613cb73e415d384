//! What differs between two directories, without looking at what they share.

use std::cmp::Ordering;

use triomphe::Arc;

use super::Chunk;
use crate::node::Node;

/// A name for which two directories do not have the same node.
pub(crate) enum Difference<'t, V> {
    OnlyOld(&'t Node<V>),
    OnlyNew(&'t Node<V>),
    Both { old: &'t Node<V>, new: &'t Node<V> },
}

/// What one comparison came to.
pub(crate) enum Step<T> {
    Found(T),
    Nothing,
    End,
}

/// Goes through two directories side by side.
///
/// Each side is a stack of what is still to come, the first on top. A chunk that
/// tops both is shared, and skipped whole; otherwise the one that reaches
/// further back is replaced by what is in it, until two nodes face each other.
pub(crate) struct Differences<'t, V> {
    old: Vec<Item<'t, V>>,
    new: Vec<Item<'t, V>>,
}

enum Item<'t, V> {
    Chunk(&'t Arc<Chunk<V>>),
    Node(&'t Arc<Node<V>>),
}

impl<'t, V> Differences<'t, V> {
    pub(super) fn new(old: Option<&'t Arc<Chunk<V>>>, new: Option<&'t Arc<Chunk<V>>>) -> Self {
        Self {
            old: old.map(Item::Chunk).into_iter().collect(),
            new: new.map(Item::Chunk).into_iter().collect(),
        }
    }

    /// Makes one comparison, whose cost is bounded by the width of a chunk.
    pub(crate) fn step(&mut self) -> Step<Difference<'t, V>> {
        let order = match (self.old.last(), self.new.last()) {
            (Some(old), Some(new)) if old.same(new) => {
                self.old.pop();
                self.new.pop();
                return Step::Nothing;
            }
            (Some(old), Some(new)) => old.first_name().cmp(new.first_name()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Step::End,
        };
        let found = match order {
            Ordering::Less => open(&mut self.old).map(Difference::OnlyOld),
            Ordering::Greater => open(&mut self.new).map(Difference::OnlyNew),
            Ordering::Equal => self.step_both(),
        };
        found.map_or(Step::Nothing, Step::Found)
    }

    /// Both sides begin with the same name. Only chunks of equal height can be
    /// shared, so the higher one is opened first.
    fn step_both(&mut self) -> Option<Difference<'t, V>> {
        let old_height = self.old.last()?.height();
        let new_height = self.new.last()?.height();
        let old = (old_height >= new_height).then(|| open(&mut self.old));
        let new = (new_height >= old_height).then(|| open(&mut self.new));
        Some(Difference::Both { old: old.flatten()?, new: new.flatten()? })
    }
}

impl<V> Item<'_, V> {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Chunk(a), Self::Chunk(b)) => Arc::ptr_eq(a, b),
            (Self::Node(a), Self::Node(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    fn first_name(&self) -> &[u8] {
        match self {
            Self::Chunk(chunk) => chunk.first_name(),
            Self::Node(node) => node.name(),
        }
    }

    /// 0 for a node, 1 for a leaf.
    fn height(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.height(),
            Self::Node(_) => 0,
        }
    }
}

/// Takes the top off the stack: a node is returned, a chunk replaced by what is
/// in it.
fn open<'t, V>(stack: &mut Vec<Item<'t, V>>) -> Option<&'t Node<V>> {
    match stack.pop()? {
        Item::Node(node) => return Some(node),
        Item::Chunk(chunk) => match &**chunk {
            Chunk::Leaf(nodes) => stack.extend(nodes.iter().rev().map(Item::Node)),
            Chunk::Branch { chunks, .. } => {
                stack.extend(chunks.iter().rev().map(|below| Item::Chunk(&below.chunk)));
            }
        },
    }
    None
}
