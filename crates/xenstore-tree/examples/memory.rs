//! What a node costs: resident bytes for two shapes of a tree, and the time of
//! the operations in a wide directory.
//!
//!     cargo run --release -p xenstore-tree --example memory

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

use triomphe::Arc;
use xenstore_tree::{Node, ROOT, Tree};

/// The value of a store such as Xen's: a shared list of permissions, and a byte
/// string that holds up to 23 bytes in place.
#[derive(Clone)]
struct Data {
    permissions: Arc<Vec<u32>>,
    value: ShortBytes,
}

#[derive(Clone)]
struct ShortBytes {
    length: u8,
    bytes: [u8; 23],
}

const NODES: usize = 100_000;
const WIDE: usize = 20_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    println!("resident bytes per node, names and values of 16 bytes, {NODES} nodes:");
    let ascending: Vec<usize> = (0..NODES).collect();
    let scattered = shuffled(NODES);
    // All trees are kept, so that none is built in the memory of another.
    let _trees = [
        measured("one directory, ascending", 1, &ascending)?,
        measured("one directory, scattered", 1, &scattered)?,
        measured("directories of 100, ascending", 1_000, &ascending)?,
        measured("directories of 100, scattered", 1_000, &scattered)?,
        measured("directories of 8, ascending", NODES / 8, &ascending)?,
    ];

    println!("nanoseconds per operation, directory of {WIDE}, scattered:");
    print_times("nothing shared", false);
    print_times("snapshot before each", true);
    Ok(())
}

/// Builds a tree, one node for each of `order`, and prints what it costs.
fn measured(shape: &str, directories: usize, order: &[usize]) -> Outcome<Tree<Data>> {
    let before = resident_bytes()?;
    let tree = build(directories, order)?;
    let bytes = resident_bytes()? - before;
    println!("  {shape:<30} {:>6}", bytes / (1 + tree.root().descendants().count()));
    Ok(tree)
}

fn build(directories: usize, order: &[usize]) -> Outcome<Tree<Data>> {
    let permissions = Arc::new(vec![0]);
    let mut tree = Tree::new(data(&permissions), 0);
    let mut generation = 0;
    if directories > 1 {
        for directory in 0..directories {
            generation += 1;
            tree.insert(ROOT, &name(directory), data(&permissions), generation)?;
        }
    }
    for &number in order {
        generation += 1;
        let directory = name(number % directories);
        let parent = (directories > 1).then_some(directory.as_str());
        tree.insert(parent, &name(number), data(&permissions), generation)?;
    }
    Ok(tree)
}

/// Prints what each operation takes, done to all children of one directory.
fn print_times(title: &str, snapshots: bool) {
    let permissions = Arc::new(vec![0]);
    let mut run = Run {
        names: shuffled(WIDE).into_iter().map(name).collect(),
        tree: Tree::new(data(&permissions), 0),
        generation: 0,
        snapshots,
        snapshot: None,
    };
    let insert = run.time(|tree, name, generation| {
        black_box(tree.insert(ROOT, name, data(&permissions), generation)).is_ok()
    });
    let get = run.time(|tree, name, _| {
        let data = tree.get([name]).map(Node::value);
        data.is_some_and(|data| data.permissions.len() == 1 && data.value.length == 16)
    });
    let update = run.time(|tree, name, generation| {
        let change = |data: &mut Data| data.value.bytes = [1; 23];
        tree.update([name], generation, change).is_some()
    });
    let remove = run.time(|tree, name, generation| tree.remove([name], generation).is_some());
    println!(
        "  {title:<22} insert {insert:>5}  get {get:>5}  update {update:>5}  remove {remove:>5}"
    );
}

struct Run {
    names: Vec<String>,
    tree: Tree<Data>,
    generation: u64,
    /// Whether to take a snapshot before each operation.
    snapshots: bool,
    snapshot: Option<Tree<Data>>,
}

impl Run {
    /// The nanoseconds that one of the operations takes, which must all succeed.
    fn time(&mut self, operation: impl Fn(&mut Tree<Data>, &str, u64) -> bool) -> u128 {
        let start = Instant::now();
        for name in &self.names {
            if self.snapshots {
                self.snapshot = Some(self.tree.clone());
            }
            self.generation += 1;
            assert!(operation(&mut self.tree, name, self.generation));
        }
        start.elapsed().as_nanos() / WIDE as u128
    }
}

fn data(permissions: &Arc<Vec<u32>>) -> Data {
    Data { permissions: Arc::clone(permissions), value: ShortBytes { length: 16, bytes: [0; 23] } }
}

fn name(number: usize) -> String {
    format!("name-{number:011}")
}

/// The numbers up to `count` in an order that is always the same.
fn shuffled(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    let mut state: usize = 0x9E37_79B9;
    for last in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        numbers.swap(last, state % (last + 1));
    }
    numbers
}

fn resident_bytes() -> Outcome<usize> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup")?;
    let kilobytes = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:")?.split_whitespace().next())
        .ok_or("no resident size in /proc/self/smaps_rollup")?;
    Ok(kilobytes.parse::<usize>()? * 1024)
}
