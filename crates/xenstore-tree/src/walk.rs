//! Walks through a subtree. None uses the call stack for the depth of the tree.

use std::vec;

use crate::directory;
use crate::node::Node;
use crate::path::PathBuffer;

/// Made by [`Node::descendants`].
pub struct Descendants<'t, V> {
    /// The directories entered and not finished, the deepest last.
    open: Vec<directory::Iter<'t, V>>,
}

impl<'t, V> Descendants<'t, V> {
    pub(crate) fn new(top: &'t Node<V>) -> Self {
        Self { open: vec![top.directory().iter()] }
    }
}

impl<'t, V> Iterator for Descendants<'t, V> {
    /// The depth below the top, and the node.
    type Item = (usize, &'t Node<V>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let depth = self.open.len();
            let Some(node) = self.open.last_mut()?.next() else {
                self.open.pop();
                continue;
            };
            if node.has_children() {
                self.open.push(node.directory().iter());
            }
            return Some((depth, node));
        }
    }
}

/// Made by [`Node::top_down`] and [`Node::bottom_up`]: lends a path and its node at
/// each [step](Self::step).
pub struct Walk<'t, V> {
    tour: Tour<'t, V>,
    order: Order,
}

/// Which of the two times that a tour comes to a node counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    TopDown,
    BottomUp,
}

impl<'t, V> Walk<'t, V> {
    pub(crate) fn new(top: &'t Node<V>, order: Order) -> Self {
        Self { tour: Tour::new(top), order }
    }

    /// Gives the top the path `prefix` instead of the empty one, and all others
    /// a path below it. Call it before the first step.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.tour.path.restart(prefix);
        self
    }

    /// The next node and its path, the names joined by `/`.
    pub fn step(&mut self) -> Option<(&str, &'t Node<V>)> {
        loop {
            match (self.tour.advance()?, self.order) {
                (Move::Into(node), Order::TopDown) | (Move::OutOf(node), Order::BottomUp) => {
                    return Some((self.tour.path.as_str(), node));
                }
                _ => {}
            }
        }
    }
}

/// The way around a subtree that comes to each node twice: down from its parent
/// and, when all below it is done, up again. Siblings in creation order.
struct Tour<'t, V> {
    /// Where to begin, until begun. Its own name is not part of any path.
    top: Option<&'t Node<V>>,
    /// The nodes gone into and not out of, the deepest last.
    entered: Vec<Entered<'t, V>>,
    /// The path of the node that the last move was about.
    path: PathBuffer,
}

struct Entered<'t, V> {
    node: &'t Node<V>,
    /// The length of the node's path.
    path: usize,
    /// Those still to be gone into.
    children: vec::IntoIter<&'t Node<V>>,
}

enum Move<'t, V> {
    Into(&'t Node<V>),
    OutOf(&'t Node<V>),
}

impl<'t, V> Tour<'t, V> {
    fn new(top: &'t Node<V>) -> Self {
        Self { top: Some(top), entered: Vec::new(), path: PathBuffer::default() }
    }

    fn advance(&mut self) -> Option<Move<'t, V>> {
        if let Some(top) = self.top.take() {
            return Some(self.go_into(top));
        }
        let current = self.entered.last_mut()?;
        if let Some(child) = current.children.next() {
            self.path.enter(current.path, &child.text());
            return Some(self.go_into(child));
        }
        let node = current.node;
        self.path.cut(current.path);
        self.entered.pop();
        Some(Move::OutOf(node))
    }

    fn go_into(&mut self, node: &'t Node<V>) -> Move<'t, V> {
        self.entered.push(Entered {
            node,
            path: self.path.len(),
            children: node.children_in_creation_order().into_iter(),
        });
        Move::Into(node)
    }
}
