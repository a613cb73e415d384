//! The B-tree by itself: its shape, and what its copies share.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;

/// Fails unless the directory is a B-tree as the module describes it. Returns
/// the number of its leaves.
fn check(directory: &Directory<u32>) -> usize {
    let names: Vec<&[u8]> = directory.iter().map(Node::name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "names in strict order");
    assert_eq!(names.len(), directory.len());
    let Some(root) = &directory.0 else { return 0 };
    if let Chunk::Branch { chunks, .. } = &**root {
        assert!(chunks.len() > 1, "a branch of one chunk is no root");
    }
    check_chunk(root, root.height())
}

fn check_chunk(chunk: &Chunk<u32>, height: usize) -> usize {
    assert!((1..=WIDTH).contains(&chunk.width()));
    match chunk {
        Chunk::Leaf(nodes) => {
            assert_eq!(height, 1, "all leaves are at the same depth");
            assert!(nodes.capacity() < 2 * WIDTH);
            1
        }
        Chunk::Branch { len, chunks } => {
            assert_eq!(*len, chunks.iter().map(|c| c.chunk.len()).sum::<usize>());
            for (at, below) in chunks.iter().enumerate() {
                let mut names = Iter::new(Some(&below.chunk)).map(|node| start(node.name()));
                assert!(names.all(|name| below.start <= name));
                let before = at.checked_sub(1).map(|at| Iter::new(Some(&chunks[at].chunk)));
                let mut names = before.into_iter().flatten().map(|node| start(node.name()));
                assert!(names.all(|name| name <= below.start));
            }
            chunks.iter().map(|c| check_chunk(&c.chunk, height - 1)).sum()
        }
    }
}

fn node(number: usize) -> Arc<Node<u32>> {
    Arc::new(Node::new(Name::from(&name(number)), 0, 0))
}

fn name(number: usize) -> String {
    format!("{number:05}")
}

fn filled(numbers: impl IntoIterator<Item = usize>) -> Directory<u32> {
    let mut directory = Directory::default();
    for number in numbers {
        directory.insert(node(number));
    }
    directory
}

/// All numbers below `count`, well mixed: 7,919 is prime and divides none of the
/// counts used here.
fn mixed(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |i| i * 7_919 % count)
}

#[test]
fn twenty_thousand_in_mixed_order_stay_a_btree() {
    const COUNT: usize = 20_000;
    let mut directory = Directory::default();
    let mut expected = BTreeSet::new();
    for number in mixed(COUNT) {
        directory.insert(node(number));
        expected.insert(name(number));
        if number % 1_000 == 0 {
            check(&directory);
        }
    }
    assert!(directory.iter().map(Node::name).eq(expected.iter().map(String::as_bytes)));
    for number in mixed(COUNT) {
        let removed = directory.remove(Name::from(&name(number))).unwrap();
        assert_eq!(removed.text(), name(number));
        expected.remove(&name(number));
        if number % 1_000 == 0 {
            check(&directory);
            assert!(directory.iter().map(Node::name).eq(expected.iter().map(String::as_bytes)));
        }
    }
    assert!(directory.is_empty());
    assert_eq!(directory.len(), 0);
}

/// The beginnings that branches keep say where to go, or that they do not: names of which
/// the first eight bytes are the same, or that end there, or come before all others.
#[test]
fn names_are_found_whatever_they_begin_with() {
    const COUNT: usize = 5_000;
    let names: [fn(usize) -> String; 4] = [
        |number| format!("{number}"),
        |number| format!("interface-{number}"),
        |number| format!("{}{}", "feature".repeat(number % 3), number / 3),
        |number| "\0".repeat(number % 12) + &"x".repeat(number / 12 % 12) + &number.to_string(),
    ];
    for name in names {
        let mut directory = Directory::default();
        let mut expected = BTreeSet::new();
        // Twice around, so that what was added is taken away again, and some of it added again.
        for step in 0..3 * COUNT {
            let name = name(step * 7_919 % COUNT);
            assert_eq!(directory.get(Name::from(&name)).is_some(), expected.contains(&name));
            if expected.remove(&name) {
                assert_eq!(directory.remove(Name::from(&name)).unwrap().text(), name);
            } else {
                directory.insert(Arc::new(Node::new(Name::from(&name), 0, 0)));
                expected.insert(name);
            }
            if step % 500 == 0 {
                check(&directory);
                assert!(directory.iter().map(Node::name).eq(expected.iter().map(String::as_bytes)));
                assert!(expected.iter().all(|name| directory.get(name.into()).is_some()));
            }
        }
    }
}

#[test]
fn ascending_names_fill_the_chunks() {
    let directory = filled(0..20_000);
    assert_eq!(check(&directory), 20_000 / WIDTH);
}

#[test]
fn descending_names_half_fill_the_chunks() {
    let directory = filled((0..20_000).rev());
    assert!(check(&directory) <= 20_000 / (WIDTH / 2));
}

