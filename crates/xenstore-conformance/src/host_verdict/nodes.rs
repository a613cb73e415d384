//! What nodes there were, as far as a log tells.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use xenstore_wire::MessageType;
use xenstore_wire::text::split_string;

use super::removal::{Removal, is_below};
use crate::access_log::{Deed, What, Who, released};

/// A path without a home of its own: a guest's relative paths are below its own.
pub fn absolute(who: Who, path: &str) -> String {
    let home = match who {
        Who::Domain(domid) => domid,
        Who::Socket(_) => 0,
    };
    if path.starts_with(['/', '@']) {
        path.to_owned()
    } else {
        format!("/local/domain/{home}/{path}")
    }
}

/// The path that a request names first, and what follows.
pub fn named(who: Who, payload: &[u8]) -> Option<(String, &[u8])> {
    let (path, rest) = split_string(payload)?;
    Some((absolute(who, std::str::from_utf8(path).ok()?), rest))
}

/// The nodes of a host.
#[derive(Debug, Default)]
pub struct Nodes<'l> {
    by_path: BTreeMap<String, Node>,
    /// How many were made until now.
    made: usize,
    /// What was done in transactions that have not ended.
    open: HashMap<(Who, u32), Vec<&'l Deed>>,
}

/// As much of a node as matters here.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The so-many-th that was made.
    born: usize,
    /// Its owner's domid.
    owner: u16,
    /// Entries of its permissions.
    entries: usize,
    /// Bytes of its value.
    value: usize,
}

/// What a deed changed.
#[derive(Debug)]
pub enum Change {
    /// One node, and those above it that were not there.
    Node,
    /// Nodes that went.
    Removal(Removal),
    /// Nodes that went with the domain whose they were.
    Orphans(Removal),
    /// All that a transaction's requests named, in order, and whether it was to go.
    Commit(Vec<(String, bool)>),
}

/// What a node counts beside value and names, and for each entry of its permissions.
const NODE_HEADER: usize = 16;
const ENTRY: usize = 8;

/// Bytes that a guest's node may have.
const NODE_SIZE: usize = 2048;

impl<'l> Nodes<'l> {
    /// Does what a granted deed did, and returns what that was.
    pub fn follow(&mut self, deed: &'l Deed) -> Option<Change> {
        if let Some(domid) = let_go(deed) {
            return Some(Change::Orphans(self.remove_owned(domid)));
        }
        let What::Ask { kind, payload, transaction, .. } = &deed.what else { return None };
        match (kind, self.open.get_mut(&(deed.who, *transaction))) {
            (MessageType::TransactionStart, _) => {
                self.open.insert((deed.who, *transaction), Vec::new());
                None
            }
            (MessageType::TransactionEnd, _) => {
                let done = self.open.remove(&(deed.who, *transaction)).unwrap_or_default();
                let committed = done.into_iter().filter(|_| payload.starts_with(b"T"));
                let named = committed.filter_map(|deed| {
                    let (path, removal) = self.apply(deed)?;
                    Some((path, removal.is_some()))
                });
                let named: Vec<_> = named.collect();
                payload.starts_with(b"T").then_some(Change::Commit(named))
            }
            (_, Some(open)) => {
                open.push(deed);
                None
            }
            (_, None) => {
                let (_, removal) = self.apply(deed)?;
                Some(removal.map_or(Change::Node, Change::Removal))
            }
        }
    }

    /// Does what a request did, to what path.
    fn apply(&mut self, deed: &Deed) -> Option<(String, Option<Removal>)> {
        let What::Ask { kind, payload, .. } = &deed.what else { return None };
        let (path, rest) = named(deed.who, payload)?;
        match kind {
            MessageType::Write => self.make(deed.who, &path).value = rest.len(),
            MessageType::Mkdir => drop(self.make(deed.who, &path)),
            MessageType::SetPerms => {
                if let Some(node) = self.by_path.get_mut(&path) {
                    node.entries = rest.split_inclusive(|byte| *byte == 0).count();
                    let first =
                        split_string(rest).and_then(|(first, _)| str::from_utf8(first).ok());
                    let owner = first.and_then(|entry| entry.get(1..)?.parse().ok());
                    node.owner = owner.unwrap_or(node.owner);
                }
            }
            MessageType::Rm => {
                let removal = self.remove(path.clone());
                return Some((path, Some(removal)));
            }
            _ => return None,
        }
        Some((path, None))
    }

    /// The node, made with those above it if it is not there. It inherits their permissions,
    /// but that a guest owns what it makes.
    fn make(&mut self, who: Who, path: &str) -> &mut Node {
        let ends = path.match_indices('/').skip(1).map(|(at, _)| at).chain([path.len()]);
        let mut node = Node { born: 0, owner: 0, entries: 1, value: 0 };
        for end in ends {
            let place = path.get(..end).unwrap_or(path);
            if let Some(above) = self.by_path.get(place) {
                node = Node { value: 0, ..*above };
            } else {
                self.made += 1;
                node.born = self.made;
                if let Who::Domain(domid @ 1..) = who {
                    node.owner = domid;
                }
                self.by_path.insert(place.to_owned(), node);
            }
        }
        self.by_path.entry(path.to_owned()).or_insert(node)
    }

    fn remove(&mut self, path: String) -> Removal {
        let goes = |place: &str| *place == path || is_below(place, &path);
        let gone = self.by_path.iter().filter(|(place, _)| goes(place));
        let births = gone.map(|(place, node)| (place.clone(), node.born)).collect();
        self.by_path.retain(|place, _| !goes(place));
        Removal { path, births }
    }

    /// Removes what a domain owns, and all below it.
    fn remove_owned(&mut self, domid: u16) -> Removal {
        let owned = self.by_path.iter().filter(|(_, node)| node.owner == domid);
        let owned: Vec<_> = owned.map(|(place, _)| place.clone()).collect();
        let births = owned.into_iter().flat_map(|place| self.remove(place).births).collect();
        Removal { path: String::new(), births }
    }

    /// Whether there is no room for the name of a new node in the node above it.
    pub fn is_full_above(&self, path: &str) -> bool {
        let Some((above, name)) = path.rsplit_once('/') else { return false };
        let (Some(node), None) = (self.by_path.get(above), self.by_path.get(path)) else {
            return false;
        };
        let first = format!("{above}/");
        let below = self.by_path.range((Bound::Excluded(first.clone()), Bound::Unbounded));
        let names = below.map_while(|(place, _)| place.strip_prefix(&first));
        let names = names.filter(|name| !name.contains('/')).chain([name]);
        let names: usize = names.map(|name| name.len() + 1).sum();
        NODE_HEADER + ENTRY * node.entries + node.value + names > NODE_SIZE
    }
}

/// The domain that the store lets go of with a deed.
fn let_go(deed: &Deed) -> Option<u16> {
    let who = match &deed.what {
        What::Disconnect => deed.who,
        _ => released(deed)?,
    };
    match who {
        Who::Domain(domid) => Some(domid),
        Who::Socket(_) => None,
    }
}
