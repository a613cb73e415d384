//! The tree: a root, and the changes that copy what others share.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::iter;
use std::mem;

use triomphe::Arc;

use crate::diff::{Diff, diff};
use crate::name::Name;
use crate::node::{Node, NotOwn, Subtree};

/// The path of the root: no name.
pub const ROOT: [Name<'static>; 0] = [];

/// A prefix tree that is copied in constant time.
///
/// A path is a sequence of names, the empty one ([`ROOT`]) leads to the root. A
/// name is any bytes, the tree gives no meaning to them; [`names`](crate::names)
/// has those of a path with slashes. Where a method wants the path's
/// iterator to be `Clone`, it looks whether the change is possible before it
/// copies anything: a change that is refused leaves everything shared.
///
/// Reading costs the length of the path, times log of the width of each
/// directory. So does a change, which alters in place what this tree alone
/// holds, and copies otherwise: the nodes on the path, and of their directories
/// the chunk (of up to 32 children) that the path goes through.
///
/// Each mutator takes the generation to stamp changed nodes with. The caller
/// keeps one counter for all trees that come from one another and never gives
/// the same number twice; then equal generation means unchanged.
pub struct Tree<V> {
    root: Arc<Node<V>>,
}

impl<V> Tree<V> {
    /// A tree of one node, without a name.
    pub fn new(root_value: V, generation: u64) -> Self {
        Self { root: Arc::new(Node::new("".into(), root_value, generation)) }
    }

    /// The node at the empty path.
    pub fn root(&self) -> &Node<V> {
        &self.root
    }

    /// The node at `path`.
    pub fn get<'p, N: Into<Name<'p>>>(
        &self,
        path: impl IntoIterator<Item = N>,
    ) -> Option<&Node<V>> {
        descend(self.root(), path.into_iter().map(Into::into))
    }

    /// The nodes along `path`, the root first, as far as they exist. There is
    /// one more than the path has names if the whole path exists.
    pub fn trace<'t, 'p, N: Into<Name<'p>>>(
        &'t self,
        path: impl IntoIterator<Item = N>,
    ) -> impl Iterator<Item = &'t Node<V>> {
        let below = path.into_iter().scan(self.root(), |node, name| {
            *node = node.child(name)?;
            Some(*node)
        });
        iter::once(self.root()).chain(below)
    }

    /// The subtree at `path`, shared with this tree: the restriction T|path of
    /// the paper.
    pub fn subtree<'p, N: Into<Name<'p>>>(
        &self,
        path: impl IntoIterator<Item = N>,
    ) -> Option<Subtree<V>> {
        path.into_iter()
            .try_fold(&self.root, |node, name| node.directory().get(name.into()))
            .map(|node| Subtree(Arc::clone(node)))
    }

    /// Whether both trees have the same root, hence the same everything. One
    /// comparison; `false` does not say that they differ.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.root, &other.root)
    }

    /// What is to be changed in this tree to get `newer`; see [`diff`].
    pub fn diff<'t>(&'t self, newer: &'t Self) -> Diff<'t, V> {
        diff(self.root(), newer.root())
    }
}