/// A name after a full chunk, but before the next one, must not begin a chunk of
/// its own, or each of these would.
#[test]
fn descending_names_amid_full_chunks_do_not_make_chunks_of_one() {
    let mut directory = filled((0..WIDTH).chain(1_000..1_100));
    for number in (100..900).rev() {
        directory.insert(node(number));
    }
    assert!(check(&directory) <= directory.len() / (WIDTH / 2));
}

#[test]
fn chunks_that_become_sparse_are_joined() {
    let mut directory = filled(0..20_000);
    for number in (0..20_000).filter(|number| number % 20 != 0) {
        directory.remove(Name::from(&name(number))).unwrap();
    }
    assert_eq!(directory.len(), 1_000);
    // Two neighbours have more than 24 nodes together.
    assert!(check(&directory) <= 2 * 1_000 / 24 + 1);
}

#[test]
fn a_small_chunk_is_joined_with_either_neighbour() {
    // The left one of two goes from 32 to 12, when the right one has 12.
    let mut left = filled(0..WIDTH + 12);
    for number in 0..WIDTH - 12 {
        assert_eq!(check(&left), 2);
        left.remove(Name::from(&name(number))).unwrap();
    }
    assert_eq!((left.len(), check(&left)), (24, 1));

    // The right one does, when the left one has 12.
    let mut right = filled((0..WIDTH).chain(100..100 + WIDTH));
    for number in (0..WIDTH - 12).chain(100..100 + WIDTH - 12) {
        assert_eq!(check(&right), 2);
        right.remove(Name::from(&name(number))).unwrap();
    }
    assert_eq!((right.len(), check(&right)), (24, 1));
}

#[test]
fn the_root_goes_when_it_has_but_one_chunk() {
    const COUNT: usize = 2 * WIDTH * WIDTH;
    let backwards = (0..COUNT).rev().collect();
    for order in [(0..COUNT).collect(), backwards, mixed(COUNT).collect::<Vec<_>>()] {
        let mut directory = filled(0..COUNT);
        assert_eq!(directory.0.as_ref().unwrap().height(), 3);
        for number in order {
            directory.remove(Name::from(&name(number))).unwrap();
            check(&directory);
        }
        assert!(directory.is_empty());
    }
}

#[test]
fn the_room_of_a_small_directory_is_near_what_it_needs() {
    let room = |count| match filled(0..count).0.as_deref() {
        Some(Chunk::Leaf(nodes)) => nodes.capacity(),
        _ => 0,
    };
    assert_eq!([1, 2, 3, 5, 9, 17, 25].map(room), [1, 2, 4, 8, 16, 24, 32]);
}

#[test]
fn room_is_given_back() {
    let mut directory = filled(0..WIDTH);
    for number in 2..WIDTH {
        directory.remove(Name::from(&name(number))).unwrap();
    }
    let Some(Chunk::Leaf(nodes)) = directory.0.as_deref() else {
        panic!("two nodes are a leaf");
    };
    assert!(nodes.capacity() <= 8);
}

/// The addresses of all chunks.
fn chunks(directory: &Directory<u32>) -> HashSet<usize> {
    fn collect(chunk: &Arc<Chunk<u32>>, found: &mut HashSet<usize>) {
        found.insert(Arc::as_ptr(chunk).addr());
        if let Chunk::Branch { chunks, .. } = &**chunk {
            for Below { chunk, .. } in chunks {
                collect(chunk, found);
            }
        }
    }
    let mut found = HashSet::new();
    if let Some(root) = &directory.0 {
        collect(root, &mut found);
    }
    found
}

#[test]
fn a_change_after_a_snapshot_copies_one_chunk_per_level() {
    let mut directory = filled(0..20_000);
    let height = directory.0.as_ref().unwrap().height();
    let snapshot = directory.clone();
    directory.remove(Name::from(&name(10_000))).unwrap();
    assert_eq!(chunks(&directory).difference(&chunks(&snapshot)).count(), height);
    assert_eq!(snapshot.len(), 20_000);
    assert!(snapshot.get(Name::from(&name(10_000))).is_some());
}

#[test]
fn a_change_of_what_nothing_shares_copies_nothing() {
    let mut directory = filled(0..20_000);
    let before = chunks(&directory);
    directory.remove(Name::from(&name(10_000))).unwrap();
    *directory.get_mut(Name::from(&name(10_001))).unwrap() = node(10_001);
    assert_eq!(chunks(&directory), before);
}

/// Runs a comparison to its end: the names that differ, with the values of the
/// two sides, and the number of steps.
fn compare(old: &Directory<u32>, new: &Directory<u32>) -> (Vec<(String, Sides)>, usize) {
    let mut differences = old.differences(new);
    let mut found = Vec::new();
    let mut steps = 0;
    loop {
        steps += 1;
        let (node, sides) = match differences.step() {
            Step::Nothing => continue,
            Step::End => return (found, steps),
            Step::Found(Difference::OnlyOld(old)) => (old, (Some(*old.value()), None)),
            Step::Found(Difference::OnlyNew(new)) => (new, (None, Some(*new.value()))),
            Step::Found(Difference::Both { old, new }) => {
                assert_eq!(old.name(), new.name());
                (new, (Some(*old.value()), Some(*new.value())))
            }
        };
        found.push((node.text().into_owned(), sides));
    }
}

