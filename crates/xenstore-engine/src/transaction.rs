//! Open transactions: a private copy of the store, and what was asked of it.
//!
//! Starting one costs a few pointers. Everything inside acts on the private copy, so
//! a transaction sees the store as it was at its start plus its own changes. How the
//! copy becomes everybody's at the end is in `commit`.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use xenstore_tree::{Node, names};
use xenstore_wire::{Errno, Name};

use crate::context::Context;
use crate::engine::EFFORT_PER_TURN;
use crate::operation::{Effect, Operation, Reply};
use crate::quota::{Ledger, Quota};
use crate::refusal::{Overrun, Refusal};
use crate::store::Store;

/// Requests in one transaction of a client that has no quotas. Doing so many again at
/// a commit takes a second or two.
const MOST_REQUESTS: u32 = 1_000_000;

/// Bytes that the requests and answers of one such transaction may take.
const MOST_BYTES: u32 = 256 << 20;

/// Bytes an open transaction takes before anything was asked in it.
pub const TRANSACTION_OVERHEAD: usize = 1024;

/// Bytes a recorded request takes beside its path, its value and its answer.
const RECORD_OVERHEAD: usize = 320;

/// Bytes of nodes that a change at a place replaces, besides what was there.
pub fn replaced_by_path(name: &Name<'_>) -> usize {
    CHANGED_NAME * (1 + names(name).count())
}

/// The epoch of a transaction whose answers are not those of one moment.
const NO_EPOCH: u64 = u64::MAX;

/// Bytes that each name of a path counts for. It takes none, but time at the commit: a path
/// of 1000 names as much as a hundred others.
const READ_NAME: usize = 64;

/// Bytes that each name of a path counts for where something is changed for the first time:
/// the private copy of a node and of its directory, or new ones.
const CHANGED_NAME: usize = 320;

/// Bytes recorded that are one unit of a turn's work.
const BYTES_PER_EFFORT: usize = 512;

/// What a client was told.
pub type Answer = Result<Reply, Errno>;

/// An open transaction.
#[derive(Debug)]
pub struct Transaction {
    /// The store when it began.
    pub(crate) base: Store,
    /// The same with its changes.
    pub(crate) work: Store,
    /// What the changes cost.
    pub(crate) ledger: Ledger,
    /// What was asked and answered, in order.
    pub(crate) log: Vec<Record>,
    /// What was changed, in order.
    pub(crate) changes: Vec<Changed>,
    /// Whether nodes were created or removed.
    pub(crate) restructured: bool,
    /// The epoch in which it began.
    pub(crate) epoch: u64,
    /// When it will have been open for too long.
    pub(crate) expires: Duration,
    /// From when on it keeps the store; see `versions`.
    pub(crate) since: u64,
    /// Whether its copy is none of its own any more, but the store as it was when it was
    /// cast off.
    adrift: bool,
    /// It could not be moved to the store of some later moment. To try that again with each
    /// request would be as much work each time as all of them together.
    pub(crate) stays: bool,
    /// How many requests there were, refused ones included.
    requests: usize,
    /// Bytes its record takes.
    bytes: usize,
    /// The places asked about, where their number is limited, and whether something may have
    /// been changed there.
    touched: HashMap<Name<'static>, bool>,
}

/// Room for one request.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes it takes before it is answered.
    bytes: usize,
    /// Those of them that stay if it is refused: its place was not asked about before, and
    /// counts from now on.
    of_place: usize,
    /// Those of them that a first change at its place takes are among them.
    of_change: bool,
}

/// A request and what its client was told.
#[derive(Clone, Debug)]
pub struct Record {
    pub operation: Operation<'static>,
    pub answer: Answer,
}

/// A change that watches will hear of when the transaction commits.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Where.
    pub name: Name<'static>,
    /// Whether a subtree was removed there, and not only the one node changed.
    pub removed: bool,
}

impl Transaction {
    /// Begins one on the store as it is.
    pub fn begin(store: &Store, epoch: u64, expires: Duration) -> Self {
        Self {
            base: store.clone(),
            work: store.clone(),
            ledger: Ledger::default(),
            log: Vec::new(),
            changes: Vec::new(),
            restructured: false,
            epoch,
            expires,
            since: 0,
            adrift: false,
            stays: false,
            requests: 0,
            bytes: TRANSACTION_OVERHEAD,
            touched: HashMap::new(),
        }
    }

    /// Does an operation inside, one for which there is room. The context's own ledger is
    /// not touched.
    pub fn execute(
        &mut self,
        operation: Operation<'static>,
        room: Room,
        cx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let work = READ_NAME * self.children_at(&operation);
        let result = self.perform(&operation, cx);
        if matches!(result, Err(Refusal::Limit(_))) {
            // It says nothing of the store, so nothing has to be so again at the commit. What
            // a domain may have changes with all it has, this transaction itself included.
            self.bytes += room.of_place;
            return result;
        }
        if room.of_change
            && let Some(changed) = self.touched.get_mut(&operation.owned_name())
        {
            *changed = true;
        }
        let answer = result.clone().map_err(Refusal::errno);
        self.bytes += room.bytes + work + answer.as_ref().map_or(0, Reply::size);
        self.log.push(Record { operation, answer });
        result
    }

    /// How many children have to be looked at when an operation takes effect: that is work of
    /// the commit, and counts as if it took memory.
    fn children_at(&self, operation: &Operation<'_>) -> usize {
        match operation {
            Operation::SetPerms(name, _) => self.work.get(name).map_or(0, Node::child_count),
            _ => 0,
        }
    }

