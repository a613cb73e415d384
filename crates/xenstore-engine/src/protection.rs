//! Whose transactions are protected, so that every transaction gets through.
//!
//! A transaction that fails with `EAGAIN` lost to others, and could lose for ever. So a
//! failure is a *claim* of its connection: its next transaction is *protected*. While it
//! is, requests of others that would make one of its answers another one wait. What it
//! asks about late it is told as it is then, not as it was at its start. So nothing can
//! make it fail a second time, but its own connection and who stands above it.
//!
//! * There are two *ranks*: the privileged and guests. In each one connection at a time is
//!   protected; it has a *tenure*. Claimants of the same rank have their start of a
//!   transaction answered when it is their turn: who failed first comes first. With the
//!   start comes the protection, so the protected never wait for each other.
//! * A guest is held back by anybody's tenure. The privileged are held back by
//!   the privileged only: no guest can make the toolstack wait.
//! * A tenure ends with its transaction, at the latest when its time is up or its holder
//!   was silent for a quarter of that. Then everybody held back has a turn before the next
//!   tenure begins.
//! * A tenure costs. After one of length t its client has no further tenure for t, a guest
//!   for 9 t, and no guest has one for t: guests cannot have each other
//!   wait more than half of the time, and one guest the others no more than a tenth.
//!
//! Nothing here can wait for ever: who waits, waits for a tenure, and those end by time.

use std::mem;
use std::time::Duration;

use crate::acl::Caller;
use crate::footprint::{Disturbance, Footprint};
use crate::ids::ConnectionId;
use crate::tenure::{Queue, TURN_TIME, Tenure};
use crate::transaction::Transaction;

/// How long a guest's tenure keeps it from another one, in lengths of that tenure.
const GUEST_REST: u32 = 9;

/// Who can hold back whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    Guest,
    Privileged,
}

impl Rank {
    /// The rank of whoever asks.
    pub fn of(caller: &Caller) -> Self {
        if caller.privileged { Self::Privileged } else { Self::Guest }
    }
}

/// What a connection is owed for the transactions it lost.
#[derive(Debug, Default)]
pub struct Claim {
    /// How many of its next transactions are to be protected.
    owed: u32,
    /// Since when it has been losing; counted, not timed.
    age: Option<u64>,
    /// Where it was when it lost: it will be there again.
    footprint: Footprint,
    /// It has no tenure before.
    rests_until: Duration,
}

impl Claim {
    /// Its connection begins anew, and is owed nothing. It rests as long as before: a guest
    /// can begin anew as often as it likes.
    pub fn forget(&mut self) {
        *self = Self { rests_until: self.rests_until, ..Self::default() };
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.footprint.bytes()
    }

    /// A transaction ended otherwise than by being lost.
    pub fn rest(&mut self) {
        if self.owed == 0 {
            self.age = None;
        }
    }
}

/// Whether a transaction may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// As any.
    Plain,
    /// Under protection.
    Protected,
    /// Not yet: others are protected now.
    Wait,
}

/// The tenures, and who waits for one.
#[derive(Debug)]
pub struct Protection {
    /// The longest a tenure may be.
    time: Duration,
    last_age: u64,
    guests: Queue,
    privileged: Queue,
    /// Who waited and can try again now.
    awake: Vec<ConnectionId>,
    /// By then all will have rested, and had what turns they were owed.
    rested: Duration,
}

impl Protection {
    /// Nobody is protected. `time` is the longest that anybody will be at a time.
    pub fn new(time: Duration) -> Self {
        let (guests, privileged) = (Queue::default(), Queue::default());
        Self { time, last_age: 0, guests, privileged, awake: Vec::new(), rested: Duration::ZERO }
    }

    /// Those who waited and can try again now, first those who were held back.
    pub fn take_awake(&mut self) -> Vec<ConnectionId> {
        mem::take(&mut self.awake)
    }

    fn queue(&mut self, rank: Rank) -> &mut Queue {
        match rank {
            Rank::Guest => &mut self.guests,
            Rank::Privileged => &mut self.privileged,
        }
    }

    /// The tenures there are, the higher rank first.
    fn tenures(&self) -> impl Iterator<Item = (Rank, &Tenure)> {
        let queues = [(Rank::Privileged, &self.privileged), (Rank::Guest, &self.guests)];
        queues.into_iter().filter_map(|(rank, queue)| Some((rank, queue.tenure()?)))
    }

    /// Takes note that a connection lost a transaction.
    pub fn lost(&mut self, rank: Rank, claim: &mut Claim, lost: &Transaction) {
        if self.time.is_zero() {
            return;
        }
        claim.owed = claim.owed.saturating_add(1);
        claim.footprint = Footprint::new(rank == Rank::Privileged);
        for record in &lost.log {
            claim.footprint.note(record, &lost.base);
        }
        if claim.age.is_none() {
            claim.age = Some(self.next_age());
        }
    }

    fn next_age(&mut self) -> u64 {
        self.last_age += 1;
        self.last_age
    }

    /// Whether a connection's next transaction may begin now. If it is to wait, it is
    /// woken when it may.
    pub fn admit(
        &mut self,
        id: ConnectionId,
        rank: Rank,
        claim: &mut Claim,
        now: Duration,
    ) -> Admission {
        let Some(age) = claim.age.filter(|_| claim.owed > 0) else {
            return Admission::Plain;
        };
        if self.queue(rank).tenure_of(id).is_none() {
            self.queue(rank).enter(age, id, claim.rests_until);
            self.appoint(now);
        }
        let Some(tenure) = self.queue(rank).tenure_of(id) else {
            return Admission::Wait;
        };
        claim.owed -= 1;
        tenure.extend(mem::take(&mut claim.footprint), now);
        Admission::Protected
    }

