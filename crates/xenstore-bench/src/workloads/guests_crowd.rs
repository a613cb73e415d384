//! From one guest to 10,000, all of which ask at the same time.

use std::time::Duration;

use crate::failure::Failure;
use crate::figure::{Better, Bound, Goal, Name, Outcome, Place, Unit};
use crate::guest_load::{Ask, Player};
use crate::throughput::Throughput;
use crate::workload::{Run, Workload};
use crate::world::World;

const SIZES: [u16; 5] = [1, 10, 100, 1_000, 10_000];
const QUICK_SIZES: [u16; 3] = [1, 10, 1_000];

/// What a guest's driver for a network device reads and writes.
const NODE: &str = "device/vif/0/state";

/// The workload.
#[derive(Debug)]
pub struct GuestsCrowd;

impl Workload for GuestsCrowd {
    fn name(&self) -> &'static str {
        "guests-crowd"
    }

    fn about(&self) -> &'static str {
        "1 to 10,000 guests, each reads, then writes, a node of its own and waits for the reply"
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn goals(&self) -> &'static [Goal] {
        &[
            Goal { figure: "read, 1000 guests", bound: Bound::AtLeast(500_000.0) },
            Goal { figure: "write, 1000 guests", bound: Bound::AtLeast(200_000.0) },
        ]
    }

    fn run(&self, run: &Run<'_>) -> Result<Outcome, Failure> {
        let sizes: &[u16] = if run.quick { &QUICK_SIZES } else { &SIZES };
        let time = Duration::from_millis(if run.quick { 100 } else { 1_000 });
        let mut world = World::of(run.daemon)?;
        let mut players = Vec::new();
        let mut outcome = Outcome::default();
        for &size in sizes {
            let most = run.target.most_guests();
            if size > most {
                outcome
                    .notes
                    .push(format!("no more than {most} guests: introducing takes minutes"));
                break;
            }
            let more = world.grow(size, &[NODE.to_owned()])?;
            players.extend(more.into_iter().map(|guest| Player::new(guest, Ask::Read(NODE))));
            for (what, ask) in [("read", Ask::Read(NODE)), ("write", Ask::Write(NODE))] {
                for player in &mut players {
                    player.wants(ask);
                }
                let load =
                    Throughput::of(run.daemon.pid(), &mut world.host, &mut players, 1, time)?;
                let name = Name::at(what, Place::new(size.into(), "guests"));
                outcome.add(name.clone(), Unit::PerSecond, Better::High, load.rate());
                outcome.add_time(name.and("daemon"), load.processor_time());
            }
        }
        Ok(outcome)
    }
}