    /// How many nodes an operation would remove: each is looked at, whether or not the
    /// transaction is committed. No more are counted than end a turn.
    pub fn removes(&self, operation: &Operation<'_>) -> usize {
        match operation {
            Operation::Rm(path) => {
                let node = self.work.get(&Name::Node(path.borrowed()));
                node.map_or(0, |node| 1 + node.descendants().take(EFFORT_PER_TURN).count())
            }
            _ => 0,
        }
    }

    /// Does an operation on the private copy.
    pub(crate) fn perform(
        &mut self,
        operation: &Operation<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let (reply, effect) =
            self.work.execute(operation, &mut with_ledger(cx, &mut self.ledger))?;
        self.restructured |= matches!(effect, Effect::Created | Effect::Removed(_));
        self.changes.extend(Changed::by(operation, &effect));
        Ok(reply)
    }

    /// Whether there is room for one request more. What a transaction keeps is bounded for
    /// everybody; domains have quotas, and `most_requests` is theirs.
    pub fn check_size(
        &mut self,
        operation: &Operation<'_>,
        most_requests: u32,
        cx: &Context<'_>,
    ) -> Result<Room, Refusal> {
        let name = operation.name();
        let known = self.touched.get(&name).copied();
        let changes = !operation.is_read() && known != Some(true);
        let bytes = weight(operation, changes);
        let requests = self.requests + 1;
        if cx.caller.privileged {
            check_bound("transaction-requests", requests, MOST_REQUESTS, cx)?;
            check_bound("transaction-memory", self.bytes + bytes, MOST_BYTES, cx)?;
            self.requests = requests;
            return Ok(Room { bytes, of_place: 0, of_change: false });
        }
        check_bound("transaction-requests", requests, most_requests, cx)?;
        let used = cx.domains.usage(cx.caller.domid, Quota::Memory);
        cx.domains.check(&cx.caller, Quota::Memory, used + bytes as u64)?;
        if known.is_none() {
            let touched = self.touched.len() as u64 + 1;
            cx.domains.check(&cx.caller, Quota::TransactionNodes, touched)?;
        }
        let of_place = if known.is_none() { RECORD_OVERHEAD + name.as_bytes().len() } else { 0 };
        self.touched.entry(operation.owned_name()).or_default();
        self.requests = requests;
        Ok(Room { bytes, of_place, of_change: changes })
    }

    /// The versions of the store that it kept.
    pub fn into_versions(self) -> [Store; 2] {
        [self.base, self.work]
    }

    /// Lets go of the version of the store that it sees, for the one there is now. What it
    /// sees is made anew when it is asked for; that it may commit is only found out by doing
    /// it again. Its changes stay listed: whether there are any decides if its end has to wait.
    /// Returns what it saw.
    pub fn cast_off(&mut self, store: Store, since: u64) -> [Store; 2] {
        let versions =
            [mem::replace(&mut self.base, store.clone()), mem::replace(&mut self.work, store)];
        self.ledger = Ledger::default();
        self.epoch = NO_EPOCH;
        self.since = since;
        self.adrift = true;
        versions
    }

    /// Whether it was cast off and saw nothing since.
    pub fn is_adrift(&self) -> bool {
        self.adrift
    }

    /// Whether all its answers are those of one moment, as far as is known.
    pub fn is_of_one_moment(&self) -> bool {
        self.epoch != NO_EPOCH
    }

    /// Gives one that is adrift a copy of the store with its changes again. If an answer
    /// would be another one now, it cannot commit, and goes on with what there is.
    pub fn moor(&mut self, current: &Store, cx: &mut Context<'_>) {
        self.adrift = false;
        self.move_to(current, cx);
        if !self.is_of_one_moment() {
            self.base = current.clone();
            self.work = current.clone();
            self.changes.clear();
            self.restructured = false;
            let log = mem::take(&mut self.log);
            for record in &log {
                // Refused or not, it is not the answer that counts here.
                let _ = self.perform(&record.operation, cx);
            }
            self.log = log;
        }
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The work of doing all of it again, in units of a turn's.
    pub fn effort(&self) -> usize {
        (self.bytes - TRANSACTION_OVERHEAD) / BYTES_PER_EFFORT
    }
}

impl Changed {
    /// The change that an operation made, if it made one.
    fn by(operation: &Operation<'_>, effect: &Effect) -> Option<Self> {
        let removed = match effect {
            Effect::Nothing => return None,
            Effect::Removed(_) => true,
            Effect::Written | Effect::Created | Effect::Permissions(_) => false,
        };
        Some(Self { name: operation.owned_name(), removed })
    }
}

/// Refuses what is more than a bound that is no quota.
fn check_bound(
    what: &'static str,
    wanted: usize,
    limit: u32,
    cx: &Context<'_>,
) -> Result<(), Refusal> {
    let (domid, wanted) = (cx.caller.domid, wanted as u64);
    if limit == 0 || wanted <= limit.into() {
        return Ok(());
    }
    Err(Refusal::Limit(Overrun { domid, what, wanted, limit }))
}

/// Bytes that a request counts for before it is answered.
fn weight(operation: &Operation<'_>, changes: bool) -> usize {
    let names = names(&operation.name()).count();
    let name = if changes { CHANGED_NAME } else { READ_NAME };
    RECORD_OVERHEAD + name * names + operation.size()
}

/// The same context, charging another account.
fn with_ledger<'a>(cx: &'a mut Context<'_>, ledger: &'a mut Ledger) -> Context<'a> {
    Context {
        caller: cx.caller,
        epoch: cx.epoch,
        domains: cx.domains,
        ledger,
        clock: cx.clock,
        listing: cx.listing,
    }
}