    /// The transaction that was admitted under protection has this number.
    pub fn protect(&mut self, id: ConnectionId, rank: Rank, transaction: u32) {
        if let Some(tenure) = self.queue(rank).tenure_of(id) {
            tenure.protect(transaction);
        }
    }

    /// A connection whose turn it is does not begin a transaction after all.
    pub fn pass(&mut self, id: ConnectionId, rank: Rank, claim: &mut Claim, now: Duration) {
        if self.queue(rank).tenure_of(id).is_some_and(|tenure| tenure.is_awaited()) {
            self.finish(rank, claim, now);
        }
    }

    /// The tenure of a transaction about to be asked something, if it is protected.
    pub fn tenure(
        &mut self,
        id: ConnectionId,
        rank: Rank,
        transaction: u32,
        now: Duration,
    ) -> Option<&mut Tenure> {
        let tenure = self.queue(rank).tenure_of(id)?;
        tenure.protects(transaction, now).then_some(tenure)
    }

    /// Whether anybody is protected who can hold back a connection of this rank.
    pub fn is_active(&self, rank: Rank) -> bool {
        self.tenures().any(|(holder, _)| holder >= rank)
    }

    /// The rank of the tenure that holds a connection back from what would disturb it.
    pub fn obstacle(
        &self,
        id: ConnectionId,
        rank: Rank,
        disturbances: &[Disturbance],
    ) -> Option<Rank> {
        let mut tenures = self.tenures().filter(|&(holder, _)| holder >= rank);
        tenures.find(|(_, tenure)| tenure.holds_back(id, disturbances)).map(|(holder, _)| holder)
    }

    /// Has a connection wait for the end of a tenure; whose it is.
    pub fn hold(&mut self, id: ConnectionId, obstacle: Rank) -> Option<ConnectionId> {
        let tenure = self.queue(obstacle).tenure_mut()?;
        tenure.hold(id);
        Some(tenure.holder)
    }

    /// A connection that was held back had its turn, or needs none.
    pub fn had_turn(&mut self, id: ConnectionId, now: Duration) {
        for queue in [&mut self.privileged, &mut self.guests] {
            queue.had_turn(id);
        }
        self.appoint(now);
    }

    /// A transaction ended, and a tenure perhaps with it.
    pub fn ended(
        &mut self,
        id: ConnectionId,
        rank: Rank,
        claim: &mut Claim,
        transaction: u32,
        now: Duration,
    ) {
        if self.queue(rank).tenure_of(id).is_some_and(|tenure| tenure.release(transaction)) {
            self.finish(rank, claim, now);
        }
    }

    /// A connection goes, or all its transactions at once.
    pub fn left(&mut self, id: ConnectionId, rank: Rank, claim: &mut Claim, now: Duration) {
        if let Some(age) = claim.age {
            self.queue(rank).leave(age);
        }
        if self.queue(rank).tenure_of(id).is_some() {
            self.finish(rank, claim, now);
        }
        self.had_turn(id, now);
    }

    /// The connections whose tenure has lasted long enough.
    pub fn overdue(&self, now: Duration) -> impl Iterator<Item = (ConnectionId, Rank)> + use<> {
        let overdue = |queue: &Queue, rank| Some((queue.overdue(self.time, now)?, rank));
        let privileged = overdue(&self.privileged, Rank::Privileged);
        privileged.into_iter().chain(overdue(&self.guests, Rank::Guest))
    }

    /// Ends a tenure that has lasted long enough. If its holder claims another, it comes
    /// after all who wait now.
    pub fn expire(&mut self, rank: Rank, claim: &mut Claim, now: Duration) {
        claim.age = (claim.owed > 0).then(|| self.next_age());
        self.finish(rank, claim, now);
    }

    fn finish(&mut self, rank: Rank, claim: &mut Claim, now: Duration) {
        let queue = self.queue(rank);
        let Some((length, held)) = queue.finish(now) else {
            return;
        };
        let rest = match rank {
            Rank::Guest => {
                queue.rest_until(now + length);
                length * GUEST_REST
            }
            Rank::Privileged => length,
        };
        claim.rests_until = now + rest;
        self.rested = self.rested.max(now + rest.max(TURN_TIME));
        self.awake.extend(held);
        self.appoint(now);
    }

    /// Whether nobody is protected, nor waits to be, nor rests: time changes nothing.
    pub fn is_idle(&self, now: Duration) -> bool {
        now >= self.rested
            && self.privileged.is_idle()
            && self.guests.is_idle()
            && self.awake.is_empty()
    }

    /// Begins the tenures that can begin by now.
    pub fn appoint(&mut self, now: Duration) {
        self.awake.extend(self.privileged.appoint(true, now));
        self.awake.extend(self.guests.appoint(false, now));
    }

    /// Whether anybody waits for what a protected client does next.
    pub fn keeps_waiting(&self) -> bool {
        self.privileged.keeps_waiting() || self.guests.keeps_waiting()
    }

    /// When time alone changes something next.
    pub fn deadline(&self) -> Option<Duration> {
        let queues = [&self.privileged, &self.guests].into_iter();
        queues.filter_map(|queue| queue.deadline(self.time)).min()
    }
}
