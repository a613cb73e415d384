//! What differs between two trees, without looking at what they share.

use crate::directory::{Difference, Differences, Step};
use crate::node::{Node, same};
use crate::path::PathBuffer;

/// One difference between an old and a new tree.
#[derive(Debug)]
pub struct Change<'t, V> {
    /// Where: the names below the nodes compared, joined by `/`.
    pub path: String,
    /// What.
    pub kind: ChangeKind<'t, V>,
}

/// What is different at a path.
#[derive(Debug)]
pub enum ChangeKind<'t, V> {
    /// There was nothing, now there is this node. Everything below it is new,
    /// too, and not reported again.
    Added(&'t Node<V>),
    /// This node is gone, with everything below it, which is not reported again.
    Removed(&'t Node<V>),
    /// The value or the list of children changed: the generations differ. The
    /// children that came, went or changed are reported, too.
    ///
    /// If the nodes were not [born](Node::born) together, the old one was
    /// removed and another was created under its name.
    Changed {
        /// The node that was there.
        old: &'t Node<V>,
        /// The node that is there.
        new: &'t Node<V>,
    },
}

/// The changes that lead from `old` to `new` and what is below them: parents
/// before their children, siblings by name. The two nodes stand for one and the
/// same place, so their names are not looked at.
///
/// Visits only what is not [`same`], so it costs what was changed since the two
/// were, however large they are. A node that changed in nothing but descendants
/// is passed in silence. That the generations of unchanged nodes are equal is up
/// to the caller of the mutators.
pub fn diff<'t, V>(old: &'t Node<V>, new: &'t Node<V>) -> Diff<'t, V> {
    Diff {
        tops: (!same(old, new)).then_some((old, new)),
        open: Vec::new(),
        path: PathBuffer::default(),
    }
}

/// Made by [`diff`].
pub struct Diff<'t, V> {
    /// The nodes to begin with, until begun.
    tops: Option<(&'t Node<V>, &'t Node<V>)>,
    /// The pairs of directories entered and not finished, the deepest last.
    open: Vec<Open<'t, V>>,
    path: PathBuffer,
}

struct Open<'t, V> {
    differences: Differences<'t, V>,
    /// The length of the path of the node whose directories these are.
    path: usize,
}

impl<'t, V> Diff<'t, V> {
    /// Gives the top the path `prefix` instead of the empty one, and all others
    /// a path below it. Call it before the first step.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.path.restart(prefix);
        self
    }

    /// Makes one comparison.
    fn step(&mut self) -> Step<Change<'t, V>> {
        if let Some((old, new)) = self.tops.take() {
            return self.compare(old, new);
        }
        let Some(open) = self.open.last_mut() else {
            return Step::End;
        };
        let difference = match open.differences.step() {
            Step::Found(difference) => difference,
            Step::Nothing => return Step::Nothing,
            Step::End => {
                self.open.pop();
                return Step::Nothing;
            }
        };
        match difference {
            Difference::OnlyOld(node) => {
                self.path.enter(open.path, &node.text());
                self.found(ChangeKind::Removed(node))
            }
            Difference::OnlyNew(node) => {
                self.path.enter(open.path, &node.text());
                self.found(ChangeKind::Added(node))
            }
            Difference::Both { old, new } => {
                self.path.enter(open.path, &new.text());
                self.compare(old, new)
            }
        }
    }

    /// Compares the nodes at the current path, and leaves what is below them for
    /// the next steps.
    fn compare(&mut self, old: &'t Node<V>, new: &'t Node<V>) -> Step<Change<'t, V>> {
        self.open.push(Open {
            differences: old.directory().differences(new.directory()),
            path: self.path.len(),
        });
        if old.generation() == new.generation() {
            return Step::Nothing;
        }
        self.found(ChangeKind::Changed { old, new })
    }

    fn found(&self, kind: ChangeKind<'t, V>) -> Step<Change<'t, V>> {
        Step::Found(Change { path: self.path.as_str().to_owned(), kind })
    }
}

impl<'t, V> Iterator for Diff<'t, V> {
    type Item = Change<'t, V>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.step() {
                Step::Found(change) => return Some(change),
                Step::Nothing => {}
                Step::End => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;
    use crate::tree::ROOT;

    const WIDTH: usize = 100;

    /// 10,100 nodes: directories in a directory.
    fn wide() -> Tree<u32> {
        let mut tree = Tree::new(0, 0);
        for outer in 0..WIDTH {
            let outer = outer.to_string();
            tree.insert(ROOT, &outer, 0, 1).unwrap();
            for inner in 0..WIDTH {
                tree.insert([&*outer], &inner.to_string(), 0, 1).unwrap();
            }
        }
        tree
    }

    /// The number of changes, and of the steps it took to find them.
    fn cost(old: &Tree<u32>, new: &Tree<u32>) -> (usize, usize) {
        let mut diff = old.diff(new);
        let (mut changes, mut steps) = (0, 0);
        loop {
            steps += 1;
            match diff.step() {
                Step::Found(_) => changes += 1,
                Step::Nothing => {}
                Step::End => return (changes, steps),
            }
        }
    }

    #[test]
    fn the_same_tree_takes_one_step() {
        let tree = wide();
        assert_eq!(cost(&tree, &tree.clone()), (0, 1));
    }

    #[test]
    fn one_change_does_not_visit_what_is_shared() {
        let old = wide();
        let mut new = old.clone();
        new.update(["42", "42"], 2, |value| *value = 1);
        let (changes, steps) = cost(&old, &new);
        assert_eq!(changes, 1);
        // In each of the two directories, the pointers of a branch and of a leaf.
        assert!(steps < 2 * 2 * 32, "{steps} steps");
    }

    #[test]
    fn one_comparison_of_a_removed_subtree_however_large() {
        let old = wide();
        let mut new = old.clone();
        new.remove(["42"], 2);
        let (changes, steps) = cost(&old, &new);
        assert_eq!(changes, 2, "the parent's list, and the child");
        assert!(steps < 2 * 32, "{steps} steps");
    }
}
