//! Requests that have to wait, and the passing of time.
//!
//! A request waits for the sake of somebody's protected transaction (see `protection`).
//! It is kept beside its connection, and nothing behind it is looked at: replies come in
//! the order of requests.

use std::time::Duration;

use xenstore_wire::Header;

use crate::acl::Caller;
use crate::domains::Identity;
use crate::engine::Engine;
use crate::footprint::Disturbance;
use crate::ids::ConnectionId;
use crate::outside::Daemon;
use crate::protection::{Claim, Protection, Rank};

/// A request that waits, or will be answered in its connection's next turn.
#[derive(Debug)]
pub(crate) struct Held {
    pub header: Header,
    pub payload: Box<[u8]>,
    /// Nothing is to be done before it is woken.
    pub asleep: bool,
    /// Domains known since are not those it means (XSA-322).
    pub known: Identity,
}

impl Engine {
    /// When time alone changes something next: [`pass_time`](Self::pass_time) is to be
    /// called then.
    pub fn deadline(&self) -> Option<Duration> {
        if self.is_timeless() {
            return None;
        }
        let expiry = self.expiries.first().map(|&(at, ..)| at);
        self.protection.deadline().into_iter().chain(expiry).min()
    }

    /// Takes note of the time: protection ends, transactions that are open for too long go.
    /// Who can go on for that is among those [ready](Self::next_ready).
    pub fn pass_time(&mut self, now: Duration, daemon: &mut dyn Daemon) {
        self.now = now;
        if self.is_timeless() {
            return;
        }
        for (id, rank) in self.protection.overdue(now) {
            if let Some(connection) = self.connection(id) {
                daemon.protection_expired(connection.caller.domid);
            }
            self.claims(id, |protection, claim| protection.expire(rank, claim, now));
        }
        self.protection.appoint(now);
        while let Some(&(at, id, number)) = self.expiries.first() {
            if at > now {
                break;
            }
            self.expiries.pop_first();
            self.expire(id, number, daemon);
        }
        self.wake();
    }

    /// Whether time changes nothing, as mostly. It may stand still then.
    pub fn is_timeless(&self) -> bool {
        self.protection.is_idle(self.now) && self.expiries.is_empty()
    }

    /// A connection that waited and can have a turn now, although no byte of it arrived; the
    /// first that should have it.
    pub fn next_ready(&mut self) -> Option<ConnectionId> {
        self.ready.pop_front()
    }

    /// Whether clients wait for what a protected one does next.
    pub fn keeps_waiting(&self) -> bool {
        self.protection.keeps_waiting()
    }

    /// Has a request wait that was asked when no other domains than these were `known`.
    pub(crate) fn put_off(
        &mut self,
        id: ConnectionId,
        header: Header,
        payload: &[u8],
        known: Identity,
    ) {
        if let Some(connection) = self.connection_mut(id) {
            let held = Held { header, payload: payload.into(), asleep: true, known };
            connection.held = Some(Box::new(held));
        }
        // It may be its turn already.
        self.wake();
    }

    pub(crate) fn wake(&mut self) {
        loop {
            let awake = self.protection.take_awake();
            if awake.is_empty() {
                return;
            }
            for id in awake {
                let held = self.connection_mut(id).and_then(|connection| connection.held.as_mut());
                if let Some(held) = held.filter(|held| held.asleep) {
                    held.asleep = false;
                    self.ready.push_back(id);
                } else {
                    // It is gone, or has its turn just now.
                    self.protection.had_turn(id, self.now);
                }
            }
        }
    }

    /// A connection that had been woken had its turn.
    pub(crate) fn had_turn(&mut self, id: ConnectionId) {
        self.protection.had_turn(id, self.now);
        self.wake();
    }

    /// Whether a request that disturbs so has to wait; takes note if it does.
    pub(crate) fn holds_back(
        &mut self,
        id: ConnectionId,
        caller: Caller,
        disturbances: &[Disturbance],
        daemon: &mut dyn Daemon,
    ) -> bool {
        let Some(obstacle) = self.protection.obstacle(id, Rank::of(&caller), disturbances) else {
            return false;
        };
        let holder = self.protection.hold(id, obstacle);
        if let Some(holder) = holder.and_then(|holder| self.connection(holder)) {
            daemon.held_back(caller.domid, holder.caller.domid);
        }
        true
    }

    /// Has something done with what a connection is owed.
    pub(crate) fn claims<R>(
        &mut self,
        id: ConnectionId,
        act: impl FnOnce(&mut Protection, &mut Claim) -> R,
    ) -> Option<R> {
        let mut claim = std::mem::take(&mut self.connection_mut(id)?.claim);
        let result = act(&mut self.protection, &mut claim);
        self.connection_mut(id)?.claim = claim;
        Some(result)
    }
}
