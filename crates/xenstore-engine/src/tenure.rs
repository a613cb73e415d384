//! The turns of one rank: who is protected, who waits to be, whose turn was owed.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::footprint::{Disturbance, Footprint};
use crate::ids::ConnectionId;
use crate::operation::Operation;
use crate::store::Store;
use crate::transaction::Record;

/// How long the next tenure waits for those to have had a turn whom the last held back.
/// They have it in the daemon's next round, unless they do not take their replies.
pub const TURN_TIME: Duration = Duration::from_millis(10);

/// A tenure ends when its holder asked for nothing for this part of its time.
const SILENCE: u32 = 4;

/// The tenure of one rank, and its claimants.
#[derive(Debug, Default)]
pub struct Queue {
    tenure: Option<Tenure>,
    /// Claimants whose start of a transaction waits, by age, and until when each rests.
    waiting: BTreeMap<u64, (ConnectionId, Duration)>,
    /// Who was held back by the last tenure and had no turn since.
    owed_a_turn: HashSet<ConnectionId>,
    /// No next tenure before, unless all had their turn.
    turns_until: Duration,
    /// No next tenure before, in any case.
    free_from: Duration,
    /// When to look for the next holder, if somebody waits.
    look_at: Option<Duration>,
}

/// Somebody is protected.
#[derive(Debug)]
pub struct Tenure {
    pub holder: ConnectionId,
    since: Duration,
    /// When the holder was last heard of.
    heard: Duration,
    /// The protected transactions. None yet: the holder's start is still to come.
    transactions: Vec<u32>,
    /// How many there were.
    begun: u32,
    footprint: Footprint,
    /// Who was told to wait.
    held: Vec<ConnectionId>,
}

impl Tenure {
    /// When it ends by time.
    fn end(&self, time: Duration) -> Duration {
        (self.since + time).min(self.heard + time / SILENCE)
    }

    /// The holder began a transaction that is protected; where it was when it lost.
    pub fn extend(&mut self, footprint: Footprint, now: Duration) {
        self.heard = now;
        self.footprint.add(footprint);
    }

    /// That transaction has this number.
    pub fn protect(&mut self, transaction: u32) {
        self.transactions.push(transaction);
        self.begun += 1;
    }

    /// Whether a transaction, about to be asked something, is protected.
    pub fn protects(&mut self, transaction: u32, now: Duration) -> bool {
        let protects = self.transactions.contains(&transaction);
        if protects {
            self.heard = now;
        }
        protects
    }

    /// Adds what a protected transaction was told to the footprint.
    pub fn note(&mut self, told: &Record, base: &Store) {
        self.footprint.note(told, base);
    }

    /// Whether what an operation will be told cannot have changed since its transaction
    /// was last where its store is now. Of several transactions one does not know since
    /// when another was told of a place.
    pub fn covers(&self, operation: &Operation<'_>, base: &Store) -> bool {
        self.begun == 1 && self.footprint.covers(operation, base)
    }

    /// A protected transaction ended. Whether it was the last.
    pub fn release(&mut self, transaction: u32) -> bool {
        let place = self.transactions.iter().position(|&it| it == transaction);
        place.map(|place| self.transactions.swap_remove(place)).is_some()
            && self.transactions.is_empty()
    }

    /// Whether its holder's transaction is still to begin.
    pub fn is_awaited(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Whether another connection has to wait with what would disturb.
    pub fn holds_back(&self, id: ConnectionId, disturbances: &[Disturbance]) -> bool {
        self.holder != id
            && !self.transactions.is_empty()
            && disturbances.iter().any(|change| self.footprint.is_disturbed_by(change))
    }

    /// Has a connection wait for its end.
    pub fn hold(&mut self, id: ConnectionId) {
        self.held.push(id);
    }
}

impl Queue {
    pub fn tenure(&self) -> Option<&Tenure> {
        self.tenure.as_ref()
    }

    pub fn tenure_mut(&mut self) -> Option<&mut Tenure> {
        self.tenure.as_mut()
    }

    pub fn tenure_of(&mut self, id: ConnectionId) -> Option<&mut Tenure> {
        self.tenure.as_mut().filter(|tenure| tenure.holder == id)
    }

    /// Has a claimant wait for its turn. It rests until then.
    pub fn enter(&mut self, age: u64, id: ConnectionId, rests_until: Duration) {
        self.waiting.insert(age, (id, rests_until));
    }

    /// A claimant goes.
    pub fn leave(&mut self, age: u64) {
        self.waiting.remove(&age);
    }

    /// The holder whose time is up.
    pub fn overdue(&self, time: Duration, now: Duration) -> Option<ConnectionId> {
        let tenure = self.tenure.as_ref()?;
        (tenure.end(time) <= now).then_some(tenure.holder)
    }

    /// Ends the tenure: its length, and who was held back. They are owed a turn.
    pub fn finish(&mut self, now: Duration) -> Option<(Duration, Vec<ConnectionId>)> {
        let tenure = self.tenure.take()?;
        self.owed_a_turn.extend(&tenure.held);
        self.turns_until = now + TURN_TIME;
        Some((now.saturating_sub(tenure.since), tenure.held))
    }

    /// Nobody has a tenure before.
    pub fn rest_until(&mut self, time: Duration) {
        self.free_from = time;
    }

    /// A connection had its turn, or needs none.
    pub fn had_turn(&mut self, id: ConnectionId) {
        self.owed_a_turn.remove(&id);
    }

    /// Gives the tenure, if nobody has it, to the oldest claimant who may have it.
    pub fn appoint(&mut self, privileged: bool, now: Duration) -> Option<ConnectionId> {
        self.look_at = None;
        if self.tenure.is_some() || self.waiting.is_empty() {
            return None;
        }
        if now >= self.turns_until {
            self.owed_a_turn.clear();
        }
        let turns = if self.owed_a_turn.is_empty() { Duration::ZERO } else { self.turns_until };
        let free_from = self.free_from.max(turns);
        let mut rested = self.waiting.iter().filter(|&(_, &(_, rests_until))| rests_until <= now);
        let next = rested.next().filter(|_| free_from <= now);
        let Some((&age, &(holder, _))) = next else {
            let rested = self.waiting.values().map(|&(_, rests_until)| rests_until).min();
            self.look_at = rested.map(|rested| rested.max(free_from));
            return None;
        };
        self.waiting.remove(&age);
        self.tenure = Some(Tenure {
            holder,
            since: now,
            heard: now,
            transactions: Vec::new(),
            begun: 0,
            footprint: Footprint::new(privileged),
            held: Vec::new(),
        });
        Some(holder)
    }

    /// Whether nobody has a tenure, nor waits for one.
    pub fn is_idle(&self) -> bool {
        self.tenure.is_none() && self.waiting.is_empty()
    }

    /// Whether anybody waits for the end of the tenure.
    pub fn keeps_waiting(&self) -> bool {
        let held = |tenure: &Tenure| !tenure.held.is_empty() || !self.waiting.is_empty();
        self.tenure.as_ref().is_some_and(held)
    }

    /// When time alone changes something next.
    pub fn deadline(&self, time: Duration) -> Option<Duration> {
        self.tenure.as_ref().map(|tenure| tenure.end(time)).or(self.look_at)
    }
}
