//! An immutable prefix tree with snapshots in constant time: the heart of a
//! hierarchical, transactional store.
//!
//! A [`Tree`] maps paths, which are sequences of names, to values of any type. A name
//! is any bytes; [`names`] has those of a path that is written with slashes. Cloning
//! one is cloning a pointer; from then on a change to either copies the nodes on its
//! path, and both go on sharing everything else. What nothing else shares is changed in
//! place.
//!
//! Two subtrees that are the same allocation are [`same`], so "did anything
//! change under this path since I took my snapshot?" is one comparison, however
//! much there is under it; and [`diff()`] finds what did change without looking at
//! what did not. This is the idea of *`OXenstored`: an efficient hierarchical and
//! transactional database using functional programming with reference cell
//! comparisons* (T. Gazagnaire and V. Hanquez, ICFP 2009), whose nine axioms are
//! among this crate's tests.
//!
//! ```
//! use xenstore_tree::{ChangeKind, ROOT, Tree, names, same};
//!
//! # fn main() -> Result<(), xenstore_tree::InsertError> {
//! // The number at the end is the generation: one counter, never used twice.
//! let mut tree = Tree::new("", 0);
//! tree.insert(ROOT, "vm", "", 1)?;
//! tree.insert(ROOT, "local", "", 2)?;
//! tree.insert(["vm"], "name", "alpine", 3)?;
//!
//! let snapshot = tree.clone();
//! tree.update(["vm", "name"], 4, |value| *value = "debian");
//! tree.insert(ROOT, "tool", "", 5)?;
//!
//! // The snapshot is as it was.
//! assert_eq!(snapshot.get(names("/vm/name")).unwrap().value(), &"alpine");
//! assert!(snapshot.get(["tool"]).is_none());
//!
//! // What was not changed is still one allocation; what was is found quickly.
//! assert!(same(tree.get(["local"]).unwrap(), snapshot.get(["local"]).unwrap()));
//! let mut changes = Vec::new();
//! for change in snapshot.diff(&tree).under("/") {
//!     changes.push(match change.kind {
//!         ChangeKind::Added(_) => format!("+ {}", change.path),
//!         ChangeKind::Removed(_) => format!("- {}", change.path),
//!         ChangeKind::Changed { .. } => format!("~ {}", change.path),
//!     });
//! }
//! assert_eq!(changes, ["~ /", "+ /tool", "~ /vm/name"]);
//!
//! // Children are kept by name, and listed by birth on demand.
//! let listing = tree.root().children_in_creation_order();
//! let listing: Vec<_> = listing.iter().map(|child| child.text()).collect();
//! assert_eq!(listing, ["vm", "local", "tool"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Transactions
//!
//! A transaction is two clones of the tree: one as it was at the start, one to
//! work on. To commit, compare what the transaction read and wrote in the first
//! with the tree of today: nodes that are [`same`], or of equal
//! [generation](Node::generation) where what is below them does not matter, did
//! not change. Then [graft](Tree::graft) what it wrote from the second.
//!
//! # Costs
//!
//! | | |
//! |---|---|
//! | snapshot, [`same`] | constant |
//! | [`Tree::get`] | path length × log(width of each directory) |
//! | [`Tree::insert`], [`update`](Tree::update), [`remove`](Tree::remove), [`graft`](Tree::graft) | the same; plus, where shared, a copy of each node on the path and of up to 32 pointers per level of its directory |
//! | dropping a [`Tree`] or [`Subtree`] | the nodes that nothing else shares; with [`Remains`] a piece at a time |
//! | [`diff()`], [`unshared()`] | what changed, times log(width) |
//! | listing in creation order | n·log(n) for n children |
//! | memory of a node with a value of 32 bytes | 106 to 110 bytes |
//!
//! Nothing uses the stack for the depth of the tree, dropping included: a tree a
//! million levels deep is as good as any. Trees are `Send` and `Sync` if their
//! values are, so snapshots can be read on other threads.
//!
//! # Modules
//!
//! `tree` is the tree, `node` a node of it, `directory` the B-tree that holds the
//! children of a node, `name` the names of a path, `label` a node's own, `bytes` what
//! small names and values are held in, `walk` the ways through a tree, `diff` and
//! `unshared` comparisons.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bytes;
mod diff;
mod directory;
mod label;
mod name;
mod node;
mod path;
mod tree;
mod unshared;
mod walk;

pub use bytes::SmallBytes;
pub use diff::{Change, ChangeKind, Diff, diff};
pub use directory::Remains;
pub use name::{Name, Names, names};
pub use node::{Node, Subtree, same};
pub use tree::{InsertError, NoParent, ROOT, Tree};
pub use unshared::{Unshared, unshared};
pub use walk::{Descendants, Walk};
