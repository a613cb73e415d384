//! One node of the tree, and a shared subtree.

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::ops::Deref;

use triomphe::Arc;

use crate::directory::{Directory, Remains};
use crate::label::Label;
use crate::name::Name;
use crate::walk::{Descendants, Order, Walk};

/// A name, a value, two stamps, and the children.
///
/// Nodes are reached through a [`Tree`](crate::Tree), and do not change as long
/// as a snapshot or a [`Subtree`] can see them, too.
///
/// # Memory
///
/// With a value of 32 bytes a node is 80 bytes; the reference count and the
/// allocator make it 96. Its directory's pointer to it is another 8, and the
/// slack of the directory's chunks 2 to 6. Measured by `examples/memory.rs` with
/// glibc's allocator, 100,000 nodes, resident: 106 (names inserted in ascending
/// order) to 110 bytes per node (in random order), for one directory and for a
/// thousand of 100 alike; 119 for directories of 8.
pub struct Node<V> {
    /// Up to 22 bytes are held here; a longer name is allocated once and shared
    /// by all copies of the node.
    name: Label,
    value: V,
    generation: u64,
    born: u64,
    children: Directory<V>,
}

impl<V> Node<V> {
    pub(crate) fn new(name: Name<'_>, value: V, generation: u64) -> Self {
        Self {
            name: Label::new(name),
            value,
            generation,
            born: generation,
            children: Directory::default(),
        }
    }

    /// The last component of the node's path; empty for the root of a tree made
    /// by [`Tree::new`](crate::Tree::new).
    pub fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// The name as a text, with U+FFFD for what is none.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.name())
    }

    /// Whether that is its name, which is not [long](Name::is_long).
    pub(crate) fn is_called(&self, name: Name<'_>) -> bool {
        self.name.is(name)
    }

    /// What the node holds.
    pub fn value(&self) -> &V {
        &self.value
    }

    /// The stamp of the last change of this node itself: of its value or of its
    /// list of children, not of anything below them.
    ///
    /// If the caller never uses a generation twice, two nodes of equal
    /// generation have equal values and equal child lists, even in snapshots
    /// that went different ways.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The generation the node was created with. It orders the listing, and
    /// tells a node from another that was later created under the same name.
    pub fn born(&self) -> u64 {
        self.born
    }

    /// The child called `name`, in log(children) comparisons of names.
    #[inline]
    pub fn child<'n>(&self, name: impl Into<Name<'n>>) -> Option<&Node<V>> {
        self.children.get(name.into()).map(|node| &**node)
    }

    /// Whether there is any child.
    pub fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// The number of children (not of descendants), in constant time.
    pub fn child_count(&self) -> usize {
        self.children.len()
    }

    /// The children in the order of their names (by bytes), each in constant
    /// time. Allocates only for directories of more than 32.
    pub fn children(&self) -> impl Iterator<Item = &Node<V>> {
        self.children.iter()
    }

    /// The children in the order of their creation: by [`Node::born`], and by
    /// name where that is equal. Sorts, hence n·log(n) for n children.
    pub fn children_in_creation_order(&self) -> Vec<&Node<V>> {
        let mut children = Vec::with_capacity(self.child_count());
        children.extend(self.children.iter());
        children.sort_by_key(|child| child.born);
        children
    }

    /// All nodes below this one (itself not included), parents before their
    /// children, siblings by name, each with its depth below this node: 1 for a
    /// child. The cheapest way to see everything; counts with `.count()`.
    pub fn descendants(&self) -> Descendants<'_, V> {
        Descendants::new(self)
    }

    /// Walks the subtree with paths: this node first, parents before their
    /// children, siblings in creation order.
    pub fn top_down(&self) -> Walk<'_, V> {
        Walk::new(self, Order::TopDown)
    }

    /// Walks the subtree with paths: each node after everything below it, this
    /// node last, siblings in creation order.
    pub fn bottom_up(&self) -> Walk<'_, V> {
        Walk::new(self, Order::BottomUp)
    }

    pub(crate) fn directory(&self) -> &Directory<V> {
        &self.children
    }

    /// The place of the child `name`, if no other tree sees this node's directory.
    pub(crate) fn own_place(&mut self, name: Name<'_>) -> Result<&mut Arc<Self>, NotOwn> {
        self.children.get_own(name)
    }

    /// Takes the children away from a node that is about to be dropped.
    pub(crate) fn take_directory(&mut self) -> Directory<V> {
        mem::take(&mut self.children)
    }

    /// Stamps this node, and lends what the stamp vouches for.
    pub(crate) fn change(&mut self, generation: u64) -> (&mut V, &mut Directory<V>) {
        self.generation = generation;
        (&mut self.value, &mut self.children)
    }
}

