//! The children of a node: a B-tree ordered by name, that is copied in constant
//! time and changed chunk by chunk.
//!
//! A directory is one pointer. The names are those of the nodes themselves, so
//! that a leaf is nothing but pointers to nodes. They are looked through one
//! after the other: what comes of a comparison in a binary search cannot be
//! guessed by the processor, and with one a READ took a quarter longer.
//!
//! A branch has pointers to the chunks below it, and beside each the beginning
//! of its first name: most of the way down is found without looking at nodes,
//! each of which is a miss of the processor's caches in a large store. The same
//! in leaves makes a node 10 bytes larger, and requests to 10,000 guests a sixth
//! slower, not faster. All leaves are at the same depth, no chunk is empty, and
//! two neighbours are joined when they would fill no more than [`JOIN`].
//!
//! The functions here recur, but only by the height of the B-tree: four for
//! 100,000 children.

mod differences;
mod iter;
mod remains;
#[cfg(test)]
mod tests;

use triomphe::Arc;

use crate::name::{Name, start};
use crate::node::{Node, NotOwn};

pub(crate) use differences::{Difference, Differences, Step};
pub(crate) use iter::Iter;
pub use remains::Remains;

/// The most pointers in a chunk. A wider chunk means fewer levels, but more to
/// copy for the first change after a snapshot.
const WIDTH: usize = 32;

/// Neighbours that have no more pointers than this together become one. Less
/// than [`WIDTH`], lest insertions and removals in turn split and join forever.
const JOIN: usize = 24;

/// The children of a node, ordered by name.
pub(crate) struct Directory<V>(Option<Arc<Chunk<V>>>);

enum Chunk<V> {
    Leaf(Vec<Arc<Node<V>>>),
    Branch {
        /// The number of nodes in all leaves below.
        len: usize,
        chunks: Vec<Below<V>>,
    },
}

/// A chunk below a branch.
struct Below<V> {
    /// The [`start`] of a name that is not after any in the chunk, nor before any in the chunk
    /// to the left. Not always that of the first one there is: names come and go.
    start: u64,
    chunk: Arc<Chunk<V>>,
}

impl<V> Below<V> {
    fn new(chunk: Arc<Chunk<V>>) -> Self {
        Self { start: start(chunk.first_name()), chunk }
    }
}

