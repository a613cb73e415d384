//! Old versions of the store that open transactions keep in memory.
//!
//! A transaction sees the store as it was at its start, so what others replace meanwhile is
//! kept for it. What one transaction keeps is at most the store once; but ten of each of a
//! thousand guests, each begun a little later than the last, could keep ten thousand
//! versions (XSA-326). So there is a bound for all guests together. Past it transactions
//! are *cast off*: they let go of their version and are answered from the store as it is
//! now. Whether one commits is decided as ever, by doing it again (`commit`): nothing is
//! lost but that a transaction which cannot commit any more sees what it was told before.
//!
//! Who has most of them open goes first, so that those of a guest with one are safe from
//! guests with many.

use std::collections::{BTreeSet, HashMap};

use crate::engine::Engine;
use crate::ids::ConnectionId;
use crate::outside::Daemon;

/// Bytes replaced after which it is looked whether too much is kept. To look costs a step
/// for each open transaction of a guest.
const LOOK_EVERY: u64 = 1 << 20;

/// From when on a transaction keeps the store, and which it is.
type Pin = (u64, ConnectionId, u32);

/// Guests' open transactions, by how much had been replaced when they began.
#[derive(Debug)]
pub struct Versions {
    /// Bytes of nodes that were ever replaced or removed.
    replaced: u64,
    /// When it will be looked again.
    next_look: u64,
    pins: BTreeSet<Pin>,
    /// Bytes of the store when it was largest since nobody kept anything.
    largest: u64,
    /// Bytes that may be kept.
    most: u64,
}

impl Versions {
    /// With a bound on what may be kept, in bytes.
    pub fn new(most: u64) -> Self {
        Self { replaced: 0, next_look: 0, pins: BTreeSet::new(), largest: 0, most }
    }

    /// Takes note that so many bytes were replaced. They are counted only while somebody
    /// keeps them: most of the time nobody does.
    pub fn note(&mut self, bytes: impl FnOnce() -> usize) {
        if !self.pins.is_empty() {
            self.replaced += bytes() as u64;
        }
    }

    /// Takes note that a guest's transaction keeps the store as it is now. What is returned
    /// is to be given to [`unpin`](Self::unpin).
    pub fn pin(&mut self, id: ConnectionId, number: u32) -> u64 {
        self.pins.insert((self.replaced, id, number));
        self.replaced
    }

    /// A transaction keeps nothing any more.
    pub fn unpin(&mut self, since: u64, id: ConnectionId, number: u32) {
        self.pins.remove(&(since, id, number));
    }

    /// The transactions that have to let go, if too much is kept for all. `size` is that of
    /// the store in bytes.
    fn overdue(&mut self, size: u64) -> Vec<Pin> {
        self.largest = if self.pins.is_empty() { size } else { self.largest.max(size) };
        if self.replaced < self.next_look {
            return Vec::new();
        }
        self.next_look = self.replaced + LOOK_EVERY.min(self.most / 2);
        let mut overdue = Vec::new();
        let mut each = self.most_of_one();
        while self.kept() > self.most && each > 1 {
            each /= 2;
            overdue.extend(self.leave_to_each(each));
        }
        let mut kept = self.kept();
        while kept > self.most
            && let Some(oldest) = self.pins.pop_first()
        {
            let next = self.pins.first().map_or(self.replaced, |next| next.0);
            kept -= (next - oldest.0).min(self.largest);
            overdue.push(oldest);
        }
        overdue
    }

    /// Bytes that are kept at most: between two transactions nothing is kept twice, nor more
    /// than there was.
    fn kept(&self) -> u64 {
        let ends = self.pins.iter().skip(1).map(|&(since, ..)| since).chain([self.replaced]);
        self.pins.iter().zip(ends).map(|(pin, end)| (end - pin.0).min(self.largest)).sum()
    }

