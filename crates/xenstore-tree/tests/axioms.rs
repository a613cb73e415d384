//! The nine axioms of an immutable prefix tree, from *`OXenstored`: an efficient
//! hierarchical and transactional database using functional programming with
//! reference cell comparisons* (Gazagnaire and Hanquez, ICFP 2009).
//!
//! `T|u` is the subtree of T at the path u (restriction), `T[u ← S]` is T with S
//! at u (substitution), and ≡ is physical equality: being the same allocation.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use xenstore_tree::{Node, ROOT, Subtree, Tree, same};

type Path = Vec<&'static str>;

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c"])
}

/// Three levels of three names, so that two paths often share a prefix and a
/// path often exists.
fn path() -> impl Strategy<Value = Path> {
    vec(name(), 0..=3)
}

/// A tree of the nodes on some random paths, each of a value of its own.
fn tree() -> impl Strategy<Value = Tree<u64>> {
    vec(path(), 0..12).prop_map(|paths| {
        let mut tree = Tree::new(0, 0);
        let mut generation = 0;
        for path in paths {
            for depth in 0..path.len() {
                generation += 1;
                // A node that is there already is kept.
                let _ = tree.insert(at(&path[..depth]), path[depth], generation, generation);
            }
        }
        tree
    })
}

/// A tree and the path of one of its nodes.
fn tree_and_path() -> impl Strategy<Value = (Tree<u64>, Path)> {
    (tree(), path()).prop_map(|(tree, mut path)| {
        path.truncate(tree.trace(at(&path)).count() - 1);
        (tree, path)
    })
}

/// A subtree that can stand at `path` without being renamed. As the edges are
/// labelled in the paper, but the nodes here, the axioms hold for these.
fn fit(subtree: &Tree<u64>, path: &[&str]) -> Subtree<u64> {
    let mut tree = Tree::new(0, 0);
    let subtree = subtree.subtree(ROOT).unwrap();
    let Some(name) = path.last() else {
        return subtree;
    };
    tree.graft([*name], subtree, 1).unwrap();
    tree.subtree([*name]).unwrap()
}

/// T[u ← S], with T kept.
fn substitute(tree: &Tree<u64>, path: &[&'static str], subtree: &Subtree<u64>) -> Tree<u64> {
    let mut result = tree.clone();
    result.graft(at(path), subtree.clone(), 1_000).unwrap();
    result
}

fn at<'p>(path: &'p [&'static str]) -> impl Iterator<Item = &'static str> + Clone + 'p {
    path.iter().copied()
}

proptest! {
    /// E1: T ≡ T, also by way of a snapshot.
    #[test]
    fn e1_equality_is_reflexive(tree in tree()) {
        prop_assert!(tree.same(&tree.clone()));
        prop_assert!(same(tree.root(), tree.clone().root()));
    }

    /// E2: if T|u ≡ T'|u, the values of T and T' are equal at u and at every
    /// path below it.
    #[test]
    fn e2_what_is_shared_is_equal((tree, path) in tree_and_path(), other in path()) {
        let mut changed = tree.clone();
        changed.update(at(&path), 1_000, |value| *value = 1_000);
        let (Some(old), Some(new)) = (tree.get(at(&other)), changed.get(at(&other))) else {
            return Ok(());
        };
        if same(old, new) {
            prop_assert_eq!(old.value(), new.value());
            prop_assert!(old.descendants().map(value).eq(new.descendants().map(value)));
        } else {
            // Not to be content with sharing nothing: only the path is copied.
            prop_assert!(path.starts_with(&other));
        }
    }

    /// S1: T[u ← S]|u ≡ S.
    #[test]
    fn s1_what_is_put_is_shared((tree, path) in tree_and_path(), subtree in tree()) {
        let subtree = fit(&subtree, &path);
        let result = substitute(&tree, &path, &subtree);
        prop_assert!(same(result.get(at(&path)).unwrap(), &subtree));
    }

    /// S2: for every proper prefix v of u, T[u ← S]|v ≢ T|v.
    #[test]
    fn s2_the_path_is_new((tree, path) in tree_and_path(), subtree in tree()) {
        let result = substitute(&tree, &path, &fit(&subtree, &path));
        for (old, new) in tree.trace(at(&path)).zip(result.trace(at(&path))).take(path.len()) {
            prop_assert!(!same(old, new));
        }
    }

    /// S3: if neither of u and v is a prefix of the other, T[u ← S]|v ≡ T|v.
    #[test]
    fn s3_unrelated_paths_stay_shared(
        (tree, path) in tree_and_path(),
        other in path(),
        subtree in tree(),
    ) {
        prop_assume!(!path.starts_with(&other) && !other.starts_with(&path));
        let result = substitute(&tree, &path, &fit(&subtree, &path));
        match (tree.get(at(&other)), result.get(at(&other))) {
            (Some(old), Some(new)) => prop_assert!(same(old, new)),
            (old, new) => prop_assert!(old.is_none() && new.is_none()),
        }
    }

    /// S4: for every proper prefix v of u, T[u ← S] and T have the same value at
    /// v (and here the same stamps, as the list of children did not change).
    #[test]
    fn s4_values_above_stay((tree, path) in tree_and_path(), subtree in tree()) {
        let result = substitute(&tree, &path, &fit(&subtree, &path));
        for (old, new) in tree.trace(at(&path)).zip(result.trace(at(&path))).take(path.len()) {
            prop_assert_eq!(old.value(), new.value());
            prop_assert_eq!(old.born(), new.born());
        }
    }

    /// R1: T|ε ≡ T.
    #[test]
    fn r1_the_restriction_to_the_root_is_the_tree(tree in tree()) {
        prop_assert!(Tree::from(tree.subtree(ROOT).unwrap()).same(&tree));
    }

    /// R2: (T|u)|v ≡ T|uv.
    #[test]
    fn r2_restrictions_compose((tree, path) in tree_and_path(), depth in 0..=3_usize) {
        let (first, second) = path.split_at(depth.min(path.len()));
        let restricted = Tree::from(tree.subtree(at(first)).unwrap());
        let twice = restricted.subtree(at(second)).unwrap();
        prop_assert!(same(&twice, &tree.subtree(at(&path)).unwrap()));
    }

    /// R3: T[u ← S]|uv ≡ S|v.
    #[test]
    fn r3_restriction_sees_through_substitution(
        (tree, path) in tree_and_path(),
        (subtree, below) in tree_and_path(),
    ) {
        let subtree = fit(&subtree, &path);
        let result = substitute(&tree, &path, &subtree);
        let whole = at(&path).chain(at(&below));
        let expected = Tree::from(subtree).subtree(at(&below)).unwrap();
        prop_assert!(same(&result.subtree(whole).unwrap(), &expected));
    }
}

fn value((_, node): (usize, &Node<u64>)) -> u64 {
    *node.value()
}
