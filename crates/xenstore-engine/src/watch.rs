//! Watches: who wants to know of changes where.
//!
//! They are found by walking the changed path down an index that has the shape of
//! the watched paths; a change where nobody watches costs the same with no watch
//! and with a hundred thousand.

use std::sync::Arc;

use slab::Slab;
use xenstore_tree::{Node, names};
use xenstore_wire::{Domid, Name, Path};

use crate::ids::{ConnectionId, WatchId};
use crate::places::{PlaceId, Places};

/// A registered watch.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Whose it is.
    pub connection: ConnectionId,
    /// What is watched.
    pub name: Name<'static>,
    /// The domain the client spelled the path relative to, if it did; events are
    /// told the same way.
    pub relative_to: Option<Domid>,
    /// The client's mark.
    pub token: Arc<[u8]>,
    /// How many levels below the watched path still count; `None` for all.
    pub depth: Option<u32>,
}

impl Watch {
    /// A path as this watch's client is told it.
    pub fn spell<'n>(&self, name: &'n Name) -> &'n [u8] {
        match (self.relative_to, name) {
            (Some(home), Name::Node(path)) => path.relative_to(home).unwrap_or(path.as_bytes()),
            _ => name.as_bytes(),
        }
    }
}

/// Bytes that a watch takes beside what depends on its path and token.
const WATCH_OVERHEAD: usize = 512;

/// Bytes that each name of its path takes in the index, if no other watch shares it.
const NAME_OVERHEAD: usize = 384;

/// Bytes that a watch is charged for: itself, its place in the index, and the one event that
/// it may always have waiting.
pub fn weight(name: &Name, token: &[u8]) -> usize {
    let names = names(name).count();
    WATCH_OVERHEAD + NAME_OVERHEAD * names + 3 * (name.as_bytes().len() + token.len())
}

/// All watches of all connections.
#[derive(Debug, Default)]
pub struct Watches {
    registered: Slab<Registered>,
    places: Places,
    last: u64,
}

#[derive(Debug)]
struct Registered {
    serial: u64,
    place: PlaceId,
    watch: Watch,
}

impl Watches {
    /// The watch of that id.
    pub fn get(&self, id: WatchId) -> Option<&Watch> {
        let Registered { serial, watch, .. } = self.registered.get(id.slot)?;
        (*serial == id.serial).then_some(watch)
    }

    /// Registers a watch, and says at which place.
    pub fn add(&mut self, watch: Watch) -> (WatchId, PlaceId) {
        self.last += 1;
        let slot = self.registered.vacant_entry();
        let id = WatchId { serial: self.last, slot: slot.key() };
        let place = self.places.insert(&watch.name, watch.connection, id);
        slot.insert(Registered { serial: id.serial, place, watch });
        (id, place)
    }

    /// The place of a name, if something is watched there or below. It lasts as long.
    pub fn place(&self, name: &Name<'_>) -> Option<PlaceId> {
        self.places.at(name)
    }

    /// Bytes that watches are charged for.
    pub fn weight_of<'w>(&self, ids: impl Iterator<Item = &'w WatchId>) -> usize {
        let watches = ids.filter_map(|&id| self.get(id));
        watches.map(|watch| weight(&watch.name, &watch.token)).sum()
    }

    /// Removes a watch.
    pub fn remove(&mut self, id: WatchId) -> Option<Watch> {
        self.get(id)?;
        let Registered { place, watch, .. } = self.registered.try_remove(id.slot)?;
        self.places.remove(place, watch.connection, id);
        Some(watch)
    }

    /// The watches that a change at `name` concerns, in order of registration: those
    /// there and above, as far as their depth reaches, of connections that `may` know.
    pub fn concerned(
        &self,
        name: &Name,
        mut may: impl FnMut(ConnectionId) -> bool,
    ) -> Vec<WatchId> {
        let mut found = Vec::new();
        for (level, place) in self.places.trace(name).enumerate() {
            let reaches = |id: WatchId| {
                let limit = self.get(id).and_then(|watch| watch.depth);
                let below = || names(name).count() - level;
                limit.is_none_or(|limit| below() <= limit as usize)
            };
            self.places.collect(place, &mut may, reaches, &mut found);
        }
        found.sort_unstable();
        found
    }

    /// The watches set on exactly `name`, in order of registration, of connections that `may`
    /// know.
    pub fn exactly(&self, name: &Name, may: impl FnMut(ConnectionId) -> bool) -> Vec<WatchId> {
        let mut found = Vec::new();
        if let Some(place) = self.places.at(name) {
            self.places.collect(place, may, |_| true, &mut found);
        }
        found.sort_unstable();
        found
    }

    /// The watched paths strictly below `path` that `removed`, the subtree that was
    /// there, had a node for: each after all below it, siblings in creation order.
    ///
    /// Goes only where there are both watches and nodes, and in each directory takes as
    /// many steps as the smaller side has names.
    pub fn below<'t, V>(&self, path: &Path, removed: &'t Node<V>) -> Vec<Below<'t, V>> {
        let mut found = Vec::new();
        let Some(place) = self.places.at(&Name::Node(path.borrowed())) else {
            return found;
        };
        // Last child first and parents before children: the reverse is what we want.
        let mut open = vec![(path.clone().into_owned(), place, removed, removed)];
        while let Some((path, place, parent, node)) = open.pop() {
            let Some(place) = self.places.get(place) else {
                continue;
            };
            // As many steps as the smaller of the two directories has names.
            let mut children: Vec<_> = if place.below.len() <= node.child_count() {
                let places = place.below.iter();
                places
                    .filter_map(|(name, &below)| Some((below, node.child(name.as_bytes())?)))
                    .collect()
            } else {
                let nodes = node.children();
                nodes.filter_map(|child| Some((*place.below.get(child.name())?, child))).collect()
            };
            children.sort_unstable_by_key(|(_, child)| child.born());
            open.extend(
                children
                    .iter()
                    .map(|&(below, child)| (path.child(child.name()), below, node, child)),
            );
            if place.is_watched() && !std::ptr::eq(node, removed) {
                found.push(Below { name: Name::Node(path), parent, node });
            }
        }
        found.reverse();
        found
    }
}

