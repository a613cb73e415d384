//! What is copied and what is not, and what is stamped and what is not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::thread;

use xenstore_tree::{InsertError, NoParent, Node, ROOT, Subtree, Tree, same};

/// `a/b/c` and `a/d`, born in that order.
fn sample() -> Tree<u32> {
    let mut tree = Tree::new(0, 0);
    tree.insert(ROOT, "a", 0, 1).unwrap();
    tree.insert(["a"], "b", 0, 2).unwrap();
    tree.insert(["a", "b"], "c", 0, 3).unwrap();
    tree.insert(["a"], "d", 0, 4).unwrap();
    tree
}

fn address<const N: usize>(tree: &Tree<u32>, path: [&str; N]) -> usize {
    std::ptr::from_ref(tree.get(path).unwrap()).addr()
}

/// The generations of the root, `a`, `a/b` and `a/b/c`.
fn generations(tree: &Tree<u32>) -> Vec<u64> {
    tree.trace(["a", "b", "c"]).map(Node::generation).collect()
}

#[test]
fn what_nothing_shares_is_changed_in_place() {
    let mut tree = sample();
    let addresses = |tree: &Tree<u32>| {
        [
            address(tree, []),
            address(tree, ["a"]),
            address(tree, ["a", "b"]),
            address(tree, ["a", "b", "c"]),
        ]
    };
    let before = addresses(&tree);
    tree.update(["a", "b", "c"], 5, |value| *value = 1);
    tree.insert(["a", "b"], "e", 0, 6).unwrap();
    tree.remove(["a", "d"], 7).unwrap();
    assert_eq!(addresses(&tree), before);
}

#[test]
fn what_a_dropped_snapshot_shared_is_changed_in_place_again() {
    let mut tree = sample();
    let snapshot = tree.clone();
    let before = address(&tree, ["a", "b"]);
    tree.update(["a", "b"], 5, |value| *value = 1);
    let copied = address(&tree, ["a", "b"]);
    assert_ne!(copied, before);
    drop(snapshot);
    tree.update(["a", "b"], 6, |value| *value = 2);
    assert_eq!(address(&tree, ["a", "b"]), copied);
}

#[test]
fn only_the_path_of_a_change_is_copied() {
    let mut tree = sample();
    let snapshot = tree.clone();
    tree.update(["a", "b"], 5, |value| *value = 1);
    let both = |path: &[&'static str]| {
        let path = || path.iter().copied();
        same(tree.get(path()).unwrap(), snapshot.get(path()).unwrap())
    };
    assert!(!both(&[]) && !both(&["a"]) && !both(&["a", "b"]));
    assert!(both(&["a", "b", "c"]) && both(&["a", "d"]));
}

#[test]
fn values_are_cloned_on_the_path_only_and_only_when_shared() {
    struct Counted<'c>(&'c Cell<u32>);
    impl Clone for Counted<'_> {
        fn clone(&self) -> Self {
            self.0.set(self.0.get() + 1);
            Self(self.0)
        }
    }

    let clones = Cell::new(0);
    let mut tree = Tree::new(Counted(&clones), 0);
    for (name, generation) in ["a", "b", "c"].into_iter().zip(1..) {
        tree.insert(ROOT, name, Counted(&clones), generation).unwrap();
    }
    tree.update(["a"], 4, |_| ());
    assert_eq!(clones.get(), 0);
    let _snapshot = tree.clone();
    assert_eq!(clones.get(), 0);
    tree.update(["a"], 5, |_| ());
    assert_eq!(clones.get(), 2, "the root and the child");
}

#[test]
fn a_refused_change_leaves_everything_shared() {
    let mut tree = sample();
    let snapshot = tree.clone();
    let subtree = tree.subtree(["a"]).unwrap();
    assert_eq!(tree.insert(["x"], "y", 0, 5), Err(InsertError::NoParent));
    assert_eq!(tree.insert(["a"], "b", 0, 5), Err(InsertError::Exists));
    assert_eq!(tree.update(["a", "x"], 5, |_| ()), None);
    assert!(tree.remove(["a", "x"], 5).is_none());
    assert!(tree.remove(ROOT, 5).is_none());
    assert_eq!(tree.graft(["x", "y"], subtree, 5).err(), Some(NoParent));
    assert!(tree.same(&snapshot));
}