impl<V: Clone> Node<V> {
    /// The child `name`, with this node's directory made ready for its change.
    pub(crate) fn child_mut(&mut self, name: Name<'_>) -> Option<&mut Arc<Node<V>>> {
        self.children.get_mut(name)
    }
}

/// A copy of this one node, which shares all its children: what copying on
/// write needs. The copy is not [`same`] as the original.
impl<V: Clone> Clone for Node<V> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            value: self.value.clone(),
            generation: self.generation,
            born: self.born,
            children: self.children.clone(),
        }
    }
}

/// Frees everything below that nothing else shares: dropping children from within the drop of
/// their parent would need a stack as deep as the tree.
impl<V> Drop for Node<V> {
    fn drop(&mut self) {
        Remains::free_all_of(self.take_directory());
    }
}

/// Shows the node alone; a tree may be deeper than a formatter's stack.
impl<V: fmt::Debug> fmt::Debug for Node<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.text())
            .field("value", &self.value)
            .field("generation", &self.generation)
            .field("born", &self.born)
            .field("child_count", &self.child_count())
            .finish_non_exhaustive()
    }
}

/// Why a tree cannot change a node in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotOwn {
    /// It is not there.
    Missing,
    /// Others see it, or would if it were there.
    Shared,
}

/// Whether two references are to one and the same node, hence to the same value
/// and the same everything below. One comparison of addresses.
///
/// `false` says nothing: a node that was copied and not changed is not the same.
pub fn same<V>(a: &Node<V>, b: &Node<V>) -> bool {
    std::ptr::eq(a, b)
}

/// A node with everything below it, shared with the trees it is part of.
///
/// Taken by [`Tree::subtree`](crate::Tree::subtree) and
/// [`Tree::remove`](crate::Tree::remove), put elsewhere by
/// [`Tree::graft`](crate::Tree::graft). Cloning is O(1). Keeping one keeps its
/// nodes alive, and makes a tree copy what it shares with it before a change.
pub struct Subtree<V>(pub(crate) Arc<Node<V>>);

impl<V: Clone> Subtree<V> {
    /// This subtree with its top called `name`: itself if it is so already.
    pub(crate) fn named(mut self, name: Name<'_>) -> Self {
        if self.name() != name.as_bytes() {
            Arc::make_mut(&mut self.0).name = Label::new(name);
        }
        self
    }

    /// The subtree with its top born and stamped now, for a place at the end of its new
    /// parent's listing.
    #[must_use]
    pub fn reborn(mut self, generation: u64) -> Self {
        let top = Arc::make_mut(&mut self.0);
        (top.born, top.generation) = (generation, generation);
        self
    }

    /// The subtree with other values: `change` is shown a node with its depth, 0 for the top,
    /// and returns its new value, if it is to have one. Of a node that gets one it is shown the
    /// children, too; one that gets none stays as it is, shared with all below it. `None` if
    /// that is the top.
    ///
    /// Changed nodes are stamped, and copied even if nobody shares them. Costs what is shown:
    /// less than updates one by one, each of which goes all the way down.
    pub fn changed(
        &self,
        generation: u64,
        mut change: impl FnMut(usize, &Node<V>) -> Option<V>,
    ) -> Option<Self> {
        let copy = |of: &Node<V>, value| {
            let mut copy = of.clone();
            *copy.change(generation).0 = value;
            copy
        };
        // The way down to the node at hand: copies, each with its children still to be shown.
        let mut way = vec![(copy(self, change(0, self)?), self.children.iter())];
        loop {
            let depth = way.len();
            let (_, children) = way.last_mut()?;
            if let Some(child) = children.next() {
                if let Some(value) = change(depth, child) {
                    way.push((copy(child, value), child.children.iter()));
                }
                continue;
            }
            let (done, _) = way.pop()?;
            let Some((parent, _)) = way.last_mut() else {
                return Some(Self(Arc::new(done)));
            };
            if let Some(place) = parent.child_mut(done.name().into()) {
                *place = Arc::new(done);
            }
        }
    }
}

impl<V> Deref for Subtree<V> {
    type Target = Node<V>;

    fn deref(&self) -> &Node<V> {
        &self.0
    }
}

impl<V> Clone for Subtree<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V: fmt::Debug> fmt::Debug for Subtree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subtree").field(&**self).finish()
    }
}
