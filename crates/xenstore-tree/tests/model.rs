//! The tree against the plainest thing that could do its work: a sorted map of
//! whole paths, copied for every snapshot.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use xenstore_tree::{ChangeKind, InsertError, NoParent, Node, Subtree, Tree};

type Path = Vec<&'static str>;

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    value: u32,
    generation: u64,
    born: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Model(BTreeMap<Path, Entry>);

impl Model {
    fn new() -> Self {
        let mut model = Self(BTreeMap::new());
        model.create(&[], 0, 0);
        model
    }

    fn has(&self, path: &[&str]) -> bool {
        self.0.contains_key(path)
    }

    fn create(&mut self, path: &[&'static str], value: u32, generation: u64) {
        let born = generation;
        let entry = Entry { value, generation, born };
        self.0.insert(path.to_vec(), entry);
    }

    fn stamp(&mut self, path: &[&'static str], generation: u64) {
        self.0.get_mut(path).unwrap().generation = generation;
    }

    /// What is at and below `path`, by relative path.
    fn copy(&self, path: &[&'static str]) -> Self {
        let below = self.0.iter().filter(|(p, _)| p.starts_with(path));
        Self(below.map(|(p, e)| (p[path.len()..].to_vec(), e.clone())).collect())
    }

    fn clear(&mut self, path: &[&'static str]) {
        self.0.retain(|p, _| !p.starts_with(path));
    }

    fn paste(&mut self, path: &[&'static str], subtree: Self) {
        for (below, entry) in subtree.0 {
            self.0.insert([path, &below].concat(), entry);
        }
    }

    /// The paths of the children, as listed.
    fn children(&self, path: &[&str]) -> Vec<Path> {
        let child = |p: &Path| p.len() == path.len() + 1 && p.starts_with(path);
        let mut children: Vec<Path> = self.0.keys().filter(|p| child(p)).cloned().collect();
        children.sort_by_key(|p| self.0[p].born);
        children
    }

    /// The paths in the order of a walk from `path`.
    fn walked(&self, path: &[&'static str], bottom_up: bool) -> Vec<String> {
        let mut paths: Vec<String> =
            (self.children(path).iter()).flat_map(|child| self.walked(child, bottom_up)).collect();
        let own = if bottom_up { paths.len() } else { 0 };
        paths.insert(own, path.join("/"));
        paths
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Path, &'static str, u32),
    Update(Path, u32),
    Remove(Path),
    /// Puts the subtree at the first path at the second.
    Graft(Path, Path),
    Snapshot,
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c"])
}

/// Short paths more often than long ones, so that many exist.
fn path() -> impl Strategy<Value = Path> {
    prop_oneof![vec(name(), 0..=1), vec(name(), 0..=2), vec(name(), 0..=4)]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (path(), name(), 0..9_u32).prop_map(|(p, n, v)| Op::Insert(p, n, v)),
        2 => (path(), 0..9_u32).prop_map(|(p, v)| Op::Update(p, v)),
        2 => path().prop_map(Op::Remove),
        2 => (path(), path()).prop_map(|(p, q)| Op::Graft(p, q)),
        1 => Just(Op::Snapshot),
    ]
}

fn at<'p>(path: &'p [&'static str]) -> impl Iterator<Item = &'static str> + Clone + 'p {
    path.iter().copied()
}

/// Does `op` to both, and compares what they say.
fn apply(op: &Op, generation: u64, tree: &mut Tree<u32>, model: &mut Model) {
    match op {
        Op::Insert(parent, name, value) => {
            let path = [&parent[..], &[*name]].concat();
            let expected = match (model.has(parent), model.has(&path)) {
                (false, _) => Err(InsertError::NoParent),
                (true, true) => Err(InsertError::Exists),
                (true, false) => {
                    model.create(&path, *value, generation);
                    model.stamp(parent, generation);
                    Ok(())
                }
            };
            let result = tree.insert(at(parent), name, *value, generation);
            assert_eq!(result, expected);
        }
        Op::Update(path, value) => {
            let expected = model.0.get_mut(path).map(|entry| {
                entry.generation = generation;
                std::mem::replace(&mut entry.value, *value)
            });
            let change = |held: &mut u32| std::mem::replace(held, *value);
            assert_eq!(tree.update(at(path), generation, change), expected);
        }
        Op::Remove(path) => {
            let removed = tree.remove(at(path), generation);
            if path.is_empty() || !model.has(path) {
                assert!(removed.is_none());
                return;
            }
            assert_eq!(read(&removed.unwrap()), model.copy(path));
            model.clear(path);
            model.stamp(&path[..path.len() - 1], generation);
        }
        Op::Graft(from, to) => {
            let Some(subtree) = tree.subtree(at(from)) else {
                assert!(!model.has(from));
                return;
            };
            graft(subtree, to, generation, tree, model);
        }
        Op::Snapshot => {}
    }
}

fn graft(
    subtree: Subtree<u32>,
    to: &[&'static str],
    generation: u64,
    tree: &mut Tree<u32>,
    model: &mut Model,
) {
    let copy = read(&subtree);
    let result = tree.graft(at(to), subtree, generation);
    let parent = to.split_last().map(|(_, parent)| parent);
    if parent.is_some_and(|parent| !model.has(parent)) {
        assert_eq!(result.err(), Some(NoParent));
        return;
    }
    let replaced = result.unwrap();
    let expected = model.has(to).then(|| model.copy(to));
    assert_eq!(replaced.as_deref().map(read), expected);
    let born = |model: &Model| model.0.get(&[][..]).map(|top| top.born);
    let listed_alike = expected.as_ref().and_then(born) == born(&copy);
    model.clear(to);
    model.paste(to, copy);
    if let Some(parent) = parent
        && !listed_alike
    {
        model.stamp(parent, generation);
    }
}

/// The map of a node and what is below it, built from child lists alone.
fn read(top: &Node<u32>) -> Model {
    let mut model = Model(BTreeMap::new());
    let mut pending = vec![(Path::new(), top)];
    while let Some((path, node)) = pending.pop() {
        for child in node.children() {
            let name = ["a", "b", "c"].into_iter().find(|n| *n == child.text());
            pending.push(([&path[..], &[name.unwrap()]].concat(), child));
        }
        let entry =
            Entry { value: *node.value(), generation: node.generation(), born: node.born() };
        model.0.insert(path, entry);
    }
    model
}

/// Compares all there is to see.
fn check(tree: &Tree<u32>, model: &Model) {
    assert_eq!(&read(tree.root()), model);
    for path in model.0.keys() {
        let node = tree.get(at(path)).unwrap();
        assert_eq!(tree.trace(at(path)).count(), path.len() + 1);
        let listed: Vec<_> =
            (node.children_in_creation_order().iter()).map(|child| child.text()).collect();
        let expected: Vec<&str> =
            (model.children(path).iter()).filter_map(|path| path.last().copied()).collect();
        assert_eq!(listed, expected);
        assert_eq!(node.child_count(), expected.len());
        assert_eq!(node.has_children(), !expected.is_empty());
    }
    check_walks(tree, model);
}

fn check_walks(tree: &Tree<u32>, model: &Model) {
    let mut walked = Vec::new();
    let mut walk = tree.root().top_down();
    while let Some((path, node)) = walk.step() {
        assert!(path.ends_with(&*node.text()));
        walked.push(path.to_owned());
    }
    assert_eq!(walked, model.walked(&[], false));

    let mut walked = Vec::new();
    let mut walk = tree.root().bottom_up();
    while let Some((path, node)) = walk.step() {
        assert!(path.ends_with(&*node.text()));
        walked.push(path.to_owned());
    }
    assert_eq!(walked, model.walked(&[], true));

    let by_name: Vec<(usize, Cow<'_, str>)> =
        (tree.root().descendants()).map(|(depth, node)| (depth, node.text())).collect();
    let expected: Vec<(usize, Cow<'_, str>)> =
        (model.0.keys()).filter_map(|path| Some((path.len(), (*path.last()?).into()))).collect();
    assert_eq!(by_name, expected);
}

/// What `diff` is to say, by looking at everything.
fn naive_diff(old: &Model, new: &Model) -> Vec<(String, &'static str)> {
    let both = |path: &[&str]| old.has(path) && new.has(path);
    let paths: BTreeSet<&Path> = old.0.keys().chain(new.0.keys()).collect();
    (paths.into_iter())
        .filter(|path| path.is_empty() || both(&path[..path.len() - 1]))
        .filter_map(|path| match (old.0.get(path), new.0.get(path)) {
            (Some(a), Some(b)) if a.generation == b.generation => None,
            (Some(_), Some(_)) => Some((path.join("/"), "changed")),
            (Some(_), None) => Some((path.join("/"), "removed")),
            (None, _) => Some((path.join("/"), "added")),
        })
        .collect()
}

fn diff(old: &Tree<u32>, new: &Tree<u32>) -> Vec<(String, &'static str)> {
    let word = |kind: &ChangeKind<u32>| match kind {
        ChangeKind::Added(_) => "added",
        ChangeKind::Removed(_) => "removed",
        ChangeKind::Changed { .. } => "changed",
    };
    (old.diff(new)).map(|change| (change.path, word(&change.kind))).collect()
}

proptest! {
    #[test]
    fn the_tree_is_a_map_whose_snapshots_never_change(ops in vec(op(), 0..80)) {
        let mut tree = Tree::new(0, 0);
        let mut model = Model::new();
        let mut snapshots = Vec::new();
        for (op, generation) in ops.iter().zip(1..) {
            if matches!(op, Op::Snapshot) {
                snapshots.push((tree.clone(), model.clone()));
            }
            apply(op, generation, &mut tree, &mut model);
            check(&tree, &model);
        }
        for (snapshot, copy) in &snapshots {
            check(snapshot, copy);
            prop_assert_eq!(diff(snapshot, &tree), naive_diff(copy, &model));
            prop_assert_eq!(diff(&tree, snapshot), naive_diff(&model, copy));
        }
    }
}
