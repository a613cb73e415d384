//! Transactions: a private copy of the store and what was done to it.
//!
//! Starting one costs a few pointers. Everything inside acts on the private copy, so
//! a transaction sees the store as it was at its start plus its own changes. At the
//! end the copy has to become everybody's, although others went on meanwhile:
//!
//! 1. Nobody changed anything: the committed store is still the very one that the
//!    transaction started from. The private copy takes its place. O(1).
//! 2. Others made changes. Each recorded request is brought over to the store as it
//!    is now. A read whose path leads to a node that both share needs no second
//!    look: its answer is the same. Everything else is done again and its answer
//!    compared with the one the client was given.
//!
//! So a transaction fails only if an answer its client already holds would be
//! another one now. A transaction that changed nothing always succeeds: its answers
//! are those of the moment it started.
//!
//! The 2009 paper keeps one longest common prefix of all paths read and grafts one
//! subtree. For every real domain start that prefix is the root. Requests one by one
//! cost no more, and siblings created side by side do not disturb each other.

use std::collections::HashMap;

use xenstore_wire::text::split_string;
use xenstore_wire::{Errno, Name};

use crate::context::Context;
use crate::operation::{Effect, Operation, Reply};
use crate::quota::Ledger;
use crate::refusal::Refusal;
use crate::store::Store;

/// What a client was told.
pub type Answer = Result<Reply, Errno>;

/// An open transaction.
#[derive(Debug)]
pub struct Transaction {
    /// The store when it began.
    base: Store,
    /// The same with its changes.
    work: Store,
    /// What the changes cost.
    ledger: Ledger,
    /// What was asked and answered, in order.
    log: Vec<(Operation, Answer)>,
    /// What was changed, in order.
    changes: Vec<Changed>,
    /// The engine's epoch when it began.
    epoch: u64,
}

/// A change that watches will hear of when the transaction commits.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Where.
    pub name: Name,
    /// Whether a subtree was removed there, and not only the one node changed.
    pub removed: bool,
}

/// A transaction that went through.
pub struct Committed {
    /// The store as it was just before.
    pub before: Store,
    /// What changed, each place once, in the order of the last change there.
    pub changes: Vec<Changed>,
    /// Whether others had changed the store meanwhile.
    pub merged: bool,
}

impl Transaction {
    /// Begins one on the store as it is, in an `epoch` that ends when permission lists
    /// come to mean something else.
    pub fn begin(store: &Store, epoch: u64) -> Self {
        Self {
            base: store.clone(),
            work: store.clone(),
            ledger: Ledger::default(),
            log: Vec::new(),
            changes: Vec::new(),
            epoch,
        }
    }

    /// Does an operation inside. The context's own ledger is not touched.
    pub fn execute(
        &mut self,
        operation: Operation,
        cx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let result = self.work.execute(&operation, &mut with_ledger(cx, &mut self.ledger));
        let result = result.map(|(reply, effect)| {
            self.changes.extend(Changed::by(&operation, &effect));
            reply
        });
        self.log.push((operation, result.clone().map_err(Refusal::errno)));
        result
    }

    /// How many requests it consists of so far.
    pub fn requests(&self) -> usize {
        self.log.len()
    }

    /// Makes the changes everybody's; `store` is left as it was if that is impossible.
    ///
    /// Costs O(1) if nobody changed anything since the start, else what the recorded
    /// requests cost; never more because the store is large.
    pub fn commit(
        mut self,
        store: &mut Store,
        epoch: u64,
        cx: &mut Context<'_>,
    ) -> Result<Committed, Errno> {
        let before = store.clone();
        if self.changes.is_empty() {
            return Ok(Committed { before, changes: Vec::new(), merged: false });
        }
        // What permission lists mean can change without any node (XSA-322).
        let same_epoch = epoch == self.epoch;
        let merged = !(same_epoch && store.same(&self.base));
        if merged {
            self = self.replay(store, same_epoch, cx)?;
        }
        *store = self.work;
        *cx.ledger = self.ledger;
        Ok(Committed { before, changes: last_of_each(self.changes), merged })
    }

    /// This transaction as if it had begun on the current store, if every answer is
    /// still the one that was given.
    fn replay(
        self,
        current: &Store,
        same_epoch: bool,
        cx: &mut Context<'_>,
    ) -> Result<Self, Errno> {
        let Self { base, work, log, epoch, .. } = self;
        let mut again = Self::begin(current, epoch);
        for (operation, answer) in log {
            // Nobody touched what was read, neither others nor this transaction itself.
            let untouched = || {
                let name = operation.name();
                base.unchanged(current, &name) && base.unchanged(&work, &name)
            };
            if operation.is_read() && same_epoch && untouched() {
                continue;
            }
            let now = again.execute(operation.clone(), cx).map_err(Refusal::errno);
            if !is_same_answer(&operation, &answer, &now) {
                return Err(Errno::Again);
            }
        }
        Ok(again)
    }
}

impl Changed {
    /// The change that an operation made, if it made one.
    fn by(operation: &Operation, effect: &Effect) -> Option<Self> {
        let removed = match effect {
            Effect::Nothing => return None,
            Effect::Removed(_) => true,
            Effect::Written | Effect::Permissions(_) => false,
        };
        Some(Self { name: operation.name(), removed })
    }
}

/// Whether a client that holds one answer would learn nothing from the other.
fn is_same_answer(operation: &Operation, held: &Answer, now: &Answer) -> bool {
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

/// The same context, charging another account.
fn with_ledger<'a>(cx: &'a mut Context<'_>, ledger: &'a mut Ledger) -> Context<'a> {
    Context { caller: cx.caller, domains: cx.domains, ledger, clock: cx.clock, listing: cx.listing }
}

/// Each place once, with the last thing that happened there; a removal anywhere in
/// between is not forgotten, since watches below the place have to hear of it.
fn last_of_each(changes: Vec<Changed>) -> Vec<Changed> {
    let mut seen = HashMap::new();
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
