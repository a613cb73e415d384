//! Transactions: a full copy of the store, and a log of what was asked and answered.

use std::collections::BTreeSet;
use std::time::Duration;

use xenstore_wire::Errno;

use crate::acl::Caller;
use crate::domains::Domains;
use crate::operation::{Answer, Behalf, Operation, changes};
use crate::path::parent;
use crate::store::Store;

/// Requests a guest may have in one transaction: few, so that histories come there.
pub const MOST_REQUESTS: u32 = 20;

/// How long a transaction may be open.
pub const MOST_TIME: Duration = Duration::from_mins(10);

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
    room: Room,
    /// When it will have been open for too long.
    pub expires: Duration,
}

/// How much a guest's transaction consists of, which is limited.
#[derive(Clone, Default, Debug)]
pub struct Room {
    requests: u32,
    places: BTreeSet<String>,
}

impl Room {
    /// Takes the room for one request more, if there is.
    pub fn take(&mut self, name: &str, caller: Caller, domains: &Domains) -> Result<(), Errno> {
        if caller.privileged {
            return Ok(());
        }
        let new = self.places.insert(name.to_owned());
        if new && !domains.permits(&caller, "transaction-nodes", self.places.len()) {
            self.places.remove(name);
            return Err(Errno::NoSpc);
        }
        if self.requests == MOST_REQUESTS {
            return Err(Errno::NoSpc);
        }
        self.requests += 1;
        Ok(())
    }
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
    pub fn begin(store: &Store, version: u64, now: Duration) -> Self {
        Self {
            base: store.clone(),
            work: store.clone(),
            version,
            log: Vec::new(),
            changes: Vec::new(),
            room: Room::default(),
            expires: now + MOST_TIME,
        }
    }

    /// A number for the moment at which it began, as far as anybody can tell.
    pub fn moment(&self) -> u64 {
        self.base.clock()
    }

    /// What it sees.
    pub fn store(&self) -> &Store {
        &self.work
    }

    /// How it is if it began only now, if all its answers still hold. `None` if they do
    /// not, or nobody changed anything near `name` since it began.
    pub fn moved(
        &self,
        name: &str,
        committed: &Store,
        version: u64,
        caller: Caller,
        domains: &Domains,
    ) -> Option<Self> {
        // Something made in the place of something removed depends on the place above.
        if self.base.unchanged(committed, parent(name).unwrap_or(name)) {
            return None;
        }
        let Self { base, work, version, changes, .. } =
            self.again(committed, version, caller, domains)?;
        Some(Self { base, work, version, changes, ..self.clone() })
    }

    /// The same requests all at once in another store, if the answers are the same.
    fn again(
        &self,
        store: &Store,
        version: u64,
        caller: Caller,
        domains: &Domains,
    ) -> Option<Self> {
        let mut again = Self::begin(store, version, Duration::ZERO);
        let is_same = |(operation, held): &(Operation, Answer)| {
            again.perform(operation, caller, domains, store) == *held
        };
        self.log.iter().all(is_same).then_some(again)
    }

    /// Whether it changed anything.
    pub fn changes_anything(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Does an operation inside, if there is room for it. `committed` is everybody's store,
    /// which says what the caller owns by now.
    pub fn execute(
        &mut self,
        operation: &Operation,
        caller: Caller,
        domains: &Domains,
        committed: &Store,
    ) -> Answer {
        self.room.take(&operation.name, caller, domains)?;
        self.perform(operation, caller, domains, committed)
    }

    fn perform(
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
        // A refusal for a quota says nothing of the store.
        if answer != Err(Errno::NoSpc) {
            self.log.push((operation.clone(), answer.clone()));
        }
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
        let again = self.again(committed, version, caller, domains).ok_or(Errno::Again)?;
        Ok((again.work, again.changes))
    }
}