#[test]
fn an_update_stamps_the_node_alone() {
    let mut tree = sample();
    assert_eq!(generations(&tree), [1, 4, 3, 3]);
    tree.update(["a", "b"], 5, |value| *value = 1);
    assert_eq!(generations(&tree), [1, 4, 5, 3]);
    assert_eq!(tree.get(["a", "b"]).unwrap().born(), 2);
}

/// What is refused copies nothing, whether or not others share the way.
#[test]
fn a_refused_update_changes_nothing() {
    let mut tree = sample();
    for shared in [false, true] {
        let snapshot = shared.then(|| tree.clone());
        let before = address(&tree, ["a", "b"]);
        let refused = tree.update_if(
            ["a", "b"],
            5,
            |node| Err::<(), _>(*node.value()),
            |_| panic!("it was refused"),
        );
        assert_eq!(refused, Some(Err(0)));
        assert_eq!(tree.update_if(["a", "x"], 5, |_| Ok::<_, ()>(()), |value| *value = 1), None);
        assert_eq!((address(&tree, ["a", "b"]), generations(&tree)), (before, vec![1, 4, 3, 3]));
        assert!(snapshot.is_none_or(|snapshot| tree.same(&snapshot)));
    }
    assert_eq!(
        tree.update_if(["a", "b"], 5, |_| Ok::<_, ()>(()), |value| *value = 1),
        Some(Ok(()))
    );
    assert_eq!(generations(&tree), [1, 4, 5, 3]);
}

/// Others may share any part of the way: the root, a node, or of a directory the chunk alone.
#[test]
fn a_change_is_seen_by_nobody_else() {
    let path = ["a", "b", "c"];
    for shared in 0..=path.len() {
        let mut tree = sample();
        let part = tree.subtree(path[..shared].iter().copied()).unwrap();
        tree.update(path, 5, |value| *value = 1).unwrap();
        let below = path[shared..].iter().copied();
        assert_eq!(*Tree::from(part).get(below).unwrap().value(), 0, "{shared}");
        assert_eq!(*tree.get(path).unwrap().value(), 1);
    }
    let mut tree = Tree::new(0, 0);
    for (generation, name) in (1..).zip('a'..='z') {
        tree.insert(ROOT, &name.to_string(), 0, generation).unwrap();
    }
    let snapshot = tree.clone();
    // The root is copied now, and the chunk its children are in.
    tree.insert(["a"], "below", 0, 100).unwrap();
    for name in 'a'..='z' {
        tree.update([name.to_string().as_str()], 101, |value| *value = 1).unwrap();
    }
    assert!(snapshot.root().descendants().all(|(_, node)| *node.value() == 0));
    assert!(tree.root().children().all(|node| *node.value() == 1));
}

#[test]
fn insertion_and_removal_stamp_the_parent_alone() {
    let mut tree = sample();
    tree.insert(["a", "b"], "e", 0, 5).unwrap();
    assert_eq!(generations(&tree), [1, 4, 5, 3]);
    tree.remove(["a", "d"], 6).unwrap();
    assert_eq!(generations(&tree), [1, 6, 5, 3]);
}

#[test]
fn a_copied_ancestor_keeps_its_stamp() {
    let mut tree = sample();
    let snapshot = tree.clone();
    tree.update(["a", "b", "c"], 5, |value| *value = 1);
    assert_eq!(generations(&tree), [1, 4, 3, 5]);
    assert_eq!(generations(&snapshot), [1, 4, 3, 3]);
}

#[test]
fn a_removed_subtree_keeps_its_stamps() {
    let mut tree = sample();
    let removed = tree.remove(["a", "b"], 5).unwrap();
    assert_eq!((removed.born(), removed.generation()), (2, 3));
    assert_eq!(removed.child("c").unwrap().generation(), 3);
}

/// A transaction that is committed: its copy of a node replaces the original.
#[test]
fn a_graft_onto_the_node_it_came_from_does_not_stamp_the_parent() {
    let mut tree = sample();
    let mut copy = tree.clone();
    copy.update(["a", "b"], 5, |value| *value = 1);
    let replaced = tree.graft(["a", "b"], copy.subtree(["a", "b"]).unwrap(), 6);
    assert_eq!(*replaced.unwrap().unwrap().value(), 0);
    assert_eq!(generations(&tree), [1, 4, 5, 3]);
}

