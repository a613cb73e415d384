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
use xenstore_wire::{Domid, Path};

use crate::acl::Acl;
use crate::node::NodeData;

/// For each domain the places where what concerns it begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Estates {
    keeper: Option<Domid>,
    places: HashMap<Domid, BTreeSet<Path>>,
}

/// What concerns a domain begins, or begins no more, at a place.
#[derive(Clone, Debug)]
pub struct Boundary {
    pub domid: Domid,
    pub place: Path,
    pub begins: bool,
}

impl Estates {
    /// Of all domains but `keeper`, which is there for good.
    pub fn except(keeper: Domid) -> Self {
        Self { keeper: Some(keeper), places: HashMap::new() }
    }

    /// Takes note of a boundary.
    pub fn note(&mut self, boundary: Boundary) {
        let Boundary { domid, place, begins } = boundary;
        if Some(domid) == self.keeper {
            return;
        }
        if begins {
            self.places.entry(domid).or_default().insert(place);
        } else if let Some(places) = self.places.get_mut(&domid) {
            places.remove(&place);
            if places.is_empty() {
                self.places.remove(&domid);
            }
        }
    }

    /// The first place of a domain, in the order of paths: above all others of it that lie
    /// below it.
    pub fn first(&self, domid: Domid) -> Option<&Path> {
        self.places.get(&domid)?.first()
    }
}

/// The boundaries at a place, whose node has `acl` below one with `above`.
pub fn at<'a>(
    place: &'a Path,
    acl: &'a Acl,
    above: Option<&'a Acl>,
    begins: bool,
) -> impl Iterator<Item = Boundary> + 'a {
    let inherited = above.is_some_and(|above| above.is_shared_with(acl));
    acl.concerned()
        .filter(move |&domid| !inherited && !above.is_some_and(|above| above.concerns(domid)))
        .map(move |domid| Boundary { domid, place: place.clone(), begins })
}

/// The boundaries in a subtree at a place below a node with `above`.
pub fn within(
    place: &Path,
    subtree: &Subtree<NodeData>,
    above: Option<&Acl>,
    begins: bool,
) -> Vec<Boundary> {
    let top: &Node<NodeData> = subtree;
    let mut found: Vec<_> = at(place, &top.value().acl, above, begins).collect();
    // The way down to the node at hand, each node with the length of its path.
    let mut text = if place.is_root() { String::new() } else { place.as_str().to_owned() };
    let mut way = vec![(top, text.len())];
    for (depth, node) in subtree.descendants() {
        way.truncate(depth);
        let Some(&(parent, length)) = way.last() else {
            break;
        };
        text.truncate(length);
        text.push('/');
        text.push_str(node.name());
        way.push((node, text.len()));
        let (acl, above) = (&node.value().acl, &parent.value().acl);
        // Most lists are inherited: only for the others a path is made.
        if !above.is_shared_with(acl)
            && acl.adds_to(above)
            && let Ok(place) = Path::absolute(&text)
        {
            found.extend(at(&place, acl, Some(above), begins));
        }
    }
    found
}

/// What changes for the children of a node at `place` when its list becomes another: what
/// they had from it begins with them, and what they have of it now does not.
pub fn below(place: &Path, node: &Node<NodeData>, before: &Acl, after: &Acl) -> Vec<Boundary> {
    let gone = before.concerned().filter(|&domid| !after.concerns(domid));
    let new = after.concerned().filter(|&domid| !before.concerns(domid));
    let changed: Vec<_> = gone.map(|id| (id, true)).chain(new.map(|id| (id, false))).collect();
    if changed.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for child in node.children() {
        let acl = &child.value().acl;
        let mut concerned = changed.iter().filter(|&&(domid, _)| acl.concerns(domid)).peekable();
        if concerned.peek().is_none() {
            continue;
        }
        // One path in memory for all of them.
        let place = place.child(child.name());
        found.extend(concerned.map(|&(domid, begins)| Boundary {
            domid,
            place: place.clone(),
            begins,
        }));
    }
    found
}
