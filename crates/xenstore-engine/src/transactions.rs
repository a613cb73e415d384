//! Requests about transactions: their start, what is done inside, and their end.

use xenstore_wire::{Errno, Name};

use crate::acl::Caller;
use crate::charges::signed;
use crate::commit::{Failure, Way};
use crate::engine::{Engine, Inside};
use crate::footprint::Disturbance;
use crate::ids::ConnectionId;
use crate::operation::{Operation, Reply};
use crate::outside::{Daemon, Incident, Outside};
use crate::protection::{Admission, Rank};
use crate::quota::Quota;
use crate::requests::{Granted, Hindrance, Outcome, Then};
use crate::transaction::{Record, TRANSACTION_OVERHEAD, Transaction, replaced_by_path};

/// Transactions a connection may have open, whoever it is; domains have a quota far below.
const MOST_OPEN: usize = 1024;

impl Engine {
    /// A transaction's start. That of one who lost before waits for its turn.
    pub(crate) fn start(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        inside: u32,
    ) -> Outcome<'static> {
        let outcome = self.begin(id, caller, inside);
        if matches!(outcome, Err(Hindrance::Refused(_))) {
            let (now, rank) = (self.now, Rank::of(&caller));
            self.claims(id, |protection, claim| protection.pass(id, rank, claim, now));
        }
        // Perhaps it was found that it is somebody else's turn.
        self.wake();
        outcome
    }

    fn begin(&mut self, id: ConnectionId, caller: Caller, inside: u32) -> Outcome<'static> {
        if inside != 0 {
            return Err(Errno::Busy.into());
        }
        let open = self.domains.usage(caller.domid, Quota::Transactions);
        self.domains.check(&caller, Quota::Transactions, open + 1)?;
        let used = self.domains.usage(caller.domid, Quota::Memory);
        self.domains.check(&caller, Quota::Memory, used + TRANSACTION_OVERHEAD as u64)?;
        let open = self.connection(id).ok_or(Errno::Io)?.transactions.len();
        if open >= MOST_OPEN {
            return Err(Errno::NoSpc.into());
        }
        let (now, rank) = (self.now, Rank::of(&caller));
        let admission = self.claims(id, |protection, claim| protection.admit(id, rank, claim, now));
        if admission == Some(Admission::Wait) {
            return Err(Hindrance::Held);
        }
        let expires = now + self.transaction_time;
        let mut begun = Transaction::begin(&self.store, self.epoch(caller), expires);
        let number = self.connection_mut(id).ok_or(Errno::Io)?.next_transaction();
        if !caller.privileged {
            begun.since = self.versions.pin(id, number);
        }
        let connection = self.connection_mut(id).ok_or(Errno::Io)?;
        connection.transactions.insert(number, begun);
        if admission == Some(Admission::Protected) {
            self.protection.protect(id, rank, number);
        }
        if !self.transaction_time.is_zero() {
            self.expiries.insert((expires, id, number));
        }
        if !caller.privileged {
            self.domains.charge(caller.domid, Quota::Transactions, 1);
            self.domains.charge(caller.domid, Quota::Memory, signed(TRANSACTION_OVERHEAD));
        }
        Ok(Granted { reply: Reply::text(number), then: Then::Begun(number) })
    }

    /// A transaction's end. A commit that would disturb a protected transaction waits.
    pub(crate) fn end(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        number: u32,
        commit: bool,
        outside: &mut Outside<'_>,
    ) -> Outcome<'static> {
        let open = self.connection(id).and_then(|c| c.transactions.get(&number));
        let open = open.ok_or(Errno::NoEnt)?;
        let changes = commit && !open.changes.is_empty();
        if changes && self.protection.is_active(Rank::of(&caller)) {
            let disturbances = self.disturbances(&open.log);
            if self.holds_back(id, caller, &disturbances, outside.daemon) {
                return Err(Hindrance::Held);
            }
        }
        let open = self.take(id, caller, number).ok_or(Errno::NoEnt)?;
        let versions = [open.base.clone(), open.work.clone()];
        let outcome = if commit {
            self.make_room(open.changes.iter().map(|change| &change.name));
            self.commit(id, caller, number, open, outside)
        } else {
            // What it sees is freed with `versions`, not here.
            drop(open);
            self.claims(id, |_, claim| claim.rest());
            Ok(Reply::Done.into())
        };
        self.discard(versions);
        self.close(id, caller, number);
        outcome
    }

    fn commit(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        number: u32,
        open: Transaction,
        outside: &mut Outside<'_>,
    ) -> Outcome<'static> {
        if self.fails_for_a_test() {
            self.observe(id, number, outside.daemon, || Incident::Conflict);
            return Err(Errno::Again.into());
        }
        self.effort += open.effort();
        let (store, mut context) = self.context(caller);
        match open.commit(store, &mut context) {
            Ok(committed) => {
                self.claims(id, |_, claim| claim.rest());
                let places = committed.changes.iter().map(|change| &change.name);
                self.versions.note(|| places.map(replaced_by_path).sum());
                self.book();
                let incident = Incident::Committed { merged: committed.way != Way::Install };
                self.observe(id, number, outside.daemon, || incident);
                self.tell_commit(&committed, outside.daemon);
                self.discard([committed.before]);
                Ok(Reply::Done.into())
            }
            Err(Failure::Refused(refusal)) => {
                self.claims(id, |_, claim| claim.rest());
                Err(refusal.into())
            }
            Err(Failure::Lost(lost)) => {
                let rank = Rank::of(&caller);
                self.claims(id, |protection, claim| protection.lost(rank, claim, &lost));
                self.observe(id, number, outside.daemon, || Incident::Conflict);
                Err(Errno::Again.into())
            }
        }
    }

    /// Every third commit, if `Settings::test_eagain` asks for it.
    fn fails_for_a_test(&mut self) -> bool {
        let Some(left) = &mut self.commits_until_failure else {
            return false;
        };
        let fails = *left == 0;
        *left = if fails { 2 } else { *left - 1 };
        fails
    }

    /// Does an operation inside a transaction. One that is protected is told of places it
    /// did not ask about before as they are now.
    pub(crate) fn operate_inside(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        transaction: u32,
        operation: Operation<'static>,
    ) -> Outcome<'static> {
        let (rank, most_requests, now) = (Rank::of(&caller), self.most_requests, self.now);
        let Some((open, engine)) = self.inside(id, caller, transaction) else {
            return Err(Errno::NoEnt.into());
        };
        let Inside { store, protection, effort, mut context } = engine;
        let room = open.check_size(&operation, most_requests, &context)?;
        if open.is_adrift() {
            open.moor(store, &mut context);
            *effort += open.effort();
        }
        let tenure = protection.tenure(id, rank, transaction, now);
        if let Some(tenure) = &tenure
            && !open.stays
            && !tenure.covers(&operation, &open.base)
            && !open.base.unchanged(store, &decisive(&operation))
        {
            open.move_to(store, &mut context);
            *effort += open.effort();
        }
        *effort += open.removes(&operation);
        let before = open.bytes();
        let result = open.execute(operation, room, &mut context);
        if let (Some(tenure), Some(record)) = (tenure, open.log.last()) {
            tenure.note(record, &open.base);
        }
        let grown = signed(open.bytes() - before);
        if !caller.privileged {
            self.domains.charge(caller.domid, Quota::Memory, grown);
        }
        Ok(result?.into())
    }

    /// Ends a transaction that was open for too long.
    pub(crate) fn expire(&mut self, id: ConnectionId, number: u32, daemon: &mut dyn Daemon) {
        let Some(caller) = self.connection(id).map(|connection| connection.caller) else {
            return;
        };
        if let Some(open) = self.take(id, caller, number) {
            self.discard(open.into_versions());
            self.close(id, caller, number);
            daemon.transaction_expired(caller.domid);
        }
    }

    /// Takes an open transaction from its connection and out of the accounts.
    fn take(&mut self, id: ConnectionId, caller: Caller, number: u32) -> Option<Transaction> {
        let open = self.connection_mut(id)?.transactions.remove(&number)?;
        self.expiries.remove(&(open.expires, id, number));
        self.versions.unpin(open.since, id, number);
        if !caller.privileged {
            self.domains.charge(caller.domid, Quota::Transactions, -1);
            self.domains.charge(caller.domid, Quota::Memory, -signed(open.bytes()));
        }
        Some(open)
    }

    /// What a transaction's end would disturb.
    fn disturbances(&self, log: &[Record]) -> Vec<Disturbance> {
        let granted = log.iter().filter(|record| record.answer.is_ok());
        granted.filter_map(|record| Disturbance::by(&record.operation, &self.store)).collect()
    }

    /// A transaction is over.
    fn close(&mut self, id: ConnectionId, caller: Caller, number: u32) {
        let now = self.now;
        self.claims(id, |protection, claim| {
            protection.ended(id, Rank::of(&caller), claim, number, now);
        });
        self.wake();
    }
}

/// The place that decides what an operation is told. What is made later where something
/// was removed depends on the place above.
fn decisive<'a>(operation: &'a Operation<'_>) -> Name<'a> {
    match operation {
        Operation::Rm(path) => {
            path.split_last().map_or_else(|| operation.name(), |(parent, _)| Name::Node(parent))
        }
        _ => operation.name(),
    }
}
