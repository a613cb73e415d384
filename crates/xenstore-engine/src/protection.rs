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
//! * A tenure ends with its transaction, at the latest when its time is up. Then everybody
//!   held back goes on, before the next tenure begins.
//! * A tenure costs. After one of length t its client has no further tenure for t, a guest
//!   for 9 t, and no guest has one for t: guests cannot have each other
//!   wait more than half of the time, and one guest the others no more than a tenth.
//!
//! Nothing here can wait for ever: who waits, waits for a tenure, and those end by time.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use crate::acl::Caller;
use crate::footprint::{Disturbance, Footprint};
use crate::ids::ConnectionId;
use crate::store::Store;
use crate::transaction::{Record, Transaction};

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
}

#[derive(Debug, Default)]
struct Queue {
    tenure: Option<Tenure>,
    /// Claimants whose start of a transaction waits, by age, and until when each rests.
    waiting: BTreeMap<u64, (ConnectionId, Duration)>,
    /// There is no next tenure before.
    free_from: Duration,
}

#[derive(Debug)]
struct Tenure {
    holder: ConnectionId,
    since: Duration,
    /// The protected transactions. None yet: the holder's start is still to come.
    transactions: Vec<u32>,
    footprint: Footprint,
    /// Who was told to wait.
    held: Vec<ConnectionId>,
}

impl Protection {
    /// Nobody is protected. `time` is the longest that anybody will be at a time.
    pub fn new(time: Duration) -> Self {
        let (guests, privileged) = (Queue::default(), Queue::default());
        Self { time, last_age: 0, guests, privileged, awake: Vec::new() }
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
        claim.age.get_or_insert_with(|| {
            self.last_age += 1;
            self.last_age
        });
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
        if self.tenure_of(id, rank).is_none() {
            self.queue(rank).waiting.insert(age, (id, claim.rests_until));
            self.appoint(now);
        }
        let Some(tenure) = self.tenure_of(id, rank) else {
            return Admission::Wait;
        };
        claim.owed -= 1;
        tenure.footprint.add(mem::take(&mut claim.footprint));
        Admission::Protected
    }

    /// The transaction that was admitted under protection has this number.
    pub fn protect(&mut self, id: ConnectionId, rank: Rank, transaction: u32) {
        if let Some(tenure) = self.tenure_of(id, rank) {
            tenure.transactions.push(transaction);
        }
    }

    fn tenure_of(&mut self, id: ConnectionId, rank: Rank) -> Option<&mut Tenure> {
        self.queue(rank).tenure.as_mut().filter(|tenure| tenure.holder == id)
    }

    /// Whether a transaction is protected.
    pub fn protects(&mut self, id: ConnectionId, rank: Rank, transaction: u32) -> bool {
        self.tenure_of(id, rank).is_some_and(|tenure| tenure.transactions.contains(&transaction))
    }

    /// Takes note of what a protected transaction was told.
    pub fn note(&mut self, id: ConnectionId, rank: Rank, told: &Record, base: &Store) {
        if let Some(tenure) = self.tenure_of(id, rank) {
            tenure.footprint.note(told, base);
        }
    }

    /// Whether anybody is protected who can hold back a connection of this rank.
    pub fn is_active(&self, rank: Rank) -> bool {
        self.privileged.tenure.is_some() || (rank == Rank::Guest && self.guests.tenure.is_some())
    }

    /// The rank of the tenure that holds a connection back from what would disturb it.
    pub fn obstacle(
        &self,
        id: ConnectionId,
        rank: Rank,
        disturbances: &[Disturbance],
    ) -> Option<Rank> {
        let above = [(&self.privileged, Rank::Privileged), (&self.guests, Rank::Guest)];
        let holds_back = |&(queue, holder): &(&Queue, Rank)| {
            holder >= rank
                && queue.tenure.as_ref().is_some_and(|tenure| {
                    tenure.holder != id
                        && !tenure.transactions.is_empty()
                        && disturbances.iter().any(|it| tenure.footprint.is_disturbed_by(it))
                })
        };
        above.into_iter().find(holds_back).map(|(_, holder)| holder)
    }