impl<V> Directory<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |root| root.len())
    }

    #[inline]
    pub(crate) fn get(&self, name: Name<'_>) -> Option<&Arc<Node<V>>> {
        let mut chunk = self.0.as_ref()?;
        loop {
            match &**chunk {
                Chunk::Leaf(nodes) => return find(nodes, name),
                Chunk::Branch { chunks, .. } => {
                    chunk = &chunks.get(choose(chunks, name.as_bytes(), name.start()))?.chunk;
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> Iter<'_, V> {
        Iter::new(self.0.as_deref())
    }

    /// What is to be changed in this directory to get `newer`.
    pub(crate) fn differences<'t>(&'t self, newer: &'t Self) -> Differences<'t, V> {
        Differences::new(self.0.as_ref(), newer.0.as_ref())
    }

    /// The place of the node called `name`, if no other directory shares it.
    #[inline] // else a WRITE takes 235 instructions more
    pub(crate) fn get_own(&mut self, name: Name<'_>) -> Result<&mut Arc<Node<V>>, NotOwn> {
        let mut chunk = self.0.as_mut().ok_or(NotOwn::Missing)?;
        loop {
            match Arc::get_mut(chunk).ok_or(NotOwn::Shared)? {
                Chunk::Leaf(nodes) => return find_mut(nodes, name).ok_or(NotOwn::Missing),
                Chunk::Branch { chunks, .. } => {
                    let at = choose(chunks, name.as_bytes(), name.start());
                    chunk = &mut chunks.get_mut(at).ok_or(NotOwn::Missing)?.chunk;
                }
            }
        }
    }

    /// The place of the node called `name`, not shared with other directories.
    /// Copies on the way, so is to be called for names that are there.
    pub(crate) fn get_mut(&mut self, name: Name<'_>) -> Option<&mut Arc<Node<V>>> {
        let mut chunk = self.0.as_mut()?;
        loop {
            match Arc::make_mut(chunk) {
                Chunk::Leaf(nodes) => return find_mut(nodes, name),
                Chunk::Branch { chunks, .. } => {
                    let at = choose(chunks, name.as_bytes(), name.start());
                    chunk = &mut chunks.get_mut(at)?.chunk;
                }
            }
        }
    }

    /// Adds a node whose name is not there yet.
    pub(crate) fn insert(&mut self, node: Arc<Node<V>>) {
        debug_assert!(self.get(node.name().into()).is_none());
        let Some(root) = &mut self.0 else {
            self.0 = Some(Arc::new(Chunk::Leaf(vec![node])));
            return;
        };
        if let Some(right) = Arc::make_mut(root).insert(node, true) {
            let left = Arc::clone(root);
            *root = Arc::new(Chunk::branch(vec![Below::new(left), Below::new(right)]));
        }
    }

    /// Takes out the node called `name`. Copies on the way, so is to be called
    /// for names that are there.
    pub(crate) fn remove(&mut self, name: Name<'_>) -> Option<Arc<Node<V>>> {
        let root = self.0.as_mut()?;
        let removed = Arc::make_mut(root).remove(name)?;
        if let Chunk::Branch { chunks, .. } = &**root
            && let [only] = chunks.as_slice()
        {
            *root = Arc::clone(&only.chunk);
        }
        if root.len() == 0 {
            self.0 = None;
        }
        Some(removed)
    }
}

impl<V> Chunk<V> {
    fn branch(chunks: Vec<Below<V>>) -> Self {
        Self::Branch { len: chunks.iter().map(|below| below.chunk.len()).sum(), chunks }
    }

    /// The number of nodes in and below the chunk.
    fn len(&self) -> usize {
        match self {
            Self::Leaf(nodes) => nodes.len(),
            Self::Branch { len, .. } => *len,
        }
    }

    /// The number of pointers in the chunk itself.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(nodes) => nodes.len(),
            Self::Branch { chunks, .. } => chunks.len(),
        }
    }

    /// The least name in and below the chunk.
    fn first_name(&self) -> &[u8] {
        match self {
            Self::Leaf(nodes) => nodes.first().map_or(&[], |node| node.name()),
            Self::Branch { chunks, .. } => {
                chunks.first().map_or(&[], |below| below.chunk.first_name())
            }
        }
    }

    /// 1 for a leaf.
    fn height(&self) -> usize {
        match self {
            Self::Leaf(_) => 1,
            Self::Branch { chunks, .. } => {
                1 + chunks.first().map_or(0, |below| below.chunk.height())
            }
        }
    }

    /// Adds a node. If the chunk was full, returns its new right neighbour. To be
    /// told if it is the `last` of its height.
    fn insert(&mut self, node: Arc<Node<V>>, last: bool) -> Option<Arc<Self>> {
        match self {
            Self::Leaf(nodes) => {
                let at = nodes.partition_point(|other| other.name() < node.name());
                let right = insert_at(nodes, at, node, last)?;
                Some(Arc::new(Self::Leaf(right)))
            }
            Self::Branch { len, chunks } => {
                let name = Name::from(node.name());
                let at = choose(chunks, name.as_bytes(), name.start());
                let last_below = last && at + 1 == chunks.len();
                let grown = chunks.get_mut(at)?;
                // It may be before all others, and go into the first chunk.
                grown.start = grown.start.min(name.start());
                *len += 1;
                let below = Arc::make_mut(&mut grown.chunk).insert(node, last_below)?;
                let right = insert_at(chunks, at + 1, Below::new(below), last)?;
                let right = Self::branch(right);
                *len -= right.len();
                Some(Arc::new(right))
            }
        }
    }

    /// Takes out the node called `name`.
    fn remove(&mut self, name: Name<'_>) -> Option<Arc<Node<V>>> {
        match self {
            Self::Leaf(nodes) => {
                let at = position(nodes, name)?;
                let removed = nodes.remove(at);
                give_back_room(nodes);
                Some(removed)
            }
            Self::Branch { len, chunks } => {
                let at = choose(chunks, name.as_bytes(), name.start());
                let removed = Arc::make_mut(&mut chunks.get_mut(at)?.chunk).remove(name)?;
                *len -= 1;
                tidy(chunks, at);
                Some(removed)
            }
        }
    }

    /// Appends all of the right neighbour.
    fn append(&mut self, right: Self) {
        match (self, right) {
            (Self::Leaf(nodes), Self::Leaf(more)) => nodes.extend(more),
            (Self::Branch { len, chunks }, Self::Branch { len: more_len, chunks: more }) => {
                *len += more_len;
                chunks.extend(more);
            }
            _ => debug_assert!(false, "neighbours are of equal height"),
        }
    }
}

