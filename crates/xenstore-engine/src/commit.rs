//! How a transaction's private copy becomes everybody's, although others went on.
//!
//! Three ways, the cheapest that is possible:
//!
//! 1. *Install.* Nobody changed anything: the committed store is still the very one that
//!    the transaction started from. The private copy takes its place. O(1).
//! 2. *Graft.* Others made changes, but not where this transaction was. What it made is
//!    put in place on the store as it is now; see `graft`. O(places touched).
//! 3. *Replay.* Each recorded request is done again on the store as it is now and its
//!    answer compared with the one the client was given.
//!
//! So a transaction fails only if an answer its client already holds would be another
//! one now. A transaction that changed nothing always succeeds: its answers are those of
//! the moment it started.
//!
//! The 2009 paper keeps one longest common prefix of all paths read and grafts one
//! subtree. For every real domain start that prefix is the root. Places one by one cost
//! no more, and siblings created side by side do not disturb each other.

use std::collections::BTreeMap;

use xenstore_wire::text::split_string;

use crate::charges::check_ledger;
use crate::context::Context;
use crate::graft::graft;
use crate::operation::{Operation, Reply};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::transaction::{Answer, Changed, Record, Transaction};

/// A transaction that went through.
pub struct Committed {
    /// The store as it was just before.
    pub before: Store,
    /// What changed, each place once, in the order of the last change there.
    pub changes: Vec<Changed>,
    /// How.
    pub way: Way,
}

/// How a transaction went through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Its copy became the store.
    Install,
    /// What it made was put into the store.
    Graft,
    /// It was done again.
    Replay,
}

/// Why a transaction does not go through.
#[derive(Debug)]
pub enum Failure {
    /// Its client holds an answer that would be another one now. Here it is.
    Lost(Box<Transaction>),
    /// Every answer holds, but a domain would have more of something than it may by now.
    Refused(Refusal),
}

impl Transaction {
    /// Makes the changes everybody's. If that is impossible, `store` is left as it was.
    ///
    /// Costs O(1) if nobody changed anything since the start, else what the recorded
    /// requests cost; never more because the store is large.
    pub fn commit(self, store: &mut Store, cx: &mut Context<'_>) -> Result<Committed, Failure> {
        let before = store.clone();
        if self.changes.is_empty() && self.is_of_one_moment() {
            return Ok(Committed { before, changes: Vec::new(), way: Way::Install });
        }
        let (merged, way) = self.merge(store, cx)?;
        *store = merged.work;
        *cx.ledger = merged.ledger;
        Ok(Committed { before, changes: last_of_each(merged.changes), way })
    }

    fn merge(mut self, current: &Store, cx: &mut Context<'_>) -> Result<(Self, Way), Failure> {
        // What permission lists and limits mean can change without any node (XSA-322).
        if cx.epoch == self.epoch {
            // What else its domain has can have grown.
            if current.same(&self.base) && check_ledger(&self.ledger, cx).is_ok() {
                return Ok((self, Way::Install));
            }
            if let Some((work, ledger)) = graft(&self, current, cx) {
                (self.work, self.ledger) = (work, ledger);
                return Ok((self, Way::Graft));
            }
        }
        let Some(again) = self.replay(current, cx) else {
            return Err(Failure::Lost(Box::new(self)));
        };
        check_ledger(&again.ledger, cx).map_err(Failure::Refused)?;
        Ok((again, Way::Replay))
    }

    /// This transaction as if it had begun on the current store, if every answer is
    /// still the one that was given.
    fn replay(&self, current: &Store, cx: &mut Context<'_>) -> Option<Self> {
        let mut again = Self::begin(current, cx.epoch, self.expires);
        for Record { operation, answer } in &self.log {
            let same_epoch = cx.epoch == self.epoch;
            if same_epoch && operation.is_read() && self.is_untouched(operation, current) {
                continue;
            }
            let now = again.perform(operation, cx).map_err(Refusal::errno);
            if !is_same_answer(operation, answer, &now) {
                return None;
            }
        }
        Some(again)
    }

    /// Whether nobody touched what was read, neither others nor this transaction itself.
    fn is_untouched(&self, operation: &Operation<'_>, current: &Store) -> bool {
        let name = operation.name();
        self.base.unchanged(current, &name) && self.base.unchanged(&self.work, &name)
    }

    /// Moves an open transaction to the store as it is now, as if it began only now and
    /// its requests came all at once. Not possible if an answer would be another one;
    /// then it stays what it is, unless it is cast off.
    pub fn move_to(&mut self, current: &Store, cx: &mut Context<'_>) {
        let Some(again) = self.replay(current, cx) else {
            self.stays = true;
            return;
        };
        let Self { base, work, ledger, changes, restructured, epoch, .. } = again;
        (self.base, self.work, self.ledger) = (base, work, ledger);
        (self.changes, self.restructured, self.epoch) = (changes, restructured, epoch);
        self.stays = false;
    }
}

/// Whether a client that holds one answer would learn nothing from the other.
fn is_same_answer(operation: &Operation<'_>, held: &Answer, now: &Answer) -> bool {
    match (operation, held, now) {
        // A list that the transaction itself changed has another generation each time
        // the change is made; what it lists is what counts.
        (Operation::DirectoryPart(..), Ok(Reply::Payload(held)), Ok(Reply::Payload(now))) => {
            let names = |part| split_string(part).map(|(_generation, names)| names);
            names(held) == names(now)
        }
        _ => held == now,
    }
}

/// Each place once, with the last thing that happened there; a removal anywhere in
/// between is not forgotten, since watches below the place have to hear of it.
fn last_of_each(changes: Vec<Changed>) -> Vec<Changed> {
    // Most transactions change a handful of places: to compare paths costs less than to hash them.
    let mut seen = BTreeMap::new();
    let mut kept: Vec<Changed> = Vec::with_capacity(changes.len());
    for change in changes.into_iter().rev() {
        if let Some(later) = seen.get(&change.name).and_then(|&at: &usize| kept.get_mut(at)) {
            later.removed |= change.removed;
        } else {
            seen.insert(change.name.clone(), kept.len());
            kept.push(change);
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests;