#[test]
fn a_graft_that_alters_the_listing_stamps_the_parent() {
    let listing = |tree: &Tree<u32>| -> Vec<String> {
        let children = tree.get(["a"]).unwrap().children_in_creation_order();
        children.iter().map(|child| child.text().into_owned()).collect()
    };

    let mut tree = sample();
    let later = tree.subtree(["a", "d"]).unwrap();
    tree.graft(["a", "b"], later.clone(), 5).unwrap().unwrap();
    assert_eq!(tree.get(["a"]).unwrap().generation(), 5);
    assert_eq!(listing(&tree), ["b", "d"], "born together, so by name");
    assert!(tree.graft(["a", "a"], later, 6).unwrap().is_none());
    assert_eq!(tree.get(["a"]).unwrap().generation(), 6);
    assert_eq!(listing(&tree), ["a", "b", "d"]);
}

#[test]
fn a_graft_under_another_name_copies_the_top_alone() {
    let mut tree = sample();
    let subtree = tree.subtree(["a", "b"]).unwrap();
    tree.graft(["z"], subtree.clone(), 5).unwrap();
    let top = tree.get(["z"]).unwrap();
    assert_eq!(top.text(), "z");
    assert_eq!(subtree.text(), "b");
    assert!(same(top.child("c").unwrap(), subtree.child("c").unwrap()));
}

#[test]
fn a_graft_at_the_root_replaces_the_tree() {
    let mut tree = sample();
    let before = tree.clone();
    let subtree = tree.subtree(["a"]).unwrap();
    let replaced = tree.graft(ROOT, subtree, 5).unwrap().unwrap();
    assert!(same(&replaced, before.root()));
    assert_eq!(tree.root().text(), "");
    assert!(tree.get(["b", "c"]).is_some());
}

#[test]
fn a_trace_ends_where_the_path_does() {
    let tree = sample();
    let names = |path: &[&'static str]| -> Vec<_> {
        tree.trace(path.iter().copied()).map(Node::text).collect()
    };
    assert_eq!(names(&[]), [""]);
    assert_eq!(names(&["a", "b"]), ["", "a", "b"]);
    assert_eq!(names(&["a", "x", "c"]), ["", "a"]);
}

#[test]
fn walks_and_diffs_go_under_a_prefix() {
    let old = Tree::new(0, 0);
    let new = sample();
    for (prefix, child) in [("", "a"), ("/", "/a"), ("/base", "/base/a")] {
        let mut down = new.root().top_down().under(prefix);
        assert_eq!(down.step().unwrap().0, prefix);
        assert_eq!(down.step().unwrap().0, child);

        let mut up = new.root().bottom_up().under(prefix);
        assert_eq!(up.step().unwrap().0, format!("{child}/b/c"));
        assert_eq!(std::iter::from_fn(|| up.step().map(|_| ())).count(), 4);

        let changes = old.diff(&new).under(prefix);
        let paths: Vec<String> = changes.map(|change| change.path).collect();
        assert_eq!(paths, [prefix, child]);
    }
}

/// Readers on other cores work on snapshots.
#[test]
fn trees_cross_threads() {
    let mut tree = sample();
    let snapshot = tree.clone();
    let subtree: Subtree<u32> = tree.subtree(["a"]).unwrap();
    let reader = thread::spawn(move || {
        let below = snapshot.root().descendants().count();
        (below, subtree.child_count())
    });
    tree.remove(["a"], 5).unwrap();
    assert_eq!(reader.join().unwrap(), (4, 2));
}

#[test]
fn a_changed_subtree_shares_what_was_not_changed() {
    let mut tree = sample();
    tree.insert(["a", "d"], "e", 0, 5).unwrap();
    let before = tree.subtree(["a"]).unwrap();
    let mut shown = Vec::new();
    let after = before.changed(9, |depth, node| {
        shown.push((depth, node.text().into_owned()));
        (node.text() != "d").then_some(7)
    });
    let after = after.unwrap();
    assert_eq!(shown, [(0, "a"), (1, "b"), (2, "c"), (1, "d")].map(|(d, n)| (d, n.to_owned())));
    let child = |of: &Subtree<u32>, name| std::ptr::from_ref(of.child(name).unwrap());
    assert_eq!(child(&after, "d"), child(&before, "d"));
    let stamps = |node: &Node<u32>| (*node.value(), node.born(), node.generation());
    let b = after.child("b").unwrap();
    let changed = [&*after, b, b.child("c").unwrap()].map(stamps);
    assert_eq!(changed, [(7, 1, 9), (7, 2, 9), (7, 3, 9)]);
    assert_eq!(*before.child("b").unwrap().value(), 0, "a snapshot does not change");
    assert!(before.changed(10, |_, _| None).is_none());
}
