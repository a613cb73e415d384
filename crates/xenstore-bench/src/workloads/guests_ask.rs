//! A thousand guests that all ask at the same time, each for a node of its own.

use std::time::Duration;

use crate::failure::Failure;
use crate::figure::{Bound, Goal, Outcome};
use crate::guest_load::{Ask, Player};
use crate::throughput::{NOTIFICATIONS, OPERATIONS, SHARE, Throughput};
use crate::workload::{Run, Workload};
use crate::world::World;

const GUESTS: u16 = 1_000;

/// What a guest's driver for a network device reads and writes.
const NODE: &str = "device/vif/0/state";

/// Requests of a guest that does not wait for each.
const PIPELINE: u32 = 8;

const READS: Goal = Goal { figure: OPERATIONS, bound: Bound::AtLeast(500_000.0) };
const WRITES: Goal = Goal { figure: OPERATIONS, bound: Bound::AtLeast(200_000.0) };
const TWICE: Goal = Goal { figure: OPERATIONS, bound: Bound::TimesBest(2.0) };
const FAIR: Goal = Goal { figure: SHARE, bound: Bound::AtLeast(80.0) };
/// One for the reply, and none for having read the request.
const ONE: Goal = Goal { figure: NOTIFICATIONS, bound: Bound::AtMost(1.01) };
const QUIET: Goal = Goal { figure: NOTIFICATIONS, bound: Bound::AtMost(0.5) };

/// The workload.
#[derive(Debug)]
pub struct GuestsAsk {
    name: &'static str,
    about: &'static str,
    ask: Ask,
    /// Requests of each guest on their way at a time.
    depth: u32,
    goals: &'static [Goal],
}

/// Reads, one at a time.
pub const READ: GuestsAsk = GuestsAsk {
    name: "guests-read",
    about: "1000 guests, each reads a node of its own and waits for the reply",
    ask: Ask::Read(NODE),
    depth: 1,
    goals: &[READS, TWICE, FAIR, ONE],
};

/// Writes, one at a time.
pub const WRITE: GuestsAsk = GuestsAsk {
    name: "guests-write",
    about: "1000 guests, each writes to a node of its own and waits for the reply",
    ask: Ask::Write(NODE),
    depth: 1,
    goals: &[WRITES, TWICE, FAIR, ONE],
};

/// Reads, several at a time.
pub const READ_MANY: GuestsAsk = GuestsAsk {
    name: "guests-read-8",
    about: "1000 guests, each has 8 reads of a node of its own on their way",
    ask: Ask::Read(NODE),
    depth: PIPELINE,
    goals: &[TWICE, FAIR, QUIET],
};

/// Writes, several at a time.
pub const WRITE_MANY: GuestsAsk = GuestsAsk {
    name: "guests-write-8",
    about: "1000 guests, each has 8 writes to a node of its own on their way",
    ask: Ask::Write(NODE),
    depth: PIPELINE,
    goals: &[TWICE, FAIR, QUIET],
};

impl Workload for GuestsAsk {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        self.goals
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let mut world = World::of(run.daemon)?;
        let guests = world.grow(GUESTS, &[NODE.to_owned()])?;
        let mut players: Vec<_> =
            guests.into_iter().map(|guest| Player::new(guest, self.ask)).collect();
        let time = Duration::from_millis(if run.quick { 300 } else { 3_000 });
        let load =
            Throughput::of(run.daemon.pid(), &mut world.host, &mut players, self.depth, time)?;
        let mut outcome = Outcome::default();
        load.tell(&mut outcome);
        Ok(outcome)
    }
}
