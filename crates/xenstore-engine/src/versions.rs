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
//!
//! How much is kept is found out by comparing each version with the next, which costs what
//! was changed between them. That is done each time a part of what may be kept was replaced.

use std::collections::{BTreeSet, HashMap};

use crate::engine::Engine;
use crate::ids::ConnectionId;
use crate::outside::Daemon;

/// How often it is looked while as much is replaced as may be kept: so what is kept can be a
/// quarter more for a moment.
const LOOKS: u64 = 4;

/// From when on a transaction keeps the store, and which it is.
type Pin = (u64, ConnectionId, u32);

/// Guests' open transactions, by how much had been replaced when they began.
#[derive(Debug)]
pub struct Versions {
    /// Bytes of nodes that were replaced or removed while somebody kept them.
    replaced: u64,
    /// When it will be found out how much is kept.
    next_look: u64,
    pins: BTreeSet<Pin>,
    /// Bytes that may be kept.
    most: u64,
}

impl Versions {
    /// With a bound on what may be kept, in bytes.
    pub fn new(most: u64) -> Self {
        Self { replaced: 0, next_look: most / LOOKS, pins: BTreeSet::new(), most }
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

    /// How many transactions the one has that has most.
    fn most_of_one(&self) -> usize {
        let mut counts: HashMap<ConnectionId, usize> = HashMap::new();
        self.pins.iter().for_each(|&(_, id, _)| *counts.entry(id).or_default() += 1);
        counts.into_values().max().unwrap_or(0)
    }

    /// All but the newest so many of everybody.
    fn beyond(&self, most: usize) -> Vec<Pin> {
        let mut counts: HashMap<ConnectionId, usize> = HashMap::new();
        let is_beyond = |pin: &&Pin| {
            let count = counts.entry(pin.1).or_default();
            *count += 1;
            *count > most
        };
        self.pins.iter().rev().filter(is_beyond).copied().collect()
    }
}

impl Engine {
    /// Casts off transactions for which too much is kept, if that may be.
    pub(crate) fn cast_off_old(&mut self, daemon: &mut dyn Daemon) {
        if self.versions.replaced < self.versions.next_look {
            return;
        }
        let most = self.versions.most;
        let mut each = self.versions.most_of_one();
        loop {
            let kept = self.kept();
            let mut excess = kept.iter().map(|&(_, bytes)| bytes).sum::<u64>().saturating_sub(most);
            if excess == 0 {
                break;
            }
            let overdue: Vec<Pin> = if each > 1 {
                each /= 2;
                self.versions.beyond(each)
            } else {
                let oldest = kept.into_iter().take_while(|&(_, bytes)| {
                    let goes = excess > 0;
                    excess = excess.saturating_sub(bytes);
                    goes
                });
                oldest.map(|(pin, _)| pin).collect()
            };
            for pin in overdue {
                self.cast_off(pin, daemon);
            }
        }
        self.versions.next_look = self.versions.replaced + most / LOOKS;
    }

    fn cast_off(&mut self, (since, id, number): Pin, daemon: &mut dyn Daemon) {
        self.versions.unpin(since, id, number);
        let Some(connection) = self.connection(id) else {
            return;
        };
        let (store, domid) = (self.store.clone(), connection.caller.domid);
        let now = self.versions.pin(id, number);
        let connection = self.connection_mut(id);
        if let Some(open) = connection.and_then(|it| it.transactions.get_mut(&number)) {
            let versions = open.cast_off(store, now);
            self.discard(versions);
            daemon.transaction_cast_off(domid);
        }
    }

    /// What each transaction keeps that the next one does not, the oldest first, in bytes. One
    /// that was moved on meanwhile (`Transaction::move_to`) keeps a newer version than its place
    /// says: then more is counted than is kept.
    fn kept(&self) -> Vec<(Pin, u64)> {
        let base = |pin: &Pin| {
            let open = self.connection(pin.1)?.transactions.get(&pin.2)?;
            Some((*pin, &open.base))
        };
        let pins: Vec<_> = self.versions.pins.iter().filter_map(base).collect();
        let next = pins.iter().skip(1).map(|&(_, store)| store).chain([&self.store]);
        pins.iter().zip(next).map(|((pin, old), new)| (*pin, old.unshared_bytes(new))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: usize) -> ConnectionId {
        ConnectionId { slot, serial: std::num::NonZeroU64::MIN }
    }

    #[test]
    fn nothing_is_counted_while_nobody_keeps_anything() {
        let mut versions = Versions::new(1000);
        versions.note(|| unreachable!("nobody asks"));
        let since = versions.pin(id(1), 1);
        versions.note(|| 10);
        versions.unpin(since, id(1), 1);
        versions.note(|| unreachable!("nobody asks"));
        assert_eq!((versions.replaced, versions.pins.len()), (10, 0));
    }

    #[test]
    fn the_oldest_of_who_has_many_are_found() {
        let mut versions = Versions::new(1000);
        versions.pin(id(0), 1);
        for number in 0..4 {
            versions.note(|| 10);
            versions.pin(id(1), number);
        }
        assert_eq!(versions.most_of_one(), 4);
        let beyond: Vec<_> =
            versions.beyond(2).into_iter().map(|pin| (pin.1.slot, pin.2)).collect();
        assert_eq!(beyond, [(1, 1), (1, 0)]);
    }
}
