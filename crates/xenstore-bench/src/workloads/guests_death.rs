//! Many guests die at once: what the daemon does before it serves the others again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use xenstore_guests::Guest;
use xenstore_wire::{Domid, MessageType};

use crate::failure::Failure;
use crate::figure::{Bound, Goal, Outcome};
use crate::measure::Process;
use crate::workload::{Run, Workload};
use crate::world::World;

const GUESTS: u16 = 1_000;
const QUICK_GUESTS: u16 = 300;

/// How many of them die: every so-many-th.
const DYING: u16 = 100;

/// What a guest has.
const NODES: u32 = 50;
const WATCHES: u32 = 10;

/// How long a daemon may take.
const PATIENCE: Duration = Duration::from_mins(2);

const BUSY: &str = "daemon's processor time, 100 deaths";

/// The workload.
#[derive(Debug)]
pub struct GuestsDeath;

impl Workload for GuestsDeath {
    fn name(&self) -> &'static str {
        "guests-death"
    }

    fn about(&self) -> &'static str {
        "100 of 1000 guests die at once, each with 50 nodes, 10 watches and a backend's node"
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[Goal { figure: BUSY, bound: Bound::AtMost(0.02) }]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let count = if run.quick { QUICK_GUESTS } else { GUESTS };
        let nodes: Vec<_> = (0..NODES).map(|node| format!("data/{node}")).collect();
        let mut world = World::of(run.daemon)?;
        let mut guests = world.grow(count, &nodes)?;
        world.toolstack.ask_all(guests.iter().flat_map(backend))?;
        for guest in &mut guests {
            for watch in 0..WATCHES {
                let payload = format!("data/{watch}\0token{watch}\0");
                world.host.ask(guest, MessageType::Watch, 0, payload.as_bytes())?;
            }
        }

        let dying: Vec<_> =
            guests.iter().map(Guest::domid).step_by((count / DYING).into()).collect();
        let process = Process::new(run.daemon.pid());
        for &domid in &dying {
            world.host.remove(domid)?;
        }
        let (begun, before) = (Instant::now(), process.exact_time()?);
        world.host.raise()?;
        // To ask the daemon would be to disturb it: its event channels tell when it is at the
        // last of them, and one request that it is over.
        while dying.iter().any(|&domid| !matches!(world.host.bound_port(domid), Ok(None))) {
            if begun.elapsed() > PATIENCE {
                let expected = "the event channels of the dead to be given back";
                return Err(Failure::Stuck { expected, patience: PATIENCE });
            }
            sleep(Duration::from_micros(200));
        }
        let last = dying.last().copied().unwrap_or(Domid::DOM0);
        let asked = format!("{last}\0");
        let kind = MessageType::IsDomainIntroduced;
        let introduced = world.toolstack.ask(kind, 0, &[asked.as_bytes()])?;
        let (elapsed, after) = (begun.elapsed(), process.exact_time()?);
        if introduced != b"F\0" {
            return Err(Failure::Reply { kind, expected: "F: the domain is dead" });
        }
        let mut outcome = Outcome::default();
        outcome.add_time(BUSY, after.saturating_sub(before));
        outcome.add_time("until others are served again", elapsed);
        Ok(outcome)
    }
}

/// The node of a device's other end, which the guest may read.
fn backend(guest: &Guest) -> [(MessageType, Vec<u8>); 2] {
    let domid = guest.domid();
    let path = format!("/local/domain/0/backend/vif/{domid}/0");
    [
        (MessageType::Mkdir, format!("{path}\0").into_bytes()),
        (MessageType::SetPerms, format!("{path}\0n0\0r{domid}\0").into_bytes()),
    ]
}
