//! No recursion by the depth of the tree, which is up to whoever writes to it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::iter::repeat_n;
use std::thread;

use xenstore_tree::{ChangeKind, ROOT, Remains, Tree};

const LEVELS: usize = 1_000_000;

/// Too little for anything that recurs a million times, or ten thousand.
const STACK: usize = 64 * 1024;

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(STACK);
    thread.spawn(test).unwrap().join().unwrap();
}

/// A chain of nodes, each the only child of the one before, all called `x`, and
/// of the value `bottom` at its end.
fn chain(bottom: u32) -> Tree<u32> {
    let mut tree = Tree::new(bottom, u64::from(bottom));
    for _ in 0..LEVELS {
        let below = tree.subtree(ROOT).unwrap();
        tree = Tree::new(0, 0);
        tree.graft(["x"], below, 0).unwrap();
    }
    tree
}

#[test]
fn dropping_a_deep_tree() {
    on_a_small_stack(|| drop(chain(1)));
}

#[test]
fn freeing_a_deep_tree_piece_by_piece() {
    on_a_small_stack(|| {
        let mut remains = Remains::default();
        remains.add(chain(1).into());
        while remains.free(1000) {}
    });
}

#[test]
fn removing_from_a_deep_tree() {
    on_a_small_stack(|| {
        let mut tree = chain(1);
        let removed = tree.remove(repeat_n("x", LEVELS / 2), 2).unwrap();
        assert_eq!(removed.descendants().count(), LEVELS / 2);
        drop(removed);
        assert_eq!(tree.root().descendants().count(), LEVELS / 2 - 1);
    });
}

#[test]
fn walking_a_deep_tree() {
    on_a_small_stack(|| {
        let tree = chain(1);
        assert_eq!(tree.root().descendants().last().unwrap().0, LEVELS);

        let mut walk = tree.root().top_down();
        let mut longest = 0;
        while let Some((path, _)) = walk.step() {
            longest = path.len();
        }
        assert_eq!(longest, 2 * LEVELS - 1);

        let (path, bottom) = walk_up_once(&tree);
        assert_eq!((path, bottom), (2 * LEVELS - 1, 1));
    });
}

/// The length of the first path of the walk upward, and the value there.
fn walk_up_once(tree: &Tree<u32>) -> (usize, u32) {
    let mut walk = tree.root().bottom_up();
    let (path, node) = walk.step().unwrap();
    let first = (path.len(), *node.value());
    while walk.step().is_some() {}
    first
}

#[test]
fn comparing_deep_trees() {
    on_a_small_stack(|| {
        let (old, new) = (chain(1), chain(2));
        let changes: Vec<_> = old.diff(&new).collect();
        assert_eq!(changes.len(), 1, "all but the bottom have the same stamps");
        assert_eq!(changes[0].path.len(), 2 * LEVELS - 1);
        assert!(matches!(changes[0].kind, ChangeKind::Changed { .. }));
    });
}

/// A snapshot keeps the upper half, so that the lower is shared when the tree
/// goes, and freed from the middle when the snapshot goes.
#[test]
fn dropping_what_is_shared_halfway() {
    on_a_small_stack(|| {
        let tree = chain(1);
        let half = tree.subtree(repeat_n("x", LEVELS / 2)).unwrap();
        drop(tree);
        assert_eq!(half.descendants().count(), LEVELS / 2);
        drop(half);
    });
}

#[test]
fn changing_all_of_a_deep_tree() {
    on_a_small_stack(|| {
        let tree = chain(1);
        let all = tree.subtree(ROOT).unwrap();
        let changed = all.changed(2, |_, node| Some(node.value() + 1)).unwrap();
        assert_eq!(
            changed.descendants().last().map(|(depth, node)| (depth, *node.value())),
            Some((LEVELS, 2))
        );
    });
}
