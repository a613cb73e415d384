//! Old versions of the store that open transactions keep in memory.
//!
//! A transaction sees the store as it was at its start, so what others replace meanwhile is
//! kept for it. What one transaction keeps is at most the store once; but ten of each of a
//! thousand guests, each begun a little later than the last, could keep ten thousand
//! versions (XSA-326). So there is a bound for all guests together. Past it the oldest
//! transactions are *cast off*: they let go of their version and are answered from the
//! store as it is now. Whether one commits is decided as ever, by doing it again
//! (`commit`): nothing is lost but that a transaction which cannot commit any more sees
//! what it was told before.

use std::collections::BTreeSet;

use crate::engine::Engine;
use crate::ids::ConnectionId;

/// Bytes replaced after which it is looked whether too much is kept. To look costs a step
/// for each open transaction of a guest.
const LOOK_EVERY: u64 = 1 << 20;

/// Guests' open transactions, by how much had been replaced when they began.
#[derive(Debug)]
pub struct Versions {
    /// Bytes of nodes that were ever replaced or removed.
    replaced: u64,
    /// When it will be looked again.
    next_look: u64,
    pins: BTreeSet<(u64, ConnectionId, u32)>,
    /// Bytes that may be kept.
    most: u64,
}

impl Versions {
    /// With a bound on what may be kept, in bytes.
    pub fn new(most: u64) -> Self {
        Self { replaced: 0, next_look: 0, pins: BTreeSet::new(), most }
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

    /// The oldest transactions, if so much is kept for all that they have to let go. `size`
    /// is that of the store in bytes.
    fn overdue(&mut self, size: u64) -> Vec<(ConnectionId, u32)> {
        if self.replaced < self.next_look {
            return Vec::new();
        }
        self.next_look = self.replaced + LOOK_EVERY.min(self.most / 2);
        // Between two transactions nothing is kept twice, nor more than there was.
        let kept = |from: u64, to: u64| (to - from).min(size);
        let ends = self.pins.iter().skip(1).map(|&(since, ..)| since).chain([self.replaced]);
        let mut sum: u64 = self.pins.iter().zip(ends).map(|(pin, end)| kept(pin.0, end)).sum();
        let mut overdue = Vec::new();
        while sum > self.most
            && let Some((since, id, number)) = self.pins.pop_first()
        {
            sum -= kept(since, self.pins.first().map_or(self.replaced, |next| next.0));
            overdue.push((id, number));
        }
        overdue
    }
}

impl Engine {
    /// Casts off transactions for which too much is kept.
    pub(crate) fn cast_off_old(&mut self) {
        for (id, number) in self.versions.overdue(self.domains.bytes()) {
            let since = self.versions.pin(id, number);
            let store = self.store.clone();
            let connection = self.connection_mut(id);
            if let Some(open) = connection.and_then(|it| it.transactions.get_mut(&number)) {
                open.cast_off(store, since);
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

    #[test]
    fn the_oldest_let_go_first() {
        let mut versions = Versions::new(2 * SIZE);
        for slot in 0..3 {
            versions.pin(id(slot), 1);
            versions.note(|| 1 << 20);
        }
        assert_eq!(versions.overdue(SIZE), [(id(0), 1)]);
        versions.pin(id(0), 1);
        versions.note(|| 1 << 20);
        assert_eq!(versions.overdue(SIZE), [(id(1), 1)]);
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
