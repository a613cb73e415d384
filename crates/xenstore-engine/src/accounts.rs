//! What domains are charged for what waits for them or was sent by them, and whether all
//! accounts are right.
//!
//! Nodes are charged where they change (`charges`, `quota::Ledger`), watches and
//! transactions where they come and go. What is left are the bytes of requests and of unread
//! replies and events.

use std::collections::HashMap;
use std::mem;

use xenstore_wire::Domid;

use crate::charges::signed;
use crate::connection::Connection;
use crate::engine::{Engine, WORK_PER_EFFORT};
use crate::estates::Estates;
use crate::ids::ConnectionId;
use crate::outside::Daemon;
use crate::quota::{Charge, Quota};
use crate::transaction::Transaction;

impl Engine {
    /// Books a change of the store that took effect.
    pub(crate) fn book(&mut self) {
        self.versions.note(|| self.ledger.shrinkage());
        self.effort += self.domains.book(&mut self.ledger) / WORK_PER_EFFORT;
    }

    /// Charges a connection's domain for what waits in its buffers now, and no more for what
    /// did before.
    pub(crate) fn charge_buffers(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection_mut(id).filter(|it| !it.caller.privileged) else {
            return;
        };
        let (buffers, domid) = (connection.buffers(), connection.caller.domid);
        let before = mem::replace(&mut connection.charged, buffers);
        if before != buffers {
            let grown = |now, before| signed(now) - signed(before);
            self.domains.charge(domid, Quota::Memory, grown(buffers.bytes, before.bytes));
            let replies = grown(buffers.replies, before.replies);
            self.domains.charge(domid, Quota::Outstanding, replies);
        }
    }

    /// Says that a domain has more memory than its soft limit, once until it has less again.
    pub(crate) fn watch_soft_limit(&mut self, id: ConnectionId, daemon: &mut dyn Daemon) {
        let Some(caller) = self.connection(id).map(|it| it.caller).filter(|it| !it.privileged)
        else {
            return;
        };
        let used = self.domains.usage(caller.domid, Quota::Memory);
        let limit = self.domains.limit(caller.domid, Quota::SoftMemory);
        let over = !Quota::SoftMemory.allows(limit, used);
        if let Some(domain) = self.domains.get_mut(caller.domid)
            && mem::replace(&mut domain.noted, over) != over
        {
            daemon.soft_limit(caller.domid, used, limit, over);
        }
    }

    /// Whether the accounts are what a recount of everything gives.
    pub(crate) fn accounts_agree(&self) -> bool {
        let mut counted = self.store.recount();
        let mut estates = Estates::except(self.privileged);
        counted.changes().for_each(|change| {
            estates.apply(&change);
        });
        let mut others: HashMap<Domid, usize> = HashMap::new();
        let mut buffers_agree = true;
        for connection in self.connections().filter(|it| !it.caller.privileged) {
            buffers_agree &= connection.charged == connection.buffers();
            *others.entry(connection.caller.domid).or_default() += self.weight(connection);
        }
        buffers_agree
            && estates == self.domains.estates
            && self.domains.iter().all(|(domid, domain)| {
                let Charge { nodes, bytes } = counted.of(domid);
                let bytes = bytes + signed(others.get(&domid).copied().unwrap_or(0));
                let booked = |quota| i64::try_from(domain.usage.now(quota)).ok();
                booked(Quota::Nodes) == Some(nodes) && booked(Quota::Memory) == Some(bytes)
            })
    }

    /// Bytes that a connection's domain is charged for it.
    fn weight(&self, connection: &Connection) -> usize {
        let transactions = connection.transactions.values();
        let transactions: usize = transactions.map(Transaction::bytes).sum();
        let watches = self.watches.weight_of(connection.watches.values());
        connection.charged.bytes + watches + transactions
    }
}
