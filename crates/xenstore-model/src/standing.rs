//! What a client has open and is owed, as anybody can tell who sees what it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::operation::Action;
use crate::transaction::MOST_TIME;

/// A place, and what was asked of it.
pub type Place = (String, Action);

/// What one client has open and is owed.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    open: BTreeMap<u32, Open>,
    /// The one that began last.
    last: u32,
    /// How many of its next transactions are to be protected.
    owed: u32,
    /// Where those were that are, or were beside them.
    places: Vec<Place>,
    /// Where the one was that it lost last.
    lost: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Open {
    since: Duration,
    protected: bool,
    /// Where it was.
    asked: Vec<Place>,
}

impl Standing {
    /// Its open transactions.
    pub fn open(&self) -> Vec<u32> {
        self.open.keys().copied().collect()
    }

    /// The number that the next one gets.
    pub fn next(&self) -> u32 {
        self.last + 1
    }

    /// Whether a transaction is open.
    pub fn has(&self, transaction: u32) -> bool {
        self.open.contains_key(&transaction)
    }

    /// Whether a transaction is protected.
    pub fn protects(&self, transaction: u32) -> bool {
        self.open.get(&transaction).is_some_and(|open| open.protected)
    }

    /// Whether any is.
    pub fn is_protected(&self) -> bool {
        self.open.values().any(|open| open.protected)
    }

    /// Whether its next transaction is to be protected.
    pub fn is_owed(&self) -> bool {
        self.owed > 0
    }

    /// The places where nobody is to disturb it.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|_| self.is_protected())
    }

    /// A transaction begins: under protection if it is owed one, and then it is to be where
    /// the lost one was.
    pub fn begin(&mut self, transaction: u32, now: Duration) {
        let protected = self.owed > 0;
        if protected {
            if !self.is_protected() {
                self.places.clear();
            }
            self.owed -= 1;
            self.places.append(&mut self.lost);
        }
        self.last = transaction;
        self.open.insert(transaction, Open { since: now, protected, asked: Vec::new() });
    }

    /// Something was asked in a transaction.
    pub fn ask(&mut self, transaction: u32, place: Place) {
        if let Some(open) = self.open.get_mut(&transaction) {
            if open.protected {
                self.places.push(place.clone());
            }
            open.asked.push(place);
        }
    }

    /// A transaction ends, perhaps by being lost.
    pub fn end(&mut self, transaction: u32, lost: bool) {
        let open = self.open.remove(&transaction);
        if lost {
            self.owed += 1;
            self.lost = open.map(|open| open.asked).unwrap_or_default();
        }
    }

    /// All transactions end; what it is owed stays.
    pub fn reset(&mut self) {
        self.open.clear();
    }

    /// Nothing is protected any more; what it is owed stays.
    pub fn expire(&mut self) {
        self.open.values_mut().for_each(|open| open.protected = false);
    }

    /// What was open for too long is gone.
    pub fn pass_time(&mut self, now: Duration) {
        self.open.retain(|_, open| open.since + MOST_TIME > now);
    }
}