/// A watched node of a removed subtree.
#[derive(Debug)]
pub struct Below<'t, V> {
    /// Where it was.
    pub name: Name<'static>,
    /// Its parent, part of the subtree too.
    pub parent: &'t Node<V>,
    /// Itself.
    pub node: &'t Node<V>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name<'static> {
        Name::parse(text.as_bytes(), Domid::DOM0).unwrap().into_owned()
    }

    fn path(text: &str) -> Path<'_> {
        Path::absolute(text).unwrap()
    }

    fn watch(text: &str, depth: Option<u32>) -> Watch {
        Watch {
            connection: ConnectionId { slot: 0, serial: std::num::NonZeroU64::MIN },
            name: name(text),
            relative_to: None,
            token: b"t"[..].into(),
            depth,
        }
    }

    fn add(watches: &mut Watches, watch: Watch) -> WatchId {
        watches.add(watch).0
    }

    #[test]
    fn a_change_concerns_watches_there_and_above() {
        let mut watches = Watches::default();
        let [deep, root, here] =
            ["/a/b", "/", "/a"].map(|text| add(&mut watches, watch(text, None)));
        assert_eq!(watches.concerned(&name("/a/b/c"), |_| true), [deep, root, here]);
        assert_eq!(watches.concerned(&name("/a"), |_| true), [root, here]);
        assert_eq!(watches.concerned(&name("/ab"), |_| true), [root]);
        assert_eq!(watches.concerned(&name("@releaseDomain"), |_| true), []);
        assert_eq!(watches.exactly(&name("/a"), |_| true), [here]);
    }

    /// A guest with many watches where it may not look must cost others no more than a
    /// guest with one.
    #[test]
    fn every_connection_is_asked_about_once() {
        let mut watches = Watches::default();
        let mut ids = Vec::new();
        for _ in 0..100 {
            for slot in 0..3 {
                let connection = ConnectionId { slot, serial: std::num::NonZeroU64::MIN };
                ids.push(add(&mut watches, Watch { connection, ..watch("/a", None) }));
            }
        }
        let mut asked = Vec::new();
        let found = watches.concerned(&name("/a/b"), |connection| {
            asked.push(connection.slot);
            connection.slot == 1
        });
        assert_eq!(asked, [0, 1, 2]);
        assert_eq!(found, ids.into_iter().skip(1).step_by(3).collect::<Vec<_>>());
    }

    #[test]
    fn depth_limits_how_far_below_a_change_may_be() {
        let mut watches = Watches::default();
        let [zero, one] = [0, 1].map(|depth| add(&mut watches, watch("/a", Some(depth))));
        assert_eq!(watches.concerned(&name("/a"), |_| true), [zero, one]);
        assert_eq!(watches.concerned(&name("/a/b"), |_| true), [one]);
        assert_eq!(watches.concerned(&name("/a/b/c"), |_| true), []);
    }

    /// XSA-330: removed watches must leave nothing behind.
    #[test]
    fn the_index_shrinks_with_the_watches() {
        let mut watches = Watches::default();
        let texts = ["/a/b/c", "/a/b", "/a/b/d/e", "/", "@x", "@x/y", "/a/b/c"];
        let ids = texts.map(|text| add(&mut watches, watch(text, None)));
        let mut left = vec![];
        for id in ids {
            assert!(watches.remove(id).is_some());
            assert!(watches.remove(id).is_none());
            left.push(watches.places.count());
        }
        // /a, /a/b, /a/b/c, /a/b/d, /a/b/d/e, @x, @x/y, while somebody needs them.
        assert_eq!(left, [7, 7, 5, 5, 5, 3, 0]);
        assert!(watches.registered.is_empty());
    }

    #[test]
    fn a_removed_subtree_finds_the_watches_on_its_nodes_from_the_bottom_up() {
        let mut tree = xenstore_tree::Tree::new((), 0);
        for (generation, text) in
            (1..).zip(["/top", "/top/z", "/top/z/deep", "/top/a", "/top/unwatched"])
        {
            let path = path(text);
            let (parent, name) = path.split_last().unwrap();
            tree.insert(parent.components(), name, (), generation).unwrap();
        }
        let removed = tree.subtree(path("/top").components()).unwrap();
        let mut watches = Watches::default();
        for text in ["/", "/top", "/top/a", "/top/z", "/top/z/deep", "/top/absent", "/other"] {
            add(&mut watches, watch(text, None));
        }
        let below = watches.below(&path("/top"), &removed);
        let names: Vec<_> = below.iter().map(|below| below.name.as_str()).collect();
        assert_eq!(names, ["/top/z/deep", "/top/z", "/top/a"]);
        assert_eq!(below[0].parent.text(), "z");
    }

    #[test]
    fn relative_watches_are_told_relative_paths() {
        let watch = Watch { relative_to: Some(Domid::new(3)), ..watch("/local/domain/3/a", None) };
        assert_eq!(watch.spell(&name("/local/domain/3/a/b")), b"a/b");
    }
}
