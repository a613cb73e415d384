//! An index of watches that has the shape of the watched paths.
//!
//! Unlike the store it has no versions, so it is changed in place, and each place knows the one
//! above: with the store's tree a client with 10,000 watches took four times as long to leave.

use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::ops::Bound;

use slab::Slab;
use smol_str::SmolStr;
use xenstore_wire::Name;

use crate::ids::{ConnectionId, WatchId};

/// Names a place for as long as something is watched there or below.
pub type PlaceId = usize;

/// All places, and which watches are where.
#[derive(Debug)]
pub struct Places {
    all: Slab<Place>,
    paths: PlaceId,
    specials: PlaceId,
    /// Those of a place are beside each other, and among them those of a connection. With a
    /// set in each place a watch took 300 bytes more.
    watches: BTreeSet<(PlaceId, ConnectionId, WatchId)>,
}

/// What is watched at one path and below it.
#[derive(Debug)]
pub struct Place {
    /// How many watches are right here.
    pub watches: usize,
    /// The places right below, by name.
    pub below: HashMap<SmolStr, PlaceId>,
    above: PlaceId,
    /// What it is called there.
    name: SmolStr,
}

impl Place {
    fn new(above: PlaceId, name: SmolStr) -> Self {
        Self { watches: 0, below: HashMap::new(), above, name }
    }
}

impl Default for Places {
    fn default() -> Self {
        let mut all = Slab::new();
        // Nothing is above these two: they stay.
        let [paths, specials] = [(); 2].map(|()| {
            let entry = all.vacant_entry();
            let id = entry.key();
            entry.insert(Place::new(id, SmolStr::default()));
            id
        });
        Self { all, paths, specials, watches: BTreeSet::new() }
    }
}

impl Places {
    /// Adds a watch.
    pub fn insert(&mut self, name: &Name, connection: ConnectionId, watch: WatchId) -> PlaceId {
        let mut at = self.top(name);
        for name in name.components() {
            at = self.below(at, name).unwrap_or_else(|| self.make(at, name));
        }
        if let Some(place) = self.all.get_mut(at) {
            place.watches += 1;
        }
        self.watches.insert((at, connection, watch));
        at
    }

    fn make(&mut self, above: PlaceId, name: &str) -> PlaceId {
        let name = SmolStr::new(name);
        let id = self.all.insert(Place::new(above, name.clone()));
        if let Some(above) = self.all.get_mut(above) {
            above.below.insert(name, id);
        }
        id
    }

    /// Removes a watch, and the places that nobody needs any more.
    pub fn remove(&mut self, mut at: PlaceId, connection: ConnectionId, watch: WatchId) {
        if self.watches.remove(&(at, connection, watch))
            && let Some(place) = self.all.get_mut(at)
        {
            place.watches -= 1;
        }
        while let Some(place) = self.all.get(at)
            && (place.watches == 0 && place.below.is_empty() && place.above != at)
        {
            let gone = self.all.remove(at);
            at = gone.above;
            if let Some(above) = self.all.get_mut(at) {
                above.below.remove(&gone.name);
                // Room for twice as many stays: it is given back a few times, not each time.
                if above.below.len() < above.below.capacity() / 4 {
                    above.below.shrink_to(2 * above.below.len());
                }
            }
        }
    }

    fn top(&self, name: &Name) -> PlaceId {
        match name {
            Name::Node(_) => self.paths,
            Name::Special(_) => self.specials,
        }
    }

    /// The place of that id.
    pub fn get(&self, id: PlaceId) -> Option<&Place> {
        self.all.get(id)
    }

    fn below(&self, id: PlaceId, name: &str) -> Option<PlaceId> {
        self.get(id)?.below.get(name).copied()
    }

    /// The places on the way to a name, as far as something is watched there or below.
    pub fn trace(&self, name: &Name) -> impl Iterator<Item = PlaceId> {
        let mut components = name.components();
        iter::successors(Some(self.top(name)), move |&at| self.below(at, components.next()?))
    }

    /// The place of a name, if something is watched there or below.
    pub fn at(&self, name: &Name) -> Option<PlaceId> {
        name.components().try_fold(self.top(name), |at, name| self.below(at, name))
    }

    /// Appends the watches at a place that reach, of connections that may know. Each connection
    /// is asked about once: if it may not know, it costs no more, however many watches it has
    /// there.
    pub fn collect(
        &self,
        place: PlaceId,
        mut may: impl FnMut(ConnectionId) -> bool,
        reaches: impl Fn(WatchId) -> bool,
        found: &mut Vec<WatchId>,
    ) {
        if self.get(place).is_none_or(|place| place.watches == 0) {
            return;
        }
        let mut next = self.watches.range((place, ConnectionId::FIRST, WatchId::FIRST)..).next();
        while let Some(&(_, connection, _)) = next.filter(|&&(there, ..)| there == place) {
            let first = (place, connection, WatchId::FIRST);
            let last = (place, connection, WatchId::LAST);
            if may(connection) {
                let its = self.watches.range(first..=last).map(|&(_, _, id)| id);
                found.extend(its.filter(|&id| reaches(id)));
            }
            next = self.watches.range((Bound::Excluded(last), Bound::Unbounded)).next();
        }
    }

    /// How many places there are, beside the two that always are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.all.len() - 2
    }
}