    /// How many transactions the one has that has most.
    fn most_of_one(&self) -> usize {
        let mut counts: HashMap<ConnectionId, usize> = HashMap::new();
        self.pins.iter().for_each(|&(_, id, _)| *counts.entry(id).or_default() += 1);
        counts.into_values().max().unwrap_or(0)
    }

    /// Takes out all but the newest so many of everybody.
    fn leave_to_each(&mut self, most: usize) -> Vec<Pin> {
        let mut counts: HashMap<ConnectionId, usize> = HashMap::new();
        let mut taken = Vec::new();
        for &pin in self.pins.iter().rev() {
            let count = counts.entry(pin.1).or_default();
            *count += 1;
            if *count > most {
                taken.push(pin);
            }
        }
        for pin in &taken {
            self.pins.remove(pin);
        }
        taken
    }
}

impl Engine {
    /// Casts off transactions for which too much is kept.
    pub(crate) fn cast_off_old(&mut self, daemon: &mut dyn Daemon) {
        for (_, id, number) in self.versions.overdue(self.domains.bytes()) {
            let since = self.versions.pin(id, number);
            let store = self.store.clone();
            let Some(connection) = self.connection_mut(id) else {
                continue;
            };
            let domid = connection.caller.domid;
            if let Some(open) = connection.transactions.get_mut(&number) {
                open.cast_off(store, since);
                daemon.transaction_cast_off(domid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1_000_000;

    fn id(slot: usize) -> ConnectionId {
        ConnectionId { slot, serial: 1 }
    }

    #[test]
    fn one_transaction_keeps_the_store_once_at_most() {
        let mut versions = Versions::new(2 * SIZE);
        versions.pin(id(1), 1);
        for _ in 0..100 {
            versions.note(|| 1 << 20);
            assert_eq!(versions.overdue(SIZE), []);
        }
    }

    fn slots(overdue: &[Pin]) -> Vec<usize> {
        overdue.iter().map(|(_, id, _)| id.slot).collect()
    }

    #[test]
    fn the_oldest_let_go_first() {
        let mut versions = Versions::new(2 * SIZE);
        for slot in 0..3 {
            versions.pin(id(slot), 1);
            versions.note(|| 1 << 20);
        }
        assert_eq!(slots(&versions.overdue(SIZE)), [0]);
        versions.pin(id(0), 1);
        versions.note(|| 1 << 20);
        assert_eq!(slots(&versions.overdue(SIZE)), [1]);
    }

    /// Hostile guests with ten transactions each once took the one of a good guest away.
    #[test]
    fn who_has_many_lets_go_before_who_has_one() {
        let mut versions = Versions::new(4 * SIZE);
        versions.pin(id(0), 1);
        for number in 0..10 {
            for slot in 1..3 {
                versions.note(|| 1 << 20);
                versions.pin(id(slot), number);
            }
        }
        let overdue = slots(&versions.overdue(SIZE));
        assert!(!overdue.contains(&0) && overdue.len() >= 16, "{overdue:?}");
        assert!(versions.kept() <= 4 * SIZE);
    }

    /// What is kept of a store that was large does not get less with the store.
    #[test]
    fn a_store_that_shrinks_keeps_what_it_was() {
        let mut versions = Versions::new(3 * SIZE);
        for slot in 0..5 {
            versions.pin(id(slot), 1);
            versions.note(|| 1 << 20);
            versions.next_look = versions.replaced + 1;
            assert!(versions.overdue(SIZE).is_empty());
        }
        versions.next_look = 0;
        assert_eq!(slots(&versions.overdue(10)), [0, 1]);
    }

    #[test]
    fn who_keeps_nothing_is_left_alone() {
        let mut versions = Versions::new(SIZE);
        let since = versions.pin(id(1), 1);
        versions.unpin(since, id(1), 1);
        versions.note(|| 10 << 20);
        assert_eq!(versions.overdue(SIZE), []);
    }
}
