//! `Tree::grow` creates a node together with the ancestors it lacks.

use xenstore_tree::{InsertError, ROOT, Tree};

#[test]
fn a_chain_grows_from_the_last_existing_node() {
    let mut tree = Tree::new(0, 1);
    assert_eq!(tree.grow(["a", "b", "c"], vec![1, 2, 3], 2), Ok(()));
    let before = tree.clone();
    assert_eq!(tree.grow(["a", "b", "d", "e"], vec![4, 5], 3), Ok(()));

    let mut seen = Vec::new();
    let mut walk = tree.root().top_down();
    while let Some((path, node)) = walk.step() {
        seen.push((path.to_owned(), *node.value(), node.generation()));
    }
    let expected = [
        ("", 0, 2),
        ("a", 1, 2),
        ("a/b", 2, 3),
        ("a/b/c", 3, 2),
        ("a/b/d", 4, 3),
        ("a/b/d/e", 5, 3),
    ];
    assert_eq!(seen, expected.map(|(path, value, stamp)| (path.to_owned(), value, stamp)));
    assert_eq!(before.root().descendants().count(), 3);
}

#[test]
fn the_number_of_values_must_be_that_of_the_missing_nodes() {
    let mut tree = Tree::new(0, 1);
    assert_eq!(tree.grow(["a", "b"], vec![1], 2), Err(InsertError::NoParent));
    assert_eq!(tree.grow(["a"], vec![1, 2], 2), Err(InsertError::Exists));
    assert_eq!(tree.grow(ROOT, Vec::new(), 2), Ok(()));
    assert_eq!(tree.grow(["a"], Vec::new(), 2), Err(InsertError::NoParent));
    let snapshot = tree.clone();
    assert_eq!(tree.grow(ROOT, Vec::new(), 2), Ok(()));
    assert!(tree.same(&snapshot), "nothing is copied for nothing");
    assert_eq!((tree.root().child_count(), tree.root().generation()), (0, 1));
}
