//! Where a transaction was, and what change by others it would notice.
//!
//! Kept only for transactions that are protected, or will be. It may say yes too often:
//! then somebody waits in vain for a moment. It must not say no in error.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use xenstore_tree::names;
use xenstore_wire::{Name, Path};

use crate::operation::Operation;
use crate::store::{Place, Store};
use crate::transaction::Record;

/// Places kept of one transaction of a guest, those above them included; what is beyond is
/// not protected. Room for 1024 nodes, which is the quota, eight names deep; 272 KiB.
const GUEST_PLACES: usize = 8192;

/// The same for the privileged.
const MOST_PLACES: usize = 1 << 20;

/// The places a transaction was told about.
///
/// A place is known by a hash of its path, so it costs the same however long its path is.
/// That two have the same hash makes somebody wait in vain.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    places: HashMap<u64, Told>,
    privileged: bool,
}

/// What was told of a place, beyond whether it exists and who may have it.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    value: bool,
    children: bool,
}

/// A change of the store, as far as it can make an answer another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Disturbance {
    /// This node gets another value.
    Value(Name<'static>),
    /// This node comes or goes, with all below it.
    Existence(Path<'static>),
    /// This node gets other permissions; what is created below inherits them.
    Permissions(Name<'static>),
    /// Nobody knows what.
    Any,
}

impl Disturbance {
    /// What an operation would disturb in a store, if it were granted.
    pub fn by(operation: &Operation<'_>, store: &Store) -> Option<Self> {
        let name = operation.name();
        match (operation, store.place(&name)) {
            (Operation::Write(_, value), Place::Found(node)) => {
                (node.value().value != *value).then(|| Self::Value(operation.owned_name()))
            }
            (Operation::Write(path, _) | Operation::Mkdir(path), Place::Missing { rest, .. }) => {
                let top = names(path).count() - rest.count() + 1;
                Some(Self::Existence(path.prefix(top).into_owned()))
            }
            (Operation::Rm(path), Place::Found(_)) => {
                Some(Self::Existence(path.clone().into_owned()))
            }
            (Operation::SetPerms(..), _) => Some(Self::Permissions(operation.owned_name())),
            _ => None,
        }
    }
}

impl Footprint {
    /// That of a transaction in which nothing was asked yet.
    pub fn new(privileged: bool) -> Self {
        Self { places: HashMap::new(), privileged }
    }

    /// Adds a request and its answer, in a transaction that began with this store.
    pub fn note(&mut self, record: &Record, base: &Store) {
        let Record { operation, answer } = record;
        let granted = answer.is_ok();
        let told =
            Told { value: granted && reads(operation), children: granted && lists(operation) };
        let name = operation.name();
        let depth = names(&name).count();
        // The nodes a guest makes larger, children's names included, are limited in size.
        let grows = match base.place(&name) {
            _ if self.privileged || operation.is_read() => None,
            Place::Found(_) if matches!(operation, Operation::Rm(_)) => depth.checked_sub(1),
            Place::Found(_) => Some(depth),
            Place::Missing { rest, .. } => Some(depth - rest.count()),
        };
        for (index, place) in places(&name).enumerate() {
            let told = match index {
                _ if grows == Some(index) => Told { value: true, children: true },
                _ if index == depth => told,
                _ => Told::default(),
            };
            self.tell(place, told);
        }
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        // The table is at most 7/8 full, and has a byte of its own for each place.
        self.places.capacity() * 8 / 7 * (size_of::<(u64, Told)>() + 1)
    }

    fn tell(&mut self, place: u64, told: Told) {
        let most = if self.privileged { MOST_PLACES } else { GUEST_PLACES };
        if self.places.len() < most || self.places.contains_key(&place) {
            let known = self.places.entry(place).or_default();
            known.value |= told.value;
            known.children |= told.children;
        }
    }

    /// Adds all of another.
    pub fn add(&mut self, other: Self) {
        if self.places.is_empty() && !other.places.is_empty() {
            *self = other;
        } else {
            other.places.into_iter().for_each(|(place, told)| self.tell(place, told));
        }
    }

    fn told(&self, place: Option<u64>) -> Option<&Told> {
        self.places.get(&place?)
    }

    /// Whether what an operation would be told cannot have changed since the transaction
    /// was last where its store is now: others were kept from it.
    pub fn covers(&self, operation: &Operation<'_>, base: &Store) -> bool {
        let sized = |told: &Told| self.privileged || (told.value && told.children);
        let name = operation.name();
        match (operation, base.place(&name)) {
            // What is made in its place later depends on what is above.
            (Operation::Rm(_), _) => false,
            (_, Place::Missing { rest, .. }) => {
                let depth = names(&name).count() - rest.count();
                let mut way = places(&name).skip(depth);
                let nearest = self.told(way.next());
                // Nothing came there, so nothing came below.
                self.told(way.next()).is_some()
                    && (operation.is_read() || nearest.is_some_and(sized))
            }
            (_, Place::Found(_)) => {
                self.told(places(&name).last()).is_some_and(|told| match operation {
                    _ if reads(operation) => told.value,
                    _ if lists(operation) => told.children,
                    _ => operation.is_read() || sized(told),
                })
            }
        }
    }

    /// Whether an answer could be another one after a change.
    pub fn is_disturbed_by(&self, disturbance: &Disturbance) -> bool {
        match disturbance {
            Disturbance::Value(name) => {
                self.told(places(name).last()).is_some_and(|told| told.value)
            }
            // Places above those asked about are there too.
            Disturbance::Permissions(name) => self.told(places(name).last()).is_some(),
            Disturbance::Existence(path) => {
                let name = Name::Node(path.borrowed());
                let mut way = places(&name);
                let depth = names(path).count();
                let parent = way.nth(depth.saturating_sub(1));
                self.told(parent).is_some_and(|told| told.children)
                    || self.told(way.next()).is_some()
            }
            Disturbance::Any => !self.places.is_empty(),
        }
    }
}

fn reads(operation: &Operation<'_>) -> bool {
    matches!(operation, Operation::Read(_))
}

fn lists(operation: &Operation<'_>) -> bool {
    matches!(operation, Operation::Directory(_) | Operation::DirectoryPart(..))
}

/// The place of a name and of all above it, the root first.
fn places(name: &Name<'_>) -> impl Iterator<Item = u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(u8::from(matches!(name, Name::Special(_))));
    let root = hasher.finish();
    let below = names(name).map(move |component| {
        hasher.write(component.as_bytes());
        hasher.write_u8(b'/');
        hasher.finish()
    });
    std::iter::once(root).chain(below)
}

#[cfg(test)]
mod tests {
    use xenstore_wire::Domid;

    use super::*;
    use crate::context::Clock;
    use crate::operation::Reply;
    use crate::quota::Ledger;

    fn store() -> Store {
        Store::new(Domid::DOM0, "", &mut Clock::default(), &mut Ledger::default())
    }

    fn path(text: &str) -> Path<'static> {
        Path::absolute(text).unwrap().into_owned()
    }

    fn footprint(operations: &[Operation<'static>]) -> Footprint {
        let record = |operation: &Operation<'static>| Record {
            operation: operation.clone(),
            answer: Ok(Reply::Done),
        };
        let mut footprint = Footprint::new(true);
        let base = store();
        operations.iter().map(record).for_each(|record| footprint.note(&record, &base));
        footprint
    }

    #[test]
    fn value_children_existence_and_permissions_are_told_apart() {
        let read = footprint(&[Operation::Read(path("/a/b"))]);
        let listed = footprint(&[Operation::Directory(path("/a/b"))]);
        let removed = footprint(&[Operation::Rm(path("/a/b"))]);
        let value = |text| Disturbance::Value(Name::Node(path(text)));
        let existence = |text| Disturbance::Existence(path(text));
        let permissions = |text| Disturbance::Permissions(Name::Node(path(text)));
        let expected = [
            // The disturbance, and whether a reader, a lister and a remover would notice.
            (value("/a/b"), [true, false, false]),
            (value("/a"), [false; 3]),
            (value("/a/b/c"), [false; 3]),
            (existence("/a/b/c"), [false, true, false]),
            (existence("/a/b"), [true; 3]),
            (existence("/a"), [true; 3]),
            (existence("/a/c"), [false; 3]),
            (existence("/a/b/c/d"), [false; 3]),
            (permissions("/a/b"), [true; 3]),
            (permissions("/a"), [true; 3]),
            (permissions("/a/b/c"), [false; 3]),
            (Disturbance::Any, [true; 3]),
        ];
        for (disturbance, notices) in expected {
            let found = [&read, &listed, &removed].map(|f| f.is_disturbed_by(&disturbance));
            assert_eq!(found, notices, "{disturbance:?}");
        }
        assert!(!Footprint::default().is_disturbed_by(&existence("/a")));
    }

    #[test]
    fn that_of_a_guest_stops_growing() {
        let (mut guest, mut tool) = (Footprint::new(false), Footprint::new(true));
        let base = store();
        for number in 0..GUEST_PLACES + 10 {
            let operation = Operation::Read(path(&format!("/{number}")));
            let record = Record { operation, answer: Ok(Reply::Done) };
            guest.note(&record, &base);
            tool.note(&record, &base);
        }
        assert_eq!(guest.places.len(), GUEST_PLACES);
        assert_eq!(tool.places.len(), GUEST_PLACES + 11);
        let mut second = Footprint::new(false);
        second.add(Footprint::default());
        second.add(guest);
        second.add(tool);
        assert_eq!(second.places.len(), GUEST_PLACES, "nor by adding another");
    }
}