impl<V: Clone> Tree<V> {
    /// Creates the child `name` of the node at `parent`, and stamps both.
    pub fn insert<'p, 'n, N: Into<Name<'p>>>(
        &mut self,
        parent: impl IntoIterator<Item = N, IntoIter: Clone>,
        name: impl Into<Name<'n>>,
        value: V,
        generation: u64,
    ) -> Result<(), InsertError> {
        let name = name.into();
        let free = |parent: &Node<V>| match parent.child(name) {
            Some(_) => Err(InsertError::Exists),
            None => Ok(()),
        };
        let inserted = self.alter(parent.into_iter().map(Into::into), free, |parent| {
            parent.change(generation).1.insert(Arc::new(Node::new(name, value, generation)));
        });
        inserted.unwrap_or(Err(InsertError::NoParent))
    }

    /// Creates the node at `path` together with the ancestors it lacks, and stamps
    /// them and the node they hang below. `values` has one value for each, the
    /// topmost first; how many it takes is the path's length less what
    /// [`trace`](Self::trace) finds below the root. Nothing happens without any.
    ///
    /// The new nodes form a chain; made from its end and put in place as a whole,
    /// it costs the path's length once, not once per node.
    pub fn grow<'p, N: Into<Name<'p>>>(
        &mut self,
        path: impl IntoIterator<Item = N, IntoIter: Clone>,
        values: Vec<V>,
        generation: u64,
    ) -> Result<(), InsertError> {
        let path = path.into_iter().map(Into::into);
        if values.is_empty() {
            return self.get(path).map(|_| ()).ok_or(InsertError::NoParent);
        }
        let existing = path.clone().count().checked_sub(values.len());
        let existing = existing.ok_or(InsertError::Exists)?;
        let names: Vec<Name<'_>> = path.clone().skip(existing).collect();
        let free = |parent: &Node<V>| match names.first().and_then(|&name| parent.child(name)) {
            Some(_) => Err(InsertError::Exists),
            None => Ok(()),
        };
        let grown = self.alter(path.take(existing), free, |parent| {
            let mut below: Option<Arc<Node<V>>> = None;
            for (&name, value) in names.iter().zip(values).rev() {
                let mut node = Node::new(name, value, generation);
                if let Some(child) = below {
                    node.change(generation).1.insert(child);
                }
                below = Some(Arc::new(node));
            }
            if let Some(top) = below {
                parent.change(generation).1.insert(top);
            }
        });
        grown.unwrap_or(Err(InsertError::NoParent))
    }

    /// Has `change` alter the value at `path`, stamps the node, and returns what
    /// `change` returned. `None`, and nothing copied or called, if there is no
    /// such node.
    pub fn update<'p, N: Into<Name<'p>>, R>(
        &mut self,
        path: impl IntoIterator<Item = N, IntoIter: Clone>,
        generation: u64,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let all = |_: &Node<V>| Ok::<_, Infallible>(());
        let Ok(changed) = self.update_if(path, generation, all, change)?;
        Some(changed)
    }

    /// The same if `allow`, which is shown the node first, does not say why not. `None` if there
    /// is no such node.
    pub fn update_if<'p, N: Into<Name<'p>>, R, E>(
        &mut self,
        path: impl IntoIterator<Item = N, IntoIter: Clone>,
        generation: u64,
        allow: impl FnOnce(&Node<V>) -> Result<(), E>,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<Result<R, E>> {
        let path = path.into_iter().map(Into::into);
        self.alter(path, allow, |node| change(node.change(generation).0))
    }

    /// Takes the subtree at `path` out of the tree, and stamps its parent.
    /// `None`, and nothing changed, if there is none, and for the root.
    pub fn remove<'p, N: Into<Name<'p>>>(
        &mut self,
        path: impl IntoIterator<Item = N, IntoIter: Clone>,
        generation: u64,
    ) -> Option<Subtree<V>> {
        let (parent, name) = split_last(path.into_iter().map(Into::into))?;
        let there = |parent: &Node<V>| parent.child(name).map(|_| ()).ok_or(());
        let remove = |parent: &mut Node<V>| parent.change(generation).1.remove(name);
        self.alter(parent, there, remove)?.ok()?.map(Subtree)
    }

    /// Puts `subtree` at `path`, in the place of what is there, which is
    /// returned, or as a new child: the substitution T\[path ← subtree\] of the
    /// paper. Costs the same however large the subtree is, which is shared, not
    /// copied; only its top is, if its name is not the path's last.
    ///
    /// The nodes of the subtree keep their stamps, so a new child is listed where
    /// its [`Node::born`] puts it. The parent is stamped if its listing is another
    /// one now: not if a node takes the place of one that was born with it. The
    /// empty path replaces the whole tree.
    pub fn graft<'p, N: Into<Name<'p>>>(
        &mut self,
        path: impl IntoIterator<Item = N, IntoIter: Clone>,
        subtree: Subtree<V>,
        generation: u64,
    ) -> Result<Option<Subtree<V>>, NoParent> {
        let Some((parent, name)) = split_last(path.into_iter().map(Into::into)) else {
            let root = subtree.named(self.root.name().into()).0;
            return Ok(Some(Subtree(mem::replace(&mut self.root, root))));
        };
        let subtree = subtree.named(name);
        let grafted = self.alter(
            parent,
            |_| Ok(()),
            |parent| {
                let born = subtree.born();
                let Some(place) = parent.child_mut(name) else {
                    let (_, children) = parent.change(generation);
                    children.insert(subtree.0);
                    return None;
                };
                let replaced = Subtree(mem::replace(place, subtree.0));
                if replaced.born() != born {
                    parent.change(generation);
                }
                Some(replaced)
            },
        );
        grafted.unwrap_or(Err(NoParent))
    }

    /// Changes the node at `path`, if it is there and `allow` does not say why not; else copies
    /// nothing. Goes on from node to node as long as they are this tree's own, which for a WRITE
    /// outside transactions is all of the way. From the first that others see, too, it takes two
    /// walks: one to know that copying is worth it.
    fn alter<'p, R, E>(
        &mut self,
        path: impl Iterator<Item = Name<'p>> + Clone,
        allow: impl FnOnce(&Node<V>) -> Result<(), E>,
        change: impl FnOnce(&mut Node<V>) -> R,
    ) -> Option<Result<R, E>> {
        let mut rest = path.clone();
        let mut place = &mut self.root;
        while place.is_unique() {
            let Some(name) = rest.next() else {
                let node = Arc::get_mut(place)?;
                return Some(allow(node).map(|()| change(node)));
            };
            match Arc::get_mut(place)?.own_place(name) {
                Ok(below) => place = below,
                Err(NotOwn::Missing) => return None,
                Err(NotOwn::Shared) => {
                    (place, rest) = (&mut self.root, path);
                    break;
                }
            }
        }
        if let Err(error) = allow(descend(place, rest.clone())?) {
            return Some(Err(error));
        }
        let mut node = Arc::make_mut(place);
        for name in rest {
            node = Arc::make_mut(node.child_mut(name)?);
        }
        Some(Ok(change(node)))
    }
}

