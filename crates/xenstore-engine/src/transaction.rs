//! Open transactions: a private copy of the store, and what was asked of it.
//!
//! Starting one costs a few pointers. Everything inside acts on the private copy, so
//! a transaction sees the store as it was at its start plus its own changes. How the
//! copy becomes everybody's at the end is in `commit`.

use std::collections::HashSet;
use std::time::Duration;

use xenstore_wire::{Errno, Name};

use crate::context::Context;
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
const RECORD_OVERHEAD: usize = 192;

/// Bytes that each name of a path counts for. They take none, but time at the commit: a
/// path of 1000 names as much as a hundred others.
const NAME_OVERHEAD: usize = 64;

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
    /// Bytes its record takes.
    bytes: usize,
    /// The places asked about, where their number is limited.
    touched: HashSet<Name>,
}

/// Room for one request, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Room(usize);

/// A request and what its client was told.
#[derive(Clone, Debug)]
pub struct Record {
    pub operation: Operation,
    pub answer: Answer,
}

/// A change that watches will hear of when the transaction commits.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Where.
    pub name: Name,
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
            bytes: TRANSACTION_OVERHEAD,
            touched: HashSet::new(),
        }
    }

    /// Does an operation inside, one for which there is room. The context's own ledger is
    /// not touched.
    pub fn execute(
        &mut self,
        operation: Operation,
        room: Room,
        cx: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let before = self.ledger.size();
        let result = self.perform(&operation, cx);
        let answer = result.clone().map_err(Refusal::errno);
        let noted = self.ledger.size().saturating_sub(before);
        self.bytes += room.0 + noted + answer.as_ref().map_or(0, Reply::size);
        self.log.push(Record { operation, answer });
        result
    }

    /// Does an operation on the private copy.
    pub(crate) fn perform(
        &mut self,
        operation: &Operation,
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
        operation: &Operation,
        most_requests: u32,
        cx: &Context<'_>,
    ) -> Result<Room, Refusal> {
        let room = weight(operation);
        let requests = self.log.len() + 1;
        if cx.caller.privileged {
            self.check_bound("transaction-requests", requests, MOST_REQUESTS, cx)?;
            self.check_bound("transaction-memory", self.bytes + room, MOST_BYTES, cx)?;
            return Ok(Room(room));
        }
        self.check_bound("transaction-requests", requests, most_requests, cx)?;
        let used = cx.domains.usage(cx.caller.domid, Quota::Memory);
        cx.domains.check(&cx.caller, Quota::Memory, used + room as u64)?;
        if self.touched.insert(operation.name()) {
            let touched = self.touched.len() as u64;
            cx.domains.check(&cx.caller, Quota::TransactionNodes, touched).inspect_err(|_| {
                self.touched.remove(&operation.name());
            })?;
        }
        Ok(Room(room))
    }

    fn check_bound(
        &self,
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
    fn by(operation: &Operation, effect: &Effect) -> Option<Self> {
        let removed = match effect {
            Effect::Nothing => return None,
            Effect::Removed(_) => true,
            Effect::Written | Effect::Created | Effect::Permissions(_) => false,
        };
        Some(Self { name: operation.name(), removed })
    }
}

/// Bytes that a request counts for before it is answered.
fn weight(operation: &Operation) -> usize {
    let names = operation.name().components().count();
    RECORD_OVERHEAD + NAME_OVERHEAD * names + operation.size()
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
