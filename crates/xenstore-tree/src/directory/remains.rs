//! Freeing what nobody needs any more, a piece at a time.

use std::fmt;

use triomphe::Arc;

use super::{Chunk, Directory};
use crate::node::Subtree;

/// Subtrees that nobody needs any more, to be freed a bounded number of nodes at a time.
///
/// Dropping a [`Subtree`] or a [`Tree`](crate::Tree) frees all at once that nothing else shares:
/// milliseconds, if it is ten thousands of nodes. Those who have to answer others meanwhile give
/// it here, and have some of it freed whenever they can. What others share stays as it is.
pub struct Remains<V> {
    chunks: Vec<Arc<Chunk<V>>>,
}

impl<V> Remains<V> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Takes a subtree.
    pub fn add(&mut self, subtree: Subtree<V>) {
        // To ask whether the reference is the last and to drop it must be one step:
        // another thread may be dropping the other one. So it is below, too.
        if let Some(mut top) = Arc::into_unique(subtree.0) {
            self.chunks.extend(top.take_directory().0);
        }
    }

    /// Frees until so many nodes were looked at, shared ones among them, and 32 more at most;
    /// whether there are more.
    #[inline]
    pub fn free(&mut self, nodes: usize) -> bool {
        !self.chunks.is_empty() && self.free_some(nodes)
    }

    fn free_some(&mut self, nodes: usize) -> bool {
        let mut looked_at = 0;
        while looked_at < nodes
            && let Some(chunk) = self.chunks.pop()
        {
            looked_at += self.take_apart(chunk);
        }
        !self.chunks.is_empty()
    }

    /// Frees all nodes of a directory, and all below them. Without using the stack for what is
    /// below: it may be deeper than that.
    pub(crate) fn free_all_of(directory: Directory<V>) {
        let mut remains = Self::default();
        if let Some(root) = directory.0 {
            remains.take_apart(root);
        }
        remains.free(usize::MAX);
    }

    /// Frees one chunk and its nodes, and keeps what was below them; how many nodes it had.
    fn take_apart(&mut self, chunk: Arc<Chunk<V>>) -> usize {
        let Some(mut chunk) = Arc::into_unique(chunk) else {
            return 1;
        };
        match &mut *chunk {
            Chunk::Leaf(nodes) => {
                let count = nodes.len();
                for mut node in nodes.drain(..).filter_map(Arc::into_unique) {
                    self.chunks.extend(node.take_directory().0);
                }
                count
            }
            Chunk::Branch { chunks, .. } => {
                self.chunks.extend(chunks.drain(..).map(|below| below.chunk));
                1
            }
        }
    }
}

/// Does not show what is left, of which there may be much.
impl<V> fmt::Debug for Remains<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remains").field("chunks", &self.chunks.len()).finish_non_exhaustive()
    }
}

/// Nothing.
impl<V> Default for Remains<V> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

/// Frees what is left.
impl<V> Drop for Remains<V> {
    fn drop(&mut self) {
        self.free(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::tree::{ROOT, Tree};

    /// A value that counts how many of its like were dropped.
    #[derive(Clone)]
    struct Counted<'c>(&'c Cell<usize>);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    /// So many directories of so many nodes.
    fn tree(dropped: &Cell<usize>, directories: usize, nodes: usize) -> Tree<Counted<'_>> {
        let mut tree = Tree::new(Counted(dropped), 0);
        for directory in (0..directories).map(|number| number.to_string()) {
            tree.insert(ROOT, &directory, Counted(dropped), 0).unwrap();
            for node in (0..nodes).map(|number| number.to_string()) {
                tree.insert([&directory], &node, Counted(dropped), 0).unwrap();
            }
        }
        tree
    }

    #[test]
    fn a_bounded_number_is_freed_at_a_time_and_all_in_the_end() {
        let dropped = Cell::new(0);
        let mut remains = Remains::default();
        assert!(!remains.free(100));
        for (directories, nodes) in [(1, 1000), (1000, 1), (30, 30), (0, 0)] {
            let all = 1 + directories + directories * nodes;
            dropped.set(0);
            remains.add(tree(&dropped, directories, nodes).into());
            let mut times = 0;
            loop {
                let before = dropped.get();
                let more = remains.free(100);
                assert!(dropped.get() - before <= 100 + 32);
                times += 1;
                if !more {
                    break;
                }
            }
            assert_eq!(dropped.get(), all);
            assert!(times <= 1 + all / 100, "{times} times for {all}");
        }
    }

    #[test]
    fn what_others_share_stays() {
        let dropped = Cell::new(0);
        let mut tree = tree(&dropped, 3, 40);
        let kept = tree.subtree(["1"]).unwrap();
        let mut remains = Remains::default();
        remains.add(tree.remove(["0"], 1).unwrap());
        remains.add(tree.into());
        assert!(!remains.free(usize::MAX));
        assert_eq!((dropped.get(), kept.descendants().count()), (1 + 2 * 41, 40));
        remains.add(kept);
        drop(remains);
        assert_eq!(dropped.get(), 1 + 3 * 41);
    }
}