    /// Has a connection wait for the end of a tenure; whose it is.
    pub fn hold(&mut self, id: ConnectionId, obstacle: Rank) -> Option<ConnectionId> {
        let tenure = self.queue(obstacle).tenure.as_mut()?;
        tenure.held.push(id);
        Some(tenure.holder)
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
        if let Some(tenure) = self.tenure_of(id, rank)
            && let Some(place) = tenure.transactions.iter().position(|&it| it == transaction)
        {
            tenure.transactions.swap_remove(place);
            if tenure.transactions.is_empty() {
                self.finish(rank, claim, now);
            }
        }
    }

    /// A connection goes, or all its transactions at once.
    pub fn left(&mut self, id: ConnectionId, rank: Rank, claim: &mut Claim, now: Duration) {
        if let Some(age) = claim.age {
            self.queue(rank).waiting.remove(&age);
        }
        if self.tenure_of(id, rank).is_some() {
            self.finish(rank, claim, now);
        }
    }

    /// The connections whose tenure has lasted long enough.
    pub fn overdue(&self, now: Duration) -> Vec<(ConnectionId, Rank)> {
        let queues = [(&self.privileged, Rank::Privileged), (&self.guests, Rank::Guest)];
        let overdue = |(queue, rank): (&Queue, Rank)| {
            let tenure = queue.tenure.as_ref()?;
            (tenure.since + self.time <= now).then_some((tenure.holder, rank))
        };
        queues.into_iter().filter_map(overdue).collect()
    }

    /// Ends a tenure that has lasted long enough. Its holder, if it loses again, comes
    /// after all who wait now.
    pub fn expire(&mut self, rank: Rank, claim: &mut Claim, now: Duration) {
        (claim.age, claim.owed) = (None, 0);
        self.finish(rank, claim, now);
    }

    fn finish(&mut self, rank: Rank, claim: &mut Claim, now: Duration) {
        let queue = self.queue(rank);
        let Some(tenure) = queue.tenure.take() else {
            return;
        };
        let length = now.saturating_sub(tenure.since);
        if rank == Rank::Guest {
            claim.rests_until = now + length * GUEST_REST;
            queue.free_from = now + length;
        } else {
            claim.rests_until = now + length;
        }
        self.awake.extend(tenure.held);
        self.appoint(now);
    }

    /// Begins the tenures that can begin by now.
    pub fn appoint(&mut self, now: Duration) {
        for queue in [&mut self.privileged, &mut self.guests] {
            self.awake.extend(queue.appoint(now));
        }
    }

    /// When time alone changes something next. A look at all who wait, if nobody has a
    /// tenure.
    pub fn deadline(&self) -> Option<Duration> {
        let next = |queue: &Queue| {
            if let Some(tenure) = &queue.tenure {
                return Some(tenure.since + self.time);
            }
            let rested = queue.waiting.values().map(|&(_, rests_until)| rests_until).min()?;
            Some(rested.max(queue.free_from))
        };
        [&self.privileged, &self.guests].into_iter().filter_map(next).min()
    }
}

impl Queue {
    /// Gives the tenure, if nobody has it, to the oldest claimant who may have it.
    fn appoint(&mut self, now: Duration) -> Option<ConnectionId> {
        if self.tenure.is_some() || now < self.free_from {
            return None;
        }
        let mut rested = self.waiting.iter().filter(|&(_, &(_, rests_until))| rests_until <= now);
        let (&age, &(holder, _)) = rested.next()?;
        self.waiting.remove(&age);
        self.tenure = Some(Tenure {
            holder,
            since: now,
            transactions: Vec::new(),
            footprint: Footprint::default(),
            held: Vec::new(),
        });
        Some(holder)
    }
}
