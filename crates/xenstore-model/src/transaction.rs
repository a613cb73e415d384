//! Transactions: a full copy of the store, and a log of what was asked and answered.

use xenstore_wire::Errno;

use crate::acl::Caller;
use crate::domains::Domains;
use crate::operation::{Answer, Behalf, Operation, changes};
use crate::store::Store;

/// An open transaction.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The store when it began.
    base: Store,
    /// The same with its changes.
    work: Store,
    /// Which version of the world it began in.
    version: u64,
    log: Vec<(Operation, Answer)>,
    changes: Vec<Change>,
}

/// What a transaction or a request changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub name: String,
    /// Whether something was removed there.
    pub removed: bool,
}

impl Transaction {
    /// Begins one.
    pub fn begin(store: &Store, version: u64) -> Self {
        Self {
            base: store.clone(),
            work: store.clone(),
            version,
            log: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// What it sees.
    pub fn store(&self) -> &Store {
        &self.work
    }

    /// Does an operation inside. `committed` is everybody's store, which says what the
    /// caller owns by now.
    pub fn execute(
        &mut self,
        operation: &Operation,
        caller: Caller,
        domains: &Domains,
        committed: &Store,
    ) -> Answer {
        let owned = |store: &Store| i64::try_from(store.count_of(caller.domid)).unwrap_or(i64::MAX);
        let elsewhere = owned(committed) - owned(&self.base);
        let behalf = Behalf { caller, domains, elsewhere };
        let (answer, effect) = self.work.execute(operation, &behalf);
        self.log.push((operation.clone(), answer.clone()));
        let change = changes(operation, effect);
        self.changes.extend(change.map(|(name, removed)| Change { name, removed }));
        answer
    }

    /// What everybody's store is after it, and what changed; `EAGAIN` if an answer its
    /// client holds would be another one now.
    pub fn commit(
        self,
        committed: &Store,
        version: u64,
        caller: Caller,
        domains: &Domains,
    ) -> Result<(Store, Vec<Change>), Errno> {
        if self.changes.is_empty() {
            return Ok((committed.clone(), Vec::new()));
        }
        if version == self.version {
            return Ok((self.work, self.changes));
        }
        let mut again = Self::begin(committed, version);
        for (operation, held) in &self.log {
            if again.execute(operation, caller, domains, committed) != *held {
                return Err(Errno::Again);
            }
        }
        Ok((again.work, again.changes))
    }
}