/// The node at `path` below another.
fn descend<'t, 'p, V>(
    from: &'t Node<V>,
    mut path: impl Iterator<Item = Name<'p>>,
) -> Option<&'t Node<V>> {
    path.try_fold(from, |node, name| node.child(name))
}

/// The path of the parent, and the last name. `None` for the empty path.
fn split_last<'p, P>(path: P) -> Option<(iter::Take<P>, Name<'p>)>
where
    P: Iterator<Item = Name<'p>> + Clone,
{
    let parents = path.clone().count().checked_sub(1)?;
    let name = path.clone().nth(parents)?;
    Some((path.take(parents), name))
}

/// A snapshot, in constant time and memory.
impl<V> Clone for Tree<V> {
    fn clone(&self) -> Self {
        Self { root: Arc::clone(&self.root) }
    }
}

/// All of it.
impl<V> From<Tree<V>> for Subtree<V> {
    fn from(tree: Tree<V>) -> Self {
        Self(tree.root)
    }
}

/// The subtree as a tree of its own, whose root keeps the subtree's name.
impl<V> From<Subtree<V>> for Tree<V> {
    fn from(subtree: Subtree<V>) -> Self {
        Self { root: subtree.0 }
    }
}

/// Shows the root alone; a tree may be deeper than a formatter's stack.
impl<V: fmt::Debug> fmt::Debug for Tree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("root", self.root()).finish()
    }
}

/// Why [`Tree::insert`] changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// There is no node at the parent's path.
    NoParent,
    /// The parent has a child of that name.
    Exists,
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParent => NoParent.fmt(f),
            Self::Exists => f.write_str("there is a node of this name"),
        }
    }
}

impl Error for InsertError {}

/// Why [`Tree::graft`] changed nothing: there is no node to be the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoParent;

impl fmt::Display for NoParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no node at the parent's path")
    }
}

impl Error for NoParent {}