/// The node of a leaf that is called `name`.
#[inline]
fn find<'t, V>(nodes: &'t [Arc<Node<V>>], name: Name<'_>) -> Option<&'t Arc<Node<V>>> {
    if name.is_long() {
        return nodes.get(position_of_long(nodes, name.as_bytes())?);
    }
    nodes.iter().find(|node| node.is_called(name))
}

#[inline]
fn find_mut<'t, V>(nodes: &'t mut [Arc<Node<V>>], name: Name<'_>) -> Option<&'t mut Arc<Node<V>>> {
    if name.is_long() {
        let at = position_of_long(nodes, name.as_bytes())?;
        return nodes.get_mut(at);
    }
    nodes.iter_mut().find(|node| node.is_called(name))
}

/// Where in a leaf it is.
fn position<V>(nodes: &[Arc<Node<V>>], name: Name<'_>) -> Option<usize> {
    if name.is_long() {
        return position_of_long(nodes, name.as_bytes());
    }
    nodes.iter().position(|node| node.is_called(name))
}

/// The same if its name is long. A call, lest it take the registers of the loops over others.
#[inline(never)]
fn position_of_long<V>(nodes: &[Arc<Node<V>>], name: &[u8]) -> Option<usize> {
    nodes.iter().position(|node| node.name() == name)
}

/// Which chunk of a branch has the node called `name`, if any has; told how the name
/// [`start`]s. A call, lest it take the registers of the loop over a leaf.
#[inline(never)]
fn choose<V>(chunks: &[Below<V>], name: &[u8], wanted: u64) -> usize {
    let less = chunks.partition_point(|below| below.start < wanted);
    // With the same beginning only the whole name tells.
    let not_after = |below: &&Below<V>| below.start == wanted && below.chunk.first_name() <= name;
    let same = chunks.iter().skip(less).take_while(not_after).count();
    (less + same).saturating_sub(1)
}

/// Inserts an item. If that is one too many, returns the right part.
fn insert_at<T>(items: &mut Vec<T>, at: usize, item: T, last: bool) -> Option<Vec<T>> {
    if items.len() < WIDTH {
        make_room(items);
        items.insert(at, item);
        return None;
    }
    // Names often come in ascending order. To begin a new last chunk leaves full
    // ones behind; halving would leave them half empty.
    if last && at == WIDTH {
        return Some(vec![item]);
    }
    let mut right = items.split_off(WIDTH / 2);
    if at <= WIDTH / 2 {
        items.insert(at, item);
    } else {
        make_room(&mut right);
        right.insert(at - WIDTH / 2, item);
    }
    Some(right)
}

/// Room for one item more. Most directories have a handful of children, and to
/// round all of them up to a full chunk would cost more than the nodes.
fn make_room<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len().clamp(1, 8));
    }
}

/// Frees half of the room when three quarters of it are unused.
fn give_back_room<T>(items: &mut Vec<T>) {
    if items.len() <= items.capacity() / 4 {
        items.shrink_to(items.capacity() / 2);
    }
}

/// After the chunk at `at` became smaller: drops it if it is empty, otherwise
/// joins it with a neighbour if both are small.
fn tidy<V>(chunks: &mut Vec<Below<V>>, at: usize) {
    if chunks.get(at).is_some_and(|below| below.chunk.width() == 0) {
        chunks.remove(at);
    } else {
        join(chunks, at);
        if let Some(before) = at.checked_sub(1) {
            join(chunks, before);
        }
    }
    give_back_room(chunks);
}

/// Joins the chunk at `at` with the one after it, if both are small.
fn join<V>(chunks: &mut Vec<Below<V>>, at: usize) {
    let Some([left, right]) = chunks.get(at..at + 2) else {
        return;
    };
    if left.chunk.width() + right.chunk.width() > JOIN {
        return;
    }
    let right = Arc::unwrap_or_clone(chunks.remove(at + 1).chunk);
    if let Some(left) = chunks.get_mut(at) {
        Arc::make_mut(&mut left.chunk).append(right);
    }
}

impl<V> Default for Directory<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V> Clone for Directory<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Clone for Below<V> {
    fn clone(&self) -> Self {
        Self { start: self.start, chunk: Arc::clone(&self.chunk) }
    }
}

/// Shares what is below. Without this, `derive` would ask for `V: Clone`.
impl<V> Clone for Chunk<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(nodes) => Self::Leaf(nodes.clone()),
            Self::Branch { len, chunks } => Self::Branch { len: *len, chunks: chunks.clone() },
        }
    }
}
