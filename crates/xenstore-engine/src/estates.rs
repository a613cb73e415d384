//! Where the nodes of each domain are: what has to be found when it dies.
//!
//! A node *concerns* a domain that owns it or that a live entry of its permission list
//! names. Most nodes concern whom their parent concerns, since lists are inherited; so for
//! each domain only those places are kept where what concerns it *begins*: the node does and
//! its parent does not. A domain's death costs what that domain had, never a walk over the
//! store, and a guest with a thousand nodes below its home has a handful of places here.
//!
//! The control domain does not die; nothing is kept for it.

use std::collections::{BTreeSet, HashMap};

use xenstore_tree::{Node, Subtree};
use xenstore_wire::{Domid, Path, PathError};

use crate::acl::Acl;
use crate::node::NodeData;

/// For each domain the places where what concerns it begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Estates {
    keeper: Option<Domid>,
    places: HashMap<Domid, BTreeSet<Path<'static>>>,
}

/// A change of the store, as far as it moves these places. What it moves is found out when
/// it takes effect: until then it costs a few pointers, however many nodes there are.
#[derive(Clone, Debug)]
pub enum Change {
    /// A subtree comes to a place, or goes, below a node with this list.
    Subtree { place: Path<'static>, subtree: Subtree<NodeData>, above: Option<Acl>, comes: bool },
    /// The same, with this list at its top, if no node of it concerns anybody whom its parent
    /// does not. Then it need not be walked through a second time: a tenth of what it costs to
    /// remove 20,000 nodes.
    Alike { place: Path<'static>, acl: Acl, above: Option<Acl>, comes: bool },
    /// A node, here with its children as it was, gets another list.
    Relisted { place: Path<'static>, node: Subtree<NodeData>, above: Option<Acl>, acl: Acl },
}

impl Estates {
    /// Of all domains but `keeper`, which is there for good.
    pub fn except(keeper: Domid) -> Self {
        Self { keeper: Some(keeper), places: HashMap::new() }
    }

    /// The first place of a domain, in the order of paths: above all others of it that lie
    /// below it.
    pub fn first(&self, domid: Domid) -> Option<&Path<'static>> {
        self.places.get(&domid)?.first()
    }

    /// Has a change take effect. Returns how much work that was, in nodes looked at and
    /// places moved.
    pub fn apply(&mut self, change: &Change) -> usize {
        match change {
            Change::Alike { place, acl, above, comes } => {
                self.set(place, acl, above.as_ref(), *comes)
            }
            Change::Subtree { place, subtree, above, comes } => {
                self.apply_subtree(place, subtree, above.as_ref(), *comes)
            }
            Change::Relisted { place, node, above, acl } => {
                let before = &node.value().acl;
                self.set(place, before, above.as_ref(), false)
                    + self.set(place, acl, above.as_ref(), true)
                    + self.apply_relisted(place, node, before, acl)
            }
        }
    }

    /// Moves what begins at a place whose node has `acl`, below one with `above`.
    fn set(
        &mut self,
        place: &Path<'static>,
        acl: &Acl,
        above: Option<&Acl>,
        begins: bool,
    ) -> usize {
        if above.is_some_and(|above| above.is_shared_with(acl)) {
            return 0;
        }
        let news = |domid: &Domid| !above.is_some_and(|above| above.concerns(*domid));
        acl.concerned().filter(news).map(|domid| self.note(domid, place, begins)).sum()
    }

    fn apply_subtree(
        &mut self,
        place: &Path<'static>,
        subtree: &Node<NodeData>,
        above: Option<&Acl>,
        comes: bool,
    ) -> usize {
        let mut work = self.set(place, &subtree.value().acl, above, comes);
        let mut parents = vec![subtree];
        for (depth, node) in subtree.descendants() {
            parents.truncate(depth);
            let Some(&parent) = parents.last() else {
                break;
            };
            parents.push(node);
            work += 1;
            let (acl, above) = (&node.value().acl, &parent.value().acl);
            // Most lists are inherited: only for the others a path is made, which halves what a
            // walk costs.
            if !above.is_shared_with(acl)
                && acl.adds_to(above)
                && let Ok(place) = path_of(place, &parents)
            {
                work += self.set(&place, acl, Some(above), comes);
            }
        }
        work
    }

    /// What the children of a node had from its list begins with them when the list is
    /// another, and what they have of the new one does not.
    fn apply_relisted(
        &mut self,
        place: &Path<'static>,
        node: &Node<NodeData>,
        before: &Acl,
        after: &Acl,
    ) -> usize {
        let gone = before.concerned().filter(|&domid| !after.concerns(domid));
        let new = after.concerned().filter(|&domid| !before.concerns(domid));
        let changed: Vec<_> = gone.map(|id| (id, true)).chain(new.map(|id| (id, false))).collect();
        if changed.is_empty() {
            return 0;
        }
        let mut work = 0;
        for child in node.children() {
            work += 1;
            let acl = &child.value().acl;
            let concerned = changed.iter().filter(|&&(domid, _)| acl.concerns(domid));
            // One path in memory for all of them, if there are any.
            let mut path = None;
            for &(domid, begins) in concerned {
                let path = path.get_or_insert_with(|| place.child(child.name()));
                work += self.note(domid, path, begins);
            }
        }
        work
    }

    fn note(&mut self, domid: Domid, place: &Path<'static>, begins: bool) -> usize {
        if Some(domid) == self.keeper {
            return 0;
        }
        if begins {
            self.places.entry(domid).or_default().insert(place.clone());
        } else {
            self.forget(domid, place);
        }
        1
    }

    /// What concerns a domain does not begin at a place any more, but at these below it.
    pub fn move_down(&mut self, domid: Domid, place: &Path<'static>, below: &[Path<'static>]) {
        self.note(domid, place, false);
        for place in below {
            self.note(domid, place, true);
        }
    }

    fn forget(&mut self, domid: Domid, place: &Path<'static>) {
        if let Some(places) = self.places.get_mut(&domid) {
            places.remove(place);
            if places.is_empty() {
                self.places.remove(&domid);
            }
        }
    }
}

/// The path of the last of `nodes`, of which the first is at `place` and each of the others right
/// below the one before.
fn path_of(place: &Path<'static>, nodes: &[&Node<NodeData>]) -> Result<Path<'static>, PathError> {
    let mut text = if place.is_root() { Vec::new() } else { place.as_bytes().to_owned() };
    for node in nodes.iter().skip(1) {
        text.push(b'/');
        text.extend_from_slice(node.name());
    }
    Path::absolute(&text).map(Path::into_owned)
}