type Sides = (Option<u32>, Option<u32>);

#[test]
fn comparing_a_directory_with_its_snapshot_takes_one_step() {
    let directory = filled(0..20_000);
    let (found, steps) = compare(&directory, &directory.clone());
    assert!(found.is_empty());
    assert_eq!(steps, 2, "the root chunk, and the end");
}

/// Opens the chunks on the way to the change, and compares only their pointers.
#[test]
fn comparing_costs_what_changed_not_what_is_there() {
    let snapshot = filled((0..20_000).map(|number| number * 2));
    let height = snapshot.0.as_ref().unwrap().height();
    let most = 2 * WIDTH * height + 2 * height;
    for number in [0, 19_998, 39_998] {
        let mut removed = snapshot.clone();
        removed.remove(Name::from(&name(number))).unwrap();
        let mut inserted = snapshot.clone();
        inserted.insert(node(number + 1));
        for changed in [removed, inserted] {
            let (found, steps) = compare(&snapshot, &changed);
            assert_eq!(found.len(), 1);
            assert!(steps <= most, "{steps} steps");
        }
    }
}

/// What a level more or less does to the alignment of the two sides.
#[test]
fn comparing_directories_of_unequal_height_skips_what_they_share() {
    let full = filled(0..WIDTH * WIDTH);
    let mut higher = full.clone();
    higher.insert(node(WIDTH * WIDTH));
    let height = |directory: &Directory<u32>| directory.0.as_ref().unwrap().height();
    assert_eq!(height(&full) + 1, height(&higher));
    let (found, steps) = compare(&full, &higher);
    assert_eq!(found, [(name(WIDTH * WIDTH), (None, Some(0)))]);
    assert!(steps <= 3 * WIDTH, "{steps} steps");
}

#[derive(Clone, Debug)]
enum Op {
    Insert(usize, u32),
    Replace(usize, u32),
    Remove(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let number = 0..400_usize;
    prop_oneof![
        (number.clone(), 1..9_u32).prop_map(|(n, v)| Op::Insert(n, v)),
        (number.clone(), 1..9_u32).prop_map(|(n, v)| Op::Replace(n, v)),
        number.prop_map(Op::Remove),
    ]
}

/// Does what is possible of `ops` to a directory and to a map.
fn apply(ops: &[Op], directory: &mut Directory<u32>, model: &mut BTreeMap<String, u32>) {
    for op in ops {
        match *op {
            Op::Insert(number, value) if !model.contains_key(&name(number)) => {
                directory.insert(Arc::new(Node::new(Name::from(&name(number)), value, 0)));
                model.insert(name(number), value);
            }
            Op::Replace(number, value) if model.contains_key(&name(number)) => {
                let place = directory.get_mut(Name::from(&name(number))).unwrap();
                *place = Arc::new(Node::new(Name::from(&name(number)), value, 0));
                model.insert(name(number), value);
            }
            Op::Remove(number) if model.remove(&name(number)).is_some() => {
                directory.remove(Name::from(&name(number))).unwrap();
            }
            _ => {}
        }
        check(directory);
    }
}

fn contents(directory: &Directory<u32>) -> BTreeMap<String, u32> {
    let entry = |node: &Node<u32>| (node.text().into_owned(), *node.value());
    directory.iter().map(entry).collect()
}

proptest! {
    #[test]
    fn behaves_as_a_map(
        start in 0..300_usize,
        ops in proptest::collection::vec(op(), 0..120),
    ) {
        let mut directory = filled(0..start);
        let mut model = contents(&directory);
        let (snapshot, before) = (directory.clone(), model.clone());
        apply(&ops, &mut directory, &mut model);
        prop_assert_eq!(contents(&directory), model);
        prop_assert_eq!(contents(&snapshot), before);
    }

    #[test]
    fn differences_are_those_of_the_maps(
        start in 0..300_usize,
        ops in proptest::collection::vec(op(), 0..60),
    ) {
        let old = filled(0..start);
        let mut new = old.clone();
        let mut model = contents(&old);
        apply(&ops, &mut new, &mut model);

        let before = contents(&old);
        let names: BTreeSet<&String> = before.keys().chain(model.keys()).collect();
        // Old nodes hold 0 and later ones 1 to 8, so another value is another node.
        let expected: Vec<(String, Sides)> = names
            .into_iter()
            .map(|name| (name.clone(), (before.get(name).copied(), model.get(name).copied())))
            .filter(|(_, (old, new))| old != new)
            .collect();
        prop_assert_eq!(compare(&old, &new).0, expected);
    }
}
