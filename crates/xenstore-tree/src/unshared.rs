//! What a tree has to itself.

use crate::directory::{Difference, Differences, Step};
use crate::node::{Node, same};
use crate::walk::Descendants;

/// The nodes of `old` that `new` does not share: those that would be freed if `old` were
/// dropped and `new` was all that was left. The two nodes stand for one and the same place.
///
/// Visits nothing else but the pointers beside them, so it costs what was changed since the
/// two were [`same`], however large they are.
pub fn unshared<'t, V>(old: &'t Node<V>, new: &'t Node<V>) -> Unshared<'t, V> {
    Unshared { top: (!same(old, new)).then_some((old, new)), open: Vec::new(), gone: None }
}

/// Made by [`unshared`].
pub struct Unshared<'t, V> {
    /// The nodes to begin with, until begun.
    top: Option<(&'t Node<V>, &'t Node<V>)>,
    /// The pairs of directories entered and not finished, the deepest last.
    open: Vec<Differences<'t, V>>,
    /// What is below a node that `new` does not have.
    gone: Option<Descendants<'t, V>>,
}

impl<'t, V> Unshared<'t, V> {
    fn enter(&mut self, old: &'t Node<V>, new: &'t Node<V>) -> &'t Node<V> {
        self.open.push(old.directory().differences(new.directory()));
        old
    }
}

impl<'t, V> Iterator for Unshared<'t, V> {
    type Item = &'t Node<V>;

    fn next(&mut self) -> Option<&'t Node<V>> {
        if let Some((old, new)) = self.top.take() {
            return Some(self.enter(old, new));
        }
        if let Some((_, node)) = self.gone.as_mut().and_then(Iterator::next) {
            return Some(node);
        }
        loop {
            match self.open.last_mut()?.step() {
                Step::Found(Difference::OnlyOld(node)) => {
                    self.gone = Some(node.descendants());
                    return Some(node);
                }
                Step::Found(Difference::Both { old, new }) => return Some(self.enter(old, new)),
                Step::Found(Difference::OnlyNew(_)) | Step::Nothing => {}
                Step::End => {
                    self.open.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Tree;
    use crate::tree::ROOT;

    #[test]
    fn a_change_leaves_the_nodes_on_its_way() {
        let mut tree = Tree::new(0, 0);
        for path in [&["a"][..], &["a", "b"], &["a", "c"], &["d"], &["d", "e"]] {
            let (name, parent) = path.split_last().unwrap();
            tree.insert(parent.iter().copied(), name, 0, 1).unwrap();
        }
        let old = tree.clone();
        tree.update(["a", "b"], 2, |value| *value = 1);
        tree.remove(["d"], 3);
        let names = |old: &Tree<u32>, new: &Tree<u32>| -> Vec<String> {
            unshared(old.root(), new.root()).map(|node| node.text().into_owned()).collect()
        };
        assert_eq!(names(&old, &tree), ["", "a", "b", "d", "e"]);
        assert_eq!(names(&tree, &old), ["", "a", "b"]);
        assert_eq!(names(&tree, &tree.clone()), [""; 0]);
    }

    proptest! {
        /// They are the nodes whose address the other tree does not have.
        #[test]
        fn they_are_what_the_other_does_not_point_to(
            steps in prop::collection::vec((0..3, 0..40_u32, 0..4_u32), 1..200),
            snapshot in 0..200_usize,
        ) {
            let (mut tree, mut old) = (Tree::new(0, 0), Tree::new(0, 0));
            for (time, (what, outer, inner)) in steps.into_iter().enumerate() {
                if time == snapshot {
                    old = tree.clone();
                }
                let (outer, inner, stamp) = (outer.to_string(), inner.to_string(), time as u64 + 1);
                match what {
                    0 => {
                        let _ = tree.insert(ROOT, &outer, 0, stamp);
                        let _ = tree.insert([&*outer], &inner, 0, stamp);
                    }
                    1 => {
                        tree.update([&*outer, &*inner], stamp, |value| *value += 1);
                    }
                    _ => {
                        tree.remove([&*outer], stamp);
                    }
                }
            }
            let all = |tree: &Tree<u32>| -> Vec<*const Node<u32>> {
                let below = tree.root().descendants().map(|(_, node)| node);
                std::iter::once(tree.root()).chain(below).map(std::ptr::from_ref).collect()
            };
            let theirs = all(&tree);
            let mut own: Vec<_> = all(&old).into_iter().filter(|it| !theirs.contains(it)).collect();
            let mut found: Vec<_> =
                unshared(old.root(), tree.root()).map(std::ptr::from_ref).collect();
            own.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, own);
        }
    }
}
